"""Invitations: one use, 24 hours, and no way for a link to give more rights than its maker has."""

import asyncio
from datetime import timedelta

import pytest

from one_runtime.errors import Conflict, InsufficientRole, InvalidInput, NotFound
from one_runtime.team import invitations
from one_runtime.team.invitations import KEPT, InvitationLink
from one_runtime.team.members import Membership
from one_runtime.tenancy import organizations
from tests.application import Application
from tests.promises.canaries import leaks, secret_part
from tests.promises.stores import everything_stored
from tests.team.teams import Team, add_passkey, count_sign_ins, new_team, sign_in

ADA = "ada@example.com"


@pytest.fixture
async def team(application: Application) -> Team:
    return await new_team(application)


async def find(team: Team, token: str) -> InvitationLink:
    async with team.application.installation.database.read() as tx:
        return await invitations.find(tx, token, team.application.clock())


async def test_link_makes_a_person_a_member_once(team: Team) -> None:
    invitation, token = await team.invite(" Ada@Example.com ", "owner")
    link = await find(team, token)
    assert link == InvitationLink(invitation, "Northwind", member_id=None, present_role=None, signs_in=True)
    assert (invitation.email, invitation.role, invitation.invited_by) == (ADA, "owner", None)
    assert invitation.expires_at - invitation.created_at == timedelta(hours=24)
    assert await team.roles() == {}, "to find an invitation changes nothing"
    membership = await team.accept(token)
    assert (membership.email, membership.role) == (ADA, "owner")
    assert await team.roles() == {ADA: "owner"}
    assert await team.open_invitations() == []
    for use in (find(team, token), team.accept(token)):
        with pytest.raises(Conflict, match="used already"):
            await use
    described = {"email": ADA, "role": "owner"}
    expiry = invitation.expires_at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    assert await team.recorded() == [
        ("member.invited", "operator", {**described, "invitation_id": invitation.id, "expires_at": expiry}),
        ("member.joined", membership.member_id, {**described, "member_id": membership.member_id}),
    ]


async def test_link_that_two_requests_use_at_once_works_for_one_of_them(team: Team) -> None:
    token = await team.link(ADA, "developer")
    results = await asyncio.gather(*(team.accept(token) for _ in range(4)), return_exceptions=True)
    assert len([result for result in results if isinstance(result, Membership)]) == 1, results
    assert len([result for result in results if isinstance(result, Conflict)]) == 3, results
    assert [kind for kind, *_ in await team.recorded()] == ["member.invited", "member.joined"]


async def test_link_that_does_not_work_says_what_to_do(team: Team) -> None:
    expired = await team.link(ADA, "owner")
    team.application.clock.advance(hours=24)
    replaced = await team.link(ADA, "developer")
    newest = await team.link(ADA, "admin")
    revoked, of_revoked = await team.invite("grace@example.com", "admin")
    await team.write(lambda tx: invitations.revoke(tx, team.operator, revoked.id, team.application.clock()))
    closing = await new_team(team.application, "Southwind")
    deleted = await closing.link(ADA, "owner")
    await closing.write(lambda tx: organizations.begin_deletion(tx, closing.organization_id, team.application.clock()))
    unknown = (replaced, of_revoked, deleted, replaced[:-1] + "0", "", "\ud800", "oru_x", expired + "\x00")
    for token in unknown:
        for use in (find(team, token), team.accept(token)):
            with pytest.raises(NotFound, match="does not work, or a newer link replaces it"):
                await use
    lasting = await team.link("mary@example.com", "support")
    team.application.clock.advance(hours=24)
    for use in (find(team, lasting), team.accept(lasting)):
        with pytest.raises(Conflict, match="has expired, because it works for 24 hours"):
            await use
    with pytest.raises(Conflict, match="has expired"):
        await find(team, newest)
    assert await team.roles() == {}


async def test_new_link_needs_a_role_that_may_manage_the_replaced_link_and_the_present_member(team: Team) -> None:
    """Otherwise, an admin could cancel the invitation of an owner, or make a link for the address of an owner."""
    admin = team.actor(await team.add("admin@example.com", "admin"))
    await team.add("owner@example.com", "owner")
    token = await team.link(ADA, "owner")
    for email in (ADA, "owner@example.com"):
        with pytest.raises(InsufficientRole):
            await team.invite(email, "support", admin)
    (invitation,) = await team.open_invitations()
    with pytest.raises(InsufficientRole):
        await team.write(lambda tx: invitations.revoke(tx, admin, invitation.id, team.application.clock()))
    assert (await team.accept(token)).role == "owner"


async def test_invalid_address_is_refused(team: Team) -> None:
    with pytest.raises(InvalidInput, match="email must be an e-mail address"):
        await team.invite("ada", "owner")


async def test_link_of_the_operator_signs_a_member_in_and_never_lowers_the_role(team: Team) -> None:
    """The operator makes such a link for a member who has lost access. A lost passkey no longer works afterwards."""
    ada = await team.add(ADA, "developer")
    for invited, role in (("support", "developer"), ("developer", "developer"), ("owner", "owner"), ("admin", "owner")):
        await add_passkey(team.application, ada)
        await sign_in(team.application, ada)
        token = await team.link(ADA, invited)  # type: ignore[arg-type]
        link = await find(team, token)
        assert (link.member_id, link.signs_in, link.resets_sign_in) == (ada, True, True)
        assert (await team.accept(token)).role == role
        assert await count_sign_ins(team.application, ada) == (0, 0)
    changes = [data["changed"] for kind, _, data in await team.recorded() if kind == "member.updated"]
    assert changes == [["sign_in_methods"], ["sign_in_methods"], ["role"], ["sign_in_methods"], ["sign_in_methods"]]


async def test_member_who_has_signed_in_keeps_sessions_and_passkeys(application: Application) -> None:
    northwind, southwind = await new_team(application), await new_team(application, "Southwind")
    ada = await northwind.add(ADA, "developer")
    await add_passkey(application, ada)
    await sign_in(application, ada)
    membership = await southwind.accept(await southwind.link(ADA, "owner"), signed_in=ada)
    assert (membership.member_id, membership.role) == (ada, "owner")
    assert await count_sign_ins(application, ada) == (1, 1)
    assert (await northwind.roles(), await southwind.roles()) == ({ADA: "developer"}, {ADA: "owner"})


@pytest.mark.parametrize(
    "maker,role,more,signs_in",
    [
        ("admin", "developer", "", True),
        ("admin", "admin", "", True),
        ("owner", "owner", "", True),
        ("admin", None, "", True),
        ("owner", "developer", "passkey", False),
        ("admin", None, "passkey", True),
        ("owner", "developer", "organization", False),
        ("owner", None, "organization", False),
    ],
)
async def test_link_of_a_member_is_no_way_into_an_account_that_its_maker_does_not_control(
    application: Application, maker: str, role: str | None, more: str, signs_in: bool
) -> None:
    """A member can open a link that they make for the address of another member.

    So without a sign-in, the link works only for accounts without any role, and for members of this organization
    without a sign-in method and another organization.
    """
    team, other = await new_team(application), await new_team(application, "Southwind")
    await team.add("first.owner@example.com", "owner")
    actor = team.actor(await team.add("maker@example.com", maker))  # type: ignore[arg-type]
    ada = await team.add(ADA, role or "developer")  # type: ignore[arg-type]
    if role is None:
        await team.remove(ada)
    if more == "passkey":
        await add_passkey(application, ada)
    if more == "organization":
        await other.add(ADA, "support")
    token = await team.link(ADA, "admin", actor)
    assert (await find(team, token)).signs_in == signs_in
    if not signs_in:
        before = await team.roles()
        for stranger in (None, actor.id):
            with pytest.raises(Conflict, match=r"Sign in as ada@example\.com first\. Then open this link again"):
                await team.accept(token, signed_in=stranger)
        assert await team.roles() == before
    membership = await team.accept(token, signed_in=None if signs_in else ada)
    assert (membership.member_id, membership.role) == (ada, "owner" if role == "owner" else "admin")


@pytest.mark.parametrize("remedy", ["nothing", "removal", "operator"])
async def test_person_whose_address_another_organization_has_registered_can_join_nevertheless(
    application: Application, remedy: str
) -> None:
    """An admin opens a link for the address of a stranger, and registers a passkey. The stranger has two remedies."""
    northwind, southwind = await new_team(application), await new_team(application, "Southwind")
    attacker = northwind.actor(await northwind.add("attacker@example.com", "admin"))
    owner = southwind.actor(await southwind.add("owner@example.com", "owner"))
    await northwind.link(ADA, "support", attacker)
    assert (await find(southwind, await southwind.link(ADA, "developer", owner))).member_id is None, "no account yet"
    ada = (await northwind.accept(await northwind.link(ADA, "support", attacker))).member_id
    await add_passkey(application, ada)
    await sign_in(application, ada)
    if remedy == "removal":
        await northwind.remove(ada)
    token = await southwind.link(ADA, "developer", southwind.operator if remedy == "operator" else owner)
    if remedy == "nothing":
        assert not (await find(southwind, token)).signs_in
        return
    membership = await southwind.accept(token)
    assert (membership.member_id, membership.role) == (ada, "developer")
    assert await count_sign_ins(application, ada) == (0, 0), "the attacker's passkey and session no longer work"


async def test_owner_whose_role_rose_after_the_invitation_has_to_sign_in(team: Team) -> None:
    admin = team.actor(await team.add("admin@example.com", "admin"))
    ada = await team.add(ADA, "developer")
    token = await team.link(ADA, "admin", admin)
    await team.change(ada, "owner")
    assert not (await find(team, token)).signs_in
    with pytest.raises(Conflict, match="Sign in as"):
        await team.accept(token)


async def test_two_organizations_that_invite_one_person_at_once_share_no_session(application: Application) -> None:
    """The first link creates the member. The second link must not sign in without a proof, also at the same time."""
    teams = [await new_team(application, name) for name in ("Northwind", "Southwind")]
    admins = [team.actor(await team.add("admin@example.com", "admin")) for team in teams]
    tokens = [await team.link(ADA, "admin", admin) for team, admin in zip(teams, admins, strict=True)]
    results = await asyncio.gather(
        *(team.accept(token) for team, token in zip(teams, tokens, strict=True)), return_exceptions=True
    )
    assert len([result for result in results if isinstance(result, Membership)]) == 1, results
    assert len([result for result in results if isinstance(result, Conflict)]) == 1, results


@pytest.mark.promise("P1")
async def test_invitations_of_another_organization_can_be_neither_listed_nor_revoked(application: Application) -> None:
    northwind, southwind = await new_team(application), await new_team(application, "Southwind")
    owner = northwind.actor(await northwind.add("grace@example.com", "owner"))
    invitation, token = await southwind.invite(ADA, "owner")
    assert await northwind.open_invitations() == []
    for name in (invitation.id, "nothing"):
        with pytest.raises(NotFound, match="no such open invitation"):
            await northwind.write(lambda tx, n=name: invitations.revoke(tx, owner, n, application.clock()))  # type: ignore[misc]
    await northwind.invite(ADA, "owner")  # does not replace the invitation of another organization
    assert await southwind.open_invitations() == [invitation]
    assert (await southwind.accept(token)).role == "owner"


async def test_old_invitations_are_deleted(team: Team) -> None:
    _, token = await team.invite(ADA, "owner")
    team.application.clock.advance(hours=23)
    await team.invite("grace@example.com", "owner")
    team.application.clock.advance(days=KEPT.days, hours=1, minutes=1)
    assert await invitations.purge(team.application.installation) == 1
    with pytest.raises(NotFound):
        await find(team, token)
    assert await invitations.purge(team.application.installation) == 0


@pytest.mark.promise("P2")
async def test_only_the_hash_of_the_token_is_stored(team: Team) -> None:
    token = await team.link(ADA, "owner")
    canaries = {"token": token, "secret": secret_part(token)}
    assert leaks(canaries, everything_stored(team.application.installation)) == []
