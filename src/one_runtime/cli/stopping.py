"""Stop a long command after a signal, when the present step of the command ends."""

import asyncio
import signal
from collections.abc import Callable
from typing import Final

_STOPPING: Final = (signal.SIGINT, signal.SIGTERM)


def receive_signal() -> Callable[[], int]:
    """Handle SIGINT and SIGTERM.

    After the first signal, the command stops when the current step ends. A second signal ends the process immediately.

    Return a function that returns the number of the first signal, or 0 without a signal.
    """
    received: list[int] = []
    loop = asyncio.get_running_loop()

    def receive(number: int) -> None:
        received.append(number)
        for stopping in _STOPPING:
            loop.remove_signal_handler(stopping)
            signal.signal(stopping, signal.SIG_DFL)  # Python's own handler would print a traceback during the exit

    for number in _STOPPING:
        loop.add_signal_handler(number, receive, number)
    return lambda: received[0] if received else 0
