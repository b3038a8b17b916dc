"""Steps of an authorization: the requests that the popup's frame, the provider's window and the browser send."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx2

from tests.application import PUBLIC_URL, Application, Client

OUR_PAGE: Final = {"sec-fetch-site": "same-origin"}
"""A header that browsers add to a request of our own page."""


@dataclass(frozen=True, slots=True)
class StartedAuthorization:
    """The response that sends the browser to the provider: the provider's URL, and our cookie."""

    authorization_id: str
    url: str
    cookie: str

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.url).query, keep_blank_values=True))


@dataclass(frozen=True)
class Authorizing:
    """An application, a client of an organization, and the integration to connect."""

    application: Application
    client: Client
    slug: str

    async def session(self, end_user_id: str = "user_123", **more: Any) -> dict[str, Any]:
        return await self.client.session(end_user_id, integration_slug=self.slug, **more)

    async def prepare(self, token: str, **more: Any) -> httpx2.Response:
        """Submit the popup's form."""
        return await self.client.popup("/authorization", token, {"auth_type": "oauth2", **more})

    async def start(self, ticket: str, **headers: str) -> httpx2.Response:
        """Send the ticket as our window does. `headers`: replace the headers of our own page."""
        return await self.client.post("/connect/authorization/start", {"ticket": ticket}, **(headers or OUR_PAGE))

    async def authorize(self, token: str, **more: Any) -> StartedAuthorization:
        prepared = await self.prepare(token, **more)
        assert prepared.status_code == 200, prepared.text
        started = await self.start(prepared.json()["ticket"])
        assert started.status_code == 200, started.text
        cookie = started.headers["set-cookie"].partition(";")[0]
        return StartedAuthorization(prepared.json()["authorization_id"], started.json()["url"], cookie)

    async def call_back(
        self, callback: dict[str, str], cookie: str | None, slug: str | None = None, **headers: str
    ) -> httpx2.Response:
        """Send the request of the provider's callback, with a cookie or without."""
        request_headers = headers | ({"cookie": cookie} if cookie else {})
        async with self.browser() as browser:
            return await browser.get(
                f"/connect/callback/{slug or self.slug}?{urlencode(callback)}", headers=request_headers
            )

    async def select(
        self,
        page: httpx2.Response,
        cookie: str | None,
        number: int = 0,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> httpx2.Response:
        """Press the button of an account."""
        form = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page.text))
        sent = {**OUR_PAGE, **headers, **({"cookie": cookie} if cookie else {})}
        async with self.browser() as browser:
            path = "/connect/authorization/account"
            return await browser.post(path, data={**form, "account": str(number)}, headers=sent)

    async def outcome(self, token: str, authorization_id: str) -> dict[str, Any]:
        """Request the outcome of an authorization, as our frame does."""
        response = await self.client.popup("/outcome", token, {"authorization_id": authorization_id})
        assert response.status_code == 200, response.text
        outcome: dict[str, Any] = response.json()
        return outcome

    async def connections(self) -> list[dict[str, Any]]:
        connections: list[dict[str, Any]] = (await self.client.get("/v1/connections")).json()["connections"]
        return connections

    def browser(self) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(transport=httpx2.ASGITransport(self.application.app), base_url=PUBLIC_URL)
