"""The end users of an organization: the search, the page of one end user, a link to connect, and the deletion."""

from typing import Final

from starlette.responses import Response

from one_runtime.dashboard import timelines
from one_runtime.dashboard.connect_links import LinkRequest, respond_with_link
from one_runtime.dashboard.connection_actions import summarize
from one_runtime.dashboard.connection_views import catalog_of, view
from one_runtime.dashboard.declarations import ORGANIZATION, Pages
from one_runtime.dashboard.end_user_labels import label_of
from one_runtime.dashboard.end_user_paths import identifier_of, query_value
from one_runtime.dashboard.visit import FormErrors, Visit
from one_runtime.dashboard.wording import problem_of
from one_runtime.db.engine import Transaction
from one_runtime.errors import InvalidInput, NotFound, OneRuntimeError
from one_runtime.lifecycle import disconnect
from one_runtime.reports import connection_search, end_user_search, timeline
from one_runtime.reports.connection_search import ConnectedEndUser, EndUserTotals
from one_runtime.reports.end_user_search import EndUserSearch, FoundEndUsers
from one_runtime.tenancy import end_users
from one_runtime.tenancy.end_users import EndUserFilter

PAGE_SIZE: Final = 50
SHOWN_CONNECTIONS: Final = 50
_MAX_QUERY: Final = 255
_END_USER: Final = f"{ORGANIZATION}/end-users/{{end_user_id:path}}"
_NO_CONNECTIONS: Final = EndUserTotals("", 0, 0)

pages = Pages()


@pages.get(f"{ORGANIZATION}/end-users", access="read")
async def list_end_users(visit: Visit) -> Response:
    """List the end users, or search them by a text."""
    text = visit.query("q")[:_MAX_QUERY]
    after = identifier_of(visit.request.query_params.get("after", "")) or None
    async with visit.installation.database.read() as tx:
        found = await _search(visit, tx, text, after)
        ids = [each.end_user_id for each in found.end_users]
        totals = await connection_search.count_of_end_users(tx, visit.organization_id, ids)
    query, cursor = {"q": text} if text else {}, found.next_cursor
    return visit.render(
        "end_users.html",
        title="End users",
        rows=[
            (each, label_of(visit, each.end_user_id, each.name), totals.get(each.end_user_id, _NO_CONNECTIONS))
            for each in found.end_users
        ],
        text=text,
        found=found,
        scanned=end_user_search.SEARCHED,
        next=visit.path("end-users", **query, after=query_value(cursor)) if cursor is not None else None,
        first=visit.path("end-users", **query) if after is not None else None,
    )


async def _search(visit: Visit, tx: Transaction, text: str, after: str | None) -> FoundEndUsers:
    organization_id = visit.organization_id
    if text:
        return await end_user_search.find(
            tx, organization_id, EndUserSearch(text, in_emails=not visit.is_masked), limit=PAGE_SIZE, after=after
        )
    rows = await end_users.list_page(tx, organization_id, EndUserFilter(), limit=PAGE_SIZE + 1, after=after)
    return FoundEndUsers(rows[:PAGE_SIZE], rows[PAGE_SIZE - 1].end_user_id if len(rows) > PAGE_SIZE else None)


@pages.get(_END_USER, access="read")
async def show_end_user(visit: Visit) -> Response:
    """Show an end user with the connections and the timeline."""
    return await _render(visit)


def _identifier(visit: Visit) -> str:
    return identifier_of(visit.parameter("end_user_id"))


async def _find(visit: Visit, tx: Transaction) -> ConnectedEndUser:
    """Return the end user of the path. Raises: NotFound."""
    return await connection_search.find_end_user(tx, visit.organization_id, _identifier(visit), limit=SHOWN_CONNECTIONS)


async def _render(
    visit: Visit, *, status: int = 200, problem: str | None = None, slug: str = "", errors: FormErrors | None = None
) -> Response:
    """Return the page of the end user in the path.

    - `problem`: a sentence about an action that failed.
    - `slug`, `errors`: the integration and the errors of the form that failed.

    Raises: NotFound.
    """
    async with visit.installation.database.read() as tx:
        found = await _find(visit, tx)
        end_user = found.end_user
        entries, cursor = await timeline.of_end_user(
            tx, visit.organization_id, end_user.end_user_id, limit=timelines.PAGE_SIZE, before=visit.cursor
        )
        catalog = await catalog_of(visit, tx, found.connections)
    return visit.render(
        "end_user.html",
        title=end_user.name or end_user.end_user_id,
        status=status,
        end_user=end_user,
        views=[view(visit, catalog, row) for row in found.connections],
        path=visit.end_user_path(end_user.end_user_id),
        all_path=visit.path_of_list("connections", "end_user_id", end_user.end_user_id) if found.has_more else None,
        slugs=sorted({row.connection.integration_slug for row in found.connections}),
        items=timelines.describe(visit, catalog, entries),
        problem=problem,
        slug=slug,
        errors=errors or FormErrors(),
        older=visit.end_user_path(end_user.end_user_id, before=cursor) if cursor else None,
        first=visit.end_user_path(end_user.end_user_id) if visit.cursor else None,
    )


@pages.post(f"{_END_USER}/link", access="connect")
async def create_link(visit: Visit) -> Response:
    """Create a link with which the end user connects an account."""
    slug = str((await visit.form()).get("integration", "")).strip().lower()
    async with visit.installation.database.read() as tx:
        found = await _find(visit, tx)
        integration = await visit.installation.catalogs.get(tx, visit.organization_id, slug) if slug else None
    try:
        if slug and integration is None:
            raise InvalidInput.of("integration", "must be the slug of an integration, such as hubspot, or be empty")
        name = integration.name if integration is not None else None
        return await respond_with_link(visit, LinkRequest(found.end_user, slug or None, name))
    except InvalidInput as error:
        fields = {"integration": error.errors[0].message if error.errors else error.detail}
        return await _render(visit, status=422, slug=slug, errors=FormErrors(fields))
    except NotFound:
        raise
    except OneRuntimeError as error:
        return await _render(visit, status=error.status, slug=slug, problem=f"There is no link. {problem_of(error)}")


@pages.post(f"{_END_USER}/forget", access="admin")
async def forget_end_user(visit: Visit) -> Response:
    """Delete the end user with all connections, revoke the tokens, and show the results."""
    confirmation = str((await visit.form()).get("confirmation", ""))
    async with visit.installation.database.read() as tx:
        found = await _find(visit, tx)
    end_user_id = found.end_user.end_user_id
    if confirmation.strip() != end_user_id.strip():
        errors = FormErrors({"confirmation": "This is not the identifier of the end user."})
        return await _render(visit, status=422, errors=errors)
    deleted = await disconnect.forget_end_user(visit.installation, visit.actor, end_user_id)
    return visit.render(
        "disconnected.html",
        title="End user forgotten",
        sentence=f"The end user {end_user_id} is deleted, with all connections, credentials and sessions.",
        outcome=summarize(deleted.disconnected, found.connections),
        back=visit.path("end-users"),
        back_text="Go to the end users",
    )
