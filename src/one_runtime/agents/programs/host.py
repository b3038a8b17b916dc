"""Interface between a program and One Runtime: the calls of a program, and the host that carries out the calls."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias

ParameterType: TypeAlias = Literal["string", "integer", "number", "boolean", "array", "object", "any"]


@dataclass(frozen=True, slots=True)
class FunctionParameter:
    """A parameter of a function. `default`: a JSON value that the host uses for an absent argument."""

    name: str
    type: ParameterType = "any"
    required: bool = False
    default: Any = None
    description: str = ""


@dataclass(frozen=True, slots=True)
class ModuleFunction:
    """A function of an integration. The list of made calls shows `method` and `path`, such as `/contacts/{id}`."""

    name: str
    parameters: tuple[FunctionParameter, ...] = ()
    method: str = ""
    path: str = ""
    description: str = ""


@dataclass(frozen=True, slots=True)
class ProgramModule:
    """The functions of an integration, which a program can import. `integration`: the slug."""

    integration: str
    functions: tuple[ModuleFunction, ...]


@dataclass(frozen=True, slots=True)
class HostCall:
    """A call of `call(…)` in a program. `index`: number of the call in the program, from 1, unchanged after a pause."""

    index: int
    integration: str
    method: str
    path: str
    query: Mapping[str, Any] | None = None
    body: Any = None
    connection: str | None = None


@dataclass(frozen=True, slots=True)
class FunctionCall:
    """A call of an integration's function. `arguments`: the given arguments by their names in `FunctionParameter`."""

    index: int
    integration: str
    function: str
    arguments: Mapping[str, Any]
    method: str = ""
    path: str = ""


ProgramCall: TypeAlias = HostCall | FunctionCall


@dataclass(frozen=True, slots=True)
class HostResponse:
    """The response to a call. `body`: JSON or other text in UTF-8. The program parses JSON itself."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


class ConnectionNeeded(Exception):
    """The end user has to connect an account before this call. The program pauses."""

    def __init__(self, integration: str, detail: str = "") -> None:
        super().__init__(detail or f"{integration} is not connected.")
        self.integration = integration


class ConnectionDeclined(Exception):
    """The end user does not want to connect the account. The call raises ConnectRequired in the program."""


class ApprovalNeeded(Exception):
    """The end user has to approve this call. The program pauses."""


class CallRefused(Exception):
    """The policy does not allow this call. The call raises CallRefused with this message in the program."""


class ProgramHost(Protocol):
    """The other side of a program. Each method acts for one end user, within the policy of the caller's token.

    An exception that this module does not define ends the run, and passes to the caller of the sandbox.
    """

    async def call(self, call: HostCall) -> HostResponse:
        """Send a request to a provider. Raises: ConnectionNeeded, ConnectionDeclined, ApprovalNeeded, CallRefused."""
        ...

    async def function(self, call: FunctionCall) -> HostResponse:
        """Send the request of a function. Raises: the exceptions of `call`."""
        ...

    async def connections(self) -> list[dict[str, Any]]:
        """Return the connections of the end user as JSON values."""
        ...

    async def module(self, name: str) -> ProgramModule | None:
        """Return the module with this name, or None. `stubs.module_name` returns the name for a slug."""
        ...

    async def module_names(self) -> Collection[str]:
        """Return the names of all modules, for a suggestion if a name is misspelled."""
        ...
