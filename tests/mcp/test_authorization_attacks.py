"""Hostile requests to the authorization server. Each case fails if its check is removed."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from html import unescape
from typing import Any, Final

import httpx2
import pytest
import pytest_asyncio
from sqlalchemy import select

from one_runtime.agents.authorization import client_documents
from one_runtime.connect import agent_authorization
from one_runtime.db.schema import metadata
from one_runtime.egress.network import Network
from one_runtime.encryption.vault import Vault, new_key, parse_keys
from one_runtime.settings import Settings
from one_runtime.tenancy import token_renewal
from tests.agent_clients import REDIRECT_URI, OAuthAgent, Publisher, oauth_agent, publishing, query_of
from tests.application import PUBLIC_URL, Application, RunningAcme, started
from tests.egress.upstream import running_upstream
from tests.mcp.test_authorization import post
from tests.purging import purge
from tests.waiting import eventually

VERIFIER_OF_OTHERS: Final = "another-code-verifier-which-has-43-characters"


@pytest_asyncio.fixture
async def publisher() -> AsyncIterator[Publisher]:
    async with publishing() as publisher:
        yield publisher


@pytest.fixture
def network(publisher: Publisher) -> Network:
    return publisher.network


@pytest_asyncio.fixture
async def agent(application: Application, publisher: Publisher) -> OAuthAgent:
    return await oauth_agent(application, publisher)


def link_of(page: str) -> str | None:
    """Return the address of the page's link to the agent, or None."""
    _, found, rest = page.partition('class="secondary" href="')
    return unescape(rest.partition('"')[0]) if found else None


NO_URL: Final = "The app&#39;s client_id must be the URL of a document."
NO_DOCUMENT: Final = "The app&#39;s client_id must be an https URL with a path and without a fragment"
NO_REDIRECT: Final = "The redirect_uri of the request is not in the app&#39;s document."
BAD_REDIRECT: Final = "redirect_uri is required: an https URL"
NO_RESOURCE: Final = "resource is required (RFC 8707)"
UNTRUSTED: Final[dict[str, tuple[dict[str, Any], str]]] = {
    "no client": ({"client_id": None}, NO_URL),
    "a client that is no URL": ({"client_id": "claude"}, NO_URL),
    "a client with credentials": ({"client_id": "https://user:secret@agent.example/client.json"}, NO_URL),
    "a client without a path": ({"client_id": "https://agent.example"}, NO_DOCUMENT),
    "a client with a fragment": ({"client_id": "https://agent.example/client.json#x"}, NO_DOCUMENT),
    "a client with dots in its path": ({"client_id": "https://agent.example/x/%2E./client.json"}, NO_DOCUMENT),
    "a long client": ({"client_id": f"https://agent.example/{'x' * client_documents.MAX_LENGTH}"}, NO_DOCUMENT),
    "a client on http": ({"client_id": "http://agent.example/client.json"}, "must be an https URL."),
    "a client on a private address": ({"client_id": "https://192.168.0.1/client.json"}, "on the public internet."),
    "a client on this machine": ({"client_id": "https://localhost/client.json"}, "on the public internet."),
    "a client whose host looks like another one": (
        {"client_id": "https://cl\u0430ude.ai/client.json"},
        "client_id must be ASCII.",
    ),
    "no redirect URI": ({"redirect_uri": None}, BAD_REDIRECT),
    "a redirect URI with a script": ({"redirect_uri": "javascript:alert(1)"}, BAD_REDIRECT),
    "a redirect URI on http": ({"redirect_uri": "http://evil.example/callback"}, BAD_REDIRECT),
    "another redirect URI": ({"redirect_uri": "https://evil.example/callback"}, NO_REDIRECT),
    "a longer path": ({"redirect_uri": f"{REDIRECT_URI}/x"}, NO_REDIRECT),
    "another query": ({"redirect_uri": f"{REDIRECT_URI}?x=1"}, NO_REDIRECT),
    "another port": ({"redirect_uri": "https://agent.example:8443/callback"}, NO_REDIRECT),
    "another path on loopback": ({"redirect_uri": "http://127.0.0.1:5000/x"}, NO_REDIRECT),
    "an impossible port on loopback": ({"redirect_uri": "http://127.0.0.1:99999/callback"}, BAD_REDIRECT),
    "another host on loopback": ({"redirect_uri": "http://localhost:5000/callback"}, NO_REDIRECT),
    "a repeated parameter": ({"client_id": [1, 2]}, "must occur only once."),
    "no resource": ({"resource": None}, NO_RESOURCE),
    "another server": ({"resource": "https://other.example/v1/mcp"}, NO_RESOURCE),
    "another path": ({"resource": f"{PUBLIC_URL}/v1/connections"}, NO_RESOURCE),
    "an unknown organization": ({"resource": f"{PUBLIC_URL}/v1/mcp/01a21078-3f60-7c15-9b24-8e7d5c4a1f02"}, NO_RESOURCE),
}
FETCHED: Final = {"another redirect URI"}
"""The first case in which only the document shows that the redirect URI is wrong. The document is then cached."""


async def test_unknown_client_or_address_gets_a_page_without_a_link(agent: OAuthAgent) -> None:
    for case, (changes, reason) in UNTRUSTED.items():
        agent.publisher.requests = 0
        page = await agent.authorize(**changes)
        assert agent.publisher.requests == 0 or case in FETCHED, case
        assert (page.status_code, "location" in page.headers) == (400, False), case
        assert link_of(page.text) is None, case
        assert "evil.example" not in page.text, case
        assert reason in page.text, case


INVALID: Final[dict[str, tuple[dict[str, Any], str]]] = {
    "implicit flow": ({"response_type": "token"}, "unsupported_response_type"),
    "no PKCE": ({"code_challenge": None, "code_challenge_method": None}, "invalid_request"),
    "PKCE without a method": ({"code_challenge_method": None}, "invalid_request"),
    "plain PKCE": ({"code_challenge_method": "plain"}, "invalid_request"),
    "a short challenge": ({"code_challenge": "x"}, "invalid_request"),
    "an unknown scope": ({"scope": "agent:read admin"}, "invalid_scope"),
    "a long state": ({"state": "x" * 2001}, "invalid_request"),
}


async def test_invalid_request_of_a_known_client_gets_a_page_with_a_link_and_no_redirect(agent: OAuthAgent) -> None:
    """An automatic redirect to the client would make One Runtime an open redirector (RFC 9700 section 4.11.2)."""
    for case, (changes, error) in INVALID.items():
        page = await agent.authorize(**changes)
        assert (page.status_code, "location" in page.headers) == (400, False), case
        link = link_of(page.text)
        assert link is not None, case
        assert link.startswith(f"{REDIRECT_URI}?"), case
        query = query_of(link)
        assert (query["error"], query["iss"]) == (error, PUBLIC_URL), case
        assert query.get("state") == (None if case == "a long state" else "state of the client"), case


def documents(publisher: Publisher) -> dict[str, dict[str, Any]]:
    """Return responses of a publisher that One Runtime must refuse."""
    document = publisher.document

    def changed(**changes: Any) -> dict[str, Any]:
        return {"document": {**document, **changes}}

    return {
        "another client": changed(client_id="https://claude.ai/client.json"),
        "no client": {"document": {name: value for name, value in document.items() if name != "client_id"}},
        "no redirect URIs": changed(redirect_uris=[]),
        "many redirect URIs": changed(redirect_uris=[REDIRECT_URI] * 51),
        "a client with a secret": changed(token_endpoint_auth_method="client_secret_basic"),
        "a client with a key": changed(token_endpoint_auth_method="private_key_jwt"),
        "another grant": changed(grant_types=["client_credentials"]),
        "another response": changed(response_types=["token"]),
        "a list": {"body": b"[]"},
        "no JSON": {"body": b"{"},
        "nested JSON": {"body": b"[" * 10_000},
        "a large document": changed(padding="x" * client_documents.MAX_BYTES),
        "a page": {"headers": {"content-type": "text/html"}},
        "no type": {"headers": {}},
        "a failure": {"status": 500},
        "a redirect": {
            "status": 302,
            "headers": {"location": f"{publisher.client_id}?x", "content-type": "application/json"},
        },
    }


async def test_document_that_does_not_describe_the_client_is_refused_and_not_cached(
    agent: OAuthAgent, publisher: Publisher
) -> None:
    good = dict(vars(publisher))
    for case, response in documents(publisher).items():
        vars(publisher).update({name: value for name, value in good.items() if name != "requests"} | response)
        page = await agent.authorize()
        assert (page.status_code, link_of(page.text)) == (400, None), case
    vars(publisher).update(good)
    assert (await agent.authorize()).status_code == 303


async def test_document_is_cached_as_its_publisher_says(
    application: Application, agent: OAuthAgent, publisher: Publisher
) -> None:
    for header, minutes, fetches in (
        ("no-store", 0, 2),
        ("max-age=600", 9, 1),
        ("max-age=600", 11, 2),
        ("max-age=99999999", 23 * 60, 1),
        ("max-age=99999999", 25 * 60, 2),
        ("", 4, 1),
        ("", 6, 2),
    ):
        application.clock.advance(days=2)
        publisher.headers["cache-control"] = header
        publisher.requests = 0
        await agent.request()
        application.clock.advance(minutes=minutes)
        await agent.request()
        assert publisher.requests == fetches, (header, minutes)


WRONG_REDIRECT_URIS: Final = (
    "javascript:alert(1)//x",
    "data:text/html,x",
    "http://evil.example/",
    "https://a@b.example/",
    "file:///x",
    *(
        f"{name}.{rest}:alert(1)"
        for name in ("javascript", "data", "file", "vbscript")
        for rest in ("x", "example.app")
    ),
    "JavaScript.x:alert(1)",
    "microsoft.windows.camera:x",
    "view-source.x:y",
    "x.y:z",
    "com.:x",
    "com..example:x",
    "com.-example:x",
    "com.example.:x",
    "com.ex+ample:x",
    "c0m.example:x",
    "myapp:/callback",
    "ms-msdt:x",
)


async def test_names_and_addresses_of_a_document_are_cleaned(agent: OAuthAgent, publisher: Publisher) -> None:
    publisher.headers["cache-control"] = "no-store"
    names = {"Cla\x00u\nde": "Cla u de", "\u202eedualC": None, 7: None, " ": None, "x" * 200: "x" * 100}
    for name, shown in names.items():
        publisher.document["client_name"] = name
        path = f"/v1/agent-authorizations/{await agent.request()}"
        assert (await agent.owner.get(path)).json()["client_name"] == shown, name
    for uri in WRONG_REDIRECT_URIS:
        publisher.document["redirect_uris"] = [uri]
        assert (await agent.authorize(redirect_uri=uri)).status_code == 400, uri
    native = {
        "cursor://anysphere.cursor-mcp/callback": "cursor:",
        "com.example.app:/callback": "com.example.app:",
        "xn--p1ai.example-1.app2://callback": "xn--p1ai.example-1.app2:",
    }
    for uri, host in native.items():
        publisher.document["redirect_uris"] = [uri]
        path = f"/v1/agent-authorizations/{await agent.request(redirect_uri=uri)}"
        assert (await agent.owner.get(path)).json()["redirect_host"] == host, uri
    publisher.document |= {
        "redirect_uris": [REDIRECT_URI],
        "token_endpoint_auth_method": "private_key_jwt",
        "token_endpoint_auth_methods_supported": ["private_key_jwt", "none"],
    }
    assert await agent.request(), "ChatGPT's document prefers another method"


@pytest.mark.parametrize("end", ["", "?", "?from=agent", "?from=agent&"])
async def test_addresses_with_a_query_get_parameters_of_their_own(
    agent: OAuthAgent, publisher: Publisher, end: str
) -> None:
    uri, page = f"{REDIRECT_URI}{end}", f"https://app.example.com/agents{end}"
    publisher.document["redirect_uris"] = [uri]
    answer = await agent.owner.send("PATCH", "/v1/organization", {"agents": {"sign_in_url": page}})
    assert answer.status_code == 200, answer.text
    to_sign_in = (await agent.authorize(redirect_uri=uri)).headers["location"]
    refused = link_of((await agent.authorize(redirect_uri=uri, response_type="token")).text)
    approved = await agent.approve(query_of(to_sign_in)["agent_authorization_id"])
    back = approved.json()["continue_url"]
    for address, beginning, parameter in (
        (to_sign_in, page, "agent_authorization_id"),
        (refused or "", uri, "error"),
        (back, uri, "code"),
    ):
        assert address.startswith(beginning), address
        added = {"from": "agent"} if "from" in end else {}
        assert query_of(address).items() >= added.items(), address
        assert parameter in query_of(address), address


GRANTS: Final[dict[str, tuple[dict[str, Any], str]]] = {
    "no verifier": ({"code_verifier": None}, "invalid_request"),
    "a short verifier": ({"code_verifier": "x"}, "invalid_request"),
    "another verifier": ({"code_verifier": VERIFIER_OF_OTHERS}, "invalid_grant"),
    "no client": ({"client_id": None}, "invalid_request"),
    "another client": ({"client_id": "https://evil.example/client.json"}, "invalid_grant"),
    "no redirect URI": ({"redirect_uri": None}, "invalid_request"),
    "another redirect URI": ({"redirect_uri": "http://127.0.0.1/callback"}, "invalid_grant"),
    "no resource": ({"resource": None}, "invalid_request"),
    "another server": ({"resource": "https://other.example/v1/mcp"}, "invalid_target"),
    "no code": ({"code": None}, "invalid_request"),
    "an unknown code": ({"code": "orac_x"}, "invalid_grant"),
    "another grant": ({"grant_type": "password"}, "unsupported_grant_type"),
    "a repeated field": ({"client_id": ["a", "b"]}, "invalid_request"),
}


async def test_wrong_request_for_a_token_is_refused_and_the_right_one_still_works(
    application: Application, agent: OAuthAgent, publisher: Publisher
) -> None:
    other = await oauth_agent(application, publisher, "Southwind")
    code = await agent.code()
    cases = {**GRANTS, "another organization": ({"resource": other.resource}, "invalid_target")}
    for case, (changes, error) in cases.items():
        refused = await agent.exchange(**{"code": code, **changes})
        assert (refused.status_code, refused.json()["error"]) == (400, error), case
        assert refused.headers["cache-control"] == "no-store", case
        assert code not in refused.text, case
    as_json = await application.client().post("/oauth/token", {"grant_type": "authorization_code"})
    assert as_json.json()["error"] == "invalid_request"
    tokens = await agent.exchange(code)
    assert tokens.status_code == 200
    assert tokens.headers["cache-control"] == "no-store"


@pytest.mark.promise("P17")
async def test_large_forms_are_refused_before_they_are_decoded(application: Application) -> None:
    http, headers = application.client().http, {"content-type": "application/x-www-form-urlencoded"}
    for path in ("/token", "/oauth/token", "/oauth/revoke"):
        for size in (64 * 1024, 64 * 1024 + 1):
            answer = await http.post(path, content=(b"token=" + b"%41" * size)[:size], headers=headers)
            assert ("must be at most 64 kB" in answer.text) == (size > 64 * 1024), (path, answer.text)


async def test_code_expires_after_a_minute(application: Application, agent: OAuthAgent) -> None:
    code = await agent.code()
    application.clock.advance(seconds=61)
    assert (await agent.exchange(code)).json()["error"] == "invalid_grant"


async def works(agent: OAuthAgent, token: str) -> bool:
    return (await post(agent.application, "/v1/mcp", token)).status_code == 200


async def reasons(agent: OAuthAgent) -> list[str | None]:
    """Return the reasons of all revocations, newest first."""
    events = (await agent.owner.get("/v1/events", type="end_user_token.revoked")).json()["events"]
    return [event["data"].get("reason") for event in events]


async def test_replayed_code_revokes_the_tokens_that_came_from_it(agent: OAuthAgent) -> None:
    code = await agent.code()
    tokens = (await agent.exchange(code)).json()
    assert await works(agent, tokens["access_token"])
    for _ in range(2):
        assert (await agent.exchange(code)).json()["error"] == "invalid_grant"
    assert not await works(agent, tokens["access_token"])
    assert (await agent.refresh(tokens["refresh_token"])).json()["error"] == "invalid_grant"
    assert await reasons(agent) == ["code_replayed"]


@pytest.mark.promise("P2")
async def test_code_that_is_sent_several_times_at_once_gives_one_token_at_most(agent: OAuthAgent) -> None:
    code = await agent.code()
    answers = await asyncio.gather(*(agent.exchange(code) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 400, 400, 400]
    (issued,) = [answer.json() for answer in answers if answer.status_code == 200]
    assert not await works(agent, issued["access_token"]), "the others are replays"
    assert len((await agent.owner.get("/v1/end-user-tokens")).json()["end_user_tokens"]) == 1


async def test_repeated_renewal_returns_the_same_tokens_for_half_a_minute(
    application: Application, agent: OAuthAgent
) -> None:
    """Several requests of a client find an expired token at once, or a response is lost."""
    tokens = await agent.tokens()
    answers = await asyncio.gather(*(agent.refresh(tokens["refresh_token"]) for _ in range(4)))
    renewed = [answer.json() for answer in answers]
    assert (
        len({answer["access_token"] for answer in renewed}) == len({answer["refresh_token"] for answer in renewed}) == 1
    )
    assert renewed[0]["access_token"] != tokens["access_token"]
    application.clock.advance(seconds=25)
    late = (await agent.refresh(tokens["refresh_token"])).json()
    assert late["access_token"] == renewed[0]["access_token"]
    assert 3570 <= late["expires_in"] <= 3575
    assert await works(agent, late["access_token"])
    assert await reasons(agent) == []
    application.clock.advance(seconds=6)
    assert (await agent.refresh(tokens["refresh_token"])).json()["error"] == "invalid_grant"
    assert not await works(agent, late["access_token"])
    assert await reasons(agent) == ["refresh_token_reused"]


async def test_repeated_renewal_returns_the_same_tokens_while_servers_receive_a_new_key(
    application: Application, agent: OAuthAgent
) -> None:
    """A server whose ring begins with the new key, and a server without this key, return the same tokens."""
    installation = application.installation
    keys = parse_keys(installation.settings.encryption_keys.get_secret_value())
    with_new_key = Vault([*parse_keys(new_key()), *keys])

    async def refresh_there(refresh_token: str) -> str:
        async with installation.database.write() as tx:
            renewed = await token_renewal.renew(
                tx, with_new_key, refresh_token, agent.publisher.client_id, application.clock()
            )
        assert renewed is not None
        return renewed.refresh_token

    first = (await agent.tokens())["refresh_token"]
    second = (await agent.refresh(first)).json()["refresh_token"]
    assert await refresh_there(first) == second
    third = await refresh_there(second)
    assert (await agent.refresh(second)).json()["refresh_token"] == third
    assert await reasons(agent) == []


async def test_repeated_renewal_by_another_client_is_a_reuse(agent: OAuthAgent) -> None:
    tokens = await agent.tokens()
    assert (await agent.refresh(tokens["refresh_token"])).status_code == 200
    other = await agent.refresh(tokens["refresh_token"], client_id="https://evil.example/client.json")
    assert other.json()["error"] == "invalid_grant"
    assert await reasons(agent) == ["refresh_token_reused"]


async def test_refresh_token_that_was_used_before_revokes_the_tokens(agent: OAuthAgent) -> None:
    first = await agent.tokens()
    second = (await agent.refresh(first["refresh_token"])).json()
    assert not await works(agent, first["access_token"]), "the renewal replaces the access token"
    assert await works(agent, second["access_token"])
    third = (await agent.refresh(second["refresh_token"])).json()
    assert (await agent.refresh(first["refresh_token"])).json()["error"] == "invalid_grant"
    assert not await works(agent, third["access_token"])
    assert (await agent.refresh(third["refresh_token"])).json()["error"] == "invalid_grant"
    assert await reasons(agent) == ["refresh_token_reused"]


async def test_refresh_token_is_valid_for_its_client_its_resource_and_its_time(
    application: Application, agent: OAuthAgent
) -> None:
    token = (await agent.tokens())["refresh_token"]
    for changes, error in (
        ({"client_id": "https://evil.example/client.json"}, "invalid_grant"),
        ({"client_id": None}, "invalid_request"),
        ({"resource": "https://other.example/v1/mcp"}, "invalid_target"),
        ({"refresh_token": token.split(".")[0]}, "invalid_grant"),
        ({"refresh_token": f"{token.split('.')[0]}.x"}, "invalid_grant"),
        ({"refresh_token": "orur_x"}, "invalid_grant"),
    ):
        refused = await agent.refresh(**{"refresh_token": token, **changes})
        assert (refused.status_code, refused.json()["error"]) == (400, error), changes
    application.clock.advance(days=29)
    renewed = await agent.refresh(token, resource=None)
    assert renewed.status_code == 200
    application.clock.advance(days=31)
    assert (await agent.refresh(renewed.json()["refresh_token"])).json()["error"] == "invalid_grant"
    assert await reasons(agent) == []


@pytest.mark.promise("P2")
async def test_revocation_by_the_organization_and_by_the_client_ends_the_renewal(agent: OAuthAgent) -> None:
    by_organization, by_access, by_refresh = [await agent.tokens(f"user_{number}") for number in range(3)]
    (listed,) = (await agent.owner.get("/v1/end-user-tokens", end_user_id="user_0")).json()["end_user_tokens"]
    await agent.owner.send("DELETE", f"/v1/end-user-tokens/{listed['id']}")
    wrong = await agent.revoke(by_access["access_token"], client_id="https://evil.example/client.json")
    assert (wrong.status_code, wrong.json()["error"]) == (400, "unauthorized_client")
    assert await works(agent, by_access["access_token"])
    for token in (by_access["access_token"], by_refresh["refresh_token"], "x", listed["prefix"]):
        assert (await agent.revoke(token)).status_code == 200
    for tokens in (by_organization, by_access, by_refresh):
        assert not await works(agent, tokens["access_token"])
        assert (await agent.refresh(tokens["refresh_token"])).json()["error"] == "invalid_grant"
    assert await reasons(agent) == ["client_request", "client_request", None]
    own = await agent.owner.post("/v1/end-user-tokens", {"end_user_id": "user_123"})
    assert (await agent.revoke(own.json()["end_user_token"])).status_code == 200
    assert await works(agent, own.json()["end_user_token"]), "only its backend can revoke this token"


async def test_deleted_end_user_loses_codes_and_tokens(agent: OAuthAgent) -> None:
    code, tokens = await agent.code("ada"), await agent.tokens("ada")
    assert (await agent.owner.send("DELETE", "/v1/end-users/ada")).status_code == 200
    assert (await agent.exchange(code)).json()["error"] == "invalid_grant"
    assert (await agent.refresh(tokens["refresh_token"])).json()["error"] == "invalid_grant"
    assert not await works(agent, tokens["access_token"])


async def test_purge_deletes_old_authorizations_and_no_token_that_can_be_renewed(
    application: Application, agent: OAuthAgent
) -> None:
    tokens = await agent.tokens()
    authorization_id = await agent.request()
    path = f"/v1/agent-authorizations/{authorization_id}"
    approved = await agent.request()
    assert (await agent.approve(approved)).status_code == 200
    await purge(application.installation)
    assert (await agent.owner.get(path)).status_code == 200
    application.clock.advance(minutes=71)
    await purge(application.installation)
    assert (await agent.owner.get(path)).status_code == 404, "strangers must not fill the table"
    assert (await agent.owner.get(f"/v1/agent-authorizations/{approved}")).status_code == 200
    application.clock.advance(days=29)
    await purge(application.installation)
    assert (await agent.owner.get(f"/v1/agent-authorizations/{approved}")).status_code == 404
    assert (await agent.refresh(tokens["refresh_token"])).status_code == 200
    application.clock.advance(days=31)
    await purge(application.installation)
    assert (await agent.owner.get("/v1/end-user-tokens")).json()["end_user_tokens"] == []


@pytest.mark.promise("P2")
async def test_database_contains_no_code_and_no_token(application: Application, agent: OAuthAgent) -> None:
    unused, tokens = await agent.code("ada"), await agent.tokens()
    refresh_parts = tokens["refresh_token"].split(".")
    rows = []
    async with application.installation.database.read() as tx:
        for table in metadata.tables.values():
            rows += await tx.all(select(table))
    stored = repr(rows)
    assert "Agent of Tests" in stored
    for secret in (unused, tokens["access_token"], *refresh_parts):
        assert secret not in stored


async def test_browser_requests_that_start_nothing(agent: OAuthAgent) -> None:
    http = agent.application.client().http
    assert (await http.head("/oauth/authorize")).status_code == 405
    framed = await http.get("/oauth/authorize", headers={"sec-fetch-dest": "iframe"})
    assert framed.status_code == 403
    assert (await http.get("/oauth/authorize?" + "&".join(f"p{number}=" for number in range(60)))).status_code == 400
    assert agent.publisher.requests == 0
    answers = [(await agent.authorize(client_id="x")).status_code for _ in range(agent_authorization.PER_MINUTE // 4)]
    assert (answers[0], answers[-1]) == (400, 429)


async def test_addresses_of_one_ipv6_network_share_a_rate_limit(agent: OAuthAgent) -> None:
    statuses: dict[str, int] = {}
    for name, pattern in (
        ("one network", "2001:db8:1:2::{:x}"),
        ("many networks", "2001:db8:2:{:x}::1"),
        ("many IPv4 addresses", "::ffff:192.0.2.{}"),
    ):
        for number in range(agent_authorization.PER_MINUTE // 3):
            transport = httpx2.ASGITransport(agent.application.app, client=(pattern.format(number), 1))
            async with httpx2.AsyncClient(transport=transport, base_url=PUBLIC_URL) as http:
                statuses[name] = (await http.get("/oauth/authorize?client_id=x")).status_code
            if statuses[name] != 400:
                break
    assert statuses == {"one network": 429, "many networks": 400, "many IPv4 addresses": 400}


@pytest.mark.promise("P7")
async def test_documents_are_never_read_from_allowed_private_addresses_or_by_http(
    settings: Settings, acme: RunningAcme, publisher: Publisher
) -> None:
    """Security M7: anybody can choose the client_id."""
    async with running_upstream() as internal:
        allowed = frozenset({("127.0.0.1", internal.port), ("localhost", internal.port), ("agent.example", 443)})
        allowing = settings.model_copy(update={"egress_allow": allowed})
        async with started(allowing, acme, worker=False, network=publisher.network) as application:
            agent = await oauth_agent(application, publisher)
            for host in ("127.0.0.1", "localhost", "[::ffff:127.0.0.1]"):
                for scheme in ("http", "https"):
                    page = await agent.authorize(client_id=f"{scheme}://{host}:{internal.port}/client.json")
                    assert page.status_code == 400, (scheme, host)
                    assert ("on the public internet." if scheme == "https" else "must be an https URL.") in page.text
            assert internal.connections == 0
            assert (await application.installation.egress.request("GET", internal.url)).status == 200, "it is allowed"
            plain = await agent.authorize(client_id="http://agent.example:443/client.json")
            assert "must be an https URL." in plain.text
            assert publisher.requests == 0
            assert (await agent.authorize()).status_code == 303


async def test_slow_documents_of_many_networks_do_not_block_a_new_one(
    agent: OAuthAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Security L2: 4 networks of 8 fetches occupy all places."""
    limits = replace(client_documents._LIMITS, idle=60, total=60)  # the requests wait for this test
    monkeypatch.setattr(client_documents, "_LIMITS", limits)
    agent.publisher.pause = asyncio.Event()

    def open_page(address: str) -> "asyncio.Task[httpx2.Response]":
        return asyncio.create_task(agent.authorize_from(address))

    networks, limit = [f"198.51.100.{number}" for number in range(4)], client_documents.MAX_FETCHES_OF_NETWORK
    slow = [open_page(address) for address in networks[1:] for _ in range(limit)]
    others = [open_page(networks[0]) for _ in range(limit - 1)] + [open_page("192.0.2.1")]
    await eventually(lambda: agent.publisher.requests == client_documents.MAX_FETCHES)
    newcomer = open_page("192.0.2.2")
    await eventually(lambda: agent.publisher.requests == client_documents.MAX_FETCHES + 1)
    assert "Try again in a minute." in (await slow[0]).text, "the oldest of a network with most fetches"
    agent.publisher.pause.set()
    answers = await asyncio.gather(newcomer, *others, *slow[1:])
    assert {answer.status_code for answer in answers} == {303}
    assert (await agent.authorize()).status_code == 303


async def test_slow_documents_of_one_network_do_not_block_others(agent: OAuthAgent) -> None:
    agent.publisher.pause = asyncio.Event()
    limit = client_documents.MAX_FETCHES_OF_NETWORK
    waiting = [asyncio.create_task(agent.authorize()) for _ in range(limit)]
    await eventually(lambda: agent.publisher.requests == limit)
    refused = await agent.authorize()
    assert "Try again in a minute." in refused.text
    other = asyncio.create_task(agent.authorize_from("192.0.2.1"))
    await eventually(lambda: agent.publisher.requests == limit + 1)
    agent.publisher.pause.set()
    assert (await other).status_code == 303
    assert {answer.status_code for answer in await asyncio.gather(*waiting)} == {303}
    assert (await agent.authorize()).status_code == 303
