"""Store and end hosted connection sessions. A session permits one end user to connect one account.

The organization's backend creates the session. In the mode `embed`, the end user connects in a frame of the app's page.
In the modes `redirect` and `link`, the end user connects in a page of One Runtime. In the mode `redirect`, the backend
receives a code from the browser. The backend redeems the code: the backend exchanges the code for the connection. A
session with a code that is not redeemed yet is called unredeemed. docs/security.md describes the rules for sessions
(promises P4 and P6).
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from sqlalchemy import Update, bindparam, insert, literal_column, select, update

from one_runtime.context import Installation
from one_runtime.db.engine import Transaction
from one_runtime.db.ids import is_id, lowest_id
from one_runtime.db.schema import hosted_connection_sessions as sessions
from one_runtime.encryption import secret_tokens
from one_runtime.encryption.secret_tokens import SecretToken
from one_runtime.errors import Conflict, NotFound, OneRuntimeError
from one_runtime.jobs.queue import batched_delete, run_in_batches
from one_runtime.telemetry import metrics

_TOKEN_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
MAX_FAILED_CHECKS: Final = 10
LIFE_ONCE_OPENED: Final = timedelta(minutes=60)
TIME_TO_REDEEM: Final = timedelta(minutes=10)
RETENTION: Final = timedelta(days=30)
"""Time from the last change of a session to its deletion. Once opened, every session ends within 130 minutes."""
UNOPENED_RETENTION: Final = timedelta(days=1)
"""Time from the creation to the deletion of an expired session that no end user has opened."""
MIN_EXPIRES_IN, DEFAULT_EXPIRES_IN, MAX_EXPIRES_IN = 60, 600, 3600
MAX_LINK_EXPIRES_IN: Final = 30 * 24 * 3600
"""Longest time in seconds in which a session of the mode `link` can be opened. People read messages days later."""

Mode: TypeAlias = Literal["embed", "redirect", "link"]
Status: TypeAlias = Literal["pending", "connected", "failed", "cancelled", "expired"]


class SessionUsed(Conflict):
    """The end user has already connected an account in this session."""

    code = "session_used"
    documentation = (
        "The session has already made its connection.",
        "To connect another account, create a new session.",
    )


class SessionCancelled(Conflict):
    """The session was cancelled."""

    code = "session_cancelled"
    documentation = (
        "The session was cancelled.",
        "Create a new session.",
    )


class SessionExpired(OneRuntimeError):
    """The session has expired."""

    code, status, title = "session_expired", 410, "This session has expired"
    documentation = (
        "The session has expired, or your backend did not redeem its code in time.",
        "Create a new session.",
    )


class TooManyAttempts(OneRuntimeError):
    """The session has reached its limit of refused credentials, or its limit of OAuth authorization attempts."""

    code, status, title = "too_many_attempts", 429, "Too many attempts in this session"
    documentation = (
        (
            "In the popup: the provider refused ten attempts to connect, or fifty sign-ins of the session failed or "
            "expired. A valid credential without a necessary permission counts as refused."
        ),
        "Create a new session.",
    )

    def __init__(self) -> None:
        super().__init__("Too many attempts failed in this session. Open the window again from the app.")


@dataclass(frozen=True, slots=True)
class ConnectSession:
    """A stored session. The database contains only hashes of the session's token and code (promise P2).

    A session with the stored status `pending` can have expired. So callers must use `state()` instead of `status`. For
    the stored status `unredeemed`, `state()` returns `pending` until the session expires.

    `locale`: the language tag (RFC 5646) that the organization wants for the pages, or None for the browser's language.
    """

    id: str
    organization_id: str
    end_user_id: str
    integration_slug: str | None
    mode: Mode
    auth_type: str | None
    scopes: tuple[str, ...]
    target_connection_id: str | None
    multiple: bool
    suggested_connection_name: str | None
    allowed_origins: tuple[str, ...]
    metadata: Mapping[str, object]
    return_url: str | None
    created_at: datetime
    updated_at: datetime
    expires_at: datetime
    status: str = "pending"
    locale: str | None = None
    opened_at: datetime | None = None
    failed_checks: int = 0
    last_error: Mapping[str, str] | None = None
    connection_id: str | None = None
    code_hash: bytes | None = field(default=None, repr=False)
    token_hash: bytes = field(default=b"", repr=False)

    def __post_init__(self) -> None:
        for name in ("scopes", "allowed_origins"):  # the database returns lists
            object.__setattr__(self, name, tuple(getattr(self, name)))

    @property
    def unredeemed(self) -> bool:
        """Return True if the end user has connected an account, but the organization has not redeemed the code."""
        return self.status == "unredeemed"

    def state(self, now: datetime) -> Status:
        """Return the status at the time `now`."""
        if self.unredeemed or self.status == "pending":
            return "expired" if now >= self.expires_at else "pending"
        return self.status  # type: ignore[return-value] # the code stores no other values


class _ChecksRow(NamedTuple):
    failed_checks: int


_COLUMNS = tuple(sessions.c[name] for name in ConnectSession.__dataclass_fields__)
_INSERT = insert(sessions)
_BY_HASH = select(*_COLUMNS).where(sessions.c.token_hash == bindparam("hash"))
_BY_ID = select(*_COLUMNS).where(sessions.c.id == bindparam("session"))
_MINE = _BY_ID.where(sessions.c.organization_id == bindparam("organization"))
_MINE_LOCKED = _MINE.with_for_update(key_share=True)
_LIVE = update(sessions).where(sessions.c.id == bindparam("session"), sessions.c.expires_at > bindparam("now"))
_PENDING = _LIVE.where(sessions.c.status == "pending")
_UNREDEEMED = update(sessions).where(sessions.c.id == bindparam("session"), sessions.c.status == "unredeemed")
_OPEN = _PENDING.where(sessions.c.opened_at.is_(None)).values(
    opened_at=bindparam("now"), updated_at=bindparam("now"), expires_at=bindparam("until")
)
_CONNECTED: dict[str, Any] = {
    "status": "connected", "connection_id": bindparam("connection"), "last_error": None, "updated_at": bindparam("now")
}  # fmt: skip
_COMPLETE = _PENDING.values(_CONNECTED)
_REDEEM = _LIVE.where(sessions.c.status == "unredeemed").values(_CONNECTED)
_HOLD = _PENDING.values(
    status="unredeemed",
    code_hash=bindparam("code"),
    last_error=None,
    updated_at=bindparam("now"),
    expires_at=bindparam("until"),
)
_ABANDON = _UNREDEEMED.values(status=bindparam("ended"), last_error=bindparam("error"), updated_at=bindparam("now"))
_CANCEL = _PENDING.values(status="cancelled", updated_at=bindparam("now"))
_RESERVE = _PENDING.where(sessions.c.failed_checks < MAX_FAILED_CHECKS).values(
    failed_checks=sessions.c.failed_checks + 1, updated_at=bindparam("now")
)
_NOTE_ERROR = (
    update(sessions)
    .where(sessions.c.id == bindparam("session"), sessions.c.status == "pending")
    .values(last_error=bindparam("error"), updated_at=bindparam("now"))
)
_REFUND = _NOTE_ERROR.where(sessions.c.failed_checks > 0).values(failed_checks=sessions.c.failed_checks - 1)
_NOTE_REFUSAL = _NOTE_ERROR.returning(sessions.c.failed_checks)
# SQLite uses the partial index only if the condition contains the value, and no parameter.
UNOPENED: Final = (sessions.c.status == literal_column("'pending'"), sessions.c.opened_at.is_(None))
"""Conditions for the pending sessions that no end user has opened."""
_UNOPENED_LINKS = (
    select(sessions.c.id)
    .where(
        sessions.c.organization_id == bindparam("organization"),
        sessions.c.end_user_id == bindparam("end_user"),
        sessions.c.mode == "link",
        sessions.c.expires_at > bindparam("now"),
        *UNOPENED,
    )
    .limit(bindparam("limit"))
)
_PURGE = batched_delete(
    sessions,
    sessions.c.id < bindparam("before"),
    sessions.c.updated_at <= bindparam("changed_before"),
    sessions.c.expires_at <= bindparam("now"),
)
_PURGE_UNOPENED = batched_delete(
    sessions, sessions.c.id < bindparam("before"), sessions.c.expires_at <= bindparam("now"), *UNOPENED
)
_FAIL = _PENDING.values(status="failed", updated_at=bindparam("now"))


async def insert_session(tx: Transaction, session: ConnectSession) -> SecretToken:
    """Store a session with the hash of a new token. Return the token."""
    token = secret_tokens.make(secret_tokens.SESSION)
    await tx.execute(_INSERT, **asdict(replace(session, token_hash=token.hash)))
    tx.committed.append(metrics.sessions.labels("created").inc)
    return token


async def count_unopened_links(
    tx: Transaction, organization_id: str, end_user_id: str, now: datetime, *, limit: int
) -> int:
    """Return the number of valid unopened sessions of an end user in the mode `link`, up to `limit`."""
    params = {"organization": organization_id, "end_user": end_user_id, "now": now, "limit": limit}
    return len(await tx.all(_UNOPENED_LINKS, **params))


async def get(tx: Transaction, organization_id: str, session_id: str, *, lock: bool = False) -> ConnectSession:
    """Return a session of this organization. `lock`: lock the session until `tx` ends. Raises: NotFound."""
    key = {"session": session_id, "organization": organization_id}
    session = await tx.one(_MINE_LOCKED if lock else _MINE, ConnectSession, **key) if is_id(session_id) else None
    if session is None:
        raise NotFound(
            f"There is no hosted connection session {session_id[:64]!r}. GET /v1/hosted-connection-sessions lists your "
            "sessions."
        )
    return session


async def find_by_id(tx: Transaction, session_id: str) -> ConnectSession | None:
    """Return a session by its id, or None. Ids are not secret. An id gives access only to the session's state."""
    return await tx.one(_BY_ID, ConnectSession, session=session_id) if is_id(session_id) else None


async def find_by_digest(tx: Transaction, token_digest: str) -> ConnectSession | None:
    """Return the session with this hash of its token, in hexadecimal digits. Like an id, the hash is not secret."""
    known = _TOKEN_DIGEST.fullmatch(token_digest)
    return await tx.one(_BY_HASH, ConnectSession, hash=bytes.fromhex(token_digest)) if known else None


async def find_by_token(tx: Transaction, token: str) -> ConnectSession | None:
    """Return the session of a token, even if the session has ended. Return None for an unknown token."""
    if not secret_tokens.recognize(secret_tokens.SESSION, token):
        return None
    digest = secret_tokens.digest(token)
    session = await tx.one(_BY_HASH, ConnectSession, hash=digest)
    return session if session is not None and secret_tokens.same(session.token_hash, digest) else None


def ended_error(session: ConnectSession, now: datetime) -> OneRuntimeError | None:
    """Return the error for a session that has ended. Return None if the end user can still connect an account."""
    again = "Open the window again from the app."
    state = session.state(now)
    if state == "expired":
        return SessionExpired(f"This session has expired. {again}")
    if state == "connected" or session.unredeemed:
        return SessionUsed("This session has connected an account. To connect another account, open the window again.")
    if state == "cancelled":
        return SessionCancelled(f"This session was cancelled. {again}")
    if state == "failed":
        return TooManyAttempts()
    return None


async def unavailable_error(tx: Transaction, session: ConnectSession, now: datetime) -> OneRuntimeError:
    """Read the session again. If the session has ended, return its error. Otherwise, return TooManyAttempts."""
    current = await get(tx, session.organization_id, session.id)
    return ended_error(current, now) or TooManyAttempts()


async def mark_opened(tx: Transaction, session: ConnectSession, now: datetime) -> None:
    """Mark the session as opened. An opened session expires one hour later. Repeated calls change nothing."""
    await tx.execute(_OPEN, session=session.id, now=now, until=now + LIFE_ONCE_OPENED)


async def reserve_check(tx: Transaction, session_id: str, now: datetime) -> bool:
    """Count an attempt. Return False if the session has ended, or has reached the limit.

    Callers count before they send the request to the provider, so that parallel attempts cannot exceed the limit.
    """
    return await tx.execute(_RESERVE, session=session_id, now=now) > 0


async def refund_check(tx: Transaction, session_id: str, error: Mapping[str, str] | None, now: datetime) -> None:
    """Undo the count of an attempt. Set the session's `last_error` to `error`."""
    await tx.execute(_REFUND, session=session_id, error=error, now=now)


async def note_error(tx: Transaction, session_id: str, error: Mapping[str, str], now: datetime) -> None:
    """Store the error of an attempt that was not counted, such as an authorization that the end user denied."""
    await tx.execute(_NOTE_ERROR, session=session_id, error=error, now=now)


async def note_refusal(tx: Transaction, session_id: str, error: Mapping[str, str], now: datetime) -> bool:
    """Store the error of an attempt that the provider refused. The tenth refusal ends the session as `failed`.

    Return True if this function ended the session.
    """
    row = await tx.one(_NOTE_REFUSAL, _ChecksRow, session=session_id, error=error, now=now)
    if row is None or row.failed_checks < MAX_FAILED_CHECKS:
        return False
    return await _end(tx, "failed", _FAIL, session=session_id, now=now)


async def complete(tx: Transaction, session_id: str, connection_id: str, now: datetime) -> bool:
    """End a pending session as `connected`. Return False if the session has already ended.

    `tx`: the transaction that stores the connection.
    """
    return await _end(tx, "connected", _COMPLETE, session=session_id, connection=connection_id, now=now)


async def hold(tx: Transaction, session_id: str, code: SecretToken, now: datetime) -> bool:
    """Mark the session as unredeemed, and store the hash of its code. Return False if the session has ended."""
    until = now + TIME_TO_REDEEM
    return await tx.execute(_HOLD, session=session_id, code=code.hash, now=now, until=until) > 0


async def redeem(tx: Transaction, session_id: str, connection_id: str, now: datetime) -> bool:
    """End an unredeemed session as `connected`. Return False if the session has already ended.

    `tx`: the transaction that stores the connection.
    """
    return await _end(tx, "connected", _REDEEM, session=session_id, connection=connection_id, now=now)


async def abandon(
    tx: Transaction, session_id: str, ended: Status, error: Mapping[str, str] | None, now: datetime
) -> bool:
    """End an unredeemed session without a connection. Return False if the session has already ended."""
    return await _end(tx, ended, _ABANDON, session=session_id, ended=ended, error=error, now=now)


async def cancel(tx: Transaction, session_id: str, now: datetime) -> bool:
    """Cancel a pending session. Return False if the session was not pending."""
    return await _end(tx, "cancelled", _CANCEL, session=session_id, now=now)


async def _end(tx: Transaction, state: Status, statement: Update, **values: object) -> bool:
    """Run the statement that ends a session. Return False if the statement changed nothing."""
    if not await tx.execute(statement, **values):
        return False
    tx.committed.append(metrics.sessions.labels(state).inc)
    return True


async def purge(installation: Installation) -> int:
    """Delete sessions that changed last 30 days ago, and expired sessions of a day ago that no end user opened.

    Return the number of deleted sessions.
    """
    now = installation.clock()
    old, unopened = now - RETENTION, now - UNOPENED_RETENTION
    return sum(
        [
            await run_in_batches(installation.database, _PURGE, before=lowest_id(old), changed_before=old, now=now),
            await run_in_batches(installation.database, _PURGE_UNOPENED, before=lowest_id(unopened), now=now),
        ]
    )
