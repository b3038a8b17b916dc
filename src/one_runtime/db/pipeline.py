"""Reads over one PostgreSQL connection, many on their way at once: libpq's pipeline mode.

What is asked for in one turn of the loop is sent together and answered together, so a read costs a fraction of what it
costs through a pool of connections, each with one statement on its way (docs/benchmarks.md). The connection is read
only. Statements of one batch share its fate in one way: after one that fails PostgreSQL skips the rest, which go again.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, Final, TypeAlias

import psycopg
from psycopg import pq
from psycopg.adapt import PyFormat, Transformer
from psycopg.errors import error_from_result

Connection: TypeAlias = psycopg.AsyncConnection[Any]
Rows: TypeAlias = list[tuple[Any, ...]]

_FATAL: Final = pq.ExecStatus.FATAL_ERROR
_ABORTED: Final = pq.ExecStatus.PIPELINE_ABORTED
_MOST_PREPARED: Final = 200
"""Statements that one connection keeps prepared; those that are composed as they come would be without end."""


Key: TypeAlias = tuple[str, tuple[int, ...]]
"""What is prepared: a text with the types of its parameters."""


@dataclass(frozen=True, slots=True)
class _Query:
    """What is sent, and whoever waits for the answer."""

    key: Key
    parameters: Sequence[Any]
    formats: Sequence[pq.Format]
    answer: asyncio.Future[pq.abc.PGresult]


@dataclass(frozen=True, slots=True)
class _Prepare:
    key: Key


class Pipeline:
    """One open connection. A lost connection fails whatever is on its way, and is `closed`."""

    def __init__(self, connection: Connection) -> None:
        self._connection, self._libpq = connection, connection.pgconn
        self._loop = asyncio.get_running_loop()
        self._asked: list[_Query] = []
        self._sent: deque[_Query | _Prepare | None] = deque()  # None where a batch ends
        self._names: dict[Key, bytes | None] = {}
        self._numbers = count()
        self._socket = self._libpq.socket
        self._libpq.nonblocking = 1
        self._libpq.enter_pipeline_mode()
        self._loop.add_reader(self._socket, self._receive)
        self.closed = False

    @property
    def waiting(self) -> int:
        """How much is on its way."""
        return len(self._asked) + len(self._sent)

    async def run(self, text: str, values: Sequence[object]) -> Rows:
        """The rows that a statement answers. Raises: psycopg.Error."""
        transformer = Transformer(self._connection)
        parameters = transformer.dump_sequence(values, [PyFormat.AUTO] * len(values))
        answer: asyncio.Future[pq.abc.PGresult] = self._loop.create_future()
        self._ask(_Query((text, transformer.types or ()), parameters, transformer.formats or (), answer))
        result = await answer
        transformer.set_pgresult(result)
        return transformer.load_rows(0, result.ntuples, tuple)

    async def close(self) -> None:
        """Let the connection go."""
        self._lose(psycopg.OperationalError("the connection was closed"))
        await self._connection.close()

    def _ask(self, query: _Query) -> None:
        if not self._asked:
            self._loop.call_soon(self._send)
        self._asked.append(query)

    def _send(self) -> None:
        """Send what was asked for since the turn of the loop began."""
        asked, self._asked = self._asked, []
        try:
            for query in asked:
                self._send_one(query)
            self._sent.append(None)
            self._libpq.pipeline_sync()
            self._flush()
        except psycopg.Error as error:
            self._asked = [query for query in asked if query not in self._sent]
            self._lose(error)

    def _send_one(self, query: _Query) -> None:
        text, types = query.key
        if query.key in self._names and self._names[query.key] is None:
            self._names[query.key] = b"read_%d" % next(self._numbers)
            self._sent.append(_Prepare(query.key))
            self._libpq.send_prepare(self._names[query.key] or b"", text.encode(), types)
        name = self._names.get(query.key)
        self._sent.append(query)
        if name:
            self._libpq.send_query_prepared(name, query.parameters, query.formats)
            return
        self._libpq.send_query_params(text.encode(), query.parameters, types, query.formats)
        if len(self._names) < _MOST_PREPARED:
            self._names.setdefault(query.key)  # seen once: prepared when it comes again

    def _flush(self) -> None:
        if self._libpq.flush():
            self._loop.add_writer(self._socket, self._flush)
        else:
            self._loop.remove_writer(self._socket)

    def _receive(self) -> None:
        try:
            self._libpq.consume_input()
            while self._sent and not self._libpq.is_busy():
                result = self._libpq.get_result()
                if result is not None:  # None stands between the answers
                    self._take(self._sent.popleft(), result)
        except psycopg.Error as error:
            self._lose(error)

    def _take(self, sent: _Query | _Prepare | None, result: pq.abc.PGresult) -> None:
        failed, skipped = result.status == _FATAL, result.status == _ABORTED
        if isinstance(sent, _Prepare):
            if failed or skipped:
                self._names[sent.key] = b"" if failed else None  # never again, or the next time
        elif sent is not None and not sent.answer.done():
            if skipped:
                self._ask(sent)
            elif failed:
                sent.answer.set_exception(error_from_result(result, encoding="utf-8"))
            else:
                sent.answer.set_result(result)

    def _lose(self, error: psycopg.Error) -> None:
        if self.closed:
            return
        self.closed = True
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        for query in (*self._sent, *self._asked):
            if isinstance(query, _Query) and not query.answer.done():
                query.answer.set_exception(psycopg.OperationalError(str(error)))
        self._sent.clear()
        self._asked = []
        self._libpq.finish()


class Reading:
    """A few pipelines to one database, connected when they are needed and again when they were lost."""

    def __init__(self, connect: Callable[[], Awaitable[Connection]], size: int) -> None:
        self._connect, self._size = connect, size
        self._open: list[Pipeline] = []
        self._connecting = asyncio.Lock()

    async def run(self, text: str, values: Sequence[object]) -> Rows:
        """The rows that a statement answers; asked again, once, where the connection was lost meanwhile.

        Raises: psycopg.Error.
        """
        pipeline = await self._choose()
        try:
            return await pipeline.run(text, values)
        except psycopg.OperationalError:
            if not pipeline.closed:
                raise
        return await (await self._choose()).run(text, values)

    async def close(self) -> None:
        """Let every connection go."""
        async with self._connecting:
            for pipeline in self._open:
                await pipeline.close()
            self._open = []

    async def _choose(self) -> Pipeline:
        """The pipeline with the least on its way."""
        best = min(self._open, key=_load, default=None)
        if best is not None and not best.closed and (not best.waiting or len(self._open) == self._size):
            return best
        async with self._connecting:
            self._open = [one for one in self._open if not one.closed]
            if len(self._open) < self._size:
                self._open.append(Pipeline(await self._connect()))
        return min(self._open, key=_load)


def _load(pipeline: Pipeline) -> int:
    return pipeline.waiting
