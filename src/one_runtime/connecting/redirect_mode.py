"""Hold a new connection in the mode `redirect` until the organization redeems the session's code.

A held connection is stored encrypted, and cannot be used yet. After the end user has connected an account, the browser
returns to the organization's return URL with a code. The organization's backend sends this code to One Runtime (the
backend redeems the code). One Runtime then makes the held connection a usable connection.

An end user can send the session's link to another person. An account of this person must not become a connection of the
end user (promise P6 of docs/security.md). So the backend has to send two values: the code, and the identifier of the
user who is signed in at the return URL. If this user is not the session's end user, One Runtime
ends the session and deletes the held connection.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Final, Literal, NamedTuple
from urllib.parse import parse_qsl, urlencode

from pydantic import TypeAdapter
from sqlalchemy import bindparam, delete, insert, select

from one_runtime.catalog.model import Integration
from one_runtime.connecting import sessions
from one_runtime.connecting.sessions import ConnectSession, SessionExpired, Status, unavailable_error
from one_runtime.connections import connections
from one_runtime.connections.connections import Connection, NewConnection
from one_runtime.connections.pending_revocations import (
    PendingRevocation,
    RevocableTokens,
    leave_to_worker,
    queue_revocation,
)
from one_runtime.context import Installation
from one_runtime.db.engine import Transaction
from one_runtime.db.precondition import Precondition
from one_runtime.db.schema import hosted_connection_sessions as session_table
from one_runtime.db.schema import unredeemed_connections as unredeemed
from one_runtime.encryption import key_ring, secret_tokens
from one_runtime.encryption.secret_tokens import SecretToken
from one_runtime.encryption.vault import SealBroken, SealContext, Sealed, Vault
from one_runtime.errors import Conflict, InvalidInput, NotFound, OneRuntimeError
from one_runtime.explanations.stored_errors import error_note
from one_runtime.jobs.queue import database_now
from one_runtime.tenancy import end_users, events
from one_runtime.tenancy.event_types import EventType
from one_runtime.tenancy.events import Actor, Subject
from one_runtime.tokens.revocation import revoke_all

BATCH: Final = 100

_ENDED: Final[Mapping[Status, str]] = {"cancelled": "was cancelled", "failed": "failed"}

_WRONG_CODE: Final = (
    "must be the code of this session: the parameter code in the query when the browser returns to your return_url"
)

TABLE: Final = "unredeemed_connections"
_VERSION: Final = 1  # `SealContext` requires a row's version, which never changes, because rows are never updated

_NEW: Final = TypeAdapter(NewConnection)


class _UnredeemedRow(NamedTuple):
    details: Mapping[str, object]
    sealed: bytes
    key_id: str


class _SessionRow(NamedTuple):
    session_id: str
    organization_id: str


_SESSION = (unredeemed.c.session_id, unredeemed.c.organization_id)
_OF_SESSION = unredeemed.c.session_id == bindparam("session")
_INSERT = insert(unredeemed)
_ONE = select(unredeemed.c.details, unredeemed.c.sealed, unredeemed.c.key_id).where(
    unredeemed.c.session_id == bindparam("session")
)
_DELETE = delete(unredeemed).where(unredeemed.c.session_id == bindparam("session"))
_OF_END_USER = (
    select(*_SESSION)
    .join(session_table, session_table.c.id == unredeemed.c.session_id)
    .where(
        session_table.c.organization_id == bindparam("organization"),
        session_table.c.end_user_id == bindparam("end_user"),
    )
)
_DUE = (
    select(*_SESSION)
    .where(unredeemed.c.due_at <= bindparam("now"))
    .order_by(unredeemed.c.due_at)
    .limit(bindparam("limit"))
)


class EndUserMismatch(Conflict):
    """The organization sent the code with the identifier of another end user."""

    code = "end_user_mismatch"
    documentation = (
        (
            "The `end_user_id` of your request is not the end user of the session or of the connect request. If you "
            "redeemed a code, One Runtime has deleted the credentials that waited for the redemption."
        ),
        "Create a new session, and redeem its code only for the end user who is signed in to your product.",
    )


async def hold_connection(
    tx: Transaction, vault: Vault, session: ConnectSession, connection: NewConnection, now: datetime
) -> SecretToken:
    """Encrypt and store a connection until the organization redeems the session's code. Return the code.

    Raises:
        NotFound, AccountMismatch, AnswerOutdated, SeveralConnections: see `connections.create_or_replace`.
        SessionUsed, SessionCancelled, SessionExpired, TooManyAttempts: the session has ended.
    """
    code = secret_tokens.make(secret_tokens.CODE)
    await connections.require_replaceable(tx, session.organization_id, connection)
    if not await sessions.hold(tx, session.id, code, now):
        raise await unavailable_error(tx, session, now)
    await store_unredeemed(tx, vault, session, connection, now + sessions.TIME_TO_REDEEM)
    return code


def return_address(
    session: ConnectSession, status: Literal["connected", "cancelled", "error"], **values: str
) -> str | None:
    """Return the session's return URL with the outcome in the query, or None if the session has no return URL."""
    if session.return_url is None:
        return None
    outcome = {"session_id": session.id, "status": status, **values}
    address, _, query = session.return_url.partition("?")
    reserved = {*outcome, "code", "error"}
    own = [(name, value) for name, value in parse_qsl(query, keep_blank_values=True) if name not in reserved]
    return f"{address}?{urlencode([*own, *outcome.items()])}"


class Redeemed(NamedTuple):
    """A session after its redemption.

    `connection`: None if the connection was deleted later. `integration`: None if the integration no longer exists.
    """

    session: ConnectSession
    connection: Connection | None
    integration: Integration | None


async def redeem(installation: Installation, actor: Actor, session_id: str, code: str, end_user_id: str) -> Redeemed:
    """Make the held connection a connection of the end user. A second call with the same code returns the same result.

    Raises:
        NotFound: the session does not exist, or the connection to replace was deleted.
        InvalidInput: the code is wrong.
        SessionExpired: the code was not redeemed in time.
        Conflict: the session holds no connection.
        AccountMismatch: the end user connected a different account in another session while this connection was held,
            and did not agree to replace the different account.
        SeveralConnections: the end user got a second connection while this connection was held.
        AnswerOutdated: the connection that the end user selected was deleted while this connection was held.
        EndUserMismatch: `end_user_id` is not the session's end user. A held connection is deleted.
    """
    now = installation.clock()
    async with installation.database.write() as tx:
        session = await sessions.get(tx, actor.organization_id, session_id)
        await end_users.lock(tx, actor.organization_id, session.end_user_id)  # allow only one redemption at a time
        session = await sessions.get(tx, actor.organization_id, session_id)
        _require_code(session, code, now)
        if session.end_user_id == end_user_id:
            session, connection = await _redeem(tx, installation, actor, session, now)
            integration = await _find_integration(tx, installation, connection)
            return Redeemed(session, connection, integration)
        note = error_note(EndUserMismatch.code, "The code was sent with another end user's identifier.", now)
        pending = await _abandon(tx, installation, actor, session, "failed", note)
    await revoke_all(installation, pending or [])
    deleted = ", so One Runtime made no connection and deleted the new credentials" if pending is not None else ""
    raise EndUserMismatch(
        f"The end_user_id is not the end user of this session{deleted}. Perhaps the end user sent the session's link "
        "to another person. Create a new session for the user who is signed in."
    )


def _require_code(session: ConnectSession, code: str, now: datetime) -> None:
    """Raises: Conflict or SessionExpired if the session has no code; InvalidInput for a wrong code."""
    known = session.code_hash
    if session.mode != "redirect" or known is None:
        raise _no_code_error(session, now)
    if not secret_tokens.same(known, secret_tokens.digest(code)):
        raise InvalidInput.of("code", _WRONG_CODE)


def _no_code_error(session: ConnectSession, now: datetime) -> OneRuntimeError:
    """Return the error for a session without a code. The state of the session comes first, because it decides."""
    state = session.state(now)
    other_mode = f'Only a session with mode "redirect" has a code, and this session has mode "{session.mode}".'
    note = "" if session.mode == "redirect" else f" {other_mode}"
    if state == "expired":
        return SessionExpired(
            f"This session expired before the end user connected an account. Create a new session.{note}"
        )
    if state in {"cancelled", "failed"}:
        return Conflict(
            f"This session {_ENDED[state]}, so there is no code to redeem. {_reason(session)}"
            f"Create a new session.{note}"
        )
    if session.mode == "redirect":
        return Conflict(
            "The end user has not connected an account in this session yet. Redeem the code when the browser returns "
            "to your return_url."
        )
    return Conflict(
        f"There is no code to redeem. {other_mode} Read the result of the session with "
        f"GET /v1/hosted-connection-sessions/{session.id}."
    )


async def _redeem(
    tx: Transaction, installation: Installation, actor: Actor, session: ConnectSession, now: datetime
) -> tuple[ConnectSession, Connection | None]:
    if session.state(now) == "connected":
        return session, await _find_connection(tx, session)
    new = await load_unredeemed(tx, installation.vault, session)
    if new is None or session.state(now) != "pending":
        raise _not_redeemable_error(session, now)
    connection, _ = await connections.create_or_replace(tx, installation.vault, installation.catalogs, actor, new, now)
    if not await sessions.redeem(tx, session.id, connection.id, now):
        raise _not_redeemable_error(session, now)
    await discard_unredeemed(tx, session.id)
    return await sessions.get(tx, session.organization_id, session.id), connection


def _not_redeemable_error(session: ConnectSession, now: datetime) -> OneRuntimeError:
    if session.state(now) == "expired":
        return SessionExpired(
            "The code was not redeemed within 10 minutes, so One Runtime deletes the connection. Start again."
        )
    ended = _ENDED.get(session.state(now), "has ended")
    return Conflict(
        f"This session {ended}, so there is no connection to redeem. {_reason(session)}Create a new session."
    )


def _reason(session: ConnectSession) -> str:
    """Return the sentence that says where a caller finds the reason of a failure, or an empty text."""
    if session.status != "failed" or session.last_error is None:
        return ""
    return f"GET /v1/hosted-connection-sessions/{session.id} shows the reason in last_error. "


async def _find_connection(tx: Transaction, session: ConnectSession) -> Connection | None:
    try:
        return await connections.get(tx, session.organization_id, session.connection_id or "")
    except NotFound:
        return None


async def _find_integration(
    tx: Transaction, installation: Installation, connection: Connection | None
) -> Integration | None:
    if connection is None:
        return None
    return await installation.catalogs.get(tx, connection.organization_id, connection.integration_slug)


async def cancel(
    installation: Installation, actor: Actor, session_id: str, condition: Precondition[ConnectSession] | None = None
) -> ConnectSession:
    """Cancel a session that has not ended, and delete its held connection. Return the session.

    Raises: NotFound; PreconditionFailed.
    """
    async with installation.database.write() as tx:
        session = await sessions.get(tx, actor.organization_id, session_id, lock=condition is not None)
        if condition is not None:
            await condition(tx, session)
        pending = None
        if not await sessions.cancel(tx, session.id, installation.clock()):
            pending = await _abandon(tx, installation, actor, session, "cancelled", None)
        cancelled = await sessions.get(tx, actor.organization_id, session_id)
    await revoke_all(installation, pending or [])
    return cancelled


async def purge_due(installation: Installation) -> int:
    """Delete held connections that were not redeemed in time. Return the number of connections.

    The worker then revokes the tokens. Several processes can run this function at the same time, because only one
    process can end a session.
    """
    async with installation.database.read() as tx:
        now = await database_now(tx, installation.clock)
        due = await tx.all(_DUE, _SessionRow, now=now, limit=BATCH)
    expired = 0
    for session_id, organization_id in due:
        async with installation.database.write() as tx:
            session = await sessions.find_by_id(tx, session_id)
            if session is None:  # a concurrent request deleted the session and its connection
                continue
            note = error_note("not_redeemed", "The code was not redeemed within 10 minutes.", now)
            actor = Actor(organization_id, "system")
            pending = await _abandon(tx, installation, actor, session, "expired", note)
            for revocation in pending or []:
                await leave_to_worker(tx, revocation, now)
        expired += pending is not None
    return expired


async def purge_of_end_user(
    tx: Transaction, installation: Installation, organization_id: str, end_user_id: str
) -> list[PendingRevocation]:
    """Delete the held connections of an end user, and queue the revocation of the tokens.

    Return the queued revocations.
    """
    pending: list[PendingRevocation] = []
    for row in await tx.all(_OF_END_USER, _SessionRow, organization=organization_id, end_user=end_user_id):
        session = await sessions.get(tx, organization_id, row.session_id)
        pending += await _queue_revocation(tx, installation, session)
        await discard_unredeemed(tx, session.id)
    return pending


async def _abandon(
    tx: Transaction,
    installation: Installation,
    actor: Actor,
    session: ConnectSession,
    status: Status,
    error: dict[str, str] | None,
) -> list[PendingRevocation] | None:
    """End a session with an unredeemed code, and delete the held connection. Return the queued revocations.

    If the session has no unredeemed code, change nothing and return None.
    """
    now = installation.clock()
    if not await sessions.abandon(tx, session.id, status, error, now):
        return None
    pending = await _queue_revocation(tx, installation, session)
    await discard_unredeemed(tx, session.id)
    if error is not None:
        data = {"session_id": session.id, "integration_slug": session.integration_slug, "reason": error["code"]}
        subject = Subject(session.end_user_id, None, data)
        await events.record(tx, actor, EventType.HOSTED_CONNECTION_SESSION_FAILED, now, subject)
    return pending


async def _queue_revocation(
    tx: Transaction, installation: Installation, session: ConnectSession
) -> list[PendingRevocation]:
    try:
        connection = await load_unredeemed(tx, installation.vault, session)
    except SealBroken:
        return []
    if connection is None:
        return []
    tokens = RevocableTokens(
        session.organization_id,
        connection.end_user_id,
        connection.integration_slug,
        connection.auth_type,
        connection.token_metadata,
        connection.params,
        connection.secrets,
        connection.account.id,
    )
    vault, catalogs, now = installation.vault, installation.catalogs, installation.clock()
    pending = await queue_revocation(tx, vault, catalogs, tokens, "not_redeemed", now)
    return [pending] if pending is not None else []


async def store_unredeemed(
    tx: Transaction, vault: Vault, session: ConnectSession, new: NewConnection, due_at: datetime
) -> None:
    """Encrypt and store a connection. `due_at`: the time after which `purge_due` deletes the connection."""
    details = _NEW.dump_python(new, mode="json", exclude={"secrets"})
    plaintext = json.dumps(dict(new.secrets)).encode()
    sealed = await key_ring.seal(tx, vault, session.organization_id, plaintext, _seal_context(session.id))
    await tx.execute(
        _INSERT,
        session_id=session.id,
        organization_id=session.organization_id,
        details=details,
        sealed=sealed.data,
        key_id=sealed.key_id,
        version=_VERSION,
        due_at=due_at,
    )


async def load_unredeemed(tx: Transaction, vault: Vault, session: ConnectSession) -> NewConnection | None:
    """Return the held connection, or None. Raises: SealBroken."""
    row = await tx.one(_ONE, _UnredeemedRow, session=session.id)
    if row is None:
        return None
    opened = vault.open(session.organization_id, Sealed(row.key_id, row.sealed), _seal_context(session.id))
    return _NEW.validate_python({**row.details, "secrets": json.loads(opened)})


async def discard_unredeemed(tx: Transaction, session_id: str) -> bool:
    """Delete a held connection. Return False if there was no held connection."""
    return await tx.execute(_DELETE, session=session_id) > 0


def _seal_context(session_id: str) -> SealContext:
    return SealContext(TABLE, session_id, _VERSION)
