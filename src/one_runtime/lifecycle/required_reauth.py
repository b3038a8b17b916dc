"""Require a new authorization of connections, for the command `one-runtime connections require-reauth`."""

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Select, bindparam, func, select

from one_runtime.catalog.organization_catalogs import OrganizationCatalogs
from one_runtime.clock import Clock
from one_runtime.connections import discarding, search
from one_runtime.connections.credentials import INVALIDATED_AUDIENCE, ConnectionKey
from one_runtime.connections.discarding import Discarded
from one_runtime.connections.pending_revocations import leave_to_worker, queue_revocations
from one_runtime.db.engine import Database, Transaction
from one_runtime.db.schema import connections, credentials
from one_runtime.encryption.vault import Vault
from one_runtime.errors import NotFound
from one_runtime.jobs import steps
from one_runtime.tenancy.events import Actor

_BATCH: Final = 100
"""Connections per transaction. On SQLite, all other writes wait until the transaction ends."""

_FIRST: Final = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True, slots=True)
class ReauthScope:
    """The connections of an organization, of an integration, or of both. None matches all."""

    organization_id: str | None
    integration_slug: str | None


class AffectedConnections(NamedTuple):
    """Number of connections whose credential was not invalidated before, and number of their organizations."""

    connections: int
    organizations: int


class _Key(NamedTuple):
    organization_id: str
    id: str


_SELECT: Final = (
    select(connections.c.organization_id, connections.c.id)
    .join(credentials, credentials.c.connection_id == connections.c.id)
    .where(credentials.c.audience.is_distinct_from(INVALIDATED_AUDIENCE))
)


_NEWEST: Final = select(connections.c.id).order_by(connections.c.id.desc()).limit(1)


async def count_affected(tx: Transaction, scope: ReauthScope) -> AffectedConnections:
    """Count the connections that `require_all` would change."""
    counts = (
        func.count().label("connections"),
        func.count(connections.c.organization_id.distinct()).label("organizations"),
    )
    row = await tx.one(_within(scope).with_only_columns(*counts, maintain_column_froms=True), AffectedConnections)
    assert row is not None  # noqa: S101 - an aggregate returns one row
    return row


async def require(
    database: Database, vault: Vault, catalogs: OrganizationCatalogs, ids: Sequence[str], clock: Clock, operator: str
) -> int:
    """Require a new authorization of these connections, in one transaction. Return the number of changed connections.

    `operator`: the name of the person who runs the command, for the events.

    Raises: NotFound, and changes nothing, if a connection does not exist. KeyNotInRing.
    """
    async with database.write() as tx:
        keys = [(await search.find(tx, connection_id)).connection.key for connection_id in ids]
        return await _require(tx, vault, catalogs, keys, clock, operator)


async def require_all(
    database: Database, vault: Vault, catalogs: OrganizationCatalogs, scope: ReauthScope, clock: Clock, operator: str
) -> int:
    """Require a new authorization of all present connections in a scope. Return the number of changed connections.

    Each transaction changes a limited number of connections, and servers can write between two transactions. If the
    command stops, run it again. Omit connections that end users make during the run. Raises: KeyNotInRing; Unavailable.
    """
    statement = _within(scope).where(connections.c.id > bindparam("after"), connections.c.id <= bindparam("newest"))
    statement = statement.order_by(connections.c.id).limit(_BATCH)
    async with database.read() as tx:  # an id ends the run, because this machine's clock can be wrong
        newest = await tx.one(_NEWEST)
    if newest is None:
        return 0
    after, changed = _FIRST, 0

    async def change_page() -> tuple[list[_Key], int]:
        async with database.write() as tx:
            rows = await tx.all(statement, _Key, after=after, newest=newest.id)
            keys = [ConnectionKey(row.organization_id, row.id) for row in rows]
            return rows, await _require(tx, vault, catalogs, keys, clock, operator)

    while True:
        begun = time.monotonic()
        rows, count = await steps.retry(change_page)
        changed += count
        if len(rows) < _BATCH:
            return changed
        after = rows[-1].id
        await steps.rest(begun)


def _within(scope: ReauthScope) -> Select[Any]:
    wanted: list[ColumnElement[bool]] = []
    if scope.organization_id is not None:
        wanted.append(connections.c.organization_id == scope.organization_id)
    if scope.integration_slug is not None:
        wanted.append(connections.c.integration_slug == scope.integration_slug)
    return _SELECT.where(*wanted)


async def _require(
    tx: Transaction,
    vault: Vault,
    catalogs: OrganizationCatalogs,
    keys: Sequence[ConnectionKey],
    clock: Clock,
    operator: str,
) -> int:
    """Change the connections in the order of their ids, so that two runs cannot wait for each other (a deadlock)."""
    discarded = list[Discarded]()
    for key in sorted(set(keys), key=lambda key: key.connection_id):
        actor = Actor(key.organization_id, "system", operator)
        with suppress(NotFound):  # the connection was deleted at the same time
            credential = await discarding.require_reauth(tx, vault, actor, key.connection_id, clock())
            discarded += [credential] if credential is not None else []
    tokens = [credential.tokens for credential in discarded if credential.tokens is not None]
    for pending in await queue_revocations(tx, vault, catalogs, tokens, "reauth_required", clock()):
        await leave_to_worker(tx, pending, clock())
    return len(discarded)
