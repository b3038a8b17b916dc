"""P4: a session token makes one connection, for the end user, integration and auth type of its session."""

import asyncio
from typing import Any

import pytest

from one_runtime.demo.acme import GLOBEX, INITECH
from one_runtime.egress.limits import Limits
from tests.application import ACME_KEYS, Application, Client
from tests.promises.hostile import Hostile, accepted, after, running_hostile
from tests.promises.stores import every_row

pytestmark = pytest.mark.promise("P4")

KEY = ACME_KEYS[GLOBEX]
WRONG = "acme_wrong_key_000000"
ENDED = {"expired": (410, "session_expired"), "used": (409, "session_used"), "cancelled": (409, "session_cancelled")}


async def connections_of(client: Client) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = (await client.get("/v1/connections")).json()["connections"]
    return listed


async def status_of(client: Client, session: dict[str, Any]) -> str:
    status: str = (await client.get(f"/v1/hosted-connection-sessions/{session['id']}")).json()["status"]
    return status


async def events_of(client: Client, kind: str) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = (await client.get("/v1/events", type=kind)).json()["events"]
    return listed


async def end(client: Client, application: Application, session: dict[str, Any], how: str) -> None:
    if how == "expired":
        application.clock.advance(seconds=600)
    elif how == "used":
        assert (await client.type_key(session["session_token"], KEY)).status_code == 200
    else:
        await client.send("DELETE", f"/v1/hosted-connection-sessions/{session['id']}")


async def test_session_token_makes_only_one_connection(client: Client) -> None:
    session = await client.session(multiple=True)
    assert (await client.type_key(session["session_token"], KEY)).status_code == 200
    again = await client.type_key(session["session_token"], ACME_KEYS[INITECH])
    assert (again.status_code, again.json()["code"]) == (409, "session_used")
    assert [connection["account"]["id"] for connection in await connections_of(client)] == [GLOBEX]


async def test_concurrent_submissions_make_exactly_one_connection(client: Client) -> None:
    session = await client.session(multiple=True)
    keys = [KEY, ACME_KEYS[INITECH]] * 3
    answers = await asyncio.gather(*(client.type_key(session["session_token"], key) for key in keys))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 5
    (connection,) = await connections_of(client)
    (winner,) = [answer.json() for answer in answers if answer.status_code == 200]
    assert winner["connection_id"] == connection["id"]
    assert len(await events_of(client, "connection.created")) == 1
    assert await events_of(client, "connection.reconnected") == []


async def test_connection_belongs_to_the_sessions_end_user_whatever_the_page_sends(client: Client) -> None:
    session = await client.session("user_123")
    token = session["session_token"]
    for more in ({"end_user_id": "victim"}, {"integration_slug": "hubspot"}, {"connection_id": session["id"]}):
        assert (await client.type_key(token, KEY, **more)).status_code == 422
    assert (await client.type_key(token, KEY)).status_code == 200
    (connection,) = await connections_of(client)
    assert (connection["end_user_id"], connection["integration_slug"]) == ("user_123", "acme")


async def test_session_for_one_auth_type_offers_and_accepts_no_other(client: Client) -> None:
    session = await client.session(integration_slug="customer-io", auth_type="basic")
    view = (await client.popup("", session["session_token"])).json()
    assert [item["auth_type"] for item in view["auth_types"]] == ["basic"]
    body = {"auth_type": "api_key", "credentials": {"api_key": "0123456789abcdef0123"}}
    answer = await client.popup("/connect", session["session_token"], body)
    assert answer.status_code == 422
    assert [item["field"] for item in answer.json()["errors"]] == ["auth_type"]


@pytest.mark.parametrize("how", ENDED)
async def test_ended_session_reports_its_end_and_connects_nothing(
    application: Application, client: Client, how: str
) -> None:
    session = await client.session()
    token = session["session_token"]
    await end(client, application, session, how)
    before = await connections_of(client)
    for answer in (await client.popup("", token), await client.type_key(token, ACME_KEYS[INITECH])):
        assert (answer.status_code, answer.json()["code"]) == ENDED[how]
    page = await client.get("/connect", session_token=token)
    assert page.status_code == 410
    assert f'data-state="{how}"' in page.text
    assert "<form" not in page.text
    assert await connections_of(client) == before


async def test_session_expires_after_the_requested_time(application: Application, client: Client) -> None:
    session = await client.session(expires_in=60)
    application.clock.advance(seconds=59)
    assert await status_of(client, session) == "pending"
    application.clock.advance(seconds=1)
    assert await status_of(client, session) == "expired"
    assert (await client.type_key(session["session_token"], KEY)).status_code == 410
    assert (await client.get("/connect", session_token=session["session_token"])).status_code == 410


async def test_opened_session_lives_for_an_hour(application: Application, client: Client) -> None:
    session = await client.session(expires_in=60)
    application.clock.advance(seconds=59)
    assert (await client.popup("", session["session_token"])).status_code == 200
    application.clock.advance(minutes=59)
    assert (await client.popup("", session["session_token"])).status_code == 200
    application.clock.advance(minutes=1)
    answer = await client.type_key(session["session_token"], KEY)
    assert (answer.status_code, answer.json()["code"]) == (410, "session_expired")


async def test_session_that_expires_during_the_check_connects_nothing(hostile: Hostile) -> None:
    session = await hostile.client.session()
    hostile.answers(after(lambda: hostile.application.clock.advance(seconds=601), accepted()))
    answer = await hostile.client.type_key(session["session_token"], KEY)
    assert (answer.status_code, answer.json()["code"]) == (410, "session_expired")
    assert await connections_of(hostile.client) == []


async def test_session_that_is_cancelled_during_the_check_connects_nothing(hostile: Hostile) -> None:
    session = await hostile.client.session()
    hostile.answers(after(lambda: hostile.client.popup("/cancel", session["session_token"]), accepted()))
    answer = await hostile.client.type_key(session["session_token"], KEY)
    assert (answer.status_code, answer.json()["code"]) == (409, "session_cancelled")
    assert await connections_of(hostile.client) == []
    assert await events_of(hostile.client, "connection.created") == []


@pytest.mark.slow
async def test_session_fails_after_ten_failed_checks(client: Client) -> None:
    session = await client.session()
    for _ in range(9):
        assert (await client.type_key(session["session_token"], WRONG)).status_code == 422
        assert await status_of(client, session) == "pending"
    assert (await client.type_key(session["session_token"], WRONG)).status_code == 422
    assert await status_of(client, session) == "failed"
    answer = await client.type_key(session["session_token"], KEY)
    assert (answer.status_code, answer.json()["code"]) == (429, "too_many_attempts")
    assert len(await events_of(client, "hosted_connection_session.failed")) == 1
    assert await connections_of(client) == []


async def test_concurrent_checks_cannot_exceed_ten_failures(database_url: str) -> None:
    async with running_hostile(database_url, limits=Limits()) as hostile:
        session = await hostile.client.session()
        hostile.refuses_with(lambda _: "No.")
        answers = await asyncio.gather(*(hostile.client.type_key(session["session_token"], WRONG) for _ in range(30)))
        assert len(hostile.provider.requests) == 10
        assert {answer.status_code for answer in answers} == {422, 429}
        assert await status_of(hostile.client, session) == "failed"
        assert len(await events_of(hostile.client, "hosted_connection_session.failed")) == 1


@pytest.mark.slow
async def test_provider_outage_costs_no_attempt(application: Application, client: Client) -> None:
    session = await client.session()
    application.acme.acme.fail_with(503)
    for _ in range(12):
        answer = await client.type_key(session["session_token"], KEY)
        assert (answer.status_code, answer.json()["code"]) == (502, "provider_unavailable")
    application.acme.acme.fail_with(None)
    assert await status_of(client, session) == "pending"
    assert (await client.type_key(session["session_token"], KEY)).status_code == 200


async def test_invalid_form_costs_no_attempt_and_reaches_no_provider(hostile: Hostile) -> None:
    session = await hostile.client.session()
    for _ in range(12):
        assert (await hostile.client.type_key(session["session_token"], "not a key")).status_code == 422
    assert hostile.provider.requests == []
    hostile.answers(accepted())
    assert (await hostile.client.type_key(session["session_token"], KEY)).status_code == 200


async def test_opening_the_page_changes_nothing(application: Application, client: Client) -> None:
    session = await client.session()
    before = every_row(application.installation)
    for headers in ({}, {"sec-fetch-dest": "document"}, {"sec-fetch-dest": "iframe"}):
        for query in ({"session_token": session["session_token"]}, {"session": session["id"]}):
            for _ in range(3):
                page = await client.http.get("/connect", params={**query, "request_id": "r1"}, headers=headers)
                assert page.status_code == 200
    assert every_row(application.installation) == before


async def test_session_token_is_not_accepted_as_an_api_key(application: Application, client: Client) -> None:
    token = (await client.session())["session_token"]
    as_key = application.client(token)
    for answer in (
        await as_key.get("/v1/integrations", end_user_id="user_123"),
        await as_key.get("/v1/connections"),
        await as_key.post("/v1/hosted-connection-sessions", {"integration_slug": "acme", "end_user_id": "user_123"}),
        await as_key.post("/v1/disconnect", {"integration_slug": "acme", "end_user_id": "user_123"}),
    ):
        assert answer.status_code == 401


async def test_api_key_is_not_accepted_as_a_session_token(application: Application, client: Client) -> None:
    key = await application.key(await application.organization())
    for answer in (await client.popup("", key), await client.type_key(key, KEY), await client.popup("/cancel", key)):
        assert answer.status_code == 401
    assert 'data-state="unknown"' in (await client.get("/connect", session_token=key)).text


async def test_connection_to_reconnect_must_belong_to_the_organization_and_the_end_user(
    application: Application, client: Client
) -> None:
    other = application.client(await application.key(await application.organization("Southwind")))
    foreign = await other.connect("user_123")
    somebodys = await client.connect("user_456")
    body = {"integration_slug": "acme", "end_user_id": "user_123"}
    for connection, status in ((foreign, 404), (somebodys, 422)):
        answer = await client.post("/v1/hosted-connection-sessions", {**body, "connection_id": connection["id"]})
        assert answer.status_code == status
    assert (await other.get(f"/v1/connections/{foreign['id']}")).json() == foreign


async def test_only_its_own_organization_reads_and_cancels_a_session(application: Application, client: Client) -> None:
    session = await client.session()
    other = application.client(await application.key(await application.organization("Southwind")))
    for method in ("GET", "DELETE"):
        assert (await other.send(method, f"/v1/hosted-connection-sessions/{session['id']}")).status_code == 404
    assert await status_of(client, session) == "pending"
