"""The overview of an organization: its numbers, its calls as plots, and what needs attention."""

from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Final, NamedTuple

from starlette.responses import Response

from one_runtime.dashboard import plots
from one_runtime.dashboard.declarations import ORGANIZATION, Pages
from one_runtime.dashboard.end_user_labels import EndUserLabel, label_of
from one_runtime.dashboard.quantities import number, share
from one_runtime.dashboard.visit import Visit
from one_runtime.db.ids import is_id
from one_runtime.errors import Explanation
from one_runtime.explanations.stored_errors import explain_connection_error
from one_runtime.proxy import usage
from one_runtime.proxy.usage import DAY, Totals
from one_runtime.reports import overview
from one_runtime.reports.overview import AttentionItem, BoundedCount, DoneSteps
from one_runtime.tenancy.roles import Permission

_HOURS: Final = 24
_DAYS: Final = 30

_HIDDEN_STEPS: Final = "or_hidden_steps"
"""Name of a cookie with the ids of organizations."""

_HIDDEN_SECONDS: Final = round(overview.PERIOD.total_seconds())
_MAX_HIDDEN: Final = 20

pages = Pages()


class Step(NamedTuple):
    """A first step of a new organization.

    `path`, `query`: the page of the step. `permission`: the members who can do it.
    """

    title: str
    text: str
    path: str
    permission: Permission
    is_done: bool
    query: Mapping[str, str] = MappingProxyType({})


@pages.get(ORGANIZATION, access="read")
async def show_overview(visit: Visit) -> Response:
    """Show the overview."""
    organization_id, now = visit.organization_id, visit.now
    kept = timedelta(days=visit.installation.settings.event_retention_days)
    new_since = now - min(overview.PERIOD, kept)
    async with visit.installation.database.read() as tx:
        numbers = await overview.read_numbers(tx, organization_id, new_since=new_since)
        items = await overview.list_attention_items(tx, organization_id, now - DAY)
        totals = await usage.read_totals(tx, organization_id, now, hours=_HOURS, days=_DAYS)
    steps = [] if numbers.steps is None or organization_id in _hidden(visit) else list_steps(numbers.steps)
    return visit.render(
        "overview.html",
        title="Overview",
        numbers=numbers,
        calls=usage.total(totals.hours),
        calls_by_hour=plots.sparkline([hour.calls for hour in totals.hours], "Calls of each hour"),
        plots=_plots(totals),
        items=[(item, _integration_name(visit, item), _explanation(item), _end_user(visit, item)) for item in items],
        steps=[] if all(step.is_done for step in steps) else steps,
        bounded=bounded,
        share=share,
    )


@pages.post(f"{ORGANIZATION}/first-steps/hide", access="read")
async def hide_first_steps(visit: Visit) -> Response:
    """Hide the first steps of the organization in this browser."""
    hidden = dict.fromkeys((visit.organization_id, *filter(is_id, _hidden(visit))))
    response = visit.redirect()
    visit.cookies.set(response, _HIDDEN_STEPS, ".".join(list(hidden)[:_MAX_HIDDEN]), _HIDDEN_SECONDS)
    return response


def bounded(count: BoundedCount) -> str:
    """Return a count as text, such as `10,000+` if there can be more."""
    return number(count.value) + ("" if count.is_exact else "+")


def list_steps(done: DoneSteps) -> list[Step]:
    """Return what the team of a new organization does first."""
    return [
        Step(
            "Choose the integrations",
            "Enable the integrations of your product. Most integrations with OAuth need an OAuth client of yours.",
            "integrations",
            "develop",
            done.integration,
        ),
        Step(
            "Create an API key",
            "Your backend sends the key with each request to One Runtime.",
            "api-keys",
            "develop",
            done.api_key,
        ),
        Step(
            "Connect a test account",
            "Open an integration, and connect an account of yours in the popup of your end users.",
            "integrations",
            "use",
            done.connection,
            {"show": "ready"},
        ),
        Step(
            "Create a reconnect link",
            "Open a connection, and create the link for an end user who has to connect again.",
            "connections",
            "connect",
            done.link,
        ),
        Step(
            "Invite your colleagues",
            "Each colleague has a role. Support engineers see connections, but cannot change settings.",
            "members",
            "admin",
            done.invitation,
        ),
    ]


def _hidden(visit: Visit) -> list[str]:
    """Return the organizations whose first steps this browser hides. The newest is first."""
    return visit.cookie(_HIDDEN_STEPS).split(".")


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


def _end_user(visit: Visit, item: AttentionItem) -> EndUserLabel | None:
    if item.end_user_id is None:
        return None
    return label_of(visit, item.end_user_id, item.end_user_name, item.end_user_email)


def _explanation(item: AttentionItem) -> Explanation | None:
    is_connection = item.kind == "connection" and item.code is not None
    return explain_connection_error("needs_reauth", item.code or "") if is_connection else None
