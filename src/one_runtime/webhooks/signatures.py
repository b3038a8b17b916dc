"""Sign webhook messages by Standard Webhooks 1.0.0: HMAC-SHA256 over the id, the time and the body."""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Iterable
from datetime import datetime
from typing import Final

PREFIX: Final = "whsec_"
_SECRET_BYTES: Final = 32
_ALLOWED_BYTES: Final = range(24, 65)
"""Lengths of secrets that Standard Webhooks allows."""


def new_secret() -> str:
    """Return a new secret: `whsec_` and 32 random bytes in base64."""
    return PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode("ascii")


def is_secret(text: str) -> bool:
    """Return True for a signing secret: `whsec_` and 24 to 64 bytes in base64."""
    try:
        key = base64.b64decode(text.removeprefix(PREFIX), validate=True)
    except ValueError:
        return False
    return text.startswith(PREFIX) and len(key) in _ALLOWED_BYTES


def signed_headers(secrets_: Iterable[str], message_id: str, now: datetime, body: bytes) -> dict[str, str]:
    """Return the headers of a message. `webhook-signature` has one signature for each secret.

    During the overlap after a rotation, a receiver can verify the message with either secret.
    """
    timestamp = str(int(now.timestamp()))
    signed = b".".join([message_id.encode("ascii"), timestamp.encode("ascii"), body])
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(_sign(secret, signed) for secret in secrets_),
    }


def _sign(secret: str, signed: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(PREFIX))
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode("ascii")
