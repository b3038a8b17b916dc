"""A pytest plugin: sources of an earlier and of a later version of One Runtime, whose programs run beside this version.

The earlier version comes from the history of this repository. The later version is this version with the migrations of
`tests/db/later_migration`.
"""

import fcntl
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from one_runtime.db.migrations import HEAD, LAST_UNRELEASED, LOCK_PATIENCE
from tests.documentation import ROOT

_NUMBER: Final = int(HEAD[1:])
PREVIOUS: Final = LAST_UNRELEASED if _NUMBER == 1 else f"v{_NUMBER - 1:04}"
"""The migration before the newest one."""
COMMITS: Final = {
    LAST_UNRELEASED: "4cae760fe5182d023872a5a787bdb6bbed8e4a13",
    "v0001": "97f5bb64120f1dbcbfaede883e9446002bed3051",
    "v0002": "7b2724432501a28319e9465c87980409460545e8",
}
"""By migration, the last commit without a later one. With a new migration, add the commit before it."""

_LATER: Final = sorted((ROOT / "tests" / "db" / "later_migration").glob("v*.py"))
"""The made-up migrations. The last one removes a column."""
_MIGRATE: Final = """
import json, sys
from one_runtime.db.migrations import migrate
done = migrate(sys.argv[1], patience=float(sys.argv[2]))
print(json.dumps({"done": done, "alembic": "alembic" in sys.modules}))
"""


class Migration(NamedTuple):
    """The end of a process that migrated: whether the schema changed, and whether the process imported Alembic."""

    done: bool
    alembic: bool


class Version(NamedTuple):
    """A version of One Runtime: the folder of its sources, and its newest migration."""

    sources: Path
    revision: str

    @property
    def migrations(self) -> Path:
        return self.sources / "one_runtime" / "db" / "migrations"

    def start_migration(self, url: str, patience: float = LOCK_PATIENCE) -> "subprocess.Popen[str]":
        """Start a process that migrates a database to the newest migration of this version."""
        command = [sys.executable, "-c", _MIGRATE, url, str(patience)]
        environment = {**os.environ, "PYTHONPATH": str(self.sources)}
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def migrate(self, url: str) -> bool:
        """Migrate a database to the newest migration of this version. Return False if nothing changed."""
        return ended(self.start_migration(url)).done


def ended(process: "subprocess.Popen[str]") -> Migration:
    """Wait for the end of a migration that succeeds."""
    output, error = process.communicate(timeout=60)
    assert process.returncode == 0, error
    return Migration(**json.loads(output))


THIS: Final = Version(ROOT / "src", HEAD)


@pytest.fixture(scope="session")
def previous(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Version:
    """Return the version before the newest migration."""
    return _extracted(PREVIOUS, tmp_path_factory, worker_id)


@pytest.fixture(scope="session")
def unreleased(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Version:
    """Return the last version with the migrations from before the first release."""
    return _extracted(LAST_UNRELEASED, tmp_path_factory, worker_id)


@pytest.fixture(scope="session")
def later(tmp_path_factory: pytest.TempPathFactory) -> Version:
    """Return a version with later migrations that only add to the schema."""
    return _made_up(tmp_path_factory.mktemp("later"), _LATER[:-1])


@pytest.fixture(scope="session")
def incompatible(tmp_path_factory: pytest.TempPathFactory) -> Version:
    """Return a version with a later migration that removes a column."""
    return _made_up(tmp_path_factory.mktemp("incompatible"), _LATER)


def _extracted(revision: str, tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Version:
    """Return the version with this newest migration. All workers of pytest-xdist share the folder."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / f"version_{revision}"
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            _extract(revision, folder)
    return Version(folder / "src", revision)


def _extract(revision: str, folder: Path) -> None:
    """Extract the sources of a version from the history of this repository, and build its catalog."""
    commit = COMMITS.get(revision)
    if commit is None:
        pytest.fail(f"COMMITS names no commit for migration {revision}: add the last commit before the next migration.")
    command = ["git", "-C", str(ROOT), "archive", "--format=tar", commit, "src"]
    archive = subprocess.run(command, capture_output=True, check=False)
    if archive.returncode:
        pytest.fail(
            f"The history of this clone has no commit {commit}. Run: git fetch --unshallow. "
            f"git says: {archive.stderr.decode(errors='replace').strip()}"
        )
    unfinished = folder.with_suffix(".unfinished")
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
        files.extractall(unfinished, filter="data")
    build = [sys.executable, "-m", "one_runtime.catalog.tools.build"]
    subprocess.run(build, check=True, capture_output=True, env={**os.environ, "PYTHONPATH": str(unfinished / "src")})
    unfinished.rename(folder)


def _made_up(folder: Path, added: Sequence[Path]) -> Version:
    """Copy this version, and add migrations. If this version has more migrations than `v0001`, the numbers change."""
    shutil.copytree(THIS.sources, folder, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
    version = Version(folder, _renumbered(added[-1].stem[:5]))
    for path in added:
        text = _renumbered(path.read_text(encoding="utf-8"))
        (version.migrations / "versions" / _renumbered(path.name)).write_text(text, encoding="utf-8")
    module = version.migrations / "__init__.py"
    text = module.read_text(encoding="utf-8").replace(f'HEAD: Final = "{HEAD}"', f'HEAD: Final = "{version.revision}"')
    module.write_text(text, encoding="utf-8")
    return version


def _renumbered(text: str) -> str:
    return re.sub(r"\bv\d{4}", lambda number: f"v{int(number[0][1:]) - 1 + int(HEAD[1:]):04}", text)
