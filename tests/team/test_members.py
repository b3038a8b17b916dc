"""Members: roles, the last owner, removal with all sessions, and the rules who may change whom."""

import asyncio
from collections.abc import Awaitable

import psycopg
import pytest

from one_runtime.db.ids import new_id
from one_runtime.errors import Conflict, InsufficientRole, InvalidInput, NotFound
from one_runtime.team import dashboard_sessions, members
from one_runtime.team.members import may_manage
from one_runtime.tenancy.events import Actor
from one_runtime.tenancy.roles import ROLES, Role
from tests.application import Application
from tests.team.teams import Team, add_passkey, count_sign_ins, new_team, sign_in
from tests.waiting import eventually


@pytest.fixture
async def team(application: Application) -> Team:
    return await new_team(application)


@pytest.mark.parametrize(
    "text,email",
    [
        ("ada@example.com", "ada@example.com"),
        (" Ada.Lovelace+x@Example.COM\n", "ada.lovelace+x@example.com"),
        ("ada@localhost", "ada@localhost"),
        ("ada@xn--bcher-kva.example", "ada@xn--bcher-kva.example"),
        ("", None),
        ("ada", None),
        ("@example.com", None),
        ("ada@", None),
        ("ada@example..com", None),
        ("ada@-example.com", None),
        ("ada@example.com, grace@example.com", None),
        ("Ada <ada@example.com>", None),
        ("ada@example.com\x00", None),
        ("ada\u202e@example.com", None),
        ("ada@example.\u212aom", None),  # the lower case of the Kelvin sign is an ASCII k
        ("\u0131da@example.com", None),
        ("a" * 243 + "@example.com", None),
        ("a" * 242 + "@example.com", "a" * 242 + "@example.com"),
    ],
)
def test_email_address_is_ascii_in_lower_case(text: str, email: str | None) -> None:
    if email is not None:
        assert members.clean_email(text) == email
        return
    with pytest.raises(InvalidInput, match="must be an e-mail address"):
        members.clean_email(text)


def test_admins_manage_all_roles_except_owners() -> None:
    managed = {manager: [role for role in ROLES if may_manage(manager, role)] for manager in ROLES}
    assert managed == {
        "support": [],
        "developer": [],
        "admin": ["support", "developer", "admin"],
        "owner": ["support", "developer", "admin", "owner"],
    }


async def test_each_change_of_members_needs_a_role_that_may_manage_them(team: Team) -> None:
    """Try each change as each role: remove, invite, revoke, and change to each other role."""
    await team.add("first.owner@example.com", "owner")
    await team.add("second.owner@example.com", "owner")
    actors = {role: team.actor(await team.add(f"{role}@example.com", role)) for role in ROLES}
    strangers = [team.actor(new_id()), Actor(team.organization_id, "api_key", new_id())]

    async def is_allowed(change: Awaitable[object]) -> bool:
        try:
            await change
        except InsufficientRole:
            return False
        return True

    for role in ROLES:
        for manager, actor in [*actors.items(), *((None, stranger) for stranger in strangers)]:
            managed = {name for name in ROLES if manager is not None and may_manage(manager, name)}
            target = await team.add("target@example.com", role)
            for new_role in ROLES:
                is_changed = await is_allowed(team.change(target, new_role, actor))
                assert is_changed == ({role, new_role} <= managed), (manager, role, new_role)
                await team.change(target, role)
            assert await is_allowed(team.remove(target, actor)) == (role in managed)
            assert await is_allowed(team.invite("new@example.com", role, actor)) == (role in managed)
            if role not in managed:
                await team.remove(target)


async def test_last_owner_can_be_neither_removed_nor_demoted(team: Team) -> None:
    ada = await team.add("ada@example.com", "owner")
    await team.add("grace@example.com", "admin")
    for actor in (team.operator, team.actor(ada)):
        for change in (team.remove(ada, actor), team.change(ada, "admin", actor)):
            with pytest.raises(Conflict, match=r"ada@example\.com is the only owner"):
                await change
    assert (await team.change(ada, "owner")).role == "owner", "a change to the same role changes nothing"
    other = await new_team(team.application, "Southwind")
    await other.add("grace@example.com", "owner")  # an owner of another organization does not count
    with pytest.raises(Conflict):
        await team.remove(ada)
    grace = await team.add("grace@example.com", "owner")
    await team.remove(ada, team.actor(grace))
    assert await team.roles() == {"grace@example.com": "owner"}


async def test_one_of_two_owners_stays_if_both_are_removed_or_demoted_at_once(application: Application) -> None:
    async def remove(team: Team, member_id: str, actor: Actor) -> object:
        return await team.remove(member_id, actor)

    async def demote(team: Team, member_id: str, actor: Actor) -> object:
        return await team.change(member_id, "support", actor)

    for first, second in ((remove, remove), (demote, demote), (remove, demote)):
        team = await new_team(application)
        ada, grace = [await team.add(f"{name}@example.com", "owner") for name in ("ada", "grace")]
        results = await asyncio.gather(
            first(team, grace, team.actor(ada)), second(team, ada, team.actor(grace)), return_exceptions=True
        )
        refused = [result for result in results if isinstance(result, Conflict | InsufficientRole)]
        assert len(refused) == 1, results
        assert list((await team.roles()).values()).count("owner") == 1


async def test_member_who_is_removed_from_the_last_organization_loses_all_sessions(application: Application) -> None:
    northwind, southwind = await new_team(application), await new_team(application, "Southwind")
    for team in (northwind, southwind):
        await team.add("grace@example.com", "owner")
    ada = await northwind.add("ada@example.com", "developer")
    await southwind.add("ada@example.com", "developer")
    token = await sign_in(application, ada)

    async def role_in(team: Team) -> Role | None:
        async with application.installation.database.read() as tx:
            visitor = await dashboard_sessions.find_visitor(tx, token, team.organization_id, application.clock())
        assert visitor is not None
        return visitor.role

    await northwind.remove(ada)
    assert (await role_in(northwind), await role_in(southwind)) == (None, "developer")
    await southwind.remove(ada)
    async with application.installation.database.read() as tx:
        assert await dashboard_sessions.find_visitor(tx, token, None, application.clock()) is None
    for team in (northwind, southwind):
        with pytest.raises(NotFound):
            await team.remove(ada)


@pytest.mark.only_database("postgresql")
async def test_member_whom_two_organizations_remove_at_once_loses_all_sessions(
    application: Application, database_url: str
) -> None:
    """The second removal waits for the first. SQLite runs one writing transaction at a time anyway."""
    northwind, southwind = await new_team(application), await new_team(application, "Southwind")
    ada = await northwind.add("ada@example.com", "developer")
    await southwind.add("ada@example.com", "developer")
    await sign_in(application, ada)
    with psycopg.connect(database_url, autocommit=True) as observer:
        async with application.installation.database.write() as tx:
            await members.remove(tx, northwind.operator, ada, application.clock())
            second = asyncio.create_task(southwind.remove(ada))
            waiting = "SELECT FROM pg_locks WHERE NOT granted"
            await eventually(lambda: second.done() or observer.execute(waiting).fetchall())
        await second
    assert await count_sign_ins(application, ada) == (0, 0)


async def test_open_invitations_of_a_removed_or_demoted_member_no_longer_work(team: Team) -> None:
    """Otherwise, a removed member could come back with a link of their own."""
    await team.add("grace@example.com", "owner")
    ada = await team.add("ada@example.com", "owner")

    async def invite_all() -> None:
        for role in ROLES:
            await team.invite(f"{role}@example.com", role, team.actor(ada))

    await team.invite("mary@example.com", "owner")
    await invite_all()
    await team.change(ada, "admin")
    roles = sorted(invitation.role for invitation in await team.open_invitations())
    assert roles == ["admin", "developer", "owner", "support"], "the owner's link is the operator's"
    await team.change(ada, "developer")
    assert [invitation.email for invitation in await team.open_invitations()] == ["mary@example.com"]
    await team.change(ada, "owner")
    await invite_all()
    await team.remove(ada)
    assert [invitation.email for invitation in await team.open_invitations()] == ["mary@example.com"]


@pytest.mark.promise("P1")
async def test_members_of_another_organization_are_not_found(application: Application) -> None:
    northwind, southwind = await new_team(application), await new_team(application, "Southwind")
    ada = await northwind.add("ada@example.com", "owner")
    grace = await southwind.add("grace@example.com", "developer")
    for stranger in (grace, new_id(), "nobody"):
        with pytest.raises(NotFound):
            await northwind.remove(stranger, northwind.actor(ada))
        with pytest.raises(NotFound):
            await northwind.change(stranger, "admin", northwind.actor(ada))
    assert (await northwind.roles(), await southwind.roles()) == (
        {"ada@example.com": "owner"},
        {"grace@example.com": "developer"},
    )


async def test_each_change_of_a_member_is_an_event_with_the_email_address_and_the_role(team: Team) -> None:
    await team.add("grace@example.com", "owner")
    ada = await team.add("ada@example.com", "support")
    await team.change(ada, "admin")
    await team.change(ada, "admin")  # changes nothing
    await team.add("ada@example.com", "developer")  # a lower role changes nothing
    await team.add("ada@example.com", "owner")
    await team.remove(ada)
    about = {"member_id": ada, "email": "ada@example.com"}
    assert (await team.recorded())[1:] == [
        ("member.joined", ada, {**about, "role": "support"}),
        ("member.updated", "operator", {**about, "role": "admin", "changed": ["role"]}),
        ("member.updated", ada, {**about, "role": "owner", "changed": ["role"]}),
        ("member.removed", "operator", {**about, "role": "owner"}),
    ]


async def test_reset_deletes_the_sign_in_methods_and_sessions_but_not_the_roles(team: Team) -> None:
    ada = await team.add("ada@example.com", "developer")
    await add_passkey(team.application, ada)
    await sign_in(team.application, ada)
    async with team.application.installation.database.write() as tx:
        member = await members.find(tx, ada)
        assert member is not None
        await members.reset_sign_in(tx, member, None, team.application.clock())
    assert await count_sign_ins(team.application, ada) == (0, 0)
    assert await team.roles() == {"ada@example.com": "developer"}
