"""Implement `Database` for SQLite, with Python's module sqlite3.

Statements run on the event loop, because SQLite needs no network and mostly reads from memory. COMMIT waits for the
disk, so it runs on a thread.
"""

import asyncio
import errno
import sqlite3
import time
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from pydantic_core import from_json
from sqlalchemy import JSON, Boolean, DateTime, Integer, LargeBinary
from sqlalchemy.dialects import sqlite

from one_runtime.clock import Clock, rfc3339, system_clock
from one_runtime.db.compiled import Params, StatementCompiler, dump_json
from one_runtime.db.disk_reserve import DiskReserve
from one_runtime.db.engine import Busy, Database, DiskFull, Transaction, WritesRefused, transaction_open
from one_runtime.db.file_location import file_location
from one_runtime.db.obstacles import open_failure, path_obstacle
from one_runtime.errors import ConfigurationError, Unavailable
from one_runtime.telemetry import tracing
from one_runtime.telemetry.logger import Logger

log = Logger()

LOCK_PATIENCE: Final = 5.0
"""Seconds to wait for another process that writes to the same SQLite file."""

_COMPILER: Final = StatementCompiler(
    sqlite.dialect(paramstyle="named"),
    binds={DateTime: rfc3339, JSON: dump_json, Boolean: int},
    results={DateTime: datetime.fromisoformat, JSON: from_json, Boolean: bool, LargeBinary: bytes, Integer: int},
)


class _SqliteTransaction(Transaction):
    _compiler = _COMPILER

    def __init__(self, connection: sqlite3.Connection, machine_clock: Clock) -> None:
        super().__init__(machine_clock)
        self.connection = connection

    async def _fetch(self, text: str, values: Params) -> list[tuple[Any, ...]]:
        return self.connection.execute(text, values).fetchall()

    async def _execute(self, text: str, values: Params) -> int:
        return self.connection.execute(text, values).rowcount

    async def _execute_many(self, text: str, many: Sequence[Params]) -> None:
        self.connection.executemany(text, many)


class _SqliteReader(_SqliteTransaction):
    """Runs the read statements of all asyncio tasks. To save time, the tasks share one object."""

    async def __aenter__(self) -> Transaction:
        return self

    async def __aexit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, sqlite3.OperationalError):
            raise _translate(error) from error


class SqliteDatabase(Database):
    """A SQLite file with a connection for reads and a connection for writes.

    A lock ensures that this process runs one writing transaction at a time.
    """

    def __init__(
        self,
        path: str,
        *,
        patience: float = LOCK_PATIENCE,
        disk_reserve: bool = False,
        machine_clock: Clock = system_clock,
    ) -> None:
        """`patience`: seconds that a writing transaction waits for another process that writes to the file.

        `disk_reserve`: True to keep a `DiskReserve`. If the disk lacks space for the reserve, the database runs only
        transactions with `use_reserve`.
        """
        self._path, self._patience, self._machine_clock = path, patience, machine_clock
        self._reserve = DiskReserve(Path(f"{Path(path).resolve()}.reserve")) if disk_reserve else None
        self._lock = asyncio.Lock()
        self._disk = ThreadPoolExecutor(1, "sqlite-commit")
        self._reader: _SqliteReader
        self._writing: sqlite3.Connection

    async def open(self) -> None:
        obstacle = path_obstacle(Path(self._path))
        if obstacle is not None:
            raise obstacle.error()
        self._writing = connect_sqlite(self._path)
        self._reader = _SqliteReader(connect_sqlite(self._path), self._machine_clock)
        self._reader.connection.execute("PRAGMA query_only = ON")
        try:
            self._hold_reserve()
        except DiskFull as error:
            await self.close()
            raise ConfigurationError(
                f"The disk of the SQLite database {self._path} is almost full. The server reserves 8 MiB for new "
                "tokens. Make space on the disk, and start the server again."
            ) from error

    async def close(self) -> None:
        async with self._lock:
            if self._reserve is not None:
                self._reserve.release()
            self._reader.connection.close()
            self._writing.close()
            self._disk.shutdown()

    async def location(self, *, create: bool = False) -> str:
        return file_location(self._path, create=create)

    def read(self) -> AbstractAsyncContextManager[Transaction]:
        return self._reader

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Transaction]:
        try:
            with closing(connect_sqlite(self._path)) as connection:
                connection.execute("PRAGMA query_only = ON")
                connection.execute("BEGIN")
                connection.execute("SELECT 1 FROM sqlite_schema").fetchone()  # the first read starts the snapshot
                yield _SqliteTransaction(connection, self._machine_clock)
        except sqlite3.OperationalError as error:
            raise _translate(error) from error

    @asynccontextmanager
    async def write(self, *, use_reserve: bool = False) -> AsyncIterator[Transaction]:
        connection = self._writing
        transaction = _SqliteTransaction(connection, self._machine_clock)
        cancellation = None
        with tracing.span("database transaction"):
            async with self._lock, self._disk_space(transaction, use_reserve=use_reserve):
                await _begin(connection, self._patience)
                token = transaction_open.set(True)
                try:
                    yield transaction
                    cancellation = await self._commit(connection)
                except BaseException as error:
                    if connection.in_transaction:
                        connection.execute("ROLLBACK")
                    if isinstance(error, sqlite3.OperationalError):
                        raise _translate(error) from error
                    raise
                finally:
                    transaction_open.reset(token)
        for call in transaction.committed:
            call()
        if cancellation is not None:
            raise cancellation

    async def _commit(self, connection: sqlite3.Connection) -> asyncio.CancelledError | None:
        """Commit. The event loop does not wait for the disk. Return a cancellation that arrived in this time."""
        commit = asyncio.get_running_loop().run_in_executor(self._disk, connection.execute, "COMMIT")
        cancellation = None
        while not commit.done():
            try:
                await asyncio.wait([commit])
            except asyncio.CancelledError as error:
                cancellation = error
        commit.result()
        return cancellation

    @asynccontextmanager
    async def _disk_space(self, transaction: Transaction, *, use_reserve: bool) -> AsyncIterator[None]:
        """Keep the disk reserve, and update `refusal`. The caller holds the lock.

        On a full disk, release the reserve for a transaction with `use_reserve`. Because of the lock, no other
        transaction of this process can use the released space. Raises: DiskFull.
        """
        if use_reserve and self.refusal is DiskFull and self._reserve is not None:
            self._reserve.release()
        try:
            if not use_reserve:
                self._hold_reserve()
            yield
        except (DiskFull, WritesRefused) as error:
            self.refusal = type(error)
            raise
        if transaction.has_changed:
            self.refusal = None
        if use_reserve:
            try:
                self._hold_reserve()
            except DiskFull:
                self.refusal = DiskFull

    def _hold_reserve(self) -> None:
        if self._reserve is None:
            return
        try:
            self._reserve.hold()
        except OSError as error:
            log.warning("database_unavailable", reason=errno.errorcode.get(error.errno or 0, type(error).__name__))
            raise DiskFull from error


def connect_sqlite(path: str) -> sqlite3.Connection:
    """Open a connection with One Runtime's settings.

    With these settings, SQLite writes every commit to the disk immediately. Otherwise a power failure could lose a new
    refresh token. The setting `secure_delete` overwrites deleted data with zeros.

    If the file is locked, a statement fails immediately. A statement that waits would block the event loop.
    While another process creates or closes the file, `connect_sqlite` can block the event loop for `LOCK_PATIENCE`
    seconds.

    Raises: DatabaseUnusable if the file cannot be opened.
    """
    connection = None
    try:
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=LOCK_PATIENCE)
        _turn_on_wal(connection)
        for pragma in ("synchronous = FULL", "foreign_keys = ON", "secure_delete = ON", "busy_timeout = 0"):
            connection.execute(f"PRAGMA {pragma}")
    except sqlite3.Error as error:
        if connection is not None:
            connection.close()
        raise open_failure(Path(path), error).error() from error
    return connection


def _turn_on_wal(connection: sqlite3.Connection) -> None:
    """Switch to the write-ahead log. Retry for `LOCK_PATIENCE` while the file is locked. Raises: OperationalError.

    SQLite's busy timeout does not apply to the statement `PRAGMA journal_mode`.
    """
    deadline = time.monotonic() + LOCK_PATIENCE
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if not _is_locked(error, sqlite3.SQLITE_BUSY) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


async def _begin(connection: sqlite3.Connection, patience: float) -> None:
    deadline, pause = time.monotonic() + patience, 0.001
    while True:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if not _is_locked(error, sqlite3.SQLITE_BUSY) or time.monotonic() > deadline:
                raise _translate(error) from error
            await asyncio.sleep(pause)
            pause = min(pause * 2, 0.05)
        else:
            return


def _translate(error: sqlite3.OperationalError) -> Unavailable:
    if _is_locked(error, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return Busy("Another transaction has locked the database. Try again.")
    log.warning("database_unavailable", reason=error.sqlite_errorname)
    if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_FULL:
        return DiskFull()
    if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_READONLY:
        return WritesRefused()
    return Unavailable("The database does not answer. Try again later. The server's log has the reason.")


def _is_locked(error: sqlite3.OperationalError, *codes: int) -> bool:
    return error.sqlite_errorcode & 0xFF in codes  # the low byte is the primary result code
