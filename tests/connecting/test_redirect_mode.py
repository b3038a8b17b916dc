"""P6: in the mode `redirect`, the connection exists only after the organization redeems it for the right end user."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import pytest_asyncio

from one_runtime.connecting import popup, redirect_mode
from one_runtime.connecting.popup import WrongMode
from one_runtime.connecting.sessions import SessionUsed
from one_runtime.connections.connections import AccountMismatch, SeveralConnections
from one_runtime.demo.acme import GLOBEX, INITECH
from one_runtime.serving.periodic_tasks import PERIODIC_TASKS
from one_runtime.settings import Settings
from tests.application import ACME_KEYS, Application, Client, RunningAcme, started
from tests.promises.canaries import leaks, secret_part
from tests.promises.stores import everything_stored, query
from tests.redirects import RETURN_URL, Redirected, connect_and_return, redeem, register, type_key

pytestmark = pytest.mark.promise("P6")

FIRST, SECOND = ACME_KEYS[GLOBEX], ACME_KEYS[INITECH]


@pytest_asyncio.fixture
async def application(settings: Settings, acme: RunningAcme) -> AsyncIterator[Application]:
    """Run the application without a worker: the tests count the rows that `purge_due` deletes."""
    async with started(settings, acme, worker=False) as application:
        yield application


@pytest_asyncio.fixture
async def client(application: Application) -> Client:
    """Create a caller of an organization with a return URL."""
    client = application.client(await application.key(await application.organization()))
    await register(client, RETURN_URL)
    return client


async def state(client: Client, redirect: Redirected) -> dict[str, Any]:
    session: dict[str, Any] = (await client.get(f"/v1/hosted-connection-sessions/{redirect.session_id}")).json()
    return session


def count_unredeemed(application: Application) -> int:
    (row,) = query(application.installation, "SELECT count(*) FROM unredeemed_connections")
    return int(row[0])


async def test_connection_exists_only_after_the_code_is_redeemed(application: Application, client: Client) -> None:
    redirect = await connect_and_return(application, client)
    assert redirect.query["status"] == ["connected"]
    assert redirect.query["session_id"] == [redirect.session_id]
    assert (await client.integrations())["acme"]["status"] == "not_connected"
    assert (await client.get("/v1/connections")).json()["connections"] == []
    assert (await state(client, redirect))["status"] == "pending"
    answer = await redeem(client, redirect)
    assert answer.status_code == 200
    assert answer.json()["status"] == "connected"
    assert answer.json()["connection"]["account"]["id"] == GLOBEX
    assert (await client.integrations())["acme"]["status"] == "connected"
    assert count_unredeemed(application) == 0
    checked = await client.post(f"/v1/connections/{answer.json()['connection']['id']}/check")
    assert checked.json()["working"] is True


async def test_repeated_redemption_returns_the_same_connection(application: Application, client: Client) -> None:
    redirect = await connect_and_return(application, client)
    first = await redeem(client, redirect)
    again = await asyncio.gather(*(redeem(client, redirect) for _ in range(3)))
    assert [answer.json()["connection"] for answer in again] == [first.json()["connection"]] * 3
    assert len((await client.get("/v1/connections")).json()["connections"]) == 1


async def test_concurrent_redemptions_make_one_connection_and_all_return_it(
    application: Application, client: Client
) -> None:
    redirect = await connect_and_return(application, client, multiple=True)
    answers = await asyncio.gather(*(redeem(client, redirect) for _ in range(8)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["connection"]["id"] for answer in answers}) == 1
    created = (await client.get("/v1/events", type="connection.created")).json()["events"]
    assert len(created) == 1


async def test_redemption_for_another_end_user_deletes_the_credentials(
    application: Application, client: Client
) -> None:
    """Mallory starts a session for herself and sends its URL to Ada. Ada connects her account and returns to the app,
    where she is signed in as Ada."""
    redirect = await connect_and_return(application, client, end_user_id="mallory")
    answer = await redeem(client, redirect, "ada")
    assert answer.status_code == 409
    assert answer.json()["code"] == "end_user_mismatch"
    assert "One Runtime made no connection" in answer.json()["detail"]
    assert count_unredeemed(application) == 0
    later = await redeem(client, redirect, "mallory")
    assert later.status_code == 409
    for end_user_id in ("mallory", "ada"):
        assert (await client.integrations(end_user_id))["acme"]["status"] == "not_connected"
    session = await state(client, redirect)
    assert (session["status"], session["last_error"]["code"]) == ("failed", "end_user_mismatch")
    (failed,) = (await client.get("/v1/events", type="hosted_connection_session.failed")).json()["events"]
    assert failed["data"]["reason"] == "end_user_mismatch"


async def test_second_redemption_for_another_end_user_keeps_the_connection(
    application: Application, client: Client
) -> None:
    redirect = await connect_and_return(application, client)
    assert (await redeem(client, redirect)).status_code == 200
    answer = await redeem(client, redirect, "bob")
    assert (answer.status_code, answer.json()["code"]) == (409, "end_user_mismatch")
    assert "deleted" not in answer.json()["detail"]
    assert (await client.integrations())["acme"]["status"] == "connected"


async def test_code_of_another_session_or_a_guess_redeems_nothing(application: Application, client: Client) -> None:
    redirect, other = (
        await connect_and_return(application, client),
        await connect_and_return(application, client, end_user_id="bob"),
    )
    guess = redirect.code[:-1] + ("y" if redirect.code.endswith("x") else "x")
    for code in (other.code, guess, redirect.token, "x"):
        answer = await redeem(client, redirect, code=code)
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["field"] == "code"
    assert (await redeem(client, redirect)).status_code == 200


async def test_another_organization_cannot_redeem(application: Application, client: Client) -> None:
    other = application.client(await application.key(await application.organization("Southwind")))
    redirect = await connect_and_return(application, client)
    assert (await redeem(other, redirect)).status_code == 404
    assert count_unredeemed(application) == 1


async def test_code_expires_after_ten_minutes_and_its_credentials_are_deleted(
    application: Application, client: Client
) -> None:
    redirect = await connect_and_return(application, client)
    application.clock.advance(minutes=9, seconds=59)
    assert await redirect_mode.purge_due(application.installation) == 0
    application.clock.advance(seconds=2)
    late = await redeem(client, redirect)
    assert (late.status_code, late.json()["code"]) == (410, "session_expired")
    assert (await state(client, redirect))["status"] == "expired"
    assert count_unredeemed(application) == 1
    assert await redirect_mode.purge_due(application.installation) == 1
    assert count_unredeemed(application) == 0
    assert leaks({"key": FIRST}, everything_stored(application.installation)) == []
    session = await state(client, redirect)
    assert (session["status"], session["last_error"]["code"]) == ("expired", "not_redeemed")
    assert (await redeem(client, redirect)).status_code == 410
    assert (await client.integrations())["acme"]["status"] == "not_connected"
    assert await redirect_mode.purge_due(application.installation) == 0


async def test_return_redirect_has_the_outcome(application: Application, client: Client) -> None:
    session = await client.session(return_url=f"{RETURN_URL}?state=42&error=forged&code=forged")
    queries = []
    for minutes in (0, 11):
        application.clock.advance(minutes=minutes)
        shell = await popup.load_shell(application.installation, token=session["session_token"])
        queries.append(parse_qs(urlsplit(shell.return_to or "").query))
    expected = {"session_id": [session["id"]], "state": ["42"]}
    assert queries == [
        {**expected, "status": ["cancelled"]},
        {**expected, "status": ["error"], "error": ["session_expired"]},
    ]


async def test_the_worker_deletes_unredeemed_credentials(application: Application, client: Client) -> None:
    assert redirect_mode.purge_due in {task.work for task in PERIODIC_TASKS}
    assert all(task.interval <= 60 for task in PERIODIC_TASKS if task.work is redirect_mode.purge_due)


async def test_session_makes_no_second_connection_while_its_code_is_unredeemed(
    application: Application, client: Client
) -> None:
    redirect = await connect_and_return(application, client)
    with pytest.raises(SessionUsed):
        await type_key(application, redirect.token, SECOND)
    assert (await redeem(client, redirect)).json()["connection"]["account"]["id"] == GLOBEX


async def test_reconnecting_by_redirect_keeps_the_present_connection_until_redeemed(
    application: Application, client: Client
) -> None:
    present = await client.connect()
    session = await client.session(return_url=RETURN_URL)
    with pytest.raises(AccountMismatch) as asked:
        await type_key(application, session["session_token"], SECOND)
    connected = await type_key(application, session["session_token"], SECOND, replace_account=asked.value.detail)
    assert connected.return_to is not None
    unchanged = (await client.get(f"/v1/connections/{present['id']}")).json()
    assert unchanged["account"]["id"] == GLOBEX
    code = parse_qs(urlsplit(connected.return_to).query)["code"][0]
    answer = await redeem(client, Redirected(session["id"], session["session_token"], code, {}))
    assert answer.json()["connection"]["id"] == present["id"]
    assert answer.json()["connection"]["account"]["id"] == INITECH


async def test_code_is_stored_as_its_hash_and_the_key_is_sealed(application: Application, client: Client) -> None:
    redirect = await connect_and_return(application, client)
    canaries = {"code": redirect.code, "its secret": secret_part(redirect.code), "key": FIRST}
    assert leaks(canaries, everything_stored(application.installation)) == []
    assert leaks(canaries, {"session": json.dumps(await state(client, redirect)).encode()}) == []


async def test_forgetting_the_end_user_deletes_unredeemed_credentials(application: Application, client: Client) -> None:
    redirect = await connect_and_return(application, client)
    assert (await client.send("DELETE", "/v1/end-users/user_123")).status_code == 200
    assert count_unredeemed(application) == 0
    assert (await redeem(client, redirect)).status_code == 404


async def test_cancelling_deletes_unredeemed_credentials(application: Application, client: Client) -> None:
    redirect = await connect_and_return(application, client)
    answer = await client.send("DELETE", f"/v1/hosted-connection-sessions/{redirect.session_id}")
    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    assert count_unredeemed(application) == 0
    assert (await redeem(client, redirect)).status_code == 409


async def test_session_without_a_code_cannot_be_redeemed_and_says_its_state(
    application: Application, client: Client
) -> None:
    async def refusal(session: dict[str, Any]) -> tuple[int, str]:
        answer = await redeem(client, Redirected(session["id"], "", "orcc_x", {}))
        return answer.status_code, answer.json()["detail"]

    other_mode = 'Only a session with mode "redirect" has a code, and this session has mode "embed".'
    modes: dict[str, dict[str, Any]] = {other_mode: {}, "": {"return_url": RETURN_URL}}
    for note, more in modes.items():
        pending, cancelled = await client.session(**more), await client.session(**more)
        await client.send("DELETE", f"/v1/hosted-connection-sessions/{cancelled['id']}")
        status, detail = await refusal(pending)
        assert status == 409
        assert note in detail if note else "has not connected an account in this session yet" in detail
        new = f"Create a new session. {note}".strip()
        assert await refusal(cancelled) == (409, f"This session was cancelled, so there is no code to redeem. {new}")
        application.clock.advance(minutes=11)
        expired = f"This session expired before the end user connected an account. {new}"
        assert await refusal(pending) == (410, expired)
    connected = await client.session()
    assert (await client.type_key(connected["session_token"], FIRST)).status_code == 200
    status, detail = await refusal(connected)
    assert (status, f"GET /v1/hosted-connection-sessions/{connected['id']}" in detail) == (409, True)


@pytest.mark.parametrize("mode", ["redirect", "link"])
async def test_page_token_does_not_work_in_a_frame_and_vice_versa(
    application: Application, client: Client, mode: str
) -> None:
    more = {"return_url": RETURN_URL} if mode == "redirect" else {}
    page = (await client.session(mode=mode, **more))["session_token"]
    for answer in (await client.popup("", page), await client.type_key(page, FIRST)):
        assert (answer.status_code, answer.json()["code"]) == (409, "wrong_mode")
    framed = (await client.session())["session_token"]
    with pytest.raises(WrongMode):
        await popup.load_view(application.installation, framed, presentation="page")
    with pytest.raises(WrongMode):
        await type_key(application, framed)


@pytest.mark.promise("P15")
async def test_connection_that_was_deleted_before_the_redemption_is_replaced_by_no_other(
    application: Application, client: Client
) -> None:
    names = {"Operations": FIRST + "_1", "Billing": FIRST + "_2"}
    operations, billing = [
        await client.connect(key=key, check=False, name=name, multiple=True) for name, key in names.items()
    ]
    created = await client.session(return_url=RETURN_URL)
    with pytest.raises(SeveralConnections):
        await type_key(application, created["session_token"])
    connected = await type_key(application, created["session_token"], connection=billing["id"])
    query = parse_qs(urlsplit(connected.return_to or "").query)
    redirect = Redirected(created["id"], created["session_token"], query["code"][0], query)
    assert (await client.send("DELETE", f"/v1/connections/{billing['id']}")).status_code == 200
    answer = await redeem(client, redirect)
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    assert "have changed" in answer.json()["detail"]
    (left,) = (await client.get("/v1/connections")).json()["connections"]
    stored = await client.get(f"/v1/connections/{left['id']}/credentials")
    assert (left["id"], stored.json()["credentials"]["api_key"]) == (operations["id"], names["Operations"])
