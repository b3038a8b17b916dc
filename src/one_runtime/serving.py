"""Serve the application with uvicorn: one process on SQLite, many on PostgreSQL."""

import asyncio
import fcntl
import gc
import resource
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

import uvicorn
from starlette.types import ASGIApp
from uvicorn.supervisors import multiprocess

from one_runtime.app import create_app
from one_runtime.clock import system_clock
from one_runtime.db.database_url import create_database, sqlite_path
from one_runtime.db.migrations import migrate, require_current
from one_runtime.encryption import key_ring
from one_runtime.encryption.vault import Vault, parse_keys
from one_runtime.errors import ConfigurationError
from one_runtime.settings import Settings, load_settings, parse_host_port
from one_runtime.telemetry import logs, tracing
from one_runtime.telemetry.metrics_server import metrics_served
from one_runtime.transport import OneWriteProtocol

GRACE: Final = 30
"""Seconds that requests in flight may take to finish after a signal to stop."""

PATIENCE: Final = 60
"""Seconds in which a worker has to answer its parent, or is replaced. With uvicorn's 5 a machine that is busy kills
every worker while it starts, and the next one too."""

OPEN_FILES: Final = 65_536
"""What `LimitNOFILE` in deploy/one-runtime.service says, too."""


class Worker(multiprocess.Process):
    """A server process. Its parent hears at once when it dies, and not after all its patience, deaf to signals too:
    uvicorn leaves the worker's end of their pipe open in the parent, so that it never reads of an end."""

    def start(self) -> None:
        """Called by the supervisor."""
        super().start()
        self.child_conn.close()


def serve(settings: Settings, *, migrate_first: bool) -> None:
    """Serve until a signal. SQLite is migrated here; PostgreSQL where `migrate_first` says so.

    Raises: ConfigurationError where it cannot start.
    """
    url = settings.database_url.get_secret_value()
    path = sqlite_path(url)
    if path and settings.workers > 1:
        raise ConfigurationError("SQLite is served by one process. Use PostgreSQL for ONE_RUNTIME_WORKERS above 1.")
    _allow_open_files()
    create_app(settings)  # whatever is wrong with the settings is said here, once, and not by every worker
    with ExitStack() as stack:
        stack.enter_context(_only_server(path))
        if path or migrate_first:
            migrate(url)
        asyncio.run(_prove(settings))
        if settings.metrics_listen:
            stack.enter_context(metrics_served(parse_host_port(settings.metrics_listen), workers=settings.workers))
        host, port = parse_host_port(settings.listen)
        multiprocess.Process = Worker  # type: ignore[misc] # uvicorn has no other way to name it
        uvicorn.run(
            "one_runtime.serving:served_app",
            factory=True,
            host=host,
            port=port,
            http=OneWriteProtocol,
            workers=settings.workers,
            access_log=False,
            server_header=False,
            log_config=None,
            log_level=settings.log_level,
            proxy_headers=bool(settings.trusted_proxies),
            forwarded_allow_ips=[str(network) for network in settings.trusted_proxies],
            timeout_graceful_shutdown=GRACE,
            timeout_worker_healthcheck=PATIENCE,
        )


def _allow_open_files() -> None:
    """Up to what the system allows. Shells begin with 1,024 for the sake of programs that use select(2), and each call
    through the proxy takes two: ours, and the provider's."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(ValueError, OSError):  # macOS has one more limit
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


async def _prove(settings: Settings) -> None:
    """Refuse, once and in a sentence, what every worker would trip over. Raises: ConfigurationError."""
    url = settings.database_url.get_secret_value()
    require_current(url)
    database = create_database(url, pool_size=1)
    await database.open()
    try:
        vault = Vault(parse_keys(settings.encryption_keys.get_secret_value()))
        async with database.write() as tx:
            await key_ring.register(tx, vault, system_clock())
    finally:
        await database.close()


def served_app() -> ASGIApp:
    """What each server process runs: the application of the environment's settings."""
    settings = load_settings()
    logs.configure(settings.log_level, settings.log_format)
    tracing.set_up()
    app = create_app(settings)
    gc.freeze()  # what lives as long as the process is not gone through again at every collection
    return app


@contextmanager
def _only_server(path: str | None) -> Iterator[None]:
    """Keep a second server off a SQLite file. Raises: ConfigurationError."""
    if path is None:
        yield
        return
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with Path(f"{path}.serving").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigurationError(f"Another server runs on {path}. SQLite is served by one process.") from error
        yield
