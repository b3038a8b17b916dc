"""Define the classes `Database` and `Transaction`, which run SQLAlchemy Core statements on SQLite or PostgreSQL.

`sqlite.py` and `postgres.py` implement the classes with the drivers sqlite3 and psycopg. `database_url.py` chooses the
implementation for a URL.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from contextvars import ContextVar
from typing import Any, ClassVar, Final, TypeVar, overload

from sqlalchemy import literal, select
from sqlalchemy.sql import ClauseElement

from one_runtime.clock import Clock
from one_runtime.db.compiled import Params, Row, StatementCompiler
from one_runtime.errors import Unavailable
from one_runtime.telemetry.metrics import PoolUse

__all__ = [
    "UNKNOWN_CLUSTER",
    "Busy",
    "Database",
    "DiskFull",
    "Params",
    "Row",
    "Transaction",
    "WritesRefused",
    "has_unknown_cluster",
    "transaction_open",
]

R = TypeVar("R")

transaction_open: Final[ContextVar[bool]] = ContextVar("transaction_open", default=False)
"""True while the current asyncio task has an open writing transaction. Tests forbid outbound requests in this time."""


class Busy(Unavailable):
    """Another transaction has locked the database, or no connection became free in time."""

    code = "database_busy"
    documentation = (
        "The database is busy. One Runtime stored nothing.",
        "Try again.",
    )
    retry_after: int | None = 1


class DiskFull(Unavailable):
    """The disk of the database is full. Reads are possible, but writes are not."""

    def __init__(self) -> None:
        super().__init__("The disk of the database is full. Try again after the operator has made space.")


class WritesRefused(Unavailable):
    """The database answers, but refuses writes. For example, PostgreSQL is a standby."""

    def __init__(self) -> None:
        super().__init__("The database refuses writes. Try again after the operator has run `one-runtime doctor`.")


class Transaction(ABC):
    """Runs SQL statements. Functions that receive a transaction never commit, because `Database.write` commits.

    If the caller passes a row type, a statement returns rows of this type. A row type is a NamedTuple, a dataclass, or
    a class with `_fields`. The fields must have the names and the order of the statement's columns. Without a row
    type, a statement returns `Row` objects.
    """

    _compiler: ClassVar[StatementCompiler]

    def __init__(self, machine_clock: Clock) -> None:
        self.machine_clock = machine_clock
        """The clock of the machine on which this process runs (`jobs.queue.clock_skew`)."""
        self.committed: list[Callable[[], None]] = []
        """Functions that `Database.write` calls after the commit, for example to update metrics."""
        self.has_changed = False
        """True if a call of `execute` has changed a row."""

    @overload
    async def all(self, statement: ClauseElement, /, **params: object) -> list[Row]: ...
    @overload
    async def all(self, statement: ClauseElement, row_type: type[R], /, **params: object) -> list[R]: ...
    async def all(self, statement: ClauseElement, row_type: type[Any] = Row, /, **params: object) -> list[Any]:
        """Return every row. Raises: KeyError for a missing parameter. TypeError for a row type with other fields."""
        compiled = self._compiler.compile(statement)
        make_row = compiled.make_row[row_type]
        return list(map(make_row, await self._fetch(compiled.text, compiled.values(params))))

    @overload
    async def one(self, statement: ClauseElement, /, **params: object) -> Row | None: ...
    @overload
    async def one(self, statement: ClauseElement, row_type: type[R], /, **params: object) -> R | None: ...
    async def one(self, statement: ClauseElement, row_type: type[Any] = Row, /, **params: object) -> Any:
        """Return the first row, or None if the statement returns no row."""
        compiled = self._compiler.compile(statement)
        make_row = compiled.make_row[row_type]
        rows = await self._fetch(compiled.text, compiled.values(params))
        return make_row(rows[0]) if rows else None

    async def execute(self, statement: ClauseElement, **params: object) -> int:
        """Run a statement and return the number of rows that it changed."""
        compiled = self._compiler.compile(statement)
        changed = await self._execute(compiled.text, compiled.values(params))
        self.has_changed |= changed > 0
        return changed

    async def execute_many(self, statement: ClauseElement, many: Sequence[Params]) -> None:
        """Run a statement once for each set of parameters, with few round trips to the database."""
        compiled = self._compiler.compile(statement)
        await self._execute_many(compiled.text, [compiled.values(params) for params in many])

    @abstractmethod
    async def _fetch(self, text: str, values: Params) -> Sequence[Sequence[object]]:
        """Run a statement and return the driver's rows."""

    @abstractmethod
    async def _execute(self, text: str, values: Params) -> int:
        """Run a statement and return the number of rows that it changed."""

    @abstractmethod
    async def _execute_many(self, text: str, many: Sequence[Params]) -> None:
        """Run a statement once for each set of parameters."""


_PING: Final = select(literal(1))

UNKNOWN_CLUSTER: Final = "unknown"
"""Part of the location of a PostgreSQL database, if PostgreSQL does not allow the user to read the cluster's id."""


def has_unknown_cluster(location: str) -> bool:
    """Return True if the location does not identify the cluster, so that a copy in another cluster can have it too."""
    return location.startswith(f"postgresql {UNKNOWN_CLUSTER} ")


class Database(ABC):
    """A SQLite or PostgreSQL database.

    `refusal`: the error of the last write of this process, if the database refuses all writes. A transaction that
    changes no row can succeed nevertheless. So only a transaction that changes a row ends the refusal.
    """

    refusal: type[DiskFull] | type[WritesRefused] | None = None

    @abstractmethod
    async def open(self) -> None:
        """Connect. Raises: ConfigurationError if the database cannot be reached."""

    @abstractmethod
    async def close(self) -> None:
        """Close every connection."""

    @abstractmethod
    def read(self) -> AbstractAsyncContextManager[Transaction]:
        """Run statements that change nothing. Each statement sees the latest committed data.

        The statements do not form one database transaction, so other transactions can change data between two
        statements. To read consistent data, use a single statement.
        """

    @abstractmethod
    def snapshot(self) -> AbstractAsyncContextManager[Transaction]:
        """Run statements that change nothing, in one transaction. All statements see the data of the same moment.

        Do not hold a snapshot for long. PostgreSQL cannot remove deleted rows, and SQLite cannot shorten the
        write-ahead log, until the snapshot ends. Raises: Busy, Unavailable.
        """

    def connections(self) -> PoolUse | None:
        """Return how many connections the pool has, or None if the database has no pool."""
        return None

    @abstractmethod
    async def location(self, *, create: bool = False) -> str:
        """Return a fingerprint of the database's location. A restored dump or a copied file has another fingerprint.

        `create`: True to create the location file of a SQLite database, if the file is missing.

        Raises: Unavailable.
        """

    async def ping(self) -> None:
        """Check that the database answers a statement, and did not refuse the last write. Raises: Unavailable."""
        if self.refusal is not None:
            raise self.refusal
        async with self.read() as tx:
            await tx.one(_PING)

    @abstractmethod
    def write(self, *, use_reserve: bool = False) -> AbstractAsyncContextManager[Transaction]:
        """Run one transaction: commit at the end, roll back on any error.

        `use_reserve`: True for data that One Runtime cannot get again, such as new tokens. If the disk is full, this
        transaction can use the space of SQLite's `DiskReserve`. If PostgreSQL is away, this transaction waits for it.

        Raises: Busy, DiskFull, Unavailable.
        """
