"""Ask a provider whether a connection's credentials still work: a definite refusal is noted, an outage is not."""

import asyncio
from dataclasses import dataclass
from typing import Final

import structlog

from one_runtime.connecting.verification import check_credentials
from one_runtime.connections import connections
from one_runtime.connections.connections import Connection
from one_runtime.connections.credentials import CredentialsRefused
from one_runtime.context import Installation
from one_runtime.errors import OneRuntimeError
from one_runtime.jobs.recheck_queue import RecheckRequest
from one_runtime.tenancy.events import Actor
from one_runtime.tokens.refresh import ReauthRequired, fresh_credentials
from one_runtime.tokens.state import UsableCredential

AT_ONCE: Final = 64
"""Checks of one turn that are under way at the same time."""

PATIENCE: Final = 10.0
"""Seconds for one of them: the next turn waits for all."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class RecheckResult:
    """What the provider said: `working` is None where the entry has no check."""

    connection: Connection
    working: bool | None
    reason: str | None = None


async def recheck(installation: Installation, actor: Actor, connection_id: str) -> RecheckResult:
    """Run the entry's check with fresh credentials; a token that is refused is renewed once, and tried again.

    Raises: NotFound; ProviderUnavailable; SealBroken.
    """
    async with installation.database.read() as tx:
        found = await connections.get(tx, actor.organization_id, connection_id)
        integration = await installation.catalogs.get(tx, actor.organization_id, found.integration_slug)
    auth = integration.auth_of(found.auth_type) if integration is not None else None
    if integration is None or auth is None or auth.check is None:
        return RecheckResult(found, None)
    try:
        usable = await fresh_credentials(installation, found.key, refused_too=True)
        refusal = await _refusal(installation, usable)
        if refusal is not None:
            renewed = await fresh_credentials(installation, found.key, rejected=usable.version, refused_too=True)
            if renewed.version != usable.version:
                usable, refusal = renewed, await _refusal(installation, renewed)
    except ReauthRequired as error:
        return RecheckResult(await _current(installation, found), working=False, reason=error.detail)
    return await _noted(installation, actor, found, usable, refusal)


async def recheck_queued(installation: Installation) -> int:
    """Recheck connections whose credentials a provider did not take in use; how many."""
    doubted, turn = installation.doubts.take(), asyncio.Semaphore(AT_ONCE)

    async def one(doubt: RecheckRequest) -> None:
        try:
            async with turn, asyncio.timeout(PATIENCE):
                await recheck(installation, Actor(doubt.organization_id, "system"), doubt.connection_id)
        except (OneRuntimeError, TimeoutError) as error:  # nothing is known then; a later refusal asks again
            code = error.code if isinstance(error, OneRuntimeError) else "upstream_timeout"
            log.info("recheck_failed", connection_id=doubt.connection_id, code=code)
        finally:
            installation.doubts.settle(doubt)

    await asyncio.gather(*map(one, doubted))
    return len(doubted)


async def _refusal(installation: Installation, usable: UsableCredential) -> CredentialsRefused | None:
    if usable.integration is None or usable.auth is None:  # it was deleted a moment ago
        return None
    try:
        await check_credentials(installation.egress, usable.integration, usable.auth, usable.values)
    except CredentialsRefused as refusal:
        return refusal
    return None


async def _current(installation: Installation, found: Connection) -> Connection:
    async with installation.database.read() as tx:
        return await connections.get(tx, found.organization_id, found.id)


async def _noted(
    installation: Installation,
    actor: Actor,
    found: Connection,
    asked: UsableCredential,
    refusal: CredentialsRefused | None,
) -> RecheckResult:
    """The verdict counts for the credentials that were asked about, not for any that took their place since (P8)."""
    now = installation.clock()
    reason = (refusal.provider_reason or refusal.detail) if refusal is not None else None
    async with installation.database.write() as tx:
        current, held = await connections.get_with_credential(tx, installation.vault, found.key, lock=True)
        if held.version != asked.version:
            return RecheckResult(current, refusal is None, reason)
        if refusal is None:
            noted = await connections.mark_active(tx, actor, current, now)
        else:
            noted = await connections.mark_needs_reauth(tx, actor, current, refusal.code, reason or "", now)
    return RecheckResult(noted, refusal is None, reason)
