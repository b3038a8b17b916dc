"""Sessions in their three modes: what each wants, what each refuses, and sessions that name no integration."""

from typing import Any

import httpx2
import pytest

from one_runtime.demo.acme import GLOBEX
from tests.application import ACME_KEYS, Application, Client
from tests.redirects import register

RETURN_URL = "https://app.example.com/done?tab=integrations"


async def asked(client: Client, **body: Any) -> httpx2.Response:
    return await client.post("/v1/hosted-connection-sessions", {"end_user_id": "user_123", **body})


async def mode_of(client: Client, answer: httpx2.Response) -> str:
    assert answer.status_code == 200, answer.text
    told = (await client.get(f"/v1/hosted-connection-sessions/{answer.json()['id']}")).json()
    mode: str = told["mode"]
    return mode


async def test_the_mode_follows_from_what_is_given(client: Client) -> None:
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
async def test_what_does_not_belong_together_is_refused_and_named(
    client: Client, body: dict[str, Any], field: str
) -> None:
    await register(client, RETURN_URL)
    answer = await asked(client, **{"integration_slug": "acme", **body})
    assert answer.status_code == 422
    assert [one["field"] for one in answer.json()["errors"]] == [field]


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
async def test_an_address_that_is_not_registered_is_no_return_url(client: Client, url: str) -> None:
    await register(client, RETURN_URL)
    answer = await asked(client, integration_slug="acme", return_url=url)
    assert answer.status_code == 422
    assert [one["field"] for one in answer.json()["errors"]] == ["return_url"]


async def test_the_query_of_a_return_url_is_the_apps_own(client: Client) -> None:
    await register(client, RETURN_URL)
    for url in ("https://app.example.com/done", "https://app.example.com/done?state=42"):
        assert await mode_of(client, await asked(client, integration_slug="acme", return_url=url)) == "redirect"


async def test_redirect_and_link_need_no_allowed_origin(application: Application) -> None:
    client = application.client(await application.key(await application.organization(origins=())))
    await register(client, RETURN_URL)
    assert (await asked(client, integration_slug="acme")).status_code == 422
    assert (await asked(client, integration_slug="acme", return_url=RETURN_URL)).status_code == 200
    assert (await asked(client, integration_slug="acme", mode="link")).status_code == 200


async def test_a_session_that_names_no_integration_takes_the_one_that_is_picked(client: Client) -> None:
    answer = await asked(client)
    assert answer.status_code == 200
    token = answer.json()["session_token"]
    told = (await client.get(f"/v1/hosted-connection-sessions/{answer.json()['id']}")).json()
    assert told["integration_slug"] is None
    view = (await client.popup("", token)).json()
    assert view["integration"] is None
    offered = {one["slug"]: one["connected"] for one in view["integrations"]}
    assert set(offered) == set(await client.integrations())
    assert offered["acme"] is False
    assert (await client.popup("", token, {"integration_slug": "acme"})).json()["integration"]["name"] == "Acme CRM"
    missing = await client.type_key(token, ACME_KEYS[GLOBEX])
    assert [one["field"] for one in missing.json()["errors"]] == ["integration_slug"]
    made = await client.type_key(token, ACME_KEYS[GLOBEX], integration_slug="acme")
    assert made.status_code == 200
    assert (await client.integrations())["acme"]["status"] == "connected"


async def test_what_the_organization_does_not_offer_cannot_be_picked(client: Client) -> None:
    now = (await client.get("/v1/organization")).json()
    token = (await asked(client)).json()["session_token"]
    body = {name: now[name] for name in ("display_name", "allowed_origins")}
    listed = {"mode": "listed", "slugs": ["notion"]}
    assert (await client.send("PUT", "/v1/organization", {**body, "integrations": listed})).status_code == 200
    assert [one["slug"] for one in (await client.popup("", token)).json()["integrations"]] == ["notion"]
    assert (await client.popup("", token, {"integration_slug": "acme"})).status_code == 404
    refused = await client.type_key(token, ACME_KEYS[GLOBEX], integration_slug="acme")
    assert refused.status_code == 404


async def test_the_list_marks_what_is_connected_for_this_end_user(client: Client) -> None:
    await client.connect("somebody_else")
    token = (await asked(client)).json()["session_token"]
    assert {one["slug"] for one in (await client.popup("", token)).json()["integrations"] if one["connected"]} == set()
    await client.connect()
    assert {one["slug"] for one in (await client.popup("", token)).json()["integrations"] if one["connected"]} == {
        "acme"
    }


async def test_an_organization_that_offers_nothing_cannot_start_a_list(client: Client) -> None:
    now = (await client.get("/v1/organization")).json()
    body = {name: now[name] for name in ("display_name", "allowed_origins")}
    none = {"mode": "listed", "slugs": []}
    assert (await client.send("PUT", "/v1/organization", {**body, "integrations": none})).status_code == 200
    answer = await asked(client)
    assert [one["field"] for one in answer.json()["errors"]] == ["integration_slug"]
