"""Fresh credentials: each pass loads the state, decides (`decision.decide`), and acts on the decision.

Tokens are renewed before they expire: by the worker, whether a caller needs them or not, or by the first caller.
"""

import asyncio
import time
from dataclasses import replace
from datetime import datetime
from typing import Final

import structlog

from one_runtime.auth_types import AUTH_METHODS
from one_runtime.catalog.request import ConnectionValues
from one_runtime.connections import connections, credentials
from one_runtime.connections.connections import Connection
from one_runtime.connections.credentials import ConnectionKey, ProviderUnavailable
from one_runtime.context import Installation
from one_runtime.db.ids import new_id
from one_runtime.errors import Conflict, NotFound, OneRuntimeError, Unavailable
from one_runtime.jobs.worker import PeriodicTask
from one_runtime.tenancy import events
from one_runtime.tenancy.events import Actor
from one_runtime.tokens.decision import (
    RETRY_CONFIGURATION,
    Backoff,
    CredentialRequest,
    Decision,
    Fresh,
    NeedsReauth,
    Renew,
    Schedule,
    UseUntil,
    decide,
)
from one_runtime.tokens.renewal import Lease, renew
from one_runtime.tokens.state import CredentialState, UsableCredential, load_state, read_state, with_oauth_client

BATCH: Final = 200
AT_ONCE: Final = 32
"""Renewals that one run of the worker's task has in flight."""

log = structlog.get_logger()


class ReauthRequired(Conflict):
    """The end user has to connect again: the provider refused the stored credentials."""

    code = "needs_reauth"


async def fresh_credentials(
    installation: Installation, key: ConnectionKey, *, rejected: int | None = None, retry_refused: bool = False
) -> UsableCredential:
    """Return a connection's credentials, renewed if they are due. For the arguments see `CredentialRequest`.

    With `retry_refused`, valid credentials of a connection that needs reauth are returned too.

    Raises: NotFound; ReauthRequired; ProviderUnavailable if they expired and cannot be renewed now; SealBroken.
    """
    state = await load_state(installation, key)
    return await ensure_fresh(installation, state, rejected=rejected, retry_refused=retry_refused)


async def ensure_fresh(
    installation: Installation, state: CredentialState, *, rejected: int | None = None, retry_refused: bool = False
) -> UsableCredential:
    """Do the same for a state that was loaded a moment ago. Raises: as `fresh_credentials`."""
    request = CredentialRequest(rejected, retry_refused)
    if not isinstance(decide(state, installation.clock(), request), Fresh):
        return await _join(installation, state.connection.key, request, state)
    if not retry_refused:
        _require_active(state.connection)
    return state.usable


async def refresh(installation: Installation, key: ConnectionKey) -> UsableCredential:
    """Renew a connection's credentials now, even fresh ones; credentials that cannot be renewed stay as they are.

    Raises: as `fresh_credentials`.
    """
    state = await load_state(installation, key)
    return await _join(installation, key, CredentialRequest(state.stored.version, retry_refused=True), state)


async def read_credentials(installation: Installation, actor: Actor, connection_id: str) -> UsableCredential:
    """Return fresh credentials for an API caller and record the event. OAuth client secrets are left out.

    Raises: as `fresh_credentials`.
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
    """Renew all credentials that are due, and return their number. Several processes may run this at once."""
    seen = set[ConnectionKey]()  # a row that is due again at once must not keep this run from ending
    slots = asyncio.Semaphore(AT_ONCE)

    async def renew_or_postpone(key: ConnectionKey) -> None:
        async with slots:
            await _renew_due(installation, key)

    while True:
        async with installation.database.read() as tx:
            due = [key for key in await credentials.list_due(tx, installation.clock(), batch) if key not in seen]
        await asyncio.gather(*map(renew_or_postpone, due))
        seen.update(due)
        if len(due) < batch:
            return len(seen)


REFRESH: Final[PeriodicTask[Installation]] = PeriodicTask("refresh", 1.0, refresh_due)


async def _renew_due(installation: Installation, key: ConnectionKey) -> None:
    """Renew or postpone: a row that fails must not be due again at once."""
    try:
        await _join(installation, key, CredentialRequest())
    except (ReauthRequired, NotFound):
        pass
    except ProviderUnavailable as error:
        log.info("refresh_postponed", connection_id=key.connection_id, code=error.code)
    except Unavailable:  # the database failed, not this connection: the next run tries again
        raise
    except OneRuntimeError as error:
        log.warning("refresh_failed", connection_id=key.connection_id, code=error.code)
        async with installation.database.write() as tx:
            await credentials.postpone(tx, key, installation.clock() + RETRY_CONFIGURATION)


async def _join(
    installation: Installation, key: ConnectionKey, request: CredentialRequest, loaded: CredentialState | None = None
) -> UsableCredential:
    """Join the renewal of these credentials in this process; start one if none is running.

    `loaded` is the state from a moment ago. The lease is acquired only if the row still has that state.
    """
    flight = (key.connection_id, request.retry_refused)
    usable = await installation.flights.join(flight, lambda: _execute(installation, key, request, loaded))
    if usable.version == request.rejected:  # the flight began for a caller whose version was not rejected
        usable = await installation.flights.join(flight, lambda: _execute(installation, key, request, None))
    return usable


async def _execute(
    installation: Installation, key: ConnectionKey, request: CredentialRequest, state: CredentialState | None
) -> UsableCredential:
    """Decide and act, again and again while another process renews the credentials."""
    timing = installation.timing
    deadline = time.monotonic() + timing.patience
    while True:
        if state is None:
            state = await load_state(installation, key)
        # Before the lease: a process that is paused while it takes the lease must not believe that it holds it.
        started, now = time.monotonic(), installation.clock()
        decision = decide(state, now, request)
        match decision:
            case Fresh(schedule) | UseUntil(_, schedule):
                await _reschedule(installation, key, schedule)
            case NeedsReauth():
                await _record_needs_reauth(installation, state, decision, request)
            case Renew(renewal, usable):
                async with installation.database.read() as tx:
                    state = await with_oauth_client(tx, installation, state)
                lease = Lease(new_id(), started + timing.request, started + timing.lease.total_seconds())
                async with installation.database.write() as tx:
                    acquired = await credentials.acquire_lease(
                        tx, installation.clock, key, state.stored, lease.id, timing.lease
                    )
                if acquired:
                    state, decision = await renew(installation, state, renewal, lease, request)
                elif not usable:
                    if time.monotonic() > deadline:
                        raise ProviderUnavailable("Another server is renewing the tokens. Try again.", 1)
                    await asyncio.sleep(timing.poll)
                    state = None
                    continue
        return _result(state, decision, installation.clock())


def _result(state: CredentialState, decision: Decision, now: datetime) -> UsableCredential:
    """Return the credentials if the decision lets them serve. Raises: ReauthRequired; ProviderUnavailable."""
    match decision:
        case NeedsReauth("refused"):
            _require_active(state.connection)
        case NeedsReauth():
            raise ReauthRequired(f"{_reauth_message(state, decision)} The end user has to connect again.")
        case Backoff(until):
            _require_active(state.connection)
            wait, name = max(1, round((until - now).total_seconds())), state.integration_name
            raise ProviderUnavailable(f"{name} does not renew the tokens at the moment. Try again later.", wait)
        case Renew(_, usable) if not usable:
            raise ProviderUnavailable("The tokens were changed while they were renewed. Try again.", 1)
    _require_active(state.connection)
    return state.usable


def _require_active(connection: Connection) -> None:
    if connection.status == "needs_reauth":
        message = (connection.error or {}).get("message", "")
        raise ReauthRequired(f"The end user has to connect {connection.integration_slug} again. {message}".strip())


def _reauth_message(state: CredentialState, decision: NeedsReauth) -> str:
    if decision.reason == "audience_changed":
        return f"The hosts that {state.integration_name} sends credentials to were changed."
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
    """Mark the connection, if the locked row leads to the same decision. A refusal was recorded when it came."""
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
