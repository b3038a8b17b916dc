"""Revoke tokens at the provider, by RFC 7009 or in the provider's own way (promise P9 of docs/security.md).

After a temporary failure, the worker repeats the revocation for a day.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal, TypeAlias

from one_runtime.catalog.auth_types.oauth2 import OAuth2Auth
from one_runtime.catalog.grants import RefreshToken
from one_runtime.catalog.model import Integration
from one_runtime.connections import pending_revocations
from one_runtime.connections.pending_revocations import PendingRevocation
from one_runtime.context import Installation
from one_runtime.errors import OneRuntimeError, Unavailable
from one_runtime.integrations import oauth_clients
from one_runtime.jobs.liveness import UnconfirmedCopy
from one_runtime.oauth.client import ClientIdentity
from one_runtime.oauth.errors import TemporaryFailure
from one_runtime.oauth.revocation import RevocationFailure, read_revocation, revocation_requests
from one_runtime.telemetry.logger import Logger
from one_runtime.tokens.endpoint import send

CONCURRENT: Final = 16
"""Maximum number of concurrent revocations in one call of `revoke_all`, and of one organization in `revoke_due`."""
AT_ONCE: Final = 4 * CONCURRENT
"""Maximum number of concurrent revocations in one run of `revoke_due`."""
_BATCH: Final = CONCURRENT // 2
_POLL: Final = 1.0  # seconds between two looks into the queue while a revocation runs
_RUN: Final = 60.0
"""Seconds after which a run starts no further revocation. Otherwise, the run of a busy process would never end."""
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

    One organization gets at most `CONCURRENT` revocations at a time. So its hanging provider does not delay those of
    other organizations, which the queue drops after a day. On an unconfirmed copy of the database, do nothing.
    """
    if not installation.liveness.is_live:
        return 0
    return await _RevocationRun(installation).execute()


class _RevocationRun:
    """One run of `revoke_due`. `_excluded`: the organizations that can claim nothing, at the last look."""

    def __init__(self, installation: Installation) -> None:
        self._installation, self._loop = installation, asyncio.get_running_loop()
        self._running = dict[asyncio.Task[list[RevocationResult]], str]()  # by the organization
        self._excluded, self._look_at = frozenset[str](), self._loop.time()
        self._started = 0

    async def execute(self) -> int:
        """Revoke tokens until no row is due. Return the number of rows."""
        end, errors = self._loop.time() + _RUN, list[BaseException]()
        try:
            while True:
                try:
                    while self._loop.time() < end and self._has_room():
                        await self._claim()
                except Unavailable as away:  # the running revocations end first
                    errors.append(away)
                    end = self._loop.time()
                if not self._running:
                    break
                finished, _ = await asyncio.wait(self._running, timeout=_POLL, return_when=asyncio.FIRST_COMPLETED)
                for task in finished:
                    del self._running[task]
                errors += [error for task in finished if (error := task.exception()) is not None]
        finally:
            for task in self._running:
                task.cancel()
            await asyncio.gather(*self._running, return_exceptions=True)
        if errors:
            raise errors[0]
        return self._started

    def _has_room(self) -> bool:
        """Return True if the queue can have rows to start now, which the last look did not find or did not return."""
        is_due = self._loop.time() >= self._look_at or not self._excluded <= self._full()
        return is_due and len(self._running) + _BATCH <= AT_ONCE

    def _full(self) -> frozenset[str]:
        """Return the organizations that have too many running revocations for a further batch."""
        counts = Counter(self._running.values())
        return frozenset(owner for owner, count in counts.items() if count + _BATCH > CONCURRENT)

    async def _claim(self) -> None:
        """Start the next batch."""
        installation, self._excluded = self._installation, self._full()
        async with installation.database.write() as tx:
            claimed = await pending_revocations.claim(
                tx, installation.vault, installation.clock, _BATCH, self._excluded
            )
        self._started += len(claimed)
        for pending in claimed:
            self._running[asyncio.create_task(_revoke(installation, pending))] = pending.organization_id
        self._look_at = self._loop.time() + (0 if len(claimed) == _BATCH else _POLL)


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
    auth = integration.oauth2 if integration is not None else None
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
        return ClientIdentity.entered(pending.tokens), params
    async with installation.database.read() as tx:
        client = await oauth_clients.get(tx, installation.vault, pending.organization_id, pending.oauth_client_id)
    values = {**params, **client.fields_of(auth)}
    oauth_clients.require_host(client, integration.name, auth, values)
    return client.client, values


def _result(kind: Kind, failure: RevocationFailure | None) -> RevocationResult:
    if failure is None:
        return RevocationResult(kind, "revoked")
    return RevocationResult(kind, "failed", failure.reason, failure.may_pass, failure.retry_after)
