"""Implement `Database` for PostgreSQL, with psycopg's connection pool."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final, LiteralString, TypeAlias

import psycopg
from psycopg.adapt import Loader
from psycopg_pool import AsyncConnectionPool, PoolTimeout
from sqlalchemy import JSON, DateTime, Integer
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import JSONB

from one_runtime.clock import Clock, system_clock
from one_runtime.db.compiled import Params, StatementCompiler, dump_json
from one_runtime.db.engine import (
    UNKNOWN_CLUSTER,
    Database,
    DiskFull,
    Transaction,
    WritesRefused,
    transaction_open,
)
from one_runtime.db.pipeline import ReadPipeline
from one_runtime.db.pooler import PATIENCE, connection_options
from one_runtime.db.watched_pool import WatchedPool, no_connection
from one_runtime.errors import ConfigurationError, Unavailable
from one_runtime.telemetry import tracing
from one_runtime.telemetry.logger import Logger
from one_runtime.telemetry.metrics import PoolUse

log = Logger()

_Pool: TypeAlias = AsyncConnectionPool[psycopg.AsyncConnection[Any]]

_UNAVAILABLE: Final = (
    psycopg.OperationalError,  # includes PoolTimeout
    psycopg.errors.ReadOnlySqlTransaction,  # a server that has become a standby refuses writes
    psycopg.errors.InsufficientPrivilege,
)

_RECONNECT: Final = 5.0
"""Seconds for which the pool repeats an attempt to connect, with growing pauses. Later statements start new attempts.

With the pool's default of five minutes, a pause can last longer than an outage.
"""

_SNAPSHOT: Final = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
_DATABASE_OID: Final = "SELECT oid FROM pg_database WHERE datname = current_database()"
_CLUSTER_ID: Final = "SELECT system_identifier FROM pg_control_system()"


def _utc(value: datetime) -> datetime:
    return value.astimezone(UTC)


class _Dialect(postgresql.psycopg.dialect):
    """The dialect of psycopg, in which every JSON column is a JSONB column."""

    colspecs = postgresql.psycopg.dialect.colspecs | {JSON: JSONB}


_COMPILER: Final = StatementCompiler(
    _Dialect(),  # type: ignore[no-untyped-call]
    binds={JSON: dump_json},
    results={DateTime: _utc, Integer: int},
)


class _PostgresTransaction(Transaction):
    _compiler = _COMPILER

    def __init__(self, connection: psycopg.AsyncConnection[Any], machine_clock: Clock) -> None:
        super().__init__(machine_clock)
        self.connection = connection

    async def _fetch(self, text: str, values: Params) -> list[tuple[Any, ...]]:
        cursor = await self.connection.execute(text, values)
        return await cursor.fetchall()

    async def _execute(self, text: str, values: Params) -> int:
        return (await self.connection.execute(text, values)).rowcount

    async def _execute_many(self, text: str, many: Sequence[Params]) -> None:
        await self.connection.cursor().executemany(text, many)


class _PostgresReader(Transaction):
    """Runs the read statements of all asyncio tasks, without BEGIN and COMMIT."""

    _compiler = _COMPILER

    def __init__(self, pipeline: ReadPipeline, machine_clock: Clock) -> None:
        super().__init__(machine_clock)
        self._pipeline = pipeline

    async def __aenter__(self) -> Transaction:
        return self

    async def __aexit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, _UNAVAILABLE):
            raise _translate(error) from error

    async def _fetch(self, text: str, values: Params) -> list[tuple[Any, ...]]:
        return await self._pipeline.run(text, values)

    async def _execute(self, text: str, values: Params) -> int:
        return len(await self._fetch(text, values))

    async def _execute_many(self, text: str, many: Sequence[Params]) -> None:
        for values in many:
            await self._fetch(text, values)


class _TextLoader(Loader):
    """Returns UUIDs as text."""

    def load(self, data: Any) -> str:
        return bytes(data).decode()


async def _configure(connection: psycopg.AsyncConnection[Any]) -> None:
    connection.adapters.register_loader("uuid", _TextLoader)


class PostgresDatabase(Database):
    """A PostgreSQL database with a pool of connections."""

    def __init__(self, url: str, *, pool_size: int = 10, machine_clock: Clock = system_clock) -> None:
        self._url, self._machine_clock = url, machine_clock
        self._pool: _Pool = AsyncConnectionPool(
            url,
            min_size=min(2, pool_size),
            max_size=pool_size,
            open=False,
            timeout=10,
            reconnect_timeout=_RECONNECT,
            configure=_configure,
        )
        self._connections = WatchedPool(self._pool)
        self._pipeline = ReadPipeline(self._connections)
        self._reader = _PostgresReader(self._pipeline, machine_clock)

    async def open(self) -> None:
        self._pool.kwargs = await connection_options(self._url)
        try:
            await self._pool.open(wait=True, timeout=PATIENCE)
        except PoolTimeout as error:
            await self._pool.close()
            raise ConfigurationError(
                f"PostgreSQL allows no connection within {PATIENCE:g} seconds. Check the server."
            ) from error

    async def close(self) -> None:
        await self._pipeline.close()
        await self._connections.close()

    async def location(self, *, create: bool = False) -> str:  # noqa: ARG002 - for SQLite
        # A failover keeps the identifier of the cluster and the OID of the database. A dump contains neither.
        self._connections.enqueue()
        try:
            async with self._connections.connection() as connection:
                (database,) = await _fetch_row(connection, _DATABASE_OID)
                try:
                    (cluster,) = await _fetch_row(connection, _CLUSTER_ID)
                except (psycopg.errors.InsufficientPrivilege, psycopg.errors.UndefinedFunction):
                    cluster = UNKNOWN_CLUSTER  # a hosting provider can revoke the right to call this function
        except _UNAVAILABLE as error:
            raise _translate(error) from error
        return f"postgresql {cluster} {database}"

    def connections(self) -> PoolUse | None:
        stats = self._pool.get_stats()
        size, idle, most = (stats.get(f"pool_{name}", 0) for name in ("size", "available", "max"))
        return PoolUse(size - idle, idle, most, stats.get("requests_waiting", 0))

    def read(self) -> AbstractAsyncContextManager[Transaction]:
        return self._reader

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Transaction]:
        self._connections.enqueue()
        try:
            async with self._connections.connection() as connection, connection.transaction():
                await connection.execute(_SNAPSHOT)
                yield _PostgresTransaction(connection, self._machine_clock)
        except _UNAVAILABLE as error:
            raise _translate(error) from error

    @asynccontextmanager
    async def write(self, *, use_reserve: bool = False) -> AsyncIterator[Transaction]:
        self._connections.enqueue(essential=use_reserve)
        with tracing.span("database transaction"):
            try:
                async with self._connections.connection() as connection, _closed_if_read_only(connection):
                    transaction = _PostgresTransaction(connection, self._machine_clock)
                    token = transaction_open.set(True)
                    try:
                        async with connection.transaction():
                            yield transaction
                    finally:
                        transaction_open.reset(token)
            except _UNAVAILABLE as error:
                unavailable = _translate(error)
                if isinstance(unavailable, DiskFull | WritesRefused):
                    self.refusal = type(unavailable)
                raise unavailable from error
        if transaction.has_changed:
            self.refusal = None
        for call in transaction.committed:
            call()


@asynccontextmanager
async def _closed_if_read_only(connection: psycopg.AsyncConnection[Any]) -> AsyncIterator[None]:
    """Close a connection that refuses writes. The pool then opens a connection that possibly accepts writes."""
    try:
        yield
    except psycopg.errors.ReadOnlySqlTransaction:
        await connection.close()
        raise


async def _fetch_row(connection: psycopg.AsyncConnection[Any], query: LiteralString) -> tuple[Any, ...]:
    row: tuple[Any, ...] | None = await (await connection.execute(query)).fetchone()
    assert row is not None  # noqa: S101 - both queries return one row
    return row


def _translate(error: Exception) -> Unavailable:
    if isinstance(error, PoolTimeout):
        return no_connection()
    # Log only the name of the error's class, because the driver's message could contain a value of the statement.
    log.warning("database_unavailable", reason=type(error).__name__)
    if isinstance(error, psycopg.errors.DiskFull):
        return DiskFull()
    if isinstance(error, psycopg.errors.ReadOnlySqlTransaction):
        return WritesRefused()
    if isinstance(error, psycopg.errors.QueryCanceled):
        return Unavailable("The database stopped this request's statement, because it took too long. Try again later.")
    return Unavailable("The database does not answer. Try again later. The server's log has the reason.")
