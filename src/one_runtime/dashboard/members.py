"""Pages of the team: members with their roles, and invitations."""

from typing import Final, NamedTuple

from starlette.responses import Response

from one_runtime.dashboard.declarations import ORGANIZATION, Pages
from one_runtime.dashboard.visit import FormErrors, Visit
from one_runtime.errors import Conflict, InvalidInput
from one_runtime.reports import actor_names
from one_runtime.team import invitations, members
from one_runtime.team.members import may_manage
from one_runtime.tenancy.roles import ROLES, Role

PAGE_SIZE: Final = 100

ROLE_TEXTS: Final[dict[Role, str]] = {
    "support": "Sees connections, requests and events. Sends links to connect again, and disconnects accounts.",
    "developer": "Also calls providers, enables integrations, and changes webhooks and API keys with few scopes.",
    "admin": "Also changes OAuth clients, settings and members, creates all API keys, and deletes end users.",
    "owner": "Also changes owners.",
}
"""Additional rights of each role, compared with the roles before."""

_PATH: Final = f"{ORGANIZATION}/members"

pages = Pages(
    {
        "role": "The role is changed.",
        "removed": "The member is removed. The member has no access from now on.",
        "revoked": "The invitation is revoked. Its link no longer works.",
    }
)


class InvitationForm(NamedTuple):
    """The values of the form that invites a person."""

    email: str = ""
    role: str = "developer"


@pages.get(_PATH, access="read")
async def list_members(visit: Visit) -> Response:
    """List the members and the open invitations. After a new authentication, the form has the values from before."""
    return await _list(visit, InvitationForm(visit.query("email"), visit.query("role", "developer")))


@pages.post(f"{_PATH}/invitations", access="admin", kept=("email", "role"))
async def invite_member(visit: Visit) -> Response:
    """Invite a person, and show the link. Only this response contains the link."""
    fields = await visit.form()
    form = InvitationForm(str(fields.get("email", "")), str(fields.get("role", "")))
    try:
        role = _read_role(form.role)
        async with visit.installation.database.write() as tx:
            invitation, token = await invitations.create(tx, visit.actor, form.email, role, visit.now)
    except InvalidInput as error:
        return await _list(visit, form, FormErrors.of(error, ["email", "role"]))
    url = invitations.link_url(visit.installation.settings.dashboard_url, token)
    return visit.render("invited.html", title="Invitation", invitation=invitation, url=url)


@pages.post(f"{_PATH}/invitations/{{invitation_id}}/revoke", access="admin")
async def revoke_invitation(visit: Visit) -> Response:
    """Revoke an open invitation."""
    async with visit.installation.database.write() as tx:
        await invitations.revoke(tx, visit.actor, visit.parameter("invitation_id"), visit.now)
    return visit.redirect("members", done="revoked")


@pages.get(f"{_PATH}/{{member_id}}", access="read")
async def show_member(visit: Visit) -> Response:
    """Show a member, with the forms that change the role and remove the member."""
    return await _show(visit)


@pages.post(f"{_PATH}/{{member_id}}/role", access="admin")
async def change_role(visit: Visit) -> Response:
    """Change the role of a member."""
    member_id = visit.parameter("member_id")
    try:
        role = _read_role(str((await visit.form()).get("role", "")))
        async with visit.installation.database.write() as tx:
            await members.change_role(tx, visit.actor, member_id, role, visit.now)
    except InvalidInput as error:
        return await _show(visit, FormErrors.of(error, ["role"]), 422)
    except Conflict as error:
        return await _show(visit, FormErrors(general=error.detail), error.status)
    return visit.redirect("members", member_id, done="role")


@pages.post(f"{_PATH}/{{member_id}}/remove", access="admin")
async def remove_member(visit: Visit) -> Response:
    """Remove a member. A member who leaves sees the other organizations next."""
    member_id = visit.parameter("member_id")
    try:
        async with visit.installation.database.write() as tx:
            await members.remove(tx, visit.actor, member_id, visit.now)
    except Conflict as error:
        return await _show(visit, FormErrors(general=error.detail), error.status)
    if member_id == visit.member.member_id:
        return visit.redirect_to("/organizations")
    return visit.redirect("members", done="removed")


async def _list(visit: Visit, form: InvitationForm, errors: FormErrors | None = None) -> Response:
    after = visit.query("after") or None
    async with visit.installation.database.read() as tx:
        listed = await members.list_page(tx, visit.organization_id, limit=PAGE_SIZE + 1, after=after)
        invited = [] if after else await invitations.list_open(tx, visit.organization_id, visit.now)
        makers = [("member", invitation.invited_by) for invitation in invited]
        names = await actor_names.find_names(tx, visit.organization_id, makers)
    following = listed[PAGE_SIZE - 1].email if len(listed) > PAGE_SIZE else None
    return visit.render(
        "members.html",
        status=422 if errors else 200,
        title="Members",
        members=listed[:PAGE_SIZE],
        invitations=invited,
        names=names,
        roles=_manageable_roles(visit),
        role_texts=ROLE_TEXTS,
        form=form,
        errors=errors,
        older=visit.path("members", after=following) if following else None,
        first=visit.path("members") if after else None,
    )


async def _show(visit: Visit, errors: FormErrors | None = None, status: int = 200) -> Response:
    async with visit.installation.database.read() as tx:
        membership = await members.get(tx, visit.organization_id, visit.parameter("member_id"))
    roles = _manageable_roles(visit)
    return visit.render(
        "member.html",
        status=status,
        title=membership.name or membership.email,
        membership=membership,
        roles=roles if membership.role in roles else [],
        role_texts=ROLE_TEXTS,
        errors=errors,
    )


def _manageable_roles(visit: Visit) -> list[Role]:
    """Return the roles that the member may give and take away."""
    role = visit.member.role
    return [] if role is None else [other for other in ROLES if may_manage(role, other)]


def _read_role(text: str) -> Role:
    """Return the role of a form. Raises: InvalidInput."""
    if text not in ROLES:
        raise InvalidInput.of("role", f"must be one of {', '.join(ROLES)}")
    return text
