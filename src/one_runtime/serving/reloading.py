"""Reload the settings of a running server after SIGHUP: the key ring, and the other settings with the mark `reloaded`.

Environment variables of a running process cannot change, so new values come from the files that `<NAME>_FILE` names. A
reload changes everything or nothing. If a value is invalid, the server continues with what it had.
"""

import asyncio
from collections.abc import Iterable
from copy import copy
from dataclasses import replace
from typing import Final

from one_runtime.api.services import Services
from one_runtime.encryption import key_ring
from one_runtime.encryption.vault import Vault, parse_keys
from one_runtime.errors import ConfigurationError, Unavailable
from one_runtime.jobs import instances
from one_runtime.jobs.instances import ServerInstance
from one_runtime.settings import PREFIX, RELOADED, Settings, load_settings
from one_runtime.telemetry import logs
from one_runtime.telemetry.logger import Logger
from one_runtime.telemetry.request_observer import Observer

RELOAD: Final = "one_runtime_reload"
"""Key of the ASGI state: the function that reloads the settings of the application."""

log = Logger()


async def reload(services: Services, observer: Observer, server: ServerInstance) -> None:
    """Read the settings again, and use what a running server can exchange. `server`: this process."""
    installation = services.installation
    before = installation.settings
    try:
        read = await asyncio.to_thread(load_settings, workers=before.workers)
        vault = Vault(parse_keys(read.encryption_keys.get_secret_value()))
        await _exchange_keys(services, server, vault)
    except (ConfigurationError, Unavailable) as error:
        report_refusal(error)
        return
    settings = before.model_copy(update={name: getattr(read, name) for name in RELOADED})
    installation.use(settings)
    observer.logs_all = settings.logs_all_requests
    if settings.rate_limit != before.rate_limit:
        services.authenticator.limit(settings.rate_limit)
    logs.configure(settings.log_level, settings.log_format)
    waiting = _variables(name for name in _changed(before, read) if name not in RELOADED)
    log.info("reloaded", changed=_variables(_changed(before, settings)), key_ids=list(vault.key_ids))
    if waiting:
        log.warning("restart_needed", settings=waiting)


def report_refusal(error: ConfigurationError | Unavailable) -> None:
    """Log that a reload has changed nothing."""
    advice = "The server continues with its present settings. Remove the reason, and reload again."
    log.error("reload_refused", detail=f"{error.detail} {advice}")


async def _exchange_keys(services: Services, server: ServerInstance, vault: Vault) -> None:
    """Register the keys in the database, and use them. If this fails, keep the present keys.

    `keys activate` counts the keys of this process from the commit on. So the process has them before the commit.

    Raises: ConfigurationError if a required key is missing; Unavailable.
    """
    installation = services.installation
    previous = copy(installation.vault)
    try:
        async with installation.database.write() as tx:
            await key_ring.register(tx, vault, installation.clock())
            await instances.heartbeat(tx, replace(server, key_ids=vault.key_ids), installation.clock)
            installation.vault.take_keys_of(vault)
    except BaseException:
        installation.vault.take_keys_of(previous)
        raise


def _changed(before: Settings, after: Settings) -> list[str]:
    return [name for name in Settings.model_fields if getattr(before, name) != getattr(after, name)]


def _variables(names: Iterable[str]) -> list[str]:
    return [PREFIX + name.upper() for name in names]
