"""Run programs in a process of their own. Only this module imports the interpreter, Monty.

The values of a program can need much memory at the boundary of the interpreter, and the library that reads them is
native code. So neither is part of the server's process. The process reads messages from standard input, writes messages
to standard output, and ends at the end of standard input. `run.py` and `computing/process.py` are the other side.
"""

import signal
import sys
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, BinaryIO, Final, TypeAlias
from uuid import UUID

import pydantic_monty as monty

from one_runtime.agents.programs import diagnostics, prelude, tracebacks
from one_runtime.agents.programs.limits import MIB, LimitExceeded, ProgramLimits
from one_runtime.agents.programs.rendering import Printed, render
from one_runtime.computing import frames
from one_runtime.computing.frames import Frame
from one_runtime.computing.isolation import has_grown, limit_this_process

MAX_PROGRAMS: Final = 200
"""Number of programs after which the interpreter starts again."""
_MAX_DATA: Final = 1024 * MIB
"""Memory that this process and the interpreter can each reserve, in bytes."""
_ANSWER_SECONDS: Final = 10.0
"""Time after which this process ends an interpreter that does not answer. A limit of computation usually acts first."""
Snapshot: TypeAlias = monty.FunctionSnapshot | monty.NameLookupSnapshot | monty.FutureSnapshot | monty.MontyComplete


class _Paused(Exception):
    """The server asked for the state of the program."""


class _EndOfInput(Exception):
    """The server has closed the standard input."""


class _Imported:
    """A value of this process that stands for a module of the program."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"<module '{self.name}'>"


def serve() -> None:
    """Run programs until the end of standard input."""
    limit_this_process(_MAX_DATA)
    stdin, stdout = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr  # only messages may enter the standard output
    pool: monty.Monty | None = None
    try:
        while (frame := frames.read(stdin)) is not None:
            if frame[0]["op"] == "describe":
                _describe_types(stdout, frame)
                continue
            limits = ProgramLimits(**frame[0]["limits"])
            if pool is None:
                pool = monty.Monty(
                    min_processes=1,
                    max_processes=1,
                    checkout_timeout=_ANSWER_SECONDS,
                    request_timeout=_ANSWER_SECONDS,
                    max_checkouts_per_worker=MAX_PROGRAMS,
                ).__enter__()
            _Execution(stdin, stdout, limits).serve(pool, frame)
            if has_grown():
                return
    except _EndOfInput:
        return
    finally:
        if pool is not None:
            pool.__exit__(None, None, None)


class _Execution:
    """One program, from its start or its resumption to its end or its next pause."""

    def __init__(self, stdin: BinaryIO, stdout: BinaryIO, limits: ProgramLimits) -> None:
        self.stdin, self.stdout, self.limits = stdin, stdout, limits
        self.printed = Printed(limits.stdout_bytes)
        self.modules: dict[str, monty.ClassInstance] = {}
        self.new_calls: list[dict[str, Any]] = []
        self.new_sleeps: list[tuple[int, float]] = []
        self.sleeping: set[int] = set()
        self.argument_bytes = 0

    def serve(self, pool: monty.Monty, frame: Frame) -> None:
        """Run the program, and send its outcome."""
        request, blob = frame
        self.argument_bytes = request["argument_bytes"]
        try:
            with self._session(pool, request) as session:
                try:
                    self._send(self._run(session, request, blob))
                except LimitExceeded as error:
                    self._send({"event": "failed", "kind": "limit", "message": str(error)})
        except _Paused:
            return
        except monty.MontyError as error:
            self._send({"event": "failed", **tracebacks.describe(error, self.limits)})

    def _session(self, pool: monty.Monty, request: Mapping[str, Any]) -> monty.MontySession:
        limits = self.limits
        return pool.checkout(
            limits={
                "max_feed_duration_secs": limits.compute_seconds,
                "max_turn_duration_secs": limits.step_compute_seconds,
                "max_memory": limits.memory_bytes,
                "max_recursion_depth": limits.recursion_depth,
                "max_suspensions": limits.suspensions,
                "max_total_sleep_secs": limits.sleep_seconds,
            },
            os_policy={
                "datetime": "system",
                "timezone": "utc",
                "sleep": "system",
                "sleep_system_max": limits.single_sleep_seconds,
                "random_start": "system",
            },
            type_check=request["op"] == "start",
            type_check_format="concise",
            external_modules={name: monty.ExternalModule({}, stubs=stubs) for name, stubs in request["stubs"].items()},
        )

    def _run(self, session: monty.MontySession, request: Mapping[str, Any], blob: bytes) -> dict[str, Any]:
        if request["op"] == "start":
            code = prelude.prelude(request["functions"])
            made = session.feed_run(code, skip_type_check=True, external_lookup={prelude.SEND: _unused})
            self._name_modules([prelude.MODULE, *request["functions"]], [module.id for module in made])
            snapshot: Snapshot = session.feed_start(blob.decode(), print_callback=self.printed.write)
        else:
            self._name_modules(request["modules"], map(UUID, request["modules"].values()))
            self.sleeping = set(request.get("sleeping", ()))
            snapshot = session.load_snapshot(blob, print_callback=self.printed.write)
        while not isinstance(snapshot, monty.MontyComplete):
            snapshot = self._step(snapshot)
        result, truncated = self._result(snapshot)
        forgotten = 0
        with suppress(monty.MontyError):  # the program has replaced the counters
            forgotten = session.feed_run(prelude.FORGOTTEN, skip_type_check=True)
        return {"event": "done", "result": result, "truncated": truncated, "forgotten": forgotten}

    def _result(self, complete: monty.MontyComplete) -> tuple[str, bool]:
        """Return the result as text, and True if the text was cut.

        A dictionary with nested tuples as keys can need years, and Python cannot stop the computation of a hash. So
        after some seconds, the signal ends this process. The server then reports a limit.
        """
        signal.setitimer(signal.ITIMER_REAL, self.limits.result_seconds)
        try:
            return render(complete.output, self.limits.result_bytes)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)

    def _name_modules(self, names: Iterable[str], ids: Iterable[Any]) -> None:
        """Remember the modules of the program. An instance with the ID stands for the program's own object."""
        self.modules = {
            name: monty.ClassInstance(_Imported(name), id=id_) for name, id_ in zip(names, ids, strict=True)
        }

    def _step(self, snapshot: Snapshot) -> Snapshot:
        """Answer one question of the interpreter."""
        match snapshot:
            case monty.FutureSnapshot():
                return self._wait(snapshot)
            case monty.FunctionSnapshot():
                return self._call(snapshot)
            case monty.NameLookupSnapshot():
                return snapshot.resume()  # raises NameError in the program
        raise AssertionError(snapshot)

    def _call(self, snapshot: monty.FunctionSnapshot) -> Snapshot:
        name, arguments = snapshot.function_name, snapshot.args
        if name == "import" and (module := self.modules.get(arguments[0])):
            return snapshot.resume({"return_value": module})
        if name in {"import", "import_stubs"}:
            return snapshot.resume_auto()
        if name == "system.sleep":
            time.sleep(self._seconds(arguments[0]))
            return snapshot.resume({"return_value": None})
        if name == "system.async_sleep":
            self.sleeping.add(snapshot.call_id)
            self.new_sleeps.append((snapshot.call_id, self._seconds(arguments[0])))
            return snapshot.resume({"future": ...})
        if snapshot.is_os_function:
            return snapshot.resume_not_handled()
        if name != prelude.SEND or len(arguments) != 2 or not all(isinstance(each, str) for each in arguments):
            return snapshot.resume({"exc_type": "NameError", "message": f"name '{name}' is not defined"})
        return self._request(snapshot, *arguments)

    def _seconds(self, seconds: float) -> float:
        """Return the duration of a sleep. The interpreter limits the total duration."""
        return max(0.0, min(float(seconds), self.limits.single_sleep_seconds))

    def _request(self, snapshot: monty.FunctionSnapshot, function: str, arguments: str) -> Snapshot:
        size = len(arguments.encode(errors="replace"))
        if size > self.limits.argument_bytes:
            message = f"The arguments have {size} bytes as JSON. The limit is {self.limits.argument_bytes}."
            return snapshot.resume({"exc_type": "ValueError", "message": message})
        self.argument_bytes += size
        if self.argument_bytes > self.limits.total_argument_bytes:
            raise LimitExceeded(f"The arguments of all calls exceed {self.limits.total_argument_bytes} bytes.")
        self.new_calls.append({"id": snapshot.call_id, "function": function, "arguments": arguments})
        return snapshot.resume({"future": ...})

    def _wait(self, snapshot: monty.FutureSnapshot) -> Snapshot:
        """Report the new calls to the server, and continue with the server's answer to one of them."""
        self._send(
            {
                "event": "waiting",
                "calls": self.new_calls,
                "sleeps": self.new_sleeps,
                "pending": snapshot.pending_call_ids,
                "arguments": self.argument_bytes,
            }
        )
        self.new_calls, self.new_sleeps = [], []
        while True:
            frame = frames.read(self.stdin)
            if frame is None:
                raise _EndOfInput
            answer, body = frame
            if answer["op"] not in {"pause", "park"}:
                break
            self._pause(snapshot, can_stay=answer["op"] == "park")
        call_id = answer["id"]
        if answer["op"] == "raise":
            return snapshot.resume({call_id: {"exc_type": answer["type"], "message": answer["message"]}})
        if call_id in self.sleeping:
            return snapshot.resume({call_id: {"return_value": None}})
        text = body.decode(errors="replace")
        return snapshot.resume({call_id: {"return_value": [answer["status"], answer["headers"], text]}})

    def _pause(self, snapshot: monty.FutureSnapshot, *, can_stay: bool) -> None:
        """Send the state of the program to the server. `can_stay`: a program with a large state stays here."""
        dump = snapshot.dump()
        if len(dump) > self.limits.dump_bytes:
            if can_stay:
                self._send({"event": "stays"})
                return
            raise LimitExceeded(
                f"The program has to wait for the end user, but its data have {len(dump)} bytes. "
                f"The limit for a pause is {self.limits.dump_bytes}."
            )
        ids = {name: str(module.id) for name, module in self.modules.items()}
        self._send({"event": "paused", "modules": ids}, dump)
        raise _Paused

    def _send(self, header: dict[str, Any], blob: bytes = b"") -> None:
        last = header["event"] not in {"waiting", "stays"} and has_grown()
        message = {**header, "stdout": self.printed.take(), "last": last}
        self.stdout.write(frames.encode(message, blob))
        self.stdout.flush()


def _describe_types(stdout: BinaryIO, frame: Frame) -> None:
    """Describe the findings of the type checker, with suggestions."""
    request, code = frame
    kind, message = diagnostics.describe_types(
        request["output"], code.decode(), request["functions"], request["module_names"]
    )
    last = has_grown()
    stdout.write(frames.encode({"event": "described", "kind": kind, "message": message, "last": last}))
    stdout.flush()


def _unused(*_arguments: object) -> None:
    """Stand for the function `_send` of the prelude. `_Execution._call` answers its calls."""


if __name__ == "__main__":
    serve()
