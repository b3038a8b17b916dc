"""P11: a whole story on a real server that logs all it can leaves no secret in the log, nor in any later answer."""

from pathlib import Path

import httpx2
import pytest

from one_runtime.vault import parse_keys
from tests.application import JSON
from tests.egress.upstream import Upstream, running_upstream
from tests.promises.canaries import fitting, leaks, secret_part
from tests.promises.hostile import CHECKED, accepted
from tests.promises.serving import Served, Serving, make_key, serving
from tests.promises.test_nothing_told import MARKUP

pytestmark = [pytest.mark.promise("P11"), pytest.mark.slow]


class Story:
    """What a backend, a browser and a curious stranger ask for; with every answer kept."""

    def __init__(self, http: httpx2.AsyncClient, api_key: str) -> None:
        self.http, self.api_key = http, api_key
        self.told: list[bytes] = []
        self.canaries: dict[str, str | bytes] = {"API key": api_key, "its secret": secret_part(api_key)}

    async def ask(self, method: str, path: str, token: str | None, body: object = None) -> httpx2.Response:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        answer = await self.http.request(method, path, headers={**headers, **JSON}, json=body)
        self.told += [answer.content, str(answer.headers.multi_items()).encode()]
        return answer

    async def session(self, name: str) -> dict[str, str]:
        body = {"integration_slug": "acme", "end_user_id": "user_123"}
        answer = await self.ask("POST", "/v1/hosted-connection-sessions", self.api_key, body)
        del self.told[-2:]  # the one time that it is shown
        session: dict[str, str] = answer.json()
        self.canaries |= {name: session["session_token"], f"{name}'s secret": secret_part(session["session_token"])}
        return session

    def typed(self, name: str) -> str:
        key = fitting("acme_[a-z0-9_]{8,64}")
        self.canaries[name] = key
        return key

    async def type(self, token: str, key: str) -> int:
        body = {"auth_type": "api_key", "credentials": {"api_key": key}}
        return (await self.ask("POST", "/connect/session/connect", token, body)).status_code


async def connect_and_let_go(story: Story, provider: Upstream) -> None:
    session = await story.session("session token")
    token = session["session_token"]
    for kind in ("session_token", "session"):
        query = token if kind == "session_token" else session["id"]
        assert (await story.ask("GET", f"/connect?{kind}={query}&request_id=r1", None)).status_code == 200
    assert (await story.ask("POST", "/connect/session", token)).status_code == 200
    refused = story.typed("refused key")
    provider.answers[CHECKED] = (
        b"HTTP/1.1 401 No\r\nContent-Length: %d\r\n\r\n" % len(refusal := echo(refused)) + refusal
    )
    assert await story.type(token, refused) == 422
    provider.answers[CHECKED] = b"\0\1\2 no HTTP at all\r\n\r\n"
    assert await story.type(token, story.typed("key of an outage")) == 502
    provider.answers[CHECKED] = accepted()
    assert await story.type(token, story.typed("key")) == 200
    assert await story.type(token, story.typed("late key")) == 409
    await story.ask("GET", f"/v1/hosted-connection-sessions/{session['id']}", story.api_key)
    await story.ask("GET", "/v1/integrations?end_user_id=user_123&expand=connections", story.api_key)
    for path in ("/v1/connections", "/v1/events", "/v1/end-users", "/v1/organization", "/openapi.json"):
        assert (await story.ask("GET", path, story.api_key)).status_code == 200
    body = {"integration_slug": "acme", "end_user_id": "user_123"}
    assert (await story.ask("POST", "/v1/disconnect", story.api_key, body)).json()["deleted_count"] == 1


def echo(key: str) -> bytes:
    return b'{"error": {"message": "No: %s %s"}}' % (key.encode(), MARKUP.replace('"', "'").encode())


async def go_astray(story: Story) -> None:
    """Secrets where they do not belong: in addresses, in the other door, in bodies that cannot be read."""
    token, key = (await story.session("stray token"))["session_token"], story.api_key
    typed = story.typed("typed into a broken body")
    for path in ("/v1/nothing", "/v1/integrations", "/connect/session", "/v1/connections", "/healthz", "/connect.js"):
        for secret in (token, key):
            answer = await story.http.get(path, params={"session_token": secret, "key": secret, "end_user_id": "u"})
            assert answer.status_code < 500
    await story.ask("GET", "/v1/connections", token)
    await story.ask("POST", "/connect/session", key)
    for path, bearer in (("/v1/connections", key), ("/connect/session/connect", token)):
        headers = {"authorization": f"Bearer {bearer}", **JSON}
        answer = await story.http.post(path, content=f'{{"credentials": {{"api_key": "{typed}"', headers=headers)
        story.told.append(answer.content)
        assert answer.status_code in {400, 422}


def ring_of(served: Served) -> dict[str, str | bytes]:
    ring = served.environment["ONE_RUNTIME_ENCRYPTION_KEYS"]
    return {"key ring": ring, "its bytes": parse_keys(ring)[0]}


async def test_no_secret_is_logged_or_told_in_a_whole_story_on_a_real_server(database_url: str, tmp_path: Path) -> None:
    api_key = await make_key(database_url)
    async with running_upstream() as provider:
        module = ("tests.promises.served_with_acme", provider.url)
        allow = {"ONE_RUNTIME_EGRESS_ALLOW": f"127.0.0.1:{provider.port}"}
        served_with = Serving(database_url, module=module, settings=allow)
        async with serving(served_with, tmp_path) as served, httpx2.AsyncClient(base_url=served.url) as http:
            story = Story(http, api_key)
            await connect_and_let_go(story, provider)
            await go_astray(story)
        log = served.log()
    assert b'"level": "debug"' in log
    canaries = {**story.canaries, **ring_of(served)}
    assert leaks(canaries, {"log": log}) == []
    assert leaks(canaries, {"answers": b"\n".join(story.told)}) == []
    assert b"session_token=" not in log
