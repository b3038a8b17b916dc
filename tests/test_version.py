"""The version of a build: the release and the commit."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from one_runtime import RELEASE, __version__
from one_runtime.egress.hop import USER_AGENT
from one_runtime.jobs import instances
from one_runtime.version import COMMIT_FILE, build_version, read_commit
from scripts.bootstrap import environment
from tests.application import SetClock
from tests.documentation import ROOT


def git(folder: Path, *words: str) -> str:
    identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com"]
    done = subprocess.run(["git", *identity, *words], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    folder = tmp_path / "clone"
    package = folder / "src" / "one_runtime"
    package.mkdir(parents=True)
    git(folder, "init", "--quiet")
    git(folder, "commit", "--quiet", "--allow-empty", "--message", "first")
    return folder


def test_version_of_a_clone_contains_the_commit_that_is_checked_out(clone: Path, tmp_path: Path) -> None:
    def shown(folder: Path) -> tuple[str | None, str]:
        return read_commit(folder), build_version("1.2.3", folder / "src" / "one_runtime")

    first = git(clone, "rev-parse", "HEAD")
    assert shown(clone) == (first, f"1.2.3+g{first[:7]}")
    git(clone, "pack-refs", "--all")
    assert shown(clone) == (first, f"1.2.3+g{first[:7]}")
    git(clone, "commit", "--quiet", "--allow-empty", "--message", "second")
    second = git(clone, "rev-parse", "HEAD")
    assert shown(clone) == (second, f"1.2.3+g{second[:7]}")
    git(clone, "worktree", "add", "--quiet", "-b", "other", str(tmp_path / "worktree"), first)
    (tmp_path / "worktree" / "src" / "one_runtime").mkdir(parents=True)
    assert shown(tmp_path / "worktree") == (first, f"1.2.3+g{first[:7]}")
    git(clone, "checkout", "--quiet", "--detach", first)
    assert shown(clone) == (first, f"1.2.3+g{first[:7]}")


def test_version_of_an_installed_package_contains_the_commit_of_its_build(tmp_path: Path) -> None:
    package = tmp_path / "site-packages" / "one_runtime"
    package.mkdir(parents=True)
    assert build_version("1.2.3", package) == "1.2.3"
    (package / COMMIT_FILE).write_text("5" * 40 + "\n")
    assert build_version("1.2.3", package) == "1.2.3+g5555555"


@pytest.mark.parametrize("head", ["", "ref: refs/heads/none\n", "\xff", "ref: refs/heads/.invalid"])
def test_unreadable_history_leaves_the_plain_release(clone: Path, head: str) -> None:
    (clone / ".git" / "HEAD").write_bytes(head.encode("latin-1"))
    assert build_version("1.2.3", clone / "src" / "one_runtime") == "1.2.3"


def test_every_place_but_the_user_agent_shows_the_version_with_the_commit() -> None:
    assert __version__ == build_version(RELEASE, ROOT / "src" / "one_runtime")
    assert __version__.startswith(f"{RELEASE}+g")
    assert instances.this_process((), SetClock()()).version == __version__
    assert f"One-Runtime/{RELEASE}" == USER_AGENT


@pytest.mark.slow
@pytest.mark.foreign
@pytest.mark.timeout(300)
def test_wheel_from_a_source_distribution_contains_the_commit(tmp_path: Path) -> None:
    """Build a source distribution from a clone, and then a wheel from the source distribution, which has no `.git`."""
    clone, dist = tmp_path / "clone", tmp_path / "dist"
    git(tmp_path, "clone", "--quiet", str(ROOT), str(clone))
    uv = Path(sys.executable).with_name("uv")
    build = [str(uv), "build", "--quiet", "--python", sys.executable, "--out-dir", str(dist)]
    done = subprocess.run(build, cwd=clone, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = dist.glob("*.whl")
    with zipfile.ZipFile(wheel) as files:
        files.extractall(tmp_path / "installed")
    where = {**os.environ, "PYTHONPATH": str(tmp_path / "installed")}
    command = [sys.executable, "-m", "one_runtime", "--version"]
    shown = subprocess.run(command, cwd=tmp_path, env=where, capture_output=True, text=True, check=True).stdout
    assert shown.strip() == f"{RELEASE}+g{git(clone, 'rev-parse', 'HEAD')[:7]}"
