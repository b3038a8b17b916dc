"""API keys: create, list and revoke."""

import pytest

from one_runtime.errors import InsufficientRole, InvalidInput, NotFound
from one_runtime.tenancy import api_keys, events
from one_runtime.tenancy.events import Actor, EventFilter
from one_runtime.tenancy.roles import Role
from tests.application import Application
from tests.team.teams import new_team


@pytest.mark.parametrize("scopes", [(), ("everything",), ("read", "everything")])
async def test_key_needs_scopes_that_exist(application: Application, scopes: tuple[str, ...]) -> None:
    organization = await application.organization()
    async with application.installation.database.write() as tx:
        with pytest.raises(InvalidInput):
            await api_keys.create(tx, Actor(organization, "system"), "test", scopes, application.clock())


async def test_key_is_revoked_by_its_id_or_its_prefix_and_no_other_is(application: Application) -> None:
    northwind, southwind = await application.organization(), await application.organization("Southwind")
    for organization in (northwind, northwind, southwind):
        await application.key(organization)
    async with application.installation.database.write() as tx:
        first, second = await api_keys.list_all(tx, northwind)
        (other,) = await api_keys.list_all(tx, southwind)
        assert (await api_keys.revoke(tx, first.id, application.clock())).id == first.id
        assert (await api_keys.revoke(tx, other.prefix, application.clock())).id == other.id
        revoked = {key.id for key in await api_keys.list_all(tx) if key.revoked_at is not None}
        assert revoked == {first.id, other.id}
        (event,), _ = await events.list_newest(tx, southwind, EventFilter("api_key.revoked"), limit=9, before=None)
    assert event.data == {"api_key_id": other.id, "name": "test"}
    assert second.id not in revoked


async def test_key_that_is_unknown_or_revoked_already_cannot_be_revoked(application: Application) -> None:
    await application.key(await application.organization())
    async with application.installation.database.write() as tx:
        (key,) = await api_keys.list_all(tx)
        await api_keys.revoke(tx, key.prefix, application.clock())
        for name in (key.id, key.prefix, "oru_nothing0", "018f0000-0000-7000-8000-000000000000"):
            with pytest.raises(NotFound):
                await api_keys.revoke(tx, name, application.clock())


async def test_keys_of_something_that_is_no_organization_are_none(application: Application) -> None:
    async with application.installation.database.read() as tx:
        assert await api_keys.list_all(tx, "northwind") == []


@pytest.mark.parametrize(
    "role,allowed",
    [("support", ()), ("developer", ("read",)), ("admin", api_keys.SCOPES), ("owner", api_keys.SCOPES)],
)
async def test_role_of_a_member_decides_about_the_scopes_of_keys(
    application: Application, role: Role, allowed: tuple[str, ...]
) -> None:
    team = await new_team(application)
    actor = team.actor(await team.add("ada@example.com", role))
    for scope in ("read", *api_keys.PRIVILEGED_SCOPES):
        async with application.installation.database.write() as tx:
            key, _ = await api_keys.create(tx, team.operator, "other", [scope], application.clock())
        for change in (
            lambda tx, s=scope: api_keys.create(tx, actor, "test", [s], application.clock()),
            lambda tx, k=key: api_keys.revoke_own(tx, actor, k.id, application.clock()),
        ):
            if scope in allowed:
                await team.write(change)
                continue
            with pytest.raises(InsufficientRole, match="Only admins and owners can create and revoke API keys"):
                await team.write(change)


@pytest.mark.parametrize("name", ["", " \n", "x" * 256, "a\x00b", "\ud800"])
async def test_name_of_a_key_that_cannot_be_stored_is_refused(application: Application, name: str) -> None:
    organization = await application.organization()
    async with application.installation.database.write() as tx:
        with pytest.raises(InvalidInput, match="name must"):
            await api_keys.create(tx, Actor(organization, "system"), name, ["read"], application.clock())
