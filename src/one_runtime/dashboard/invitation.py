"""The page of an invitation link. The link works once, and opening the page does not use it."""

from urllib.parse import urlencode

from starlette.responses import Response

from one_runtime.dashboard import session
from one_runtime.dashboard.declarations import PUBLIC, Pages
from one_runtime.dashboard.visit import Visit
from one_runtime.tenancy import invitations

pages = Pages()


@pages.get("/invitation", access=PUBLIC)
async def show_invitation(visit: Visit) -> Response:
    """Show who is invited, to which organization, and in which role."""
    async with visit.installation.database.read() as tx:
        link = await invitations.find(tx, visit.query("token"), visit.now)
    return visit.render(
        "invitation.html",
        title=f"{'Sign in to' if link.present_role else 'Join'} {link.organization_name}",
        link=link,
        is_signed_in=visit.visitor is not None and visit.visitor.member_id == link.member_id,
    )


@pages.post("/invitation", access=PUBLIC)
async def accept_invitation(visit: Visit) -> Response:
    """Join the organization, and sign in."""
    link = str((await visit.form()).get("token", ""))
    signed_in = visit.visitor.member_id if visit.visitor is not None else None
    async with visit.installation.database.write() as tx:
        membership = await invitations.accept(tx, link, visit.now, signed_in=signed_in, address=visit.address)
        path = f"/o/{membership.organization_id}"
        if membership.member_id == signed_in:
            return visit.redirect_to(path)
        token = await session.start(visit, tx, membership.member_id, "link")
    return session.signed_in(visit, token, f"/welcome?{urlencode({'next': path})}")
