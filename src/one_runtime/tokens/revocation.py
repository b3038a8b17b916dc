"""Revoke tokens at the provider, by RFC 7009 or in the provider's own way (promise P9 of docs/security.md).

After a temporary failure, the worker repeats the revocation for a day.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal, TypeAlias

from one_runtime.auth_types import oauth2_of
from one_runtime.catalog.model import Integration
from one_runtime.catalog.oauth2 import OAuth2Auth
from one_runtime.connections import pending_revocations
from one_runtime.connections.pending_revocations import PendingRevocation
from one_runtime.context import Installation
from one_runtime.errors import OneRuntimeError, Unavailable
from one_runtime.integrations import oauth_clients
from one_runtime.jobs.liveness import UnconfirmedCopy
from one_runtime.oauth.client import ClientIdentity
from one_runtime.oauth.errors import TemporaryFailure
from one_runtime.oauth.grants import RefreshToken
from one_runtime.oauth.revocation import RevocationFailure, read_revocation, revocation_requests
from one_runtime.telemetry.logger import Logger
from one_runtime.tokens.endpoint import send

BATCH: Final = 100
"""Maximum number of queued revocations in one run of `revoke_due`."""
CONCURRENT: Final = 16
"""Maximum number of concurrent revocations in one call of `revoke_all`."""
_FIRST_DELAY: Final = timedelta(minutes=1)
_MAX_DELAY: Final = timedelta(hours=1)

RevocationOutcome: TypeAlias = Literal["revoked", "failed", "not_supported"]
Kind: TypeAlias = Literal["access_token", "refresh_token"]

log = Logger()


@dataclass(frozen=True, slots=True)
class RevocationResult:
    """The result of the revocation of one token.

    `token`: the kind of token. None stands for a credential such as an API key, which One Runtime cannot revoke.
    `reason`: the cause of a failure, as a text of the provider or of One Runtime. `may_pass`: True if a retry can
    succeed. `retry_after`: seconds to wait before a retry.
    """

    token: Kind | None
    outcome: RevocationOutcome
    reason: str | None = None
    may_pass: bool = False
    retry_after: int | None = None


NOT_SUPPORTED: Final = RevocationResult(None, "not_supported")


async def revoke_all(installation: Installation, claimed: Iterable[PendingRevocation]) -> list[list[RevocationResult]]:
    """Revoke the tokens of queued revocations that this process has reserved.

    Return a list of results for each revocation, in the order of `claimed`. If a failure is temporary, the worker
    repeats the revocation.
    """
    limit = asyncio.Semaphore(CONCURRENT)

    async def revoke_one(pending: PendingRevocation) -> list[RevocationResult]:
        async with limit:
            return await _revoke(installation, pending)

    return list(await asyncio.gather(*map(revoke_one, claimed)))


async def revoke_due(installation: Installation) -> int:
    """Reserve the queued revocations that are due, and revoke their tokens. Return the number of these revocations.

    On an unconfirmed copy of the database, do nothing.
    """
    if not installation.liveness.is_live:
        return 0
    async with installation.database.write() as tx:
        claimed = await pending_revocations.claim(tx, installation.vault, installation.clock, BATCH)
    await revoke_all(installation, claimed)
    return len(claimed)


async def _revoke(installation: Installation, pending: PendingRevocation) -> list[RevocationResult]:
    results = await _request_revocation(installation, pending)
    temporary = [result for result in results if result.outcome == "failed" and result.may_pass]
    async with installation.database.write() as tx:
        if not temporary:
            await pending_revocations.settle(tx, pending)
        else:
            delay = min(_FIRST_DELAY * 2 ** min(pending.attempts - 1, 10), _MAX_DELAY)
            retry_after = timedelta(seconds=max(result.retry_after or 0 for result in temporary))
            await pending_revocations.postpone(tx, installation.clock, pending, max(delay, retry_after))
    for result in results:
        if result.outcome == "failed":
            log.warning(
                "revocation_failed", integration=pending.integration_slug, token=result.token, tried=pending.attempts
            )
    return results


async def _request_revocation(installation: Installation, pending: PendingRevocation) -> list[RevocationResult]:
    """Ask the provider to revoke each token, one after the other. A token that is already invalid counts as revoked."""
    async with installation.database.read() as tx:
        integration = await installation.catalogs.for_revoking(tx, pending.organization_id, pending.integration_slug)
    auth = oauth2_of(integration.auth_of("oauth2")) if integration is not None else None
    grant = RefreshToken(pending.tokens.get("refresh_token"), pending.tokens.get("access_token", ""))
    kinds: tuple[Kind, ...] = ("refresh_token", "access_token")
    results = {kind: RevocationResult(kind, "not_supported") for kind in kinds if kind in pending.tokens}
    if integration is None or auth is None or auth.revocation is None:
        return list(results.values())
    if pending.audience != integration.audience("oauth2"):  # promise P7: other hosts must not receive the tokens
        return list(results.values())
    try:
        installation.liveness.require()
        client, values = await _client(installation, pending, integration, auth)
        requests = revocation_requests(auth, client, grant, values)
    except OneRuntimeError as error:
        temporary = error.status == Unavailable.status or isinstance(error, UnconfirmedCopy)
        return [RevocationResult(kind, "failed", error.detail, may_pass=temporary) for kind in results]
    egress = installation.egress.for_tenant(pending.organization_id)
    for kind, request in requests:
        try:
            response = await send(egress, integration, request)
            failure = read_revocation(auth.revocation, client, grant, response, installation.clock())
            results[kind] = _result(kind, failure)
        except TemporaryFailure as failure:
            results[kind] = RevocationResult(kind, "failed", str(failure), may_pass=True)
    return list(results.values())


async def _client(
    installation: Installation, pending: PendingRevocation, integration: Integration, auth: OAuth2Auth
) -> tuple[ClientIdentity, Mapping[str, str]]:
    """Return the OAuth client of the tokens, and the values for the request's templates. Raises: OneRuntimeError."""
    params = auth.complete(pending.params)
    if pending.oauth_client_id is None:
        return ClientIdentity(pending.tokens.get("client_id", ""), pending.tokens.get("client_secret")), params
    async with installation.database.read() as tx:
        client = await oauth_clients.get(tx, installation.vault, pending.organization_id, pending.oauth_client_id)
    values = {**params, **client.fields_of(auth)}
    oauth_clients.require_host(client, integration.name, auth, values)
    return client.client, values


def _result(kind: Kind, failure: RevocationFailure | None) -> RevocationResult:
    if failure is None:
        return RevocationResult(kind, "revoked")
    return RevocationResult(kind, "failed", failure.reason, failure.may_pass, failure.retry_after)
