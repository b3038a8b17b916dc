"""Serve the application with uvicorn. SQLite allows one process, and PostgreSQL allows several processes.

The listening sockets open before the server starts, so that a used port is one sentence.
"""

import asyncio
import errno
import gc
import resource
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeAlias

from starlette.types import ASGIApp

from one_runtime.clock import system_clock
from one_runtime.computing.isolation import hide_memory
from one_runtime.connections import credentials
from one_runtime.db.access import require_usable
from one_runtime.db.database_url import create_database, sqlite_path
from one_runtime.db.migrations import migrate_configured, require_compatible
from one_runtime.db.server_lock import hold_server_lock
from one_runtime.encryption import key_ring
from one_runtime.encryption.vault import Vault, parse_keys
from one_runtime.errors import ConfigurationError
from one_runtime.jobs import liveness
from one_runtime.serving.application import create_app
from one_runtime.serving.draining import DrainingConfig, DrainingServer
from one_runtime.serving.http_protocol import OPTIONS
from one_runtime.serving.supervisor import PATIENCE, Supervisor
from one_runtime.settings import Settings, load_settings, parse_host_port
from one_runtime.telemetry import exporting, logs
from one_runtime.telemetry.logger import Logger
from one_runtime.telemetry.metrics_server import metrics_served


@contextmanager
def bound_listeners(listen: str, setting: str = "ONE_RUNTIME_LISTEN") -> Iterator[list[socket.socket]]:
    """Bind a socket to each address of a setting. A name such as `localhost` can have several addresses.

    uvicorn starts to listen later, when the application is ready.

    Raises: ConfigurationError if an address cannot be used.
    """
    host, port = parse_host_port(listen)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise ConfigurationError(f"{setting}: the name {host} cannot be resolved.") from error
    with ExitStack() as stack:
        listeners, absent = [], None
        for family, kind, protocol, _, address in dict.fromkeys(found):
            try:
                listener = stack.enter_context(socket.socket(family, kind, protocol))
                _bind(listener, address)
            except OSError as error:
                if error.errno not in {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}:  # a machine without IPv6
                    raise ConfigurationError(_explain(error, host, port, setting)) from error
                absent = error
            else:
                listeners.append(listener)
        if absent is not None and not listeners:
            raise ConfigurationError(_explain(absent, host, port, setting)) from absent
        yield listeners


def _bind(listener: socket.socket, address: Any) -> None:
    # The port of a stopped server stays in the state TIME_WAIT for a while. SO_REUSEADDR allows a new server to use
    # the port. The system still refuses a port on which another program listens.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if listener.family == socket.AF_INET6:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)  # 0.0.0.0 can have a socket of its own
    listener.bind(address)


def _explain(error: OSError, host: str, port: int, setting: str) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"Port {port} of {host} is in use. Stop the other program, or set {setting} to another port, such "
            f"as {host}:{port + 1 if port < 65535 else port - 1}."
        )
    if error.errno == errno.EACCES:
        return f"This user cannot use port {port}. Set {setting} to a port above 1023."
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{host} is not an address of this machine. Set {setting} to 127.0.0.1:{port} or 0.0.0.0:{port}."
    return f"The server cannot listen on {host}:{port} ({error.strerror}). Change {setting}."


GRACE: Final = 30
"""Maximum time in seconds for which a stopping server waits for requests in progress."""

OPEN_FILES: Final = 65_536
"""Limit of open files, the same as `LimitNOFILE` in deploy/one-runtime.service."""

AppFactory: TypeAlias = Callable[[Settings], ASGIApp]

log = Logger()


def serve(
    settings: Settings,
    *,
    migrate_first: bool,
    build: AppFactory | None = None,
    beside: Callable[[Settings], AbstractContextManager[object]] = nullcontext,
) -> None:
    """Migrate the database, and serve until the process receives a signal.

    The function always migrates SQLite. The function migrates PostgreSQL only with `migrate_first`.

    `build`: builds the application, in each server process. None: `create_app`. `beside`: what runs in the first
    process while the server serves, from the migration on.

    Raises: ConfigurationError if the server cannot start.
    """
    hide_memory()
    url = settings.database_url.get_secret_value()
    path = sqlite_path(url)
    if path and settings.workers > 1:
        raise ConfigurationError(
            "SQLite allows only one server process. Set ONE_RUNTIME_WORKERS to 1, or use PostgreSQL."
        )
    allow_open_files()
    require_usable(url)
    # With several workers, the supervisor builds this application only to check the settings. Otherwise, each worker
    # would print the error message about an invalid setting.
    app = (_prepare if settings.workers == 1 else _create)(settings, build)
    with ExitStack() as stack:
        listeners = stack.enter_context(bound_listeners(settings.listen))
        if settings.dashboard_listen:
            listeners += stack.enter_context(bound_listeners(settings.dashboard_listen, "ONE_RUNTIME_DASHBOARD_LISTEN"))
        is_new = path is not None and not (Path(path).exists() and Path(path).stat().st_size)
        if path:  # two servers on one file would refresh the same tokens at the same time
            refusal = f"Another server uses {path}. Stop the other server first. SQLite allows only one server process."
            stack.enter_context(hold_server_lock(path, refusal))
        if path or migrate_first:
            migrate_configured(settings.migration_url, is_direct=settings.has_direct_url)
        if is_new:
            log.warning("database_created", path=str(Path(path or "").resolve()))
        asyncio.run(_verify(settings))
        stack.enter_context(beside(settings))
        if settings.metrics_listen:
            stack.enter_context(metrics_served(parse_host_port(settings.metrics_listen), workers=settings.workers))
        _run(app if settings.workers == 1 else partial(served_app, build), settings, listeners)


def _run(app: ASGIApp | Callable[[], ASGIApp], settings: Settings, listeners: list[socket.socket]) -> None:
    host, port = parse_host_port(settings.listen)
    config = DrainingConfig(
        app,
        factory=settings.workers > 1,
        host=host,
        port=port,
        **OPTIONS,
        workers=settings.workers,
        log_level=settings.log_level,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=[str(network) for network in settings.trusted_proxies],
        timeout_graceful_shutdown=GRACE,
        drain_seconds=settings.drain_seconds,
        timeout_worker_healthcheck=int(PATIENCE),
    )
    log.info("listening", address=settings.listen, public_url=settings.public_url)
    if settings.dashboard_listen:
        log.info("dashboard_served", address=settings.dashboard_listen, url=settings.dashboard_url)
    with suppress(KeyboardInterrupt):
        if settings.workers > 1:
            Supervisor(config, listeners).run()
        else:
            DrainingServer(config).run(listeners)


def allow_open_files() -> None:
    """Raise the limit of open files to `OPEN_FILES`, or to the maximum that the system allows.

    The usual limit of 1,024 exists for programs that use select(2). One Runtime does not use select(2). Each proxy call
    needs two sockets, which count as open files.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < limit:
        with suppress(ValueError, OSError):  # macOS has a second limit
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))


async def _verify(settings: Settings) -> None:
    """Check the database and the keys, and register the keys, before the workers start.

    On SQLite, also end the leases of an earlier server that was killed during a refresh of tokens.

    Raises: ConfigurationError.
    """
    url = settings.database_url.get_secret_value()
    require_compatible(url)
    database = create_database(url, pool_size=1, disk_reserve=True)
    await database.open()
    try:
        vault = Vault(parse_keys(settings.encryption_keys.get_secret_value()))
        async with database.write() as tx:
            await liveness.require_not_moved(tx)
            await key_ring.register(tx, vault, system_clock())
            if sqlite_path(url):  # `serve` holds the lock, so a lease belongs to a process that no longer runs
                await credentials.release_all_leases(tx)
    finally:
        await database.close()


def served_app(build: AppFactory | None = None) -> ASGIApp:
    """Return the application of a server process, with the settings of the environment."""
    hide_memory()
    settings = load_settings()
    logs.configure(settings.log_level, settings.log_format)
    return _prepare(settings, build)


def _prepare(settings: Settings, build: AppFactory | None) -> ASGIApp:
    exporting.set_up()
    app = _create(settings, build)
    gc.freeze()  # excludes long-lived objects from every garbage collection
    return app


def _create(settings: Settings, build: AppFactory | None) -> ASGIApp:
    return (build or create_app)(settings)
