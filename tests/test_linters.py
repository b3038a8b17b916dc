"""Linters and type checker as tests. They run in parallel with other tests, so no core is idle."""

import subprocess
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[1]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_linters_and_type_checker_find_nothing() -> None:
    finished = subprocess.run(
        ["make", "--silent", "linters"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout
