"""The overview of an organization."""

from starlette.responses import Response

from one_runtime.dashboard.declarations import ORGANIZATION, Pages
from one_runtime.dashboard.visit import Visit

pages = Pages()


@pages.get(ORGANIZATION, access="read")
async def show_overview(visit: Visit) -> Response:
    """Show the overview."""
    return visit.render("overview.html", title="Overview")
