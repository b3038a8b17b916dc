"""P6, modes `redirect` and `link`: their pages stand in a window of their own, and go on by a press of ours only."""

import re
from html import unescape
from typing import Any, Final

import httpx2
import pytest

from one_runtime.connect.screens import origin_of
from one_runtime.demo.acme import GLOBEX, INITECH
from tests.application import ACME_KEYS, ORIGIN, PUBLIC_URL, Application, Client

pytestmark = pytest.mark.promise("P6")

RETURN_URL: Final = "https://app.example.com:8443/done?tab=integrations"
WINDOW: Final = {"sec-fetch-dest": "document", "sec-fetch-mode": "navigate"}
OURS: Final = {**WINDOW, "sec-fetch-site": "same-origin"}
KEY_FIELD: Final = 'name="credentials.api_key"'
CONFIRMATION: Final = "Only go on if you were expecting this."


async def link(client: Client, **more: Any) -> dict[str, Any]:
    names = {"end_user_name": "Ada Lovelace", "end_user_email": "ada@example.com"}
    return await client.session(**{"mode": "link", **names, **more})


async def redirect(client: Client, **more: Any) -> dict[str, Any]:
    now = (await client.get("/v1/organization")).json()
    body = {name: now[name] for name in ("display_name", "allowed_origins")}
    assert (await client.send("PUT", "/v1/organization", {**body, "return_urls": [RETURN_URL]})).status_code == 200
    return await client.session(**{"return_url": RETURN_URL, **more})


async def opened(client: Client, session: dict[str, Any], headers: dict[str, str] = WINDOW) -> httpx2.Response:
    return await client.http.get(session["connect_url"], headers=headers)


async def posted(
    client: Client, session: dict[str, Any], step: str, headers: dict[str, str] = OURS, **fields: Any
) -> httpx2.Response:
    form = {"session_token": session["session_token"], "step": step, **fields}
    return await client.http.post("/connect", data=form, headers=headers)


async def typed(client: Client, session: dict[str, Any], key: str, **fields: Any) -> httpx2.Response:
    return await posted(client, session, "connect", auth_type="api_key", **{"credentials.api_key": key, **fields})


def directive(page: httpx2.Response, name: str) -> str:
    parts = [part.strip().partition(" ") for part in page.headers["content-security-policy"].split(";")]
    return next(rest for found, _, rest in parts if found == name)


def told(page: httpx2.Response) -> str:
    """Return the text of a page without its markup."""
    return unescape(re.sub(r"<[^>]+>", "", page.text))


async def test_a_link_says_who_asks_for_whom_and_for_what_and_wants_a_confirmation_first(client: Client) -> None:
    session = await link(client)
    for _ in range(2):
        page = await opened(client, session)
        assert page.status_code == 200
        for said in ("Northwind", "Ada Lovelace", "ada@example.com", "Acme CRM", CONFIRMATION):
            assert said in told(page)
        assert KEY_FIELD not in page.text
    assert KEY_FIELD in (await posted(client, session, "confirm")).text


async def test_a_link_for_an_end_user_without_a_name_shows_the_identifier(client: Client) -> None:
    page = await opened(client, await client.session("user_of_theirs", mode="link"))
    assert "user_of_theirs" in told(page)


async def test_opening_a_link_again_confirms_again_whatever_was_done_before(client: Client) -> None:
    session = await link(client)
    assert KEY_FIELD in (await posted(client, session, "confirm")).text
    for page in (await opened(client, session), await posted(client, session, "resume")):
        assert CONFIRMATION in told(page)
        assert KEY_FIELD not in page.text


async def test_a_scanner_of_links_opens_no_session(client: Client) -> None:
    """Opened, a session lives on for an hour: a link in a mailbox that is scanned should not."""
    session = await link(client, expires_in=60)
    for method in ("GET", "HEAD"):
        assert (await client.http.request(method, session["connect_url"])).status_code == 200
    path = f"/v1/hosted-connection-sessions/{session['id']}"
    assert (await client.get(path)).json()["expires_at"] == session["expires_at"]
    await posted(client, session, "confirm")
    assert (await client.get(path)).json()["expires_at"] > session["expires_at"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "cross-site", "origin": PUBLIC_URL},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
        {"sec-fetch-site": ""},
        {"origin": "null"},
        {"origin": "https://evil.example"},
        {"origin": f"{PUBLIC_URL}.evil.example"},
        {"origin": ORIGIN},
        {},
    ],
)
@pytest.mark.parametrize("step", ["confirm", "show", "connect", "cancel"])
async def test_a_form_that_does_not_come_from_our_own_page_is_refused(
    client: Client, step: str, headers: dict[str, str]
) -> None:
    session = await link(client)
    fields: dict[str, Any] = {"auth_type": "api_key", "credentials.api_key": ACME_KEYS[GLOBEX]}
    page = await posted(client, session, step, {**WINDOW, **headers}, **fields)
    assert page.status_code == 403
    assert "We didn’t go on" in told(page)
    assert "<form" not in page.text
    state = await client.get(f"/v1/hosted-connection-sessions/{session['id']}")
    assert state.json()["status"] == "pending"
    assert (await client.integrations())["acme"]["status"] == "not_connected"


@pytest.mark.parametrize("headers", [{"sec-fetch-site": "same-origin", "origin": "null"}, {"origin": PUBLIC_URL}])
async def test_a_form_of_our_own_page_goes_on(client: Client, headers: dict[str, str]) -> None:
    """As browsers send it: under our `Referrer-Policy: no-referrer` the origin is null."""
    page = await posted(client, await link(client), "confirm", {**WINDOW, **headers})
    assert KEY_FIELD in page.text


@pytest.mark.parametrize("destination", ["iframe", "frame", "embed", "object", "fencedframe"])
async def test_neither_mode_shows_anything_inside_of_another_page(client: Client, destination: str) -> None:
    inside = {"sec-fetch-dest": destination, "sec-fetch-site": "same-origin"}
    for session in (await link(client), await redirect(client)):
        for page in (await opened(client, session, inside), await posted(client, session, "confirm", inside)):
            assert page.status_code == 403
            assert "<form" not in page.text
            assert "Northwind" not in page.text


async def test_no_page_of_either_mode_may_be_framed(client: Client) -> None:
    pages = []
    for session in (await link(client), await redirect(client)):
        pages += [await opened(client, session), await posted(client, session, "confirm")]
        pages += [await client.get("/connect", session=session["id"]), await typed(client, session, "acme_wrong_key")]
        pages += [await posted(client, session, "confirm", WINDOW), await posted(client, session, "nothing of ours")]
        await posted(client, session, "cancel")
        pages += [await opened(client, session), await posted(client, session, "confirm")]
    for page in pages:
        assert directive(page, "frame-ancestors") == "'none'"
        assert page.headers["x-frame-options"] == "DENY"
        assert page.headers["cache-control"] == "no-store"
        assert page.headers["referrer-policy"] == "no-referrer"
        assert "set-cookie" not in page.headers


async def test_forms_go_to_us_and_in_the_mode_redirect_on_to_the_app(client: Client) -> None:
    assert directive(await opened(client, await link(client)), "form-action") == "'self'"
    page = await opened(client, await redirect(client))
    assert directive(page, "form-action") == "'self' https://app.example.com:8443"


def test_no_return_url_brings_a_directive_into_the_policy() -> None:
    for url in (
        "https://a.example;script-src *",
        "https://a.example 'unsafe-inline'",
        "javascript:alert(1)",
        "https://",
    ):
        assert origin_of(url) is None
    assert origin_of("https://bücher.example/x?y") == "https://xn--bcher-kva.example"
    assert origin_of("http://[::1]:3000/back") == "http://[::1]:3000"


async def test_a_session_works_only_in_its_mode(client: Client) -> None:
    for session in (await link(client), await redirect(client)):
        token = session["session_token"]
        for answer in (await client.popup("", token), await client.type_key(token, ACME_KEYS[GLOBEX])):
            assert (answer.status_code, answer.json()["code"]) == (409, "wrong_mode")
    embedded = await client.session()
    for step in ("confirm", "show"):
        page = await posted(client, embedded, step)
        assert "Open this from" in told(page)
        assert KEY_FIELD not in page.text
    assert KEY_FIELD not in (await typed(client, embedded, ACME_KEYS[GLOBEX])).text
    assert (await client.integrations())["acme"]["status"] == "not_connected"


async def test_the_sessions_id_alone_shows_nothing_of_it(client: Client) -> None:
    for session in (await link(client), await redirect(client, end_user_name="Ada Lovelace")):
        page = await client.get("/connect", session=session["id"])
        for said in ("Ada", "ada@example.com", "user_123", session["session_token"], KEY_FIELD):
            assert said not in page.text
        by_id = await client.http.post("/connect", data={"session_token": session["id"], "step": "show"}, headers=OURS)
        assert by_id.status_code == 404


async def test_a_forwarded_link_makes_one_connection_and_is_over(application: Application, client: Client) -> None:
    """Its holder can confirm knowingly, once, and only for the end user that the page names."""
    session = await link(client)
    assert "You can close this window." in told(await typed(client, session, ACME_KEYS[GLOBEX]))
    for page in (await opened(client, session), await typed(client, session, ACME_KEYS[INITECH])):
        assert page.status_code == 410
        assert "This has already been used" in told(page)
        assert "<form" not in page.text
    connections = (await client.get("/v1/connections", end_user_id="user_123")).json()["connections"]
    assert [one["account"]["id"] for one in connections] == [GLOBEX]


async def test_the_end_of_a_redirect_is_the_registered_address_and_counts_for_nothing_yet(client: Client) -> None:
    session = await redirect(client)
    answer = await typed(client, session, ACME_KEYS[GLOBEX])
    assert answer.status_code == 303
    assert answer.headers["location"].startswith(f"{RETURN_URL}&session_id={session['id']}&status=connected&code=orcc_")
    assert session["session_token"] not in answer.headers["location"]
    assert (answer.headers["cache-control"], answer.headers["referrer-policy"]) == ("no-store", "no-referrer")
    assert (await client.integrations())["acme"]["status"] == "not_connected"


async def test_leaving_a_redirect_goes_back_and_leaving_a_link_says_so(client: Client) -> None:
    session = await redirect(client)
    answer = await posted(client, session, "cancel")
    assert (answer.status_code, answer.headers["location"]) == (
        303,
        f"{RETURN_URL}&session_id={session['id']}&status=cancelled",
    )
    page = await posted(client, await link(client), "cancel")
    assert "Nothing was connected" in told(page)


async def test_a_redirect_that_is_over_leads_back_to_the_app(application: Application, client: Client) -> None:
    session = await redirect(client)
    application.clock.advance(minutes=11)
    page = await opened(client, session)
    assert page.status_code == 410
    assert f"{RETURN_URL}&session_id={session['id']}&status=error" in unescape(page.text)


@pytest.mark.promise("P11")
async def test_no_secret_is_ever_sent_back_to_the_page(client: Client) -> None:
    first = await link(client)
    await typed(client, first, ACME_KEYS[GLOBEX])
    session, wrong = await link(client), "acme_canary_5f1d0c"
    pages = {
        "refused": (await typed(client, session, wrong), wrong),
        "of another form": (await typed(client, session, "canary 77 of no form"), "canary 77"),
        "another account's": (await typed(client, session, ACME_KEYS[INITECH]), ACME_KEYS[INITECH]),
    }
    for what, (page, secret) in pages.items():
        assert page.status_code in {409, 422}, what
        assert KEY_FIELD in page.text, what
        assert secret not in page.text, what
        assert "Paste this again" in told(page), what
    assert "Replace the connected account?" in told(pages["another account's"][0])
    replaced = await typed(client, session, ACME_KEYS[INITECH], replace_account="yes")
    assert "You can close this window." in told(replaced)


async def test_what_is_not_secret_stays_beside_the_field_that_is_refused(client: Client) -> None:
    session = await client.session(integration_slug="zendesk", mode="link", suggested_connection_name="Ours")
    values: dict[str, Any] = {
        "params.subdomain": "-acme-",
        "credentials.email": "ada@example.com",
        "credentials.api_token": "t" * 40,
    }
    page = await posted(client, session, "connect", auth_type="api_key", name="Mine", **values)
    assert page.status_code == 422
    for kept in ("-acme-", "ada@example.com", "Mine"):
        assert f'value="{kept}"' in page.text
    assert "t" * 40 not in page.text
    assert 'aria-invalid="true"' in page.text


@pytest.mark.parametrize(
    "body",
    [
        b"session_token=a&session_token=b&step=show",
        b"session_token=%FF&step=show",
        b"step=show",
        b"session_token=a&step=other",
        b"session_token=a&step=show&unknown=1",
        b"session_token=a&step=show&" + b"&".join(b"params.p%d=1" % number for number in range(200)),
        b"\xff",
        b"",
    ],
)
async def test_what_is_no_form_of_ours_is_answered_with_a_page(client: Client, body: bytes) -> None:
    headers = {**OURS, "content-type": "application/x-www-form-urlencoded"}
    page = await client.http.post("/connect", content=body, headers=headers)
    assert page.status_code == 400
    assert "Something went wrong" in told(page)


async def test_an_endless_form_and_one_of_another_kind_are_refused(client: Client) -> None:
    form = {"content-type": "application/x-www-form-urlencoded"}
    endless = await client.http.post("/connect", content=b"a" * 300_000, headers={**OURS, **form})
    assert endless.status_code == 413
    sent = {"session_token": "a", "step": "show"}
    assert (await client.http.post("/connect", json=sent, headers=OURS)).status_code == 400


async def test_a_page_without_an_integration_carries_the_search_there_and_back(client: Client) -> None:
    session = await client.session(integration_slug=None, mode="link")
    listed = await posted(client, session, "show", search="crm", category="CRM")
    assert 'value="crm"' in listed.text
    hidden = re.findall(r'<li[^>]* hidden><button class="row" id="pick-([a-z0-9-]+)"', listed.text)
    assert "acme" not in hidden
    assert hidden
    form = await posted(client, session, "show", search="crm", category="CRM", integration_slug="acme")
    assert KEY_FIELD in form.text
    assert 'action="/connect#pick-acme"' in form.text
    assert '<input type="hidden" name="search" value="crm">' in form.text
    done = await typed(client, session, ACME_KEYS[GLOBEX], integration_slug="acme", search="crm")
    assert "Acme CRM is now connected to Northwind." in told(done)
