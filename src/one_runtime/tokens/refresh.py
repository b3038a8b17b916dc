"""Refresh the tokens of a connection, and record the provider's response (promise P8 of docs/security.md).

The worker refreshes tokens before the tokens expire. If a request needs tokens that are due for a refresh, the server
process of this request refreshes the tokens at once. Before the request to the provider, the process reserves the row
of the credential for a limited time. This reservation is a lease. During the request, the process has no open
transaction.

Other tokens can replace the tokens in the row before the process records the provider's response. For example, the end
user connects again, or the lease ends and another process refreshes the tokens. So two rules apply:

- A process records new tokens or a refusal only if the row still holds the refresh token that the process sent.
- A process records any other error only if the row still has the lease of the process.
"""

import asyncio
import time
from collections.abc import Hashable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Final

from one_runtime.catalog.auth_types import AUTH_TYPES, oauth2_of
from one_runtime.catalog.grants import TokenGrant
from one_runtime.catalog.request import ConnectionValues
from one_runtime.connections import audience_change, connections, credentials, discarding
from one_runtime.connections.credentials import ConnectionKey, ProviderUnavailable
from one_runtime.context import Installation
from one_runtime.egress.errors import TargetRefused
from one_runtime.encryption.vault import KeyNotInRing
from one_runtime.errors import Conflict, NotFound, OneRuntimeError, Unavailable
from one_runtime.integrations import oauth_clients
from one_runtime.jobs.liveness import UnconfirmedCopy
from one_runtime.oauth.client import ClientIdentity
from one_runtime.oauth.errors import InvalidClient, InvalidGrant, OAuthError
from one_runtime.telemetry import metrics
from one_runtime.telemetry.logger import Logger
from one_runtime.tenancy import events
from one_runtime.tenancy.event_types import EventType
from one_runtime.tenancy.events import Actor
from one_runtime.tokens.decision import (
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
from one_runtime.tokens.host import record_error, record_slowness, record_success
from one_runtime.tokens.recording import (
    Lease,
    Outcome,
    client_refused_message,
    record_failure,
    record_refusal,
    store_tokens,
)
from one_runtime.tokens.state import (
    CredentialState,
    UsableCredential,
    load_state,
    read_state,
    with_oauth_client,
)

_TAKES_TOO_LONG: Final = "The refresh of the tokens takes too long. Try again later."

log = Logger()


class ReauthRequired(Conflict):
    """The end user has to connect again. One Runtime can no longer use the stored credentials."""

    code = "needs_reauth"
    documentation = (
        "One Runtime can no longer use the stored credential.",
        "The end user has to connect again.",
    )


class _RefreshRunning(ProviderUnavailable):
    """Another process, or an earlier refresh of this process, is refreshing the credentials.

    `has_waited`: True if the refresh that raises this error has waited for the other refresh.
    """

    def __init__(self, *, has_waited: bool) -> None:
        super().__init__("The refresh of the tokens is still in progress. Try again.", 1)
        self.has_waited = has_waited


class _ProviderSlow(ProviderUnavailable):
    """The provider has not answered within the time of a caller. The request continues."""

    def __init__(self, integration_name: str) -> None:
        super().__init__(f"{integration_name} has not answered yet. The refresh of the tokens continues. Try again.", 5)


class ClientRefused(Conflict):
    """The provider refuses the OAuth client of the connection, so One Runtime cannot refresh the tokens.

    The organization or the operator has to correct the client. The end user's authorization can still be valid.
    """

    code = "client_refused"
    documentation = (
        "The provider refuses the OAuth client of the connection, so One Runtime cannot refresh the tokens.",
        (
            "`detail` says who has to [register the client again](connections.md#a-refused-oauth-client). The end user "
            "does not have to connect again."
        ),
    )


async def fresh_credentials(
    installation: Installation, key: ConnectionKey, *, rejected: int | None = None, retry_refused: bool = False
) -> UsableCredential:
    """Return a connection's credentials. If a refresh is due, refresh the credentials first.

    `CredentialRequest` explains the arguments.

    Raises:
        NotFound, ClientRefused, TargetRefused, OAuthClientMissing, HostNotRegistered: see the classes.
        ReauthRequired: the end user has to connect again. With `retry_refused`, the function first tries a refresh.
        SealBroken: the stored credentials cannot be decrypted.
        KeyNotInRing: the credentials need a refresh, but this process could not encrypt new tokens.
        ProviderUnavailable: the credentials need a refresh, and the refresh is not possible now.
        IntegrationDisabled: the operator has disabled the integration.
        UnconfirmedCopy: the credentials need a refresh, but the operator has not confirmed this copy of the database.
        Unavailable: the database is not available.
    """
    state = await load_state(installation, key)
    return await ensure_fresh(installation, state, rejected=rejected, retry_refused=retry_refused)


async def ensure_fresh(
    installation: Installation, state: CredentialState, *, rejected: int | None = None, retry_refused: bool = False
) -> UsableCredential:
    """Do the same as `fresh_credentials`, with a state that the caller has just loaded."""
    request = CredentialRequest(rejected, retry_refused)
    if not isinstance(decide(state, installation.clock(), request), Fresh):
        return await _join(installation, state.connection.key, request, state)
    if not retry_refused:
        _require_active(state)
    return state.usable


async def held_credentials(installation: Installation, key: ConnectionKey) -> UsableCredential:
    """Return the stored credentials without a refresh, even if the credentials have expired.

    Raises:
        NotFound, OAuthClientMissing, HostNotRegistered, IntegrationDisabled, SealBroken: see the classes.
        ReauthRequired: the integration now sends credentials to other hosts, or in another way (promise P7).
    """
    state = await load_state(installation, key)
    if state.audience_changed:
        raise ReauthRequired(_reauth_message(state, NeedsReauth("audience_changed")))
    return state.usable


async def refresh(installation: Installation, key: ConnectionKey) -> UsableCredential:
    """Refresh a connection's credentials now, even if no refresh is due. Ignore the pause after a failed refresh.

    For credentials that cannot be refreshed, such as an API key, return the stored credentials.

    Raises: the exceptions of `fresh_credentials`.
    """
    state = await load_state(installation, key)
    request = CredentialRequest(state.stored.version, retry_refused=True, ignore_backoff=True)
    return await _join(installation, key, request, state)


async def read_credentials(installation: Installation, actor: Actor, connection_id: str) -> UsableCredential:
    """Return fresh credentials for an API caller, and record the event `connection.credentials_read`.

    The result contains no refresh token and no client secret.

    Raises: the exceptions of `fresh_credentials`.
    """
    async with installation.database.read() as tx:
        connection = await connections.get(tx, actor.organization_id, connection_id)
    usable = await fresh_credentials(installation, connection.key)
    async with installation.database.write() as tx:
        now = installation.clock()
        await events.record(tx, actor, EventType.CONNECTION_CREDENTIALS_READ, now, usable.connection.subject)
    exposed = AUTH_TYPES[usable.connection.auth_type].exposes(usable.values.credentials)
    return replace(usable, values=ConnectionValues(usable.values.params, exposed))


async def refresh_in_background(installation: Installation, key: ConnectionKey) -> None:
    """Refresh a connection's credentials, if a refresh is due and no other process is refreshing the credentials.

    Raises: the exceptions of `fresh_credentials`.
    """
    with suppress(_RefreshRunning):
        await _join(installation, key, CredentialRequest(waits=False))


async def _join(
    installation: Installation, key: ConnectionKey, request: CredentialRequest, loaded: CredentialState | None = None
) -> UsableCredential:
    """Return the result of a refresh. Join the running refresh of this connection in this process, or start a refresh.

    `loaded`: the state that the caller has just loaded, or None.

    Raises: Unavailable if the refresh takes too long. The refresh continues after this error.
    """
    flight = (key.connection_id, request.retry_refused, request.ignore_backoff)
    timing = installation.timing
    try:
        async with asyncio.timeout(timing.lease.total_seconds() + timing.patience):
            try:
                usable = await installation.flights.join(flight, lambda: _execute(installation, key, request, loaded))
            except _RefreshRunning as running:
                # The worker's refresh never waits for another refresh. If this caller joined it and can wait, start a
                # refresh that waits.
                if running.has_waited or not request.waits:
                    raise
                usable = await installation.flights.join(flight, lambda: _execute(installation, key, request, None))
            # A joined refresh can return the version that the caller rejected. Then a second refresh is necessary.
            if usable.version == request.rejected:
                usable = await installation.flights.join(flight, lambda: _execute(installation, key, request, None))
    except TimeoutError as error:  # the refresh continues, and can still store the new tokens
        raise Unavailable(_TAKES_TOO_LONG) from error
    return usable


async def _execute(
    installation: Installation, key: ConnectionKey, request: CredentialRequest, state: CredentialState | None
) -> UsableCredential:
    """Call `decide`, and execute the decision.

    If the decision requires a refresh, but another refresh is running, wait and call `decide` again.
    """
    deadline = time.monotonic() + installation.timing.patience
    while True:
        if state is None:
            state = await load_state(installation, key)
        now = installation.clock()
        decision = decide(state, now, request)
        match decision:
            case Fresh(schedule) | UseUntil(_, schedule):
                await _reschedule(installation, key, schedule)
            case NeedsReauth():
                await _record_needs_reauth(installation, state, decision, request)
            case Refresh(usable=False) if not installation.liveness.is_live:
                raise UnconfirmedCopy
            case Refresh() if installation.liveness.is_live:
                outcome = await _refresh_in_time(installation, state, decision, request)
                if outcome is not None:
                    state, decision = outcome
                elif not decision.usable:
                    if not request.waits or time.monotonic() > deadline:
                        raise _RefreshRunning(has_waited=request.waits)
                    await _wait_for_running(installation, key, deadline)
                    state = None
                    continue
        return _result(state, decision, installation.clock())


async def _refresh_in_time(
    installation: Installation, state: CredentialState, decision: Refresh, request: CredentialRequest
) -> Outcome | None:
    """Ask the provider for new tokens, and record the response.

    Return None if another refresh of the connection is running. If the provider does not answer within `Timing.answer`,
    the request continues, and this process records the response later. In this case, also return None if callers can
    use the present credentials.

    Raises: the exceptions of `_acquire` and `_ask_provider`; _ProviderSlow; Unavailable.
    """
    flights, flight = installation.flights, _exchange_of(state.connection.key)
    if flights.find(flight) is not None:  # this process can hold new tokens that it has not stored yet
        return None
    async with installation.database.read() as tx:
        state = await with_oauth_client(tx, installation, state)
    lease = await _acquire(installation, state, usable=decision.usable)
    if lease is None:
        return None
    answered = asyncio.Event()
    exchange = flights.start(
        flight, lambda: _ask_provider(installation, state, decision.grant, lease, request, answered)
    )
    finished, _ = await asyncio.wait({exchange}, timeout=lease.answer_until - time.monotonic())
    if finished:
        return exchange.result()
    exchange.add_done_callback(partial(_log_late_failure, state.connection.id))
    if not answered.is_set():
        record_slowness(installation, state.connection)
    if decision.usable:
        return None
    if answered.is_set():  # the new tokens cannot be stored now
        raise Unavailable(_TAKES_TOO_LONG)
    raise _ProviderSlow(state.integration_name)


def _exchange_of(key: ConnectionKey) -> Hashable:
    """Return the key of the running request to the provider in `Installation.flights`."""
    return ("exchange", key.connection_id)


def _log_late_failure(connection_id: str, exchange: "asyncio.Task[Outcome]") -> None:
    """Log the error of a request that no caller waits for."""
    error = None if exchange.cancelled() else exchange.exception()
    if error is not None:
        code = error.code if isinstance(error, OneRuntimeError) else type(error).__name__
        log.warning("late_refresh_failed", connection_id=connection_id, code=code)


async def _wait_for_running(installation: Installation, key: ConnectionKey, deadline: float) -> None:
    """Wait for the running request of this process, or a moment for another process."""
    exchange = installation.flights.find(_exchange_of(key))
    if exchange is None:
        await asyncio.sleep(installation.timing.poll)
    else:
        await asyncio.wait({exchange}, timeout=max(deadline - time.monotonic(), 0))


async def _acquire(installation: Installation, state: CredentialState, *, usable: bool) -> Lease | None:
    """Acquire the lease. Return None if another process has a lease, or has changed the credentials.

    `usable`: True if the caller can use the present credentials. In this case, also return None if this process cannot
    encrypt new tokens.

    Raises: KeyNotInRing if this process cannot encrypt new tokens, and the credentials are not usable.
    """
    vault, clock, timing = installation.vault, installation.clock, installation.timing
    # This process counts the duration of the lease from `started`. The database counts the duration from the later time
    # at which it grants the lease. So the process stops using the lease before another process can acquire a lease.
    started = time.monotonic()
    try:
        async with installation.database.write() as tx:
            lease_id = await credentials.acquire_lease(
                tx, vault, clock, state.connection.key, state.stored, timing.lease
            )
    except KeyNotInRing:
        if not usable:
            raise
        return None
    if lease_id is None:
        return None
    return Lease(lease_id, started + timing.answer, started + timing.request)


def _result(state: CredentialState, decision: Decision, now: datetime) -> UsableCredential:
    """Return the credentials if the decision allows the use of the credentials.

    Raises: ReauthRequired; ClientRefused; TargetRefused; ProviderUnavailable.
    """
    error = state.connection.error or {}
    match decision:
        case NeedsReauth("refused"):
            _require_active(state)
        case NeedsReauth():
            raise _reauth_required(state, _reauth_message(state, decision))
        case Backoff(client_refused=True):
            _require_active(state)
            raise ClientRefused(error.get("message") or client_refused_message(state))
        case Backoff() if error.get("code") == TargetRefused.code:
            _require_active(state)
            raise TargetRefused(error["message"])
        case Backoff(until):
            _require_active(state)
            wait, name = max(1, round((until - now).total_seconds())), state.integration_name
            raise ProviderUnavailable(f"{name} does not refresh the tokens at the moment. Try again later.", wait)
        case Refresh(_, usable) if not usable:
            raise ProviderUnavailable("The tokens changed during their refresh. Try again.", 1)
    _require_active(state)
    return state.usable


def _require_active(state: CredentialState) -> None:
    if state.connection.status == "needs_reauth":
        raise _reauth_required(state, (state.connection.error or {}).get("message", ""))


def _reauth_required(state: CredentialState, reason: str) -> ReauthRequired:
    advice = f'POST /v1/hosted-connection-sessions with "integration_slug": "{state.connection.integration_slug}".'
    because = f" Reason: {reason}" if reason else ""
    return ReauthRequired(f"The end user has to connect {state.integration_name} again: {advice}{because}")


def _reauth_message(state: CredentialState, decision: NeedsReauth) -> str:
    error = state.connection.error or {}
    if error.get("code") in discarding.CODES:
        return error["message"]
    if decision.reason == "audience_changed":
        return audience_change.error_message(state.integration_name)
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
    """Set the status `needs_reauth`, if `decide` returns the same decision for the locked row.

    Do nothing for the reason `refused`, because the connection already has this status.
    """
    if decision.reason == "refused":
        return
    key, now, message = state.connection.key, installation.clock(), _reauth_message(state, decision)
    async with installation.database.write() as tx:
        current = await read_state(tx, installation, key, lock=True)
        if decide(current, now, request) != decision:
            return
        if decision.reason == "audience_changed":
            await audience_change.invalidate(tx, current.connection, message, now)
        else:
            actor = Actor(key.organization_id, "system")
            await connections.mark_needs_reauth(tx, actor, current.connection, "token_expired", message, now)
            await credentials.stop_refreshing(tx, key)


async def _ask_provider(
    installation: Installation,
    state: CredentialState,
    grant: TokenGrant,
    lease: Lease,
    request: CredentialRequest,
    answered: asyncio.Event,
) -> Outcome:
    """Ask the provider for new tokens, and record the response. The caller holds the lease.

    Return the new state and the new decision. If the new tokens are stored, the decision is `Fresh`.

    `answered`: set as soon as the provider has answered, or the request has failed.

    Raises:
        NotFound, Unavailable: see the classes.
        OneRuntimeError: the request cannot be built.
    """
    try:
        endpoint = _token_endpoint(state)
        egress = installation.egress.for_tenant(state.connection.organization_id)
        try:
            tokens = await endpoint.ask(egress, installation.clock, grant, until=lease.ask_until)
        finally:
            answered.set()
    except OneRuntimeError:  # the request could not be built
        async with installation.database.write() as tx:
            await credentials.release_lease(tx, state.connection.key, lease.id)
        raise
    except OAuthError as error:
        record_error(installation, state.connection, error)
        # The owner can correct a registered client, so the end user does not have to connect again. The owner cannot
        # correct a retired client (a deleted or replaced client), or a client that the end user entered. For these
        # clients, `invalid_client` means that the end user has to connect again.
        registered = state.client is not None and state.client.retired_at is None
        if isinstance(error, InvalidGrant) or (isinstance(error, InvalidClient) and not registered):
            return await record_refusal(installation, state, grant, error, request)
        return await record_failure(installation, state, lease, error, request)
    record_success(installation, state.connection, after_failure=state.stored.failures > 0)
    with metrics.token_commit():  # measures how long the new tokens exist only in memory
        return await store_tokens(installation, state, grant, tokens)


def _token_endpoint(state: CredentialState) -> TokenEndpoint:
    integration, auth = state.integration, state.token_auth
    if integration is None or auth is None:
        raise NotFound("The integration of this connection no longer exists.")
    params = auth.complete(state.connection.params)
    if state.client is None:  # the end user entered the OAuth client
        return TokenEndpoint(integration, auth, ClientIdentity.entered(state.stored.secrets), params)
    known = {**params, **auth.client_values(state.client.client.client_id, state.client.fields)}
    oauth2 = oauth2_of(state.auth)
    if oauth2 is not None:
        oauth_clients.require_host(state.client, integration.name, oauth2, known)
    return TokenEndpoint(integration, auth, state.client.client, known)
