"""Revoke tokens at the provider (RFC 7009, or its own way), at once and, where that fails, again for a day (P9)."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal, TypeAlias

import structlog

from one_runtime.catalog.model import Integration
from one_runtime.catalog.oauth2 import OAuth2Auth
from one_runtime.connections import pending_revocations
from one_runtime.connections.pending_revocations import PendingRevocation
from one_runtime.context import Installation
from one_runtime.errors import OneRuntimeError, Unavailable
from one_runtime.integrations import oauth_clients
from one_runtime.oauth.client import ClientIdentity
from one_runtime.oauth.errors import TemporaryFailure
from one_runtime.oauth.grants import RefreshToken
from one_runtime.oauth.revocation import NotRevoked, Revoked, read_revocation, revocation_requests
from one_runtime.tokens.endpoint import send

AT_ONCE: Final = 16
"""Connections that are revoked at the same time."""
BATCH: Final = 100
_FIRST_PAUSE: Final = timedelta(minutes=1)
_LONGEST_PAUSE: Final = timedelta(hours=1)

RevocationOutcome: TypeAlias = Literal["revoked", "failed", "not_supported"]
Kind: TypeAlias = Literal["access_token", "refresh_token"]

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class RevocationResult:
    """What became of one token at the provider. `token` is None for what is no token: keys that an end user typed can
    be revoked by them alone, in the provider's settings. `reason`: where it failed, in the provider's words or ours."""

    token: Kind | None
    outcome: RevocationOutcome
    reason: str | None = None
    may_pass: bool = False
    retry_after: int | None = None


NOT_SUPPORTED: Final = RevocationResult(None, "not_supported")


async def revoke_all(installation: Installation, lettings: Iterable[PendingRevocation]) -> list[list[RevocationResult]]:
    """Revoke what was stored to be revoked, in its order; what fails and may pass stays, to be tried again."""
    turn = asyncio.Semaphore(AT_ONCE)

    async def one(letting: PendingRevocation) -> list[RevocationResult]:
        async with turn:
            return await _revoke(installation, letting)

    return list(await asyncio.gather(*map(one, lettings)))


async def revoke_due(installation: Installation) -> int:
    """Try again what failed before; how many were tried. Safe to run in several processes at once."""
    now = installation.clock()
    async with installation.database.write() as tx:
        claimed = await pending_revocations.claim(tx, installation.vault, now, BATCH)
    await revoke_all(installation, claimed)
    return len(claimed)


async def _revoke(installation: Installation, letting: PendingRevocation) -> list[RevocationResult]:
    told = await _ask(installation, letting)
    now = installation.clock()
    waiting = [one for one in told if one.outcome == "failed" and one.may_pass]
    async with installation.database.write() as tx:
        if not waiting:
            await pending_revocations.settle(tx, letting.id)
        else:
            pause = min(_FIRST_PAUSE * 2 ** min(letting.attempts - 1, 10), _LONGEST_PAUSE)
            asked = timedelta(seconds=max(one.retry_after or 0 for one in waiting))
            await pending_revocations.postpone(tx, letting, now + max(pause, asked))
    for one in told:
        if one.outcome == "failed":
            log.warning(
                "revocation_failed", integration=letting.integration_slug, token=one.token, tried=letting.attempts
            )
    return told


async def _ask(installation: Installation, letting: PendingRevocation) -> list[RevocationResult]:
    """Each token that is held, one after the other: one that is dead already counts as revoked."""
    async with installation.database.read() as tx:
        integration = await installation.catalogs.for_revoking(tx, letting.organization_id, letting.integration_slug)
    auth = integration.auth_of("oauth2") if integration is not None else None
    held = RefreshToken(letting.tokens.get("refresh_token"), letting.tokens.get("access_token", ""))
    if integration is None or not isinstance(auth, OAuth2Auth) or auth.revocation is None:
        return [RevocationResult(kind, "not_supported") for kind in _kinds(letting.tokens)]
    if letting.audience != integration.audience("oauth2"):  # it goes elsewhere now, and these were not meant for there
        return [RevocationResult(kind, "not_supported") for kind in _kinds(letting.tokens)]
    try:
        client, known = await _client(installation, letting, integration, auth)
        requests = revocation_requests(auth, client, held, known)
    except OneRuntimeError as error:
        passing = error.status == Unavailable.status  # our own trouble
        return [RevocationResult(kind, "failed", error.detail, may_pass=passing) for kind in _kinds(letting.tokens)]
    told: dict[Kind, RevocationResult] = {
        kind: RevocationResult(kind, "not_supported") for kind in _kinds(letting.tokens)
    }
    for kind, request in requests:
        try:
            answer = await send(installation.egress, integration, request)
            told[kind] = _outcome(kind, read_revocation(auth, client, held, answer, installation.clock()))
        except TemporaryFailure as trouble:
            told[kind] = RevocationResult(kind, "failed", str(trouble), may_pass=True)
    return list(told.values())


async def _client(
    installation: Installation, letting: PendingRevocation, integration: Integration, auth: OAuth2Auth
) -> tuple[ClientIdentity, Mapping[str, str]]:
    """The client that the tokens were given to, and what templates may use. Raises: OneRuntimeError."""
    if letting.oauth_client_id is None:
        return ClientIdentity(letting.tokens.get("client_id", ""), letting.tokens.get("client_secret")), letting.params
    async with installation.database.read() as tx:
        found = await oauth_clients.get(tx, installation.vault, letting.organization_id, letting.oauth_client_id)
    known = {**letting.params, **found.fields_of(auth)}
    oauth_clients.require_host(found, integration.name, auth, known)
    return found.client, known


def _kinds(tokens: Mapping[str, str]) -> list[Kind]:
    kinds: tuple[Kind, ...] = ("refresh_token", "access_token")
    return [kind for kind in kinds if kind in tokens]


def _outcome(kind: Kind, told: Revoked | NotRevoked) -> RevocationResult:
    if isinstance(told, Revoked):
        return RevocationResult(kind, "revoked")
    return RevocationResult(kind, "failed", told.reason, told.may_pass, told.retry_after)
