"""Index operations for full-text search in SQLite (FTS5), in memory or in a file.

A file never changes after its creation. A new file replaces the old file by an atomic rename, so server processes can
read without locks.
"""

import re
import sqlite3
import unicodedata
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from queue import LifoQueue
from typing import Final, NamedTuple
from weakref import finalize

from one_runtime.catalog.model import Integration
from one_runtime.catalog.operation import Operation

VERSION: Final = 1
"""Version of the tables, in `user_version` of the file."""

MAX_FILTERED: Final = 64
"""Maximum number of slugs in a full-text expression. With more slugs, Python filters the results."""

_SCHEMA: Final = """
CREATE TABLE integrations (
    slug TEXT PRIMARY KEY, words TEXT NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, details TEXT NOT NULL
);
CREATE TABLE operations (
    id INTEGER PRIMARY KEY, slug TEXT NOT NULL, name TEXT NOT NULL, method TEXT NOT NULL, path TEXT NOT NULL,
    deprecated INTEGER NOT NULL, texts TEXT NOT NULL, data TEXT NOT NULL
);
CREATE UNIQUE INDEX operations_name ON operations (slug, name);
CREATE VIRTUAL TABLE words USING fts5(
    slug, integration, name, summary, path, content='', tokenize="porter unicode61 remove_diacritics 2"
);
INSERT INTO words (words, rank) VALUES ('rank', 'bm25(0, 4, 6, 3, 1)');
"""
_INSERT_OPERATION: Final = "INSERT INTO operations VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_INSERT_WORDS: Final = "INSERT INTO words (rowid, slug, integration, name, summary, path) VALUES (?, ?, ?, ?, ?, ?)"
_CANDIDATE: Final = "SELECT slug, name, method, path, deprecated, texts FROM operations WHERE id = ?"
_SAME: Final = "SELECT 1 FROM operations WHERE slug = ? AND (name = ? OR (method = ? AND path = ?)) LIMIT 1"
_HUMP: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_WORD: Final = re.compile(r"[^\W_]+")


@dataclass(frozen=True, slots=True)
class IndexedIntegration:
    """The operations of one integration in an index.

    `words`: the words of its name, slug and aliases. `details`: JSON about the origin of the operations, or `{}`.
    """

    slug: str
    words: str
    operations: Sequence[Operation]
    details: str = "{}"

    @classmethod
    def of(cls, integration: Integration, operations: Sequence[Operation], details: str = "{}") -> "IndexedIntegration":
        """Return the operations of an integration of a catalog."""
        words = " ".join(words_in(" ".join((integration.name, integration.slug, *integration.aliases))))
        return cls(integration.slug, words, operations, details)


class Candidate(NamedTuple):
    """An operation that matches a query. Each text consists of words in lower case, separated by spaces."""

    found_in: "OperationIndex"
    slug: str
    name: str
    method: str
    path: str
    deprecated: bool
    integration_words: str
    name_words: str
    summary_words: str
    path_words: str


def words_in(text: str) -> list[str]:
    """Return the words of a text or a name, in lower case without accents: `chatPostMessage` has three words."""
    plain = _HUMP.sub(" ", text)
    if not plain.isascii():
        plain = "".join(char for char in unicodedata.normalize("NFKD", plain) if not unicodedata.combining(char))
    return _WORD.findall(plain.lower())


class OperationIndex:
    """A searchable set of operations. Threads can share an index."""

    def __init__(self, connect: Callable[[], sqlite3.Connection], connections: int = 1) -> None:
        """Open an index that `write_index` wrote. Raises: sqlite3.Error if the database is not such an index."""
        self._connect = connect
        self._idle: LifoQueue[sqlite3.Connection | None] = LifoQueue()
        finalize(self, _close, self._idle)
        for _ in range(connections - 1):
            self._idle.put(None)
        first = connect()
        try:
            rows = first.execute("SELECT slug, first, last, words, details FROM integrations ORDER BY first").fetchall()
        except sqlite3.Error:
            first.close()
            raise
        self._idle.put(first)
        self._firsts: list[int] = [row[1] for row in rows]
        self._slugs: list[str] = [row[0] for row in rows]
        self._ranges = {slug: range(start, end) for slug, start, end, *_ in rows}
        self._words = {row[0]: row[3] for row in rows}
        self._details = {row[0]: row[4] for row in rows}

    @classmethod
    def in_memory(cls, integrations: Iterable[IndexedIntegration]) -> "OperationIndex":
        """Return a new index in memory."""
        connection = sqlite3.connect(":memory:", check_same_thread=False)
        write_index(connection, integrations)
        return cls(lambda: connection)

    @classmethod
    def of_file(cls, path: Path, connections: int = 1) -> "OperationIndex":
        """Open a file. `connections`: maximum number of concurrent searches.

        Raises: sqlite3.Error if the file is missing, or is not an index of this version of One Runtime.
        """
        uri = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
        return cls(lambda: _open(uri), connections)

    @property
    def counts(self) -> dict[str, int]:
        """Return the number of operations of each integration."""
        return {slug: len(ids) for slug, ids in self._ranges.items()}

    def get(self, slug: str, name: str) -> Operation | None:
        """Return an operation, or None."""
        with self._connection() as connection:
            row = connection.execute("SELECT data FROM operations WHERE slug = ? AND name = ?", (slug, name)).fetchone()
        return _load(row[0]) if row is not None else None

    def integrations(self) -> Iterator[IndexedIntegration]:
        """Yield the whole content of the index."""
        for slug, words in self._words.items():
            yield IndexedIntegration(slug, words, self.of_integration(slug), self._details[slug])

    def has(self, other: Candidate) -> bool:
        """Return True if the index has an operation with the same name, or with the same method and path."""
        if other.slug not in self._ranges:
            return False
        with self._connection() as connection:
            return connection.execute(_SAME, (other.slug, other.name, other.method, other.path)).fetchone() is not None

    def of_integration(self, slug: str) -> list[Operation]:
        """Return all operations of an integration, in the order of their source."""
        ids = self._ranges.get(slug, range(0))
        with self._connection() as connection:
            rows = connection.execute(
                "SELECT data FROM operations WHERE id >= ? AND id < ? ORDER BY id", (ids.start, ids.stop)
            ).fetchall()
        return [_load(data) for (data,) in rows]

    def find(self, expression: str, slugs: Collection[str] | None, most: int) -> list[Candidate]:
        """Return the operations that match an expression of FTS5, at most `most`, the best first.

        `slugs`: the integrations to search, or None for all.
        """
        known = None if slugs is None else self._ranges.keys() & slugs
        if known is not None and not known:
            return []
        few = known is not None and len(known) <= MAX_FILTERED
        if few and known is not None:
            expression = f"slug : ({' OR '.join(map(_slug_word, sorted(known)))}) AND ({expression})"
        with self._connection() as connection:
            ids = connection.execute("SELECT rowid FROM words WHERE words MATCH ? ORDER BY rank", (expression,))
            allowed = (row_id for (row_id,) in ids if few or known is None or self._slug_of(row_id) in known)
            chosen = list(islice(allowed, most))
            ids.close()
            rows = [connection.execute(_CANDIDATE, (row_id,)).fetchone() for row_id in chosen]
        return [
            Candidate(self, slug, name, method, path, bool(deprecated), self._words[slug], *texts.split("\n"))
            for slug, name, method, path, deprecated, texts in rows
        ]

    def _slug_of(self, row_id: int) -> str:
        return self._slugs[bisect_right(self._firsts, row_id) - 1]

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        connection = self._idle.get() or self._connect()
        try:
            yield connection
        finally:
            self._idle.put(connection)


def write_index(connection: sqlite3.Connection, integrations: Iterable[IndexedIntegration]) -> None:
    """Create the tables of an index in an empty database, and commit."""
    connection.executescript(f"{_SCHEMA} PRAGMA user_version = {VERSION};")
    row_id = 1
    for integration in integrations:
        first = row_id
        for operation in integration.operations:
            texts = [" ".join(words_in(text)) for text in (operation.name, operation.summary, operation.path)]
            words = (row_id, _slug_word(integration.slug), integration.words, *texts)
            connection.execute(_INSERT_WORDS, words)
            key = (row_id, integration.slug, operation.name, operation.method, operation.path, operation.deprecated)
            connection.execute(
                _INSERT_OPERATION, (*key, "\n".join(texts), operation.model_dump_json(exclude_defaults=True))
            )
            row_id += 1
        connection.execute(
            "INSERT INTO integrations (slug, first, last, words, details) VALUES (?, ?, ?, ?, ?)",
            (integration.slug, first, row_id, integration.words, integration.details),
        )
    connection.commit()


def _open(uri: str) -> sqlite3.Connection:
    """Raises: sqlite3.Error."""
    connection = sqlite3.connect(uri, uri=True, check_same_thread=False)
    try:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version != VERSION:
            raise sqlite3.DatabaseError(f"the index has the version {version}, but must have the version {VERSION}")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _close(connections: "LifoQueue[sqlite3.Connection | None]") -> None:
    """Close the connections of an index that is no longer used."""
    while not connections.empty():
        connection = connections.get()
        if connection is not None:
            connection.close()


def _slug_word(slug: str) -> str:
    """Return a single word of FTS5 for a slug, which can contain hyphens."""
    return f"s{slug.encode().hex()}"


def _load(data: str) -> Operation:
    return Operation.model_validate_json(data, context={"trusted": True})
