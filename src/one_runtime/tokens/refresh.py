"""`fresh_credentials()`: the one way to a usable credential. Tokens are renewed before they die, once, and never lost.

The provider is asked by whoever holds the lease on the row, in one process of all (P8). No transaction is open
meanwhile. What it answers counts if the row still holds what was presented, whatever else changed: so neither a lost
lease nor a new consent in between loses a token or condemns a good one.
"""

import asyncio
import time
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

import structlog

from one_runtime.catalog.oauth2 import ClientCredentialsAuth, OAuth2Auth
from one_runtime.connections import connections, credentials
from one_runtime.connections.connections import Connection, RefreshedMetadata, invalidate_for_audience_change
from one_runtime.connections.credentials import ConnectionKey, ProviderUnavailable
from one_runtime.connections.pending_revocations import RevocationCause, leave_to_worker, queue_revocation
from one_runtime.context import Installation
from one_runtime.db.engine import Transaction
from one_runtime.db.ids import new_id
from one_runtime.errors import Conflict, NotFound, OneRuntimeError, Unavailable
from one_runtime.integrations import oauth_clients
from one_runtime.jobs.worker import PeriodicTask
from one_runtime.oauth.client import ClientIdentity
from one_runtime.oauth.errors import InvalidClient, InvalidGrant, OAuthError, TemporaryFailure
from one_runtime.oauth.token_response import Tokens
from one_runtime.telemetry import metrics
from one_runtime.tenancy import events
from one_runtime.tenancy.events import Actor
from one_runtime.tokens.endpoint import TokenEndpoint
from one_runtime.tokens.state import (
    CredentialState,
    Renewal,
    UsableCredential,
    holds_presented,
    load_state,
    merge_tokens,
    read_state,
    refresh_due_at,
    with_oauth_client,
)

BATCH: Final = 200
AT_ONCE: Final = 32
"""Renewals of one turn that are under way at the same time."""
_FIRST_PAUSE: Final = timedelta(seconds=5)
_LONGEST_PAUSE: Final = timedelta(minutes=10)
_OUR_FAULT: Final = timedelta(minutes=10)
"""Until something that only we, the operator or the organization can mend is tried again."""

log = structlog.get_logger()


class ReauthRequired(Conflict):
    """The end user has to connect again: the provider has refused what we hold."""

    code = "needs_reauth"


@dataclass(frozen=True, slots=True)
class _Lease:
    """The right to renew. Both moments are of the monotonic clock: until `ask_until` the provider may be asked, and
    until `ends` nobody else does."""

    id: str
    ask_until: float
    ends: float


async def fresh_credentials(
    installation: Installation, key: ConnectionKey, *, rejected: int | None = None, refused_too: bool = False
) -> UsableCredential:
    """A connection's credentials, renewed where it is time. `rejected`: the version that the provider did not take; any
    newer one will do. `refused_too`: also where the provider has refused them, for whoever asks it once more.

    Raises: NotFound; ReauthRequired; ProviderUnavailable where they have died and the provider gives no new ones;
    SealBroken.
    """
    return await ensure_fresh(
        installation, await load_state(installation, key), rejected=rejected, refused_too=refused_too
    )


async def ensure_fresh(
    installation: Installation, state: CredentialState, *, rejected: int | None = None, refused_too: bool = False
) -> UsableCredential:
    """The same, of credentials that were looked at a moment ago. Raises: as `fresh_credentials`."""
    if state.moved:
        raise await _moved(installation, state)
    if not state.is_stale(installation.clock(), rejected):
        if not refused_too:
            _require_active(state.connection)
        return state.usable
    return await _join(installation, state.connection.key, rejected, refused_too=refused_too)


async def _join(
    installation: Installation, key: ConnectionKey, rejected: int | None, *, refused_too: bool = False
) -> UsableCredential:
    async def renewed() -> UsableCredential:
        return await _renewed(installation, key, rejected, refused_too=refused_too)

    flight = (key.connection_id, refused_too)
    usable = await installation.flights.join(flight, renewed)
    if usable.version == rejected:  # that flight was another's, who had nothing against these
        usable = await installation.flights.join(flight, renewed)
    return usable


async def refresh(installation: Installation, key: ConnectionKey) -> UsableCredential:
    """Renew a connection's credentials now, also where they are fresh; those that cannot be renewed stay.

    Raises: as `fresh_credentials`.
    """
    state = await load_state(installation, key)
    return await _join(installation, key, state.stored.version, refused_too=True)


async def refresh_due(installation: Installation) -> int:
    """Renew what is due, whether anybody uses it or not; how many. Safe to run in several processes at once."""
    taken: set[ConnectionKey] = (
        set()
    )  # none twice: one that comes again at once must not keep this from coming to its end
    turn = asyncio.Semaphore(AT_ONCE)

    async def one(key: ConnectionKey) -> None:
        async with turn:
            await _renew_due(installation, key)

    while True:
        async with installation.database.read() as tx:
            due = [each for each in await credentials.list_due(tx, installation.clock(), BATCH) if each not in taken]
        await asyncio.gather(*map(one, due))
        taken.update(due)
        if len(due) < BATCH:
            return len(taken)


REFRESH: Final[PeriodicTask[Installation]] = PeriodicTask("refresh", 1.0, refresh_due)


async def _renew_due(installation: Installation, key: ConnectionKey) -> None:
    """Whatever happens to one, it is settled or put off, so that it does not come again at once."""
    try:
        await _join(installation, key, None)
    except (ReauthRequired, NotFound):
        pass
    except ProviderUnavailable as outage:
        log.info("refresh_postponed", connection_id=key.connection_id, code=outage.code)
    except Unavailable:  # the database's trouble is not this connection's: the next turn sees to it
        raise
    except OneRuntimeError as error:
        log.warning("refresh_failed", connection_id=key.connection_id, code=error.code)
        async with installation.database.write() as tx:
            await credentials.postpone(tx, key, installation.clock() + _OUR_FAULT)


def _require_active(connection: Connection) -> None:
    if connection.status == "needs_reauth":
        message = (connection.error or {}).get("message", "")
        raise ReauthRequired(f"The end user has to connect {connection.integration_slug} again. {message}".strip())


async def _renewed(
    installation: Installation, key: ConnectionKey, rejected: int | None, *, refused_too: bool
) -> UsableCredential:
    """Renew, or wait for another process that does."""
    timing = installation.timing
    patience = time.monotonic() + timing.patience
    while True:
        async with installation.database.read() as tx:
            state = await with_oauth_client(tx, installation, await read_state(tx, installation, key))
        begun, now = time.monotonic(), installation.clock()
        if state.moved:
            raise await _moved(installation, state)
        if not state.is_stale(now, rejected):
            await _settle(installation, state, now)
            _require_active(state.connection)
            return state.usable
        if state.given_up and not refused_too:
            _require_active(state.connection)
        renewal = state.renewal
        if renewal is None:
            return await _as_it_is(installation, state, now)
        if state.stored.retry_at is not None and now < state.stored.retry_at:
            return _while_in_trouble(state, now, rejected)
        # Counted from before the lease: who was paused while taking it may have lost it by now.
        lease = _Lease(new_id(), begun + timing.request, begun + timing.lease.total_seconds())
        async with installation.database.write() as tx:
            leased = await credentials.acquire_lease(tx, key, state.stored, lease.id, now, now + timing.lease)
        if leased:
            return await _ask(installation, state, renewal, lease, rejected)
        if state.lives(now) and rejected is None:  # another renews it, and this one serves for a while yet
            _require_active(state.connection)
            return state.usable
        if time.monotonic() > patience:
            raise ProviderUnavailable("Another server is renewing the tokens and has not finished. Try again.", 1)
        await asyncio.sleep(timing.poll)


async def _moved(installation: Installation, state: CredentialState) -> ReauthRequired:
    """The integration sends credentials elsewhere by now. These were not given for there, and go nowhere."""
    message = f"Where {_name(state)} sends credentials was changed."
    async with installation.database.write() as tx:
        current = await read_state(tx, installation, state.connection.key, lock=True)
        if current.moved:
            await invalidate_for_audience_change(tx, current.connection, message, installation.clock())
    return ReauthRequired(f"{message} The end user has to connect again.")


async def _settle(installation: Installation, state: CredentialState, now: datetime) -> None:
    """A row that is due, and is no tokens: an older version stored a key over them, or the entry has gone for now."""
    if isinstance(state.auth, OAuth2Auth | ClientCredentialsAuth) or state.stored.token_metadata.refresh_due_at is None:
        return
    async with installation.database.write() as tx:
        if state.auth is None:
            await credentials.postpone(tx, state.connection.key, now + _OUR_FAULT)
        else:
            await credentials.stop_refreshing(tx, state.connection.key)


async def _as_it_is(installation: Installation, state: CredentialState, now: datetime) -> UsableCredential:
    """There is no way to renew these: they serve until they have died."""
    if state.lives(now):
        await _postpone_end(installation, state, now)
        _require_active(state.connection)
        return state.usable
    message = "The access token has expired, and the provider gave nothing to renew it with."
    async with installation.database.write() as tx:
        current = await read_state(tx, installation, state.connection.key, lock=True)
        if current.stored.version == state.stored.version:
            actor = Actor(state.connection.organization_id, "system")
            await connections.mark_needs_reauth(tx, actor, current.connection, "token_expired", message, now)
            await credentials.stop_refreshing(tx, state.connection.key)
    raise ReauthRequired(f"{message} The end user has to connect again.")


async def _postpone_end(installation: Installation, state: CredentialState, now: datetime) -> None:
    """These are due, as the entry once said how to renew them: not before they have died."""
    due_at, retry_at = state.stored.token_metadata.refresh_due_at, state.stored.retry_at
    if due_at is not None and due_at <= now and (retry_at is None or retry_at <= now):
        async with installation.database.write() as tx:
            await credentials.postpone(tx, state.connection.key, state.connection.expires_at or now + _OUR_FAULT)


def _while_in_trouble(state: CredentialState, now: datetime, rejected: int | None) -> UsableCredential:
    if state.lives(now) and state.stored.version != rejected:
        _require_active(state.connection)
        return state.usable
    wait = max(1, round((state.stored.retry_at - now).total_seconds())) if state.stored.retry_at else 1
    _require_active(state.connection)
    raise ProviderUnavailable(f"{_name(state)} does not renew the tokens at the moment. Try again.", wait)


def _name(state: CredentialState) -> str:
    return state.integration.name if state.integration is not None else state.connection.integration_slug


async def _ask(
    installation: Installation, state: CredentialState, renewal: Renewal, lease: _Lease, rejected: int | None
) -> UsableCredential:
    """Ask the provider, holding the lease, and keep what it says."""
    try:
        endpoint = _endpoint(state)
        tokens = await endpoint.ask(installation.egress, installation.clock, renewal, until=lease.ask_until)
    except OneRuntimeError:  # there is no way to ask
        async with installation.database.write() as tx:
            await credentials.release_lease(tx, state.connection.key, lease.id)
        raise
    except (InvalidGrant, InvalidClient) as refusal:
        # The customer's own client is theirs to mend; a registered one is not the end user's.
        if isinstance(refusal, InvalidClient) and state.client is not None:
            return await _troubled(installation, state, lease.id, refusal, rejected)
        return await _refused(installation, state, renewal, refusal, rejected)
    except OAuthError as trouble:
        return await _troubled(installation, state, lease.id, trouble, rejected)
    with metrics.token_commit():  # until they are committed, a crash loses them
        return await _store(installation, state, renewal, tokens, lease)


def _endpoint(state: CredentialState) -> TokenEndpoint:
    """Raises: HostNotRegistered, OAuthClientMissing, InvalidInput."""
    integration, auth, secrets = state.integration, state.auth, state.stored.secrets
    if integration is None or not isinstance(auth, OAuth2Auth | ClientCredentialsAuth):
        raise NotFound("The integration of this connection has gone.")
    params = state.connection.params
    if state.client is None:  # the customer's own
        client = ClientIdentity(secrets.get("client_id", ""), secrets.get("client_secret"))
        return TokenEndpoint(integration, auth, client, params)
    known = {**params, **(state.client.fields_of(auth) if isinstance(auth, OAuth2Auth) else {})}
    if isinstance(auth, OAuth2Auth):
        oauth_clients.require_host(state.client, integration.name, auth, known)
    return TokenEndpoint(integration, auth, state.client.client, known)


async def _store(
    installation: Installation, asked: CredentialState, presented: Renewal, tokens: Tokens, lease: _Lease
) -> UsableCredential:
    """Keep the new tokens before anybody uses them. They are nowhere else, so a database that is away or busy is asked
    again for as long as nobody else may renew. A commit of which nobody knows whether it was one is met as such."""
    while True:
        try:
            return await _commit(installation, asked, presented, tokens)
        except Unavailable as error:
            if time.monotonic() > lease.ends:
                raise
            log.warning("refresh_not_stored_yet", connection_id=asked.connection.id, code=error.code)
            await asyncio.sleep(installation.timing.poll)


async def _commit(
    installation: Installation, asked: CredentialState, presented: Renewal, tokens: Tokens
) -> UsableCredential:
    """Store the new tokens if the row still holds what was presented. Raises: NotFound; ReauthRequired; Unavailable."""
    key, auth = asked.connection.key, asked.auth
    assert isinstance(auth, OAuth2Auth | ClientCredentialsAuth)  # noqa: S101 - they were asked for
    async with installation.database.write() as tx:
        now = installation.clock()
        try:
            current = await read_state(tx, installation, key, lock=True)
        except NotFound:
            current = None
        if current is None or not holds_presented(current.renewal, presented):
            await _superseded(tx, installation, current, asked, tokens)
            current = await with_oauth_client(tx, installation, current) if current is not None else None
        else:
            secrets = merge_tokens(current.stored.secrets, tokens)
            grant = replace(current.stored.token_metadata, refresh_due_at=refresh_due_at(auth, secrets, tokens, now))
            renewed = RefreshedMetadata(tokens.expires_at, tokens.scopes, grant)
            saved = await connections.replace_tokens(tx, installation.vault, current.connection, secrets, renewed)
            if current.connection.status == "needs_reauth":
                saved = await _after_refusal(tx, asked, saved, now)
            held = replace(current.stored, secrets=secrets, version=current.stored.version + 1, token_metadata=grant)
            current = replace(asked, connection=saved, stored=held)
    if current is None:
        raise NotFound("The connection was deleted while its tokens were renewed.")
    _require_active(current.connection)
    return current.usable


async def _after_refusal(tx: Transaction, asked: CredentialState, saved: Connection, now: datetime) -> Connection:
    """These were granted, and something was refused: before, which a grant now makes good; or meanwhile, to another who
    presented the same. Then a provider that detects reuse has revoked these too, so they are tried at once."""
    if asked.connection.status == "needs_reauth":
        return await connections.mark_active(tx, Actor(saved.organization_id, "system"), saved, now)
    await credentials.refresh_now(tx, saved.key, now)
    return saved


async def _superseded(
    tx: Transaction, installation: Installation, current: CredentialState | None, asked: CredentialState, tokens: Tokens
) -> None:
    """Revoke new tokens whose connection was deleted or connected again during the refresh."""
    stored = replace(asked.stored, secrets=merge_tokens(asked.stored.secrets, tokens))
    unused = connections.revocable_tokens(asked.connection, stored)
    cause: RevocationCause = "disconnected" if current is None else "refresh_superseded"
    vault, catalogs, now = installation.vault, installation.catalogs, installation.clock()
    await leave_to_worker(tx, await queue_revocation(tx, vault, catalogs, unused, cause, now), now)


async def _refused(
    installation: Installation, asked: CredentialState, presented: Renewal, refusal: OAuthError, rejected: int | None
) -> UsableCredential:
    """The provider's definite no counts only if the row still holds what was presented."""
    key, now = asked.connection.key, installation.clock()
    async with installation.database.write() as tx:
        current = await with_oauth_client(tx, installation, await read_state(tx, installation, key, lock=True))
        counts = current.renewal == presented
        if counts:
            actor = Actor(key.organization_id, "system")
            message = refusal.reason or f"{_name(asked)} no longer accepts this authorization."
            await connections.mark_needs_reauth(tx, actor, current.connection, refusal.code, message, now)
            await credentials.stop_refreshing(tx, key)
    if counts:
        raise ReauthRequired(f"{_name(asked)} no longer accepts this authorization. The end user has to connect again.")
    if current.is_stale(now, rejected):
        raise ProviderUnavailable("The tokens were changed while they were renewed. Try again.", 1)
    _require_active(current.connection)
    return current.usable


async def _troubled(
    installation: Installation, asked: CredentialState, lease: str, trouble: OAuthError, rejected: int | None
) -> UsableCredential:
    """Nothing is known: keep what there is, and wait before the next try."""
    key, now = asked.connection.key, installation.clock()
    wait = min(_FIRST_PAUSE * 2 ** min(asked.stored.failures, 16), _LONGEST_PAUSE)
    if isinstance(trouble, InvalidClient):
        wait = _OUR_FAULT
    if isinstance(trouble, TemporaryFailure) and trouble.retry_after is not None:
        wait = max(wait, timedelta(seconds=trouble.retry_after))
    async with installation.database.write() as tx:
        noted = await credentials.record_failure(tx, key, lease, now + wait)
        if noted and asked.stored.failures == 0:  # one event for a time of trouble, not one for each try
            subject = asked.connection.subject
            told = replace(subject, data={**subject.data, "reason": trouble.code})
            await events.record(tx, Actor(key.organization_id, "system"), "connection.refresh_failed", now, told)
    held = replace(asked.stored, retry_at=now + wait)
    log.info("refresh_troubled", connection_id=key.connection_id, code=trouble.code, failures=held.failures + 1)
    return _while_in_trouble(replace(asked, stored=held), now, rejected)
