"""P11: logs, metrics, traces and responses of a real server contain no secret, even at the most detailed level."""

import json
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, quote, urlsplit

import httpx2
import pytest

from one_runtime.encryption.vault import parse_keys
from tests.agent_clients import publishing
from tests.application import JSON, ORIGIN
from tests.egress.upstream import Upstream, answer, running_upstream
from tests.otlp import running_receiver
from tests.ports import free_port
from tests.promises.agent_authorization_story import authorize_an_agent
from tests.promises.agents_story import use_agents
from tests.promises.canaries import fitting, leaks, secret_part
from tests.promises.hostile import CHECKED, accepted
from tests.promises.hostile import JSON as PROVIDERS_JSON
from tests.promises.serving import Served, Serving, make_key, serving
from tests.promises.stores import dump_of
from tests.promises.test_no_secret_in_output import MARKUP
from tests.promises.test_own_window import WINDOW
from tests.redirects import RETURN_URL

pytestmark = [pytest.mark.promise("P11"), pytest.mark.slow]


class Story:
    """Requests of a backend, a browser and a stranger. It stores all responses."""

    def __init__(self, http: httpx2.AsyncClient, api_key: str) -> None:
        self.http, self.api_key = http, api_key
        self.outputs: list[bytes] = []
        self.bearer = {"authorization": f"Bearer {api_key}"}
        self.canaries: dict[str, str | bytes] = {"API key": api_key, "its secret": secret_part(api_key)}

    async def ask(self, method: str, path: str, token: str | None, body: object = None) -> httpx2.Response:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        answer = await self.http.request(method, path, headers={**headers, **JSON}, json=body)
        self.outputs += [answer.content, str(answer.headers.multi_items()).encode()]
        return answer

    async def session(self, name: str, **more: str) -> dict[str, str]:
        body = {"integration_slug": "acme", "end_user_id": "user_123", **more}
        answer = await self.ask("POST", "/v1/hosted-connection-sessions", self.api_key, body)
        del self.outputs[-2:]  # only this response may contain the session token
        session: dict[str, str] = answer.json()
        self.canaries |= {name: session["session_token"], f"{name}'s secret": secret_part(session["session_token"])}
        return session

    def new_key(self, name: str) -> str:
        key = fitting("acme_[a-z0-9_]{8,64}")
        self.canaries[name] = key
        return key

    async def post(self, token: str, step: str, **fields: str) -> httpx2.Response:
        """Send a form of a top-level page. Do not store the response, because it contains the session token."""
        form = {"session_token": token, "step": step, **fields}
        return await self.http.post("/connect", data=form, headers={**WINDOW, "sec-fetch-site": "same-origin"})

    async def submit_key_in_window(self, token: str, key: str) -> httpx2.Response:
        return await self.post(token, "connect", auth_type="api_key", **{"credentials.api_key": key})

    async def code(self, token: str, name: str) -> str:
        """Connect with a valid key. Return the code in the redirect to the app."""
        outcome = await self.submit_key_in_window(token, self.new_key(name))
        assert outcome.status_code == 303
        (code,) = parse_qs(urlsplit(outcome.headers["location"]).query)["code"]
        self.canaries |= {f"code for {name}": code, f"secret of the code for {name}": secret_part(code)}
        return code

    async def submit_key(self, token: str, key: str) -> int:
        body = {"auth_type": "api_key", "credentials": {"api_key": key}}
        return (await self.ask("POST", "/connect/session/connect", token, body)).status_code


async def connect_and_disconnect(story: Story, provider: Upstream) -> None:
    session = await story.session("session token")
    token = session["session_token"]
    for kind in ("session_token", "session"):
        query = token if kind == "session_token" else session["id"]
        assert (await story.ask("GET", f"/connect?{kind}={query}&request_id=r1", None)).status_code == 200
    assert (await story.ask("POST", "/connect/session", token)).status_code == 200
    refused = story.new_key("refused key")
    provider.answers[CHECKED] = refusal(refused)
    assert await story.submit_key(token, refused) == 422
    provider.answers[CHECKED] = b"\0\1\2 no HTTP at all\r\n\r\n"
    assert await story.submit_key(token, story.new_key("key of an outage")) == 502
    provider.answers[CHECKED] = accepted()
    assert await story.submit_key(token, story.new_key("key")) == 200
    assert await story.submit_key(token, story.new_key("late key")) == 409
    await story.ask("GET", f"/v1/hosted-connection-sessions/{session['id']}", story.api_key)
    await story.ask("GET", "/v1/integrations?end_user_id=user_123&expand=connections", story.api_key)
    for path in ("/v1/connections", "/v1/events", "/v1/end-users", "/v1/organization", "/openapi.json"):
        assert (await story.ask("GET", path, story.api_key)).status_code == 200
    body = {"integration_slug": "acme", "end_user_id": "user_123"}
    assert (await story.ask("POST", "/v1/disconnect", story.api_key, body)).json()["deleted_count"] == 1


def refusal(key: str) -> bytes:
    """Return the response of a provider that refuses a key and repeats it."""
    body = b'{"error": {"message": "No: %s %s"}}' % (key.encode(), MARKUP.replace('"', "'").encode())
    return b"HTTP/1.1 401 No\r\nContent-Length: %d\r\n\r\n" % len(body) + body


async def redirect_with_a_code(story: Story, provider: Upstream) -> None:
    """Use the mode `redirect` with a refused key, an outage, a valid key, a wrong code and the right code."""
    body = {"display_name": "Northwind", "allowed_origins": [ORIGIN], "return_urls": [RETURN_URL]}
    assert (await story.ask("PUT", "/v1/organization", story.api_key, body)).status_code == 200
    session = await story.session("redirect token", return_url=RETURN_URL)
    token, redeem = session["session_token"], f"/v1/hosted-connection-sessions/{session['id']}/redeem"
    assert (await story.http.get(session["connect_url"], headers=WINDOW)).status_code == 200
    framed = {**WINDOW, "sec-fetch-dest": "iframe"}
    assert (await story.http.get(session["connect_url"], headers=framed)).status_code == 403
    assert (await story.http.post("/connect", data={"session_token": token, "step": "connect"})).status_code == 403
    refused = story.new_key("key refused in a window")
    provider.answers[CHECKED] = refusal(refused)
    assert (await story.submit_key_in_window(token, refused)).status_code == 422
    provider.answers[CHECKED] = b"\0\1\2 no HTTP at all\r\n\r\n"
    assert (await story.submit_key_in_window(token, story.new_key("key of an outage in a window"))).status_code == 502
    provider.answers[CHECKED] = accepted()
    code = await story.code(token, "key in a window")
    wrong = {"code": story.new_key("wrong code"), "end_user_id": "user_123"}
    assert (await story.ask("POST", redeem, story.api_key, wrong)).status_code == 422
    await story.http.get(redeem, params={"code": code}, headers=story.bearer)
    for _ in range(2):
        redeemed = await story.ask("POST", redeem, story.api_key, {"code": code, "end_user_id": "user_123"})
        assert redeemed.status_code == 200


async def redirect_in_vain(story: Story) -> None:
    """Use the mode `redirect` twice: redeem a code for another end user, and cancel a session."""
    session = await story.session("token of another", return_url=RETURN_URL)
    code = await story.code(session["session_token"], "key of another")
    redeem = f"/v1/hosted-connection-sessions/{session['id']}/redeem"
    for _ in range(2):
        refused = await story.ask("POST", redeem, story.api_key, {"code": code, "end_user_id": "somebody"})
        assert refused.status_code in {409, 422}
    cancelled = await story.session("cancelled token", return_url=RETURN_URL)
    assert (await story.post(cancelled["session_token"], "cancel")).status_code == 303


async def follow_a_link(story: Story) -> None:
    """Use the mode `link`: open the page, confirm, and submit a key. Then open the used link again."""
    session = await story.session("link token", mode="link")
    token = session["session_token"]
    assert (await story.http.get(session["connect_url"], headers=WINDOW)).status_code == 200
    assert (await story.post(token, "confirm")).status_code == 200
    assert (await story.submit_key_in_window(token, story.new_key("key behind a link"))).status_code == 200
    assert (await story.http.get(session["connect_url"], headers=WINDOW)).status_code < 500
    for path in ("/v1/connections", "/v1/events", "/v1/hosted-connection-sessions/" + session["id"]):
        assert (await story.ask("GET", path, story.api_key)).status_code == 200


async def import_a_key(story: Story, provider: Upstream) -> None:
    """Import a key from the backend. Then let the provider refuse the key, and let the provider fail."""
    body = {"integration_slug": "acme", "end_user_id": "user_of_a_backend", "auth_type": "api_key"}
    key = story.new_key("imported key")
    created = await story.ask("POST", "/v1/connections", story.api_key, {**body, "credentials": {"api_key": key}})
    assert created.status_code == 201
    check = f"/v1/connections/{created.json()['id']}/check"
    provider.answers[CHECKED] = refusal(key)
    assert (await story.ask("POST", check, story.api_key)).json()["working"] is False
    provider.answers[CHECKED] = b"\0\1\2 no HTTP at all\r\n\r\n"
    assert (await story.ask("POST", check, story.api_key)).status_code == 502


async def authorize(story: Story, provider: Upstream) -> None:
    """Deny an authorization, and grant another authorization. Read and refresh the tokens.

    Then receive a refusal that repeats a token.
    """
    client = {"client_id": "our-id", "client_secret": story.new_key("client secret")}
    path = "/v1/integrations/acme/oauth-client"
    assert (await story.ask("PUT", path, story.api_key, client)).status_code == 200
    assert (await story.ask("GET", path, story.api_key)).status_code == 200
    session = await story.session("token of an authorization")
    callback, cookie = await redirect_to_provider(story, session["session_token"], "first")
    words = f"No: {story.new_key('what the provider says')}"
    denied = {"error": "access_denied", "error_description": words, "iss": provider.url, **callback}
    assert (await story.http.get("/connect/callback/acme", params=denied, headers=cookie)).status_code < 500
    callback, cookie = await redirect_to_provider(story, session["session_token"], "second")
    granted = {"code": story.new_key("authorization code"), "iss": provider.url, **callback}
    first, renewed = tokens_of(story, "first"), tokens_of(story, "renewed")
    provider.answers["/oauth/token"] = answer(200, PROVIDERS_JSON, json.dumps(first).encode())
    provider.answers[CHECKED] = accepted()
    for _ in range(2):
        page = await story.http.get("/connect/callback/acme", params=granted, headers=cookie)
        story.outputs.append(page.content)
    (connection,) = (await story.ask("GET", "/v1/connections", story.api_key)).json()["connections"]
    path_of_connection = f"/v1/connections/{connection['id']}"
    read = await story.http.get(f"{path_of_connection}/credentials", headers=story.bearer)
    assert read.json()["credentials"] == {"access_token": first["access_token"]}
    provider.answers["/oauth/token"] = answer(200, PROVIDERS_JSON, json.dumps(renewed).encode())
    assert (await story.ask("POST", f"{path_of_connection}/refresh", story.api_key)).status_code == 200
    refused = {"error": "invalid_grant", "error_description": f"{renewed['refresh_token']} is dead"}
    provider.answers["/oauth/token"] = answer(400, PROVIDERS_JSON, json.dumps(refused).encode())
    assert (await story.ask("POST", f"{path_of_connection}/refresh", story.api_key)).status_code == 409
    assert (await story.ask("GET", path_of_connection, story.api_key)).json()["status"] == "needs_reauth"
    provider.answers["/oauth/revoke"] = refusal(str(renewed["access_token"]))
    assert (await story.ask("DELETE", path_of_connection, story.api_key)).status_code == 200
    assert (await story.ask("GET", "/v1/events", story.api_key)).status_code == 200
    assert (await story.ask("DELETE", path, story.api_key)).status_code == 200


async def redirect_to_provider(story: Story, token: str, name: str) -> tuple[dict[str, str], dict[str, str]]:
    """Start an authorization. Return the parameters and the cookie header of the provider's callback."""
    prepared = await story.http.post(
        "/connect/session/authorization", json={"auth_type": "oauth2"}, headers={"authorization": f"Bearer {token}"}
    )
    ticket = prepared.json()["ticket"]
    started = await story.http.post(
        "/connect/authorization/start", json={"ticket": ticket}, headers={"sec-fetch-site": "same-origin"}
    )
    (state,) = parse_qs(urlsplit(started.json()["url"]).query)["state"]
    cookie = started.headers["set-cookie"].partition(";")[0]
    story.canaries |= {f"{name} ticket": ticket, f"{name} state": state, f"{name} cookie": cookie.partition("=")[2]}
    return {"state": state}, {"cookie": cookie}


def tokens_of(story: Story, name: str) -> dict[str, object]:
    pair = {kind: story.new_key(f"{name} {kind}") for kind in ("access_token", "refresh_token")}
    return {**pair, "token_type": "Bearer", "expires_in": 3600}


async def misplace_secrets(story: Story) -> None:
    """Send secrets to wrong places: in URLs, to another entry point, in malformed bodies."""
    token, key = (await story.session("stray token"))["session_token"], story.api_key
    typed = story.new_key("typed into a malformed body")
    for path in ("/v1/nothing", "/v1/integrations", "/connect/session", "/v1/connections", "/healthz", "/connect.js"):
        for secret in (token, key):
            answer = await story.http.get(path, params={"session_token": secret, "key": secret, "end_user_id": "u"})
            assert answer.status_code < 500
    await story.ask("GET", "/v1/connections", token)
    await story.ask("POST", "/connect/session", key)
    for path, bearer in (("/v1/connections", key), ("/connect/session/connect", token)):
        headers = {"authorization": f"Bearer {bearer}", **JSON}
        answer = await story.http.post(path, content=f'{{"credentials": {{"api_key": "{typed}"', headers=headers)
        story.outputs.append(answer.content)
        assert answer.status_code in {400, 422}


def ring_of(served: Served) -> dict[str, str | bytes]:
    ring = served.environment["ONE_RUNTIME_ENCRYPTION_KEYS"]
    return {"key ring": ring, "its bytes": parse_keys(ring)[0]}


HOSTILE_NAMES: Final = (
    "canary.person@example.com",
    "canary' OR 1=1 --",
    'canary"}\nforged_metric 1',
    "canary\r\n{forged: line}",
    "canary/../../etc",
    "канарейка-canary",
)


async def use_hostile_end_user_ids(story: Story) -> None:
    """Use end user identifiers that a test would find in a metric's label, in a span or in the log."""
    for name in HOSTILE_NAMES:
        query = {"end_user_id": name, "search": name, "slug": name}
        await story.http.get("/v1/integrations", params=query, headers=story.bearer)
        await story.http.get("/v1/connections", params=query, headers=story.bearer)
        await story.http.request("DELETE", f"/v1/end-users/{quote(name, safe='')}", headers=story.bearer)
        await story.http.request("CANARY", f"/{quote(name, safe='')}", headers=story.bearer)
        await story.ask("POST", "/v1/disconnect", story.api_key, {"integration_slug": name, "end_user_id": name})


async def crash(story: Story) -> None:
    """Let a request fail with a secret in the exception's message."""
    typed = story.new_key("what a crash was about")
    answer = await story.http.get("/crash", params={"value": typed}, headers={"one-runtime-test": typed})
    assert answer.status_code == 500
    story.outputs.append(answer.content)


@pytest.mark.soak_on("sqlite")
async def test_no_secret_is_in_logs_metrics_spans_or_responses_of_a_whole_story_on_a_real_server(
    database_url: str, tmp_path: Path
) -> None:
    api_key, metrics_port = await make_key(database_url), free_port()
    async with running_upstream() as provider, running_receiver() as receiver, publishing() as publisher:
        module = ("tests.promises.served_with_acme", provider.url)
        settings = {
            "ONE_RUNTIME_EGRESS_ALLOW": f"127.0.0.1:{provider.port}",
            "ONE_RUNTIME_ACCESS_LOG": "all",
            "ONE_RUNTIME_METRICS_LISTEN": f"127.0.0.1:{metrics_port}",
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
            "AGENT_PUBLISHER": f"{publisher.port} {publisher.certificate}",
        }
        served_with = Serving(database_url, module=module, settings=settings)
        async with serving(served_with, tmp_path) as served, httpx2.AsyncClient(base_url=served.url) as http:
            story = Story(http, api_key)
            await connect_and_disconnect(story, provider)
            await redirect_with_a_code(story, provider)
            await redirect_in_vain(story)
            await follow_a_link(story)
            await authorize(story, provider)
            await import_a_key(story, provider)
            await misplace_secrets(story)
            await use_hostile_end_user_ids(story)
            contents = await use_agents(story, provider)
            await authorize_an_agent(story, publisher)
            await crash(story)
            dump = dump_of(database_url)
            events = (await story.ask("GET", "/v1/events?limit=100", api_key)).content
            metrics = await http.get(f"http://127.0.0.1:{metrics_port}/metrics")
        log = served.log()
    assert b'"level": "debug"' in log
    assert b'"event": "request_crashed"' in log
    assert log.count(b'"event": "request"') > 40
    assert "one_runtime_credential_checks_total" in metrics.text
    assert {"POST /connect/session/connect", "GET", "credential check"} <= {span.name for span in receiver.spans}
    canaries = {**story.canaries, **ring_of(served)}
    places = {"log": log, "metrics": metrics.content, "spans": b"\n".join(receiver.bodies)}
    assert leaks({**canaries, **contents}, {**places, "events": events}) == []
    stored = {name: secret for name, secret in canaries.items() if name != "what the provider says"}
    assert leaks({**stored, **contents}, dump) == []
    assert leaks(canaries, {"answers": b"\n".join(story.outputs)}) == []
    secret_names = (b"session_token=", b"approval_token=", b"?code=", b"&code=", b"?state=", b"&state=")
    assert {name for name, place in places.items() for secret_name in secret_names if secret_name in place} == set()
    named = [place for place in places if b"canary" in places[place].lower()]
    assert named == [], "who the end users are"
    # The digits of the port alone also occur in durations.
    assert f":{provider.port}".encode() not in metrics.content + places["spans"], "where requests go"
