"""Fixtures of the Python client's tests: an installation with faults, and both clients behind one awaitable call."""

import asyncio
import inspect
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cached_property
from operator import attrgetter
from typing import Any, Final, Literal, TypeAlias

import httpx2
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from one_runtime.demo.acme import GLOBEX
from one_runtime.serving.application import create_app
from one_runtime.settings import Settings
from one_runtime_client import AsyncOneRuntime, OneRuntime, Pages
from one_runtime_client.client import TIMEOUT
from one_runtime_client.operations import Resource
from one_runtime_client.requests import Request
from tests.application import ACME_KEYS, Application, RunningAcme, SetClock, catalog_with_acme, running

Kind: TypeAlias = Literal["blocking", "awaiting"]
KINDS: Final[tuple[Kind, ...]] = ("blocking", "awaiting")

ORGANIZATION: Final = (
    '{"id": "1", "display_name": "Northwind", "logo_url": null, "privacy_url": null, "allowed_origins": [],'
    ' "return_urls": [], "integrations": {"mode": "all", "slugs": [], "later": 1}, "later": {"more": true},'
    ' "agents": {"connect_url": null, "access": "write", "integrations": null, "hosts": null, "methods": null,'
    ' "calls_per_run": 300},'
    ' "several_connections": "refuse",'
    ' "branding": {"accent_color": null, "accent_color_dark": null, "radius": "medium", "scheme": "auto",'
    ' "logo_dark_url": null, "hide_powered_by": false},'
    ' "created_at": "2026-11-25T01:02:03.004Z", "updated_at": "2026-11-25T01:02:03.004Z"}'
)


class _RouteOnly:
    """Stands for a resource whose methods return their routes instead of sending requests."""

    def _request(self, request: Request, _: object) -> str:
        return request.route

    _pages = _request


def resources_of(client: OneRuntime) -> dict[str, Resource]:
    """Return the resources of a client by name. The name of the client itself is empty."""
    properties = inspect.getmembers_static(type(client), lambda member: isinstance(member, cached_property))
    names = [name for name, _ in properties if name not in {"with_raw_response", "proxy"}]
    return {"": client, **{name: getattr(client, name) for name in names}}


def routes_of(client: OneRuntime) -> dict[str, str]:
    """Return the methods of a client with their routes, such as `sessions.create`: `POST /v1/…`."""
    routes = {}
    for noun, resource in resources_of(client).items():
        for verb, method in inspect.getmembers_static(type(resource), inspect.isfunction):
            if not verb.startswith("_") and verb != "close":
                required = {
                    name: ["x"] if "Iterable" in str(parameter.annotation) else "x"
                    for name, parameter in inspect.signature(method).parameters.items()
                    if parameter.default is parameter.empty and name != "self"
                }
                route = method(_RouteOnly(), **required)
                routes[f"{noun}.{verb}" if noun else verb] = route
    return routes


with OneRuntime("http://127.0.0.1", "oru_key") as _client:
    ROUTES: Final = routes_of(_client)


@dataclass
class Faults:
    """Wraps an application: gives the prepared answers first, then passes requests on."""

    app: ASGIApp
    answers: list[Response] = field(default_factory=list)
    seen: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        self.seen.append((scope["method"], f"{scope['raw_path'].decode()}?{scope['query_string'].decode()}", headers))
        await (self.answers.pop(0) if self.answers else self.app)(scope, receive, send)


def problem(status: int, code: str, **headers: str) -> Response:
    """An error answer of One Runtime."""
    body = {"status": status, "code": code, "detail": "An error of a test.", "request_id": "request-1"}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(json.dumps(body), status, named, media_type="application/problem+json")


async def northwind(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers every request with an organization that has fields of a later version."""
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    await Response(ORGANIZATION, media_type="application/json")(scope, receive, send)


@asynccontextmanager
async def serving_northwind() -> AsyncIterator[tuple[Faults, str]]:
    """Serve Northwind until the block ends."""
    faults = Faults(northwind)
    async with running(faults) as port:
        yield faults, f"http://127.0.0.1:{port}"


SCHEDULE: Final = [0.5, 1.0, 2.0, 4.0, 8.0, 8.0]
"""Seconds of a client's waits without `Retry-After`. The client can lengthen each wait by a quarter."""


@dataclass
class Caller:
    """One of the two clients."""

    client: OneRuntime | AsyncOneRuntime
    slept: list[float]

    def waited(self, least: list[float]) -> bool:
        """Return True if the client waited these seconds before its retries, and up to a quarter longer."""
        return len(self.slept) == len(least) and all(
            seconds <= slept <= 1.25 * seconds for seconds, slept in zip(least, self.slept, strict=True)
        )

    async def do(self, name: str, /, *args: Any, **kwargs: Any) -> Any:
        """Call a method by its name. Of a list with pages, return all items."""
        method = attrgetter(name)(self.client)
        if isinstance(self.client, OneRuntime):
            return await asyncio.to_thread(_whole, method, *args, **kwargs)
        answer = method(*args, **kwargs)
        return [item async for item in answer] if hasattr(answer, "__aiter__") else await answer

    async def page(self, name: str, cursor: str | None = None, /, **kwargs: Any) -> Any:
        """Return one page of a list, the first one without a cursor."""
        pages = attrgetter(name)(self.client)(**kwargs)
        if isinstance(self.client, OneRuntime):
            return await asyncio.to_thread(pages.page, cursor)
        return await pages.page(cursor)

    async def streamed(self, *args: Any, **kwargs: Any) -> tuple[httpx2.Response, bytes]:
        """Return a streamed response with its body."""
        if isinstance(self.client, OneRuntime):
            return await asyncio.to_thread(_streamed, self.client, *args, **kwargs)
        async with self.client.proxy.stream(*args, **kwargs) as response:
            return response, b"".join([piece async for piece in response.aiter_bytes()])


def _whole(method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    answer = method(*args, **kwargs)
    return list(answer) if isinstance(answer, Pages) else answer


def _streamed(client: OneRuntime, *args: Any, **kwargs: Any) -> tuple[httpx2.Response, bytes]:
    with client.proxy.stream(*args, **kwargs) as response:
        return response, b"".join(response.iter_bytes())


@asynccontextmanager
async def calling(kind: Kind, base_url: str, key: str, timeout: float = TIMEOUT, **more: Any) -> AsyncIterator[Caller]:
    """Open a client that records its waits instead of sleeping."""
    slept: list[float] = []

    async def note(seconds: float) -> None:
        slept.append(seconds)

    if kind == "blocking":
        with OneRuntime(base_url, key, timeout=timeout, sleep=slept.append, **more) as blocking:
            yield Caller(blocking, slept)
    else:
        async with AsyncOneRuntime(base_url, key, timeout=timeout, sleep=note, **more) as awaiting:
            yield Caller(awaiting, slept)


@dataclass
class Served:
    """A running installation with a client of its organization."""

    application: Application
    faults: Faults
    url: str
    organization: str
    kind: Kind
    caller: Caller

    async def do(self, name: str, /, *args: Any, **kwargs: Any) -> Any:
        return await self.caller.do(name, *args, **kwargs)

    async def connect(self, end_user_id: str = "user_123", **more: Any) -> Any:
        """Create an Acme connection of an end user."""
        body = {"credentials": {"api_key": ACME_KEYS[GLOBEX]}, **more}
        return await self.do(
            "connections.create", integration_slug="acme", end_user_id=end_user_id, auth_type="api_key", **body
        )


@asynccontextmanager
async def served(settings: Settings, acme: RunningAcme, kind: Kind) -> AsyncIterator[Served]:
    """Serve an installation until the block ends."""
    clock = SetClock()
    app = create_app(settings, catalog_with_acme(acme.url), clock=clock)
    faults = Faults(app)
    async with running(faults) as port:
        application = Application(app, app.services.installation, clock, acme)
        organization = await application.organization()
        url = f"http://127.0.0.1:{port}"
        async with calling(kind, url, await application.key(organization)) as caller:
            yield Served(application, faults, url, organization, kind, caller)
