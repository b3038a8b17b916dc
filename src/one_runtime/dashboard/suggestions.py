"""Suggest values for the fields of the playground: end users, integrations and paths."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple
from urllib.parse import quote, urlencode

from one_runtime.catalog.model import Integration
from one_runtime.dashboard.end_user_labels import label_of
from one_runtime.dashboard.visit import Visit
from one_runtime.integrations.team_catalog import load_team_catalog
from one_runtime.reports import connection_search
from one_runtime.reports.connection_search import RecentConnection

_CONNECTIONS: Final = 100
"""Number of the newest connections from which the suggestions come."""


class Suggestion(NamedTuple):
    """A value of a field, and the text that a browser shows beside the value."""

    value: str
    text: str


@dataclass(frozen=True, slots=True)
class Suggestions:
    """Suggestions for fields, without duplicates.

    - `end_users`: the end users of the newest connections.
    - `connected`: the integrations of these connections. `enabled`: all enabled integrations, on request.
    - `paths`: the paths of requests that only read, for the connected integrations.
    - `path`: such a path for the integration that the form names, or None.
    """

    end_users: Sequence[Suggestion]
    connected: Sequence[Suggestion]
    enabled: Sequence[Suggestion]
    paths: Sequence[Suggestion]
    path: str | None


async def find_suggestions(visit: Visit, slug: str = "", *, with_enabled: bool = False) -> Suggestions:
    """Return the suggestions for the organization of the page. `slug`: the integration that the form names."""
    async with visit.installation.database.read() as tx:
        recent = await connection_search.list_recent(tx, visit.organization_id, limit=_CONNECTIONS)
        team = await load_team_catalog(tx, visit.installation, visit.organization_id)
    slugs = dict.fromkeys(row.integration_slug for row in recent)
    connected = [integration for slug in slugs if (integration := team.catalog.get(slug)) is not None]
    enabled = [each for each in team.catalog.integrations if each.slug in team.availability] if with_enabled else []
    named = team.catalog.get(slug) if slug else None
    return Suggestions(
        end_users=_suggest_end_users(visit, recent),
        connected=_suggest_integrations(connected),
        enabled=_suggest_integrations(enabled),
        paths=_suggest_paths(connected),
        path=sample_path(named) if named is not None else None,
    )


def _suggest_end_users(visit: Visit, recent: Iterable[RecentConnection]) -> list[Suggestion]:
    """Return the end users of connections, in the same order."""
    labels = {row.end_user_id: label_of(visit, row.end_user_id, row.name, row.email) for row in recent}
    return [Suggestion(end_user_id, label.text) for end_user_id, label in labels.items()]


def sample_path(integration: Integration) -> str | None:
    """Return the path and the query with which One Runtime checks a credential, or None if there is no plain path.

    The request only reads, and works with every connection whose credential the check accepts.
    """
    for auth in integration.auth:
        check = auth.check
        if check is None or check.path is None or check.method != "GET":
            continue
        if not any("{" in template for template in (check.path, *check.query.values())):
            query = urlencode(check.query, quote_via=quote)
            return check.path + (f"?{query}" if query else "")
    return None


def _suggest_integrations(integrations: Iterable[Integration]) -> list[Suggestion]:
    return [Suggestion(integration.slug, integration.name) for integration in integrations]


def _suggest_paths(integrations: Iterable[Integration]) -> list[Suggestion]:
    """Return the sample paths of integrations. Several integrations can have the same path."""
    names: dict[str, list[str]] = {}
    for integration in integrations:
        path = sample_path(integration)
        if path is not None:
            names.setdefault(path, []).append(integration.name)
    return [Suggestion(path, ", ".join(of_path)) for path, of_path in names.items()]
