"""List the accounts that an end user has connected, as an agent sees them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from one_runtime.agents.caller import AgentCaller
from one_runtime.agents.calls import label_of
from one_runtime.catalog.loader import Catalog
from one_runtime.connections import connections
from one_runtime.connections.connections import Connection, ConnectionFilter
from one_runtime.context import Installation
from one_runtime.db.engine import Transaction

_MOST: Final = 1000


@dataclass(frozen=True, slots=True)
class ConnectedIntegration:
    """An integration to which the end user has connections.

    `status`: `connected`, or `needs_reauth` if the end user has to connect again. `reason`: the newest error of a
    connection that needs a new authorization, or None.
    """

    slug: str
    name: str
    status: str
    accounts: tuple[Connection, ...]
    reason: str | None


async def list_connected(
    tx: Transaction, installation: Installation, caller: AgentCaller
) -> list[ConnectedIntegration]:
    """Return the integrations to which the end user has connections and that the agent can use, ordered by name."""
    filters = ConnectionFilter(end_user_id=[caller.end_user_id])
    rows = await connections.list_page(tx, caller.organization_id, filters, limit=_MOST)
    catalog = await installation.catalogs.of(tx, caller.organization_id)
    by_slug = dict[str, list[Connection]]()
    for row in rows:
        if caller.policy.allows_integration(row.integration_slug):
            by_slug.setdefault(row.integration_slug, []).append(row)
    connected = [_integration(catalog, slug, accounts) for slug, accounts in by_slug.items()]
    return sorted(connected, key=lambda integration: integration.name.casefold())


def _integration(catalog: Catalog, slug: str, accounts: Sequence[Connection]) -> ConnectedIntegration:
    entry = catalog.get(slug)
    active = tuple(account for account in accounts if account.status == "active")
    error = None if active else accounts[0].error
    return ConnectedIntegration(
        slug,
        entry.name if entry is not None else slug,
        "connected" if active else "needs_reauth",
        active or tuple(accounts),
        None if error is None else error["message"],
    )


def account_fields(connection: Connection) -> dict[str, object]:
    """Return the id and the label of a connection, as answers to agents contain them. Mark the default connection."""
    fields: dict[str, object] = {"id": connection.id, "label": label_of(connection)}
    return {**fields, "is_default": True} if connection.is_default else fields
