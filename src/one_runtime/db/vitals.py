"""Read facts about a PostgreSQL server for `one-runtime doctor`."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

from sqlalchemy import DateTime, Integer, Text, and_, cast, column, func, not_, select, table

from one_runtime.db.engine import Transaction


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
    (_MAX - _RESERVED - _OTHERS).label("free_for_us"),
    func.current_setting("synchronous_commit", type_=Text).label("synchronous_commit"),
    func.pg_database_size(func.current_database(), type_=Integer).label("size"),
)
_NOW: Final = select(func.clock_timestamp(type_=DateTime(timezone=True)).label("now"))


@dataclass(frozen=True, slots=True)
class PostgresVitals:
    """Facts about a PostgreSQL server."""

    version: str
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
