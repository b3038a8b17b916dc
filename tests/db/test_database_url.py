"""The lock files of a SQLite database."""

from pathlib import Path

import pytest

from one_runtime.db.database_url import lock_path


def test_every_path_of_a_database_has_the_same_lock_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (tmp_path / "link.db").symlink_to(folder / "one.db")  # the database file does not exist yet
    (tmp_path / "folder").symlink_to(folder)
    monkeypatch.chdir(folder)
    paths: list[str | Path] = [
        folder / "one.db", tmp_path / "link.db", tmp_path / "folder" / "one.db", "one.db", "../data/one.db",
    ]  # fmt: skip
    real = folder.resolve() / "one.db"
    assert {lock_path(path, "serving") for path in paths} == {Path(f"{real}.serving")}
    assert {lock_path(path, "migrating") for path in paths} == {Path(f"{real}.migrating")}
