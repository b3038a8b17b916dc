"""The list of integrations, and the actions that enable and disable them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple
from urllib.parse import parse_qsl

from starlette.responses import Response

from one_runtime.catalog.model import CATEGORIES, Integration
from one_runtime.connections.integration_counts import IntegrationCount, count_connections
from one_runtime.dashboard.declarations import ORGANIZATION, Pages
from one_runtime.dashboard.integration_states import FailureText, IntegrationState, describe_failure, describe_state
from one_runtime.dashboard.visit import FormErrors, Visit
from one_runtime.errors import InvalidInput
from one_runtime.integrations import enabling
from one_runtime.integrations.team_catalog import CatalogFilter, Show, load_team_catalog
from one_runtime.reports.integration_failures import find_last_failures
from one_runtime.tenancy.organizations import IntegrationsMode

PAGE_SIZE: Final = 50
_MAX_PAGES: Final = 1_000
_NO_CONNECTIONS: Final = IntegrationCount(0, 0)
_MAX_QUERY: Final = 2_000
"""Maximum length of the query that a row sends, so that the browser returns to the same list."""
_SHOWN: Final[Mapping[Show, str]] = {
    "all": "All integrations",
    "ready": "Ready to connect",
    "enabled": "Enabled",
    "connected": "With connections",
    "client_missing": "OAuth client missing",
}
_MODES: Final = (
    ("all", "All integrations", "New integrations of later versions are enabled too."),
    ("all_but", "All integrations except a list", "The list below names the disabled integrations."),
    ("listed", "Only a list", "The list below names the enabled integrations."),
)
_EMPTY_LIST: Final = (
    "must not be empty, because an empty list disables all integrations. Enter a slug, or choose another option"
)

pages = Pages(
    {
        "enabled": "The integration is enabled.",
        "disabled": "The integration is disabled. Existing connections stay.",
        "mode": "The enabled integrations have changed.",
    }
)


class IntegrationRow(NamedTuple):
    """A row of the list."""

    integration: Integration
    offered: bool
    state: IntegrationState
    connections: IntegrationCount
    failure: FailureText | None


@dataclass(frozen=True, slots=True)
class CatalogQuery:
    """The query of the list. `page`: number of the page, from 1."""

    filter: CatalogFilter
    page: int = 1

    @classmethod
    def parse(cls, query: Mapping[str, str]) -> "CatalogQuery":
        """Return the query of these parameters. An unknown value matches every integration."""
        show: Show = next((each for each in _SHOWN if each == query.get("show")), "all")
        category = query.get("category", "")
        page = query.get("page", "")
        return cls(
            CatalogFilter(
                search=query.get("search", "").strip(), category=category if category in CATEGORIES else "", show=show
            ),
            min(max(int(page), 1), _MAX_PAGES) if page.isascii() and page.isdigit() and len(page) < 10 else 1,
        )

    def parameters(self, **changes: str) -> dict[str, str]:
        """Return the parameters of a link to the list. Omit parameters without an effect."""
        parameters = {
            "search": self.filter.search,
            "category": self.filter.category,
            "show": "" if self.filter.show == "all" else self.filter.show,
            "page": "" if self.page == 1 else str(self.page),
        }
        return {name: value for name, value in (parameters | changes).items() if value}


@dataclass(frozen=True, slots=True)
class ModeForm:
    """The form that replaces the mode and the list of integrations."""

    mode: str
    slugs: str
    errors: FormErrors | None = None


@pages.get(f"{ORGANIZATION}/integrations", access="read")
async def list_integrations(visit: Visit) -> Response:
    """Show a page of the list. The team sees integrations that end users do not see."""
    return await _render(visit)


@pages.post(f"{ORGANIZATION}/integrations", access="develop")
async def save_mode(visit: Visit) -> Response:
    """Replace the mode and the list of enabled or disabled integrations."""
    form = await visit.form()
    mode, slugs = str(form.get("mode", "")), str(form.get("slugs", ""))
    chosen = next((each for each in enabling.MODES if each == mode), None)
    try:
        if chosen is None:
            raise InvalidInput.of("mode", "must be one of the options")
        listed = slugs.lower().replace(",", " ").split()
        if chosen == "listed" and not listed:
            raise InvalidInput.of("slugs", _EMPTY_LIST)
        await enabling.set_mode(visit.installation, visit.actor, chosen, listed)
    except InvalidInput as error:
        return await _render(visit, ModeForm(mode, slugs, FormErrors.of(error, ("mode", "slugs"))), status=422)
    return visit.redirect("integrations", done="mode")


@pages.post(f"{ORGANIZATION}/integrations/{{integration_slug}}/enable", access="develop")
async def enable_integration(visit: Visit) -> Response:
    """Enable an integration for the organization's end users."""
    return await _set_enabled(visit, enabled=True)


@pages.post(f"{ORGANIZATION}/integrations/{{integration_slug}}/disable", access="develop")
async def disable_integration(visit: Visit) -> Response:
    """Disable an integration. Existing connections stay."""
    return await _set_enabled(visit, enabled=False)


async def _set_enabled(visit: Visit, *, enabled: bool) -> Response:
    """Redirect to the list if the form contains the query of the list, and otherwise to the integration's page."""
    slug, form = visit.parameter("integration_slug"), await visit.form()
    await enabling.set_enabled(visit.installation, visit.actor, slug, enabled=enabled)
    done = "enabled" if enabled else "disabled"
    if "list" not in form:
        return visit.redirect("integrations", slug, done=done)
    query = CatalogQuery.parse(dict(parse_qsl(str(form["list"])[:_MAX_QUERY])))
    return visit.redirect("integrations", **query.parameters(done=done))


def _mode_name(mode: IntegrationsMode, listed: int) -> str:
    if mode == "listed":
        return "1 integration" if listed == 1 else f"{listed or 'no'} integrations"
    return f"all integrations except {listed}" if listed else "all integrations"


async def _render(visit: Visit, form: ModeForm | None = None, *, status: int = 200) -> Response:
    query = CatalogQuery.parse(visit.request.query_params)
    async with visit.installation.database.read() as tx:
        team = await load_team_catalog(tx, visit.installation, visit.organization_id)
        counts = await count_connections(tx, visit.organization_id)
        failures = await find_last_failures(tx, visit.organization_id, visit.now)
    selected = query.filter.select(team, counts.by_slug)
    start = (query.page - 1) * PAGE_SIZE
    return visit.render(
        "integrations.html",
        status=status,
        title="Integrations",
        rows=[
            IntegrationRow(
                each,
                team.availability.offers(each.slug),
                describe_state(team, each),
                counts.by_slug.get(each.slug, _NO_CONNECTIONS),
                describe_failure(visit, failures.get(each.slug)),
            )
            for each in selected[start : start + PAGE_SIZE]
        ],
        total=len(selected),
        start=start,
        has_next=start + PAGE_SIZE < len(selected),
        query=query,
        counts=counts,
        form=form or ModeForm(team.mode, "\n".join(team.slugs)),
        mode_name=_mode_name(team.mode, len(team.slugs)),
        modes=_MODES,
        shown=_SHOWN.items(),
        categories=[("", "All categories"), *((each, each) for each in CATEGORIES)],
    )
