"""The steps of an authorization over HTTP, as our frame, our window and a browser take them. Attacks change a step."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import httpx2

from tests.authorizations import OUR_PAGE, StartedAuthorization
from tests.foreign.person import ALICE, Person
from tests.foreign.served import Served
from tests.foreign.visitor import Visitor


@dataclass(frozen=True, slots=True)
class SessionAuthorization(StartedAuthorization):
    """A started authorization with its session."""

    session: dict[str, Any]


async def prepare(runtime: Served, session: dict[str, Any]) -> dict[str, Any]:
    """Press the button in our frame; return the authorization's id and its ticket."""
    headers = {"authorization": f"Bearer {session['session_token']}"}
    answer = await runtime.http.post("/connect/session/authorization", json={"auth_type": "oauth2"}, headers=headers)
    assert answer.status_code == 200, answer.text
    prepared: dict[str, Any] = answer.json()
    return prepared


async def start(runtime: Served, ticket: str, **headers: str) -> httpx2.Response:
    """Send the ticket as our window does, or with these headers instead of our own page's."""
    async with httpx2.AsyncClient(base_url=runtime.url) as browser:
        return await browser.post("/connect/authorization/start", json={"ticket": ticket}, headers=headers or OUR_PAGE)


async def authorize(runtime: Served, **session: Any) -> SessionAuthorization:
    """Start an authorization in a new session."""
    created = await runtime.session(**session)
    prepared = await prepare(runtime, created)
    started = await start(runtime, prepared["ticket"])
    assert started.status_code == 200, started.text
    cookie = started.headers["set-cookie"].partition(";")[0]
    return SessionAuthorization(prepared["authorization_id"], started.json()["url"], cookie, created)


async def allow(attempt: SessionAuthorization, person: Person = ALICE) -> dict[str, str]:
    """Allow access at the provider; return the callback's query."""
    async with Visitor() as visitor:
        return await visitor.consent(attempt.url, person)


async def call_back(
    runtime: Served, callback: dict[str, str], cookie: str | None, slug: str | None = None, **headers: str
) -> httpx2.Response:
    """Send the browser back from the provider, with this cookie or without."""
    brought = headers | ({"cookie": cookie} if cookie else {})
    async with httpx2.AsyncClient(base_url=runtime.url) as browser:
        return await browser.get(f"/connect/callback/{slug or runtime.slug}?{urlencode(callback)}", headers=brought)


async def outcome(
    runtime: Served, attempt: SessionAuthorization, session: dict[str, Any] | None = None
) -> httpx2.Response:
    """Ask for the outcome as our frame does, or with the token of another session."""
    headers = {"authorization": f"Bearer {(session or attempt.session)['session_token']}"}
    return await runtime.http.post(
        "/connect/session/outcome", json={"authorization_id": attempt.authorization_id}, headers=headers
    )
