"""Delete an organization and all its rows, while servers run.

The first transaction deletes the API keys and empties the organization's row. One Runtime then refuses the
organization's requests. Small steps delete all other rows, and queue the revocation of the end users' tokens. After a
crash, a new run or the worker continues, because the emptied row stays until the end.

A pending revocation needs its own row, the organization's row, and sometimes an OAuth client and the definition of a
custom integration. These rows stay until the provider has revoked the tokens, or for at most a day. The worker then
deletes the rows. A request that began before the deletion can still receive tokens, and their revocation can need an
OAuth client or a custom integration. So all OAuth clients and custom integrations stay for at least an hour, or until
no other row of the organization is left.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Delete, Select, Table, bindparam, exists, func, select

from one_runtime.connecting import authorization_attempts
from one_runtime.connections import connections, pending_revocations
from one_runtime.connections.connections import ConnectionFilter
from one_runtime.connections.pending_revocations import PendingRevocation
from one_runtime.context import Installation
from one_runtime.db import schema
from one_runtime.db.engine import Transaction
from one_runtime.errors import Unavailable
from one_runtime.jobs import steps
from one_runtime.jobs.queue import batched_delete
from one_runtime.lifecycle import disconnect
from one_runtime.telemetry.logger import Logger
from one_runtime.tenancy import api_keys, end_users, organizations
from one_runtime.tenancy.events import Actor
from one_runtime.tenancy.installation_events import InstallationEventType, record_for_installation

BATCH: Final = 100
"""Default number of rows in each transaction."""

GRACE: Final = timedelta(hours=1)
"""Time from the start of a deletion to the time when the worker continues the deletion."""

_ROUNDS: Final = 10
"""`delete` gives up after this number of rounds. A round misses a row only if another transaction locks the row."""

log = Logger()


@dataclass(slots=True)
class DeletedOrganization:
    """The result of a run. `display_name`: None if an earlier run began the deletion.

    `rows`: number of deleted rows by table, without the rows that belong to a deleted connection or session.
    `pending_revocations`: revocations that still need rows of the organization. With 0, the deletion is complete.
    """

    organization_id: str
    display_name: str | None
    rows: Counter[str] = field(default_factory=Counter)
    pending_revocations: int = 0

    @property
    def complete(self) -> bool:
        """Return True if no row of the organization is left."""
        return self.pending_revocations == 0


class _Count(NamedTuple):
    rows: int


def _of_organization(table: Table) -> ColumnElement[bool]:
    return table.c.organization_id == bindparam("organization")


def _delete(table: Table, *conditions: ColumnElement[bool]) -> Delete:
    return batched_delete(table, _of_organization(table), *conditions)


def _unused(table: Table, *needs: ColumnElement[bool]) -> Delete:
    """Build the deletion of the rows that no pending revocation needs."""
    return _delete(table, ~exists().where(_of_organization(schema.revocations), *needs))


_OWNED: Final = tuple(
    table
    for table in reversed(schema.metadata.sorted_tables)
    if "organization_id" in table.c and table is not schema.totp_secrets  # members belong to the installation
)
"""Tables with rows of organizations. A table is before the tables that it refers to."""

# Delete no session whose tokens One Runtime has to revoke. A callback can still receive tokens after this statement,
# but can no longer store the tokens, because its attempt is deleted. The callback then revokes the tokens itself.
_ATTEMPTS: Final = _delete(schema.consents, schema.consents.c.status != authorization_attempts.SELECTING)
_SESSIONS: Final = _delete(
    schema.hosted_connection_sessions,
    schema.hosted_connection_sessions.c.status != "unredeemed",
    *(
        ~exists().where(table.c.session_id == schema.hosted_connection_sessions.c.id)
        for table in (schema.consents, schema.unredeemed_connections)
    ),
)
_FIRST: Final[dict[Table, Delete]] = {
    schema.api_keys: _delete(schema.api_keys),
    schema.requests: _delete(schema.requests),
    schema.consents: _ATTEMPTS,
    schema.hosted_connection_sessions: _SESSIONS,
}
"""Deletions before the connections. Without sessions and API keys, no new connection can appear."""

_WITH_TOKENS: Final = (
    schema.connections,
    schema.credentials,
    schema.end_users,
    schema.hosted_connection_sessions,
    schema.consents,
    schema.unredeemed_connections,
)
"""Tables whose remaining rows only `disconnect` deletes, because it queues the revocation of the tokens."""

_REVOKING: Final[dict[Table, Delete]] = {
    schema.oauth_clients: _unused(
        schema.oauth_clients, schema.revocations.c.oauth_client_id == schema.oauth_clients.c.id
    ),
    schema.custom_integrations: _unused(
        schema.custom_integrations, schema.revocations.c.integration_slug == schema.custom_integrations.c.slug
    ),
}
_LAST: Final[dict[Table, Delete]] = {
    table: _delete(table) for table in _OWNED if table not in {*_WITH_TOKENS, *_REVOKING, schema.revocations}
}
_PENDING: Final = select(func.count().label("rows")).where(_of_organization(schema.revocations))


def _find_any(tables: Iterable[Table]) -> list[Select[Any]]:
    return [select(table.c.organization_id).where(_of_organization(table)).limit(1) for table in tables]


# The tables `credentials`, `consents` and `unredeemed_connections` have no row without a connection or a session.
_ANY_LEFT: Final = _find_any([schema.end_users, schema.connections, schema.hosted_connection_sessions, *_LAST])
_ANY_FOR_REVOKING: Final = _find_any(_REVOKING)


async def begin(installation: Installation, organization_id: str, operator: str) -> DeletedOrganization:
    """Delete the API keys, and empty the organization's row. From now on, One Runtime refuses the organization.

    Record the event of the installation, because the events of the organization will be deleted. If the deletion has
    already begun, change nothing. Raises: NotFound.
    """
    now = installation.clock()
    async with installation.database.write() as tx:
        if await organizations.is_being_deleted(tx, organization_id):
            return DeletedOrganization(organization_id, None)
        organization = await organizations.get(tx, organization_id)
        await organizations.begin_deletion(tx, organization_id, now)
        keys = await api_keys.delete_all(tx, organization_id)
        data = {"organization_id": organization_id, "display_name": organization.display_name}
        await record_for_installation(tx, operator, InstallationEventType.ORGANIZATION_DELETED, now, data)
    return DeletedOrganization(organization_id, organization.display_name, Counter({schema.api_keys.name: keys}))


async def delete(
    installation: Installation, organization_id: str, operator: str, *, batch: int = BATCH
) -> DeletedOrganization:
    """Delete an organization in transactions of about `batch` rows. Pause after each transaction.

    Raises: NotFound; Unavailable if the database is busy for too long.
    """
    result = await begin(installation, organization_id, operator)
    await _finish(_Deletion(installation, result, batch))
    return result


async def finish_all(installation: Installation) -> int:
    """Continue deletions that began more than `GRACE` ago. Return the number of organizations without further rows."""
    async with installation.database.read() as tx:
        begun = await organizations.list_being_deleted(tx, installation.clock() - GRACE)
    finished = 0
    for organization_id in begun:
        result = DeletedOrganization(organization_id, None)
        await _finish(_Deletion(installation, result, BATCH, after_grace=True))
        finished += result.complete
    return finished


async def _finish(deletion: "_Deletion") -> None:
    result = deletion.result
    for number in range(_ROUNDS):
        await deletion.run_round()
        if await steps.retry(deletion.end):
            break
        await asyncio.sleep(0.2 * number)
    else:
        raise Unavailable("Another transaction has locked rows of the organization. Run the command again.")
    organization, rows, pending = result.organization_id, dict(result.rows), result.pending_revocations
    if result.complete:
        log.info("organization_deleted", organization_id=organization, rows=rows, pending_revocations=pending)
    else:
        log.info("organization_deletion_waits", organization_id=organization, rows=rows, pending_revocations=pending)


class _Deletion:
    """One run of a deletion. A round visits all tables. `after_grace`: True if `GRACE` has passed since its start."""

    def __init__(
        self, installation: Installation, result: DeletedOrganization, batch: int, *, after_grace: bool = False
    ) -> None:
        self.result = result
        self._installation, self._batch, self._after_grace = installation, batch, after_grace
        self._actor = Actor(result.organization_id, "system")
        self._key = {"organization": result.organization_id}

    async def run_round(self) -> None:
        """Delete all rows that no pending revocation needs. Rows that other transactions have locked can remain."""
        for table, statement in _FIRST.items():
            await self._repeat(partial(self._delete_rows, table, statement))
        await self._repeat(self._delete_connections)
        await self._repeat(self._delete_end_users)
        for table, statement in _LAST.items():
            await self._repeat(partial(self._delete_rows, table, statement))

    async def end(self) -> bool:
        """Delete the organization's row if no other row is left. Return False if a further round is necessary.

        The lock on the row prevents that a concurrent request inserts rows.
        """
        async with self._installation.database.write() as tx:
            await organizations.lock(tx, self.result.organization_id)
            if await self._finds(tx, _ANY_LEFT):
                return False
            row = await tx.one(_PENDING, _Count, **self._key)
            self.result.pending_revocations = row.rows if row is not None else 0
            if self.result.complete or self._after_grace:
                for table, statement in _REVOKING.items():
                    self.result.rows += await self._delete_rows(table, statement, tx)
            if self.result.complete:
                if await self._finds(tx, _ANY_FOR_REVOKING):  # there were more rows than one batch
                    return False
                await organizations.end_deletion(tx, self.result.organization_id)
        return True

    async def _finds(self, tx: Transaction, statements: Iterable[Select[Any]]) -> bool:
        for statement in statements:
            if await tx.one(statement, **self._key) is not None:
                return True
        return False

    async def _repeat(self, step: Callable[[Transaction], Awaitable[Counter[str]]]) -> None:
        """Run a step in a transaction of its own, until the step deletes nothing. `step` returns deleted rows by table.

        Another process can work on the same rows at the same time.
        """

        async def run() -> Counter[str]:
            async with self._installation.database.write() as tx:
                return await step(tx)

        deleted = Counter({"": 1})
        while deleted.total():
            begun = time.monotonic()
            deleted = await steps.retry(run)
            self.result.rows += deleted
            await steps.rest(begun)

    async def _delete_rows(self, table: Table, statement: Delete, tx: Transaction) -> Counter[str]:
        return Counter({table.name: await tx.execute(statement, **self._key, limit=self._batch)})

    async def _delete_connections(self, tx: Transaction) -> Counter[str]:
        page = await connections.list_page(tx, self.result.organization_id, ConnectionFilter(), limit=self._batch)
        removals = await disconnect.remove_connections(tx, self._installation, self._actor, page)
        await self._leave_to_worker(tx, [pending for _, queued in removals for pending in queued])
        return Counter({schema.connections.name: len(removals)})

    async def _delete_end_users(self, tx: Transaction) -> Counter[str]:
        deleted = Counter[str]()
        for end_user_id in await end_users.lock_page(tx, self.result.organization_id, self._batch):
            if not await end_users.remove_unconnected(tx, self.result.organization_id, end_user_id):
                removals, others = await disconnect.remove_end_user(tx, self._installation, self._actor, end_user_id)
                kept = (pending for _, queued in removals for pending in queued)
                await self._leave_to_worker(tx, [*kept, *others])
                deleted[schema.connections.name] += len(removals)
            deleted[schema.end_users.name] += 1
        return deleted

    async def _leave_to_worker(self, tx: Transaction, queued: Iterable[PendingRevocation]) -> None:
        for pending in queued:
            await pending_revocations.leave_to_worker(tx, pending, self._installation.clock())
