"""Check that the settings do not conflict. `load_settings` has already validated each setting."""

import platform
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from one_runtime import __version__
from one_runtime.db.database_url import sqlite_path
from one_runtime.doctor.finding import Finding, ok, problem, warning
from one_runtime.settings import PREFIX, Settings

_SECRET: Final = ("DATABASE_URL", "ENCRYPTION_KEYS")
_CONTAINER_SECRETS: Final = "/run/secrets/"
"""In a container, every process can read the secrets in this folder. So the check of file modes ignores the folder."""


def examine_configuration(settings: Settings, environ: Mapping[str, str]) -> list[Finding]:
    """Report the version, and check the settings."""
    version = ok("version", f"One Runtime {__version__} on Python {platform.python_version()}")
    count = sum(name.startswith(PREFIX) for name in environ)
    findings = [*_examine_settings(settings), *_examine_secrets(environ)]
    return [version, *(findings or [ok("settings", f"{count} set in the environment, and no conflict")])]


def _examine_settings(settings: Settings) -> Iterator[Finding]:
    if settings.workers > 1 and sqlite_path(settings.database_url.get_secret_value()):
        saw = f"{settings.workers} workers on SQLite, but only one server process can use SQLite"
        yield problem("settings", saw, "Set ONE_RUNTIME_WORKERS to 1, or use PostgreSQL.")
    if not settings.secure:
        saw = f"the public URL is {settings.public_url}, which only browsers on this machine can reach"
        yield warning("settings", saw, "Set ONE_RUNTIME_PUBLIC_URL to the https address that browsers use.")
    networks = [str(network) for network in settings.trusted_proxies if network.prefixlen == 0]
    if networks:
        saw = f"the server trusts X-Forwarded-For from {', '.join(networks)}: any caller can claim any address"
        yield warning("settings", saw, "Set ONE_RUNTIME_TRUSTED_PROXIES to the proxy's own network.")


def _examine_secrets(environ: Mapping[str, str]) -> Iterator[Finding]:
    for name in _SECRET:
        variable, path = PREFIX + name, environ.get(f"{PREFIX}{name}_FILE", "")
        if environ.get(variable) and path:
            saw = f"{variable} and {variable}_FILE are both set"
            yield warning(
                "settings", saw, "Remove one of these two variables. One Runtime uses only one of the values."
            )
        if path and not path.startswith(_CONTAINER_SECRETS) and Path(path).stat().st_mode & stat.S_IROTH:
            saw = f"every user of this machine can read {path}"
            yield warning("settings", saw, f"Run: chmod o-rwx {path}")
