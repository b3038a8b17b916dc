"""Describe the errors of the interpreter for a program's author. The process of programs uses this module."""

from typing import Any, Final

import pydantic_monty as monty

from one_runtime.agents.programs.limits import MIB, ProgramLimits
from one_runtime.agents.programs.prelude import displayed
from one_runtime.agents.programs.rendering import cut

_PROGRAM: Final = "<python-input-1>"
"""Name of the program's text in the frames. The prelude has the number 0."""
_MOST_FRAMES: Final = 8
_MOST_BYTES: Final = 8 * 1024
# Monty 1.4.0 crashes when it returns `[A, A()]`, or `locals()` with the classes of the prelude.
_CLASS_BEFORE_INSTANCE: Final = "class instance node"
_PARSER: Final = "The monty syntax parser does not yet support "
_INTERNAL: Final = "RuntimeError: Internal error in monty: "
"""First words of an error about a use of Python that the interpreter does not support, such as `ValueError(1, 2)`."""


def describe(error: monty.MontyError, limits: ProgramLimits) -> dict[str, Any]:
    """Return the `kind` of the failure, and the `message`. The message of the kind `types` is the output of ty."""
    if isinstance(error, monty.MontyTypingError):
        return _failure("types", error.display())
    if isinstance(error, monty.MontyCrashedError):
        if error.timed_out:
            return _failure("limit", "The type check, or a single operation of the program, took too long.")
        if _CLASS_BEFORE_INSTANCE in str(error):
            return _failure("exception", "The result has a class before an instance of it. Return only the instances.")
        return _failure("crashed", "The process of the program ended unexpectedly.")
    if not isinstance(error, monty.MontyRuntimeError | monty.MontySyntaxError):
        return _failure("exception", str(error))
    headline = displayed(error.display("type-msg"))
    if (exceeded := _exceeded(headline, limits)) is not None:
        return _failure("limit", exceeded)
    return _located(headline, error.traceback())


def _exceeded(headline: str, limits: ProgramLimits) -> str | None:
    """Return the description of the exceeded limit, or None. The interpreter names a limit only in the message."""
    for words, description in (
        ("TimeoutError: feed time limit", f"The program computed for more than {limits.compute_seconds:g} seconds."),
        (
            "TimeoutError: turn time limit",
            f"The program computed for more than {limits.step_compute_seconds:g} seconds without a call.",
        ),
        (
            "TimeoutError: sleep limit",
            f"The program slept longer than {limits.sleep_seconds:g} seconds in total.",
        ),
        ("MemoryError: memory limit", _memory(limits)),
        ("MemoryError: the worker exceeded its memory limit", _memory(limits)),
        ("RuntimeError: suspension limit", "The program made too many calls, imports and look-ups of names."),
        ("RecursionError: ", f"The program called functions more than {limits.recursion_depth} levels deep."),
    ):
        if headline.startswith(words):
            return description
    return None


def _memory(limits: ProgramLimits) -> str:
    return f"The program used more than {limits.memory_bytes // MIB} MiB of memory. Keep only the fields that you need."


def _located(headline: str, traceback: list[monty.Frame]) -> dict[str, Any]:
    """Return the failure with the lines of the program, the innermost frame first."""
    kind = "exception"
    if headline.startswith("SyntaxError: "):
        kind, headline = "syntax", headline.removeprefix("SyntaxError: ")
    elif _PARSER in headline:
        kind, headline = "syntax", f"the sandbox does not support {headline.partition(_PARSER)[2]}."
    elif headline.startswith(_INTERNAL):
        return _failure(kind, f"The sandbox does not support a part of the program: {headline[len(_INTERNAL) :]}.")
    frames = [frame for frame in reversed(traceback) if frame.filename == _PROGRAM]
    if not frames:
        return _failure(kind, headline)
    lines = [f"line {frames[0].line}, column {frames[0].column}: {headline}"]
    for number, frame in enumerate(frames[:_MOST_FRAMES]):
        place = f"called at line {frame.line}: " if number else ""
        if frame.source_line is not None:
            lines.append(f"  {place}{frame.source_line.strip()}")
    return _failure(kind, "\n".join(lines))


def _failure(kind: str, message: str) -> dict[str, Any]:
    return {"kind": kind, "message": cut(message, _MOST_BYTES)[0]}
