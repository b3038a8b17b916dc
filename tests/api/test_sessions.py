"""`/v1/hosted-connection-sessions` as a customer's backend sees it: made, watched, cancelled, over."""

from typing import Any, Final

import httpx2
import pytest

from one_runtime.demo.acme import GLOBEX
from one_runtime.encryption import secret_tokens
from tests.application import ACME_KEYS, ORIGIN, PUBLIC_URL, Application, Client

PATH: Final = "/v1/hosted-connection-sessions"


async def create(client: Client, **more: Any) -> httpx2.Response:
    return await client.post(PATH, {"integration_slug": "acme", "end_user_id": "user_123", **more})


async def state(client: Client, session: dict[str, Any]) -> dict[str, Any]:
    answer = await client.get(f"{PATH}/{session['id']}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


@pytest.mark.promise("P2")
async def test_a_new_session_gives_its_token_this_once(client: Client) -> None:
    made = (await create(client, integration_slug=" ACME ", metadata={"a": 1})).json()
    assert set(made) == {"session_token", "connect_url", "id", "expires_at"}
    assert secret_tokens.recognize(secret_tokens.SESSION, made["session_token"])
    assert made["connect_url"] == f"{PUBLIC_URL}/connect?session_token={made['session_token']}"
    found = await state(client, made)
    assert (found["status"], found["integration_slug"], found["mode"]) == ("pending", "acme", "embed")
    assert (found["last_error"], found["connection"], found["metadata"]) == (None, None, {"a": 1})
    assert found["expires_at"] == made["expires_at"]
    assert made["session_token"] not in str(found)


async def test_what_cannot_be_connected_is_refused_with_what_to_do(client: Client) -> None:
    assert (await create(client, integration_slug="nothing")).status_code == 404
    assert (await create(client, connection_id="018f0000-0000-7000-8000-000000000000")).status_code == 404
    refused: tuple[tuple[str, object], ...] = (
        ("auth_type", "basic"),
        ("auth_type", "oauth2"),
        ("mode", "popup"),
        ("expires_in", 59),
        ("expires_in", 3601),
        ("allowed_origins", ["https://*.example.com"]),
        ("end_user_id", " "),
        ("end_user_id", "x" * 256),
    )
    for field, value in refused:
        answer = await create(client, **{field: value})
        assert answer.status_code == 422, f"{field} {value}"
        assert [error["field"] for error in answer.json()["errors"]] == [field]
    offered = {"display_name": "N", "allowed_origins": [ORIGIN], "integrations": {"mode": "listed", "slugs": []}}
    await client.send("PUT", "/v1/organization", offered)
    answer = await create(client)
    assert (answer.status_code, "PUT /v1/organization" in answer.json()["detail"]) == (422, True)
    await client.send("PUT", "/v1/organization", {"display_name": "N"})
    answer = await create(client)
    assert [error["field"] for error in answer.json()["errors"]] == ["allowed_origins"]
    assert (await create(client, allowed_origins=[ORIGIN])).status_code == 200


async def test_a_refused_key_leaves_the_session_pending_and_a_right_one_ends_it(client: Client) -> None:
    session = await client.session(suggested_connection_name="Sales")
    assert (await client.type_key(session["session_token"], "acme_wrong0123456789")).status_code == 422
    found = await state(client, session)
    assert (found["status"], found["last_error"]["code"]) == ("pending", "credentials_refused")
    told = (await client.type_key(session["session_token"], ACME_KEYS[GLOBEX])).json()
    found = await state(client, session)
    assert (found["status"], found["last_error"]) == ("connected", None)
    assert (found["connection"]["id"], found["connection"]["name"]) == (told["connection_id"], "Sales")
    assert (await client.send("DELETE", f"{PATH}/{session['id']}")).status_code == 409
    await client.send("DELETE", f"/v1/connections/{told['connection_id']}")
    assert (await state(client, session))["connection"] is None


async def test_a_session_can_be_cancelled_and_expires(application: Application, client: Client) -> None:
    cancelled, forgotten = await client.session(), await client.session(expires_in=60)
    for _ in range(2):
        answer = await client.send("DELETE", f"{PATH}/{cancelled['id']}")
        assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    assert (await client.type_key(cancelled["session_token"], ACME_KEYS[GLOBEX])).status_code == 409
    application.clock.advance(seconds=60)
    assert (await state(client, forgotten))["status"] == "expired"
    assert (await client.type_key(forgotten["session_token"], ACME_KEYS[GLOBEX])).status_code == 410
    assert (await client.get("/v1/connections")).json()["connections"] == []
