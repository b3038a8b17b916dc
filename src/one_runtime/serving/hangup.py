"""Handle SIGHUP, which asks a server to reload, and which the system sends when the terminal of a process is closed."""

import os
import signal
import threading
from contextlib import suppress
from types import FrameType
from typing import Final


def _is_terminal(descriptor: int) -> bool:
    with suppress(OSError):
        return os.isatty(descriptor)
    return False


_TERMINALS: Final = tuple(filter(_is_terminal, range(3)))
"""The standard input and outputs that were terminals at the start."""


def has_lost_terminal() -> bool:
    """Return True if the process was started in a terminal that has been closed. A closed terminal is no terminal."""
    return bool(_TERMINALS) and not any(map(_is_terminal, _TERMINALS))


def ignore_hangup() -> None:
    """Ignore SIGHUP from now on, in a command that has nothing to reload. If its terminal is closed, stop it.

    The default action would end the process at once, for example a server in a migration. A program that runs a command
    in a thread keeps its own action, because only the main thread can change it.
    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGHUP, _stop_without_terminal)


def _stop_without_terminal(_number: int, _frame: FrameType | None) -> None:
    if has_lost_terminal():
        signal.raise_signal(signal.SIGTERM)
