"""`GET /v1/hosted-connection-sessions`: newest first, with filters and without tokens."""

from typing import Any, Final

import pytest

from one_runtime.connecting import session_search
from one_runtime.connecting.session_search import SessionFilter
from one_runtime.demo.acme import GLOBEX
from tests.application import ACME_KEYS, Application, Client
from tests.redirects import RETURN_URL, connect_and_return, register

pytestmark = pytest.mark.slow

PATH: Final = "/v1/hosted-connection-sessions"


async def listed(client: Client, **options: Any) -> list[str]:
    answer = await client.get(PATH, **options)
    assert answer.status_code == 200, answer.text
    return [session["id"] for session in answer.json()["sessions"]]


async def test_sessions_are_listed_by_status_user_and_integration(application: Application, client: Client) -> None:
    connected = await client.session("ada")
    assert (await client.type_key(connected["session_token"], ACME_KEYS[GLOBEX])).status_code == 200
    failed = await client.session("ada")
    for _ in range(10):
        await client.type_key(failed["session_token"], "acme_wrong0123456789")
    cancelled = await client.session("grace")
    assert (await client.send("DELETE", f"{PATH}/{cancelled['id']}")).status_code == 200
    expired = await client.session("grace", expires_in=60)
    application.clock.advance(minutes=2)
    await register(client, RETURN_URL)
    unredeemed = (await connect_and_return(application, client, ACME_KEYS[GLOBEX], end_user_id="grace")).session_id
    any_integration = (await client.post(PATH, {"end_user_id": "ada"})).json()
    by_status = {
        "pending": [any_integration["id"], unredeemed],
        "expired": [expired["id"]],
        "cancelled": [cancelled["id"]],
        "failed": [failed["id"]],
        "connected": [connected["id"]],
    }
    everything = [session_id for ids in by_status.values() for session_id in ids]
    assert await listed(client) == everything
    for status, ids in by_status.items():
        assert await listed(client, status=status) == ids, status
        for session_id in ids:
            assert (await client.get(f"{PATH}/{session_id}")).json()["status"] == status
    assert await listed(client, status=["failed", "expired"]) == [expired["id"], failed["id"]]
    assert await listed(client, end_user_id="ada") == [any_integration["id"], failed["id"], connected["id"]]
    assert await listed(client, end_user_id=["ada", "grace"]) == everything
    assert await listed(client, end_user_id="ada", status="pending") == [any_integration["id"]]
    assert await listed(client, integration_slug=["acme", "notion"], end_user_id="ada") == [
        failed["id"],
        connected["id"],
    ]
    page = (await client.get(PATH, limit=4)).json()
    assert [session["id"] for session in page["sessions"]] == everything[:4]
    assert await listed(client, cursor=page["next_cursor"]) == everything[4:]
    other = application.client(await application.key(await application.organization("Southwind")))
    assert (await other.get(PATH)).json() == {"sessions": [], "next_cursor": None}


async def test_listed_session_has_the_fields_of_one_session_but_no_token(client: Client) -> None:
    session = await client.session(metadata={"flow": "onboarding"})
    assert (await client.type_key(session["session_token"], ACME_KEYS[GLOBEX])).status_code == 200
    answer = await client.get(PATH)
    (summary,) = answer.json()["sessions"]
    one = (await client.get(f"{PATH}/{session['id']}")).json()
    connection = one.pop("connection")
    assert summary == one
    assert summary["connection_id"] == connection["id"]
    assert summary["metadata"] == {"flow": "onboarding"}
    assert session["session_token"].rpartition("_")[2] not in answer.text
    assert "hash" not in answer.text


async def test_filtered_page_searches_a_limited_number_of_sessions(application: Application, client: Client) -> None:
    oldest, *_ = [await client.session(user) for user in ("ada", "grace", "grace", "grace")]
    organization = (await client.get("/v1/organization")).json()["id"]
    now, matching = application.clock(), SessionFilter(end_user_id=["ada", "alan"])
    async with application.installation.database.read() as tx:
        rows, cursor = await session_search.list_newest(
            tx, organization, matching, now, limit=9, before=None, scanned=2
        )
        assert rows == []
        found, end = await session_search.list_newest(tx, organization, matching, now, limit=9, before=cursor)
        of_ada, _ = await session_search.list_newest(
            tx, organization, SessionFilter(end_user_id="ada"), now, limit=9, before=None, scanned=2
        )
    assert ([session.id for session in found], end) == ([oldest["id"]], None)
    assert of_ada == found, "an index finds the sessions of one end user"
