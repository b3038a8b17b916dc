"""Limits that a process of a pool sets for itself. A system can refuse some of them, so the server has limits too."""

import os
import resource
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Final

from one_runtime.computing.isolation import close_inherited_files, isolate

MAX_RESIDENT: Final = 192 * 1024 * 1024
"""Memory of a process after which the process ends with its work, in bytes."""


def limit_this_process(memory: int) -> None:
    """Limit the memory, the files and the priority of this process, and isolate it. Its children inherit the limits.

    `memory`: number of bytes that the process, and each child, can reserve.
    """
    close_inherited_files()
    for limit in (
        lambda: resource.setrlimit(resource.RLIMIT_DATA, (memory, memory)),
        lambda: resource.setrlimit(resource.RLIMIT_CORE, (0, 0)),
        lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)),
        lambda: os.nice(5),
        lambda: Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii"),  # Linux ends this process first
    ):
        with suppress(ValueError, OSError):
            limit()
    _open_status()  # `isolate` forbids it later
    isolate()


def has_grown() -> bool:
    """Return True if this process has used more than `MAX_RESIDENT` bytes. Return False on a system without `/proc`.

    `getrusage` is not suitable: on Linux, its maximum also counts the server, which has started this process.
    """
    status = _open_status()
    if status is None:
        return False
    return int(os.pread(status, 8192, 0).partition(b"VmHWM:")[2].split()[0]) * 1024 > MAX_RESIDENT


@cache
def _open_status() -> int | None:
    try:
        return os.open("/proc/self/status", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
