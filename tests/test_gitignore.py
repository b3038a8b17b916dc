"""Git ignores the files that the documentation creates in the repository's folder: keys, databases, demo data."""

import subprocess
from pathlib import Path

from one_runtime.db.database_url import lock_path
from one_runtime.db.disk_reserve import DiskReserve
from one_runtime.db.file_location import file_location
from one_runtime.db.migrations import migrate
from one_runtime.db.server_lock import hold_server_lock

ROOT = Path(__file__).resolve().parent.parent


def test_git_status_stays_clean_after_getting_started(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    (tmp_path / ".gitignore").write_bytes((ROOT / ".gitignore").read_bytes())
    database = tmp_path / "one-runtime.db"
    migrate(f"sqlite:///{database}")
    file_location(str(database), create=True)
    reserve = DiskReserve(Path(f"{database}.reserve"))
    reserve.hold()
    (tmp_path / "encryption-keys").touch()
    (tmp_path / ".one-runtime-demo").mkdir()
    (tmp_path / ".one-runtime-demo" / "api-key").touch()
    (tmp_path / "one-runtime-client-0.1.0.tgz").touch()
    with hold_server_lock(str(database), ""):
        assert lock_path(database, "serving").exists()
        status = subprocess.run(
            ["git", "status", "--porcelain", "--untracked-files=all"],
            cwd=tmp_path, capture_output=True, text=True, check=True,
        )  # fmt: skip
    reserve.release()
    assert status.stdout == "?? .gitignore\n"
