"""Keep the operations that the operator adds in one file, which all server processes read.

A command never changes the file, but replaces the file atomically. So servers read without locks, and notice a new file
at the next search.
"""

import fcntl
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import mkstemp
from threading import Lock
from typing import Final

from one_runtime.agents.operations.index import IndexedIntegration, OperationIndex, write_index
from one_runtime.errors import ConfigurationError
from one_runtime.telemetry.logger import Logger

_CONNECTIONS: Final = 4
_Identity = tuple[int, int, int]

log = Logger()


class OperationFile:
    """The file of the operator, for the searches of a server process."""

    def __init__(self, path: Path) -> None:
        self._path, self._lock = path, Lock()
        self._opened: tuple[_Identity | None, OperationIndex | None] = (None, None)

    def index(self) -> OperationIndex | None:
        """Return the index of the present file. Return None if the file is missing, or cannot be read."""
        identity = _identify(self._path)
        with self._lock:
            if identity != self._opened[0]:
                self._opened = (identity, None if identity is None else self._open())
            return self._opened[1]

    def _open(self) -> OperationIndex | None:
        try:
            return open_index(self._path, _CONNECTIONS)
        except ConfigurationError as error:  # a search can do without the file
            log.warning("tools_file_unreadable", reason=error.detail)
            return None


def open_index(path: Path, connections: int = 1) -> OperationIndex:
    """Open the file of the operator. Raises: ConfigurationError."""
    try:
        return OperationIndex.of_file(path, connections)
    except sqlite3.Error as error:
        raise ConfigurationError(
            f"{path} is not a file of this version of One Runtime: {error}. Delete the file, and fetch the documents "
            "again with `one-runtime tools fetch`."
        ) from error


def store(path: Path, integration: IndexedIntegration) -> None:
    """Add an integration to the file, or replace it. Raises: ConfigurationError; OSError."""
    with _locked(path):
        others = (other for other in read_file(path) if other.slug != integration.slug)
        store_all(path, sorted((*others, integration), key=lambda indexed: indexed.slug))


def remove(path: Path, slug: str) -> bool:
    """Remove an integration from the file. Return False if the file lacks it. Raises: ConfigurationError; OSError."""
    with _locked(path):
        present = read_file(path)
        others = [other for other in present if other.slug != slug]
        if len(others) < len(present):
            store_all(path, others)
    return len(others) < len(present)


def read_file(path: Path) -> list[IndexedIntegration]:
    """Return the content of the file. A missing file is empty. Raises: ConfigurationError."""
    return list(open_index(path).integrations()) if path.exists() else []


def store_all(path: Path, integrations: Iterable[IndexedIntegration]) -> None:
    """Replace the whole content of the file. Raises: OSError."""
    handle, name = mkstemp(prefix=f".{path.name}-", dir=path.parent)
    os.close(handle)
    new = Path(name)
    try:
        with closing(sqlite3.connect(new)) as connection:
            write_index(connection, integrations)
        new.chmod(0o644)
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Wait for other commands that replace the file."""
    with path.with_name(f"{path.name}.lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _identify(path: Path) -> _Identity | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size
