"""Refresh the tokens of a connection, and record the provider's response (promise P8 of docs/security.md).

The worker refreshes tokens before the tokens expire. If a caller finds tokens that are due for a refresh, the caller's
process refreshes the tokens at once. The process first reserves the connection's credential row for a limited time (a
lease). The process has no open transaction during the request to the provider.

The lease can end before the provider's response arrives. Another process can then store newer tokens, or the end user
can connect again. So a process records new tokens or a refusal of the grant only if the row still holds the refresh
token that the process sent. A process records any other error only if the row still has the lease of the process.
"""

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, TypeAlias, cast

import structlog

from one_runtime.auth_types import AUTH_METHODS, RefreshGrant, oauth2_of
from one_runtime.catalog.request import ConnectionValues
from one_runtime.connections import connections, credentials
from one_runtime.connections.connections import Connection
from one_runtime.connections.credentials import ConnectionKey, ProviderUnavailable
from one_runtime.connections.pending_revocations import RevocationCause, leave_to_worker, queue_revocation
from one_runtime.context import Installation
from one_runtime.db.engine import Transaction
from one_runtime.db.ids import new_id
from one_runtime.errors import Conflict, NotFound, OneRuntimeError, Unavailable
from one_runtime.integrations import oauth_clients
from one_runtime.oauth.client import ClientIdentity
from one_runtime.oauth.errors import InvalidClient, InvalidGrant, OAuthError, TemporaryFailure
from one_runtime.oauth.token_response import TokenSet
from one_runtime.telemetry import metrics
from one_runtime.tenancy import events
from one_runtime.tenancy.events import Actor
from one_runtime.tokens.decision import (
    RETRY_CONFIGURATION,
    Backoff,
    CredentialRequest,
    Decision,
    Fresh,
    NeedsReauth,
    Refresh,
    Schedule,
    UseUntil,
    decide,
)
from one_runtime.tokens.endpoint import TokenEndpoint
from one_runtime.tokens.state import (
    CredentialState,
    UsableCredential,
    holds_presented,
    load_state,
    merge_tokens,
    read_state,
    with_oauth_client,
)

BATCH: Final = 200
AT_ONCE: Final = 32
"""Maximum number of concurrent refreshes in one run of `refresh_due`."""

_FIRST_BACKOFF: Final = timedelta(seconds=5)
_LONGEST_BACKOFF: Final = timedelta(minutes=10)

log = structlog.get_logger()


class ReauthRequired(Conflict):
    """The end user has to connect again, because One Runtime can no longer use the stored credentials."""

    code = "needs_reauth"


@dataclass(frozen=True, slots=True)
class Lease:
    """The right of this process to refresh the tokens of one connection.

    `ask_until`: the deadline of the request to the provider. `ends`: the end of the lease. Both are values of
    `time.monotonic`.
    """

    id: str
    ask_until: float
    ends: float


Outcome: TypeAlias = tuple[CredentialState, Decision]


async def fresh_credentials(
    installation: Installation, key: ConnectionKey, *, rejected: int | None = None, retry_refused: bool = False
) -> UsableCredential:
    """Return a connection's credentials. Refresh the credentials first if a refresh is due.

    `CredentialRequest` explains the arguments. With `retry_refused`, return fresh credentials even if the connection
    has the status `needs_reauth`.

    Raises: NotFound; ReauthRequired; SealBroken (the decryption failed); ProviderUnavailable if the credentials are not
    usable, and a refresh is not possible now.
    """
    state = await load_state(installation, key)
    return await ensure_fresh(installation, state, rejected=rejected, retry_refused=retry_refused)


async def ensure_fresh(
    installation: Installation, state: CredentialState, *, rejected: int | None = None, retry_refused: bool = False
) -> UsableCredential:
    """Do the same as `fresh_credentials`, but with a state that the caller has just loaded."""
    request = CredentialRequest(rejected, retry_refused)
    if not isinstance(decide(state, installation.clock(), request), Fresh):
        return await _join(installation, state.connection.key, request, state)
    if not retry_refused:
        _require_active(state.connection)
    return state.usable


async def refresh(installation: Installation, key: ConnectionKey) -> UsableCredential:
    """Refresh a connection's credentials now, even if the credentials are fresh.

    Send the request even during a pause, for example a pause that the provider requested with `Retry-After`.

    If no refresh is possible, for example for an API key, return the stored credentials.

    Raises: the same exceptions as `fresh_credentials`.
    """
    state = await load_state(installation, key)
    request = CredentialRequest(state.stored.version, retry_refused=True, ignore_backoff=True)
    return await _join(installation, key, request, state)


async def read_credentials(installation: Installation, actor: Actor, connection_id: str) -> UsableCredential:
    """Return fresh credentials for an API caller, and record the event `connection.credentials_read`.

    The result contains no refresh token and no client secret.

    Raises: the same exceptions as `fresh_credentials`.
    """
    async with installation.database.read() as tx:
        connection = await connections.get(tx, actor.organization_id, connection_id)
    usable = await fresh_credentials(installation, connection.key)
    async with installation.database.write() as tx:
        now = installation.clock()
        await events.record(tx, actor, "connection.credentials_read", now, usable.connection.subject)
    exposed = AUTH_METHODS[usable.connection.auth_type].exposes(usable.values.credentials)
    return replace(usable, values=ConnectionValues(usable.values.params, exposed))


async def refresh_due(installation: Installation, *, batch: int = BATCH) -> int:
    """Refresh all credentials that are due. Return the number of these credentials.

    Several processes can run this function at the same time.
    """
    seen = set[ConnectionKey]()  # prevents an endless run if a row is due again immediately
    slots = asyncio.Semaphore(AT_ONCE)

    async def refresh_in_slot(key: ConnectionKey) -> None:
        async with slots:
            await _refresh_or_postpone(installation, key)

    while True:
        async with installation.database.read() as tx:
            due = [key for key in await credentials.list_due(tx, installation.clock(), batch) if key not in seen]
        await asyncio.gather(*map(refresh_in_slot, due))
        seen.update(due)
        if len(due) < batch:
            return len(seen)


async def _refresh_or_postpone(installation: Installation, key: ConnectionKey) -> None:
    try:
        await _join(installation, key, CredentialRequest())
    except (ReauthRequired, NotFound):
        pass
    except ProviderUnavailable as error:
        log.info("refresh_postponed", connection_id=key.connection_id, code=error.code)
    except Unavailable:  # the database failed, so the credentials stay due for the next run
        raise
    except OneRuntimeError as error:
        log.warning("refresh_failed", connection_id=key.connection_id, code=error.code)
        async with installation.database.write() as tx:
            await credentials.postpone(tx, key, installation.clock() + RETRY_CONFIGURATION)


async def _join(
    installation: Installation, key: ConnectionKey, request: CredentialRequest, loaded: CredentialState | None = None
) -> UsableCredential:
    """Return the result of the refresh that this process runs for the connection. Start a refresh if none is running.

    `loaded`: the state that the caller has just loaded, or None.
    """
    flight = (key.connection_id, request.retry_refused, request.ignore_backoff)
    usable = await installation.flights.join(flight, lambda: _execute(installation, key, request, loaded))
    # A refresh that was already running can return the rejected version. Then refresh once more.
    if usable.version == request.rejected:
        usable = await installation.flights.join(flight, lambda: _execute(installation, key, request, None))
    return usable


async def _execute(
    installation: Installation, key: ConnectionKey, request: CredentialRequest, state: CredentialState | None
) -> UsableCredential:
    """Call `decide`, and execute the decision.

    If the credentials are not usable and another process is refreshing the credentials, wait and decide again.
    """
    timing = installation.timing
    deadline = time.monotonic() + timing.patience
    while True:
        if state is None:
            state = await load_state(installation, key)
        # Read the time before the database starts the lease, so that `Lease.ends` is never after the end of the lease.
        started, now = time.monotonic(), installation.clock()
        decision = decide(state, now, request)
        match decision:
            case Fresh(schedule) | UseUntil(_, schedule):
                await _reschedule(installation, key, schedule)
            case NeedsReauth():
                await _record_needs_reauth(installation, state, decision, request)
            case Refresh(grant, usable):
                async with installation.database.read() as tx:
                    state = await with_oauth_client(tx, installation, state)
                lease = Lease(new_id(), started + timing.request, started + timing.lease.total_seconds())
                async with installation.database.write() as tx:
                    acquired = await credentials.acquire_lease(
                        tx, installation.clock, key, state.stored, lease.id, timing.lease
                    )
                if acquired:
                    state, decision = await _ask_provider(installation, state, grant, lease, request)
                elif not usable:
                    if time.monotonic() > deadline:
                        raise ProviderUnavailable("Another server is refreshing the tokens. Try again.", 1)
                    await asyncio.sleep(timing.poll)
                    state = None
                    continue
        return _result(state, decision, installation.clock())


def _result(state: CredentialState, decision: Decision, now: datetime) -> UsableCredential:
    """Return the credentials if the decision allows their use. Raises: ReauthRequired; ProviderUnavailable."""
    match decision:
        case NeedsReauth("refused"):
            _require_active(state.connection)
        case NeedsReauth():
            raise ReauthRequired(f"{_reauth_message(state, decision)} The end user has to connect again.")
        case Backoff(until):
            _require_active(state.connection)
            wait, name = max(1, round((until - now).total_seconds())), state.integration_name
            raise ProviderUnavailable(f"{name} does not refresh the tokens at the moment. Try again later.", wait)
        case Refresh(_, usable) if not usable:
            raise ProviderUnavailable("The tokens changed during their refresh. Try again.", 1)
    _require_active(state.connection)
    return state.usable


def _require_active(connection: Connection) -> None:
    if connection.status == "needs_reauth":
        message = (connection.error or {}).get("message", "")
        raise ReauthRequired(f"The end user has to connect {connection.integration_slug} again. {message}".strip())


def _reauth_message(state: CredentialState, decision: NeedsReauth) -> str:
    if decision.reason == "audience_changed":
        return f"The organization changed the hosts to which {state.integration_name} sends credentials."
    return "The access token has expired, and the provider issued no refresh token."


async def _reschedule(installation: Installation, key: ConnectionKey, schedule: Schedule) -> None:
    if schedule is None:
        return
    async with installation.database.write() as tx:
        if schedule == "never":
            await credentials.stop_refreshing(tx, key)
        else:
            await credentials.postpone(tx, key, schedule)


async def _record_needs_reauth(
    installation: Installation, state: CredentialState, decision: NeedsReauth, request: CredentialRequest
) -> None:
    """Lock the row, and decide again. If the decision is the same, set the status `needs_reauth`.

    Do nothing for the reason `refused`, because `_record_refusal` has already set the status.
    """
    if decision.reason == "refused":
        return
    key, now, message = state.connection.key, installation.clock(), _reauth_message(state, decision)
    async with installation.database.write() as tx:
        current = await read_state(tx, installation, key, lock=True)
        if decide(current, now, request) != decision:
            return
        if decision.reason == "audience_changed":
            await connections.invalidate_for_audience_change(tx, current.connection, message, now)
        else:
            actor = Actor(key.organization_id, "system")
            await connections.mark_needs_reauth(tx, actor, current.connection, "token_expired", message, now)
            await credentials.stop_refreshing(tx, key)


async def _ask_provider(
    installation: Installation, state: CredentialState, grant: RefreshGrant, lease: Lease, request: CredentialRequest
) -> Outcome:
    """Ask the provider for new tokens, and record the response. The caller holds the lease.

    Return the new state and the new decision. The decision is `Fresh` if the new tokens are stored.

    Raises: NotFound; Unavailable; another OneRuntimeError if the request cannot be built.
    """
    try:
        endpoint = _token_endpoint(state)
        tokens = await endpoint.ask(installation.egress, installation.clock, grant, until=lease.ask_until)
    except OneRuntimeError:  # the request could not be built
        async with installation.database.write() as tx:
            await credentials.release_lease(tx, state.connection.key, lease.id)
        raise
    except OAuthError as error:
        # If the end user entered the OAuth client, the end user can correct the client by connecting again. Only the
        # organization or the operator can correct a registered client. So `invalid_client` is a refusal only for a
        # client that the end user entered.
        if isinstance(error, InvalidGrant) or (isinstance(error, InvalidClient) and state.client is None):
            return await _record_refusal(installation, state, grant, error, request)
        return await _record_failure(installation, state, lease, error, request)
    with metrics.token_commit():  # a crash before the commit loses the tokens, so this metric measures the commit
        return await _store(installation, state, grant, tokens, lease)


def _token_endpoint(state: CredentialState) -> TokenEndpoint:
    integration, method, secrets = state.integration, state.token_method, state.stored.secrets
    if integration is None or method is None:
        raise NotFound("The integration of this connection no longer exists.")
    params = state.connection.params
    if state.client is None:  # the end user entered the OAuth client
        client = ClientIdentity(secrets.get("client_id", ""), secrets.get("client_secret"))
        return TokenEndpoint(integration, method.auth, client, params)
    known = {**params, **method.client_values(state.client.client.client_id, state.client.fields)}
    oauth2 = oauth2_of(state.auth)
    if oauth2 is not None:
        oauth_clients.require_host(state.client, integration.name, oauth2, known)
    return TokenEndpoint(integration, method.auth, state.client.client, known)


async def _store(
    installation: Installation, state: CredentialState, grant: RefreshGrant, tokens: TokenSet, lease: Lease
) -> Outcome:
    """Commit the new tokens before any caller receives the tokens.

    Until the commit, only this process has the new tokens. So if the database is unavailable, the process repeats the
    commit until the lease ends.

    If the database connection breaks during a commit, the process does not know if the commit succeeded, and repeats
    the commit. After a successful commit, the repetition is harmless:

    - If the provider issued no new refresh token, the repetition stores the same tokens again.
    - If the provider issued a new refresh token, the row no longer holds the old refresh token. The repetition then
      passes the new tokens to `queue_revocation`. This function does not revoke tokens that a connection still uses.
    """
    while True:
        try:
            return await _commit(installation, state, grant, tokens)
        except Unavailable as error:
            if time.monotonic() > lease.ends:
                raise
            log.warning("refresh_not_stored_yet", connection_id=state.connection.id, code=error.code)
            await asyncio.sleep(installation.timing.poll)


async def _commit(installation: Installation, state: CredentialState, grant: RefreshGrant, tokens: TokenSet) -> Outcome:
    """Store the new tokens if the row still holds the refresh token that this process sent.

    Otherwise, queue the new tokens for revocation. Raises: NotFound; Unavailable.
    """
    async with installation.database.write() as tx:
        now, decision, current = installation.clock(), cast("Decision", Fresh()), None
        with suppress(NotFound):
            current = await read_state(tx, installation, state.connection.key, lock=True)
        if current is None:
            await _revoke_later(tx, installation, state, tokens, "disconnected")
        elif holds_presented(current.refresh_grant, grant):
            current = await _replace_tokens(tx, installation, state, current, tokens)
        else:  # the end user connected again, or another process or an earlier commit stored newer tokens
            await _revoke_later(tx, installation, state, tokens, "refresh_superseded")
            current = await with_oauth_client(tx, installation, current)
            decision = decide(current, now, CredentialRequest())
    if current is None:
        raise NotFound("The connection was deleted during the refresh of its tokens.")
    return current, decision


async def _replace_tokens(
    tx: Transaction, installation: Installation, state: CredentialState, current: CredentialState, tokens: TokenSet
) -> CredentialState:
    """Replace the tokens of the locked row, and set the connection's status."""
    method, now = state.token_method, installation.clock()
    assert method is not None  # noqa: S101 - a state with a grant has a token method
    secrets = merge_tokens(current.stored.secrets, tokens)
    due_at = method.refresh_due_at(secrets, tokens, now)
    metadata = replace(current.stored.token_metadata, refresh_due_at=due_at)
    scopes = tokens.scopes or current.connection.scopes
    saved = replace(current.connection, expires_at=tokens.expires_at, scopes=scopes)
    await connections.replace_tokens(tx, installation.vault, saved, secrets, metadata)
    if saved.status == "needs_reauth" and state.connection.status == "needs_reauth":
        saved = await connections.mark_active(tx, Actor(saved.organization_id, "system"), saved, now)
    elif saved.status == "needs_reauth":
        # During this refresh, another process sent the same refresh token, and the provider refused the token. Some
        # providers then also revoke the new tokens. An immediate refresh shows if the new tokens are still valid.
        await credentials.refresh_now(tx, saved.key, now)
    version = current.stored.version + 1
    stored = replace(current.stored, secrets=secrets, version=version, token_metadata=metadata)
    return replace(state, connection=saved, stored=stored)


async def _revoke_later(
    tx: Transaction, installation: Installation, state: CredentialState, tokens: TokenSet, cause: RevocationCause
) -> None:
    """Queue the new tokens for revocation, instead of storing the tokens in the connection."""
    stored = replace(state.stored, secrets=merge_tokens(state.stored.secrets, tokens))
    unused = connections.revocable_tokens(state.connection, stored)
    vault, catalogs, now = installation.vault, installation.catalogs, installation.clock()
    await leave_to_worker(tx, await queue_revocation(tx, vault, catalogs, unused, cause, now), now)


async def _record_refusal(
    installation: Installation,
    state: CredentialState,
    grant: RefreshGrant,
    refusal: OAuthError,
    request: CredentialRequest,
) -> Outcome:
    """Set the status `needs_reauth` if the row still holds the refused grant. Otherwise, change nothing.

    Return the row's state and the decision.
    """
    key, now = state.connection.key, installation.clock()
    async with installation.database.write() as tx:
        current = await read_state(tx, installation, key, lock=True)
        if current.refresh_grant != grant:
            return await with_oauth_client(tx, installation, current), decide(current, now, request)
        actor = Actor(key.organization_id, "system")
        message = refusal.reason or f"{state.integration_name} no longer accepts this authorization."
        marked = await connections.mark_needs_reauth(tx, actor, current.connection, refusal.code, message, now)
        await credentials.stop_refreshing(tx, key)
    return replace(current, connection=marked), NeedsReauth("refused")


async def _record_failure(
    installation: Installation, state: CredentialState, lease: Lease, error: OAuthError, request: CredentialRequest
) -> Outcome:
    """Keep the tokens, and postpone the next refresh. The error does not show that the provider refused the grant."""
    key, now, failures = state.connection.key, installation.clock(), state.stored.failures
    retry_at = now + _backoff(error, failures)
    async with installation.database.write() as tx:
        recorded = await credentials.record_failure(tx, key, lease.id, retry_at)
        if recorded and failures == 0:  # only the first failure of an outage causes an event
            subject = state.connection.subject
            subject = replace(subject, data={**subject.data, "reason": error.code})
            await events.record(tx, Actor(key.organization_id, "system"), "connection.refresh_failed", now, subject)
    log.info("refresh_failed_temporarily", connection_id=key.connection_id, code=error.code, failures=failures + 1)
    state = replace(state, stored=replace(state.stored, retry_at=retry_at))
    # The request has been sent, so the pause now also applies to a caller that ignores pauses.
    return state, decide(state, now, replace(request, ignore_backoff=False))


def _backoff(error: OAuthError, failures: int) -> timedelta:
    if isinstance(error, InvalidClient):
        return RETRY_CONFIGURATION
    pause = min(_FIRST_BACKOFF * float(2 ** min(failures, 16)), _LONGEST_BACKOFF)
    if isinstance(error, TemporaryFailure) and error.retry_after is not None:
        return max(pause, timedelta(seconds=error.retry_after))
    return pause
