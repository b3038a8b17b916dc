"""`db/server_lock.py`: one server for each SQLite file."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from one_runtime.db.database_url import lock_path
from one_runtime.db.migrations import migrate
from one_runtime.db.server_lock import hold_server_lock
from one_runtime.db.sqlite import connect_sqlite
from one_runtime.errors import ConfigurationError

COMMAND: Final = """
import sys
from one_runtime.db.sqlite import connect_sqlite
connection = connect_sqlite(sys.argv[1])
connection.execute("INSERT INTO fruit VALUES ('apple')")
connection.close()
"""


def is_held(path: Path) -> bool:
    try:
        with hold_server_lock(str(path), "refused"):
            return False
    except ConfigurationError:
        return True


def test_lock_ends_with_the_block(tmp_path: Path) -> None:
    path = tmp_path / "one.db"
    with hold_server_lock(str(path), ""):
        with pytest.raises(ConfigurationError, match="refused"), hold_server_lock(str(path), "refused"):
            pass
        assert is_held(path)
    assert not is_held(path)


def test_database_file_itself_is_locked(tmp_path: Path) -> None:
    path, renamed, link = tmp_path / "one.db", tmp_path / "renamed.db", tmp_path / "link.db"
    link.symlink_to(renamed)
    with hold_server_lock(str(path), ""):
        lock_path(path, "serving").unlink()
        assert is_held(path)
        path.rename(renamed)
        assert is_held(renamed)
        lock_path(renamed, "serving").unlink()
        assert is_held(link)
        (tmp_path / "hard.db").hardlink_to(renamed)
        assert is_held(tmp_path / "hard.db")
        assert not is_held(path), "a new file with the old name has another lock"
    assert not is_held(renamed)


def test_first_start_creates_a_file_that_only_its_owner_can_read(tmp_path: Path) -> None:
    path = tmp_path / "one.db"
    with hold_server_lock(str(path), ""):
        migrate(f"sqlite:///{path}")
    assert path.stat().st_mode & 0o777 == 0o600


def test_missing_folder_is_not_created(tmp_path: Path) -> None:
    """A mistyped path would otherwise become an empty database."""
    path = tmp_path / "typo" / "one.db"
    with pytest.raises(FileNotFoundError), hold_server_lock(str(path), ""):
        pass
    with pytest.raises(ConfigurationError, match="does not exist"):
        migrate(f"sqlite:///{path}")
    assert list(tmp_path.iterdir()) == []


def test_commands_do_not_delete_the_write_ahead_log_of_a_server(tmp_path: Path) -> None:
    """The last process that closes a file deletes the log. SQLite sees from its locks which processes use the file."""
    path = tmp_path / "one.db"
    with hold_server_lock(str(path), ""), closing(connect_sqlite(str(path))) as server:
        server.execute("CREATE TABLE fruit (name TEXT)")
        subprocess.run([sys.executable, "-c", COMMAND, str(path)], check=True)
        assert Path(f"{path}-wal").exists()
        assert server.execute("SELECT name FROM fruit").fetchall() == [("apple",)]
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
