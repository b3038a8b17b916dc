"""An OAuth connection from the button to its end, against authorization servers of third parties."""

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
    """Each of the two providers with all features."""
    provider: Provider = request.getfixturevalue(f"{request.param}_provider")
    return provider


@pytest_asyncio.fixture
async def runtime(database_url: str, acme: RunningAcme, provider: Provider) -> AsyncIterator[Connecting]:
    async with connecting(database_url, acme, provider) as runtime:
        yield runtime


@asynccontextmanager
async def direct_client(provider: Provider) -> AsyncIterator[PlainClient]:
    """A client that calls the provider directly with a token."""
    async with PlainClient(provider, OAuthClient("nobody", "", "")) as plain:
        yield plain


async def test_account_is_connected_used_and_disconnected(runtime: Connecting) -> None:
    connection = await runtime.connect()
    assert connection["status"] == "active"
    assert ALICE.name in (connection["account"]["label"] or "")
    assert (await runtime.client.integrations())[runtime.slug]["status"] == "connected"
    first = await runtime.token(connection["id"])
    runtime.application.clock.advance(seconds=6)
    second = await runtime.token(connection["id"])
    async with direct_client(runtime.provider) as plain:
        assert second != first
        assert (await plain.whoami(second)).ok
        disconnected = await runtime.client.post(
            "/v1/disconnect", {"integration_slug": runtime.slug, "end_user_id": "user_123"}
        )
        revocations = disconnected.json()["revocations"]
        assert {(revocation["token"], revocation["outcome"]) for revocation in revocations} == {
            ("refresh_token", "revoked"),
            ("access_token", "revoked"),
        }
        assert (await plain.whoami(second)).refused
    assert (await runtime.client.integrations())[runtime.slug]["status"] == "not_connected"


async def test_two_people_connect_two_accounts(runtime: Connecting) -> None:
    first, second = await runtime.connect("user_123", ALICE), await runtime.connect("user_456", BOB)
    assert ALICE.name in first["account"]["label"]
    assert BOB.name in second["account"]["label"]
    async with direct_client(runtime.provider) as plain:
        for connection, person in ((first, ALICE), (second, BOB)):
            who = await plain.whoami(await runtime.token(connection["id"]))
            assert person.name in (who.account_label or "")


async def test_denied_authorization_leaves_the_session_pending_and_can_be_retried(runtime: Connecting) -> None:
    session = await runtime.session()
    attempt = await runtime.authorize(session["session_token"])
    async with Visitor() as visitor:
        callback = await visitor.deny(attempt.url, ALICE)
        page = await runtime.call_back(callback, attempt.cookie)
        assert "Access wasn’t allowed" in page.text
        outcome = await runtime.outcome(session["session_token"], attempt.authorization_id)
        assert (outcome["state"], outcome["code"]) == ("failed", "consent_denied")
        state = (await runtime.client.get(f"/v1/hosted-connection-sessions/{session['id']}")).json()
        assert (state["status"], state["last_error"]["code"]) == ("pending", "consent_denied")
        attempt = await runtime.authorize(session["session_token"])
        callback = await visitor.consent(attempt.url, ALICE)
        await runtime.call_back(callback, attempt.cookie)
    assert (await runtime.outcome(session["session_token"], attempt.authorization_id))["state"] == "connected"
    (failed,) = (await runtime.client.get("/v1/events", type="hosted_connection_session.failed")).json()["events"]
    assert failed["data"]["reason"] == "consent_denied"


@pytest.mark.parametrize("vendor", VENDORS)
async def test_each_vendor_is_connected_and_its_account_is_named(
    database_url: str, acme: RunningAcme, emulated: Mapping[str, Provider], vendor: str
) -> None:
    async with connecting(database_url, acme, emulated[vendor]) as runtime:
        for end_user, person in (("user_123", ALICE), ("user_456", BOB)):
            connection = await runtime.connect(end_user, person)
            assert person.name in connection["account"]["label"]
            assert connection["missing_scopes"] == []
            async with direct_client(runtime.provider) as plain:
                who = await plain.whoami(await runtime.token(connection["id"]))
                assert person.name in (who.account_label or "")
