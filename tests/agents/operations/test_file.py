"""The operator's file of functions: replaced while servers read, by several commands at once, and broken files."""

import asyncio
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pytest

from one_runtime.agents.operations.file import OperationFile, open_index, read_file, remove, store
from one_runtime.agents.operations.index import IndexedIntegration
from one_runtime.agents.operations.library import OperationLibrary
from one_runtime.catalog.loader import load_catalog
from one_runtime.errors import ConfigurationError
from tests.agents.operations.synthetic import many_operations, operation

HUBSPOT: Final = IndexedIntegration("hubspot", "hubspot", [operation("hubspot.owners_zap", summary="Zap owners.")])
SLACK: Final = IndexedIntegration("slack", "slack", many_operations("slack", 30, 1), '{"source": "x"}')


def test_stored_functions_are_read_back_and_removed(tmp_path: Path) -> None:
    path = tmp_path / "tools.db"
    assert read_file(path) == []
    assert remove(path, "slack") is False
    store(path, SLACK)
    store(path, HUBSPOT)
    assert read_file(path) == [HUBSPOT, SLACK]
    store(path, IndexedIntegration("slack", "slack", SLACK.operations[:2]))
    assert [len(indexed.operations) for indexed in read_file(path)] == [1, 2]
    assert remove(path, "slack") is True
    assert read_file(path) == [HUBSPOT]
    assert {file.name for file in tmp_path.iterdir()} == {"tools.db", "tools.db.lock"}
    assert path.stat().st_mode & 0o777 == 0o644


async def test_a_running_server_notices_a_new_file(tmp_path: Path) -> None:
    path = tmp_path / "tools.db"
    library = OperationLibrary(load_catalog(), (), OperationFile(path))
    assert await library.search("zap owners", None, set(), 5) == []
    store(path, HUBSPOT)
    assert [match.operation.name for match in await library.search("zap owners", None, set(), 5)] == ["owners_zap"]
    store(path, IndexedIntegration("hubspot", "hubspot", [operation("hubspot.owners_zip", summary="Zip owners.")]))
    assert await library.get("hubspot", "owners_zap") is None
    assert await library.get("hubspot", "owners_zip") is not None
    path.unlink()
    assert await library.search("zip owners", None, set(), 5) == []
    library.close()


async def test_searches_never_fail_while_the_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "tools.db"
    store(path, SLACK)
    library = OperationLibrary(load_catalog(), (), OperationFile(path))

    async def search_often() -> None:
        for _ in range(40):
            assert await library.search("list contacts", None, {"slack"}, 5)

    with ThreadPoolExecutor(1) as writer:
        stores = [writer.submit(store, path, SLACK) for _ in range(10)]
        await asyncio.gather(*(search_often() for _ in range(4)))
        for each in stores:
            each.result()
    library.close()


@pytest.mark.slow
def test_commands_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from one_runtime.agents.operations.file import store;"
        "from one_runtime.agents.operations.index import IndexedIntegration;"
        "store(Path(sys.argv[1]), IndexedIntegration(sys.argv[2], sys.argv[2], []))"
    )
    path = str(tmp_path / "tools.db")
    processes = [subprocess.Popen([sys.executable, "-c", code, path, f"slug-{number}"]) for number in range(4)]
    assert [process.wait() for process in processes] == [0, 0, 0, 0]
    assert [indexed.slug for indexed in read_file(Path(path))] == [f"slug-{number}" for number in range(4)]


@pytest.mark.parametrize("content", [b"", b"not a database", b"SQLite format 3\x00"])
async def test_a_server_does_without_a_broken_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "tools.db"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match="Delete the file, and fetch the documents again"):
        open_index(path)
    library = OperationLibrary(load_catalog(), (), OperationFile(path))
    assert await library.search("list contacts", None, set(), 5) == []
    library.close()


def test_a_file_of_another_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tools.db"
    store(path, HUBSPOT)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(ConfigurationError, match="the index has the version 99"):
        store(path, SLACK)
