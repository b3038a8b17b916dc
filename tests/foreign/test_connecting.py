"""An OAuth connection from the button to its end, against authorization servers that nobody here wrote."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio

from tests.application import RunningAcme
from tests.foreign.connecting import Connecting, connecting
from tests.foreign.person import ALICE, BOB
from tests.foreign.plain_client import PlainClient
from tests.foreign.providers import VENDORS, OAuthClient, Provider
from tests.foreign.visitor import Visitor

pytestmark = pytest.mark.foreign


@pytest.fixture(params=["django", "oidc"])
def provider(request: pytest.FixtureRequest) -> Provider:
    """Each of the two that do everything."""
    found: Provider = request.getfixturevalue(f"{request.param}_provider")
    return found


@pytest_asyncio.fixture
async def there(database_url: str, acme: RunningAcme, provider: Provider) -> AsyncIterator[Connecting]:
    async with connecting(database_url, acme, provider) as there:
        yield there


@asynccontextmanager
async def asking(provider: Provider) -> AsyncIterator[PlainClient]:
    """Somebody who asks the provider itself what a token is good for."""
    async with PlainClient(provider, OAuthClient("nobody", "", "")) as plain:
        yield plain


async def test_account_is_connected_used_and_disconnected(there: Connecting) -> None:
    connection = await there.connect()
    assert connection["status"] == "active"
    assert ALICE.name in (connection["account"]["label"] or "")
    assert (await there.client.integrations())[there.slug]["status"] == "connected"
    first = await there.token(connection["id"])
    there.application.clock.advance(seconds=6)
    second = await there.token(connection["id"])
    async with asking(there.provider) as plain:
        assert second != first
        assert (await plain.whoami(second)).ok
        let_go = await there.client.post("/v1/disconnect", {"integration_slug": there.slug, "end_user_id": "user_123"})
        told = let_go.json()["revocations"]
        assert {(one["token"], one["outcome"]) for one in told} == {
            ("refresh_token", "revoked"),
            ("access_token", "revoked"),
        }
        assert (await plain.whoami(second)).refused
    assert (await there.client.integrations())[there.slug]["status"] == "not_connected"


async def test_two_people_connect_two_accounts(there: Connecting) -> None:
    mine, theirs = await there.connect("user_123", ALICE), await there.connect("user_456", BOB)
    assert ALICE.name in mine["account"]["label"]
    assert BOB.name in theirs["account"]["label"]
    async with asking(there.provider) as plain:
        for connection, person in ((mine, ALICE), (theirs, BOB)):
            who = await plain.whoami(await there.token(connection["id"]))
            assert person.name in (who.account_label or "")


async def test_denied_authorization_leaves_the_session_pending_and_can_be_retried(there: Connecting) -> None:
    session = await there.session()
    attempt = await there.authorize(session["session_token"])
    async with Visitor() as visitor:
        callback = await visitor.deny(attempt.url, ALICE)
        page = await there.call_back(callback, attempt.cookie)
        assert "Access wasn’t allowed" in page.text
        told = await there.outcome(session["session_token"], attempt.authorization_id)
        assert (told["state"], told["code"]) == ("failed", "consent_denied")
        state = (await there.client.get(f"/v1/hosted-connection-sessions/{session['id']}")).json()
        assert (state["status"], state["last_error"]["code"]) == ("pending", "consent_denied")
        attempt = await there.authorize(session["session_token"])
        callback = await visitor.consent(attempt.url, ALICE)
        await there.call_back(callback, attempt.cookie)
    assert (await there.outcome(session["session_token"], attempt.authorization_id))["state"] == "connected"
    (failed,) = (await there.client.get("/v1/events", type="hosted_connection_session.failed")).json()["events"]
    assert failed["data"]["reason"] == "consent_denied"


@pytest.mark.parametrize("vendor", VENDORS)
async def test_each_vendor_is_connected_and_its_account_is_named(
    database_url: str, acme: RunningAcme, emulated: Mapping[str, Provider], vendor: str
) -> None:
    async with connecting(database_url, acme, emulated[vendor]) as there:
        for end_user, person in (("user_123", ALICE), ("user_456", BOB)):
            connection = await there.connect(end_user, person)
            assert person.name in connection["account"]["label"]
            assert connection["missing_scopes"] == []
            async with asking(there.provider) as plain:
                who = await plain.whoami(await there.token(connection["id"]))
                assert person.name in (who.account_label or "")
