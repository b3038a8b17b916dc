"""Outcomes of a program: finished, failed or suspended."""

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from one_runtime.agents.programs.host import ApprovalNeeded, ConnectionNeeded, ProgramCall

FailureKind: TypeAlias = Literal["syntax", "types", "limit", "exception", "crashed", "busy", "outdated"]
"""Kinds of failures.

- `syntax`: the text is not valid, or uses a part of Python that the sandbox does not support. No call was made.
- `types`: the type check found errors. No call was made.
- `limit`: the program exceeded a limit.
- `exception`: the program raised an exception.
- `crashed`: the process of the program ended unexpectedly.
- `busy`: other programs used all processes. The program did not start.
- `outdated`: another version of the interpreter paused this program, so the program cannot continue.
"""


@dataclass(frozen=True, slots=True)
class MadeCall:
    """A call that a program made. `status`: the HTTP status, or None if the call was refused or had no response.

    `function`: the name of the integration's function, or None for `call(…)`. `ms`: duration in milliseconds.
    """

    integration: str
    method: str
    path: str
    status: int | None
    ms: int
    function: str | None = None


@dataclass(frozen=True, slots=True)
class PendingCall:
    """A call that waits for the end user.

    `id`: the key for `refused` in `Sandbox.resume`. `encoded`: the call for the dump.
    """

    id: int
    call: ProgramCall
    reason: ConnectionNeeded | ApprovalNeeded
    encoded: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Finished:
    """The program ended. `result`: the value of the last expression as text, JSON where possible. None is empty.

    `note`: a hint for the author of the program, or an empty string.
    """

    result: str
    stdout: str
    calls: tuple[MadeCall, ...]
    truncated: bool = False
    note: str = ""


@dataclass(frozen=True, slots=True)
class Failed:
    """The program failed. `message`: text for the author, with line and column where they are known."""

    kind: FailureKind
    message: str
    stdout: str = ""
    calls: tuple[MadeCall, ...] = ()


@dataclass(frozen=True, slots=True)
class Suspended:
    """The program waits for the end user. `dump`: the state for `Sandbox.resume`, with the program's data.

    Every call without a response is in `pending`. The responses to all other calls are part of the dump.
    """

    dump: bytes
    pending: tuple[PendingCall, ...]
    stdout: str
    calls: tuple[MadeCall, ...]
    calls_used: int


ProgramOutcome: TypeAlias = Finished | Failed | Suspended
