"""`/v1/hosted-connection-sessions`: create, read and cancel sessions in their three modes."""

from typing import Any, Final

import httpx2
import pytest

from one_runtime.demo.acme import GLOBEX
from one_runtime.encryption import secret_tokens
from tests.application import ACME_KEYS, ORIGIN, PUBLIC_URL, Application, Client
from tests.redirects import register

PATH: Final = "/v1/hosted-connection-sessions"


async def create(client: Client, **more: Any) -> httpx2.Response:
    return await client.post(PATH, {"integration_slug": "acme", "end_user_id": "user_123", **more})


async def state(client: Client, session: dict[str, Any]) -> dict[str, Any]:
    answer = await client.get(f"{PATH}/{session['id']}")
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


@pytest.mark.promise("P2")
async def test_session_token_is_returned_once(client: Client) -> None:
    session = (await create(client, integration_slug=" ACME ", metadata={"a": 1})).json()
    assert set(session) == {"session_token", "connect_url", "id", "expires_at"}
    assert secret_tokens.recognize(secret_tokens.SESSION, session["session_token"])
    assert session["connect_url"] == f"{PUBLIC_URL}/connect?session_token={session['session_token']}"
    stored = await state(client, session)
    assert (stored["status"], stored["integration_slug"], stored["mode"]) == ("pending", "acme", "embed")
    assert (stored["last_error"], stored["connection"], stored["metadata"]) == (None, None, {"a": 1})
    assert stored["expires_at"] == session["expires_at"]
    assert session["session_token"] not in str(stored)


async def test_unavailable_integration_is_refused_with_advice(client: Client) -> None:
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
    assert (answer.status_code, "PATCH /v1/organization" in answer.json()["detail"]) == (422, True)
    await client.send("PUT", "/v1/organization", {"display_name": "N"})
    answer = await create(client)
    assert [error["field"] for error in answer.json()["errors"]] == ["allowed_origins"]
    assert (await create(client, allowed_origins=[ORIGIN])).status_code == 200


async def test_empty_text_in_an_optional_field_counts_as_absent(client: Client) -> None:
    optional = (
        "end_user_name", "end_user_email", "suggested_connection_name", "return_url", "mode", "connection_id",
        "auth_type",
    )  # fmt: skip
    for blank in ("", " \t"):
        answer = await create(client, **dict.fromkeys(optional, blank))
        assert answer.status_code == 200, answer.text
        stored = await state(client, answer.json())
        assert (stored["mode"], stored["return_url"]) == ("embed", None)
        assert (await state(client, (await create(client, integration_slug=blank)).json()))["integration_slug"] is None
        assert (await create(client, end_user_id=blank)).status_code == 422
    (end_user,) = (await client.get("/v1/end-users")).json()["end_users"]
    assert (end_user["name"], end_user["email"]) == (None, None)


async def test_refused_key_leaves_the_session_pending_and_an_accepted_one_completes_it(client: Client) -> None:
    session = await client.session(suggested_connection_name="Sales")
    assert (await client.type_key(session["session_token"], "acme_wrong0123456789")).status_code == 422
    status = await state(client, session)
    assert (status["status"], status["last_error"]["code"]) == ("pending", "credentials_refused")
    result = (await client.type_key(session["session_token"], ACME_KEYS[GLOBEX])).json()
    status = await state(client, session)
    assert (status["status"], status["last_error"]) == ("connected", None)
    assert (status["connection"]["id"], status["connection"]["name"]) == (result["connection_id"], "Sales")
    assert (await client.send("DELETE", f"{PATH}/{session['id']}")).status_code == 409
    await client.send("DELETE", f"/v1/connections/{result['connection_id']}")
    assert (await state(client, session))["connection"] is None


async def test_session_can_be_cancelled_and_expires(application: Application, client: Client) -> None:
    cancelled, forgotten = await client.session(), await client.session(expires_in=60)
    for _ in range(2):
        answer = await client.send("DELETE", f"{PATH}/{cancelled['id']}")
        assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    assert (await client.type_key(cancelled["session_token"], ACME_KEYS[GLOBEX])).status_code == 409
    application.clock.advance(seconds=60)
    assert (await state(client, forgotten))["status"] == "expired"
    assert (await client.type_key(forgotten["session_token"], ACME_KEYS[GLOBEX])).status_code == 410
    assert (await client.get("/v1/connections")).json()["connections"] == []


RETURN_URL = "https://app.example.com/done?tab=integrations"


async def asked(client: Client, **body: Any) -> httpx2.Response:
    return await client.post("/v1/hosted-connection-sessions", {"end_user_id": "user_123", **body})


async def mode_of(client: Client, answer: httpx2.Response) -> str:
    assert answer.status_code == 200, answer.text
    session = (await client.get(f"/v1/hosted-connection-sessions/{answer.json()['id']}")).json()
    mode: str = session["mode"]
    return mode


async def test_mode_is_derived_from_the_request(client: Client) -> None:
    await register(client, RETURN_URL)
    assert await mode_of(client, await asked(client, integration_slug="acme")) == "embed"
    assert await mode_of(client, await asked(client, integration_slug="acme", return_url=RETURN_URL)) == "redirect"
    assert await mode_of(client, await asked(client, integration_slug="acme", mode="link")) == "link"


@pytest.mark.parametrize(
    "body,field",
    [
        ({"mode": "redirect"}, "return_url"),
        ({"mode": "embed", "return_url": RETURN_URL}, "return_url"),
        ({"mode": "link", "return_url": RETURN_URL}, "return_url"),
        ({"mode": "link", "allowed_origins": ["https://app.example.com"]}, "allowed_origins"),
        ({"return_url": RETURN_URL, "allowed_origins": ["https://app.example.com"]}, "allowed_origins"),
        ({"auth_type": "api_key", "integration_slug": None}, "auth_type"),
        ({"connection_id": "0198", "integration_slug": None}, "connection_id"),
        ({"auth_type": "oauth2"}, "auth_type"),
    ],
)
async def test_contradicting_fields_are_refused_by_name(client: Client, body: dict[str, Any], field: str) -> None:
    await register(client, RETURN_URL)
    answer = await asked(client, **{"integration_slug": "acme", **body})
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]


@pytest.mark.promise("P6")
@pytest.mark.parametrize(
    "url",
    [
        "https://app.example.com/done/",
        "https://app.example.com/other",
        "https://app.example.com.evil.example/done",
        "https://evil.example/done?tab=integrations",
        "https://app.example.com@evil.example/done",
        "https://app.example.com/done#fragment",
        "http://app.example.com/done",
        "https://app.example.com:444/done",
        "https://APP.example.com/done",
        "https://app.example.com/x/../done",
        "javascript:alert(1)",
    ],
)
async def test_unregistered_return_url_is_refused(client: Client, url: str) -> None:
    await register(client, RETURN_URL)
    answer = await asked(client, integration_slug="acme", return_url=url)
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == ["return_url"]


async def test_query_of_a_return_url_is_free(client: Client) -> None:
    await register(client, RETURN_URL)
    for url in ("https://app.example.com/done", "https://app.example.com/done?state=42"):
        assert await mode_of(client, await asked(client, integration_slug="acme", return_url=url)) == "redirect"


async def test_redirect_and_link_modes_need_no_allowed_origin(application: Application) -> None:
    client = application.client(await application.key(await application.organization(origins=())))
    await register(client, RETURN_URL)
    assert (await asked(client, integration_slug="acme")).status_code == 422
    assert (await asked(client, integration_slug="acme", return_url=RETURN_URL)).status_code == 200
    assert (await asked(client, integration_slug="acme", mode="link")).status_code == 200


async def test_session_without_an_integration_connects_the_picked_one(client: Client) -> None:
    answer = await asked(client)
    assert answer.status_code == 200
    token = answer.json()["session_token"]
    session = (await client.get(f"/v1/hosted-connection-sessions/{answer.json()['id']}")).json()
    assert session["integration_slug"] is None
    view = (await client.popup("", token)).json()
    assert view["integration"] is None
    offered = {integration["slug"]: integration["connected"] for integration in view["integrations"]}
    assert set(offered) == set(await client.integrations())
    assert offered["acme"] is False
    assert (await client.popup("", token, {"integration_slug": "acme"})).json()["integration"]["name"] == "Acme CRM"
    missing = await client.type_key(token, ACME_KEYS[GLOBEX])
    assert [error["field"] for error in missing.json()["errors"]] == ["integration_slug"]
    response = await client.type_key(token, ACME_KEYS[GLOBEX], integration_slug="acme")
    assert response.status_code == 200
    assert (await client.integrations())["acme"]["status"] == "connected"


async def test_disabled_integration_cannot_be_picked(client: Client) -> None:
    now = (await client.get("/v1/organization")).json()
    token = (await asked(client)).json()["session_token"]
    body = {name: now[name] for name in ("display_name", "allowed_origins")}
    listed = {"mode": "listed", "slugs": ["notion"]}
    assert (await client.send("PUT", "/v1/organization", {**body, "integrations": listed})).status_code == 200
    assert [integration["slug"] for integration in (await client.popup("", token)).json()["integrations"]] == ["notion"]
    assert (await client.popup("", token, {"integration_slug": "acme"})).status_code == 404
    refused = await client.type_key(token, ACME_KEYS[GLOBEX], integration_slug="acme")
    assert refused.status_code == 404


async def test_popup_list_marks_connected_integrations(client: Client) -> None:
    await client.connect("somebody_else")
    token = (await asked(client)).json()["session_token"]
    assert {
        integration["slug"]
        for integration in (await client.popup("", token)).json()["integrations"]
        if integration["connected"]
    } == set()
    await client.connect()
    assert {
        integration["slug"]
        for integration in (await client.popup("", token)).json()["integrations"]
        if integration["connected"]
    } == {"acme"}


async def test_session_without_an_integration_needs_an_enabled_one(client: Client) -> None:
    now = (await client.get("/v1/organization")).json()
    body = {name: now[name] for name in ("display_name", "allowed_origins")}
    none = {"mode": "listed", "slugs": []}
    assert (await client.send("PUT", "/v1/organization", {**body, "integrations": none})).status_code == 200
    answer = await asked(client)
    assert [error["field"] for error in answer.json()["errors"]] == ["integration_slug"]
