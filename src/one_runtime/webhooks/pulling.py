"""Hand the events of a pull endpoint to the organization's program, until the program acknowledges them.

Each event stays pending until its acknowledgement, so no position can be wrong. An event of a transaction that commits
late is not skipped.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import Final, NamedTuple

from sqlalchemy import bindparam, select, update

from one_runtime.context import Installation
from one_runtime.db.engine import Row, Transaction
from one_runtime.db.id_lists import in_list
from one_runtime.db.schema import webhook_deliveries, webhook_endpoints
from one_runtime.errors import Conflict
from one_runtime.jobs.queue import database_now, wakeups_of
from one_runtime.tenancy.events import Event
from one_runtime.webhooks import deliveries, endpoints
from one_runtime.webhooks.deliveries import LEASE
from one_runtime.webhooks.endpoints import WebhookEndpoint
from one_runtime.webhooks.health import SUCCESS_RESOLUTION
from one_runtime.webhooks.messages import ConnectionDocuments, Message, build_messages

MAX_WAIT: Final = 30
"""Maximum number of seconds that a request waits for the next event."""

_POLL: Final = 1.0  # seconds between two queries of a waiting request. Another process can write the next event

_KEY: Final = (webhook_deliveries.c.endpoint_id == bindparam("endpoint"), webhook_deliveries.c.due_at.is_not(None))
_DUE: Final = (
    select(webhook_deliveries.c.event_id)
    .where(*_KEY, webhook_deliveries.c.due_at <= bindparam("now"))
    .order_by(webhook_deliveries.c.event_id)
    .limit(bindparam("limit"))
)
_due = _DUE.with_for_update(skip_locked=True).cte("due", nesting=True)
_LEASE: Final = (
    update(webhook_deliveries)
    .where(webhook_deliveries.c.endpoint_id == bindparam("endpoint"), webhook_deliveries.c.event_id.in_(select(_due)))
    .values(attempts=webhook_deliveries.c.attempts + 1, due_at=bindparam("until"))
    .returning(webhook_deliveries.c.event_id, webhook_deliveries.c.end_user_id)
)
_ACKNOWLEDGE: Final = (
    update(webhook_deliveries)
    .where(*_KEY, in_list(webhook_deliveries.c.event_id, "events"))
    .values(status="delivered", due_at=None, settled_at=bindparam("now"), error=None, end_user_id=None)
)
_FETCHED: Final = (
    update(webhook_endpoints)
    .where(
        webhook_endpoints.c.id == bindparam("endpoint"),
        (webhook_endpoints.c.succeeded_at.is_(None)) | (webhook_endpoints.c.succeeded_at < bindparam("stale")),
    )
    .values(succeeded_at=bindparam("now"))
)


class EndpointKey(NamedTuple):
    """The organization and the id of an endpoint."""

    organization_id: str
    endpoint_id: str


async def fetch(
    installation: Installation,
    documents: ConnectionDocuments,
    key: EndpointKey,
    *,
    limit: int,
    wait: float,
    is_gone: Callable[[], Awaitable[bool]],
) -> list[Message]:
    """Lease and return at most `limit` pending events of a pull endpoint, oldest first.

    Events that the program does not acknowledge within a minute are pending again. `wait`: seconds to wait for an event
    if no event is pending. `is_gone`: returns True after the program has closed its connection. Such a program must not
    lease an event, because another request could not fetch the event for a minute.

    Raises: NotFound; Conflict if the endpoint is not an active pull endpoint. If the endpoint is deleted, disabled or
    paused during the wait, the wait ends with the same errors.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + wait
    with wakeups_of(webhook_deliveries, key.endpoint_id) as wakeup:
        while True:
            wakeup.clear()
            messages = await _lease(installation, documents, key, limit)
            left = end - loop.time()
            if messages or left <= 0:
                return messages
            try:
                async with asyncio.timeout(min(left, _POLL)):
                    await wakeup.wait()
            except TimeoutError:
                pass
            if await is_gone():
                return []


async def _lease(
    installation: Installation, documents: ConnectionDocuments, key: EndpointKey, limit: int
) -> list[Message]:
    async with installation.database.read() as tx:  # most waiting requests find nothing, and need no transaction
        endpoint = await endpoints.get(tx, key.organization_id, key.endpoint_id)
        require_active_pull(endpoint)
        now = await database_now(tx, installation.clock)
        if await tx.one(_DUE, endpoint=endpoint.id, now=now, limit=1) is None:
            return []
    async with installation.database.write() as tx:
        rows: list[Row] = await tx.all(_LEASE, endpoint=endpoint.id, limit=limit, now=now, until=now + LEASE)
        await tx.execute(_FETCHED, endpoint=endpoint.id, now=now, stale=now - SUCCESS_RESOLUTION)
        events = await deliveries.events_of(tx, [row.event_id for row in rows]) if rows else {}
        deleted = {row.event_id: row.end_user_id for row in rows}
        pairs: list[tuple[Event, str | None]] = [(events[name], deleted[name]) for name in sorted(events)]
        return await build_messages(tx, documents, endpoint.include, pairs)


async def acknowledge(
    tx: Transaction, installation: Installation, endpoint: WebhookEndpoint, event_ids: Collection[str]
) -> int:
    """Mark events as delivered. Ignore events that are not pending. Return the number of changed deliveries.

    Raises: Conflict if the endpoint is not a pull endpoint.
    """
    require_pull(endpoint)
    return await tx.execute(_ACKNOWLEDGE, endpoint=endpoint.id, events=list(event_ids), now=installation.clock())


def require_pull(endpoint: WebhookEndpoint) -> None:
    """Raises: Conflict if the endpoint is a push endpoint."""
    if endpoint.kind != "pull":
        raise Conflict(
            "One Runtime sends the events of this endpoint to its URL. To fetch events, create an endpoint of the kind "
            '"pull".'
        )


def require_active_pull(endpoint: WebhookEndpoint) -> None:
    """Raises: Conflict if the endpoint is a push endpoint, or if the endpoint is paused or disabled."""
    require_pull(endpoint)
    endpoints.require_active(endpoint)
