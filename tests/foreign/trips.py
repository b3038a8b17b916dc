"""A consent's steps over HTTP, as our frame, our window and a browser take them; attacks change one of them."""

from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx2

from tests.foreign.person import ALICE, Person
from tests.foreign.served import Served
from tests.foreign.visitor import Visitor

OUR_PAGE: Final = {"sec-fetch-site": "same-origin"}
"""What a browser says of a request that our own page makes."""


@dataclass(frozen=True, slots=True)
class Trip:
    """A browser on its way to the provider, with the cookie that it took along; for which session."""

    session: dict[str, Any]
    authorization_id: str
    url: str
    cookie: str

    @property
    def asked(self) -> dict[str, str]:
        """The authorization request's query."""
        return dict(parse_qsl(urlsplit(self.url).query, keep_blank_values=True))


async def prepared(there: Served, session: dict[str, Any]) -> dict[str, Any]:
    """The button was pressed in our frame: a consent's id, and its ticket."""
    headers = {"authorization": f"Bearer {session['session_token']}"}
    answer = await there.http.post("/connect/session/authorization", json={"auth_type": "oauth2"}, headers=headers)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def leave(there: Served, ticket: str, **headers: str) -> httpx2.Response:
    """Our window has heard from our frame; with these headers instead of our own page's."""
    async with httpx2.AsyncClient(base_url=there.url) as browser:
        return await browser.post("/connect/authorization/start", json={"ticket": ticket}, headers=headers or OUR_PAGE)


async def departed(there: Served, **session: Any) -> Trip:
    """From a new session to the provider's address."""
    made = await there.session(**session)
    told = await prepared(there, made)
    left = await leave(there, told["ticket"])
    assert left.status_code == 200, left.text
    cookie = left.headers["set-cookie"].partition(";")[0]
    return Trip(made, told["authorization_id"], left.json()["url"], cookie)


async def consented(trip: Trip, person: Person = ALICE) -> dict[str, str]:
    """What the provider sends back with the browser of a person who says yes."""
    async with Visitor() as visitor:
        return await visitor.consent(trip.url, person)


async def come_back(
    there: Served, callback: dict[str, str], cookie: str | None, slug: str | None = None, **headers: str
) -> httpx2.Response:
    """The browser's way back, with this cookie or without."""
    brought = headers | ({"cookie": cookie} if cookie else {})
    async with httpx2.AsyncClient(base_url=there.url) as browser:
        return await browser.get(f"/connect/callback/{slug or there.slug}?{urlencode(callback)}", headers=brought)


async def outcome(there: Served, trip: Trip, session: dict[str, Any] | None = None) -> httpx2.Response:
    """What our frame is told; also where it asks with another session's token."""
    headers = {"authorization": f"Bearer {(session or trip.session)['session_token']}"}
    return await there.http.post(
        "/connect/session/outcome", json={"authorization_id": trip.authorization_id}, headers=headers
    )
