"""`one-runtime members`: invite, list, change and remove the members of organizations' teams."""

from typing import Annotated

import typer

from one_runtime.cli.listing import time_text
from one_runtime.cli.operators import operator_actor, record_command
from one_runtime.cli.options import AsJson
from one_runtime.cli.partial_settings import dashboard_address
from one_runtime.cli.running import read, write
from one_runtime.cli.terminal import print_json, print_rows
from one_runtime.clock import rfc3339, system_clock
from one_runtime.db.engine import Transaction
from one_runtime.encryption.secret_tokens import SecretToken
from one_runtime.errors import ConfigurationError, InvalidInput
from one_runtime.settings import load_settings
from one_runtime.team import dashboard_sessions, invitations, members
from one_runtime.team.invitations import InvitationLink
from one_runtime.team.members import Membership
from one_runtime.tenancy import organizations
from one_runtime.tenancy.installation_events import InstallationEventType
from one_runtime.tenancy.roles import Role

app = typer.Typer()

OrganizationId = Annotated[
    str | None,
    typer.Option("--organization", help="Id of the organization. Not necessary if there is only one organization."),
]
Email = Annotated[str, typer.Argument(help="E-mail address of the member.")]


@app.command("invite")
def invite_member(
    email: Annotated[str, typer.Argument(help="E-mail address of the person.")],
    role: Annotated[Role, typer.Option(help="Role of the person.")],
    organization: OrganizationId = None,
    *,
    dashboard_url: Annotated[
        str,
        typer.Option(
            help="Address of the dashboard, such as http://localhost:8003 for the demo. Default: "
            "ONE_RUNTIME_DASHBOARD_URL."
        ),
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Print a link with which a person joins the team of an organization. The link works once, for 24 hours."""

    address = dashboard_address(dashboard_url) if dashboard_url else load_settings().dashboard_url
    if not address:
        raise ConfigurationError(
            "The address of the dashboard is missing. For a server, set ONE_RUNTIME_DASHBOARD_URL and "
            "ONE_RUNTIME_DASHBOARD_LISTEN for the server and for this command. For the demo, add `--dashboard-url "
            "http://localhost:8003`."
        )

    async def invite(tx: Transaction) -> tuple[InvitationLink, SecretToken]:
        actor, now = operator_actor(await _organization_id(tx, organization)), system_clock()
        _, token = await invitations.create(tx, actor, email, role, now)
        return await invitations.find(tx, token.secret, now), token

    link, token = write(invite)
    invitation = link.invitation
    url, until = invitations.link_url(address, token), rfc3339(invitation.expires_at)
    if as_json:
        ids = {"id": invitation.id, "organization_id": invitation.organization_id}
        print_json({**ids, "email": invitation.email, "role": invitation.role, "url": url, "expires_at": until})
    else:
        typer.echo(url)
        typer.echo(f"The link works once, until {until}.", err=True)
    if link.resets_sign_in:
        typer.echo(
            f"Warning: {invitation.email} is a member already. Unless the browser is signed in as this member, the "
            "link deletes the passkeys, the password and the sessions of the member.",
            err=True,
        )


@app.command("list")
def list_members(organization: OrganizationId = None, *, as_json: AsJson = False) -> None:
    """List the members of an organization, with their roles."""

    async def find(tx: Transaction) -> list[Membership]:
        return await members.list_all(tx, await _organization_id(tx, organization))

    print_rows([_describe(membership) for membership in read(find)], as_json=as_json)


@app.command("set-role")
def set_role_of_member(
    email: Email,
    role: Annotated[Role, typer.Argument(help="New role of the member.")],
    organization: OrganizationId = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Change the role of a member. An organization keeps at least one owner."""

    async def change(tx: Transaction) -> Membership:
        present = await _find(tx, organization, email)
        actor = operator_actor(present.organization_id)
        return await members.change_role(tx, actor, present.member_id, role, system_clock())

    changed = write(change)
    if as_json:
        print_json(_describe(changed))
    else:
        typer.echo(f"{changed.email} now has the role {changed.role}.")


@app.command("remove")
def remove_member(email: Email, organization: OrganizationId = None, *, as_json: AsJson = False) -> None:
    """Remove a member from an organization. From the next request on, the member has no access."""

    async def remove(tx: Transaction) -> Membership:
        present = await _find(tx, organization, email)
        return await members.remove(tx, operator_actor(present.organization_id), present.member_id, system_clock())

    removed = write(remove)
    if as_json:
        print_json(_describe(removed))
    else:
        typer.echo(f"Removed {removed.email}.")


@app.command("sign-out")
def sign_out_member(email: Email, *, as_json: AsJson = False) -> None:
    """End all sessions of a member in the dashboard, for all organizations of the member."""

    async def sign_out(tx: Transaction) -> tuple[str, int]:
        member = await members.get_by_email(tx, email)
        await record_command(tx, InstallationEventType.MEMBER_SIGNED_OUT, member_id=member.id, email=member.email)
        return member.email, await dashboard_sessions.end_all(tx, member.id)

    address, count = write(sign_out)
    if as_json:
        print_json({"email": address, "ended_sessions": count})
    else:
        typer.echo(f"Ended {count} session{'' if count == 1 else 's'} of {address}.")


async def _find(tx: Transaction, organization_id: str | None, email: str) -> Membership:
    member = await members.get_by_email(tx, email)
    return await members.get(tx, await _organization_id(tx, organization_id), member.id)


async def _organization_id(tx: Transaction, organization_id: str | None) -> str:
    """Return the id of the organization that the command names, or of the only organization. Raises: NotFound."""
    if organization_id is not None:
        return (await organizations.get(tx, organization_id)).id
    listed = await organizations.list_all(tx)
    if not listed:
        raise InvalidInput("There is no organization. Create one with `one-runtime organizations create`.")
    if len(listed) > 1:
        raise InvalidInput(
            f"There are {len(listed)} organizations. Add --organization with the id of one of them. `one-runtime "
            "organizations list` shows the ids."
        )
    return listed[0].id


def _describe(membership: Membership) -> dict[str, object]:
    return {
        "member_id": membership.member_id,
        "organization_id": membership.organization_id,
        "email": membership.email,
        "name": membership.name,
        "role": membership.role,
        "created_at": time_text(membership.created_at),
    }
