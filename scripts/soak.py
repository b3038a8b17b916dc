"""Run the tests of `make soak`: first most of them in parallel, and then those with the mark `alone` one at a time.

`python -m scripts.soak [-n WORKERS] [ARGUMENTS OF PYTEST]`

A test with the mark `alone` measures times or needs most of the memory, so tests of other workers would disturb it.
"""

import argparse
import subprocess
import sys
from collections.abc import Sequence
from typing import Final

import pytest

PARALLEL: Final = "soak and not alone"
ALONE: Final = "soak and alone"


def main() -> int:
    """Run both parts, also if a test of the first part fails. Return the exit code of the worse part."""
    parser = argparse.ArgumentParser(allow_abbrev=False, add_help=False)
    parser.add_argument("-n", dest="workers", default="4")
    options, arguments = parser.parse_known_args()
    parts = (
        [*arguments, "-n", options.workers, "--dist", "worksteal", "-m", PARALLEL],
        [*arguments, "-n", "0", "-m", ALONE],
    )
    codes = list[int]()
    for part in parts:
        codes.append(subprocess.run([sys.executable, "-m", "pytest", *part], check=False).returncode)
        if codes[-1] == pytest.ExitCode.INTERRUPTED:
            break
    return worse(codes)


def worse(codes: Sequence[int]) -> int:
    """Return the exit code of both parts. A part without tests fails only if the other one has no tests either."""
    of_tests = [code for code in codes if code != pytest.ExitCode.NO_TESTS_COLLECTED]
    return max(of_tests, default=int(pytest.ExitCode.NO_TESTS_COLLECTED))


if __name__ == "__main__":
    sys.exit(main())
