"""Authenticate and parse the self-check: a request that `one-runtime doctor` sends to the installation's public URL.

The server returns its public URL, its time, and a hash that identifies its database. The response also contains the
caller's IP address and the header `X-Forwarded-For` that reached the server.

The doctor authenticates with an HMAC of the current time. Only a program with an encryption key of the installation can
compute this HMAC. Without a valid HMAC, the server responds with 404. The response is JSON without a signature, because
TLS authenticates the server (docs/decisions/0012-self-check.md).
"""

import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from sqlalchemy import select

from one_runtime.clock import rfc3339
from one_runtime.db.engine import Transaction
from one_runtime.db.schema import key_ring
from one_runtime.encryption.vault import Vault

PATH: Final = "/self-check"
PROXY_SLUG: Final = "self-check"
"""The slug of the doctor's proxy calls. No integration has this slug."""
HEADER: Final = "One-Runtime-Self-Check"
AGENT_HEADERS: Final[Mapping[str, str]] = {
    "mcp-protocol-version": "2026-07-28",
    "mcp-method": "tools/list",
    "mcp-name": "self-check",
    "one-runtime-end-user": "self-check",
}
"""Headers of agents that the doctor sends, to find a proxy that removes them."""
LONGEST_WAIT: Final = 60
"""Maximum number of seconds for which the doctor can ask the server to wait before an answer."""

LIFETIME: Final = timedelta(hours=1)
"""Accepted difference between the caller's clock and the server's clock.

The limit is large, because the doctor also has to report a wrong clock. With a small limit, the server would refuse a
doctor with a wrong clock.
"""


Echo = TypeVar("Echo", bound=BaseModel)


class _FirstKey(NamedTuple):
    key_id: str
    created_at: datetime


# The first One Runtime server that uses a database stores the ids of the server's encryption keys, and the time. One
# Runtime never deletes these rows. So the oldest row identifies the database.
_FIRST_KEY: Final = (
    select(key_ring.c.key_id, key_ring.c.created_at).order_by(key_ring.c.created_at, key_ring.c.key_id).limit(1)
)


class RequestEcho(BaseModel):
    """The server's response to the self-check."""

    model_config = ConfigDict(frozen=True)

    database_fingerprint: str | None
    """None if no server has used the database yet."""
    public_url: str
    now: datetime
    client: str | None
    """The IP address of the caller, as determined by the server."""
    forwarded_for: str | None
    """The header X-Forwarded-For that the server received."""
    host: str | None = None
    """The header Host that the server received. None: an older version of the server did not report the header."""
    agent_headers: dict[str, str] = {}
    """The headers of `AGENT_HEADERS` that the server received."""


class ProxyCallEcho(BaseModel):
    """The server's response to a proxy call of the doctor."""

    model_config = ConfigDict(frozen=True)

    path: str
    """The path after the slug, with its percent-encoding."""
    body_bytes: int
    body_seconds: float
    """Seconds between the first and the last part of the request body."""


async def database_fingerprint(tx: Transaction) -> str | None:
    """Return a hash that identifies the database. Return None if no server has used the database yet.

    A copy of a database has the same hash as the original.
    """
    row = await tx.one(_FIRST_KEY, _FirstKey)
    if row is None:
        return None
    return hashlib.sha256(f"{row.key_id} {rfc3339(row.created_at)}".encode()).hexdigest()[:32]


def authorization(vault: Vault, now: datetime) -> str:
    """Return the value of the header `HEADER`: the time, and an HMAC of the time."""
    time = str(int(now.timestamp()))
    return f"{time}.{vault.mac(_message(time)).hex()}"


def is_authorized(vault: Vault, header: str, now: datetime) -> bool:
    """Return True if the header has a valid HMAC and a time that differs from `now` by less than one hour."""
    time, _, mac = header.partition(".")
    try:
        age, is_ours = now.timestamp() - int(time), vault.verify_mac(_message(time), bytes.fromhex(mac))
    except (ValueError, OverflowError):  # an integer of 400 digits is too large for the subtraction
        return False
    return is_ours and abs(age) < LIFETIME.total_seconds()


def read_echo(kind: type[Echo], body: bytes) -> Echo | None:
    """Parse a response body. Return None if the body is not a valid echo of this kind."""
    try:
        return kind.model_validate_json(body)
    except ValidationError:
        return None


def _message(time: str) -> bytes:
    return f"self-check\0{time}".encode()
