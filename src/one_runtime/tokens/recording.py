"""Record the provider's response to a refresh: new tokens, a refusal of the grant, or another failure.

The docstring of the module `refresh` says which responses a process may record.
"""

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, TypeAlias, cast

from one_runtime.catalog.grants import TokenGrant
from one_runtime.connections import connections, credentials
from one_runtime.connections.connections import Connection
from one_runtime.connections.credentials import CredentialsRefused
from one_runtime.connections.pending_revocations import RevocationCause, leave_to_worker, queue_revocation
from one_runtime.context import Installation
from one_runtime.db.engine import Transaction
from one_runtime.encryption.vault import KeyNotInRing
from one_runtime.errors import NotFound, Unavailable
from one_runtime.explanations.stored_errors import error_note
from one_runtime.jobs.recheck_queue import RecheckRequest
from one_runtime.jobs.token_hosts import jittered
from one_runtime.oauth.errors import EndpointTargetRefused, InvalidClient, OAuthError, TemporaryFailure
from one_runtime.oauth.token_response import TokenSet
from one_runtime.telemetry.logger import Logger
from one_runtime.tenancy import events
from one_runtime.tenancy.event_types import EventType
from one_runtime.tenancy.events import Actor
from one_runtime.tenancy.organizations import INSTANCE
from one_runtime.tokens.decision import (
    RETRIES_OF_PRESUMED,
    RETRY_CONFIGURATION,
    RETRY_PRESUMED,
    CredentialRequest,
    Decision,
    Fresh,
    NeedsReauth,
    Verdict,
    count_refusal,
    decide,
    presumes_refusal,
)
from one_runtime.tokens.state import (
    CredentialState,
    UsableCredential,
    holds_presented,
    merge_tokens,
    read_state,
    with_oauth_client,
)

log = Logger()

_LONGEST_ATTEMPT: Final = 30.0
"""Maximum number of seconds that one attempt to store new tokens counts of `Timing.store`."""
_FIRST_BACKOFF: Final = timedelta(seconds=10)  # at least 5 seconds after `jittered`
LONGEST_BACKOFF: Final = timedelta(minutes=10)
"""Longest pause after failed refreshes, if the provider requests no longer pause."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The right of this process to refresh the tokens of one connection.

    `answer_until`: the time until which a caller waits for the provider. `ask_until`: the deadline of the request to
    the provider. Both are values of `time.monotonic`.
    """

    id: str
    answer_until: float
    ask_until: float


Outcome: TypeAlias = tuple[CredentialState, Decision]


async def store_tokens(
    installation: Installation, state: CredentialState, grant: TokenGrant, tokens: TokenSet
) -> Outcome:
    """Commit the new tokens before any caller receives the tokens.

    Until the commit, only this process has the new tokens. So the process repeats a failed commit for the time
    `Timing.store`, even after the end of the lease. A commit fails if the database is unavailable or its disk is full.
    While the process is suspended, the time does not count.
    If an operator activates a key during the refresh, and this process does not have the key, the process encrypts the
    tokens with another key.

    If the database connection breaks during a commit, the process does not know if the commit succeeded. A second
    commit after a successful commit is harmless:

    - Without a new refresh token, the second commit stores the same tokens again.
    - With a new refresh token, the row no longer holds the old refresh token. The second commit passes the new tokens
      to `queue_revocation`. `queue_revocation` neither revokes nor keeps tokens that a connection still uses.
    """
    left, pause = installation.timing.store, installation.timing.poll
    while True:
        begun = time.monotonic()
        try:
            return await _commit(installation, state, grant, tokens)
        except (Unavailable, KeyNotInRing) as error:
            if left <= 0:
                raise
            log.warning("refresh_not_stored_yet", connection_id=state.connection.id, code=error.code)
            await asyncio.sleep(pause)
            pause = min(pause * 2, 1.0)
            left -= min(time.monotonic() - begun, _LONGEST_ATTEMPT)


async def _commit(installation: Installation, state: CredentialState, grant: TokenGrant, tokens: TokenSet) -> Outcome:
    """Store the new tokens if the row still holds the refresh token that this process sent.

    Otherwise, queue the new tokens for revocation. Raises: NotFound; Unavailable.
    """
    async with installation.database.write(use_reserve=True) as tx:
        now, decision, current = installation.clock(), cast("Decision", Fresh()), None
        with suppress(NotFound):
            current = await read_state(tx, installation, state.connection.key, lock=True, known=state.stored)
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
    auth, now = state.token_auth, installation.clock()
    assert auth is not None  # noqa: S101 - a state with a grant has tokens
    secrets = merge_tokens(current.stored.secrets, tokens)
    due_at = auth.refresh_due_at(secrets, tokens, now)
    metadata = replace(current.stored.token_metadata, refresh_due_at=due_at)
    scopes = tokens.scopes or current.connection.scopes
    present = current.connection
    error = present.error if present.status == "needs_reauth" or present.lacks_permission else None
    saved = replace(present, expires_at=tokens.expires_at, scopes=scopes, error=error)
    await connections.replace_tokens(tx, installation.vault.for_issued_tokens(), saved, secrets, metadata)
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
    unused = replace(connections.revocable_tokens(state.connection, stored), expires_at=tokens.expires_at)
    vault, catalogs, now = installation.vault.for_issued_tokens(), installation.catalogs, installation.clock()
    await leave_to_worker(tx, await queue_revocation(tx, vault, catalogs, unused, cause, now), now)


async def record_refusal(
    installation: Installation,
    state: CredentialState,
    grant: TokenGrant,
    refusal: OAuthError,
    request: CredentialRequest,
) -> Outcome:
    """Set the status `needs_reauth` if the row still holds the refused grant, such as a refresh token.

    If the row holds another grant, change nothing. Return the row's state and the decision.
    """
    key, now = state.connection.key, installation.clock()
    async with installation.database.write() as tx:
        current = await read_state(tx, installation, key, lock=True, known=state.stored)
        if current.refresh_grant != grant:
            current = await with_oauth_client(tx, installation, current)
            return current, decide(current, now, request)
        actor = Actor(key.organization_id, "system")
        message = refusal.reason or f"{state.integration_name} no longer accepts this authorization."
        marked = await connections.mark_needs_reauth(tx, actor, current.connection, refusal.code, message, now)
        await credentials.stop_refreshing(tx, key)
    return replace(current, connection=marked), NeedsReauth("refused")


async def record_failure(
    installation: Installation, state: CredentialState, lease: Lease, error: OAuthError, request: CredentialRequest
) -> Outcome:
    """Keep the tokens, and postpone the next refresh, after an error that does not show a refusal of the grant."""
    key, now, failures = state.connection.key, installation.clock(), state.stored.failures
    client = state.client if isinstance(error, InvalidClient) else None
    failed = replace(
        state.stored,
        retry_at=now + _backoff(error, state),
        refused_client_version=client.version if client is not None else None,
    )
    if error.response.possible_refusal:
        failed = count_refusal(failed, now, has_other_cause=error.response.has_other_cause)
    else:
        failed = replace(failed, refused_since=None, refusals=None)
    note = error_note(error.code, client_refused_message(state, error.reason), now) if client is not None else None
    if isinstance(error, EndpointTargetRefused):
        note = error_note(error.code, str(error), now)
    due_at, connection = _due_after_correction(state, now) if note is not None else None, state.connection
    if due_at is not None:
        failed = replace(failed, token_metadata=replace(failed.token_metadata, refresh_due_at=due_at))
    async with installation.database.write() as tx:
        if await credentials.record_failure(tx, key, failed, lease.id, due_at):
            connection = await connections.get(tx, key.organization_id, key.connection_id)
            connection = await connections.set_error(tx, connection, note)
            if failures == 0:  # only the first failure of an outage causes an event
                data = {**connection.subject.data, "reason": error.code}
                subject, actor = replace(connection.subject, data=data), Actor(key.organization_id, "system")
                await events.record(tx, actor, EventType.CONNECTION_REFRESH_FAILED, now, subject)
            connection = await _presume_refusal(tx, installation, replace(state, connection=connection, stored=failed))
    installation.failures.record(state.connection.integration_slug, error.code, now)
    log.debug("refresh_failed_temporarily", connection_id=key.connection_id, code=error.code, failures=failures + 1)
    state = replace(state, connection=connection, stored=failed)
    # The request has been sent. So do not send another request, even if the caller ignores pauses.
    return state, decide(state, now, CredentialRequest(request.rejected))


def _due_after_correction(state: CredentialState, now: datetime) -> datetime | None:
    """Return the due time of tokens that wait for a correction of the configuration, or None if it does not change.

    A refused refresh can be early, for example after a 401 or for an explicit request. If the tokens were not due, the
    worker would not notice the correction, and the connection would keep its error for hours.
    """
    due_at = state.stored.token_metadata.refresh_due_at
    if state.connection.status != "active" or (due_at is not None and due_at <= now):
        return None
    return now


async def _presume_refusal(tx: Transaction, installation: Installation, failed: CredentialState) -> Connection:
    """Decide if a failed refresh sets the status `needs_reauth`, and return the connection.

    If the integration has a check, a recheck decides later. If the connection has had the status `needs_reauth` for a
    week, stop refreshing its tokens.
    """
    connection, now = failed.connection, installation.clock()
    marked_at = datetime.fromisoformat(connection.error["at"]) if connection.error is not None else now
    if failed.is_presumed and now - marked_at >= RETRIES_OF_PRESUMED:
        await credentials.stop_refreshing(tx, connection.key)
    if connection.status == "needs_reauth" or failed.auth is None:
        return connection
    if failed.auth.check is not None:
        if presumes_refusal(failed, now, "refused"):
            request = RecheckRequest(connection.organization_id, connection.id, connection.integration_slug)
            installation.rechecks.enqueue(request)
        return connection
    if not presumes_refusal(failed, now, "unchecked"):
        return connection
    return await _mark_presumed(tx, connection, "token_expired", _presumed_message(failed, "unchecked"), now)


async def record_presumed_refusal(
    installation: Installation, checked: UsableCredential, verdict: Verdict, refusal: CredentialsRefused | None
) -> CredentialState:
    """Set the status `needs_reauth` if `presumes_refusal` says so for the present row. Return the row's state.

    Change nothing if the row no longer holds the checked credentials, or if a refresh is running.
    """
    key, now = checked.connection.key, installation.clock()
    async with installation.database.write() as tx:
        current = await read_state(tx, installation, key, lock=True)
        if current.stored.version != checked.version or current.stored.lease is not None:
            return current
        if current.connection.status == "needs_reauth" or not presumes_refusal(current, now, verdict):
            return current
        code, message = "token_expired", _presumed_message(current, verdict)
        if refusal is not None:
            code, message = refusal.code, refusal.provider_reason or message
        return replace(current, connection=await _mark_presumed(tx, current.connection, code, message, now))


async def _mark_presumed(tx: Transaction, connection: Connection, code: str, message: str, now: datetime) -> Connection:
    """Set the status `needs_reauth`, but continue to send the refresh token at long intervals.

    The responses do not prove a refusal. If the provider accepts the refresh token later, the connection becomes
    `active` again.
    """
    actor = Actor(connection.organization_id, "system")
    await credentials.postpone(tx, connection.key, now + RETRY_PRESUMED)
    return await connections.mark_needs_reauth(tx, actor, connection, code, message, now)


def _presumed_message(state: CredentialState, verdict: Verdict) -> str:
    reason = "no longer works" if verdict == "refused" else "has expired"
    return f"{state.integration_name} refuses to refresh the access token, and the access token {reason}."


def client_refused_message(state: CredentialState, reason: str | None = None) -> str:
    """Return the message for a refused OAuth client: what is wrong, and how to correct the client."""
    is_operators = state.client is not None and state.client.organization_id == INSTANCE
    name, slug = state.integration_name, state.connection.integration_slug
    remedy = (
        f"The operator of One Runtime has to register the client for {slug} again"
        if is_operators
        else f"Register the client again with PUT /v1/integrations/{slug}/oauth-client"
    )
    quoted = f" ({reason.rstrip('.')})" if reason else ""
    return f"{name} does not accept the OAuth client of this connection{quoted}. {remedy}, with the present secret."


def _backoff(error: OAuthError, state: CredentialState) -> timedelta:
    failures = state.stored.failures
    if state.is_presumed:
        return RETRY_PRESUMED
    if isinstance(error, InvalidClient | EndpointTargetRefused):
        return RETRY_CONFIGURATION
    pause = jittered(min(_FIRST_BACKOFF * float(2 ** min(failures, 16)), LONGEST_BACKOFF))
    if isinstance(error, TemporaryFailure) and error.retry_after is not None:
        return max(pause, timedelta(seconds=error.retry_after))
    return pause
