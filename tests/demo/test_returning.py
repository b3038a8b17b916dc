"""The sample product's return URL: the backend redeems the code for the signed-in end user only."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2
import pytest

from tests.running_demo import Demo

pytestmark = pytest.mark.slow


@pytest.fixture
def client(demo: Demo) -> Iterator[httpx2.Client]:
    """A client that stores cookies and does not follow redirects."""
    with httpx2.Client(base_url=demo.product) as browser:
        yield browser


def sign_in(client: httpx2.Client, end_user_id: str) -> None:
    client.post("/api/sign-in", json={"end_user_id": end_user_id}).raise_for_status()


def start_redirect(client: httpx2.Client) -> str:
    """Create a session in the mode `redirect` and return its token."""
    session = client.post("/api/sessions", json={"integration_slug": "acme", "way": "redirect"}).json()
    query: dict[str, str] = dict(parse_qsl(urlsplit(session["connect_url"]).query))
    return query["session_token"]


def post_form(demo: Demo, token: str, step: str, **more: str) -> httpx2.Response:
    """Post a form of One Runtime's page as a browser does."""
    form = {"session_token": token, "step": step, **more}
    return httpx2.post(f"{demo.url}/connect", data=form, headers={"Origin": demo.url, "Sec-Fetch-Site": "same-origin"})


def connect(demo: Demo, token: str, key: str) -> httpx2.Response:
    typed = {"integration_slug": "acme", "auth_type": "api_key", "credentials.api_key": key}
    return post_form(demo, token, "connect", **typed)


def open_return_url(client: httpx2.Client, address: str) -> dict[str, Any]:
    """Open the return URL and return the outcome on its page."""
    answer = client.get(address)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    facts = answer.text.partition('id="facts">')[2].partition("</script>")[0]
    outcome: dict[str, Any] = json.loads(facts)["returned"]
    return outcome


def accounts(demo: Demo, end_user_id: str) -> list[str]:
    """Return the connected accounts, read with the API key."""
    headers = {"Authorization": f"Bearer {demo.api_key}"}
    answer = httpx2.get(f"{demo.url}/v1/connections", params={"end_user_id": end_user_id}, headers=headers)
    return [connection["account"]["label"] for connection in answer.json()["connections"]]


def test_return_of_the_signed_in_user_connects(demo: Demo, client: httpx2.Client) -> None:
    sign_in(client, "returns-ada")
    answer = connect(demo, start_redirect(client), demo.acme_key)
    assert answer.status_code == 303
    assert accounts(demo, "returns-ada") == []
    outcome = open_return_url(client, answer.headers["location"])
    assert (outcome["status"], outcome["integration_slug"]) == ("connected", "acme")
    assert accounts(demo, "returns-ada") == ["Globex Corporation"]


def test_redemption_is_listed_as_curl_without_the_code(demo: Demo, client: httpx2.Client) -> None:
    sign_in(client, "returns-listed")
    address = connect(demo, start_redirect(client), demo.acme_key).headers["location"]
    (request,) = open_return_url(client, address)["requests"]
    assert request["target"].endswith("/redeem")
    assert '"code": "orcc_…", "end_user_id": "returns-listed"' in request["curl"]
    assert dict(parse_qsl(urlsplit(address).query))["code"] not in client.get(address).text


def test_second_return_is_harmless(demo: Demo, client: httpx2.Client) -> None:
    sign_in(client, "returns-twice")
    address = connect(demo, start_redirect(client), demo.acme_key).headers["location"]
    assert [open_return_url(client, address)["status"] for _ in range(2)] == ["connected", "connected"]
    client.post("/api/disconnect", json={"integration_slug": "acme"})
    assert (
        open_return_url(client, address)["sentence"] == "This account was connected, but has been disconnected since."
    )
    assert accounts(demo, "returns-twice") == []


@pytest.mark.promise("P6")
def test_return_of_another_signed_in_user_connects_nothing(demo: Demo, client: httpx2.Client) -> None:
    sign_in(client, "returns-attacker")
    address = connect(demo, start_redirect(client), demo.acme_key).headers["location"]
    others_accounts = accounts(demo, "user_456")
    sign_in(client, "user_456")
    outcome = open_return_url(client, address)
    assert outcome["status"] == "error"
    assert "Another user started this connection, but Tomás Reyes is signed in here" in outcome["sentence"]
    assert "returns-attacker" not in outcome["sentence"]
    assert outcome["requests"][0]["status"] == 409
    sign_in(client, "returns-attacker")
    assert open_return_url(client, address)["status"] == "error"
    assert accounts(demo, "returns-attacker") == []
    assert accounts(demo, "user_456") == others_accounts


def test_cancelled_returns_as_cancelled(demo: Demo, client: httpx2.Client) -> None:
    sign_in(client, "returns-cancels")
    answer = post_form(demo, start_redirect(client), "cancel")
    outcome = open_return_url(client, answer.headers["location"])
    assert (outcome["status"], outcome["sentence"]) == ("cancelled", "Cancelled. Nothing was connected.")
    assert outcome["requests"] == []


def test_error_returns_with_its_reason_for_the_signed_in_user_only(demo: Demo, client: httpx2.Client) -> None:
    sign_in(client, "returns-fails")
    token = start_redirect(client)
    for _ in range(10):
        assert connect(demo, token, "acme_wrong_wrong").status_code != 303
    answer = connect(demo, token, demo.acme_key)
    address = answer.text.partition(f'href="{demo.product}/connected?')[2].partition('"')[0].replace("&amp;", "&")
    outcome = open_return_url(client, f"/connected?{address}")
    assert outcome["status"] == "error"
    assert outcome["sentence"].startswith("Too many attempts were refused, so nothing was connected.")
    assert "No Acme CRM account has this API key" in outcome["sentence"]
    sign_in(client, "returns-curious")
    assert "Acme" not in open_return_url(client, f"/connected?{address}")["sentence"]


@pytest.mark.parametrize(
    "query",
    [
        "",
        "status=error",
        "status=connected",
        "status=connected&code=orcc_x&session_id=..%2F..%2Fdisconnect%3F",
        "status=x",
    ],
)
def test_forged_return_url_connects_nothing(demo: Demo, client: httpx2.Client, query: str) -> None:
    outcome = open_return_url(client, f"/connected?{query}")
    assert outcome["status"] == "error"
    assert outcome["sentence"].startswith("Nothing was connected.")
    assert all(request["status"] in {404, 405, 422} for request in outcome["requests"])
