"""Read and refuse a request that an end user has to answer. Each kind has its own routes and its own form."""

from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Generic, TypeAlias, TypeVar

from one_runtime.agents.end_user_requests import EndUserRequest, RequestKind
from one_runtime.api.conditions import Conditions
from one_runtime.api.fields import Answer
from one_runtime.context import Installation
from one_runtime.db.engine import Transaction
from one_runtime.db.precondition import Precondition
from one_runtime.tenancy.authentication import Principal
from one_runtime.tenancy.events import Actor

R = TypeVar("R", bound=EndUserRequest)
A = TypeVar("A", bound=Answer)
Refuse: TypeAlias = Callable[[Transaction, Actor, str, datetime, Precondition[R] | None], Awaitable[R]]


@dataclass(frozen=True, slots=True)
class RequestForm(Generic[R, A]):
    """One kind of request in the API. `answer`: its form. `derive`: returns the fields that a request does not have."""

    kind: RequestKind[R]
    answer: type[A]
    derive: Callable[[R], dict[str, object]] = lambda _: {}

    def fields(self, request: R, installation: Installation) -> dict[str, object]:
        """Return the fields of a request, with its status."""
        return asdict(request) | {"status": request.status(installation.clock())} | self.derive(request)

    def render(self, request: R, installation: Installation) -> A:
        """Return the form of a request."""
        return self.answer.model_validate(self.fields(request, installation))

    async def read(self, request_id: str, caller: Principal, installation: Installation, conditions: Conditions) -> A:
        """Return a request with its entity tag. Raises: NotFound."""
        async with installation.database.read() as tx:
            request = await self.kind.get(tx, caller.organization_id, request_id)
        return conditions.tag(self.render(request, installation))

    async def refuse(
        self,
        refuse: Refuse[R],
        request_id: str,
        caller: Principal,
        installation: Installation,
        conditions: Conditions,
    ) -> R:
        """Refuse a request that is open, and return the request. Raises: NotFound; PreconditionFailed."""

        async def read(_: Transaction, request: R) -> A:
            return self.render(request, installation)

        async with installation.database.write() as tx:
            return await refuse(tx, caller.actor, request_id, installation.clock(), conditions.on(read))
