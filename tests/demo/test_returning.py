"""The playground's way back from One Runtime: redeemed for who is signed in, and for nobody else."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2
import pytest

from tests.running_demo import Demo

pytestmark = pytest.mark.slow


@pytest.fixture
def browser_of_ada(demo: Demo) -> Iterator[httpx2.Client]:
    """A client that stores cookies and does not follow redirects."""
    with httpx2.Client(base_url=demo.playground) as client:
        yield client


def sign_in(client: httpx2.Client, end_user_id: str) -> None:
    client.post("/api/sign-in", json={"end_user_id": end_user_id}).raise_for_status()


def sent_to_one_runtime(client: httpx2.Client) -> str:
    """The session's token, from the address that the browser is sent to."""
    session = client.post("/api/sessions", json={"integration_slug": "acme", "way": "redirect"}).json()
    query: dict[str, str] = dict(parse_qsl(urlsplit(session["connect_url"]).query))
    return query["session_token"]


def post_form(demo: Demo, token: str, step: str, **more: str) -> httpx2.Response:
    """A form of One Runtime's page, as a browser posts it."""
    form = {"session_token": token, "step": step, **more}
    return httpx2.post(f"{demo.url}/connect", data=form, headers={"Origin": demo.url, "Sec-Fetch-Site": "same-origin"})


def connect(demo: Demo, token: str, key: str) -> httpx2.Response:
    typed = {"integration_slug": "acme", "auth_type": "api_key", "credentials.api_key": key}
    return post_form(demo, token, "connect", **typed)


def returned(client: httpx2.Client, address: str) -> dict[str, Any]:
    """Return the result for the page at the return URL."""
    answer = client.get(address)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    facts = answer.text.partition('id="facts">')[2].partition("</script>")[0]
    told: dict[str, Any] = json.loads(facts)["returned"]
    return told


def accounts(demo: Demo, end_user_id: str) -> list[str]:
    """Return the connected accounts, read with the API key."""
    headers = {"Authorization": f"Bearer {demo.api_key}"}
    answer = httpx2.get(f"{demo.url}/v1/connections", params={"end_user_id": end_user_id}, headers=headers)
    return [one["account"]["label"] for one in answer.json()["connections"]]


def test_return_of_the_signed_in_user_connects(demo: Demo, browser_of_ada: httpx2.Client) -> None:
    sign_in(browser_of_ada, "returns-ada")
    back = connect(demo, sent_to_one_runtime(browser_of_ada), demo.acme_key)
    assert back.status_code == 303
    assert accounts(demo, "returns-ada") == []
    told = returned(browser_of_ada, back.headers["location"])
    assert (told["status"], told["integration_slug"]) == ("connected", "acme")
    assert accounts(demo, "returns-ada") == ["Globex Corporation"]


def test_redemption_is_listed_as_curl_without_the_code(demo: Demo, browser_of_ada: httpx2.Client) -> None:
    sign_in(browser_of_ada, "returns-listed")
    address = connect(demo, sent_to_one_runtime(browser_of_ada), demo.acme_key).headers["location"]
    (request,) = returned(browser_of_ada, address)["requests"]
    assert request["target"].endswith("/redeem")
    assert '"code": "orcc_…", "end_user_id": "returns-listed"' in request["curl"]
    assert dict(parse_qsl(urlsplit(address).query))["code"] not in browser_of_ada.get(address).text


def test_second_return_is_harmless(demo: Demo, browser_of_ada: httpx2.Client) -> None:
    sign_in(browser_of_ada, "returns-twice")
    address = connect(demo, sent_to_one_runtime(browser_of_ada), demo.acme_key).headers["location"]
    assert [returned(browser_of_ada, address)["status"] for _ in range(2)] == ["connected", "connected"]
    browser_of_ada.post("/api/disconnect", json={"integration_slug": "acme"})
    assert returned(browser_of_ada, address)["sentence"] == "That was connected, and has been disconnected since."
    assert accounts(demo, "returns-twice") == []


@pytest.mark.promise("P6")
def test_return_of_another_signed_in_user_connects_nothing(demo: Demo, browser_of_ada: httpx2.Client) -> None:
    sign_in(browser_of_ada, "returns-attacker")
    address = connect(demo, sent_to_one_runtime(browser_of_ada), demo.acme_key).headers["location"]
    sign_in(browser_of_ada, "user_456")
    told = returned(browser_of_ada, address)
    assert told["status"] == "error"
    assert "Another user started this, and Tomás Reyes is signed in here" in told["sentence"]
    assert "returns-attacker" not in told["sentence"]
    assert told["requests"][0]["status"] == 409
    sign_in(browser_of_ada, "returns-attacker")
    assert returned(browser_of_ada, address)["status"] == "error"
    assert accounts(demo, "returns-attacker") == accounts(demo, "user_456") == []


def test_cancelled_returns_as_cancelled(demo: Demo, browser_of_ada: httpx2.Client) -> None:
    sign_in(browser_of_ada, "returns-cancels")
    back = post_form(demo, sent_to_one_runtime(browser_of_ada), "cancel")
    told = returned(browser_of_ada, back.headers["location"])
    assert (told["status"], told["sentence"]) == ("cancelled", "Cancelled. Nothing was connected.")
    assert told["requests"] == []


def test_error_returns_with_its_reason_for_the_signed_in_user_only(demo: Demo, browser_of_ada: httpx2.Client) -> None:
    sign_in(browser_of_ada, "returns-fails")
    token = sent_to_one_runtime(browser_of_ada)
    for _ in range(10):
        assert connect(demo, token, "acme_wrong_wrong").status_code != 303
    ended = connect(demo, token, demo.acme_key)
    address = ended.text.partition(f'href="{demo.playground}/connected?')[2].partition('"')[0].replace("&amp;", "&")
    told = returned(browser_of_ada, f"/connected?{address}")
    assert told["status"] == "error"
    assert told["sentence"].startswith("Too many attempts were refused, so nothing was connected.")
    assert "No Acme CRM account has this API key" in told["sentence"]
    sign_in(browser_of_ada, "returns-curious")
    assert "Acme" not in returned(browser_of_ada, f"/connected?{address}")["sentence"]


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
def test_forged_return_url_connects_nothing(demo: Demo, browser_of_ada: httpx2.Client, query: str) -> None:
    told = returned(browser_of_ada, f"/connected?{query}")
    assert told["status"] == "error"
    assert told["sentence"].startswith("Nothing was connected.")
    assert all(request["status"] in {404, 405, 422} for request in told["requests"])
