"""`scripts/soak.py`: tests with the mark `alone` run after the others, and one at a time."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from scripts.soak import worse

ROOT: Final = Path(__file__).resolve().parents[1]
INI: Final = "[pytest]\nmarkers =\n    soak\n    alone\n"
TESTS: Final = """
import os
import pathlib
import pytest

def record(name):
    with pathlib.Path("order.txt").open("a") as file:
        file.write(f"{name} {os.environ.get('PYTEST_XDIST_WORKER_COUNT', '1')}\\n")

@pytest.mark.soak
@pytest.mark.alone
@pytest.mark.parametrize("number", range(3))
def test_timed(number):
    record("timed")

@pytest.mark.soak
@pytest.mark.parametrize("number", range(4))
def test_drill(number):
    record("drill")
    assert number != 3 or not pathlib.Path("fails").exists()

def test_quick():
    record("quick")
"""


def soak(folder: Path, *arguments: str) -> tuple[int, list[str]]:
    """Run the tests of a folder. Return the exit code, and the names of the tests with the number of workers."""
    order = folder / "order.txt"
    order.write_text("")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    command = [sys.executable, "-m", "scripts.soak", "-n", "2", "-c", "pytest.ini", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, *arguments],
        cwd=folder,
        env={**environment, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=False,
    )
    return done.returncode, order.read_text().splitlines()


@pytest.mark.slow
def test_alone_tests_run_last_and_one_at_a_time_even_after_a_failure(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text(INI)
    (tmp_path / "test_drills.py").write_text(TESTS)
    assert soak(tmp_path) == (0, ["drill 2"] * 4 + ["timed 1"] * 3)
    (tmp_path / "fails").touch()
    assert soak(tmp_path) == (1, ["drill 2"] * 4 + ["timed 1"] * 3)
    assert soak(tmp_path, "-k", "timed") == (0, ["timed 1"] * 3)
    assert soak(tmp_path, "-k", "quick") == (5, [])


def test_worse_part_decides() -> None:
    assert [worse(codes) for codes in ([0, 0], [1, 0], [0, 1], [0, 5], [5, 1], [5, 5], [2])] == [0, 1, 1, 0, 1, 5, 2]


def test_every_alone_test_is_a_soak_test(request: pytest.FixtureRequest) -> None:
    """Otherwise, `make test` would run it beside other tests."""
    marked = [item for item in request.session.items if item.get_closest_marker("alone")]
    assert all(item.get_closest_marker("soak") for item in marked)
