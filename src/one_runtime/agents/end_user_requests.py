"""Requests of agents that an end user has to answer: connect an account, approve a call, or admit an agent.

A request gives no permission. The end user opens a page of the organization's product, and signs in there. The
organization's backend then answers for the end user who is signed in, or opens the page on which this end user answers.
A request is open until it has an answer or expires.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, Final, Generic, NamedTuple, TypeVar
from urllib.parse import urlencode

from sqlalchemy import ColumnElement, Delete, Select, Table, bindparam, func, or_, select

from one_runtime.agents.caller import AgentCaller
from one_runtime.connecting.redirect_mode import EndUserMismatch
from one_runtime.context import Installation
from one_runtime.db.engine import Transaction
from one_runtime.db.ids import is_id
from one_runtime.db.precondition import Precondition
from one_runtime.errors import Conflict, NotFound, RateLimited
from one_runtime.jobs.queue import batched_delete, run_in_batches
from one_runtime.tenancy.events import Actor

LIFETIME: Final = timedelta(minutes=10)
"""Time in which the end user has to answer."""
KEPT: Final = timedelta(days=1)
"""Time after the expiry for which the database keeps a request."""
BRIEFLY_KEPT: Final = timedelta(hours=1)
"""Time after the expiry for which the database keeps a request that strangers can create, until it is approved."""
MAX_OPEN: Final = 20
"""Maximum number of open requests of one agent for one end user, so that no agent uses up those of another."""
MAX_OPEN_OF_END_USER: Final = 100
"""Maximum number of open requests of one kind for one end user."""


@dataclass(frozen=True, slots=True)
class EndUserRequest:
    """A request that an end user has to answer. Each kind adds its own fields and its `decision`."""

    id: str
    organization_id: str
    created_at: datetime
    expires_at: datetime

    @property
    def decision(self) -> str | None:
        """Return the answer in one word, or None."""
        raise NotImplementedError

    def status(self, now: datetime) -> str:
        """Return the state of the request: `open`, `expired` or its answer."""
        return self.decision or ("expired" if self.expires_at <= now else "open")


@dataclass(frozen=True, slots=True)
class RequestLink:
    """The address at which the end user answers. `request_id`: None for a session in the mode `link`."""

    url: str = field(repr=False)
    expires_at: datetime
    request_id: str | None


R = TypeVar("R", bound=EndUserRequest)


class _OpenRequests(NamedTuple):
    of_agent: int
    of_end_user: int


@dataclass(frozen=True, eq=False)
class RequestKind(Generic[R]):
    """The table of one kind of request, with its limits and its purge.

    - `name`: for messages, such as `connect request`.
    - `parameter`: the query parameter of the organization's page that has the id.
    - `closed`, `advice`: the error for a request that is no longer open, and the end of its message.
    - `is_unanswered`: the condition of a request without an answer.
    - `computed`: the fields of `record` that are not columns of the table.
    - `is_kept`: the requests to keep for the time `KEPT`. The others are kept for `BRIEFLY_KEPT`. None: all requests.
    """

    name: str
    parameter: str
    record: type[R]
    table: Table
    closed: type[Conflict]
    advice: str
    is_unanswered: ColumnElement[bool]
    computed: Mapping[str, ColumnElement[Any]] = field(default_factory=dict)
    is_kept: ColumnElement[bool] | None = None

    @cached_property
    def select(self) -> Select[Any]:
        """Select the requests of one organization."""
        columns, names = self.table.c, self.record.__dataclass_fields__
        selected = [self.computed[name].label(name) if name in self.computed else columns[name] for name in names]
        return select(*selected).where(columns.organization_id == bindparam("organization"))

    @cached_property
    def _by_id(self) -> Select[Any]:
        return self.select.where(self.table.c.id == bindparam("request"))

    @cached_property
    def _by_id_locked(self) -> Select[Any]:
        return self._by_id.with_for_update(of=self.table)

    @cached_property
    def _newest(self) -> Select[Any]:
        return self.select.order_by(self.table.c.id.desc())

    @cached_property
    def _count_open(self) -> Select[int, int]:
        columns = self.table.c
        of_agent = columns.end_user_token_id.is_not_distinct_from(bindparam("token"))
        return select(func.count().filter(of_agent).label("of_agent"), func.count().label("of_end_user")).where(
            columns.organization_id == bindparam("organization"),
            columns.end_user_id == bindparam("end_user"),
            columns.expires_at > bindparam("now"),
            self.is_unanswered,
        )

    @cached_property
    def _purge(self) -> Delete:
        expires_at = self.table.c.expires_at
        if self.is_kept is None:
            return batched_delete(self.table, expires_at < bindparam("before"))
        is_old = or_(~self.is_kept, expires_at < bindparam("before"))
        return batched_delete(self.table, expires_at < bindparam("before_brief"), is_old)

    def values(self, request: R) -> dict[str, Any]:
        """Return the columns of a request."""
        names = self.record.__dataclass_fields__.keys() - self.computed.keys()
        return {name: getattr(request, name) for name in names}

    async def find(self, tx: Transaction, organization_id: str, request_id: str, *, lock: bool = False) -> R | None:
        """Return a request of this organization, or None. `lock`: lock the request until `tx` ends."""
        statement = self._by_id_locked if lock else self._by_id
        if not is_id(request_id):
            return None
        return await tx.one(statement, self.record, organization=organization_id, request=request_id)

    async def get(self, tx: Transaction, organization_id: str, request_id: str, *, lock: bool = False) -> R:
        """Return a request as `find` does. Raises: NotFound."""
        request = await self.find(tx, organization_id, request_id, lock=lock)
        if request is None:
            kept = "a day after its expiry" if self.is_kept is None else "an hour after its expiry, unless approved"
            raise NotFound(
                f"There is no {self.name} {request_id[:64]!r}. Its id is the parameter {self.parameter} of the address "
                f"that the end user opened. One Runtime deletes it {kept}."
            )
        return request

    async def list_page(
        self,
        tx: Transaction,
        organization_id: str,
        end_user_id: str | None = None,
        *,
        limit: int,
        before: str | None = None,
    ) -> list[R]:
        """Return at most `limit` requests, newest first. With `before`, return only requests before this id.

        `end_user_id`: None for the requests of all end users.
        """
        statement, columns = self._newest.limit(limit), self.table.c
        if before is not None:
            statement = statement.where(columns.id < before)
        if end_user_id is not None:
            statement = statement.where(columns.end_user_id == end_user_id)
        return await tx.all(statement, self.record, organization=organization_id)

    def require_open(self, request: R, now: datetime) -> None:
        """Raises: the error `closed` if the request has an answer or has expired."""
        status = request.status(now)
        if status != "open":
            raise self.closed(f"The {self.name} is {status}. {self.advice}")

    def require_end_user(self, expected: str | None, end_user_id: str) -> None:
        """Raises: EndUserMismatch if another end user is signed in."""
        if expected != end_user_id:
            raise EndUserMismatch(
                f"The {self.name} belongs to another end user. Do not go on, and tell this user that the link is for "
                "another user."
            )

    async def require_quota(self, tx: Transaction, caller: AgentCaller, now: datetime) -> None:
        """Raises: RateLimited if the agent or the end user has too many open requests."""
        count = await tx.one(
            self._count_open,
            _OpenRequests,
            organization=caller.organization_id,
            end_user=caller.end_user_id,
            token=caller.end_user_token_id,
            now=now,
        )
        if count is None:
            return
        wait = "Wait until the end user has answered some of them."
        if count.of_agent >= MAX_OPEN:
            text = f"This agent already has {MAX_OPEN} open {self.name}s for the end user. {wait}"
        elif count.of_end_user >= MAX_OPEN_OF_END_USER:
            text = f"The end user already has {MAX_OPEN_OF_END_USER} open {self.name}s. {wait}"
        else:
            return
        raise RateLimited(text, round(LIFETIME.total_seconds()))

    def link(self, page: str, request: R, integration_slug: str) -> RequestLink:
        """Return the address of the organization's page for a request."""
        parameters = urlencode({self.parameter: request.id, "integration": integration_slug})
        return RequestLink(f"{page}{'&' if '?' in page else '?'}{parameters}", request.expires_at, request.id)

    async def refuse(
        self,
        tx: Transaction,
        actor: Actor,
        request_id: str,
        now: datetime,
        condition: Precondition[R] | None,
        store: Callable[[R], Awaitable[None]],
    ) -> R:
        """Refuse an open request for the end user. A second call changes nothing. `store`: stores the refusal.

        Raises: NotFound; PreconditionFailed.
        """
        request = await self.get(tx, actor.organization_id, request_id, lock=True)
        if condition is not None:
            await condition(tx, request)
        if request.status(now) != "open":
            return request
        await store(request)
        return await self.get(tx, actor.organization_id, request_id)

    async def purge(self, installation: Installation) -> int:
        """Delete the requests that expired long ago. Return the number of deleted rows."""
        now = installation.clock()
        times: dict[str, Any] = {"before": now - KEPT}
        if self.is_kept is not None:
            times["before_brief"] = now - BRIEFLY_KEPT
        return await run_in_batches(installation.database, self._purge, **times)
