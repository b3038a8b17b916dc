"""Run SQLAlchemy Core statements on the bare drivers: sqlite3 on the loop, psycopg's pool for PostgreSQL.

A statement is compiled once for its dialect; what goes in and what comes out is converted here, driven by the
statement's own bind and result types, so that both databases give the same Python values: `str` for UUIDs, aware
`datetime`, `bytes`, parsed JSON, `bool`. SQLAlchemy's engines are not used: they cost four to seven times the query
(docs/decisions/0001-bare-drivers.md).
"""

import asyncio
import json
import sqlite3
import time
from abc import ABC, abstractmethod
from collections import namedtuple
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar, Final, TypeAlias
from weakref import WeakKeyDictionary

import psycopg
from psycopg.adapt import Loader
from psycopg_pool import AsyncConnectionPool, PoolTimeout
from sqlalchemy import JSON, Boolean, DateTime, Integer, LargeBinary, literal, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.sql import ClauseElement
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.types import TypeEngine

from one_runtime.clock import rfc3339
from one_runtime.db.pipeline import Reading
from one_runtime.errors import ConfigurationError, Unavailable
from one_runtime.telemetry import tracing

Row: TypeAlias = Any
"""A named tuple with the statement's columns."""

Params: TypeAlias = Mapping[str, object]
Convert: TypeAlias = Callable[[Any], object]

LOCK_PATIENCE: Final = 5.0
"""Seconds to wait, off the loop, for another process that writes to the same SQLite file."""

transaction_open: Final[ContextVar[bool]] = ContextVar("transaction_open", default=False)
"""Whether this task holds a writing transaction; no outbound request may run then (a test asserts it)."""


class Busy(Unavailable):
    """The database is locked by another process, or no connection to it came free in time."""

    code = "database_busy"


@dataclass(frozen=True, slots=True)
class _Compiled:
    text: str
    binds: tuple[tuple[str, str, object, bool, Convert | None], ...]  # name in text, key, default, required, convert
    row: Callable[[Sequence[object]], Row]


def _row_maker(columns: Sequence[tuple[str, Convert | None]]) -> Callable[[Sequence[object]], Row]:
    make_type: Any = namedtuple  # noqa: PYI024 - its columns are known at run time only
    row_type: Row = make_type("Row", [name for name, _ in columns], rename=True)
    converts = tuple((index, convert) for index, (_, convert) in enumerate(columns) if convert)
    if not converts:
        return row_type._make  # type: ignore[no-any-return]

    def make(values: Sequence[object]) -> Row:
        cells = list(values)
        for index, convert in converts:
            if cells[index] is not None:
                cells[index] = convert(cells[index])
        return row_type._make(cells)

    return make


def _dump(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


class _Driver:
    """Statements as a driver takes them, each compiled once, and how it takes and gives values."""

    def __init__(
        self, dialect: Dialect, *, binds: Mapping[type[TypeEngine[Any]], Convert], results: Mapping[type, Convert]
    ) -> None:
        self._dialect, self._binds, self._results = dialect, binds, results
        self._compiled: WeakKeyDictionary[ClauseElement, _Compiled] = WeakKeyDictionary()

    def compiled(self, statement: ClauseElement) -> _Compiled:
        """The statement; kept for as long as somebody else keeps it."""
        found = self._compiled.get(statement)
        if found is None:
            found = self._compiled[statement] = self._compile(statement)
        return found

    def _compile(self, statement: ClauseElement) -> _Compiled:
        compiled = statement.compile(dialect=self._dialect, compile_kwargs={"render_postcompile": True})
        assert isinstance(compiled, SQLCompiler)  # noqa: S101 - every statement that returns rows or a count is one
        binds = [self._bind(compiled, name) for name in compiled.positiontup or compiled.params]
        columns = [
            (column.keyname, _converting(self._results, column.type))
            for column in compiled._result_columns  # noqa: SLF001
        ]
        return _Compiled(compiled.string, tuple(binds), _row_maker(columns))

    def _bind(self, compiled: SQLCompiler, name: str) -> tuple[str, str, object, bool, Convert | None]:
        """One parameter. `IN (x)` was expanded to `x_1, x_2`: those hold their values, and have the type of `x`."""
        bind = compiled.binds.get(name)
        expanded = bind is None
        bind = bind if bind is not None else compiled.binds[name.rpartition("_")[0]]
        key = name if expanded else bind.key
        required = bind.required and not expanded
        return name, key, compiled.params[name], required, _converting(self._binds, bind.type)


def _converting(converts: Mapping[type, Convert], kind: TypeEngine[Any]) -> Convert | None:
    """How values of this type are converted; None where they pass as they are."""
    return next((convert for base, convert in converts.items() if isinstance(kind, base)), None)


def _utc(value: datetime) -> datetime:
    return value.astimezone(UTC)


_SQLITE: Final = _Driver(
    sqlite.dialect(paramstyle="named"),
    binds={DateTime: rfc3339, JSON: _dump, Boolean: int},
    results={DateTime: datetime.fromisoformat, JSON: json.loads, Boolean: bool, LargeBinary: bytes, Integer: int},
)
_POSTGRESQL: Final = _Driver(
    postgresql.psycopg.dialect(),  # type: ignore[no-untyped-call]
    binds={JSON: _dump},
    results={DateTime: _utc, Integer: int},
)


class Transaction(ABC):
    """Where statements run. Nouns take one and never commit it."""

    _driver: ClassVar[_Driver]

    def __init__(self) -> None:
        self.committed: list[Callable[[], None]] = []
        """What to call once the transaction is committed, and never where it is rolled back: it counts, for metrics."""

    def _prepare(self, statement: ClauseElement, params: Params) -> tuple[_Compiled, dict[str, object]]:
        compiled = self._driver.compiled(statement)
        values: dict[str, object] = {}
        for name, key, default, required, convert in compiled.binds:
            value = params[key] if required else params.get(key, default)
            values[name] = convert(value) if convert and value is not None else value
        return compiled, values

    @abstractmethod
    async def all(self, statement: ClauseElement, **params: object) -> list[Row]:
        """Every row."""

    @abstractmethod
    async def execute(self, statement: ClauseElement, **params: object) -> int:
        """Run it and say how many rows it changed."""

    @abstractmethod
    async def execute_many(self, statement: ClauseElement, many: Sequence[Params]) -> None:
        """Run it once for each of these, in few trips to the database."""

    async def one(self, statement: ClauseElement, **params: object) -> Row | None:
        """The first row, or None."""
        rows = await self.all(statement, **params)
        return rows[0] if rows else None


@dataclass(frozen=True, slots=True)
class PoolUse:
    """What a pool of connections is doing: how many work, are idle, and may be at the most; and how many wait."""

    in_use: int
    idle: int
    most: int
    waiting: int


_PING: Final = select(literal(1))


class Database(ABC):
    """An open database. `read` gives committed data, each statement on its own; `write` is a transaction."""

    @abstractmethod
    async def open(self) -> None:
        """Connect. Raises: ConfigurationError where that cannot be done."""

    @abstractmethod
    async def close(self) -> None:
        """Let every connection go."""

    @abstractmethod
    def read(self) -> AbstractAsyncContextManager[Transaction]:
        """Statements that change nothing."""

    def connections(self) -> PoolUse | None:
        """What the pool is doing; None where there is none."""
        return None

    async def ping(self) -> None:
        """Ask the database anything. Raises: Unavailable."""
        async with self.read() as tx:
            await tx.one(_PING)

    @asynccontextmanager
    async def write(self) -> AsyncIterator[Transaction]:
        """One transaction: committed at the end, rolled back on any error. Raises: Busy."""
        with tracing.span("database transaction"):
            async with self._transaction() as transaction:
                yield transaction
        for call in transaction.committed:
            call()

    @abstractmethod
    def _transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """What `write` is around."""


class _SqliteTransaction(Transaction):
    _driver = _SQLITE
    connection: sqlite3.Connection

    async def all(self, statement: ClauseElement, **params: object) -> list[Row]:
        compiled, values = self._prepare(statement, params)
        return list(map(compiled.row, self.connection.execute(compiled.text, values).fetchall()))

    async def execute(self, statement: ClauseElement, **params: object) -> int:
        compiled, values = self._prepare(statement, params)
        return self.connection.execute(compiled.text, values).rowcount

    async def execute_many(self, statement: ClauseElement, many: Sequence[Params]) -> None:
        values = (self._prepare(statement, params)[1] for params in many)
        self.connection.executemany(self._driver.compiled(statement).text, values)


class _SqliteReader(_SqliteTransaction):
    """Reads; its own context manager, since the hot read is over in microseconds."""

    async def __aenter__(self) -> Transaction:
        return self

    async def __aexit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, sqlite3.OperationalError):
            raise _sqlite_error(error) from error


class SqliteDatabase(Database):
    """A file, read and written on the loop (it is memory, not a network); a lock keeps transactions apart."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._lock = asyncio.Lock()
        self._reader = _SqliteReader()
        self._writing: sqlite3.Connection

    async def open(self) -> None:
        self._writing = connect_sqlite(self._path)
        self._reader.connection = connect_sqlite(self._path)
        self._reader.connection.execute("PRAGMA query_only = ON")

    async def close(self) -> None:
        async with self._lock:
            self._reader.connection.close()
            self._writing.close()

    def read(self) -> AbstractAsyncContextManager[Transaction]:
        return self._reader

    def _statements(self, connection: sqlite3.Connection) -> _SqliteTransaction:
        transaction = _SqliteTransaction()
        transaction.connection = connection
        return transaction

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Transaction]:
        async with self._lock:
            connection = self._writing
            await _begin(connection)
            token = transaction_open.set(True)
            try:
                yield self._statements(connection)
                connection.execute("COMMIT")
            except BaseException as error:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                if isinstance(error, sqlite3.OperationalError):
                    raise _sqlite_error(error) from error
                raise
            finally:
                transaction_open.reset(token)


def connect_sqlite(path: str) -> sqlite3.Connection:
    """A connection with our settings: a lost commit would lose a rotated token, so every commit is synced; deleted
    bytes are overwritten; nothing waits for a lock on the loop. Opening does wait: another process may be making the
    file, or leaving it."""
    connection = None
    try:
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=LOCK_PATIENCE)
        _turn_on_wal(connection)
        for pragma in ("synchronous = FULL", "foreign_keys = ON", "secure_delete = ON", "busy_timeout = 0"):
            connection.execute(f"PRAGMA {pragma}")
    except sqlite3.Error as error:
        if connection is not None:
            connection.close()
        raise ConfigurationError(f"The SQLite database {path} cannot be opened: {error}.") from error
    return connection


def _turn_on_wal(connection: sqlite3.Connection) -> None:
    """SQLite does not wait by itself for the lock that this takes. Raises: sqlite3.OperationalError."""
    deadline = time.monotonic() + LOCK_PATIENCE
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


async def _begin(connection: sqlite3.Connection) -> None:
    deadline, pause = time.monotonic() + LOCK_PATIENCE, 0.001
    while True:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise _sqlite_error(error) from error
            await asyncio.sleep(pause)
            pause = min(pause * 2, 0.05)
        else:
            return


def _sqlite_error(error: sqlite3.OperationalError) -> Unavailable:
    if error.sqlite_errorcode & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return Busy("The database is locked by another process. Try again.")
    return Unavailable("The database does not answer. The operator finds the reason in the log.")


_Pool: TypeAlias = AsyncConnectionPool[psycopg.AsyncConnection[Any]]

_POSTGRESQL_OPTIONS: Final[dict[str, object]] = {
    "autocommit": True,
    "prepare_threshold": 1,
    # A server that has gone is noticed, and no statement runs for ever.
    "options": "-c timezone=UTC -c statement_timeout=30000",
    "tcp_user_timeout": 15_000,
    "keepalives_idle": 30,
    "connect_timeout": 10,
}


class _PostgresTransaction(Transaction):
    _driver = _POSTGRESQL
    connection: psycopg.AsyncConnection[Any]

    async def all(self, statement: ClauseElement, **params: object) -> list[Row]:
        compiled, values = self._prepare(statement, params)
        cursor = await self.connection.execute(compiled.text, values)
        return list(map(compiled.row, await cursor.fetchall()))

    async def execute(self, statement: ClauseElement, **params: object) -> int:
        compiled, values = self._prepare(statement, params)
        return (await self.connection.execute(compiled.text, values)).rowcount

    async def execute_many(self, statement: ClauseElement, many: Sequence[Params]) -> None:
        values = [self._prepare(statement, params)[1] for params in many]
        await self.connection.cursor().executemany(self._driver.compiled(statement).text, values)


class _PostgresReader(Transaction):
    """Reads, whoever asks; each statement on its own."""

    _driver = _POSTGRESQL

    def __init__(self, pool: _Pool) -> None:
        super().__init__()
        self._reading = Reading(pool)

    async def close(self) -> None:
        """Stop what is on its way."""
        await self._reading.close()

    async def all(self, statement: ClauseElement, **params: object) -> list[Row]:
        compiled, values = self._prepare(statement, params)
        return list(map(compiled.row, await self._reading.run(compiled.text, values)))

    async def execute(self, statement: ClauseElement, **params: object) -> int:
        return len(await self.all(statement, **params))

    async def execute_many(self, statement: ClauseElement, many: Sequence[Params]) -> None:
        for params in many:
            await self.all(statement, **params)


class _TextLoader(Loader):
    """UUIDs as the text they arrive as."""

    def load(self, data: Any) -> str:
        return bytes(data).decode()


async def _configure(connection: psycopg.AsyncConnection[Any]) -> None:
    connection.adapters.register_loader("uuid", _TextLoader)


class PostgresDatabase(Database):
    """PostgreSQL through psycopg's pool; reads are single statements without BEGIN and COMMIT around them."""

    def __init__(self, url: str, *, pool_size: int = 10) -> None:
        self._pool: _Pool = AsyncConnectionPool(
            url,
            min_size=min(2, pool_size),
            max_size=pool_size,
            open=False,
            timeout=10,
            kwargs=_POSTGRESQL_OPTIONS,
            configure=_configure,
        )
        self._reader = _PostgresReader(self._pool)

    async def open(self) -> None:
        try:
            await self._pool.open(wait=True, timeout=10)
        except PoolTimeout as error:
            await self._pool.close()
            raise ConfigurationError(
                "PostgreSQL cannot be reached within 10 seconds. Check ONE_RUNTIME_DATABASE_URL and the server."
            ) from error

    async def close(self) -> None:
        await self._reader.close()
        await self._pool.close()

    def connections(self) -> PoolUse | None:
        told = self._pool.get_stats()
        size, idle, most = (told.get(f"pool_{name}", 0) for name in ("size", "available", "max"))
        return PoolUse(size - idle, idle, most, told.get("requests_waiting", 0))

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Transaction]:
        with _postgres_errors():
            yield self._reader

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Transaction]:
        with _postgres_errors():
            async with self._pool.connection() as connection, connection.transaction():
                transaction = _PostgresTransaction()
                transaction.connection = connection
                token = transaction_open.set(True)
                try:
                    yield transaction
                finally:
                    transaction_open.reset(token)


@contextmanager
def _postgres_errors() -> Iterator[None]:
    try:
        yield
    except PoolTimeout as error:
        raise Busy("No connection to the database came free in time. Try again.") from error
    # A server that has become a standby answers, and takes nothing.
    except (psycopg.OperationalError, psycopg.errors.ReadOnlySqlTransaction) as error:
        raise Unavailable("The database does not answer. The operator finds the reason in the log.") from error


def sqlite_path(url: str) -> str | None:
    """The file of a `sqlite:///` URL, or None for another database's."""
    head = "sqlite:///"
    return url.removeprefix(head) if url.startswith(head) else None


def create_database(url: str, *, pool_size: int = 10) -> Database:
    """The database that a URL names: `sqlite:///relative.db`, `sqlite:////absolute.db`, `postgresql://…`.

    Raises: ConfigurationError for any other.
    """
    path = sqlite_path(url)
    if path:
        return SqliteDatabase(path)
    if url.startswith(("postgresql://", "postgres://")):
        return PostgresDatabase(url, pool_size=pool_size)
    raise ConfigurationError("ONE_RUNTIME_DATABASE_URL must start with sqlite:/// or postgresql://.")
