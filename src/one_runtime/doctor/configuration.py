"""Check that the settings work together. Each single value is already validated."""

import ipaddress
import platform
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from one_runtime import __version__
from one_runtime.db.database_url import sqlite_path
from one_runtime.doctor.finding import Finding, ok, problem, warning
from one_runtime.settings import PREFIX, Settings

_SECRET: Final = ("DATABASE_URL", "ENCRYPTION_KEYS")
_HANDED_OVER: Final = "/run/secrets/"
"""Folder of container secrets, readable by every process of the container."""


def examine_configuration(settings: Settings, environ: Mapping[str, str]) -> list[Finding]:
    """Check the version and the settings."""
    findings = [*_workers(settings), *_reach(settings), *_secrets(environ), *_trust(settings)]
    version = ok("version", f"One Runtime {__version__} on Python {platform.python_version()}")
    count = sum(name.startswith(PREFIX) for name in environ)
    return [version, *(findings or [ok("settings", f"{count} from the environment, and they can work together")])]


def _workers(settings: Settings) -> list[Finding]:
    if settings.workers > 1 and sqlite_path(settings.database_url.get_secret_value()):
        saw = f"{settings.workers} workers on SQLite, which only one process may serve"
        return [problem("settings", saw, "Set ONE_RUNTIME_WORKERS to 1, or use PostgreSQL.")]
    return []


def _reach(settings: Settings) -> list[Finding]:
    if settings.secure:
        return []
    saw = f"the public URL is {settings.public_url}, which only browsers on this machine can reach"
    return [warning("settings", saw, "Set ONE_RUNTIME_PUBLIC_URL to the https address that browsers use.")]


def _secrets(environ: Mapping[str, str]) -> list[Finding]:
    findings = []
    for name in _SECRET:
        variable, path = PREFIX + name, environ.get(f"{PREFIX}{name}_FILE", "")
        if environ.get(variable) and path:
            saw = f"{variable} and {variable}_FILE are both set"
            findings.append(warning("settings", saw, "Remove one of the two: their precedence is undefined."))
        if path and not path.startswith(_HANDED_OVER) and Path(path).stat().st_mode & stat.S_IROTH:
            saw = f"every user of this machine can read {path}"
            findings.append(warning("settings", saw, f"Run: chmod o-rwx {path}"))
    return findings


def _trust(settings: Settings) -> list[Finding]:
    wide = [network for network in settings.trusted_proxies if _is_any_address(network)]
    if not wide:
        return []
    saw = f"X-Forwarded-For is believed from {', '.join(map(str, wide))}: any caller can claim any address"
    return [warning("settings", saw, "Name the proxy's own network in ONE_RUNTIME_TRUSTED_PROXIES.")]


def _is_any_address(network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    return network.prefixlen == 0
