"""P9: tokens are revoked at the provider, whichever way one lets go; where it does not answer, again for a day."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
import pytest_asyncio
from sqlalchemy import delete, func, select

from one_runtime.connecting import redirect_mode
from one_runtime.db.schema import consents, revocations
from one_runtime.db.schema import oauth_clients as clients
from one_runtime.egress import Egress
from one_runtime.integrations import oauth_clients
from one_runtime.tokens import revocation
from tests.application import RunningAcme
from tests.authorizations import OUR_PAGE
from tests.foreign.connecting import Connecting, connecting
from tests.foreign.person import ALICE, BOB
from tests.foreign.plain_client import PlainClient
from tests.foreign.providers import OAuthClient, Provider
from tests.foreign.visitor import Visitor
from tests.redirects import RETURN_URL
from tests.redirects import register as register_return_url

pytestmark = [pytest.mark.foreign, pytest.mark.promise("P9")]

BOTH = {("refresh_token", "revoked"), ("access_token", "revoked")}


@pytest_asyncio.fixture
async def there(database_url: str, acme: RunningAcme, django_provider: Provider) -> AsyncIterator[Connecting]:
    async with connecting(database_url, acme, django_provider) as there:
        yield there


async def is_taken(there: Connecting, token: str) -> bool:
    """Return true if the provider accepts an access token."""
    async with PlainClient(there.provider, OAuthClient("nobody", "", "")) as plain:
        return (await plain.whoami(token)).ok


async def kept(there: Connecting) -> int:
    """Tokens that wait to be revoked."""
    async with there.application.installation.database.read() as tx:
        row = await tx.one(select(func.count().label("rows")).select_from(revocations))
        assert row is not None
        return int(row.rows)


@asynccontextmanager
async def out_of_reach(there: Connecting) -> AsyncIterator[None]:
    """The provider cannot be reached until the block ends."""
    egress = there.application.installation.egress
    async with Egress() as without_allow_list:
        egress._pool, without_allow_list._pool = without_allow_list._pool, egress._pool
        yield
        egress._pool, without_allow_list._pool = without_allow_list._pool, egress._pool


@pytest.mark.parametrize("way", ["disconnect", "delete", "forget"])
async def test_each_way_to_let_go_revokes_both_tokens_and_says_so(there: Connecting, way: str) -> None:
    connection = await there.connect()
    token = await there.token(connection["id"])
    assert await is_taken(there, token)
    if way == "disconnect":
        body = {"integration_slug": there.slug, "end_user_id": "user_123"}
        told = (await there.client.post("/v1/disconnect", body)).json()
    elif way == "delete":
        told = (await there.client.send("DELETE", f"/v1/connections/{connection['id']}")).json()
    else:
        told = (await there.client.send("DELETE", "/v1/end-users/user_123")).json()
    assert {(one["token"], one["outcome"]) for one in told["revocations"]} == BOTH
    assert {one["connection_id"] for one in told["revocations"]} == {connection["id"]}
    assert not await is_taken(there, token)
    assert await kept(there) == 0


async def test_a_provider_that_is_away_is_asked_again_until_it_answers(there: Connecting) -> None:
    connection = await there.connect()
    token = await there.token(connection["id"])
    async with out_of_reach(there):
        told = (await there.client.send("DELETE", f"/v1/connections/{connection['id']}")).json()["revocations"]
        assert {one["outcome"] for one in told} == {"failed"}
        assert all("cannot be reached" in one["reason"] for one in told)
        assert (await there.client.get(f"/v1/connections/{connection['id']}")).status_code == 404
        there.application.clock.advance(minutes=5)
        assert await revocation.revoke_due(there.application.installation) == 1
        assert await kept(there) == 1
    assert await revocation.revoke_due(there.application.installation) == 0, "not before its time"
    there.application.clock.advance(minutes=5)
    assert await revocation.revoke_due(there.application.installation) == 1
    assert await kept(there) == 0
    assert not await is_taken(there, token)


async def test_after_a_day_nothing_is_kept_any_more(there: Connecting) -> None:
    connection = await there.connect()
    async with out_of_reach(there):
        await there.client.send("DELETE", f"/v1/connections/{connection['id']}")
        there.application.clock.advance(hours=24, seconds=1)
        assert await revocation.revoke_due(there.application.installation) == 0
    assert await kept(there) == 0


async def test_a_client_that_was_deleted_revokes_what_was_given_to_it_and_goes_then(there: Connecting) -> None:
    connection = await there.connect()
    token = await there.token(connection["id"])
    assert (await there.client.send("DELETE", f"/v1/integrations/{there.slug}/oauth-client")).status_code == 204
    installation = there.application.installation
    assert await purged(there) == 0, "a connection was made with it"
    there.application.clock.advance(seconds=6)
    assert await there.token(connection["id"]) != token, "it renews what was given to it"
    async with out_of_reach(there):
        await there.client.send("DELETE", f"/v1/connections/{connection['id']}")
        assert await purged(there) == 0, "its tokens are still to be revoked"
    there.application.clock.advance(minutes=10)
    assert await revocation.revoke_due(installation) == 1
    assert not await is_taken(there, token)
    assert await purged(there) == 1
    async with installation.database.read() as tx:
        assert await tx.all(select(clients.c.id)) == []


async def purged(there: Connecting) -> int:
    """Return the number of purged clients. Authorization attempts that ended long ago do not count."""
    installation = there.application.installation
    async with installation.database.write() as tx:
        await tx.execute(delete(consents))
    return await oauth_clients.purge(installation, timedelta())


async def connect_without_redeeming(there: Connecting) -> None:
    """Alice connects by a whole-page redirect whose last step nobody takes."""
    await register_return_url(there.client, RETURN_URL)
    session = await there.session(return_url=RETURN_URL)
    form = {"session_token": session["session_token"], "step": "connect", "auth_type": "oauth2"}
    left = await there.client.http.post("/connect", data=form, headers=OUR_PAGE)
    assert left.status_code == 200, left.text
    url = left.text.partition('http-equiv="refresh" content="0;url=')[2].partition('"')[0].replace("&amp;", "&")
    async with Visitor() as visitor:
        callback = await visitor.consent(url, ALICE)
    back = await there.call_back(callback, left.headers["set-cookie"].partition(";")[0])
    assert back.status_code == 200, back.text
    target = back.text.partition('http-equiv="refresh" content="0;url=')[2].partition('"')[0].replace("&amp;", "&")
    assert parse_qs(urlsplit(target).query)["status"] == ["connected"]


@pytest.mark.parametrize("connected", [False, True])
async def test_what_nobody_redeemed_is_revoked_unless_a_connection_lives_by_the_same_consent(
    there: Connecting, connected: bool
) -> None:
    if connected:
        await there.connect("user_456", ALICE)
    present = (await there.client.get("/v1/connections")).json()["connections"]
    await connect_without_redeeming(there)
    assert (await there.client.get("/v1/connections")).json()["connections"] == present
    before = there.provider.process.log().count("POST /o/revoke_token/")
    there.application.clock.advance(minutes=11)
    assert await redirect_mode.purge_due(there.application.installation) == 1
    assert there.provider.process.log().count("POST /o/revoke_token/") == before + (0 if connected else 2)
    assert await kept(there) == 0


async def test_an_end_user_who_is_forgotten_before_the_redemption_leaves_no_grant(there: Connecting) -> None:
    await connect_without_redeeming(there)
    before = there.provider.process.log().count("POST /o/revoke_token/")
    assert (await there.client.send("DELETE", "/v1/end-users/user_123")).json()["revocations"] == []
    assert there.provider.process.log().count("POST /o/revoke_token/") == before + 2
    assert await kept(there) == 0


async def test_the_tokens_of_an_account_that_another_takes_the_place_of_are_revoked(there: Connecting) -> None:
    connection = await there.connect(person=ALICE)
    before = await there.token(connection["id"])
    session = await there.session()
    attempt = await there.authorize(session["session_token"], replace_account=True)
    async with Visitor() as visitor:
        callback = await visitor.consent(attempt.url, BOB)
    assert (await there.call_back(callback, attempt.cookie)).status_code == 200
    (replaced,) = (await there.client.get("/v1/connections")).json()["connections"]
    assert replaced["id"] == connection["id"]
    assert BOB.name in replaced["account"]["label"]
    after = await there.token(connection["id"])
    there.application.clock.advance(minutes=3)
    assert await revocation.revoke_due(there.application.installation) == 1
    assert not await is_taken(there, before)
    assert await is_taken(there, await there.token(connection["id"]))
    assert after != before


async def test_the_same_account_again_is_one_connection_with_new_tokens(there: Connecting) -> None:
    first, second = await there.connect(), await there.connect()
    assert first["id"] == second["id"]
    assert len((await there.client.get("/v1/connections")).json()["connections"]) == 1
    assert await is_taken(there, await there.token(second["id"]))
    assert await kept(there) == 0, "what belongs to the same account is not revoked: that could end the new consent"
