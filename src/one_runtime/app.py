"""Joins everything: the application, its route table, its lifespan."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote_to_bytes

import structlog
from fastapi import APIRouter, Depends, FastAPI
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from one_runtime import __version__, background
from one_runtime.api import (
    catalog,
    connections,
    credentials,
    custom_integrations,
    disconnect,
    end_users,
    events,
    hosted_connection_sessions,
    oauth_clients,
    organization,
    problems,
    proxy_requests,
    reference,
    system,
)
from one_runtime.api.auth import PROXIED
from one_runtime.api.compression import CompressPublic
from one_runtime.api.fields import given_once
from one_runtime.api.integrations import PATH, IntegrationsEndpoint
from one_runtime.api.openapi import document
from one_runtime.api.proxy import PATH as PROXY_PATH
from one_runtime.api.proxy import PREFIX as PROXY_PREFIX
from one_runtime.api.proxy import ProxyEndpoint
from one_runtime.catalog.loader import Catalog, load_catalog
from one_runtime.clock import Clock, system_clock
from one_runtime.connect.routes import Flows
from one_runtime.connect.routes import router as connect_routes
from one_runtime.connecting.authorization import AuthorizationFlow
from one_runtime.connecting.popup import PopupFlow
from one_runtime.context import Installation
from one_runtime.db.database_url import create_database
from one_runtime.db.ids import new_id
from one_runtime.db.migrations import require_current
from one_runtime.egress import Egress, PoolLimits
from one_runtime.encryption import key_ring
from one_runtime.encryption.vault import Vault, parse_keys
from one_runtime.errors import InvalidInput, MethodNotAllowed, OneRuntimeError, Unavailable
from one_runtime.integrations.listing import IntegrationList
from one_runtime.jobs import instances, worker
from one_runtime.proxy.request_log import RequestLog
from one_runtime.settings import Settings
from one_runtime.telemetry import logs, tracing
from one_runtime.telemetry.request_observer import Observer
from one_runtime.tenancy.authentication import Authenticator

MAX_BODY_BYTES = 1024 * 1024
PROXY_CONNECTIONS: Final = 16_384
"""Of a process, to all providers: so that it keeps some of its open files for others."""


_ROUTERS = (
    catalog,
    hosted_connection_sessions,
    connections,
    credentials,
    disconnect,
    end_users,
    organization,
    custom_integrations,
    oauth_clients,
    events,
    proxy_requests,
    system,
    reference,
)


def _operation_id(route: APIRoute) -> str:
    return route.name


# Included here and not in the application: FastAPI works out what a route needs when it is first asked for, once for
# each inclusion.
_API = APIRouter(generate_unique_id_function=_operation_id)
for _module in _ROUTERS:
    _API.include_router(_module.router, dependencies=[Depends(given_once)])

log = structlog.get_logger()


def create_app(
    settings: Settings,
    catalog: Catalog | None = None,
    *,
    clock: Clock = system_clock,
    egress: Egress | None = None,
) -> "Front":
    """The application of one installation; its lifespan opens and closes the database.

    `clock` and `egress` are the seams of tests. Raises: ConfigurationError for settings that cannot work.
    """
    if not structlog.is_configured():
        logs.configure(settings.log_level, settings.log_format)
    installation = Installation(
        settings=settings,
        database=create_database(settings.database_url.get_secret_value(), pool_size=settings.database_pool_size),
        catalog=catalog or load_catalog(),
        vault=Vault(parse_keys(settings.encryption_keys.get_secret_value())),
        egress=egress or Egress(allow=settings.egress_allow),
        clock=clock,
        proxy_egress=egress or Egress(allow=settings.egress_allow, pool_limits=_proxy_pool(settings)),
    )
    app = FastAPI(
        title="One Runtime",
        version=__version__,
        openapi_url=None,  # api/reference.py answers it
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=_lifespan,
    )
    app.add_middleware(CompressPublic)
    lists = IntegrationList(installation.catalog, settings.public_url)
    app.state.installation = installation
    app.state.integration_list = lists
    app.state.authenticator = Authenticator(settings.rate_limit)
    endpoint = IntegrationsEndpoint(installation, lists, app.state.authenticator)
    route = Route(PATH, endpoint, methods=["GET"])
    app.router.routes.append(route)
    app.state.request_log = RequestLog(installation.database, kept=settings.request_retention_days > 0)
    proxy = ProxyEndpoint(installation, app.state.authenticator, app.state.request_log)
    relaying = Route(PROXY_PATH.replace("{path}", "{path:path}"), proxy, methods=[*PROXIED])
    app.router.routes.append(relaying)
    app.router.routes += _API.routes
    flow = PopupFlow(installation)
    consents = AuthorizationFlow(installation, flow)
    app.router.routes += connect_routes(
        Flows(flow, consents), settings.public_url, lambda integration: lists.logo_url(integration, "url")
    )
    plain: dict[object, str] = {one.endpoint: one.path_format for one in app.router.routes if type(one) is Route}
    app.state.observer = Observer(settings, plain)
    problems.install(app, settings.public_url)
    app.openapi = lambda: _openapi(app, settings.public_url)  # type: ignore[method-assign] # FastAPI's way to extend it
    return Front(app, Lists(route, endpoint), Proxy(relaying, proxy), settings.public_url)


def _openapi(app: FastAPI, public_url: str) -> dict[str, Any]:
    if not app.openapi_schema:
        app.openapi_schema = document(app, public_url)
    return app.openapi_schema


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    installation: Installation = app.state.installation
    url = installation.settings.database_url.get_secret_value()
    await asyncio.to_thread(require_current, url)
    await installation.database.open()
    try:
        server = await _register(installation)
        running = [
            asyncio.create_task(worker.run(installation, background.PERIODIC_TASKS)),
            asyncio.create_task(worker.run(installation, (background.heartbeat(server),))),  # waits for no other turn
            asyncio.create_task(app.state.observer.watch(installation.database)),
            asyncio.create_task(app.state.request_log.run()),
        ]
        for task in running:
            task.add_done_callback(_report)
        yield
        for task in running:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await installation.flights.land()  # what a provider has answered is stored before we go
        await app.state.request_log.flush()
        with suppress(Unavailable):  # it counts as gone a minute later
            async with installation.database.write() as tx:
                await instances.remove(tx, server)
    finally:
        await installation.egress.close()
        await installation.relay.close()
        await installation.database.close()
        await asyncio.to_thread(tracing.flush)


async def _register(installation: Installation) -> instances.ServerInstance:
    """Note the ring and this process in one transaction: `keys promote` sees both or neither."""
    now = installation.clock()
    server = instances.this_process(installation.vault.key_ids, now)
    async with installation.database.write() as tx:
        await key_ring.register(tx, installation.vault, now)
        await instances.heartbeat(tx, server, now)
    return server


def _report(task: asyncio.Task[None]) -> None:
    """A background loop that dies is never silent."""
    if not task.cancelled() and task.exception() is not None:
        log.error("worker_stopped", kind=type(task.exception()).__name__, exc_info=task.exception())


def _proxy_pool(settings: Settings) -> PoolLimits:
    """Who has found room for a call finds it here, too (docs/decisions/0024-bulkheads.md)."""
    return PoolLimits(connections=PROXY_CONNECTIONS, per_upstream=settings.proxy_calls)


@dataclass(frozen=True, slots=True)
class Lists:
    """The list of integrations, and its place in the route table."""

    route: Route
    endpoint: IntegrationsEndpoint


@dataclass(frozen=True, slots=True)
class Proxy:
    """The proxy, and its place in the route table."""

    route: Route
    endpoint: ProxyEndpoint


class Front:
    """What stands before every route: a request id, who looks on, the body's size limit, and an answer to any fault.

    The list of integrations, which every settings page waits for, is called from here: the framework's way to it costs
    more than the answer (docs/benchmarks.md). It stands in the route table all the same.
    """

    def __init__(self, app: FastAPI, lists: Lists, proxy: Proxy, public_url: str) -> None:
        self.app = app
        self._observer: Observer = app.state.observer
        self._lists, self._proxy = lists, proxy
        self._public_url = public_url

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI application."""
        if scope["type"] != "http":
            await self._live(scope, receive, send)
            return
        request_id = new_id()
        scope["request_id"] = request_id
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"request-id", request_id.encode())]
            await send(message)

        failure: OneRuntimeError | None = None
        begun = self._observer.begin(scope)
        try:
            try:
                if scope["path"].startswith(PROXY_PREFIX):
                    scope["route"] = self._proxy.route
                    await self._proxy.endpoint(scope, receive, send_with_id)
                elif scope["path"] == PATH and scope["method"] == "GET":
                    _require_utf8(scope["query_string"])
                    scope["route"] = self._lists.route
                    await self._lists.endpoint(scope, receive, send_with_id)
                else:
                    _require_utf8(scope["query_string"])
                    logs.request.set(scope)  # of this task alone; the list has nothing to log
                    await self.app(scope, _limited(scope, receive), send_with_id)
            except OneRuntimeError as error:
                failure = error
            except Exception as error:  # the last handler: the caller gets a problem and the log the reason
                route, kind = self._observer.route_of(scope), type(error).__name__
                log.exception("request_crashed", request_id=request_id, route=route, kind=kind)
                failure = problems.crash(request_id)
            if failure is not None and not status:
                await self._refuse(failure, scope, receive, send_with_id)
        finally:
            self._observer.end(scope, status, begun)

    async def _refuse(self, failure: OneRuntimeError, scope: Scope, receive: Receive, send: Send) -> None:
        scope["error_code"] = failure.code
        response = problems.problem(failure, scope["request_id"], self._public_url)
        if scope["path"].startswith(PROXY_PREFIX):  # by which the provider's errors are told from ours
            response.headers["one-runtime-error"] = failure.code
            if isinstance(failure, MethodNotAllowed):
                response.headers["allow"] = ", ".join(sorted((*PROXIED, "HEAD")))
        await response(scope, receive, send)

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Start and stop. The framework tells what went wrong with the libraries' words, so it is told here (P11)."""

        async def send_without_words(message: Message) -> None:
            await send({"type": message["type"]})

        try:
            await self.app(scope, receive, send_without_words)
        except Exception as error:  # the server ends with it
            log.exception("lifespan_failed", kind=type(error).__name__)
            raise


def _require_utf8(query_string: bytes) -> None:
    """The framework would put a mark in the place of what is not UTF-8. Raises: InvalidInput."""
    if b"%" in query_string:
        try:
            unquote_to_bytes(query_string).decode()
        except UnicodeDecodeError as error:
            raise InvalidInput("The query string is not percent-encoded UTF-8.") from error


def _limited(scope: Scope, receive: Receive) -> Receive:
    """`receive` that stops at the size limit. Raises: HTTPException, which FastAPI does not take for bad JSON."""
    if scope["method"] in {"GET", "HEAD"}:
        return receive
    size = 0

    async def receive_limited() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > MAX_BODY_BYTES:
            raise HTTPException(413)
        return message

    return receive_limited
