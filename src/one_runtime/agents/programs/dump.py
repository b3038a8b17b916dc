"""State of a paused program, as bytes: the interpreter's own dump, and the counters and calls of the program.

A program can wait for hundreds of calls, whose arguments have 2 MB. So each call becomes a text in a step of its own of
the event loop, and the state contains these texts (promise P17 of docs/security.md).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib import metadata
from typing import Any, Final, Literal, TypeAlias

from one_runtime.agents.programs.host import ConnectionNeeded, FunctionCall, HostCall, ProgramCall
from one_runtime.agents.programs.outcome import MadeCall, PendingCall
from one_runtime.computing import frames

FORMAT: Final = 2
"""Version of this format. Only the same version of One Runtime's format can read a dump."""

Reason: TypeAlias = Literal["connection", "approval"]


class OutdatedDump(Exception):
    """Another version of the interpreter or of One Runtime made the dump, or the bytes are not a dump."""


@cache
def interpreter_version() -> str:
    """Return the version of the interpreter. A dump is valid for one version only."""
    return metadata.version("pydantic-monty-runtime")


@dataclass(frozen=True, slots=True)
class ProgramState:
    """State of a paused program.

    - `interpreter`: the dump of the interpreter.
    - `handles`: the interpreter's ID of each module that the program can import.
    - `pending`: the calls that wait for the end user, from `encode_call`, by the interpreter's number of the call.
    """

    interpreter: bytes
    handles: Mapping[str, str]
    pending: Mapping[int, tuple[Reason, str]]
    calls: Sequence[MadeCall]
    calls_used: int
    answer_bytes: int
    argument_bytes: int
    stdout: str


def encode(state: ProgramState) -> bytes:
    """Return the bytes of the state."""
    header: dict[str, Any] = {
        "format": FORMAT,
        "version": interpreter_version(),
        "handles": dict(state.handles),
        "pending": dict(state.pending),
        "calls": [asdict(call) for call in state.calls],
        "calls_used": state.calls_used,
        "answer_bytes": state.answer_bytes,
        "argument_bytes": state.argument_bytes,
        "stdout": state.stdout,
    }
    return frames.encode(header, state.interpreter)


def decode(data: bytes) -> ProgramState:
    """Return the state that `encode` encoded. Raises: OutdatedDump."""
    try:
        header, interpreter = frames.decode(data)
    except frames.MalformedFrame as error:
        raise OutdatedDump("The state of the program is not readable. Run the program again.") from error
    if (header.get("format"), header.get("version")) != (FORMAT, interpreter_version()):
        raise OutdatedDump(
            f"Version {header.get('version')} of the interpreter paused this program, but this is version "
            f"{interpreter_version()}. Run the program again."
        )
    return ProgramState(
        interpreter=interpreter,
        handles=header["handles"],
        pending={int(id_): (reason, call) for id_, (reason, call) in header["pending"].items()},
        calls=[MadeCall(**call) for call in header["calls"]],
        calls_used=header["calls_used"],
        answer_bytes=header["answer_bytes"],
        argument_bytes=header["argument_bytes"],
        stdout=header["stdout"],
    )


def encode_call(call: ProgramCall) -> str:
    """Return a call as a text. `asdict` would copy the arguments slowly."""
    kind = "call" if isinstance(call, HostCall) else "function"
    return json.dumps([kind, {name: getattr(call, name) for name in call.__dataclass_fields__}])


def decode_call(text: str) -> ProgramCall:
    """Return the call that `encode_call` encoded."""
    kind, values = json.loads(text)
    return _CALLS[kind](**values)


def reason_name(pending: PendingCall) -> Reason:
    """Return the name of the reason in a dump."""
    return "connection" if isinstance(pending.reason, ConnectionNeeded) else "approval"


_CALLS: Final[Mapping[str, type[HostCall] | type[FunctionCall]]] = {"call": HostCall, "function": FunctionCall}
