"""Reset OAuth clients whose secret cannot be decrypted, because the encryption key is lost."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from sqlalchemy import bindparam, select, update

from one_runtime.connections import credentials
from one_runtime.db.engine import Transaction
from one_runtime.db.schema import oauth_clients as clients
from one_runtime.encryption.vault import Vault
from one_runtime.integrations.client_registration import record_client_event
from one_runtime.integrations.oauth_clients import OAuthClient, seal
from one_runtime.oauth.client import ClientIdentity
from one_runtime.tenancy.event_types import EventType
from one_runtime.tenancy.events import Actor
from one_runtime.tenancy.organizations import INSTANCE

_PAUSE: Final = timedelta(days=36_500)
"""Pause of refreshes without the secret. The pause ends when the owner registers the client again."""


class ResetClient(NamedTuple):
    """A client without its secret. `organization_id`: the owner, or `INSTANCE` for the operator's client."""

    id: str
    organization_id: str
    integration_slug: str
    client_id: str
    scopes: Sequence[str] | None
    hosts: Sequence[str]
    version: int
    created_at: datetime
    retired_at: datetime | None


_BY_ID = select(*(clients.c[name] for name in ResetClient._fields)).where(clients.c.id == bindparam("client"))
_RESET = (
    update(clients)
    .where(clients.c.id == bindparam("client"))
    .values({name: bindparam(name) for name in ("sealed", "key_id", "version", "updated_at")})
)


async def reset_secret(
    tx: Transaction, vault: Vault, client_id: str, operator: str, now: datetime
) -> ResetClient | None:
    """Delete the secret and the fields of a client, and pause the refreshes that need the client.

    The refreshes continue after the owner has registered the client again with the same `client_id`. Record the event
    of the owner, with the name of the operator. Return None if the client does not exist.
    """
    row = await tx.one(_BY_ID, ResetClient, client=client_id)
    if row is None:
        return None
    client = OAuthClient(
        id=row.id,
        organization_id=row.organization_id,
        integration_slug=row.integration_slug,
        client=ClientIdentity(row.client_id),
        scopes=tuple(row.scopes) if row.scopes is not None else None,
        hosts=tuple(row.hosts),
        fields={},
        created_at=row.created_at,
        updated_at=now,
        retired_at=row.retired_at,
        version=row.version + 1,
    )
    columns = await seal(tx, vault, client)
    changed = {name: columns[name] for name in ("sealed", "key_id", "version", "updated_at")}
    await tx.execute(_RESET, client=row.id, **changed)
    await credentials.pause_for_client(tx, row.id, client.version, now + _PAUSE)
    if row.retired_at is None:
        actor, of_operator = Actor(row.organization_id, "system", operator), row.organization_id == INSTANCE
        await record_client_event(
            tx, actor, EventType.OAUTH_CLIENT_UPDATED, row.integration_slug, now, of_operator=of_operator
        )
    return row
