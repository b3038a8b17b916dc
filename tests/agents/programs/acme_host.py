"""A host for programs: a small CRM with contacts, in memory, with switches for missing accounts and for refusals."""

import asyncio
import json
from collections.abc import Collection, Mapping
from typing import Any, Final

from one_runtime.agents.programs.host import (
    ApprovalNeeded,
    CallRefused,
    ConnectionNeeded,
    FunctionCall,
    FunctionParameter,
    HostCall,
    HostResponse,
    ModuleFunction,
    ProgramCall,
    ProgramModule,
)
from one_runtime.agents.programs.limits import ProgramLimits

ACME_CRM: Final = ProgramModule(
    "acme-crm",
    (
        ModuleFunction(
            "contacts_list",
            (
                FunctionParameter("limit", "integer", default=10),
                FunctionParameter("after", "string"),
                FunctionParameter("filter[status]", "string"),
            ),
            "GET",
            "/contacts",
        ),
        ModuleFunction("contacts_get", (FunctionParameter("id", "integer", required=True),), "GET", "/contacts/{id}"),
        ModuleFunction(
            "contacts_create",
            (FunctionParameter("properties", "object", required=True), FunctionParameter("from", "string")),
            "POST",
            "/contacts",
        ),
    ),
)
IMPORTS: Final = (
    "import asyncio\nimport acme_crm\n"
    "from one_runtime import call, connections, response_of, ApiError, CallRefused, ConnectRequired\n"
)
"""First lines of most programs. The program's own first line is line 4."""


PATIENT: Final = ProgramLimits(slot_seconds=120)
"""Limits for many programs at once, which wait for two processes."""


class AcmeHost:
    """A host whose integrations answer with their own name.

    - `missing`: slugs without a connection.
    - `asks`: methods that need the end user's approval.
    - `refuses`: slugs that the policy does not allow.
    - `blocks`: slugs whose calls wait for `release`.
    - `bodies`: response bodies by path.
    """

    def __init__(self, **bodies: bytes) -> None:
        self.missing: set[str] = set()
        self.asks: set[str] = set()
        self.refuses: set[str] = set()
        self.blocks: set[str] = set()
        self.failure: Exception | None = None
        self.release = asyncio.Event()
        self.bodies: Mapping[str, bytes] = {f"/{name}": body for name, body in bodies.items()}
        self.received: list[ProgramCall] = []
        self.concurrent = 0
        self.most_concurrent = 0
        self.cancelled = 0

    @property
    def paths(self) -> list[str]:
        return [call.path for call in self.received]

    async def call(self, call: HostCall) -> HostResponse:
        await self._receive(call)
        if call.path in self.bodies:
            return HostResponse(200, self.bodies[call.path])
        if call.path.startswith("/status/"):
            return HostResponse(int(call.path.rpartition("/")[2]), b'{"message": "The provider refused."}')
        answer = {"integration": call.integration, "query": call.query, "body": call.body}
        return HostResponse(200, json.dumps(answer).encode(), {"content-type": "application/json"})

    async def function(self, call: FunctionCall) -> HostResponse:
        await self._receive(call)
        if call.function == "contacts_get" and call.arguments["id"] == 404:
            return HostResponse(404, b'{"message": "There is no such contact."}')
        contacts = [{"id": number} for number in range(int(call.arguments.get("limit", 10)))]
        return HostResponse(200, json.dumps({"results": contacts, "arguments": dict(call.arguments)}).encode())

    async def connections(self) -> list[dict[str, Any]]:
        return [{"integration": "acme-crm", "status": "connected"}]

    async def module(self, name: str) -> ProgramModule | None:
        return ACME_CRM if name == "acme_crm" else None

    async def module_names(self) -> Collection[str]:
        return {"acme_crm", "hubspot"}

    async def _receive(self, call: ProgramCall) -> None:
        if self.failure is not None:
            raise self.failure
        if call.integration in self.refuses:
            raise CallRefused("The token may not use this integration.")
        if call.integration in self.missing:
            raise ConnectionNeeded(call.integration)
        if call.method in self.asks:
            raise ApprovalNeeded("The end user has to approve this call.")
        self.received.append(call)
        self.concurrent += 1
        self.most_concurrent = max(self.most_concurrent, self.concurrent)
        try:
            if call.integration in self.blocks:
                await self.release.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.concurrent -= 1
