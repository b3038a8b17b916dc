"""Copy a SQLite database, even while a server writes to the database."""

import sqlite3
from contextlib import closing
from pathlib import Path

from one_runtime.db.database_url import sqlite_path
from one_runtime.db.file_location import HELD
from one_runtime.db.obstacles import missing_file, url_obstacle
from one_runtime.db.private_file import new_private_file
from one_runtime.db.sqlite import connect_sqlite
from one_runtime.errors import ConfigurationError, Conflict


def back_up(url: str, target: Path) -> int:
    """Copy the database into a new file that only its owner can read. Return the size in bytes.

    The copy is not live until the operator confirms the copy (`jobs/liveness.py`). If the copy fails, delete the new
    file.

    Raises: ConfigurationError for PostgreSQL, and if the database is missing. Conflict if the function cannot create
    the file or copy the database.
    """
    path = sqlite_path(url)
    obstacle = missing_file(Path(path)) if path else url_obstacle(url)
    if obstacle is not None:
        raise obstacle.error()
    if path is None:
        raise ConfigurationError(
            "This command copies only SQLite databases. Back up PostgreSQL with pg_dump, as docs/backup.md shows."
        )
    with new_private_file(target):
        _copy(path, target)
    return target.stat().st_size


def _copy(path: str, target: Path) -> None:
    with closing(connect_sqlite(path)) as source, closing(sqlite3.connect(target)) as copy:
        try:
            # Copy in one step. A copy in several steps would start again after every write of the server. The server
            # can write during the copy, because the database has a write-ahead log.
            source.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")  # the copy must be one file, without a separate log file
            (verdict,) = copy.execute("PRAGMA integrity_check").fetchone()
            # A backup before an upgrade can have a schema without this table (before revision 0006).
            if copy.execute("SELECT 1 FROM sqlite_schema WHERE name = 'installation'").fetchone():
                copy.execute("UPDATE installation SET live_location = ?", [HELD])
                copy.commit()
        except sqlite3.Error as error:
            raise Conflict(f"The database could not be copied: {error}. Check the disk and the database.") from error
        if verdict != "ok":
            raise Conflict(f"The copy is damaged ({verdict}). Check the disk, and the original database.")
