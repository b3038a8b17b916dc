"""Limits that a process of a pool sets for itself. A system can refuse some of them, so the server has limits too."""

import os
import resource
from contextlib import suppress
from pathlib import Path
from typing import Final

MAX_RESIDENT: Final = 192 * 1024 * 1024
"""Memory of a process after which the process ends with its work, in bytes."""


def limit_this_process(memory: int) -> None:
    """Limit the memory, the files and the priority of this process. Its children inherit the limits.

    `memory`: number of bytes that the process, and each child, can reserve.
    """
    for limit in (
        lambda: resource.setrlimit(resource.RLIMIT_DATA, (memory, memory)),
        lambda: resource.setrlimit(resource.RLIMIT_CORE, (0, 0)),
        lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)),
        lambda: os.nice(5),
        lambda: Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii"),  # Linux ends this process first
    ):
        with suppress(ValueError, OSError):
            limit()


def has_grown() -> bool:
    """Return True if this process has used more than `MAX_RESIDENT` bytes. Return False on a system without `/proc`.

    `getrusage` is not suitable: on Linux, its maximum also counts the server, which has started this process.
    """
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return False
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024 > MAX_RESIDENT
