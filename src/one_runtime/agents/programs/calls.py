"""Carry out the calls of a program: check the arguments, ask the host, and limit the responses."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, TypeAlias

from one_runtime.agents.programs.dump import decode_call, encode_call
from one_runtime.agents.programs.host import (
    ApprovalNeeded,
    CallRefused,
    ConnectionDeclined,
    ConnectionNeeded,
    FunctionCall,
    HostCall,
    HostResponse,
    ProgramCall,
    ProgramHost,
    ProgramModule,
)
from one_runtime.agents.programs.limits import ProgramLimits
from one_runtime.agents.programs.outcome import MadeCall, PendingCall
from one_runtime.agents.programs.prelude import API_ERROR, CALL_REFUSED, CONNECT_REQUIRED
from one_runtime.agents.programs.stubs import functions_by_name, parameter_names
from one_runtime.errors import TooLarge
from one_runtime.validation.json_values import require_few_values

Answer: TypeAlias = tuple[dict[str, Any], bytes]
"""Message for the process: the response to a call, or an exception that the call raises in the program."""

MOST_OF_AN_ERROR: Final = 4000
"""Number of characters of an error response that the message of `ApiError` contains."""

_METHODS: Final = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")


class InvalidCall(Exception):
    """The arguments of a call are not valid. The message is for the author of the program."""


class Calls:
    """The calls of one program, with the counters that a pause keeps."""

    def __init__(self, host: ProgramHost, limits: ProgramLimits, modules: Mapping[str, ProgramModule]) -> None:
        self.host, self.limits, self.modules = host, limits, modules
        self.made: list[MadeCall] = []
        self.used = 0
        self.answer_bytes = 0
        self._gate = asyncio.Semaphore(limits.concurrent_calls)
        self._parsing = asyncio.Lock()

    async def answer(self, id_: int, index: int, function: str, arguments: str) -> Answer | PendingCall:
        """Return the message with the response to a call. `id_`: the interpreter's number of the call.

        `index`: the number of the call in the program. `arguments`: a JSON object. The type check has seen most calls,
        but not the text of an `exec`, so the arguments can be invalid.
        """
        try:
            async with self._step():
                values = _object(arguments)
            if function == "connections":
                async with self._gate:
                    return self._answer(id_, function, await self._connections())
            call = _host_call(index, values) if function == "call" else self._function_call(index, function, values)
        except InvalidCall as error:
            return raising(id_, "TypeError", str(error))
        return await self.carry_out(id_, call)

    async def carry_out_again(self, id_: int, encoded: str) -> Answer | PendingCall:
        """Ask the host for a call that has waited for the end user. `encoded`: from `encode_call`."""
        async with self._step():
            call = decode_call(encoded)
        return await self.carry_out(id_, call)

    @asynccontextmanager
    async def _step(self) -> AsyncIterator[None]:
        """Parse arguments in a step of its own of the event loop, because a program can make all calls at once."""
        async with self._parsing:
            await asyncio.sleep(0)
            yield

    async def carry_out(self, id_: int, call: ProgramCall) -> Answer | PendingCall:
        """Ask the host, and return the message with the response."""
        async with self._gate:
            if self.answer_bytes >= self.limits.total_answer_bytes:
                return raising(id_, "ValueError", self._too_many_bytes())
            try:
                response = await self._recorded(call)
            except CallRefused as error:
                return raising(id_, CALL_REFUSED, str(error))
            except ConnectionDeclined as error:
                return raising(id_, CONNECT_REQUIRED, str(error))
            except (ConnectionNeeded, ApprovalNeeded) as reason:
                return PendingCall(id_, call, reason, encode_call(call))
            return self._answer(id_, _shown(call), response)

    async def _connections(self) -> HostResponse:
        return HostResponse(200, json.dumps(await self.host.connections()).encode())

    def _function_call(self, index: int, name: str, values: dict[str, Any]) -> FunctionCall:
        module_name, _, function_name = name.partition(".")
        module = self.modules.get(module_name)
        function = functions_by_name(module).get(function_name) if module else None
        if module is None or function is None:
            raise InvalidCall(f"There is no function {name}.")
        parameters = parameter_names(function)
        if unknown := sorted(values.keys() - parameters.keys()):
            raise InvalidCall(f"{name}() has no parameter {unknown[0]}.")
        missing = [key for key, parameter in parameters.items() if parameter.required and key not in values]
        if missing:
            raise InvalidCall(f"{name}() needs the parameter {missing[0]}.")
        arguments = {parameters[key].name: value for key, value in values.items()}
        return FunctionCall(index, module.integration, function.name, arguments, function.method, function.path)

    async def _recorded(self, call: ProgramCall) -> HostResponse:
        """Ask the host, and add the call to the list of made calls, except if it waits for the end user."""
        start = asyncio.get_running_loop().time()
        try:
            response = await (self.host.call(call) if isinstance(call, HostCall) else self.host.function(call))
        except (ConnectionNeeded, ApprovalNeeded):
            raise
        except BaseException:
            self._record(call, None, start)
            raise
        self._record(call, response.status, start)
        return response

    def _record(self, call: ProgramCall, status: int | None, start: float) -> None:
        ms = round((asyncio.get_running_loop().time() - start) * 1000)
        function = call.function if isinstance(call, FunctionCall) else None
        self.made.append(MadeCall(call.integration, call.method, call.path, status, ms, function))

    def _answer(self, id_: int, shown: str, response: HostResponse) -> Answer:
        size = len(response.body)
        self.answer_bytes += size
        if size > self.limits.answer_bytes:
            message = (
                f"The response (status {response.status}) has {size} bytes. The limit is {self.limits.answer_bytes}. "
                "Ask for fewer items or fields."
            )
            return raising(id_, "ValueError", message)
        if self.answer_bytes > self.limits.total_answer_bytes:
            return raising(id_, "ValueError", f"{self._too_many_bytes()} This call had the status {response.status}.")
        if not 200 <= response.status < 300:
            text = response.body[: 4 * MOST_OF_AN_ERROR].decode(errors="replace")[:MOST_OF_AN_ERROR]
            return raising(id_, API_ERROR, f"{response.status} from {shown}: {text}")
        return {"op": "answer", "id": id_, "status": response.status, "headers": dict(response.headers)}, response.body

    def _too_many_bytes(self) -> str:
        return f"The responses of all calls have more than {self.limits.total_answer_bytes} bytes. No call is possible."


def raising(id_: int, type_: str, message: str) -> Answer:
    """Return the message that raises an exception in the program. `type_`: the interpreter's name of the exception."""
    return {"op": "raise", "id": id_, "type": type_, "message": message}, b""


def _shown(call: ProgramCall) -> str:
    if isinstance(call, HostCall):
        return f"{call.method} {call.integration} {call.path}"
    return f"{call.integration} {call.function}"


def _object(text: str) -> dict[str, Any]:
    try:
        require_few_values(text.encode(errors="surrogatepass"))
        values = json.loads(text)
        json.dumps(values, ensure_ascii=False).encode()  # JSON can contain half of a character: a lone surrogate
    except TooLarge as error:
        raise InvalidCall(error.detail) from error
    except (ValueError, RecursionError) as error:
        raise InvalidCall("The arguments are not JSON in UTF-8.") from error
    if not isinstance(values, dict):
        raise InvalidCall("The arguments are not a JSON object.")
    return values


def _host_call(index: int, values: dict[str, Any]) -> HostCall:
    query, connection = values.get("query"), values.get("connection")
    for name in ("integration", "method", "path"):
        if not isinstance(values.get(name), str):
            raise InvalidCall(f"{name} must be text.")
    method = values["method"].upper()
    if method not in _METHODS:
        raise InvalidCall(f"method must be one of {', '.join(_METHODS)}.")
    if not (query is None or isinstance(query, dict)):
        raise InvalidCall('query must be a dictionary, such as {"limit": 10}.')
    if not (connection is None or isinstance(connection, str)):
        raise InvalidCall("connection must be the id of a connection.")
    return HostCall(index, values["integration"], method, values["path"], query, values.get("body"), connection)
