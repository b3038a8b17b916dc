"""End users: created on first use, locked, listed in pages, and removed with what belongs to them."""

from datetime import timedelta
from typing import Final

import pytest

from one_runtime.db.engine import Transaction
from one_runtime.tenancy import end_users
from one_runtime.tenancy.end_users import EndUser, EndUserFilter
from tests.application import Application, Client

USER: Final = "user_123"


async def ensured(tx: Transaction, application: Application, organization: str, name: str | None = None) -> EndUser:
    now = application.clock()
    end_user = EndUser(USER, name, None, now, now)
    await end_users.ensure(tx, organization, end_user)
    return end_user


async def test_ensured_end_user_is_created_once_and_keeps_its_name_and_creation(application: Application) -> None:
    organization = await application.organization()
    async with application.installation.database.write() as tx:
        first = await ensured(tx, application, organization, "Ada")
        assert await end_users.find(tx, organization, USER) == first
        application.clock.advance(minutes=1)
        await ensured(tx, application, organization)
        (known,) = await end_users.list_page(tx, organization, EndUserFilter(), limit=9, after=None)
    assert (known.name, known.created_at) == ("Ada", first.created_at)
    assert known.updated_at >= first.updated_at + timedelta(minutes=1)


@pytest.mark.promise("P1")
async def test_same_identifier_in_two_organizations_is_two_end_users(application: Application) -> None:
    northwind, southwind = await application.organization(), await application.organization("Southwind")
    async with application.installation.database.write() as tx:
        await ensured(tx, application, northwind, "Ada")
        assert await end_users.find(tx, southwind, USER) is None
        assert await end_users.list_page(tx, southwind, EndUserFilter(), limit=9, after=None) == []
        assert not await end_users.lock(tx, southwind, USER)
        await ensured(tx, application, southwind, "Grace")
        await end_users.remove(tx, northwind, USER)
        remaining = await end_users.find(tx, southwind, USER)
    assert remaining is not None
    assert remaining.name == "Grace"


async def test_lock_finds_only_an_end_user_who_exists(application: Application) -> None:
    organization = await application.organization()
    async with application.installation.database.write() as tx:
        assert not await end_users.lock(tx, organization, USER)
        await ensured(tx, application, organization)
        assert await end_users.lock(tx, organization, USER)


async def test_removed_end_user_takes_connections_and_sessions_along(application: Application, client: Client) -> None:
    connection = await client.connect(USER)
    session = await client.session(USER)
    other = await client.connect("user_456")
    organization = (await client.get("/v1/organization")).json()["id"]
    async with application.installation.database.write() as tx:
        await end_users.remove(tx, organization, USER)
        assert await end_users.find(tx, organization, USER) is None
    assert (await client.get(f"/v1/connections/{connection['id']}")).status_code == 404
    assert (await client.get(f"/v1/hosted-connection-sessions/{session['id']}")).status_code == 404
    assert (await client.get(f"/v1/connections/{other['id']}")).status_code == 200
