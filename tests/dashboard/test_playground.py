"""The playground: the list, sessions and calls of a member, and the code for them."""

import json
import re
from html import unescape
from typing import Any, Final

import pytest

from one_runtime.dashboard.playground import MAX_SHOWN
from one_runtime.demo.acme import GLOBEX
from tests.application import ACME_KEYS
from tests.dashboard.team import Team, text_of

CALL: Final = {"end_user_id": "user_1", "integration_slug": "acme", "method": "GET", "path": "/v1/contacts", "body": ""}


def body_of(page: str) -> Any:
    """Return the JSON of the response that the page shows."""
    [found] = re.findall(r'<pre class="response"[^>]*><code>(.*?)</code>', page, re.DOTALL)
    return json.loads(unescape(found))


async def test_list_is_that_of_the_api(team: Team) -> None:
    await team.api.connect("user_1")
    browser = await team.browser("developer")
    page = await browser.get("playground", end_user_id="user_1", status="connected")
    answer = await team.api.get("/v1/integrations", end_user_id="user_1", status="connected", logo="none")
    assert body_of(page.text) == answer.json()
    everything = await browser.get("playground", end_user_id="user_1")
    assert f"shows the first {MAX_SHOWN:,} characters" in text_of(everything)
    assert len(everything.text) < 2 * MAX_SHOWN + 20_000
    assert (await browser.get("playground", end_user_id="")).status_code == 422


async def test_session_in_the_mode_link_is_shown_once_and_opens_the_page(team: Team) -> None:
    browser = await team.browser("developer")
    page = await browser.post(
        "playground/sessions", {"end_user_id": "user_1", "integration_slug": "acme", "mode": "link"}
    )
    assert page.status_code == 200
    session_id = body_of(page.text)["id"]
    [address] = set(re.findall(r'href="([^"]*session_token=[^"]*)"', page.text))
    opened = await team.application.client("").http.get(unescape(address))
    assert "Northwind" in opened.text
    session = (await team.api.get(f"/v1/hosted-connection-sessions/{session_id}")).json()
    assert (session["status"], session["end_user_id"]) == ("pending", "user_1")
    assert "orcs_" not in (await browser.get("playground/sessions")).text
    newest = (await team.api.get("/v1/events")).json()["events"][0]
    assert (newest["type"], newest["actor"]["id"]) == ("hosted_connection_session.created", browser.member_id)


async def test_embedded_session_allows_only_the_dashboard(team: Team) -> None:
    browser = await team.browser("developer")
    page = await browser.post("playground/sessions", {"end_user_id": "user_1", "mode": "embed"})
    [token] = re.findall(r'data-session-token="([^"]+)"', page.text)
    frame = await team.application.client("").http.get("/connect", params={"session_token": token})
    assert "frame-ancestors http://127.0.0.1:8003" in frame.headers["content-security-policy"].split("; ")


async def test_session_that_is_not_possible_shows_the_reason(team: Team) -> None:
    browser = await team.browser("developer")
    for fields, status, reason in (
        ({"end_user_id": ""}, 422, "Enter your own identifier"),
        ({"end_user_id": "user_1", "integration_slug": "nothing"}, 200, "404"),
    ):
        page = await browser.post("playground/sessions", fields)
        assert page.status_code == status
        assert reason in text_of(page)
        assert "orcs_" not in page.text


async def test_call_goes_through_the_connection_of_the_end_user(team: Team) -> None:
    connection = await team.api.connect("user_1")
    browser = await team.browser("developer")
    page = await browser.post("playground/calls", CALL)
    assert "200 from the provider" in text_of(page)
    assert body_of(page.text)["contacts"]
    assert ACME_KEYS[GLOBEX] not in page.text
    await team.application.app.services.request_log.flush()
    [logged] = (await team.api.get("/v1/proxy-requests")).json()["proxy_requests"]
    assert (logged["connection_id"], logged["path"], logged["api_key_id"]) == (connection["id"], "/v1/contacts", None)
    assert logged["member_id"] == browser.member_id
    shown = text_of(await (await team.browser("support")).get(f"requests/{logged['id']}"))
    assert f"Caller Member developer-{str(browser.member_id)[-6:]}@example.com" in shown
    missing = await browser.post("playground/calls", {**CALL, "path": "/v1/contacts/missing?x=1"})
    assert "404 from the provider" in text_of(missing)


@pytest.mark.parametrize(
    "change,status,reason",
    [
        ({"end_user_id": "user_2"}, 200, "connect_required"),
        ({"integration_slug": "nothing"}, 200, "not_found"),
        ({"path": "contacts"}, 422, "begins with /"),
        ({"path": "/a b"}, 200, ""),
        ({"path": "/ü"}, 422, "percent-encoded"),
        ({"path": "/../secret"}, 200, "invalid_input"),
        ({"path": "/..#secret"}, 200, "invalid_input"),
        ({"method": "TRACE"}, 422, "Choose one of"),
        ({"body": "x" * 300_000, "method": "POST"}, 422, "at most 256 kB"),
        ({"end_user_id": "x" * 256}, 422, "1 to 255 characters"),
    ],
)
async def test_call_that_is_not_possible_shows_the_reason(
    team: Team, change: dict[str, str], status: int, reason: str
) -> None:
    await team.api.connect("user_1")
    page = await (await team.browser("developer")).post("playground/calls", {**CALL, **change})
    assert page.status_code == status, text_of(page)
    assert reason in text_of(page)


async def test_support_has_no_playground(team: Team) -> None:
    browser = await team.browser("support")
    for path in ("playground", "playground/sessions", "playground/calls"):
        assert (await browser.get(path)).status_code == 403
        assert (await browser.post(path, CALL)).status_code in {403, 405}
    assert 'href="/o/' + team.organization_id + '/playground"' not in (await browser.get()).text
