"""The connections of an organization: the list, and the page of one connection."""

from collections.abc import Sequence
from typing import Final, cast

from starlette.responses import Response

from one_runtime.catalog.auth_types import AUTH_TYPES
from one_runtime.catalog.public_values import public_values
from one_runtime.catalog.scopes import DescribedScope, describe_scopes
from one_runtime.connections.credentials import PermissionMissing
from one_runtime.connections.search import FoundConnection
from one_runtime.dashboard import timelines
from one_runtime.dashboard.connection_views import STATES, ConnectionView, catalog_of, view
from one_runtime.dashboard.declarations import ORGANIZATION, Pages
from one_runtime.dashboard.end_user_paths import identifier_of
from one_runtime.dashboard.masking import Whole
from one_runtime.dashboard.visit import FormErrors, Visit
from one_runtime.db.engine import Transaction
from one_runtime.egress.errors import TargetRefused
from one_runtime.explanations.stored_errors import CONNECTION_ERRORS
from one_runtime.reports import connection_search, end_user_search, timeline
from one_runtime.reports.connection_search import ConnectionSelection, ConnectionTotals, State
from one_runtime.reports.end_user_search import EndUserSearch
from one_runtime.tokens.refresh import ClientRefused

PAGE_SIZE: Final = 50
_MAX_END_USERS: Final = 50
"""Maximum number of end users whose connections the list shows. A page of the end users shows more."""
_MAX_QUERY: Final = 255
_FILTERS: Final = ("status", "integration", "error", "end_user", "end_user_id")

ERROR_CODES: Final = sorted(
    {*CONNECTION_ERRORS["needs_reauth"], ClientRefused.code, PermissionMissing.code, TargetRefused.code}
)
"""The errors that connections store. Other errors of a refresh are not stored: the state `failing` finds them."""

pages = Pages(
    {
        "accepted": "The check succeeded: the provider accepted the credential.",
        "refused": "The check failed: the provider refused the credential. The end user has to connect again.",
        "possibly_refused": (
            "The check failed: the provider refused the credential. It also refused to renew the credential, but "
            "without a clear reason, so One Runtime tries again by itself first."
        ),
        "permission_missing": "The provider accepted the credential, but the credential lacks a permission.",
        "not_supported": "This integration has no check, so One Runtime cannot check the credential.",
        "refreshed": "The tokens are new.",
        "renamed": "The connection has a new name.",
        "default": "This is now the default connection.",
        "ordinary": "This is no longer the default connection.",
    },
    failures=("refused", "possibly_refused", "permission_missing"),
)


class _Filters:
    """The filters in the query of the list. `query`: the filters that have a value, for paths of other pages."""

    def __init__(self, visit: Visit) -> None:
        fields = {name: visit.query(name)[:_MAX_QUERY] for name in _FILTERS}
        self.query = {name: value for name, value in fields.items() if value}
        self.state, integration, self.error, self.end_user, self.end_user_id = fields.values()
        self.end_user_id = identifier_of(self.end_user_id)
        self.integration = integration.lower().replace(" ", "-")
        self.before = visit.cursor

    def selection(self, end_user_ids: Sequence[str] | None) -> ConnectionSelection:
        """Return the filters for the search. A state that does not exist selects nothing special."""
        state = cast("State", self.state) if self.state in STATES else None
        return ConnectionSelection(state, self.integration or None, self.error or None, end_user_ids)


@pages.get(f"{ORGANIZATION}/connections", access="read")
async def list_connections(visit: Visit) -> Response:
    """List the connections, newest first."""
    filters, totals, too_many = _Filters(visit), ConnectionTotals(0, 0), False
    async with visit.installation.database.read() as tx:
        end_user_ids = None
        if filters.end_user_id:
            end_user_ids = [filters.end_user_id]
        elif filters.end_user:
            found = await end_user_search.find(
                tx,
                visit.organization_id,
                EndUserSearch(filters.end_user, in_emails=not visit.is_masked),
                limit=_MAX_END_USERS,
                after=None,
            )
            end_user_ids = [each.end_user_id for each in found.end_users]
            too_many = found.next_cursor is not None
        rows, cursor = await connection_search.list_newest(
            tx, visit.organization_id, filters.selection(end_user_ids), limit=PAGE_SIZE, before=filters.before
        )
        if not filters.query and filters.before is None:
            totals = await connection_search.count(tx, visit.organization_id)
        catalog = await catalog_of(visit, tx, rows)
    return visit.render(
        "connections.html",
        title="Connections",
        views=[view(visit, catalog, row) for row in rows],
        filters=filters,
        states=STATES.items(),
        error_codes=ERROR_CODES,
        total=_number(totals.connections, "connection", "connections"),
        needs_reauth=_number(totals.needs_reauth, "has to connect again", "have to connect again"),
        too_many=too_many,
        scanned=connection_search.SEARCHED,
        older=visit.path("connections", **filters.query, before=cursor) if cursor else None,
        first=visit.path("connections", **filters.query) if filters.before else None,
    )


def _number(count: int, one: str, several: str) -> str | None:
    """Return a number of connections in words, or None for 0. If there are more, the words begin with `More than`."""
    if count > connection_search.MAX_COUNT:
        return f"More than {connection_search.MAX_COUNT:,} {several}"
    return None if count == 0 else f"1 {one}" if count == 1 else f"{count:,} {several}"


@pages.get(f"{ORGANIZATION}/connections/{{connection_id}}", access="read")
async def show_connection(visit: Visit) -> Response:
    """Show a connection with its timeline."""
    return await render_connection(visit)


async def find(visit: Visit, tx: Transaction) -> FoundConnection:
    """Return the connection of the path. Raises: NotFound."""
    return await connection_search.find(tx, visit.organization_id, visit.parameter("connection_id"))


async def render_connection(
    visit: Visit,
    *,
    status: int = 200,
    problem: str | None = None,
    name: str | None = None,
    errors: FormErrors | None = None,
) -> Response:
    """Return the page of the connection in the path.

    - `problem`: a sentence about an action that failed.
    - `name`, `errors`: the text and the errors of the form that renames the connection.

    Raises: NotFound.
    """
    async with visit.installation.database.read() as tx:
        found = await find(visit, tx)
        entries, cursor = await timeline.of_connection(
            tx, visit.organization_id, found.id, limit=timelines.PAGE_SIZE, before=visit.cursor
        )
        catalog = await catalog_of(visit, tx, [found])
    shown = view(visit, catalog, found)
    connection = shown.connection
    return visit.render(
        "connection.html",
        title=connection.name,
        status=status,
        view=shown,
        auth_type=AUTH_TYPES[connection.auth_type].title,
        values=public_values(shown.integration, connection.auth_type, connection.params),
        has_tokens=_has_tokens(shown),
        scopes=_describe(shown, connection.scopes),
        missing_scopes=_describe(shown, connection.missing_scopes),
        items=timelines.describe(visit, catalog, entries),
        call_path=visit.path(
            "playground",
            "calls",
            end_user_id=connection.end_user_id,
            integration_slug=connection.integration_slug,
        ),
        problem=problem,
        name=_name_in_form(visit, connection.name) if name is None else Whole(name),
        errors=errors,
        older=visit.path("connections", connection.id, before=cursor) if cursor else None,
        first=shown.path if visit.cursor else None,
    )


def _name_in_form(visit: Visit, name: str) -> str:
    """Return an empty text for a name that the page masks. Otherwise, the form would store the masked name."""
    return name if visit.mask(name) == name else ""


def _describe(shown: ConnectionView, scopes: Sequence[str]) -> list[DescribedScope]:
    integration = shown.integration
    auth = integration.oauth2 if integration is not None else None
    if integration is None or auth is None:
        return [DescribedScope(scope, None) for scope in scopes]
    return describe_scopes(integration.slug, auth, scopes)


def _has_tokens(shown: ConnectionView) -> bool:
    auth = shown.integration.auth_of(shown.connection.auth_type) if shown.integration is not None else None
    return auth is not None and auth.token_auth is not None
