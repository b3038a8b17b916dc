"""Namespaces in which a command can mount file systems. No mount remains after the command."""

import os


def mount_namespace() -> list[str]:
    """Return the beginning of a command that may mount. Root needs no user namespace, all other users do."""
    return ["unshare", "--mount", *(() if os.geteuid() == 0 else ("--user", "--map-root-user"))]
