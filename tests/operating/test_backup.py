"""Backups taken under load: restored with the ring, every credential is usable; without it, none is."""

import os
import sqlite3
import stat
import sys
from contextlib import closing
from pathlib import Path

import pytest

from one_runtime.db.backup import back_up
from one_runtime.db.database_url import sqlite_path
from one_runtime.db.file_location import HELD
from one_runtime.encryption.vault import new_key
from one_runtime.errors import ConfigurationError, Conflict
from tests.application import RunningAcme
from tests.fork_server import run as run_forked
from tests.operating.backups import back_up_as_documented, client, restore_as_documented, with_acme
from tests.operating.load import Load, all_usable
from tests.promises.serving import make_key, serving

pytestmark = pytest.mark.slow

ENOUGH = 20


@pytest.mark.timeout(180)
async def test_backup_under_load_contains_every_usable_credential(
    database_url: str, database_kind: str, acme: RunningAcme, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    keys = new_key()
    api_key = await make_key(database_url)
    async with serving(with_acme(database_url, acme, keys), tmp_path) as served, client(served, api_key) as http:
        async with Load(http) as load:
            await load.until(ENOUGH)
            before = len(load.connection_ids)
            backup = await back_up_as_documented(served, tmp_path)
            await load.until(len(load.connection_ids) + 10)
        assert load.refused == []
    restored = restore_as_documented(backup, database_kind, request)
    async with serving(with_acme(restored, acme, keys), tmp_path) as served, client(served, api_key) as http:
        assert before <= await all_usable(http) < len(load.connection_ids)
        async with Load(http) as load:
            await load.until(3)
    assert refusal(restored, new_key()).startswith("The key ring lacks keys that this database needs")


def refusal(database_url: str, keys: str) -> str:
    settings = {"ONE_RUNTIME_DATABASE_URL": database_url, "ONE_RUNTIME_ENCRYPTION_KEYS": keys}
    whole = [sys.executable, "-m", "one_runtime", "serve"]
    environment = os.environ | settings
    result = run_forked(whole, environment, seconds=60)
    assert result.returncode == 1
    return result.stderr


@pytest.mark.only_database("sqlite")
def test_backup_is_one_private_file_and_overwrites_nothing(database_url: str, tmp_path: Path) -> None:
    target = tmp_path / "copies" / "copy.db"
    with pytest.raises(Conflict, match="No such file or directory"):
        back_up(database_url, target)
    target.parent.mkdir()
    assert back_up(database_url, target) == target.stat().st_size
    assert [file.name for file in target.parent.iterdir()] == ["copy.db"]
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    with pytest.raises(Conflict, match="File exists"):
        back_up(database_url, target)
    with closing(sqlite3.connect(target)) as copy:
        assert copy.execute("SELECT version_num FROM alembic_version").fetchone() is not None
        assert copy.execute("SELECT live_location FROM installation").fetchone() == (HELD,)


@pytest.mark.only_database("sqlite")
def test_backup_of_a_damaged_database_leaves_no_file(database_url: str, tmp_path: Path) -> None:
    path = Path(sqlite_path(database_url) or "")
    damaged = bytearray(path.read_bytes())
    damaged[4096:8192] = bytes(4096)
    path.write_bytes(damaged)
    target = tmp_path / "copy.db"
    with pytest.raises(Conflict):
        back_up(database_url, target)
    assert not target.exists()


@pytest.mark.only_database("postgresql")
def test_backup_of_postgresql_names_pg_dump(database_url: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="pg_dump"):
        back_up(database_url, tmp_path / "copy.db")
