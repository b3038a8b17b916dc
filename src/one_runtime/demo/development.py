"""Serve Acme CRM beside a server on a developer's machine (`one-runtime serve --with-acme`).

Acme keeps its tokens in memory, like the Acme of the demo. Its API keys and the OAuth client stay the same after a
restart, because the OAuth client is in the database, and the API keys follow from the client's secret.
"""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final
from urllib.parse import urlsplit

import uvicorn
from starlette.types import ASGIApp

from one_runtime.catalog.loader import load_catalog
from one_runtime.db.database_url import create_database
from one_runtime.demo import acme
from one_runtime.demo.acme_entry import ACME, acme_entry, acme_operations, with_acme
from one_runtime.demo.first_start import register_client
from one_runtime.demo.hosts import CanonicalHost, LimitedBodies
from one_runtime.demo.sockets import bound_socket
from one_runtime.encryption.vault import Vault, parse_keys
from one_runtime.errors import ConfigurationError
from one_runtime.integrations.oauth_clients import find_own
from one_runtime.oauth.callback import callback_url
from one_runtime.oauth.client import ClientIdentity
from one_runtime.serving.application import create_app
from one_runtime.serving.http_protocol import OPTIONS
from one_runtime.serving.server import serve
from one_runtime.settings import Settings, is_loopback, parse_host_port
from one_runtime.telemetry.logger import Logger
from one_runtime.tenancy.organizations import INSTANCE

_START: Final = 10.0
"""Maximum time in seconds until Acme answers, and until Acme has stopped."""

log = Logger()


def serve_with_acme(settings: Settings, *, migrate_first: bool) -> None:
    """Serve One Runtime with Acme in its catalog, and Acme itself.

    Raises: ConfigurationError if the server cannot start, or if other machines can reach the server.
    """
    hosts = (parse_host_port(settings.listen)[0], urlsplit(settings.public_url).hostname or "")
    if not all(map(is_loopback, hosts)):
        raise ConfigurationError(
            "--with-acme is for development, so ONE_RUNTIME_LISTEN and ONE_RUNTIME_PUBLIC_URL must be loopback."
        )
    serve(settings, migrate_first=migrate_first, build=create_app_with_acme, beside=_acme_served)


def create_app_with_acme(settings: Settings) -> ASGIApp:
    """Build the application of a server whose catalog contains Acme, and which may send requests to Acme."""
    address = _address(settings)
    allowing = settings.model_copy(update={"egress_allow": settings.egress_allow | {address}})
    url = _url(address)
    return create_app(allowing, with_acme(load_catalog(), url), operations=[partial(acme_operations, url)])


def _address(settings: Settings) -> tuple[str, int]:
    """Return the address of Acme: two ports above the server's port, as in the demo."""
    host, port = parse_host_port(settings.listen)
    return host, port + 2


def _url(address: tuple[str, int]) -> str:
    host, port = address
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@contextmanager
def _acme_served(settings: Settings) -> Iterator[None]:
    """Serve Acme in a thread of this process, with an OAuth client for all organizations of this server.

    Raises: ConfigurationError if Acme cannot use the address.
    """
    address = _address(settings)
    url = _url(address)
    with bound_socket(*address, "Acme CRM needs it: two ports above ONE_RUNTIME_LISTEN. Choose another port.") as bound:
        client = asyncio.run(_client(settings, url))
        keys = {account: _key(client, account) for account in (acme.GLOBEX, acme.INITECH)}
        provider = acme.Acme(keys)
        redirect_uri = callback_url(settings.public_url, ACME)
        provider.register_client(redirect_uri, client_id=client.client_id, client_secret=client.client_secret)
        app = CanonicalHost(LimitedBodies(provider.app), host=url.removeprefix("http://"))
        server = uvicorn.Server(uvicorn.Config(app, lifespan="off", **OPTIONS))
        thread = threading.Thread(target=server.run, args=([bound],), name="acme", daemon=True)
        thread.start()
        log.warning("acme_served", url=url)
        try:
            yield
        finally:
            server.should_exit = True
            thread.join(_START)


async def _client(settings: Settings, url: str) -> ClientIdentity:
    """Return the operator's OAuth client for Acme. The first start creates the client."""
    vault = Vault(parse_keys(settings.encryption_keys.get_secret_value()))
    database = create_database(settings.database_url.get_secret_value(), pool_size=1)
    await database.open()
    try:
        async with database.write() as tx:
            registered = await find_own(tx, vault, INSTANCE, ACME)
            if registered is not None:
                return registered.client
            client = ClientIdentity(*acme.new_client())
            await register_client(tx, vault, INSTANCE, acme_entry(url), client)
            return client
    finally:
        await database.close()


def _key(client: ClientIdentity, account: str) -> str:
    return acme.key_from(f"{client.client_secret} {account}")
