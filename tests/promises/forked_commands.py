"""Runs commands of `one-runtime` in forks. The forking process has done all imports, so a command starts fast.

Each line of standard input is JSON: the arguments of a command, and the seconds until the process kills the command
(SIGKILL). The process answers with a line: the command's exit code, or the negative number of the signal that ended it.
"""

import asyncio
import importlib
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.fork_server import COMMANDS, ROOT


@dataclass(frozen=True, slots=True)
class Commands:
    """A process that runs one command after another, each in a fork."""

    process: Process

    async def run(self, *words: str, seconds: float) -> int:
        """Run a command, and kill it after these seconds. Return the exit code."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{json.dumps([words, seconds])}\n".encode())
        return int(await self.process.stdout.readline())


@asynccontextmanager
async def forking(environment: Mapping[str, str], log: Path) -> AsyncIterator[Commands]:
    """Start the process with these settings. Stop it when the block ends. `log`: the file for the commands' output."""
    words = [sys.executable, "-m", "tests.promises.forked_commands"]
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *words, env=environment, cwd=ROOT, stdin=PIPE, stdout=PIPE, stderr=output
        )
        try:
            yield Commands(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            await process.wait()


def _run_fork(words: list[str]) -> None:
    """Run the command in the forked process, and exit."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    sys.argv = ["one-runtime", *words]
    code = 70
    try:
        cli.main()
        code = 0
    except SystemExit as stop:
        code = int(stop.code or 0)
    finally:
        sys.stdout.flush()
        os._exit(code)


def main() -> None:
    """Run the command of each line, one command at a time."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    for line in sys.stdin:
        words, seconds = json.loads(line)
        child = os.fork()
        if child == 0:
            _run_fork(words)
        signal.sigtimedwait({signal.SIGCHLD}, seconds)
        # If the command has ended, this is harmless: no other process gets the process id before `waitpid`.
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        signal.sigtimedwait({signal.SIGCHLD}, 0)  # takes the SIGCHLD of the kill, which would end the next wait
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    from one_runtime import cli

    for name in (*COMMANDS, "one_runtime.db.access", "one_runtime.db.postgres"):
        importlib.import_module(name)
    main()
