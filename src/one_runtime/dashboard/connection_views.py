"""Describe connections in words: the state, the newest error, and what to do."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, NamedTuple, TypeAlias

from one_runtime.catalog.disabled_integrations import IntegrationDisabled
from one_runtime.catalog.loader import Catalog
from one_runtime.catalog.model import Integration
from one_runtime.connections.connections import Connection
from one_runtime.connections.credentials import PermissionMissing
from one_runtime.connections.search import FoundConnection
from one_runtime.dashboard.end_user_labels import EndUserLabel, label_of
from one_runtime.dashboard.visit import Visit
from one_runtime.db.engine import Transaction
from one_runtime.errors import Explanation
from one_runtime.explanations.stored_errors import explain_connection_error

BadgeKind: TypeAlias = Literal["good", "bad", "wait", "plain"]

STATES: Final = {
    "active": "Active",
    "failing": "Active, but the refresh fails",
    "needs_reauth": "Has to connect again",
}
"""The filter of the list: states of connections in words."""


class Badge(NamedTuple):
    """A short text with a color."""

    text: str
    kind: BadgeKind


class ConnectionProblem(NamedTuple):
    """The reason why a connection does not work.

    - `message`, `action`: what happened, and what to do. Code has backquotes.
    - `detail`: the stored message, which can contain the provider's words, or None.
    """

    code: str
    message: str
    action: str | None
    detail: str | None
    since: datetime | None
    next_retry_at: datetime | None

    @property
    def summary(self) -> str:
        """Return the first sentence of the message."""
        return self.message.partition(". ")[0].removesuffix(".") + "."


@dataclass(frozen=True, slots=True)
class ConnectionView:
    """A connection for a template. `integration`: None if the integration no longer exists."""

    found: FoundConnection
    integration: Integration | None
    logo_url: str | None
    badge: Badge
    problem: ConnectionProblem | None
    path: str
    end_user: EndUserLabel

    @property
    def connection(self) -> Connection:
        """Return the connection."""
        return self.found.connection

    @property
    def integration_name(self) -> str:
        """Return the name of the integration, or the slug of an integration that no longer exists."""
        return self.integration.name if self.integration is not None else self.connection.integration_slug


async def catalog_of(visit: Visit, tx: Transaction, rows: Sequence[FoundConnection]) -> Catalog:
    """Return the catalog of the organization. Runs no statement if this process has cached the catalog.

    `rows`: connections of the organization. Without connections, return the built-in catalog.
    """
    revision = rows[0].custom_revision if rows else None
    return await visit.installation.catalogs.own(tx, visit.organization_id, revision) or visit.installation.catalog


def view(visit: Visit, catalog: Catalog, row: FoundConnection) -> ConnectionView:
    """Return a connection for a template."""
    connection = row.connection
    integration = catalog.get(connection.integration_slug)
    problem = _problem(row, visit.now, is_disabled=connection.integration_slug in visit.installation.disabled.slugs)
    return ConnectionView(
        row,
        integration,
        visit.services.logo_url(integration) if integration is not None else None,
        _badge(row, problem),
        problem,
        visit.path("connections", connection.id),
        label_of(visit, connection.end_user_id, row.end_user_name, row.email),
    )


def _problem(row: FoundConnection, now: datetime, *, is_disabled: bool) -> ConnectionProblem | None:
    if is_disabled:
        return ConnectionProblem(IntegrationDisabled.code, *IntegrationDisabled.explanation, None, None, None)
    diagnosis, error = row.diagnose(now), row.connection.error
    if diagnosis.code is None:
        return None
    explanation = explain_connection_error(row.connection.status, diagnosis.code)
    if explanation is None:
        explanation = Explanation(diagnosis.reason or "", diagnosis.advice or "")
    detail = error["message"] if error is not None else diagnosis.reason
    return ConnectionProblem(
        diagnosis.code,
        explanation.message,
        explanation.action or None,
        detail if detail != explanation.message else None,
        diagnosis.since,
        diagnosis.next_retry_at,
    )


def _badge(row: FoundConnection, problem: ConnectionProblem | None) -> Badge:
    if problem is None:
        return Badge("Active", "good")
    if problem.code == IntegrationDisabled.code:
        return Badge("Disabled by the operator", "wait")
    if row.connection.status == "needs_reauth":
        return Badge(STATES["needs_reauth"], "bad")
    if problem.code == PermissionMissing.code:
        return Badge("Lacks a permission", "wait")
    return Badge("Refresh fails", "wait")
