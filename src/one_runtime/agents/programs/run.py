"""Follow a program from its start, or from its resumption, to its end or its next pause."""

import asyncio
import re
import signal
from collections.abc import Collection, Coroutine, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from one_runtime.agents.programs import dump
from one_runtime.agents.programs.calls import Answer, Calls, raising
from one_runtime.agents.programs.dump import ProgramState
from one_runtime.agents.programs.host import ProgramHost, ProgramModule
from one_runtime.agents.programs.limits import LimitExceeded, ProgramLimits
from one_runtime.agents.programs.outcome import (
    Failed,
    FailureKind,
    Finished,
    PendingCall,
    ProgramOutcome,
    Suspended,
)
from one_runtime.agents.programs.prelude import CALL_REFUSED, CONNECT_REQUIRED, MODULE, displayed
from one_runtime.agents.programs.rendering import cut
from one_runtime.agents.programs.stubs import (
    ONE_RUNTIME,
    functions_by_name,
    identifier,
    parameter_names,
    stub,
)
from one_runtime.computing.pool import ProcessReservation
from one_runtime.computing.process import ProcessEnded, WorkerProcess
from one_runtime.telemetry.logger import Logger

log = Logger()

_WORD: Final = re.compile(r"\w+")
ENDED: Final = "The process of the program ended unexpectedly. Run the program again."

MOST_FUNCTIONS: Final = 100
"""Number of functions up to which the type checker sees all functions of a module.

Of a larger module, the type checker sees the functions whose names occur in the program.
"""
MOST_PARAMETERS: Final = 10_000
"""Number of parameters up to which the type checker sees all functions of all modules, and maximum number otherwise.

The event loop needs 2 milliseconds for each thousand.
"""


class ProgramRun:
    """A program in a process. Build one object for each run, and call either `start` or `resume`."""

    def __init__(
        self,
        reservation: ProcessReservation,
        host: ProgramHost,
        limits: ProgramLimits,
        modules: Mapping[str, ProgramModule],
    ) -> None:
        self.reservation, self.host, self.limits, self.modules = reservation, host, limits, modules
        self.calls = Calls(host, limits, modules)
        self.stdout = ""
        self.code = ""
        self.argument_bytes = 0
        self.tasks: dict[int, asyncio.Task[Answer | PendingCall]] = {}
        self.resumed: dict[int, Coroutine[Any, Any, Answer | PendingCall]] = {}
        self.pending: dict[int, PendingCall] = {}
        self.sleeping: set[int] = set()
        self.parked: _Parked | None = None

    @property
    def process(self) -> WorkerProcess:
        """Return the process of the program. A program that is set aside has none."""
        if self.reservation.process is None:
            raise ProcessEnded
        return self.reservation.process

    async def start(self, code: str) -> ProgramOutcome:
        """Run a program."""
        self.code = code
        words = frozenset(_WORD.findall(code))
        has_many = _parameter_count(self.modules) > MOST_PARAMETERS
        seen = {
            name: _named(module, words) if has_many or len(module.functions) > MOST_FUNCTIONS else module
            for name, module in self.modules.items()
        }
        if has_many and _parameter_count(seen) > MOST_PARAMETERS:
            return self._failed("limit", f"The functions of the program have more than {MOST_PARAMETERS} parameters.")
        functions = {
            name: {key: list(parameter_names(function)) for key, function in functions_by_name(module).items()}
            for name, module in seen.items()
        }
        stubs = {name: stub(module) for name, module in seen.items()}
        request = {"op": "start", "functions": functions, "stubs": {MODULE: ONE_RUNTIME, **stubs}}
        return await self._follow(request, code.encode(errors="replace"))

    async def resume(self, state: ProgramState, refused: Mapping[int, str]) -> ProgramOutcome:
        """Continue a paused program. `refused`: messages for the calls to which the end user did not agree."""
        self.stdout, self.argument_bytes = state.stdout, state.argument_bytes
        self.calls.made = list(state.calls)
        self.calls.used, self.calls.answer_bytes = state.calls_used, state.answer_bytes
        for id_, (reason, call) in state.pending.items():
            if id_ in refused:
                type_ = CONNECT_REQUIRED if reason == "connection" else CALL_REFUSED
                self.resumed[id_] = _value(raising(id_, type_, refused[id_]))
            else:
                self.resumed[id_] = self.calls.carry_out_again(id_, call)
        request = {"op": "resume", "modules": dict(state.handles), "stubs": {}}
        return await self._follow(request, state.interpreter)

    async def _follow(self, request: Mapping[str, Any], blob: bytes) -> ProgramOutcome:
        deadline = asyncio.timeout(self.limits.wall_seconds)
        try:
            async with deadline:
                await self._send_program(request, blob)
                outcome = await self._until_the_end()
        except TimeoutError:
            if not deadline.expired():
                raise
            outcome = self._failed("limit", f"The program ran longer than {self.limits.wall_seconds:g} seconds.")
        except LimitExceeded as error:
            outcome = self._failed("limit", str(error))
        except ProcessEnded:
            outcome = await self._crashed()
        finally:
            await self._cancel_calls()
        return replace(outcome, calls=tuple(self.calls.made))  # with the cancelled calls

    async def _send_program(self, request: Mapping[str, Any], blob: bytes) -> None:
        self.process.reusable = False
        header = {**request, "limits": asdict(self.limits), "argument_bytes": self.argument_bytes}
        await self.process.send(header, blob)

    async def _crashed(self) -> ProgramOutcome:
        if self.reservation.process is None:  # the sandbox was closed while the program had no process
            return self._failed("crashed", ENDED)
        expected = self.process.was_killed
        status = await self.process.kill()
        if status == -signal.SIGALRM:
            return self._failed("limit", "The result is too complex. Return a list, or a dictionary with simple keys.")
        if not expected:
            log.warning("program_process_ended", status=status)
        return self._failed("crashed", ENDED)

    async def _until_the_end(self) -> ProgramOutcome:
        while True:
            event, _ = await self.process.receive(max_blob=0)
            self._add_stdout(event["stdout"])
            if event["event"] != "waiting":
                return await self._end(event)
            self._begin_resumed()
            self.argument_bytes = event["arguments"]
            for call in event["calls"]:
                self._announce(call["id"], call["function"], call["arguments"])
            for id_, seconds in event["sleeps"]:
                self.sleeping.add(id_)
                self._begin(id_, _sleep(id_, seconds))
            answer = await self._next_answer(event["pending"])
            if answer is None:
                return await self._pause(event["pending"])
            if self.parked is not None and (ended := await self._unpark(self.parked)) is not None:
                return await self._end(ended)
            self.sleeping.discard(answer[0]["id"])
            await self.process.send(*answer)

    def _begin_resumed(self) -> None:
        """Begin the calls that waited during a pause. By then, the process has loaded the program."""
        for id_, answer in self.resumed.items():
            self._begin(id_, answer)
        self.resumed = {}

    def _announce(self, id_: int, function: str, arguments: str) -> None:
        """Begin a call that the program has made."""
        self.calls.used += 1
        if self.calls.used > self.limits.calls:
            raise LimitExceeded(f"The program made more than {self.limits.calls} calls.")
        self._begin(id_, self.calls.answer(id_, self.calls.used, function, arguments))

    def _begin(self, id_: int, answer: Coroutine[Any, Any, Answer | PendingCall]) -> None:
        self.tasks[id_] = asyncio.create_task(answer)

    async def _next_answer(self, awaited: Collection[int]) -> Answer | None:
        """Return the answer to a call that the program awaits. Return None if all of them wait for the end user.

        Before None is returned, all other calls have ended, so that a pause repeats no call.
        """
        while True:
            for id_ in [id_ for id_, task in self.tasks.items() if task.done()]:
                answer = self.tasks.pop(id_).result()
                if isinstance(answer, PendingCall):
                    self.pending[id_] = answer
                elif id_ in awaited:
                    return answer
            if not self.tasks:
                if not self.pending.keys() >= set(awaited):
                    raise ProcessEnded  # the process awaits a call that it has not announced
                return None
            await self._wait()

    async def _wait(self) -> None:
        """Wait for a call. If other work needs the process meanwhile, set the program aside. Raises: ProcessEnded."""
        if self.reservation.process is None:
            await asyncio.wait(self.tasks.values(), return_when=asyncio.FIRST_COMPLETED)
            return
        wanted = asyncio.create_task(self.reservation.wanted.wait())
        try:
            with self.reservation.idle():
                ends = (self.process.ended, wanted) if self.reservation.can_return else (self.process.ended,)
                await asyncio.wait([*ends, *self.tasks.values()], return_when=asyncio.FIRST_COMPLETED)
        finally:
            wanted.cancel()
        if not self.process.is_alive:
            raise ProcessEnded
        if self.reservation.wanted.is_set() and not any(task.done() for task in self.tasks.values()):
            await self._park()

    async def _park(self) -> None:
        """Take the state of the program out of its process, and return the process. A large state stays there."""
        await self.process.send({"op": "park"})
        event, interpreter = await self.process.receive(max_blob=self.limits.dump_bytes)
        self._add_stdout(event["stdout"])
        if event["event"] == "stays":
            self.reservation.keep()
            return
        if event["event"] != "paused":
            raise ProcessEnded
        self.process.reusable = not event["last"]
        self.parked = _Parked(interpreter, event["modules"])
        self.reservation.give_back()

    async def _unpark(self, parked: "_Parked") -> Mapping[str, Any] | None:
        """Reserve a process, and load the state. Return the last message of the program if it cannot go on."""
        await self.reservation.renew()
        sleeping = sorted(self.sleeping)
        request = {"op": "resume", "modules": parked.modules, "stubs": {}, "sleeping": sleeping}
        await self._send_program(request, parked.interpreter)
        self.parked = None
        event, _ = await self.process.receive(max_blob=0)
        self._add_stdout(event["stdout"])
        return None if event["event"] == "waiting" else event

    async def _pause(self, awaited: Collection[int]) -> ProgramOutcome:
        if self.parked is None:
            await self.process.send({"op": "pause"})
            event, interpreter = await self.process.receive(max_blob=self.limits.dump_bytes)
            if event["event"] != "paused":
                return await self._end(event)
            self.process.reusable = not event["last"]
            self.parked = _Parked(interpreter, event["modules"])
        pending = tuple(self.pending[id_] for id_ in sorted(awaited))
        state = ProgramState(
            interpreter=self.parked.interpreter,
            handles=self.parked.modules,
            pending={each.id: (dump.reason_name(each), each.encoded) for each in pending},
            calls=self.calls.made,
            calls_used=self.calls.used,
            answer_bytes=self.calls.answer_bytes,
            argument_bytes=self.argument_bytes,
            stdout=self.stdout,
        )
        return Suspended(dump.encode(state), pending, self._shown_stdout()[0], (), self.calls.used)

    async def _end(self, event: Mapping[str, Any]) -> ProgramOutcome:
        self.process.reusable = not event["last"]
        if event["event"] == "failed":
            kind, message = event["kind"], event["message"]
            if kind == "crashed":
                log.warning("program_process_ended", status=None)
            if kind == "types":
                return await self._describe_types(message)
            return self._failed(kind, message)
        stdout, cut_stdout = self._shown_stdout()
        note = ""
        if event["forgotten"] > 0:
            note = f"The program did not await all calls. Calls that were not sent: {event['forgotten']}."
        truncated = event["truncated"] or cut_stdout
        return Finished(displayed(event["result"]), stdout, (), truncated, note)

    async def _describe_types(self, output: str) -> Failed:
        """Return the failure of the type check. The process compares the names, because a program can have many."""
        if not self.process.reusable:
            return self._failed("types", output)
        self.process.reusable = False
        words = frozenset(_WORD.findall(self.code))
        request = {
            "op": "describe",
            "output": output,
            "functions": {name: _parameters(module, words) for name, module in self.modules.items()},
            "module_names": sorted(await self.host.module_names()),
        }
        await self.process.send(request, self.code.encode(errors="replace"))
        event, _ = await self.process.receive(max_blob=0)
        self.process.reusable = not event["last"]
        return self._failed(event["kind"], event["message"])

    def _failed(self, kind: FailureKind, message: str) -> Failed:
        return Failed(kind, message, self._shown_stdout()[0])

    def _add_stdout(self, text: str) -> None:
        self.stdout = (self.stdout + text)[: self.limits.stdout_bytes + 1]

    def _shown_stdout(self) -> tuple[str, bool]:
        return cut(displayed(self.stdout), self.limits.stdout_bytes)

    async def _cancel_calls(self) -> None:
        """Cancel the calls that the program does not await any more, and wait for their end."""
        for answer in self.resumed.values():
            answer.close()
        tasks = list(self.tasks.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


@dataclass(frozen=True, slots=True)
class _Parked:
    """The state of a program without a process. `modules`: the interpreter's ID of each module."""

    interpreter: bytes
    modules: Mapping[str, str]


def _parameters(module: ProgramModule, words: Collection[str]) -> dict[str, list[str]]:
    """Return the functions of a module, with the parameters of those functions that the program can have called."""
    return {
        name: list(parameter_names(function)) if name in words else []
        for name, function in functions_by_name(module).items()
    }


def _named(module: ProgramModule, words: Collection[str]) -> ProgramModule:
    """Return the module with the functions whose names occur in the program. `words`: the words of the program."""
    return ProgramModule(module.integration, tuple(each for each in module.functions if identifier(each.name) in words))


def _parameter_count(modules: Mapping[str, ProgramModule]) -> int:
    return sum(len(function.parameters) for module in modules.values() for function in module.functions)


async def _value(answer: Answer) -> Answer:
    return answer


async def _sleep(id_: int, seconds: float) -> Answer:
    await asyncio.sleep(seconds)
    return {"op": "answer", "id": id_}, b""
