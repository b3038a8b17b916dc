"""The overview of an organization: its numbers, its calls as plots, and what needs attention."""

from typing import Final, NamedTuple

from starlette.responses import Response

from one_runtime.dashboard import plots
from one_runtime.dashboard.declarations import ORGANIZATION, Pages
from one_runtime.dashboard.quantities import number, share
from one_runtime.dashboard.visit import Visit
from one_runtime.explanations.explanation import Explanation
from one_runtime.explanations.stored_errors import explain_connection_error
from one_runtime.proxy import overview, usage
from one_runtime.proxy.overview import AttentionItem, BoundedCount, OverviewNumbers
from one_runtime.proxy.usage import DAY, Totals
from one_runtime.tenancy.roles import Permission

_HOURS: Final = 24
_DAYS: Final = 30

pages = Pages()


class Step(NamedTuple):
    """A first step of a new organization. `path`: the page of the step. `permission`: the members who can do it."""

    title: str
    text: str
    path: str
    permission: Permission
    is_done: bool


@pages.get(ORGANIZATION, access="read")
async def show_overview(visit: Visit) -> Response:
    """Show the overview."""
    organization_id, now = visit.organization_id, visit.now
    async with visit.installation.database.read() as tx:
        numbers = await overview.read_numbers(tx, organization_id)
        items = await overview.list_attention_items(tx, organization_id, now - DAY)
        totals = await usage.read_totals(tx, organization_id, now, hours=_HOURS, days=_DAYS)
    steps = first_steps(numbers)
    return visit.render(
        "overview.html",
        title="Overview",
        numbers=numbers,
        calls=usage.total(totals.hours),
        calls_by_hour=plots.sparkline([hour.calls for hour in totals.hours], "Calls of each hour"),
        plots=_plots(totals),
        items=[(item, _integration_name(visit, item), _explanation(item)) for item in items],
        steps=[] if numbers.has_connection and numbers.has_api_key else steps,
        bounded=bounded,
        share=share,
    )


def bounded(count: BoundedCount) -> str:
    """Return a count as text, such as `10,000+` if there can be more."""
    return number(count.value) + ("" if count.is_exact else "+")


def first_steps(numbers: OverviewNumbers) -> list[Step]:
    """Return what the team of a new organization does first."""
    return [
        Step(
            "Choose the integrations",
            "Enable the integrations of your product. Most integrations with OAuth need an OAuth client of yours.",
            "integrations",
            "develop",
            numbers.has_oauth_client or numbers.has_connection,
        ),
        Step(
            "Create an API key",
            "Your backend sends the key with each request to One Runtime.",
            "api-keys",
            "develop",
            numbers.has_api_key,
        ),
        Step(
            "Try it",
            "Open an integration, and connect an account of yours in the popup of your end users.",
            "integrations",
            "use",
            numbers.has_connection,
        ),
        Step(
            "Invite your colleagues",
            "Each colleague has a role. Support engineers see connections, but cannot change settings.",
            "members",
            "admin",
            numbers.has_colleague,
        ),
    ]


def _plots(totals: Totals) -> list[plots.Plot]:
    empty = "No calls in the last 24 hours."
    return [
        plots.plot_calls("calls-by-hour", "Calls by hour (UTC)", totals.hours, empty=empty),
        plots.plot_durations("durations", "Duration of calls by hour (UTC)", totals.hours, empty=empty),
        plots.plot_calls("calls-by-day", "Calls by day (UTC)", totals.days, empty="No calls in the last 30 days."),
    ]


def _integration_name(visit: Visit, item: AttentionItem) -> str | None:
    """Return the name of a built-in integration, or the slug of a custom integration."""
    if item.subject is None or item.kind == "webhook_endpoint":
        return item.subject
    entry = visit.installation.catalog.get(item.subject)
    return item.subject if entry is None else entry.name


def _explanation(item: AttentionItem) -> Explanation | None:
    is_connection = item.kind == "connection" and item.code is not None
    return explain_connection_error("needs_reauth", item.code or "") if is_connection else None
