"""A process of a pool, and its messages. The module that runs in the process is the other side."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Self

from one_runtime.computing import frames
from one_runtime.computing.frames import Frame

_SOURCE: Final = Path(__file__).parents[2]
"""The folder that contains the package."""
# With -I, Python ignores PYTHONPATH. So the process gets the folder of the package as an argument. Python's path can
# already contain the folder, for example site-packages. The order of the path then stays unchanged.
_START: Final = """
import sys
from importlib import import_module
source, module = sys.argv[1:]
if source not in sys.path:
    sys.path.insert(0, source)
import_module(module).serve()
"""


class ProcessEnded(Exception):
    """The process has ended, or has sent a message that is not valid."""


class WorkerProcess:
    """A process that does work, one piece after another.

    The process receives no environment variables, because they can contain secrets.
    """

    def __init__(self, process: Process) -> None:
        if process.stdin is None or process.stdout is None:
            raise ValueError("The process needs pipes for its standard input and output.")
        self._process, self._stdin, self._stdout = process, process.stdin, process.stdout
        self.ended = asyncio.create_task(process.wait())
        """The end of the process. Wait for the task, but do not cancel it."""
        self.reusable = True
        """True between two pieces of work. False during work, and after the process became unusable."""
        self.was_killed = False
        """True if the server ended the process."""

    @classmethod
    async def start(cls, module: str) -> Self:
        """Start a process, and call the function `serve` of the module there, while the caller continues."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-c", _START, str(_SOURCE), module),
            stdin=PIPE,
            stdout=PIPE,
            stderr=DEVNULL,  # an error message of the process could contain data of a caller
            env={},
            start_new_session=True,  # `kill` ends the whole group: also the interpreter of programs
        )
        return cls(process)

    @property
    def pid(self) -> int:
        """Return the process ID, which is also the ID of the process group."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Return True if the process has not ended."""
        return not self.ended.done()

    async def send(self, header: Mapping[str, Any], blob: bytes = b"") -> None:
        """Send a message. Raises: ProcessEnded."""
        try:
            self._stdin.write(frames.encode(header, blob))
            await self._stdin.drain()
        except OSError as error:
            raise ProcessEnded from error

    async def receive(self, max_blob: int) -> Frame:
        """Receive the next message. `max_blob`: maximum size of its bytes. Raises: ProcessEnded."""
        try:
            return await _receive(self._stdout, max_blob)
        except (frames.MalformedFrame, asyncio.IncompleteReadError, OSError) as error:
            raise ProcessEnded from error

    async def kill(self) -> int | None:
        """End the process and its interpreter at once. Return the exit status, or the number of the signal below 0."""
        self.reusable, self.was_killed = False, True
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        await asyncio.wait([self.ended])
        # `wait` returns before asyncio has closed the pipes. Python would warn about a loop that closes in between.
        self._process._transport.close()  # type: ignore[attr-defined]  # noqa: SLF001 - asyncio has no other way
        await asyncio.sleep(0)
        return self._process.returncode


async def _receive(reader: asyncio.StreamReader, max_blob: int) -> Frame:
    """Read a message. Raises: MalformedFrame, asyncio.IncompleteReadError, OSError."""
    header_size, blob_size = frames.SIZES.unpack(await reader.readexactly(frames.SIZES.size))
    if header_size > frames.MAX_HEADER or blob_size > max_blob:
        raise frames.MalformedFrame("The message is too large.")
    header = frames.parse(await reader.readexactly(header_size))
    return header, await reader.readexactly(blob_size)
