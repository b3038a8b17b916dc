"""Read facts about a PostgreSQL server for `one-runtime doctor`, and explain why a server cannot be reached."""

import re
import sqlite3
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import psycopg
from sqlalchemy import DateTime, Integer, Text, and_, cast, column, func, not_, select, table

from one_runtime.db.engine import Transaction
from one_runtime.errors import OneRuntimeError, Unavailable


class _NowRow(NamedTuple):
    now: datetime


_MAX: Final = cast(func.current_setting("max_connections"), Integer)
_RESERVED: Final = cast(func.current_setting("superuser_reserved_connections"), Integer) + cast(
    func.coalesce(func.current_setting("reserved_connections", True), "0"),  # PostgreSQL 16 and later
    Integer,
)
_activity: Final = table("pg_stat_activity", column("datname", Text), column("usename", Text))
_OTHERS: Final = (
    select(func.count())
    .select_from(_activity)
    .where(
        _activity.c.datname.is_not(None),
        not_(
            and_(_activity.c.datname == func.current_database(), _activity.c.usename == func.current_user(type_=Text))
        ),
    )
    .scalar_subquery()
)
_VITALS: Final = select(
    func.current_setting("server_version", type_=Text).label("version"),
    (cast(func.current_setting("server_version_num"), Integer) // 10_000).label("major"),
    (_MAX - _RESERVED - _OTHERS).label("free_for_us"),
    func.current_setting("synchronous_commit", type_=Text).label("synchronous_commit"),
    func.pg_database_size(func.current_database(), type_=Integer).label("size"),
)
_NOW: Final = select(func.clock_timestamp(type_=DateTime(timezone=True)).label("now"))

# Patterns of messages from libpq and psycopg, and the reasons that the doctor shows instead. An original message can
# contain a part of the database's URL.
_REASONS: Final = (
    (r"password authentication failed|no password supplied", "the password or the user name is refused"),
    (r"no pg_hba\.conf entry", "its pg_hba.conf does not allow this address or user"),
    (r"database .* does not exist", "there is no such database"),
    (r"role .* does not exist", "there is no such user"),
    (r"too many (?:clients|connections)|remaining connection slots", "it has no connection left"),
    (r"starting up|shutting down|recovery mode", "it is starting or stopping"),
    (r"timeout|timed out", "it does not answer in time, possibly because a firewall drops the packets"),
    (r"invalid response to SSL negotiation", "another program answers at this address and port"),
    (r"SSL|certificate|TLS", "the TLS handshake failed"),
    (r"refused", "nothing listens at this address and port"),
    (r"No such file", "there is no such socket"),
    (r"resolve|translate host name|not known", "its name cannot be resolved"),
    (r"closed the connection", "it closes the connection"),
    (r"read-only transaction", "it refuses writes"),
    (r"permission denied|must be owner", "the database user has no permission"),
)


@dataclass(frozen=True, slots=True)
class PostgresVitals:
    """Facts about a PostgreSQL server."""

    version: str
    major: int
    free_for_us: int
    """Maximum number of connections that this user can have to this database, including open connections."""
    synchronous_commit: str
    size: int
    """Size of the database in bytes."""


async def postgres_vitals(tx: Transaction) -> PostgresVitals:
    """Read the facts. The database user needs no special privilege."""
    vitals = await tx.one(_VITALS, PostgresVitals)
    assert vitals is not None  # noqa: S101 - a statement without FROM returns one row
    return vitals


async def database_clock(tx: Transaction) -> datetime:
    """Return the time of a PostgreSQL server's clock. SQLite has no clock of its own."""
    row = await tx.one(_NOW, _NowRow)
    assert row is not None  # noqa: S101 - a statement without FROM returns one row
    return row.now


def why_unreachable(error: BaseException) -> str:
    """Return a short reason for a driver's error, but never the driver's own message."""
    messages = []
    cause: BaseException | None = error
    while cause is not None:
        messages.append(str(cause))
        cause = cause.__cause__ or cause.__context__
    text = "\n".join(messages)
    return next((why for pattern, why in _REASONS if re.search(pattern, text)), "it cannot be reached")


def message_for_operator(error: OneRuntimeError) -> str:
    """Return the message of an error for the output of a command, which has no log with the driver's reason."""
    cause = error.__cause__
    if type(error) is not Unavailable or not isinstance(cause, psycopg.Error | sqlite3.Error):
        return error.detail
    reason = getattr(cause, "sqlite_errorname", type(cause).__name__)
    return f"The database does not answer ({reason}). Run `one-runtime doctor`."


def shown_server(url: str) -> str:
    """Return the name "PostgreSQL" with the host and port of a URL.

    If the path, query or fragment contains an `@`, return only the name. In such a URL, the apparent host can be
    a part of a password that contains an unencoded `/`, `?` or `#`.
    """
    parts = urlsplit(url)
    if "@" in parts.path + parts.query + parts.fragment:
        return "PostgreSQL"
    return f"PostgreSQL at {parts.netloc.rpartition('@')[2] or 'its local socket'}"
