"""The routes that the client libraries add to a product's backend: Express, `fetch`, FastAPI and Django."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import httpx2
import pytest
import pytest_asyncio
from django.urls import include, path  # type: ignore[import-untyped]
from fastapi import Cookie, FastAPI

from one_runtime.db.ids import new_id
from one_runtime_client import AsyncOneRuntime, OneRuntime
from one_runtime_client.django import connect_urls
from one_runtime_client.fastapi import SignedInUser, connect_router
from tests.clients.django_site import django_site
from tests.running_demo import Demo

pytestmark = [pytest.mark.slow]

SESSION: Final = {"allowed_origins": ["https://app.example.com"]}
SAME_ORIGIN: Final = {"sec-fetch-site": "same-origin"}


@dataclass(frozen=True, slots=True)
class Product:
    """The product's backend: an HTTP client for its pages, and the path of the routes."""

    http: httpx2.AsyncClient
    prefix: str
    user: str

    async def post(self, route: str, body: Any, headers: dict[str, str] = SAME_ORIGIN) -> httpx2.Response:
        return await self.http.post(f"{self.prefix}/{route}", json=body, headers=headers)

    async def get(self, route: str) -> httpx2.Response:
        return await self.http.get(f"{self.prefix}/{route}")


def fastapi_app(client: AsyncOneRuntime) -> FastAPI:
    def signed_in(user: str | None = Cookie(None)) -> SignedInUser | None:
        return SignedInUser(user, name="Ada") if user else None

    app = FastAPI()
    app.include_router(connect_router(client, signed_in, session=SESSION), prefix="/api")
    return app


def django_app(client: OneRuntime) -> Any:
    def signed_in(request: Any) -> SignedInUser | None:
        user = request.COOKIES.get("user")
        return SignedInUser(user, name="Ada") if user else None

    return django_site([path("api/", include(connect_urls(client, signed_in, session=SESSION)))])


PYTHON: Final = ("fastapi", "django")
NODE_PREFIXES: Final = {"express": "/api/one-runtime", "express-parsed": "/parsed/api", "fetch": "/fetch/api"}


@asynccontextmanager
async def in_process(kind: str, url: str, key: str) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of a backend in Python. An exception of the backend is a 500, as behind a server."""
    with OneRuntime(url, key) as synchronous:
        async with AsyncOneRuntime(url, key) as asynchronous:
            app = fastapi_app(asynchronous) if kind == "fastapi" else django_app(synchronous)
            transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
            async with httpx2.AsyncClient(transport=transport, base_url="http://app.example.com") as http:
                yield http


@pytest_asyncio.fixture(params=[*PYTHON, *(pytest.param(kind, marks=pytest.mark.foreign) for kind in NODE_PREFIXES)])
async def product(request: pytest.FixtureRequest, demo: Demo) -> AsyncIterator[Product]:
    """The product's backend, in which a new user is signed in."""
    if request.param in PYTHON:
        async with in_process(request.param, demo.url, demo.api_key) as http:
            yield signed_in_product(http, "/api")
        return
    async with httpx2.AsyncClient(base_url=request.getfixturevalue("product_site")) as http:
        yield signed_in_product(http, NODE_PREFIXES[request.param])


def signed_in_product(http: httpx2.AsyncClient, prefix: str) -> Product:
    user = f"handler-{new_id()}"
    http.cookies.set("user", user)
    return Product(http, prefix, user)


async def connect(demo: Demo, token: str) -> None:
    """Connect Acme CRM with a session, as the popup does."""
    body = {"auth_type": "api_key", "credentials": {"api_key": demo.acme_key}}
    async with httpx2.AsyncClient(base_url=demo.url, headers={"authorization": f"Bearer {token}"}) as popup:
        (await popup.post("/connect/session/connect", json=body)).raise_for_status()


async def connections(demo: Demo, user: str) -> list[dict[str, Any]]:
    headers = {"authorization": f"Bearer {demo.api_key}"}
    async with httpx2.AsyncClient(base_url=demo.url, headers=headers) as api:
        answer = await api.get("/v1/connections", params={"end_user_id": user})
    listed: list[dict[str, Any]] = answer.raise_for_status().json()["connections"]
    return listed


async def acme(product: Product) -> dict[str, Any]:
    answer = await product.get("integrations")
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    (listed,) = [item for item in answer.json()["integrations"] if item["slug"] == "acme"]
    return dict(listed)


async def test_routes_act_for_the_signed_in_user_whatever_the_browser_sends(product: Product, demo: Demo) -> None:
    victim = f"victim-{new_id()}"
    created = await product.post("sessions", {"integration_slug": "acme", "end_user_id": victim, "mode": "link"})
    assert created.status_code == 200, created.text
    assert created.json().keys() == {"session_token"}
    await connect(demo, created.json()["session_token"])
    (connection,) = await connections(demo, product.user)
    assert await connections(demo, victim) == []

    listed = await acme(product)
    assert listed["status"] == "connected"
    assert [item["id"] for item in listed["connections"]] == [connection["id"]]
    assert listed["logo_url"].startswith(demo.url)
    again = await product.post("sessions", {"integration_slug": "acme", "connection_id": connection["id"]})
    assert again.status_code == 200, again.text

    product.http.cookies.set("user", victim)
    foreign = await product.post("sessions", {"integration_slug": "acme", "connection_id": connection["id"]})
    assert foreign.status_code in (404, 422), foreign.text
    other = await product.post("disconnect", {"integration_slug": "acme", "end_user_id": product.user})
    assert other.json() == {"status": "not_found"}
    assert len(await connections(demo, product.user)) == 1

    product.http.cookies.set("user", product.user)
    done = await product.post("disconnect", {"integration_slug": "acme"})
    assert (done.status_code, done.json()) == (200, {"status": "disconnected"})
    assert (await acme(product))["status"] == "not_connected"


async def test_routes_refuse_requests_without_a_user_and_of_other_sites(product: Product) -> None:
    body = {"integration_slug": "acme"}
    other = {"origin": "https://other.example"}
    for route in ("sessions", "disconnect"):
        for headers in ({}, other, {"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site", **other}):
            answer = await product.post(route, body, headers)
            assert (answer.status_code, answer.json()["code"]) == (403, "cross_origin"), (route, headers)
        same = {"origin": str(product.http.base_url).rstrip("/")}
        assert (await product.post(route, body, same)).status_code == 200
    product.http.cookies.clear()
    answers = [
        await product.get("integrations"),
        *[await product.post(route, body) for route in ("sessions", "disconnect")],
    ]
    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(401, "unauthenticated")] * 3


@pytest.mark.parametrize(
    "route, content, media_type, status",
    [
        ("sessions", '{"integration_slug": "acme"}', "text/plain", 415),
        ("sessions", "[]", "application/json", 400),
        ("sessions", "{", "application/json", 400),
        ("sessions", '{"integration_slug": 7}', "application/json", 422),
        ("sessions", '{"integration_slug": "no-such-integration"}', "application/json", 404),
        ("disconnect", "{}", "application/json", 422),
        ("everything", "{}", "application/json", 404),
    ],
)
async def test_routes_refuse_wrong_requests(
    product: Product, route: str, content: str, media_type: str, status: int
) -> None:
    headers = {**SAME_ORIGIN, "content-type": media_type}
    answer = await product.http.post(f"{product.prefix}/{route}", content=content, headers=headers)
    assert answer.status_code == status, answer.text


@pytest.mark.parametrize("kind", PYTHON)
async def test_wrong_key_is_an_error_of_the_backend_and_not_of_the_user(kind: str, demo: Demo) -> None:
    async with in_process(kind, demo.url, "oru_wrong") as http:
        http.cookies.set("user", "somebody")
        assert (await http.get("/api/integrations")).status_code == 500
