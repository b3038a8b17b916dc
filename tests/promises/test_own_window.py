"""P6, modes `redirect` and `link`: the pages work only as top-level pages, and accept only our own forms."""

import re
from html import unescape
from typing import Any, Final

import httpx2
import pytest

from one_runtime.connect.screens import origin_of
from one_runtime.demo.acme import GLOBEX, INITECH
from tests.application import ACME_KEYS, ORIGIN, PUBLIC_URL, Application, Client

pytestmark = [pytest.mark.promise("P6"), pytest.mark.only_database("sqlite")]  # nothing here depends on the database

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


async def open_page(client: Client, session: dict[str, Any], headers: dict[str, str] = WINDOW) -> httpx2.Response:
    return await client.http.get(session["connect_url"], headers=headers)


async def post_form(
    client: Client, session: dict[str, Any], step: str, headers: dict[str, str] = OURS, **fields: Any
) -> httpx2.Response:
    form = {"session_token": session["session_token"], "step": step, **fields}
    return await client.http.post("/connect", data=form, headers=headers)


async def submit_key(client: Client, session: dict[str, Any], key: str, **fields: Any) -> httpx2.Response:
    return await post_form(client, session, "connect", auth_type="api_key", **{"credentials.api_key": key, **fields})


def directive(page: httpx2.Response, name: str) -> str:
    parts = [part.strip().partition(" ") for part in page.headers["content-security-policy"].split(";")]
    return next(rest for directive_name, _, rest in parts if directive_name == name)


def text_of(page: httpx2.Response) -> str:
    """Return the text of a page without its markup."""
    return unescape(re.sub(r"<[^>]+>", "", page.text))


async def test_link_page_names_the_parties_and_requires_a_confirmation_first(client: Client) -> None:
    session = await link(client)
    for _ in range(2):
        page = await open_page(client, session)
        assert page.status_code == 200
        for detail in ("Northwind", "Ada Lovelace", "ada@example.com", "Acme CRM", CONFIRMATION):
            assert detail in text_of(page)
        assert KEY_FIELD not in page.text
    for page in (
        await post_form(client, session, "confirm"),
        await post_form(client, await link(client, integration_slug=None), "confirm"),
    ):
        assert "For <bdi>Ada Lovelace</bdi> · <bdi>ada@example.com</bdi>" in page.text  # each keeps its own direction
    assert KEY_FIELD in (await post_form(client, session, "confirm")).text


async def test_link_page_for_an_end_user_without_a_name_shows_the_identifier(client: Client) -> None:
    page = await open_page(client, await client.session("user_of_theirs", mode="link"))
    assert "user_of_theirs" in text_of(page)


async def test_reopened_link_requires_a_new_confirmation(client: Client) -> None:
    session = await link(client)
    assert KEY_FIELD in (await post_form(client, session, "confirm")).text
    for page in (await open_page(client, session), await post_form(client, session, "resume")):
        assert CONFIRMATION in text_of(page)
        assert KEY_FIELD not in page.text


async def test_link_scanner_opens_no_session(client: Client) -> None:
    """A session expires an hour after a person opens it. A mail scanner that loads the URL must not start this hour."""
    session = await link(client, expires_in=60)
    for method in ("GET", "HEAD"):
        assert (await client.http.request(method, session["connect_url"])).status_code == 200
    path = f"/v1/hosted-connection-sessions/{session['id']}"
    assert (await client.get(path)).json()["expires_at"] == session["expires_at"]
    await post_form(client, session, "confirm")
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
async def test_form_from_another_page_is_refused(client: Client, step: str, headers: dict[str, str]) -> None:
    session = await link(client)
    fields: dict[str, Any] = {"auth_type": "api_key", "credentials.api_key": ACME_KEYS[GLOBEX]}
    page = await post_form(client, session, step, {**WINDOW, **headers}, **fields)
    assert page.status_code == 403
    assert "This step was stopped" in text_of(page)
    assert "<form" not in page.text
    state = await client.get(f"/v1/hosted-connection-sessions/{session['id']}")
    assert state.json()["status"] == "pending"
    assert (await client.integrations())["acme"]["status"] == "not_connected"


@pytest.mark.parametrize("headers", [{"sec-fetch-site": "same-origin", "origin": "null"}, {"origin": PUBLIC_URL}])
async def test_form_of_our_own_page_is_accepted(client: Client, headers: dict[str, str]) -> None:
    """Browsers send the origin `null`, because our pages have `Referrer-Policy: no-referrer`."""
    page = await post_form(client, await link(client), "confirm", {**WINDOW, **headers})
    assert KEY_FIELD in page.text


@pytest.mark.parametrize("destination", ["iframe", "frame", "embed", "object", "fencedframe"])
async def test_neither_mode_shows_anything_inside_another_page(client: Client, destination: str) -> None:
    inside = {"sec-fetch-dest": destination, "sec-fetch-site": "same-origin"}
    for session in (await link(client), await redirect(client)):
        for page in (await open_page(client, session, inside), await post_form(client, session, "confirm", inside)):
            assert page.status_code == 403
            assert "<form" not in page.text
            assert "Northwind" not in page.text


async def test_pages_of_both_modes_forbid_framing(client: Client) -> None:
    pages = []
    for session in (await link(client), await redirect(client)):
        pages += [await open_page(client, session), await post_form(client, session, "confirm")]
        pages += [
            await client.get("/connect", session=session["id"]),
            await submit_key(client, session, "acme_wrong_key"),
        ]
        pages += [
            await post_form(client, session, "confirm", WINDOW),
            await post_form(client, session, "nothing of ours"),
        ]
        await post_form(client, session, "cancel")
        pages += [await open_page(client, session), await post_form(client, session, "confirm")]
    for page in pages:
        assert directive(page, "frame-ancestors") == "'none'"
        assert page.headers["x-frame-options"] == "DENY"
        assert page.headers["cache-control"] == "no-store"
        assert page.headers["referrer-policy"] == "no-referrer"
        assert "set-cookie" not in page.headers


async def test_policy_allows_form_targets_on_our_origin_and_the_return_urls_origin(client: Client) -> None:
    assert directive(await open_page(client, await link(client)), "form-action") == "'self'"
    page = await open_page(client, await redirect(client))
    assert directive(page, "form-action") == "'self' https://app.example.com:8443"


def test_return_url_cannot_add_a_directive_to_the_policy() -> None:
    for url in (
        "https://a.example;script-src *",
        "https://a.example 'unsafe-inline'",
        "javascript:alert(1)",
        "https://",
    ):
        assert origin_of(url) is None
    assert origin_of("https://bücher.example/x?y") == "https://xn--bcher-kva.example"
    assert origin_of("http://[::1]:3000/back") == "http://[::1]:3000"


async def test_session_works_only_in_its_mode(client: Client) -> None:
    for session in (await link(client), await redirect(client)):
        token = session["session_token"]
        for answer in (await client.popup("", token), await client.type_key(token, ACME_KEYS[GLOBEX])):
            assert (answer.status_code, answer.json()["code"]) == (409, "wrong_mode")
    embedded = await client.session()
    for step in ("confirm", "show"):
        page = await post_form(client, embedded, step)
        assert "Open this from" in text_of(page)
        assert KEY_FIELD not in page.text
    assert KEY_FIELD not in (await submit_key(client, embedded, ACME_KEYS[GLOBEX])).text
    assert (await client.integrations())["acme"]["status"] == "not_connected"


async def test_session_id_alone_shows_nothing_of_the_session(client: Client) -> None:
    for session in (await link(client), await redirect(client, end_user_name="Ada Lovelace")):
        page = await client.get("/connect", session=session["id"])
        for detail in ("Ada", "ada@example.com", "user_123", session["session_token"], KEY_FIELD):
            assert detail not in page.text
        by_id = await client.http.post("/connect", data={"session_token": session["id"], "step": "show"}, headers=OURS)
        assert by_id.status_code == 404


async def test_forwarded_link_makes_one_connection_and_ends(application: Application, client: Client) -> None:
    """The person with the link can confirm once. The page names the end user who gets the account."""
    session = await link(client)
    assert "You can close this window." in text_of(await submit_key(client, session, ACME_KEYS[GLOBEX]))
    for page in (await open_page(client, session), await submit_key(client, session, ACME_KEYS[INITECH])):
        assert page.status_code == 410
        assert "This has already been used" in text_of(page)
        assert "<form" not in page.text
    connections = (await client.get("/v1/connections", end_user_id="user_123")).json()["connections"]
    assert [connection["account"]["id"] for connection in connections] == [GLOBEX]


async def test_redirect_ends_at_the_registered_url_and_connects_nothing_yet(client: Client) -> None:
    session = await redirect(client)
    answer = await submit_key(client, session, ACME_KEYS[GLOBEX])
    assert answer.status_code == 303
    assert answer.headers["location"].startswith(f"{RETURN_URL}&session_id={session['id']}&status=connected&code=orcc_")
    assert session["session_token"] not in answer.headers["location"]
    assert (answer.headers["cache-control"], answer.headers["referrer-policy"]) == ("no-store", "no-referrer")
    assert (await client.integrations())["acme"]["status"] == "not_connected"


async def test_cancelling_a_redirect_returns_to_the_app_and_cancelling_a_link_shows_a_page(client: Client) -> None:
    session = await redirect(client)
    answer = await post_form(client, session, "cancel")
    assert (answer.status_code, answer.headers["location"]) == (
        303,
        f"{RETURN_URL}&session_id={session['id']}&status=cancelled",
    )
    page = await post_form(client, await link(client), "cancel")
    assert "Nothing was connected" in text_of(page)


async def test_expired_redirect_links_back_to_the_app(application: Application, client: Client) -> None:
    session = await redirect(client)
    application.clock.advance(minutes=11)
    page = await open_page(client, session)
    assert page.status_code == 410
    assert f"{RETURN_URL}&session_id={session['id']}&status=error" in unescape(page.text)


@pytest.mark.promise("P11")
async def test_page_never_contains_a_submitted_secret(client: Client) -> None:
    first = await link(client)
    await submit_key(client, first, ACME_KEYS[GLOBEX])
    session, wrong = await link(client), "acme_canary_5f1d0c"
    pages = {
        "refused": (await submit_key(client, session, wrong), wrong),
        "of another form": (await submit_key(client, session, "canary 77 of no form"), "canary 77"),
        "another account's": (await submit_key(client, session, ACME_KEYS[INITECH]), ACME_KEYS[INITECH]),
    }
    for what, (page, secret) in pages.items():
        assert page.status_code in {409, 422}, what
        assert KEY_FIELD in page.text, what
        assert secret not in page.text, what
        assert "Paste this again" in text_of(page), what
    assert "Replace the connected account?" in text_of(pages["another account's"][0])
    (question,) = re.findall(r'name="replace_account" value="([^"]+)"', pages["another account's"][0].text)
    replaced = await submit_key(client, session, ACME_KEYS[INITECH], replace_account=unescape(question))
    assert "You can close this window." in text_of(replaced)


async def test_values_that_are_not_secret_stay_in_a_refused_form(client: Client) -> None:
    session = await client.session(integration_slug="zendesk", mode="link", suggested_connection_name="Ours")
    values: dict[str, Any] = {
        "params.subdomain": "-acme-",
        "credentials.email": "ada@example.com",
        "credentials.api_token": "t" * 40,
    }
    page = await post_form(client, session, "connect", auth_type="api_key", name="Mine", **values)
    assert page.status_code == 422
    for value in ("-acme-", "ada@example.com", "Mine"):
        assert f'value="{value}"' in page.text
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
async def test_malformed_form_is_answered_with_a_page(client: Client, body: bytes) -> None:
    headers = {**OURS, "content-type": "application/x-www-form-urlencoded"}
    page = await client.http.post("/connect", content=body, headers=headers)
    assert page.status_code == 400
    assert "Something went wrong" in text_of(page)


async def test_too_large_form_and_json_body_are_refused(client: Client) -> None:
    form_type = {"content-type": "application/x-www-form-urlencoded"}
    endless = await client.http.post("/connect", content=b"a" * 300_000, headers={**OURS, **form_type})
    assert endless.status_code == 413
    form = {"session_token": "a", "step": "show"}
    assert (await client.http.post("/connect", json=form, headers=OURS)).status_code == 400


async def test_search_of_the_list_is_preserved_across_the_form(client: Client) -> None:
    session = await client.session(integration_slug=None, mode="link")
    listed = await post_form(client, session, "show", search="crm", category="CRM")
    assert 'value="crm"' in listed.text
    hidden = re.findall(r'<li[^>]* hidden><button class="row" id="pick-([a-z0-9-]+)"', listed.text)
    assert "acme" not in hidden
    assert hidden
    form = await post_form(client, session, "show", search="crm", category="CRM", integration_slug="acme")
    assert KEY_FIELD in form.text
    assert 'action="/connect#pick-acme"' in form.text
    assert '<input type="hidden" name="search" value="crm">' in form.text
    page = await submit_key(client, session, ACME_KEYS[GLOBEX], integration_slug="acme", search="crm")
    assert "Acme CRM is now connected to Northwind." in text_of(page)
