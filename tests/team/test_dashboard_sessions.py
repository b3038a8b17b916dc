"""Sessions of members in the dashboard."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import delete, insert, select, update

from one_runtime.db.ids import new_id
from one_runtime.db.schema import dashboard_sessions as rows
from one_runtime.db.schema import members, memberships, organizations
from one_runtime.errors import NotFound
from one_runtime.team import dashboard_sessions
from one_runtime.team.dashboard_sessions import IDLE, LIFETIME, RECENT, Visitor
from tests.application import Application


async def new_member(application: Application, **roles: str) -> str:
    """Insert a member, and the member's role in each organization, which is named by its id without hyphens."""
    member_id, now = new_id(), application.clock()
    async with application.installation.database.write() as tx:
        email = f"{member_id}@example.com"
        await tx.execute(insert(members), id=member_id, email=email, name="Ada", created_at=now)
        for organization_id, role in roles.items():
            membership = {"organization_id": organization_id, "member_id": member_id, "role": role, "created_at": now}
            await tx.execute(insert(memberships), **membership)
    return member_id


async def sign_in(application: Application, member_id: str) -> str:
    async with application.installation.database.write() as tx:
        _, token = await dashboard_sessions.create(
            tx, member_id, "link", application.clock(), address="192.0.2.1", user_agent="Browser " + "x" * 1000
        )
    return token.secret


async def visitor_of(application: Application, token: str, organization_id: str | None = None) -> Visitor | None:
    async with application.installation.database.read() as tx:
        return await dashboard_sessions.find_visitor(tx, token, organization_id, application.clock())


async def execute(application: Application, statement: Any) -> None:
    async with application.installation.database.write() as tx:
        await tx.execute(statement)


async def test_visitor_has_the_role_of_the_requested_organization_only(application: Application) -> None:
    northwind, southwind = await application.organization(), await application.organization("Southwind")
    token = await sign_in(application, await new_member(application, **{northwind: "developer"}))
    visitor = await visitor_of(application, token, northwind)
    assert visitor is not None
    assert (visitor.role, visitor.organization_name, visitor.name) == ("developer", "Northwind", "Ada")
    assert visitor.may("develop")
    assert not visitor.may("admin")
    for other in (southwind, None, "nonsense", new_id()):
        elsewhere = await visitor_of(application, token, other)
        assert elsewhere is not None
        assert (elsewhere.role, elsewhere.organization_name, elsewhere.may("read")) == (None, None, False)


async def test_role_ends_with_the_next_request(application: Application) -> None:
    northwind = await application.organization()
    member_id = await new_member(application, **{northwind: "owner"})
    token = await sign_in(application, member_id)
    await execute(application, update(memberships).values(role="support"))
    visitor = await visitor_of(application, token, northwind)
    assert visitor is not None
    assert visitor.role == "support"
    await execute(application, update(organizations).values(display_name=""))  # as a deletion begins
    visitor = await visitor_of(application, token, northwind)
    assert visitor is not None
    assert visitor.role is None
    await execute(application, delete(members))
    assert await visitor_of(application, token, northwind) is None


async def test_session_ends_when_idle_and_at_its_maximum_duration(application: Application) -> None:
    token = await sign_in(application, await new_member(application))
    application.clock.ahead = IDLE - timedelta(seconds=5)
    visitor = await visitor_of(application, token)
    assert visitor is not None
    assert dashboard_sessions.is_due(visitor, application.clock())
    async with application.installation.database.write() as tx:
        await dashboard_sessions.touch(tx, visitor.session_id, application.clock())
    visitor = await visitor_of(application, token)
    assert visitor is not None
    assert not dashboard_sessions.is_due(visitor, application.clock())
    application.clock.advance(hours=13)
    assert await visitor_of(application, token) is None

    token = await sign_in(application, visitor.member_id)
    await execute(application, update(rows).values(seen_at=application.clock() + LIFETIME))  # never idle
    application.clock.ahead += LIFETIME - timedelta(seconds=5)
    assert await visitor_of(application, token) is not None
    application.clock.advance(seconds=6)
    assert await visitor_of(application, token) is None
    assert await dashboard_sessions.purge(application.installation) == 2


async def test_token_that_is_unknown_or_of_another_kind_finds_no_visitor(application: Application) -> None:
    token = await sign_in(application, await new_member(application))
    key = await application.key(await application.organization())
    for other in ("", "ords_", key, token[:-1] + ("a" if token[-1] != "a" else "b")):
        assert await visitor_of(application, other) is None
    async with application.installation.database.read() as tx:
        (row,) = await tx.all(select(rows))
    assert token.encode() not in row.token_hash
    assert len(row.user_agent) == 300


async def test_authentication_is_recent_for_some_minutes(application: Application) -> None:
    token = await sign_in(application, await new_member(application))
    application.clock.ahead = RECENT
    visitor = await visitor_of(application, token)
    assert visitor is not None
    assert not visitor.has_authenticated_recently(application.clock())
    async with application.installation.database.write() as tx:
        await dashboard_sessions.note_authentication(tx, visitor.session_id, application.clock())
    visitor = await visitor_of(application, token)
    assert visitor is not None
    assert visitor.has_authenticated_recently(application.clock())


async def test_member_ends_one_session_or_all_others_but_none_of_another_member(application: Application) -> None:
    ada, grace = await new_member(application), await new_member(application)
    tokens = [await sign_in(application, ada) for _ in range(3)]
    foreign = await sign_in(application, grace)
    visitors = [await visitor_of(application, token) for token in [*tokens, foreign]]
    first, second, _, other = (visitor.session_id for visitor in visitors if visitor is not None)
    async with application.installation.database.write() as tx:
        for session_id in (other, new_id(), "nonsense"):
            with pytest.raises(NotFound):
                await dashboard_sessions.end(tx, ada, session_id)
        await dashboard_sessions.end(tx, ada, first)
        assert await dashboard_sessions.end_all(tx, ada, except_session=second) == 1
        assert [each.id for each in await dashboard_sessions.list_all(tx, ada, application.clock())] == [second]
        assert await dashboard_sessions.end_all(tx, ada) == 1
    assert await visitor_of(application, foreign) is not None


async def test_workplaces_are_the_organizations_of_the_member(application: Application) -> None:
    northwind, aurora = await application.organization(), await application.organization("Aurora")
    await application.organization("Southwind")
    member_id = await new_member(application, **{northwind: "owner", aurora: "support"})
    async with application.installation.database.read() as tx:
        assert await dashboard_sessions.workplaces(tx, member_id) == [
            (aurora, "Aurora", "support"),
            (northwind, "Northwind", "owner"),
        ]
