"""P9: each way to disconnect revokes the tokens; while the provider does not answer, the worker retries for a day."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
import pytest_asyncio
from sqlalchemy import delete, func, select

from one_runtime.connecting import redirect_mode
from one_runtime.connecting.account_selection import REPLACE
from one_runtime.db.schema import consents, revocations
from one_runtime.db.schema import oauth_clients as clients
from one_runtime.egress.client import Egress
from one_runtime.integrations import oauth_clients
from one_runtime.jobs import worker
from one_runtime.serving.periodic_tasks import PERIODIC_TASKS
from one_runtime.tokens import revocation
from tests.application import RunningAcme
from tests.authorizations import OUR_PAGE
from tests.foreign.connecting import Connecting, connecting, target_of
from tests.foreign.person import ALICE, BOB
from tests.foreign.plain_client import PlainClient
from tests.foreign.providers import OAuthClient, Provider, running_django
from tests.foreign.visitor import Visitor
from tests.redirects import RETURN_URL
from tests.redirects import register as register_return_url
from tests.waiting import eventually

pytestmark = [pytest.mark.foreign, pytest.mark.promise("P9")]

TOKEN_SECONDS = 600
BOTH = {("refresh_token", "revoked"), ("access_token", "revoked")}


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    """Run a provider whose tokens outlive every test, so that no refusal is due to expiry."""
    with running_django(tmp_path_factory.mktemp("django"), TOKEN_SECONDS) as provider:
        yield provider


@pytest_asyncio.fixture
async def runtime(database_url: str, acme: RunningAcme, provider: Provider) -> AsyncIterator[Connecting]:
    async with connecting(database_url, acme, provider) as runtime:
        yield runtime


async def is_accepted(runtime: Connecting, token: str) -> bool:
    """Return True if the provider accepts an access token."""
    async with PlainClient(runtime.provider, OAuthClient("nobody", "", "")) as plain:
        return (await plain.whoami(token)).ok


async def is_refused(runtime: Connecting, token: str) -> bool:
    return not await is_accepted(runtime, token)


async def pending(runtime: Connecting) -> int:
    """Return the number of pending revocations."""
    async with runtime.application.installation.database.read() as tx:
        row = await tx.one(select(func.count().label("rows")).select_from(revocations))
        assert row is not None
        return int(row.rows)


@asynccontextmanager
async def unreachable_provider(runtime: Connecting) -> AsyncIterator[None]:
    """Make the provider unreachable until the block ends."""
    egress = runtime.application.installation.egress
    async with Egress() as without_allow_list:
        egress._lazy_pool, without_allow_list._lazy_pool = without_allow_list._lazy_pool, egress._lazy_pool
        yield
        egress._lazy_pool, without_allow_list._lazy_pool = without_allow_list._lazy_pool, egress._lazy_pool


@asynccontextmanager
async def running_worker(runtime: Connecting) -> AsyncIterator[None]:
    """Run the worker of a server process until the block ends."""
    task = asyncio.create_task(worker.run(runtime.application.installation, PERIODIC_TASKS))
    yield
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def disconnect_in_vain(runtime: Connecting, connection_id: str) -> None:
    """Delete a connection while the provider is unreachable."""
    response = await runtime.client.send("DELETE", f"/v1/connections/{connection_id}")
    assert response.status_code == 200, response.text
    revocations = response.json()["revocations"]
    assert {revocation["outcome"] for revocation in revocations} == {"failed"}
    assert all("must allow the address" in revocation["reason"] for revocation in revocations)


@pytest.mark.parametrize("way", ["disconnect", "delete", "forget"])
async def test_each_way_to_disconnect_revokes_both_tokens_and_reports_it(runtime: Connecting, way: str) -> None:
    connection = await runtime.connect()
    token = await runtime.token(connection["id"])
    assert await is_accepted(runtime, token)
    if way == "disconnect":
        body = {"integration_slug": runtime.slug, "end_user_id": "user_123"}
        answer_body = (await runtime.client.post("/v1/disconnect", body)).json()
    elif way == "delete":
        answer_body = (await runtime.client.send("DELETE", f"/v1/connections/{connection['id']}")).json()
    else:
        answer_body = (await runtime.client.send("DELETE", "/v1/end-users/user_123")).json()
    assert {(revocation["token"], revocation["outcome"]) for revocation in answer_body["revocations"]} == BOTH
    assert {revocation["connection_id"] for revocation in answer_body["revocations"]} == {connection["id"]}
    assert not await is_accepted(runtime, token)
    assert await pending(runtime) == 0


async def test_the_worker_retries_until_the_provider_answers(runtime: Connecting) -> None:
    connection = await runtime.connect()
    token = await runtime.token(connection["id"])
    async with unreachable_provider(runtime):
        await disconnect_in_vain(runtime, connection["id"])
        assert (await runtime.client.get(f"/v1/connections/{connection['id']}")).status_code == 404
        runtime.application.clock.advance(minutes=5)
        assert await revocation.revoke_due(runtime.application.installation) == 1
        assert await pending(runtime) == 1
    assert await revocation.revoke_due(runtime.application.installation) == 0, "not before its time"
    runtime.application.clock.advance(minutes=5)
    assert await revocation.revoke_due(runtime.application.installation) == 1
    assert await pending(runtime) == 0
    assert not await is_accepted(runtime, token)


async def test_pending_revocations_are_deleted_after_a_day(runtime: Connecting) -> None:
    connection = await runtime.connect()
    async with unreachable_provider(runtime):
        await disconnect_in_vain(runtime, connection["id"])
        assert await pending(runtime) == 1
        runtime.application.clock.advance(hours=24, seconds=1)
        assert await revocation.revoke_due(runtime.application.installation) == 0
    assert await pending(runtime) == 0


async def test_a_deleted_client_revokes_its_tokens_before_it_is_purged(runtime: Connecting) -> None:
    connection = await runtime.connect()
    token = await runtime.token(connection["id"])
    assert (await runtime.client.send("DELETE", f"/v1/integrations/{runtime.slug}/oauth-client")).status_code == 200
    installation = runtime.application.installation
    assert await purged(runtime) == 0, "a connection was made with it"
    runtime.application.clock.advance(seconds=TOKEN_SECONDS + 1)
    assert await runtime.token(connection["id"]) != token, "it renews what was given to it"
    async with unreachable_provider(runtime):
        await disconnect_in_vain(runtime, connection["id"])
        assert await purged(runtime) == 0, "its tokens are still to be revoked"
    runtime.application.clock.advance(minutes=10)
    assert await revocation.revoke_due(installation) == 1
    assert not await is_accepted(runtime, token)
    assert await purged(runtime) == 1
    async with installation.database.read() as tx:
        assert await tx.all(select(clients.c.id)) == []


async def purged(runtime: Connecting) -> int:
    """Purge unused clients and return their number. Attempts that ended are deleted before."""
    installation = runtime.application.installation
    async with installation.database.write() as tx:
        await tx.execute(delete(consents))
    return await oauth_clients.purge(installation, timedelta())


async def connect_without_redeeming(runtime: Connecting) -> None:
    """Connect Alice in the mode `redirect` without redeeming the code."""
    await register_return_url(runtime.client, RETURN_URL)
    session = await runtime.session(return_url=RETURN_URL)
    form = {"session_token": session["session_token"], "step": "connect", "auth_type": "oauth2"}
    page = await runtime.client.http.post("/connect", data=form, headers=OUR_PAGE)
    async with Visitor() as visitor:
        callback = await visitor.consent(target_of(page), ALICE)
    return_page = await runtime.call_back(callback, page.headers["set-cookie"].partition(";")[0])
    assert parse_qs(urlsplit(target_of(return_page)).query)["status"] == ["connected"]


@pytest.mark.parametrize("connected", [False, True])
async def test_an_unredeemed_connection_is_revoked_unless_another_may_share_its_grant(
    runtime: Connecting, connected: bool
) -> None:
    if connected:
        await runtime.connect("user_456", ALICE)
    present = (await runtime.client.get("/v1/connections")).json()["connections"]
    await connect_without_redeeming(runtime)
    assert (await runtime.client.get("/v1/connections")).json()["connections"] == present
    before = runtime.provider.process.log().count("POST /o/revoke_token/")
    runtime.application.clock.advance(minutes=11)
    assert await redirect_mode.purge_due(runtime.application.installation) == 1
    assert await revocation.revoke_due(runtime.application.installation) == (0 if connected else 1)
    assert runtime.provider.process.log().count("POST /o/revoke_token/") == before + (0 if connected else 2)
    assert await pending(runtime) == (1 if connected else 0)
    for connection in present:  # at the end of the other connection
        await runtime.client.send("DELETE", f"/v1/connections/{connection['id']}")
        assert runtime.provider.process.log().count("POST /o/revoke_token/") == before + 4
    assert await pending(runtime) == 0


async def test_deleting_an_end_user_before_the_redemption_revokes_the_grant(runtime: Connecting) -> None:
    await connect_without_redeeming(runtime)
    before = runtime.provider.process.log().count("POST /o/revoke_token/")
    assert (await runtime.client.send("DELETE", "/v1/end-users/user_123")).json()["revocations"] == []
    assert runtime.provider.process.log().count("POST /o/revoke_token/") == before + 2
    assert await pending(runtime) == 0


async def test_the_tokens_of_a_replaced_account_are_revoked(runtime: Connecting) -> None:
    connection = await runtime.connect(person=ALICE)
    before = await runtime.token(connection["id"])
    session = await runtime.session()
    attempt = await runtime.authorize(session["session_token"])
    async with Visitor() as visitor:
        callback = await visitor.consent(attempt.url, BOB)
    asked = await runtime.call_back(callback, attempt.cookie)
    assert await is_accepted(runtime, before)
    async with running_worker(runtime):
        assert (await runtime.select(asked, attempt.cookie, REPLACE)).status_code == 200
        # The commit wakes the worker, which revokes.
        refused: bool = await eventually(lambda: is_refused(runtime, before))
        assert refused
    (replaced,) = (await runtime.client.get("/v1/connections")).json()["connections"]
    assert replaced["id"] == connection["id"]
    assert BOB.name in replaced["account"]["label"]
    after = await runtime.token(connection["id"])
    assert await is_accepted(runtime, await runtime.token(connection["id"]))
    assert after != before


async def test_the_same_account_again_is_one_connection_whose_end_revokes_all_its_tokens(runtime: Connecting) -> None:
    first = await runtime.connect()
    token = await runtime.token(first["id"])
    second = await runtime.connect()
    assert first["id"] == second["id"]
    assert len((await runtime.client.get("/v1/connections")).json()["connections"]) == 1
    new_token = await runtime.token(second["id"])
    assert await is_accepted(runtime, new_token)
    assert await is_accepted(runtime, token), "a revocation now could end the new grant at other providers"
    deleted = (await runtime.client.send("DELETE", f"/v1/connections/{second['id']}")).json()
    assert len(deleted["revocations"]) == 4
    assert {(result["token"], result["outcome"]) for result in deleted["revocations"]} == BOTH
    assert not await is_accepted(runtime, token)
    assert not await is_accepted(runtime, new_token)
    assert await pending(runtime) == 0
