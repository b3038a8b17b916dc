"""A copy of a SQLite database that is whole, taken while a server writes to it."""

import sqlite3
from contextlib import closing
from pathlib import Path

from one_runtime.db.database_url import sqlite_path
from one_runtime.db.sqlite import connect_sqlite
from one_runtime.errors import ConfigurationError, Conflict


def back_up(url: str, target: Path) -> int:
    """Copy the database into a new file, for its owner only; how many bytes it has. A failed copy leaves no file.

    Raises: ConfigurationError for PostgreSQL, which brings its own tool; Conflict where the file is there already, or
    cannot be written.
    """
    path = sqlite_path(url)
    if path is None:
        raise ConfigurationError("This is for SQLite. Back PostgreSQL up with pg_dump; docs/backup.md has the command.")
    try:
        target.touch(mode=0o600, exist_ok=False)
    except OSError as error:
        raise Conflict(f"{target} cannot be made: {error.strerror}. Name a new file in a folder of yours.") from error
    try:
        _copy(path, target)
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    return target.stat().st_size


def _copy(path: str, target: Path) -> None:
    with closing(connect_sqlite(path)) as source, closing(sqlite3.connect(target)) as copy:
        try:
            # In one step: with a write-ahead log that keeps no writer waiting, and in portions it would start anew
            # with every write of the server.
            source.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")  # one file, without a log beside it
            (verdict,) = copy.execute("PRAGMA integrity_check").fetchone()
        except sqlite3.Error as error:
            raise Conflict(f"The database could not be copied: {error}. Check the disk and the database.") from error
        if verdict != "ok":
            raise Conflict(f"The copy is not whole ({verdict}). Check the disk, and the database itself.")
