"""Parse a custom integration in a separate process, which limits the time and the memory.

A thread that parses a document holds the lock of the interpreter. A large document would delay all other requests.
"""

import asyncio
import json
import math
import os
import resource
import signal
import sys
import time
from asyncio.subprocess import PIPE
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from one_runtime.catalog.custom import CustomEntry, read_custom
from one_runtime.catalog.model import CustomIntegration, dump
from one_runtime.catalog.source import Complaint, SourceError, Syntax, UnreadableSource
from one_runtime.computing import isolation

MAX_SECONDS: Final = 5
"""Maximum CPU time for one document, in seconds. A document of 1 MB usually takes less than one second."""

MAX_MEMORY: Final = 512 * 1024 * 1024
"""Maximum memory of the process, in bytes."""

_MAX_WAIT: Final = 60.0  # seconds; longer than `MAX_SECONDS`, because a busy system runs the process slowly
_TOO_LARGE: Final = "takes too much time or memory to read; send fewer values, for example a document with fewer paths"
_OUT_OF_MEMORY: Final = 70
"""Exit status of the process after a `MemoryError`."""
# Without free memory, Rust code, such as pydantic's, ends the process with SIGABRT. C code can end with SIGSEGV.
_KILLED: Final = (_OUT_OF_MEMORY, -signal.SIGXCPU, -signal.SIGKILL, -signal.SIGABRT, -signal.SIGSEGV)

_SOURCE: Final = Path(__file__).parents[2]
"""The folder that contains the package."""
# With -I, Python ignores PYTHONPATH. So the process gets the folder of the package as an argument. Python's path can
# already contain the folder, for example site-packages. The order of the path then stays unchanged.
_START: Final = f"""
import sys
source, *limits = sys.argv[1:]
if source not in sys.path:
    sys.path.insert(0, source)
from {__name__} import parse_standard_input
parse_standard_input(*map(int, limits))
"""


@dataclass(frozen=True, slots=True)
class EntryDocument:
    """A request body with a custom integration, and the arguments of `read_custom`."""

    text: str
    syntax: Syntax
    slug: str | None = None
    allow_http: bool = False

    def read(self) -> CustomEntry:
        """Parse and validate the document in this process. Raises: SourceError."""
        return read_custom(self.text, self.syntax, self.slug, allow_http=self.allow_http)


async def read_in_process(document: EntryDocument) -> CustomEntry:
    """Parse and validate the document in a new process. The process receives no environment variables.

    Raises:
        SourceError: the document is not valid, or takes too much time or memory.
        RuntimeError: the process failed unexpectedly.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-c", _START, str(_SOURCE), str(MAX_SECONDS), str(MAX_MEMORY)),
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
        env={},
    )
    try:
        async with asyncio.timeout(_MAX_WAIT):
            output, errors = await process.communicate(json.dumps(asdict(document)).encode())
    except TimeoutError as error:
        raise _too_large() from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode in _KILLED:
        raise _too_large()
    if process.returncode:
        raise RuntimeError(f"the parser ended with {process.returncode}: {errors.decode(errors='replace')[-2000:]}")
    return _decode(json.loads(output))


def _decode(result: dict[str, Any]) -> CustomEntry:
    """Return the entry from the process's output. Raises: SourceError."""
    if "complaints" in result:
        kind = UnreadableSource if result["unreadable"] else SourceError
        raise kind(
            Complaint(complaint["line"], tuple(complaint["place"]), complaint["message"])
            for complaint in result["complaints"]
        )
    integration = CustomIntegration.model_validate(result["integration"], context={"trusted": True})
    return CustomEntry(integration, result["logo"], tuple(result["warnings"]), result["operations"])


def _too_large() -> SourceError:
    return SourceError([Complaint(None, (), _TOO_LARGE)])


def _encode(document: EntryDocument) -> dict[str, object]:
    """Parse the document, and return the result as plain data for `_decode`."""
    try:
        entry = document.read()
    except SourceError as error:
        complaints = [asdict(complaint) for complaint in error.complaints]
        return {"complaints": complaints, "unreadable": isinstance(error, UnreadableSource)}
    texts = {"logo": entry.logo, "warnings": entry.warnings, "operations": entry.operations}
    return {"integration": dump(entry.integration), **texts}


def parse_standard_input(seconds: int, memory: int) -> None:
    """Read a document from standard input, and write the result to standard output. The process limits itself."""
    isolation.close_inherited_files()
    cpu_time = math.ceil(time.process_time()) + seconds
    isolation.set_limits({resource.RLIMIT_CPU: cpu_time, resource.RLIMIT_AS: memory})
    isolation.isolate()
    try:
        sys.stdout.write(json.dumps(_encode(EntryDocument(**json.load(sys.stdin)))))
        sys.stdout.flush()
    except MemoryError:
        os._exit(_OUT_OF_MEMORY)  # an ordinary exit would need more memory
