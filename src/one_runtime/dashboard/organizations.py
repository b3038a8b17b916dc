"""The first page: the organizations of the member. With only one organization, its overview follows at once."""

from starlette.responses import Response

from one_runtime.dashboard.declarations import SIGNED_IN, Pages
from one_runtime.dashboard.visit import Visit
from one_runtime.team import dashboard_sessions

pages = Pages()


@pages.get("/", access=SIGNED_IN)
async def show_first_page(visit: Visit) -> Response:
    """Redirect to the only organization, or show all."""
    workplaces = await _workplaces(visit)
    if len(workplaces) == 1:
        return visit.redirect_to(f"/o/{workplaces[0].organization_id}")
    return visit.render("organizations.html", title="Organizations", workplaces=workplaces)


@pages.get("/organizations", access=SIGNED_IN)
async def show_organizations(visit: Visit) -> Response:
    """Show all organizations of the member."""
    return visit.render("organizations.html", title="Organizations", workplaces=await _workplaces(visit))


async def _workplaces(visit: Visit) -> list[dashboard_sessions.Workplace]:
    async with visit.installation.database.read() as tx:
        return await dashboard_sessions.workplaces(tx, visit.member.member_id)
