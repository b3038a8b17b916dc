"""Build the ASGI application of a server process, and define what the process does at its start and its stop."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Final

import structlog
from fastapi import FastAPI
from starlette.types import ASGIApp

from one_runtime.agents.authorization.resources import PATH as MCP_PATH
from one_runtime.agents.operations.data import read_folder
from one_runtime.agents.operations.library import Reader
from one_runtime.api.application import ASGI_ROUTES, ApiApplication
from one_runtime.api.connections import connection_documents
from one_runtime.api.middleware import RequestMiddleware
from one_runtime.api.routing import AsgiRoute
from one_runtime.api.services import Services
from one_runtime.catalog.loader import Catalog, load_catalog
from one_runtime.clock import Clock, system_clock
from one_runtime.connect.assets import load_assets
from one_runtime.connect.preview import PopupPreview
from one_runtime.connect.routes import PopupRoutes
from one_runtime.connect.texts import ENGLISH
from one_runtime.context import Installation
from one_runtime.db.database_url import create_database
from one_runtime.db.migrations import require_compatible
from one_runtime.egress.client import Egress
from one_runtime.egress.limits import PoolLimits
from one_runtime.encryption import key_ring
from one_runtime.encryption.vault import Vault, parse_keys
from one_runtime.errors import Unavailable
from one_runtime.jobs import instances, worker
from one_runtime.mcp.authorization_routes import AuthorizationRoutes
from one_runtime.mcp.endpoint import McpEndpoint
from one_runtime.serving.periodic_tasks import DASHBOARD_TASKS, MEASURING_TASKS, PERIODIC_TASKS, heartbeat_task
from one_runtime.serving.reloading import RELOAD, reload
from one_runtime.settings import Settings, parse_host_port
from one_runtime.team.sign_in.openid_provider import OpenIDClient
from one_runtime.telemetry import logs, tracing
from one_runtime.telemetry.logger import Logger
from one_runtime.telemetry.request_observer import Observer
from one_runtime.webhooks.sender import Sender

PROXY_CONNECTIONS: Final = 16_384
"""Maximum number of open connections to providers for the proxy calls of one process.

A proxy call needs two open files: the connection to the caller and the connection to the provider. So this number is
lower than half of the limit of open files (`OPEN_FILES` in serving/server.py).
"""

WEBHOOK_LIMITS: Final = PoolLimits(connections=2048, per_upstream=2048, per_tenant=2048)
"""Limits of the connections to webhook receivers. They exceed the limits of `webhooks/sender.py`.

The sender limits the requests to each endpoint. With a limit for each host, a hanging endpoint would delay the other
endpoints of its host.
"""

log = Logger()


def create_app(
    settings: Settings,
    catalog: Catalog | None = None,
    *,
    clock: Clock = system_clock,
    egress: Egress | None = None,
    operations: Sequence[Reader] = (),
) -> RequestMiddleware:
    """Build the application of one installation.

    The application opens the database at the start of the server, and closes the database when the server stops.
    Tests replace `clock` and `egress` (the outbound network). `operations` read further functions for agents.

    Raises: ConfigurationError if a setting is invalid, such as the database URL or an encryption key.
    """
    if not structlog.is_configured():
        logs.configure(settings.log_level, settings.log_format)
    services = Services.of(_installation(settings, catalog or load_catalog(), clock, egress))
    logo_url = partial(services.integration_list.renderer.logo_url, logo="url")
    popup = PopupRoutes(services.installation, logo_url).routes()
    agents = McpEndpoint(
        services.installation, services.authenticator, services.proxy_calls, (read_folder, *operations)
    )
    mcp_routes = [
        AsgiRoute(path, agents.handle, methods=["POST"]) for path in (MCP_PATH, MCP_PATH + "/{organization_id}")
    ]
    more = (*mcp_routes, *AuthorizationRoutes(services.installation).routes(), *popup)
    plain_routes: dict[object, str] = {route.endpoint: route.path_format for route in (*ASGI_ROUTES, *more)}
    observer = Observer(plain_routes, is_timed=bool(settings.metrics_listen), logs_all=settings.logs_all_requests)
    api = ApiApplication(settings.public_url, more, partial(_lifespan, services, agents, observer))
    listeners = _dashboard(services, observer) if settings.dashboard_listen else {}
    return RequestMiddleware(api, services, observer, (*ASGI_ROUTES, *mcp_routes), listeners=listeners)


def _dashboard(services: Services, observer: Observer) -> dict[int, ASGIApp]:
    """Return the application of the dashboard, by the port of its listener."""
    # These imports take 50 ms, and a server without the dashboard does not need them.
    from one_runtime.dashboard.application import Dashboard  # noqa: PLC0415
    from one_runtime.dashboard.visit import DashboardServices  # noqa: PLC0415

    settings = services.installation.settings
    logo_url = partial(services.integration_list.renderer.logo_url, logo="url")
    openid = OpenIDClient(services.installation) if settings.oidc_issuer else None
    shared = DashboardServices(
        services.installation,
        logo_url,
        services.proxy_calls,
        services.entry_parser,
        openid,
        services.integration_list,
        PopupPreview(services.installation, logo_url).render,
    )
    _, port = parse_host_port(settings.dashboard_listen)
    return {port: Dashboard(shared, observer, load_assets().connect_js(ENGLISH.language))}


def _installation(settings: Settings, catalog: Catalog, clock: Clock, egress: Egress | None) -> Installation:
    # `proxy_calls` limits the concurrent proxy calls of an organization. All these calls can go to one provider, and
    # each call must get a connection (docs/decisions/0024-bulkheads.md).
    calls = settings.proxy_calls
    proxy_limits = PoolLimits(connections=PROXY_CONNECTIONS, per_upstream=calls, per_tenant=calls)
    allow = settings.egress_allow
    return Installation(
        settings=settings,
        database=create_database(
            settings.database_url.get_secret_value(), pool_size=settings.database_pool_size, disk_reserve=True
        ),
        catalog=catalog,
        vault=Vault(parse_keys(settings.encryption_keys.get_secret_value())),
        egress=egress or Egress(allow=allow),
        clock=clock,
        proxied=egress or Egress(allow=allow, pool_limits=proxy_limits),
        webhooks=egress or Egress(allow=allow, pool_limits=WEBHOOK_LIMITS),
    )


@asynccontextmanager
async def _lifespan(
    services: Services, agents: McpEndpoint, observer: Observer, _: FastAPI
) -> AsyncIterator[dict[str, Callable[[], Awaitable[None]]]]:
    installation = services.installation
    url = installation.settings.database_url.get_secret_value()
    await asyncio.to_thread(require_compatible, url)
    installation.egress.prepare()
    await installation.database.open()
    try:
        server = await _register(installation)
        sender = Sender(installation, partial(connection_documents, installation), lambda: observer.last_request)
        measuring = MEASURING_TASKS if installation.settings.metrics_listen else ()
        dashboard = DASHBOARD_TASKS if installation.settings.dashboard_listen else ()
        periodic = (*PERIODIC_TASKS, heartbeat_task(server), sender.task(), *measuring, *dashboard)
        tasks = [
            asyncio.create_task(worker.run(installation, periodic)),
            asyncio.create_task(observer.watch(installation.database.connections)),
            asyncio.create_task(services.request_log.run()),
        ]
        for task in tasks:
            task.add_done_callback(_report)
        yield {RELOAD: partial(reload, services, observer, server)}
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await agents.stop()
        await sender.stop()
        await installation.flights.land()  # wait until all running token refreshes have ended
        await services.request_log.flush()
        with suppress(Unavailable):  # if this removal fails, the registration expires after a minute
            async with installation.database.write() as tx:
                await instances.remove(tx, server)
    finally:
        services.entry_parser.close()
        await installation.computing.close()
        await installation.egress.close()
        await installation.proxy_egress.close()
        await installation.webhook_egress.close()
        await installation.database.close()
        await asyncio.to_thread(tracing.flush)


async def _register(installation: Installation) -> instances.ServerInstance:
    """Register the encryption keys and this process in the database, in one transaction.

    The command `one-runtime keys activate` reads both registrations. With one transaction, the command sees both
    registrations or none.
    """
    now = installation.clock()
    server = instances.this_process(installation.vault.key_ids, now)
    async with installation.database.write() as tx:
        await key_ring.register(tx, installation.vault, now)
        await instances.heartbeat(tx, server, installation.clock)
    await installation.liveness.check_in(installation.database, now)
    await installation.disabled.load(installation.database)
    return server


def _report(task: asyncio.Task[None]) -> None:
    """Log the error if a background task has failed."""
    if not task.cancelled() and task.exception() is not None:
        log.error("worker_stopped", kind=type(task.exception()).__name__, exc_info=task.exception())
