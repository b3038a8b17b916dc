"""One renewal: ask the token endpoint under the lease on the row, and record the response (P8).

No transaction is open while the provider is asked. The response counts if the row still holds the refresh token that
was presented, so neither an expired lease nor a new connection in between loses a token or refuses a good one.
"""

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final, TypeAlias, cast

import structlog

from one_runtime.auth_types import Renewal, oauth2_of
from one_runtime.connections import connections, credentials
from one_runtime.connections.pending_revocations import RevocationCause, leave_to_worker, queue_revocation
from one_runtime.context import Installation
from one_runtime.db.engine import Transaction
from one_runtime.errors import NotFound, OneRuntimeError, Unavailable
from one_runtime.integrations import oauth_clients
from one_runtime.oauth.client import ClientIdentity
from one_runtime.oauth.errors import InvalidClient, InvalidGrant, OAuthError, TemporaryFailure
from one_runtime.oauth.token_response import TokenSet
from one_runtime.telemetry import metrics
from one_runtime.tenancy import events
from one_runtime.tenancy.events import Actor
from one_runtime.tokens.decision import (
    RETRY_CONFIGURATION,
    CredentialRequest,
    Decision,
    Fresh,
    NeedsReauth,
    decide,
)
from one_runtime.tokens.endpoint import TokenEndpoint
from one_runtime.tokens.state import (
    CredentialState,
    holds_presented,
    merge_tokens,
    read_state,
    with_oauth_client,
)

_FIRST_BACKOFF: Final = timedelta(seconds=5)
_LONGEST_BACKOFF: Final = timedelta(minutes=10)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to renew. By the monotonic clock, the provider may be asked until `ask_until`, and no other process
    asks before `ends`."""

    id: str
    ask_until: float
    ends: float


Outcome: TypeAlias = tuple[CredentialState, Decision]


async def renew(
    installation: Installation, state: CredentialState, renewal: Renewal, lease: Lease, request: CredentialRequest
) -> Outcome:
    """Ask the provider for new tokens under the lease, and record the response.

    Returns the state after that with the decision on it: Fresh where the new tokens are stored. Raises: NotFound;
    Unavailable; and the error of a request that cannot be built.
    """
    try:
        endpoint = _token_endpoint(state)
        tokens = await endpoint.ask(installation.egress, installation.clock, renewal, until=lease.ask_until)
    except OneRuntimeError:  # the request could not be built
        async with installation.database.write() as tx:
            await credentials.release_lease(tx, state.connection.key, lease.id)
        raise
    except OAuthError as error:
        # The end user cannot repair a registered client. A client of their own they can, by connecting again.
        if isinstance(error, InvalidGrant) or (isinstance(error, InvalidClient) and state.client is None):
            return await _record_refusal(installation, state, renewal, error, request)
        return await _record_failure(installation, state, lease, error, request)
    with metrics.token_commit():  # a crash loses the tokens until they are committed
        return await _store(installation, state, renewal, tokens, lease)


def _token_endpoint(state: CredentialState) -> TokenEndpoint:
    """Raises: NotFound; HostNotRegistered; OAuthClientMissing; InvalidInput."""
    integration, method, secrets = state.integration, state.token_method, state.stored.secrets
    if integration is None or method is None:
        raise NotFound("The integration of this connection no longer exists.")
    params = state.connection.params
    if state.client is None:  # the end user's own client
        client = ClientIdentity(secrets.get("client_id", ""), secrets.get("client_secret"))
        return TokenEndpoint(integration, method.auth, client, params)
    known = {**params, **method.client_values(state.client.client.client_id, state.client.fields)}
    oauth2 = oauth2_of(state.auth)
    if oauth2 is not None:
        oauth_clients.require_host(state.client, integration.name, oauth2, known)
    return TokenEndpoint(integration, method.auth, state.client.client, known)


async def _store(
    installation: Installation, asked: CredentialState, presented: Renewal, tokens: TokenSet, lease: Lease
) -> Outcome:
    """Commit the new tokens before any caller gets them.

    Only this process has the tokens, so it retries while the database is unavailable and the lease lasts. A commit with
    an unknown result is repeated: the row then holds the new tokens already, or still the presented one.
    """
    while True:
        try:
            return await _commit(installation, asked, presented, tokens)
        except Unavailable as error:
            if time.monotonic() > lease.ends:
                raise
            log.warning("refresh_not_stored_yet", connection_id=asked.connection.id, code=error.code)
            await asyncio.sleep(installation.timing.poll)


async def _commit(installation: Installation, asked: CredentialState, presented: Renewal, tokens: TokenSet) -> Outcome:
    """Store the new tokens if the row still holds what was presented. Raises: NotFound; Unavailable."""
    async with installation.database.write() as tx:
        now, decision, current = installation.clock(), cast("Decision", Fresh()), None
        with suppress(NotFound):
            current = await read_state(tx, installation, asked.connection.key, lock=True)
        if current is None:
            await _revoke_later(tx, installation, asked, tokens, "disconnected")
        elif holds_presented(current.renewal, presented):
            current = await _replace_tokens(tx, installation, asked, current, tokens)
        else:  # the end user has connected again
            await _revoke_later(tx, installation, asked, tokens, "refresh_superseded")
            current = await with_oauth_client(tx, installation, current)
            decision = decide(current, now, CredentialRequest())
    if current is None:
        raise NotFound("The connection was deleted while its tokens were renewed.")
    return current, decision


async def _replace_tokens(
    tx: Transaction, installation: Installation, asked: CredentialState, current: CredentialState, tokens: TokenSet
) -> CredentialState:
    """Store the tokens over the locked ones, and set the connection's status."""
    method, now = asked.token_method, installation.clock()
    assert method is not None  # noqa: S101 - the provider was asked for tokens
    secrets = merge_tokens(current.stored.secrets, tokens)
    due_at = method.refresh_due_at(secrets, tokens, now)
    metadata = replace(current.stored.token_metadata, refresh_due_at=due_at)
    scopes = tokens.scopes or current.connection.scopes
    saved = replace(current.connection, expires_at=tokens.expires_at, scopes=scopes)
    await connections.replace_tokens(tx, installation.vault, saved, secrets, metadata)
    if saved.status == "needs_reauth" and asked.connection.status == "needs_reauth":
        saved = await connections.mark_active(tx, Actor(saved.organization_id, "system"), saved, now)
    elif saved.status == "needs_reauth":
        # Another process presented the same token and was refused meanwhile. A provider that detects reuse has revoked
        # the new tokens too; the next renewal shows whether it has.
        await credentials.refresh_now(tx, saved.key, now)
    version = current.stored.version + 1
    stored = replace(current.stored, secrets=secrets, version=version, token_metadata=metadata)
    return replace(asked, connection=saved, stored=stored)


async def _revoke_later(
    tx: Transaction, installation: Installation, asked: CredentialState, tokens: TokenSet, cause: RevocationCause
) -> None:
    """Queue the new tokens for revocation: no connection holds them."""
    stored = replace(asked.stored, secrets=merge_tokens(asked.stored.secrets, tokens))
    unused = connections.revocable_tokens(asked.connection, stored)
    vault, catalogs, now = installation.vault, installation.catalogs, installation.clock()
    await leave_to_worker(tx, await queue_revocation(tx, vault, catalogs, unused, cause, now), now)


async def _record_refusal(
    installation: Installation,
    asked: CredentialState,
    presented: Renewal,
    refusal: OAuthError,
    request: CredentialRequest,
) -> Outcome:
    """Mark the connection as refused, if the row still holds what was presented; else use what the row holds now."""
    key, now = asked.connection.key, installation.clock()
    async with installation.database.write() as tx:
        current = await read_state(tx, installation, key, lock=True)
        if current.renewal != presented:
            return await with_oauth_client(tx, installation, current), decide(current, now, request)
        actor = Actor(key.organization_id, "system")
        message = refusal.reason or f"{asked.integration_name} no longer accepts this authorization."
        marked = await connections.mark_needs_reauth(tx, actor, current.connection, refusal.code, message, now)
        await credentials.stop_refreshing(tx, key)
    return replace(current, connection=marked), NeedsReauth("refused")


async def _record_failure(
    installation: Installation, asked: CredentialState, lease: Lease, error: OAuthError, request: CredentialRequest
) -> Outcome:
    """Keep the tokens and back off: the response does not tell whether the provider accepts them."""
    key, now, failures = asked.connection.key, installation.clock(), asked.stored.failures
    retry_at = now + _backoff(error, failures)
    async with installation.database.write() as tx:
        recorded = await credentials.record_failure(tx, key, lease.id, retry_at)
        if recorded and failures == 0:  # one event for an outage, not one for each attempt
            subject = asked.connection.subject
            subject = replace(subject, data={**subject.data, "reason": error.code})
            await events.record(tx, Actor(key.organization_id, "system"), "connection.refresh_failed", now, subject)
    log.info("refresh_troubled", connection_id=key.connection_id, code=error.code, failures=failures + 1)
    state = replace(asked, stored=replace(asked.stored, retry_at=retry_at))
    return state, decide(state, now, request)


def _backoff(error: OAuthError, failures: int) -> timedelta:
    if isinstance(error, InvalidClient):
        return RETRY_CONFIGURATION
    pause = min(_FIRST_BACKOFF * float(2 ** min(failures, 16)), _LONGEST_BACKOFF)
    if isinstance(error, TemporaryFailure) and error.retry_after is not None:
        return max(pause, timedelta(seconds=error.retry_after))
    return pause
