"""Read a connection's credentials, for whoever has to call the provider without us; every read is on record."""

from dataclasses import replace

from one_runtime.catalog.request import Values
from one_runtime.connections import connections
from one_runtime.context import Installation
from one_runtime.tenancy import events
from one_runtime.tenancy.events import Actor
from one_runtime.tokens.refresh import fresh_credentials
from one_runtime.tokens.state import UsableCredential


async def read_credentials(installation: Installation, actor: Actor, connection_id: str) -> UsableCredential:
    """Fresh credentials, without what is of use to nobody who calls the provider: an OAuth client's secret.

    Raises: NotFound; ReauthRequired; ProviderUnavailable; SealBroken.
    """
    async with installation.database.read() as tx:
        found = await connections.get(tx, actor.organization_id, connection_id)
    usable = await fresh_credentials(installation, found.key)
    async with installation.database.write() as tx:
        now = installation.clock()
        await events.record(tx, actor, "connection.credentials_read", now, usable.connection.subject)
    if usable.connection.auth_type not in {"oauth2", "client_credentials"}:
        return usable
    token = {"access_token": usable.values.credentials["access_token"]}
    return replace(usable, values=Values(usable.values.params, token))
