"""Self-check for `one-runtime doctor`: the server at the public URL reports its identity and the received request.

The caller authenticates with an HMAC over the time, under a key of the ring. Other callers receive a 404. The response
is JSON without a signature, because TLS authenticates the server (docs/decisions/0012-self-check.md).
"""

import hashlib
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError
from sqlalchemy import select

from one_runtime.clock import rfc3339
from one_runtime.db.engine import Transaction
from one_runtime.db.schema import key_ring
from one_runtime.encryption.vault import Vault

PATH: Final = "/self-check"
HEADER: Final = "One-Runtime-Self-Check"

_LIFETIME: Final = timedelta(hours=1)
"""Accepted difference between the clocks of caller and server. It is large, so the doctor can report wrong clocks."""


class _FirstKey(NamedTuple):
    key_id: str
    created_at: datetime


# The first server that starts on a database stores the keys of its ring there, and the time. One Runtime never deletes
# the oldest key.
_FIRST_KEY: Final = (
    select(key_ring.c.key_id, key_ring.c.created_at).order_by(key_ring.c.created_at, key_ring.c.key_id).limit(1)
)


class RequestEcho(BaseModel):
    """Identity of the installation that answers, and the request as this installation received it."""

    model_config = ConfigDict(frozen=True)

    database_fingerprint: str | None
    """None before the first start on the database."""
    public_url: str
    now: datetime
    client: str | None
    """The caller's address, as the server determines it."""
    forwarded_for: str | None
    """The header X-Forwarded-For as the installation received it."""


async def database_fingerprint(tx: Transaction) -> str | None:
    """Return a hash that identifies the database. Copies of a database have the same hash."""
    row = await tx.one(_FIRST_KEY, _FirstKey)
    if row is None:
        return None
    return hashlib.sha256(f"{row.key_id} {rfc3339(row.created_at)}".encode()).hexdigest()[:32]


def authorization(vault: Vault, now: datetime) -> str:
    """Return the header's value for a request: the time, and an HMAC over the time."""
    time = str(int(now.timestamp()))
    return f"{time}.{vault.mac(_message(time)).hex()}"


def is_authorized(vault: Vault, header: str, now: datetime) -> bool:
    """Return True if a caller with the key ring created this header within the last hour."""
    time, _, mac = header.partition(".")
    try:
        age, is_ours = now.timestamp() - int(time), vault.verify_mac(_message(time), bytes.fromhex(mac))
    except ValueError:
        return False
    return is_ours and abs(age) < _LIFETIME.total_seconds()


def read_echo(body: bytes) -> RequestEcho | None:
    """Return the echo in a response body, or None if the body contains none."""
    try:
        return RequestEcho.model_validate_json(body)
    except ValidationError:
        return None


def _message(time: str) -> bytes:
    return f"self-check\0{time}".encode()
