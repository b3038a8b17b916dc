"""The mode `redirect`, after the end user is done: redeemed by the organization, given up by it, or wiped (P6).

A code alone proves nothing about who sits before the browser: whoever sent them the address may be another. So the
organization says which of its end users is signed in where the code arrived, and any other than the session's own
ends the matter.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal
from urllib.parse import parse_qsl, urlencode

from pydantic import TypeAdapter
from sqlalchemy import bindparam, delete, insert, select

from one_runtime.connecting import sessions
from one_runtime.connecting.sessions import ConnectSession, SessionExpired, Status
from one_runtime.connections import connections
from one_runtime.connections.connections import Connection, NewConnection
from one_runtime.connections.pending_revocations import PendingRevocation, RevocableTokens, queue_revocation
from one_runtime.context import Installation
from one_runtime.db.engine import Transaction
from one_runtime.db.schema import hosted_connection_sessions as session_table
from one_runtime.db.schema import unredeemed_connections as unredeemed
from one_runtime.encryption import key_ring, secret_tokens
from one_runtime.encryption.secret_tokens import Token
from one_runtime.encryption.vault import SealBroken, SealContext, Sealed, Vault
from one_runtime.errors import Conflict, InvalidInput, NotFound, OneRuntimeError, error_note
from one_runtime.jobs.queue import database_now
from one_runtime.jobs.worker import PeriodicTask
from one_runtime.tenancy import end_users, events
from one_runtime.tenancy.events import Actor, Subject
from one_runtime.tokens.revocation import revoke_all

BATCH: Final = 100
"""Connections that one turn wipes at the most; the next turn goes on."""

TABLE: Final = "unredeemed_connections"
_VERSION: Final = 1  # a row is written once

_NEW: Final = TypeAdapter(NewConnection)

_INSERT = insert(unredeemed)
_ONE = select(unredeemed).where(unredeemed.c.session_id == bindparam("session"))
_DELETE = delete(unredeemed).where(unredeemed.c.session_id == bindparam("session"))
_OF = (
    select(unredeemed.c.session_id)
    .join(session_table, session_table.c.id == unredeemed.c.session_id)
    .where(
        session_table.c.organization_id == bindparam("organization"),
        session_table.c.end_user_id == bindparam("end_user"),
    )
)
_DUE = (
    select(unredeemed.c.session_id, unredeemed.c.organization_id)
    .where(unredeemed.c.due_at <= bindparam("now"))
    .order_by(unredeemed.c.due_at)
    .limit(bindparam("limit"))
)


class EndUserMismatch(Conflict):
    """Somebody else than the session's end user brought the code."""

    code = "end_user_mismatch"


async def hold_connection(
    tx: Transaction, vault: Vault, session: ConnectSession, connection: NewConnection, now: datetime
) -> Token | None:
    """Seal a connection until the organization redeems the code that is returned (P6).

    None if the session takes no connection any more. Raises: AccountMismatch.
    """
    code = secret_tokens.make(secret_tokens.CODE)
    await connections.require_replaceable(tx, session.organization_id, connection)
    if not await sessions.hold(tx, session.id, code, now):
        return None
    await store_unredeemed(tx, vault, session, connection, now + sessions.TIME_TO_REDEEM)
    return code


def return_address(
    session: ConnectSession, status: Literal["connected", "cancelled", "error"], **values: str
) -> str | None:
    """Return the session's return URL with the outcome; other values in its query stay."""
    if session.return_url is None:
        return None
    outcome = {"session_id": session.id, "status": status, **values}
    address, _, query = session.return_url.partition("?")
    reserved = {*outcome, "code", "error"}
    own = [(name, value) for name, value in parse_qsl(query, keep_blank_values=True) if name not in reserved]
    return f"{address}?{urlencode([*own, *outcome.items()])}"


async def redeem(
    installation: Installation, actor: Actor, session_id: str, code: str, end_user_id: str
) -> tuple[ConnectSession, Connection | None]:
    """Make what was connected count. Asked again with the same code, the answer is the same; the connection is None
    where it was deleted since.

    Raises: NotFound, InvalidInput for a wrong code; EndUserMismatch, after which the connection is wiped;
    SessionExpired; Conflict where there is nothing to redeem; AccountMismatch where the end user has connected
    another account since.
    """
    now = installation.clock()
    async with installation.database.write() as tx:
        session = await sessions.get(tx, actor.organization_id, session_id)
        await end_users.lock(tx, actor.organization_id, session.end_user_id)  # one redemption at a time
        session = await sessions.get(tx, actor.organization_id, session_id)
        _require_code(session, code)
        if session.end_user_id == end_user_id:
            return await _redeem(tx, installation, actor, session, now)
        note = error_note(EndUserMismatch.code, "Another end user brought the code.", now)
        given_up = await _give_up(tx, installation, session, _End("failed", actor, now, note))
    await revoke_all(installation, given_up.lettings)
    raise EndUserMismatch(
        "This session is for another end user than the one who came back with its code. The connection was wiped: "
        "somebody may have been sent another's link."
    )


def _require_code(session: ConnectSession, code: str) -> None:
    if session.mode != "redirect":
        raise Conflict(f"A session of the mode {session.mode} has nothing to redeem.")
    known = session.code_hash
    if known is None and session.status == "pending":
        raise Conflict("The end user has not connected anything in this session yet.")
    if known is None or not secret_tokens.same(known, secret_tokens.digest(code)):
        raise InvalidInput.of("code", "is not the code of this session; take it from the address of your return_url")


async def _redeem(
    tx: Transaction, installation: Installation, actor: Actor, session: ConnectSession, now: datetime
) -> tuple[ConnectSession, Connection | None]:
    if session.state(now) == "connected":
        return session, await _present(tx, session)
    kept = await load_unredeemed(tx, installation.vault, session)
    if kept is None or session.state(now) != "pending":
        raise _gone(session, now)
    connection, _ = await connections.create_or_replace(tx, installation.vault, installation.catalogs, actor, kept, now)
    if not await sessions.redeem(tx, session.id, connection.id, now):
        raise _gone(session, now)
    await discard_unredeemed(tx, session.id)
    return await sessions.get(tx, session.organization_id, session.id), connection


def _gone(session: ConnectSession, now: datetime) -> OneRuntimeError:
    if session.state(now) == "expired":
        return SessionExpired("The code was not redeemed within 10 minutes, and the connection was wiped. Start again.")
    return Conflict(f"This session is {session.state(now)}; there is nothing to redeem. Start again.")


async def _present(tx: Transaction, session: ConnectSession) -> Connection | None:
    try:
        return await connections.get(tx, session.organization_id, session.connection_id or "")
    except NotFound:
        return None


async def cancel(installation: Installation, actor: Actor, session_id: str) -> ConnectSession:
    """End a session, whether the end user is done with it or not; one that is over stays as it is. Raises: NotFound."""
    now = installation.clock()
    async with installation.database.write() as tx:
        session = await sessions.get(tx, actor.organization_id, session_id)
        given_up = _GivenUp()
        if not await sessions.cancel(tx, session.id, now):
            given_up = await _give_up(tx, installation, session, _End("cancelled", actor, now))
        cancelled = await sessions.get(tx, actor.organization_id, session_id)
    await revoke_all(installation, given_up.lettings)
    return cancelled


async def purge_due(installation: Installation) -> int:
    """Delete connections that were not redeemed in time, and revoke their tokens; return their number.

    Safe in several processes at once: ending the session is a conditional update, which one of them wins.
    """
    async with installation.database.read() as tx:
        now = await database_now(tx, installation.clock)
        due = await _list_due(tx, now, BATCH)
    expired, pending = 0, list[PendingRevocation]()
    for session_id, organization_id in due:
        async with installation.database.write() as tx:
            session = await sessions.find_by_id(tx, session_id)
            if session is None:  # deleted meanwhile, with what was kept
                continue
            note = error_note("not_redeemed", "The code was not redeemed within 10 minutes.", now)
            actor = Actor(organization_id, "system")
            given_up = await _give_up(tx, installation, session, _End("expired", actor, now, note))
        expired += given_up.happened
        pending += given_up.lettings
    await revoke_all(installation, pending)  # after every row, so that a slow provider does not delay the others
    return expired


EXPIRE_UNREDEEMED: Final[PeriodicTask[Installation]] = PeriodicTask("expire_unredeemed", 5.0, purge_due)


async def purge_of_end_user(
    tx: Transaction, installation: Installation, organization_id: str, end_user_id: str
) -> list[PendingRevocation]:
    """Wipe what an end user left unredeemed; what is to be revoked of it."""
    lettings: list[PendingRevocation] = []
    for session_id in await _list_of_end_user(tx, organization_id, end_user_id):
        session = await sessions.get(tx, organization_id, session_id)
        lettings += await _kept_to_revoke(tx, installation, session, installation.clock())
        await discard_unredeemed(tx, session_id)
    return lettings


@dataclass(frozen=True, slots=True)
class _End:
    """How a session ends that nobody redeemed, and who ends it."""

    status: Status
    actor: Actor
    now: datetime
    error: dict[str, str] | None = None


@dataclass(frozen=True, slots=True)
class _GivenUp:
    """Whether it happened, or another was faster; and the tokens to be revoked, where there are any."""

    happened: bool = False
    lettings: tuple[PendingRevocation, ...] = ()


async def _give_up(tx: Transaction, installation: Installation, session: ConnectSession, end: _End) -> _GivenUp:
    """Wipe what was kept and end its session; tokens are kept apart until they are revoked."""
    if not await sessions.give_up(tx, session.id, end.status, end.error, end.now):
        return _GivenUp()
    lettings = await _kept_to_revoke(tx, installation, session, end.now)
    await discard_unredeemed(tx, session.id)
    if end.error is not None:
        data = {"session_id": session.id, "integration_slug": session.integration_slug, "reason": end.error["code"]}
        await events.record(
            tx, end.actor, "hosted_connection_session.failed", end.now, Subject(session.end_user_id, None, data)
        )
    return _GivenUp(happened=True, lettings=lettings)


async def _kept_to_revoke(
    tx: Transaction, installation: Installation, session: ConnectSession, now: datetime
) -> tuple[PendingRevocation, ...]:
    try:
        kept = await load_unredeemed(tx, installation.vault, session)
    except SealBroken:
        return ()
    if kept is None:
        return ()
    tokens = RevocableTokens(
        session.organization_id,
        kept.end_user_id,
        kept.integration_slug,
        kept.auth_type,
        kept.token_metadata,
        kept.params,
        kept.secrets,
        kept.account.id,
    )
    pending = await queue_revocation(tx, installation.vault, installation.catalogs, tokens, "not_redeemed", now)
    return (pending,) if pending is not None else ()


async def store_unredeemed(
    tx: Transaction, vault: Vault, session: ConnectSession, new: NewConnection, due_at: datetime
) -> None:
    """Keep what was connected until it is redeemed, or due."""
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
    """What was kept, or None. Raises: SealBroken."""
    row = await tx.one(_ONE, session=session.id)
    if row is None:
        return None
    opened = vault.open(session.organization_id, Sealed(row.key_id, row.sealed), _seal_context(session.id))
    return _NEW.validate_python({**row.details, "secrets": json.loads(opened)})


async def discard_unredeemed(tx: Transaction, session_id: str) -> bool:
    """Delete what was kept, with its credentials; False where it was gone already."""
    return await tx.execute(_DELETE, session=session_id) > 0


async def _list_due(tx: Transaction, now: datetime, limit: int) -> list[tuple[str, str]]:
    """Sessions, with their organizations, whose connection was not redeemed in time; the longest due first."""
    return [(row.session_id, row.organization_id) for row in await tx.all(_DUE, now=now, limit=limit)]


async def _list_of_end_user(tx: Transaction, organization_id: str, end_user_id: str) -> list[str]:
    """The sessions of an end user whose connection was not redeemed yet."""
    return [row.session_id for row in await tx.all(_OF, organization=organization_id, end_user=end_user_id)]


def _seal_context(session_id: str) -> SealContext:
    return SealContext(TABLE, session_id, _VERSION)
