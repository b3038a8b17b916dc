"""Proves to `one-runtime doctor` which installation answered, and shows it how its request arrived.

Both sides prove that they hold the key ring: the asker with a fresh challenge, the answerer over the challenge and
everything it says. To anybody else the address does not exist, so nobody learns what stands before this server.
"""

import hashlib
import secrets
from datetime import datetime, timedelta
from typing import Final

from pydantic import BaseModel, ConfigDict
from sqlalchemy import select

from one_runtime.clock import rfc3339
from one_runtime.db.engine import Transaction
from one_runtime.db.schema import key_ring
from one_runtime.encryption.vault import Vault

PATH: Final = "/mirror"
CHALLENGE: Final = "One-Runtime-Challenge"
PROOF: Final = "One-Runtime-Proof"

_LIFETIME: Final = timedelta(hours=1)
"""How far the two clocks may be apart: beyond it a challenge is as good as an old one."""

# The first start on a database notes the ring's keys with the time. The oldest stays for good.
_FIRST_KEY: Final = (
    select(key_ring.c.key_id, key_ring.c.created_at).order_by(key_ring.c.created_at, key_ring.c.key_id).limit(1)
)


class RequestEcho(BaseModel):
    """How a request looked where it arrived."""

    model_config = ConfigDict(frozen=True)

    database_fingerprint: str | None
    """Of the database; none before the first start on it."""
    public_url: str
    now: datetime
    client: str | None
    """The address that the server takes for the caller's."""
    forwarded_for: str | None
    """X-Forwarded-For as it arrived."""


async def database_fingerprint(tx: Transaction) -> str | None:
    """What tells one database from another, copies of it aside: a hash over its first key's id and time."""
    row = await tx.one(_FIRST_KEY)
    if row is None:
        return None
    return hashlib.sha256(f"{row.key_id} {rfc3339(row.created_at)}".encode()).hexdigest()[:32]


def challenge(vault: Vault, now: datetime) -> tuple[str, str]:
    """A new challenge: its nonce, and the header's value."""
    nonce = f"{int(now.timestamp())}-{secrets.token_hex(16)}"
    return nonce, f"{nonce}.{vault.prove(_asked(nonce)).hex()}"


def read_challenge(vault: Vault, header: str, now: datetime) -> str | None:
    """The challenge's nonce, if a holder of the ring made it within the hour."""
    nonce, _, proof = header.partition(".")
    time, _, _ = nonce.partition("-")
    try:
        made, proven = int(time), vault.is_proven(_asked(nonce), bytes.fromhex(proof))
    except ValueError:
        return None
    return nonce if proven and abs(now.timestamp() - made) < _LIFETIME.total_seconds() else None


def signed(vault: Vault, nonce: str, reflection: RequestEcho) -> tuple[bytes, str]:
    """The answer's body, and its proof."""
    body = reflection.model_dump_json().encode()
    return body, vault.prove(_answered(nonce, body)).hex()


def read_answer(vault: Vault, nonce: str, body: bytes, proof: str) -> RequestEcho | None:
    """The reflection, if a holder of the ring answered this challenge."""
    try:
        proven = vault.is_proven(_answered(nonce, body), bytes.fromhex(proof))
    except ValueError:
        return None
    return RequestEcho.model_validate_json(body) if proven else None


def _asked(nonce: str) -> bytes:
    return f"mirror, asked\0{nonce}".encode()


def _answered(nonce: str, body: bytes) -> bytes:
    return f"mirror, answered\0{nonce}\0".encode() + body
