"""A pytest plugin: the application in this process, on each database, with the demo's provider Acme CRM.

The fixture `application` is the running app. `client` sends requests to the app with an API key that has all scopes.
`acme` is Acme CRM on its own port. The settings allow One Runtime to send requests to this port.
"""

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache, partial
from importlib.resources import as_file, files
from itertools import compress
from pathlib import Path
from typing import Any, Final, Literal

import httpx2
import pytest
import pytest_asyncio
import uvicorn
from pydantic import SecretStr
from starlette.types import ASGIApp

from one_runtime.api import response_headers
from one_runtime.api.application import SPECS
from one_runtime.api.middleware import RequestMiddleware
from one_runtime.api.problems import MEDIA_TYPE
from one_runtime.catalog.auth_types import Auth
from one_runtime.catalog.entry_files import load_yaml
from one_runtime.catalog.loader import Catalog, load_catalog
from one_runtime.catalog.model import Integration, dump
from one_runtime.clock import system_clock
from one_runtime.context import Installation
from one_runtime.db.engine import transaction_open
from one_runtime.demo.acme import GLOBEX, INITECH, Acme
from one_runtime.demo.acme_entry import acme_operations
from one_runtime.egress.client import Egress
from one_runtime.egress.network import Network
from one_runtime.encryption import key_ring
from one_runtime.encryption.vault import new_key
from one_runtime.serving.application import WEBHOOK_LIMITS, create_app
from one_runtime.settings import Settings
from one_runtime.tenancy import api_keys, organizations
from one_runtime.tenancy.events import Actor
from tests.waiting import eventually

PUBLIC_URL: Final = "http://127.0.0.1:8000"
ACME_ADDRESS: Final = "http://127.0.0.1:1"
"""A placeholder for Acme CRM's address. The entry is parsed once, and each test replaces the placeholder."""
ORIGIN: Final = "https://app.example.com"
ACME_KEYS: Final = {GLOBEX: "acme_globex0123456789", INITECH: "acme_initech0123456789"}
JSON: Final = {"content-type": "application/json"}
PLAIN_HEADERS: Final = frozenset(
    {
        "access-control-allow-origin",
        "cache-control",
        "connection",
        "content-encoding",
        "content-length",
        "content-security-policy",
        "content-type",
        "cross-origin-resource-policy",
        "vary",
        "x-content-type-options",
    }
)
"""Headers that the OpenAPI document omits, because HTTP clients handle them."""
SECRET: Final = re.compile(r'"or[a-z]{1,3}_[0-9A-Za-z]+_[0-9A-Za-z]{20,}|"whsec_[0-9A-Za-z+/=]{32}|"credentials": ?\{"')
"""Secrets in a response: tokens of One Runtime, signing secrets, and the credentials of a connection."""
_TOKEN: Final = re.compile(r"\bor[a-z]{1,3}_[0-9A-Za-z]+_[0-9A-Za-z]{20,}")
_SENT: Final[set[str]] = set()
"""Tokens that tests have sent as a value, such as an identifier of an end user. A response may repeat them."""
NAMED: Final = frozenset(
    {"amplitude", "freshdesk", "okta", "openweather", "salesforce", "servicenow", "snowflake", "workday"}
)
"""Integrations that tests use although they are not verified."""


class SetClock:
    """The system's clock, shifted by an offset that a test sets."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return system_clock() + self.ahead

    def advance(self, **delta: float) -> None:
        self.ahead += timedelta(**delta)


@dataclass(frozen=True, slots=True)
class RunningAcme:
    url: str
    port: int
    acme: Acme


@dataclass(frozen=True, slots=True)
class Application:
    """The application under test. Tests use its parts to prepare and to inspect data."""

    app: RequestMiddleware
    installation: Installation
    clock: SetClock
    acme: RunningAcme

    async def organization(self, name: str = "Northwind", origins: tuple[str, ...] = (ORIGIN,)) -> str:
        async with self.installation.database.write() as tx:
            return (await organizations.create(tx, name, self.clock(), allowed_origins=origins)).id

    async def key(self, organization_id: str, *scopes: str) -> str:
        """Create an API key of the organization. Without `scopes`, the key has all scopes."""
        async with self.installation.database.write() as tx:
            actor = Actor(organization_id, "system")
            _, token = await api_keys.create(tx, actor, "test", scopes or api_keys.SCOPES, self.clock())
            return token.secret

    def replace_services(self, **changes: Any) -> None:
        self.app.services = replace(self.app.services, **changes)

    def client(self, key: str | None = None) -> "Client":
        return Client(self.app, key)


class Client:
    """An HTTP client that calls the application in this process."""

    def __init__(self, app: ASGIApp, key: str | None) -> None:
        headers = {"authorization": f"Bearer {key}"} if key else {}
        transport = httpx2.ASGITransport(app, raise_app_exceptions=True)
        hooks = {"response": [require_declared_response]}
        self.http = httpx2.AsyncClient(transport=transport, base_url=PUBLIC_URL, headers=headers, event_hooks=hooks)

    async def get(self, path: str, **params: Any) -> httpx2.Response:
        return await self.http.get(path, params=params)

    async def post(self, path: str, body: Mapping[str, Any] | None = None, **headers: str) -> httpx2.Response:
        return await self.http.post(path, content=json.dumps(body or {}), headers={**JSON, **headers})

    async def send(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> httpx2.Response:
        content = None if body is None else json.dumps(body)
        return await self.http.request(method, path, content=content, headers=JSON if content else {})

    async def integrations(self, end_user_id: str = "user_123", **options: Any) -> dict[str, Any]:
        """Return the integrations of an end user, by slug."""
        answer = await self.get("/v1/integrations", end_user_id=end_user_id, logo="none", **options)
        assert answer.status_code == 200, answer.text
        return {integration["slug"]: integration for integration in answer.json()["integrations"]}

    async def connect(self, end_user_id: str = "user_123", key: str = ACME_KEYS[GLOBEX], **more: Any) -> dict[str, Any]:
        """Import an Acme connection, as a customer's backend does."""
        body = {"integration_slug": "acme", "end_user_id": end_user_id, "auth_type": "api_key"}
        answer = await self.post("/v1/connections", {**body, "credentials": {"api_key": key}, **more})
        assert answer.status_code in {200, 201}, answer.text
        connection: dict[str, Any] = answer.json()
        return connection

    async def session(self, end_user_id: str = "user_123", **more: Any) -> dict[str, Any]:
        body = {"integration_slug": "acme", "end_user_id": end_user_id, **more}
        answer = await self.post("/v1/hosted-connection-sessions", body)
        assert answer.status_code == 200, answer.text
        session: dict[str, Any] = answer.json()
        return session

    async def popup(self, step: str, token: str, body: Mapping[str, Any] | None = None) -> httpx2.Response:
        """Send a request as the popup's page does. `step` is empty, `/connect` or `/cancel`."""
        return await self.post(f"/connect/session{step}", body, authorization=f"Bearer {token}")

    async def type_key(self, token: str, key: str, **more: Any) -> httpx2.Response:
        """Submit an API key in the popup, as an end user does."""
        return await self.popup("/connect", token, {"auth_type": "api_key", "credentials": {"api_key": key}, **more})

    async def replace_by_key(self, token: str, key: str) -> httpx2.Response:
        """Submit the key of another account, and agree to the replacement of the connected account."""
        asked = await self.type_key(token, key)
        assert asked.json()["code"] == "account_mismatch", asked.text
        return await self.type_key(token, key, replace_account=asked.json()["detail"])


async def require_declared_response(response: httpx2.Response) -> None:
    """Fail the test if the route does not declare a header or the error code of the response (house rule 21)."""
    request = response.request
    await _require_caching(response)
    path = request.url.raw_path.decode().partition("?")[0]
    await _require_explanations(response)
    specs = [spec for spec in SPECS if spec.method == request.method and template(spec.path).fullmatch(path)]
    if specs and response.headers.get("content-type") == MEDIA_TYPE:
        await response.aread()
        declared = {error.code for spec in specs for error in spec.all_errors}
        assert response.json()["code"] in declared, f"{specs[0].name} does not declare {response.json()['code']}"
    if specs and not is_relayed(response):
        statuses = (str(response.status_code), f"{response.status_code // 100}XX")
        headers = {
            name.lower() for spec in specs for status in statuses for name in response_headers.names(spec, status)
        }
        assert set(response.headers) - PLAIN_HEADERS <= headers, f"{specs[0].name} {response.status_code}"


async def _require_caching(response: httpx2.Response) -> None:
    """Fail the test if a response says nothing about caching, or if a cache may store a response with a secret."""
    if not is_relayed(response):
        assert "cache-control" in response.headers, response.request.url
        is_json = response.headers.get("content-type", "").startswith("application/json")
        if is_json and response.request.url.path != "/openapi.json":  # has examples of secrets
            await response.aread()
            sent = f"{response.request.url} {_sent_body(response.request)}"
            _SENT.update(_TOKEN.findall(sent.lower()))  # a slug comes back in lower case
            if any(secret[0].strip('"').lower() not in _SENT for secret in SECRET.finditer(response.text)):
                assert response.headers["cache-control"] == "no-store", response.request.url


def _sent_body(request: httpx2.Request) -> str:
    try:
        return request.content.decode(errors="replace")
    except httpx2.RequestNotRead:  # a streamed upload
        return ""


async def _require_explanations(response: httpx2.Response) -> None:
    """Fail the test if an error or the reason of an event has no explanation (`one_runtime/explanations`)."""
    if response.headers.get("content-type") == "application/json" and not is_relayed(response):
        await response.aread()
        if '"explanation"' in response.text or '"reason"' in response.text:
            _require_explanation(response.json())


def _require_explanation(value: Any) -> None:
    if isinstance(value, list):
        for each in value:
            _require_explanation(each)
    elif isinstance(value, dict):
        assert value.get("explanation", "") is not None, f"no explanation of {value}"
        if {"actor", "data"} <= value.keys() and "reason" in value["data"]:
            assert "explanation" in value["data"], f"no explanation of {value}"
        for each in value.values():
            _require_explanation(each)


def is_relayed(response: httpx2.Response) -> bool:
    """Return True for a response of a provider, which the proxy relays with the headers of the provider."""
    return "one-runtime-upstream-time" in response.headers


@cache
def template(path: str) -> re.Pattern[str]:
    """Return a pattern that matches the URL paths of a route."""
    return re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path).replace(r"\{path\}", ".*")))


@asynccontextmanager
async def running(
    app: ASGIApp, port: int = 0, *, lifespan: Literal["on", "off"] = "on", certificate: Path | None = None
) -> AsyncIterator[int]:
    """Serve an application on a loopback port, in this event loop. Yield the port.

    `certificate`: a file with a key and a certificate, for https.
    """
    config = uvicorn.Config(
        app,
        log_config=None,
        lifespan=lifespan,
        timeout_graceful_shutdown=1,
        proxy_headers=False,
        ssl_keyfile=certificate,
        ssl_certfile=certificate,
    )
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", port)) as listener:
        # asyncio sets this option only for sockets that name their protocol, and `create_server` names none. Without
        # it, the kernel delays the body of many responses by 40 ms, because uvicorn writes headers and body separately.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        task = asyncio.create_task(server.serve(sockets=[listener]))
        await eventually(lambda: server.started or task.done())
        try:
            yield listener.getsockname()[1]
        finally:
            await _stop(server, task)


async def _stop(server: uvicorn.Server, task: "asyncio.Task[None]") -> None:
    """Stop the server at once. uvicorn's own shutdown waits 0.2 s for requests, but a test has none at its end."""
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    for listening in server.servers:
        listening.close()
    for connection in list(server.server_state.connections):
        connection.shutdown()
    await server.lifespan.shutdown()


@asynccontextmanager
async def lifespan(app: ASGIApp) -> AsyncIterator[None]:
    to_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    from_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    scope: dict[str, Any] = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
    task = asyncio.ensure_future(app(scope, to_app.get, from_app.put))  # type: ignore[arg-type] # a queue takes any
    await to_app.put({"type": "lifespan.startup"})
    started = await from_app.get()
    if started["type"] != "lifespan.startup.complete":
        await task
    try:
        yield
    finally:
        await to_app.put({"type": "lifespan.shutdown"})
        await from_app.get()
        await task


def catalog_with_acme(acme_url: str) -> Catalog:
    """Return a part of the built-in catalog, and the demo's provider."""
    entry, logo = acme_entry_and_logo()
    acme = Integration.model_validate_json(entry.replace(ACME_ADDRESS, acme_url), context={"trusted": True})
    return part_of_the_catalog().with_extra(acme, logo)


@cache
def acme_entry_and_logo() -> tuple[str, str]:
    """Return the entry of the demo's provider as JSON with `ACME_ADDRESS`, and the provider's logo."""
    folder = files("one_runtime.demo")
    with as_file(folder / "acme.yaml") as path:
        entry = load_yaml(path, allow_http=True, replace={"acme_url": ACME_ADDRESS})
    return json.dumps(dump(entry)), (folder / "acme.svg").read_text()


@cache
def part_of_the_catalog() -> Catalog:
    """Return the verified integrations and those in `NAMED`. With the complete catalog, each test would be slower."""
    whole = load_catalog()
    named = (
        integration.slug in NAMED or any(map(_is_verified, integration.auth)) for integration in whole.integrations
    )
    selected = tuple(compress(whole.integrations, named))
    return Catalog.of(
        selected, {integration.slug: whole.logo(integration.slug) for integration in selected}, whole.revision
    )


def _is_verified(auth: Auth) -> bool:
    return auth.verified.how != "unverified"


def settings_for(database_url: str, acme: RunningAcme, **more: Any) -> Settings:
    """Return the settings of an installation on this database. The installation may send requests to Acme."""
    values: dict[str, Any] = {
        "public_url": PUBLIC_URL,
        "database_url": SecretStr(database_url),
        "encryption_keys": SecretStr(new_key()),
        "egress_allow": frozenset({("127.0.0.1", acme.port)}),
        "rate_limit": 0,
    }
    return Settings.model_validate(values | more)


def refuse_open_transaction() -> None:
    """Fail if a transaction is open while an outbound request runs (house rule 16)."""
    assert not transaction_open.get(), "an outbound request runs inside a transaction"


@asynccontextmanager
async def without_worker(installation: Installation) -> AsyncIterator[None]:
    """Open an installation as its application does, but do not start the periodic tasks."""
    await installation.database.open()
    try:
        async with installation.database.write() as tx:
            await key_ring.register(tx, installation.vault, installation.clock())
        yield
        await installation.flights.land()
    finally:
        await installation.egress.close()
        await installation.proxy_egress.close()
        await installation.database.close()


@asynccontextmanager
async def started(
    settings: Settings,
    acme: RunningAcme,
    catalog: Catalog | None = None,
    *,
    worker: bool = True,
    network: Network | None = None,
) -> AsyncIterator[Application]:
    """Run an application until the block ends.

    `worker`: False if the test needs no periodic task, or if the test itself runs a periodic task and counts the task's
    rows. A worker could claim these rows.

    `network`: the outbound network. None: the machine's network.
    """
    clock = SetClock()
    egress = Egress(
        allow=settings.egress_allow,
        network=network,
        pool_limits=WEBHOOK_LIMITS,
        before_request=refuse_open_transaction,
    )
    app = create_app(
        settings,
        catalog or catalog_with_acme(acme.url),
        clock=clock,
        egress=egress,
        operations=[partial(acme_operations, acme.url)],
    )
    installation = app.services.installation
    async with lifespan(app) if worker else without_worker(installation):
        yield Application(app, installation, clock, acme)


@pytest_asyncio.fixture
async def acme() -> AsyncIterator[RunningAcme]:
    """Acme CRM, with the two accounts of `ACME_KEYS`."""
    acme = Acme(ACME_KEYS)
    async with running(acme.app) as port:
        yield RunningAcme(f"http://127.0.0.1:{port}", port, acme)


@pytest.fixture
def settings(database_url: str, acme: RunningAcme) -> Settings:
    return settings_for(database_url, acme)


@pytest.fixture
def with_worker(request: pytest.FixtureRequest) -> bool:
    """Return True if the test has the mark `worker`.

    The first run of all periodic tasks opens five connections to PostgreSQL. Most tests are half as long without it.
    """
    return request.node.get_closest_marker("worker") is not None


@pytest.fixture
def network() -> Network | None:
    """The outbound network of the application. Modules replace it."""
    return None


@pytest_asyncio.fixture
async def application(
    settings: Settings, acme: RunningAcme, with_worker: bool, network: Network | None
) -> AsyncIterator[Application]:
    """The application. Its worker runs only in tests with the mark `worker`."""
    async with started(settings, acme, worker=with_worker, network=network) as application:
        yield application


@pytest_asyncio.fixture
async def client(application: Application) -> Client:
    """A client with an API key of a new organization. The key has all scopes."""
    return application.client(await application.key(await application.organization()))
