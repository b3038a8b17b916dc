"""The page of an invitation link. The link works once, and opening the page does not use it."""

from urllib.parse import urlencode

from starlette.responses import Response

from one_runtime.dashboard import session
from one_runtime.dashboard.declarations import PUBLIC, Pages
from one_runtime.dashboard.visit import Visit
from one_runtime.team import invitations
from one_runtime.team.invitations import InvitationLink

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
        is_signed_in=link.member_id is not None and _signed_in(visit, link) == link.member_id,
    )


@pages.post("/invitation", access=PUBLIC)
async def accept_invitation(visit: Visit) -> Response:
    """Join the organization, and sign in."""
    link = str((await visit.form()).get("token", ""))
    async with visit.installation.database.write() as tx:
        signed_in = _signed_in(visit, await invitations.find(tx, link, visit.now))
        membership = await invitations.accept(tx, link, visit.now, signed_in=signed_in, address=visit.address)
        path = f"/o/{membership.organization_id}"
        if membership.member_id == signed_in:
            return visit.redirect_to(path)
        token = await session.start(visit, tx, membership.member_id, "link")
    return session.signed_in(visit, token, membership.member_id, f"/welcome?{urlencode({'next': path})}")


def _signed_in(visit: Visit, link: InvitationLink) -> str | None:
    """Return the id of the member who has signed in, or None if the link has to sign this member in.

    A member without a complete sign-in method can only authenticate again with a link.
    """
    visitor = visit.visitor
    if visitor is None:
        return None
    is_stale = not visitor.can_sign_in and not visitor.has_authenticated_recently(visit.now)
    return None if is_stale and link.signs_in and visitor.member_id == link.member_id else visitor.member_id
