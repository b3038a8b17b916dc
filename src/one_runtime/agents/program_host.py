"""Carry out the calls of an agent's program, with the connections of the end user and within the agent's policy."""

from collections.abc import Collection
from typing import Any, Final

from one_runtime.agents import connect_requests
from one_runtime.agents.accounts import account_fields, list_connected
from one_runtime.agents.approvals import ApprovalRequired, ExactCall
from one_runtime.agents.caller import AgentCaller
from one_runtime.agents.calls import AccountRequired, AgentCall, AgentCalls
from one_runtime.agents.discovery import Discovery, Offer
from one_runtime.agents.operations.request import arguments_to_request
from one_runtime.agents.paused_runs import CallLog, ProgramInterrupted
from one_runtime.agents.programs.host import (
    ApprovalNeeded,
    CallRefused,
    ConnectionDeclined,
    ConnectionNeeded,
    FunctionCall,
    FunctionParameter,
    HostCall,
    HostResponse,
    ModuleFunction,
    ProgramModule,
)
from one_runtime.agents.programs.outcome import MadeCall
from one_runtime.agents.programs.stubs import module_name
from one_runtime.agents.requests import compose
from one_runtime.agents.response_reading import Reading
from one_runtime.catalog.operation import Argument, Operation
from one_runtime.context import Installation
from one_runtime.errors import OneRuntimeError

CONNECTION: Final = "connection"
"""Parameter of every function of an integration: the id or the label of a connection."""


class CallApprovalNeeded(ApprovalNeeded):
    """The end user has to approve a call. `call`: the exact call."""

    def __init__(self, detail: str, call: ExactCall) -> None:
        super().__init__(detail)
        self.call = call


class AgentProgramHost:
    """The `ProgramHost` of one run."""

    def __init__(
        self,
        installation: Installation,
        calls: AgentCalls,
        discovery: Discovery,
        offer: Offer,
        request_id: str,
        run_id: str,
    ) -> None:
        """`run_id`: the run, for the request log."""
        self._installation, self._calls, self._discovery, self._offer = installation, calls, discovery, offer
        self._request_id, self._run_id = request_id, run_id
        self.log: CallLog | None = None
        """The stored list of calls of a program that continues after a pause, or None."""
        self._slugs = {
            module_name(entry.slug): entry.slug for entry in offer.catalog.integrations if entry.slug in offer
        }

    @property
    def _caller(self) -> AgentCaller:
        return self._offer.caller

    async def call(self, call: HostCall) -> HostResponse:
        """Send a request to a provider. Raises: ConnectionNeeded, ConnectionDeclined, CallRefused."""
        try:
            composed = compose(call.path, call.query or {}, call.body)
            slug, method = self._slugs.get(call.integration, call.integration).lower(), call.method.upper()
            return await self._send(AgentCall(slug, method, *composed, call.connection), None)
        except ProgramInterrupted:
            raise
        except OneRuntimeError as error:
            raise await self._refused(error) from error

    async def function(self, call: FunctionCall) -> HostResponse:
        """Send the request of a function. Raises: the exceptions of `call`."""
        try:
            operation = await self._discovery.find_operation(self._offer, f"{call.integration}.{call.function}")
            arguments = dict(call.arguments)
            connection = arguments.pop(CONNECTION, None) if _is_free(operation) else None
            request = arguments_to_request(operation, arguments)
            return await self._send(
                AgentCall(operation.integration_slug, *request, connection, operation.access), operation.name
            )
        except ProgramInterrupted:
            raise
        except OneRuntimeError as error:
            raise await self._refused(error) from error

    async def connections(self) -> list[dict[str, Any]]:
        """Return the end user's connections: integration, id, label, status, and which one is the default."""
        async with self._installation.database.read() as tx:
            connected = await list_connected(tx, self._installation, self._caller)
        return [
            {"integration": entry.slug, **account_fields(account), "status": entry.status}
            for entry in connected
            for account in entry.accounts
        ]

    async def module(self, name: str) -> ProgramModule | None:
        """Return the functions of an integration that the agent can call, or None."""
        slug = self._slugs.get(name)
        if slug is None:
            return None
        return ProgramModule(slug, tuple(await self._discovery.converted(self._offer, slug, _function)))

    async def module_names(self) -> Collection[str]:
        """Return the names of all modules."""
        return self._slugs.keys()

    async def _send(self, call: AgentCall, function: str | None) -> HostResponse:
        """Send a call. `function`: the name of the function, for the list of calls."""
        log, number = self.log, None

        async def add() -> None:
            nonlocal number
            if log is not None:
                number = await log.add(MadeCall(call.integration_slug, call.method, call.path, None, 0, function))

        response = await self._calls.call(
            self._caller, call, Reading.whole(), request_id=self._request_id, run_id=self._run_id, before_write=add
        )
        if log is not None and number is not None:
            log.set_status(number, response.status)
        return HostResponse(response.status, response.body, response.headers)

    async def _refused(self, error: OneRuntimeError) -> Exception:
        """Return the exception for the program."""
        if isinstance(error, ApprovalRequired):
            return CallApprovalNeeded(error.detail, error.call)
        if not isinstance(error, AccountRequired):
            return CallRefused(f"{error.code}: {error.detail}")
        slug, now = error.integration.slug, self._installation.clock()
        async with self._installation.database.read() as tx:
            declined = await connect_requests.is_declined(tx, self._caller, slug, now)
        if declined:
            return ConnectionDeclined(f"The end user does not want to connect {error.integration.name}.")
        return ConnectionNeeded(slug, error.detail)


def _is_free(operation: Operation) -> bool:
    """Return True if the operation has no argument with the name of the connection."""
    return all(argument.name != CONNECTION for argument in operation.arguments)


def _function(operation: Operation) -> ModuleFunction:
    parameters = [_parameter(argument) for argument in operation.arguments]
    if _is_free(operation):
        parameters.append(FunctionParameter(CONNECTION, "string", description="Id or label of the connection."))
    return ModuleFunction(operation.name, tuple(parameters), operation.method, operation.path, operation.summary)


def _parameter(argument: Argument) -> FunctionParameter:
    return FunctionParameter(
        argument.name,
        argument.type,
        argument.required and argument.default is None,
        argument.default,
        argument.description,
    )
