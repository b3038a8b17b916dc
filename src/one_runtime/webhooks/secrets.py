"""Store the signing secrets of webhook endpoints, encrypted. After a rotation, an endpoint has two secrets for a time.

Callers receive a secret only once: in the response that creates or rotates the secret.
"""

import json
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from sqlalchemy import bindparam, delete, insert, or_, select, update

from one_runtime.db.engine import Transaction
from one_runtime.db.id_lists import in_list
from one_runtime.db.ids import new_id
from one_runtime.db.schema import webhook_secrets
from one_runtime.encryption import key_ring
from one_runtime.encryption.vault import SealBroken, SealContext, Sealed, Vault
from one_runtime.errors import Conflict, Unavailable
from one_runtime.tenancy.events import Actor
from one_runtime.webhooks import endpoints
from one_runtime.webhooks.endpoints import WebhookEndpoint
from one_runtime.webhooks.signatures import new_secret

_TABLE: Final = "webhook_secrets"
_VERSION: Final = 1  # constant, because a stored secret never changes

_OF_ENDPOINT: Final = webhook_secrets.c.endpoint_id == bindparam("endpoint")
_INSERT: Final = insert(webhook_secrets)
_LIVING: Final = or_(webhook_secrets.c.expires_at.is_(None), webhook_secrets.c.expires_at > bindparam("now"))
_END_OVERLAP: Final = delete(webhook_secrets).where(_OF_ENDPOINT, webhook_secrets.c.expires_at.is_not(None))
_EXPIRE: Final = update(webhook_secrets).where(_OF_ENDPOINT).values(expires_at=bindparam("at"))
_PURGE: Final = delete(webhook_secrets).where(webhook_secrets.c.expires_at <= bindparam("now"))
_COLUMNS: Final = (
    webhook_secrets.c.id,
    webhook_secrets.c.endpoint_id,
    webhook_secrets.c.organization_id,
    webhook_secrets.c.sealed,
    webhook_secrets.c.key_id,
    webhook_secrets.c.version,
)

_OF_ENDPOINTS: Final = (
    select(*_COLUMNS)
    .where(in_list(webhook_secrets.c.endpoint_id, "endpoints"), _LIVING)
    .order_by(webhook_secrets.c.id.desc())
)


class _SecretRow(NamedTuple):
    id: str
    endpoint_id: str
    organization_id: str
    sealed: bytes
    key_id: str
    version: int


async def create(tx: Transaction, vault: Vault, endpoint: WebhookEndpoint, now: datetime) -> str:
    """Store and return a new secret of an endpoint."""
    secret, row_id = new_secret(), new_id()
    plaintext, place = json.dumps({"secret": secret}).encode(), SealContext(_TABLE, row_id, _VERSION)
    sealed = await key_ring.seal(tx, vault, endpoint.organization_id, plaintext, place)
    await tx.execute(
        _INSERT,
        id=row_id,
        endpoint_id=endpoint.id,
        organization_id=endpoint.organization_id,
        sealed=sealed.data,
        key_id=sealed.key_id,
        version=_VERSION,
        created_at=now,
        expires_at=None,
    )
    return secret


async def rotate(
    tx: Transaction, vault: Vault, actor: Actor, endpoint: WebhookEndpoint, *, overlap: timedelta, now: datetime
) -> str:
    """Replace the secret of a locked endpoint, and write the event `webhook_endpoint.updated`. Return the new secret.

    During the overlap, One Runtime signs with both secrets. A rotation during the overlap of an earlier rotation ends
    the earlier overlap, so an endpoint never has more than two secrets.
    """
    await tx.execute(_END_OVERLAP, endpoint=endpoint.id)
    await tx.execute(_EXPIRE, endpoint=endpoint.id, at=now + overlap)
    await endpoints.record_rotation(tx, actor, endpoint, now)
    return await create(tx, vault, endpoint, now)


async def of_endpoints(
    tx: Transaction, vault: Vault, endpoint_ids: Collection[str], now: datetime
) -> dict[str, list[str] | None]:
    """Return the living secrets of endpoints, the newest secret first.

    None: this process cannot decrypt a secret of the endpoint. An endpoint without a secret is missing.
    """
    secrets = dict[str, list[str] | None]()
    for row in await tx.all(_OF_ENDPOINTS, _SecretRow, now=now, endpoints=list(endpoint_ids)):
        known = secrets.setdefault(row.endpoint_id, [])
        try:
            opened = vault.open(
                row.organization_id, Sealed(row.key_id, row.sealed), SealContext(_TABLE, row.id, row.version)
            )
        except SealBroken:  # or its subclass KeyNotInRing
            secrets[row.endpoint_id] = None
            continue
        if known is not None:
            known.append(json.loads(opened)["secret"])
    return secrets


async def require(tx: Transaction, vault: Vault, endpoint: WebhookEndpoint, now: datetime) -> list[str]:
    """Return the living secrets of one endpoint. Raises: Conflict if there is none; Unavailable if it is unreadable."""
    keys = (await of_endpoints(tx, vault, [endpoint.id], now)).get(endpoint.id, [])
    if keys is None:
        raise Unavailable("This server lacks the encryption key of the endpoint's secret. The operator has to add it.")
    if not keys:
        raise Conflict(
            "The secret of this endpoint was lost with an encryption key. Create a new one with "
            f"POST /v1/webhook-endpoints/{endpoint.id}/rotate-secret."
        )
    return keys


async def purge_expired(tx: Transaction, now: datetime) -> int:
    """Delete the old secrets of rotations whose overlap has ended. Return their number."""
    return await tx.execute(_PURGE, now=now)
