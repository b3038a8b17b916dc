"""Limits of programs. The process that runs programs imports this module, so keep the imports few."""

from dataclasses import dataclass
from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB


@dataclass(frozen=True, slots=True)
class ProgramLimits:
    """Limits of one program. A resumed program continues with the counters of the time before the pause.

    The interpreter (Monty) enforces the limits of computation, memory, recursion and sleep. One Runtime enforces all
    others. The source of the values is docs/decisions/0037-sandbox.md.
    """

    code_bytes: int = 32 * KIB
    """Size of the program's text in UTF-8."""
    wall_seconds: float = 60.0
    """Time until the program ends or pauses, in seconds. The time of a pause does not count."""
    slot_seconds: float = 5.0
    """Time for which a program waits while other programs use all processes, in seconds."""
    compute_seconds: float = 5.0
    """Time for the computations of the whole program, in seconds. The time of calls does not count."""
    step_compute_seconds: float = 2.0
    """Time for the computations between two calls, in seconds. The type check has one second more."""
    memory_bytes: int = 64 * MIB
    """Memory of the program's values."""
    recursion_depth: int = 200
    """Depth of function calls."""
    sleep_seconds: float = 5.0
    """Total time that a program may sleep, in seconds."""
    single_sleep_seconds: float = 2.0
    """Time of one `sleep`, in seconds. A longer sleep ends after this time."""
    calls: int = 300
    """Number of calls to integrations, including the calls of `connections()`."""
    concurrent_calls: int = 8
    """Number of calls at the same time. Further calls wait."""
    argument_bytes: int = 256 * KIB
    """Size of the arguments of one call as JSON. A larger call raises ValueError in the program."""
    total_argument_bytes: int = 2 * MIB
    """Size of the arguments of all calls of a program."""
    answer_bytes: int = 2 * MIB
    """Size of one response body. A larger body raises ValueError in the program."""
    total_answer_bytes: int = 16 * MIB
    """Size of all response bodies of a program. Further calls raise ValueError in the program, and are not sent."""
    result_bytes: int = 16 * KIB
    """Size of the result's text. A longer text is cut."""
    result_seconds: float = 2.0
    """Time for the conversion of the result to text, in seconds."""
    stdout_bytes: int = 16 * KIB
    """Size of the printed text. A longer text is cut."""
    dump_bytes: int = 8 * MIB
    """Size of a paused program's state. Typical states have 20 kB."""

    @property
    def suspensions(self) -> int:
        """Return the number of times that the interpreter may wait: for each call twice, and for imports and names."""
        return 2 * self.calls + 200


class LimitExceeded(Exception):
    """The program exceeded a limit of One Runtime. The message is for the author of the program."""


LIMITS: Final = ProgramLimits()
"""The default limits."""
