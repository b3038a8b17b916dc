"""P11: no response, page, header, event or stored error contains a secret, whatever a provider returns."""

import base64
import json
import re
from collections.abc import Callable
from textwrap import wrap
from urllib.parse import quote

import httpx2
import pytest

from one_runtime.demo.acme import GLOBEX
from tests.application import ACME_KEYS, Application, Client
from tests.promises.canaries import join_texts, leaks
from tests.promises.hostile import Hostile, accepted
from tests.promises.stores import everything_stored

pytestmark = pytest.mark.promise("P11")

KEY = ACME_KEYS[GLOBEX]
MARKUP = '<script src="https://evil.example/x.js"></script><img src=x onerror=alert(1)>'
THIRD_PARTY = re.compile(r"""(?:src|href|action|srcset|poster|data)\s*=\s*["']?(?:https?:)?//""")
INVISIBLE = "\u00ad\u200b\u2060\ufeff"

ECHOES: dict[str, Callable[[str], str]] = {
    "as it is": lambda key: f"Invalid key {key}.",
    "twice": lambda key: f"{key}{key}",
    "in capitals": lambda key: f"INVALID KEY {key.upper()}.",
    "percent-encoded": lambda key: f"No route /keys/{quote(key, safe='')}?",
    "with invisible characters in it": lambda key: f"Invalid key {key[:9]}\u200b{key[9:]}.",
    "with a byte order mark and a word joiner in it": lambda key: f"Invalid key \ufeff{key[:3]}\u2060{key[3:]}.",
    "with a soft hyphen in it": lambda key: f"Invalid key {key[:9]}\u00ad{key[9:]}.",
    "with a soft hyphen after every eight characters": lambda key: "Invalid key " + "\u00ad".join(wrap(key, 8)),
    "its first 18 characters": lambda key: f"Invalid key {key[:18]}...",
    "its last 18 characters": lambda key: f"Invalid key ...{key[-18:]}",
    "in base64": lambda key: f"Bad header {base64.b64encode(key.encode()).decode()}",
    "in its header": lambda key: f"Bad header Authorization: Bearer {key}",
    "at the edge of what is kept": lambda key: "x" * 285 + key,
}


def visible(content: bytes) -> bytes:
    """Return the content without invisible characters, as a person reads it."""
    for character in INVISIBLE:
        content = content.replace(character.encode(), b"").replace(json.dumps(character)[1:-1].encode(), b"")
    return content


@pytest.mark.slow
@pytest.mark.parametrize("how", ECHOES)
async def test_key_that_the_provider_echoes_is_in_no_output(hostile: Hostile, how: str) -> None:
    session = await hostile.client.session()
    hostile.refuses_with(ECHOES[how])
    refused = await hostile.client.type_key(session["session_token"], KEY)
    assert (refused.status_code, refused.json()["code"]) == (422, "credentials_refused")
    paths = (f"/v1/hosted-connection-sessions/{session['id']}", "/v1/events")
    responses = [refused.text, *[(await hostile.client.get(path)).text for path in paths]]
    body = {"integration_slug": "acme", "end_user_id": "user_123", "auth_type": "api_key"}
    responses.append((await hostile.client.post("/v1/connections", {**body, "credentials": {"api_key": KEY}})).text)
    canaries = {"key": KEY, "its start": KEY[:16], "its end": KEY[-16:]}
    answers = visible(join_texts(responses))
    assert leaks(canaries, {"answers": answers, "in capitals": answers.lower()}) == []
    stored = everything_stored(hostile.application.installation)
    assert leaks(canaries, {place: visible(content) for place, content in stored.items()}) == []


async def test_key_that_is_refused_later_is_not_stored_with_the_reason(hostile: Hostile) -> None:
    hostile.answers(accepted())
    connection = await hostile.client.connect(key=KEY)
    hostile.refuses_with(lambda key: f"The key {key} was revoked.")
    checked = (await hostile.client.post(f"/v1/connections/{connection['id']}/check")).json()
    assert checked["working"] is False
    assert checked["reason"] == checked["connection"]["error"]["message"] == "The key … was revoked."
    assert leaks({"key": KEY}, everything_stored(hostile.application.installation)) == []


@pytest.mark.parametrize("part", ["account id", "account name"])
async def test_account_name_that_contains_the_key_is_not_stored(hostile: Hostile, part: str) -> None:
    """One Runtime stores the account's id and name in plain text (docs/security.md)."""
    hostile.answers(accepted(KEY if part == "account id" else "acc_1", f"Key {KEY}" if part != "account id" else "A"))
    session = await hostile.client.session()
    connected = await hostile.client.type_key(session["session_token"], KEY)
    assert connected.status_code == 200
    responses = connected.text + (await hostile.client.get("/v1/connections")).text
    assert leaks({"key": KEY}, {"answers": responses.encode()}) == []
    assert leaks({"key": KEY}, everything_stored(hostile.application.installation)) == []


@pytest.mark.parametrize("words", [MARKUP, "one\r\ntwo\x1b[31m\x00\u202ethree\u2028", "x" * 5000, f"{MARKUP}" * 50])
async def test_provider_message_is_one_line_of_plain_text(hostile: Hostile, words: str) -> None:
    session = await hostile.client.session()
    hostile.refuses_with(lambda _: words)
    refused = await hostile.client.type_key(session["session_token"], KEY)
    reason = refused.json()["provider_reason"]
    assert 0 < len(reason) <= 300
    assert reason.isprintable()
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.headers["cache-control"] == "no-store"
    page = await hostile.client.get("/connect", session_token=session["session_token"])
    assert "evil.example" not in page.text
    assert "onerror" not in page.text


async def test_typed_values_are_in_no_response_to_an_invalid_request(application: Application, client: Client) -> None:
    typed = "canary_0123456789abcdef"
    token = (await client.session())["session_token"]
    head = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    bodies = (
        {"auth_type": "api_key", "credentials": {"api_key": typed}},
        {"auth_type": "api_key", "credentials": {"api_key": [typed]}},
        {"auth_type": "api_key", "credentials": typed},
        {"auth_type": "api_key", "credentials": {"unknown": typed}},
        {"auth_type": "api_key", "params": {"api_key": typed}},
        {"auth_type": "none", "credentials": {"api_key": typed}},
        {"auth_type": "api_key", "credentials": {"api_key": typed}, "more": typed},
    )
    answers = [await client.popup("/connect", token, body) for body in bodies]
    imported = {"integration_slug": "acme", "end_user_id": "user_123"}
    answers += [await client.post("/v1/connections", {**imported, **body}) for body in bodies]
    broken = f'{{"credentials": {{"api_key": "{typed}"'.encode()
    answers.append(await client.http.post("/connect/session/connect", content=broken, headers=head))
    answers.append(
        await client.http.post("/v1/connections", content=broken, headers={"content-type": "application/json"})
    )
    assert {answer.status_code for answer in answers} <= {400, 422}
    responses = join_texts(answer.text + str(answer.headers) for answer in answers)
    assert leaks({"typed": typed, "token": token}, {"answers": responses}) == []


async def test_logos_are_served_in_a_sandbox(application: Application, client: Client) -> None:
    catalog = application.installation.catalog
    for integration in catalog.integrations:
        logo = await client.get(f"/logos/{catalog.logo_hash(integration.slug)}/{integration.slug}.svg")
        assert (logo.status_code, logo.headers["content-type"]) == (200, "image/svg+xml")
        policy = [part.strip() for part in logo.headers["content-security-policy"].split(";")]
        assert {"sandbox", "default-src 'none'"} <= set(policy)
        assert logo.headers["x-content-type-options"] == "nosniff"


async def pages(client: Client) -> list[httpx2.Response]:
    """Return the hosted page in each state."""
    session, over = await client.session(), await client.session("user_456")
    assert (await client.popup("/cancel", over["session_token"])).status_code == 204
    requests = [
        ({"session_token": session["session_token"]}, "iframe"),
        ({"session": session["id"]}, "iframe"),
        ({"session_token": session["session_token"]}, "document"),
        ({"session_token": over["session_token"]}, "iframe"),
        ({"session_token": f'"><script>{MARKUP}'}, "iframe"),
        ({}, "iframe"),
    ]
    return [
        await client.http.get("/connect", params=query, headers={"sec-fetch-dest": kind}) for query, kind in requests
    ]


async def test_hosted_pages_load_only_own_resources_and_run_nothing_inline(client: Client) -> None:
    for page in await pages(client):
        policy = page.headers["content-security-policy"]
        assert "unsafe" not in policy
        assert "default-src 'none'" in policy
        assert "form-action 'none'" in policy
        assert re.search(r"(?:script|style|img|connect|font|frame)-src[^;]*https?:", policy) is None
        assert THIRD_PARTY.search(page.text) is None
        assert re.search(r"<script(?![^>]*\ssrc=)|\son[a-z]+=|<style|\sstyle=", page.text) is None
        assert page.headers["x-content-type-options"] == "nosniff"
        assert page.headers["referrer-policy"] == "no-referrer"
        assert page.headers["cache-control"] == "no-store"
        assert "set-cookie" not in page.headers


async def test_page_does_not_contain_the_token_that_opened_it(client: Client) -> None:
    token = (await client.session())["session_token"]
    page = await client.get("/connect", session_token=token, request_id="r1")
    assert leaks({"token": token}, {"page": page.content, "headers": str(page.headers).encode()}) == []
