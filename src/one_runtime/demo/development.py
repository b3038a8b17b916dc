"""Serve Acme CRM beside a server on a developer's machine (`ONE_RUNTIME_ACME_LISTEN`).

Acme keeps its tokens in memory, like the Acme of the demo. Its API keys and the OAuth client stay the same after a
restart, because the OAuth client is in the database, and the API keys follow from the client's secret.
"""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import uvicorn

from one_runtime.db.database_url import create_database
from one_runtime.demo import acme
from one_runtime.demo.acme_entry import ACME, acme_entry, acme_url
from one_runtime.demo.first_start import register_client
from one_runtime.demo.hosts import CanonicalHost
from one_runtime.demo.sockets import bound_socket
from one_runtime.encryption.vault import Vault, parse_keys
from one_runtime.integrations.oauth_clients import find_own
from one_runtime.oauth.callback import callback_url
from one_runtime.oauth.client import ClientIdentity
from one_runtime.settings import Settings, parse_host_port
from one_runtime.telemetry.logger import Logger
from one_runtime.tenancy.organizations import INSTANCE

_START: Final = 10.0
"""Maximum time in seconds until Acme answers, and until Acme has stopped."""

log = Logger()


@contextmanager
def acme_served(settings: Settings) -> Iterator[None]:
    """Serve Acme in a thread of this process, with an OAuth client for all organizations of this server.

    Raises: ConfigurationError if Acme cannot use the address.
    """
    host, port = parse_host_port(settings.acme_listen)
    with bound_socket(host, port, "Set ONE_RUNTIME_ACME_LISTEN to another address.") as bound:
        client = asyncio.run(_client(settings))
        keys = {account: _key(client, account) for account in (acme.GLOBEX, acme.INITECH)}
        provider = acme.Acme(keys)
        redirect_uri = callback_url(settings.public_url, ACME)
        provider.register_client(redirect_uri, client_id=client.client_id, client_secret=client.client_secret)
        app = CanonicalHost(provider.app, host=settings.acme_listen)
        server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_config=None, access_log=False))
        thread = threading.Thread(target=server.run, args=([bound],), name="acme", daemon=True)
        thread.start()
        log.warning("acme_served", url=acme_url(settings))
        try:
            yield
        finally:
            server.should_exit = True
            thread.join(_START)


async def _client(settings: Settings) -> ClientIdentity:
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
            await register_client(tx, vault, INSTANCE, acme_entry(acme_url(settings)), client)
            return client
    finally:
        await database.close()


def _key(client: ClientIdentity, account: str) -> str:
    return acme.key_from(f"{client.client_secret} {account}")
