"""P6, mode `embed`: the popup works only in pages of allowed origins, and a visit of its URL alone has no effect."""

from dataclasses import replace

import httpx2
import pytest

from one_runtime.demo.acme import GLOBEX
from one_runtime.tenancy import organizations
from one_runtime.tenancy.events import Actor
from tests.application import ACME_KEYS, ORIGIN, Application, Client

pytestmark = pytest.mark.promise("P6")

FORM = 'data-state="open"'
FRAMED = {"sec-fetch-dest": "iframe"}


def ancestors(page: httpx2.Response) -> list[str]:
    directives = [part.strip() for part in page.headers["content-security-policy"].split(";")]
    (ancestors_directive,) = [directive for directive in directives if directive.startswith("frame-ancestors")]
    return ancestors_directive.split()[1:]


async def opened(client: Client, token: str, **headers: str) -> httpx2.Response:
    return await client.http.get("/connect", params={"session_token": token}, headers=headers or FRAMED)


async def set_origins(application: Application, client: Client, *origins: str) -> None:
    organization_id = (await client.get("/v1/organization")).json()["id"]
    async with application.installation.database.write() as tx:
        organization = await organizations.get(tx, organization_id)
        changed = replace(organization, allowed_origins=origins)
        await organizations.save(tx, Actor(organization_id, "system"), changed, application.clock())


async def test_only_the_organizations_origins_may_frame_the_page(application: Application, client: Client) -> None:
    await set_origins(application, client, ORIGIN, "http://localhost:3000")
    page = await opened(client, (await client.session())["session_token"])
    assert FORM in page.text
    assert ancestors(page) == [ORIGIN, "http://localhost:3000"]


async def test_origins_of_a_session_replace_those_of_the_organization(client: Client) -> None:
    session = await client.session(allowed_origins=["https://embed.example.org:8443"])
    assert ancestors(await opened(client, session["session_token"])) == ["https://embed.example.org:8443"]


async def test_origin_cannot_add_a_directive_or_a_wildcard_to_the_policy(client: Client) -> None:
    for origin in ("https://*.example.com", "*", "https://a.example;script-src *", "https://a.example b", "null"):
        body = {"integration_slug": "acme", "end_user_id": "u", "allowed_origins": [origin]}
        assert (await client.post("/v1/hosted-connection-sessions", body)).status_code == 422


async def test_reload_by_session_id_allows_the_same_origins(client: Client) -> None:
    session = await client.session()
    page = await client.http.get("/connect", params={"session": session["id"]}, headers=FRAMED)
    assert (FORM in page.text, ancestors(page)) == (True, [ORIGIN])


@pytest.mark.parametrize("by", ["session_token", "session"])
async def test_top_level_page_shows_no_form(client: Client, by: str) -> None:
    session = await client.session()
    value = session["session_token"] if by == "session_token" else session["id"]
    page = await client.http.get("/connect", params={by: value}, headers={"sec-fetch-dest": "document"})
    assert 'data-state="top_level"' in page.text
    assert FORM not in page.text
    assert "<form" not in page.text
    assert ancestors(page) == ["'none'"]


async def test_session_without_allowed_origins_is_refused_with_instructions(
    application: Application, client: Client
) -> None:
    await set_origins(application, client)
    answer = await client.post("/v1/hosted-connection-sessions", {"integration_slug": "acme", "end_user_id": "u"})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "allowed_origins"
    assert "/v1/organization" in answer.json()["detail"]


async def test_session_whose_origins_were_removed_shows_a_clear_page(application: Application, client: Client) -> None:
    session = await client.session()
    await set_origins(application, client)
    page = await opened(client, session["session_token"])
    assert page.status_code == 409
    assert 'data-state="no_origins"' in page.text
    assert FORM not in page.text
    assert session["session_token"] not in page.text


async def test_session_id_alone_authorizes_nothing(client: Client) -> None:
    session = await client.session("user_123", end_user_name="Ada Lovelace", end_user_email="ada@example.com")
    for step in ("", "/cancel"):
        assert (await client.popup(step, session["id"])).status_code == 401
    assert (await client.type_key(session["id"], ACME_KEYS[GLOBEX])).status_code == 401
    page = await client.http.get("/connect", params={"session": session["id"]}, headers=FRAMED)
    for detail in ("Ada", "ada@example.com", "user_123", session["session_token"]):
        assert detail not in page.text


async def test_token_outside_the_header_authorizes_nothing(application: Application, client: Client) -> None:
    """A form or an image in a foreign page can send URLs and cookies. It cannot send an `Authorization` header."""
    token = (await client.session())["session_token"]
    anybody = application.client()
    for step in ("", "/search", "/connect", "/cancel"):
        path = f"/connect/session{step}"
        answers = [
            await anybody.http.post(path, params={"session_token": token}),
            await anybody.http.post(path, data={"session_token": token}),
            await anybody.http.post(path, headers={"cookie": f"session_token={token}"}),
            await anybody.http.get(path, headers={"authorization": f"Bearer {token}"}),
        ]
        assert [answer.status_code for answer in answers] == [401, 401, 401, 405]


async def test_cors_allows_no_foreign_page_to_call_the_popups_routes(client: Client) -> None:
    token = (await client.session())["session_token"]
    foreign = {"origin": "https://evil.example", "authorization": f"Bearer {token}"}
    preflight = {**foreign, "access-control-request-method": "POST", "access-control-request-headers": "authorization"}
    for step in ("", "/search", "/connect", "/cancel"):
        answer = await client.http.options(f"/connect/session{step}", headers=preflight)
        assert answer.status_code == 405
        assert "access-control-allow-origin" not in answer.headers
    assert "access-control-allow-origin" not in (await client.http.post("/connect/session", headers=foreign)).headers
    assert "access-control-allow-origin" not in (await opened(client, token, origin="https://evil.example")).headers
