"""Recognize a browser in which a member has signed in before, so that strangers cannot keep this member out.

The browser gets a proof in a cookie at each sign-in. The proof alone permits nothing: wrong passwords of the browser
count in a bucket of its own (`attempts.of_browser`), and not in the buckets that strangers can fill.
"""

import base64
import binascii
import secrets
from datetime import datetime, timedelta
from typing import Final

from one_runtime.encryption.vault import Vault

LIFETIME: Final = timedelta(days=180)
_MAC_BYTES: Final = 32
_ID_BYTES: Final = 16
_TIME_BYTES: Final = 8


def issue(vault: Vault, member_id: str, now: datetime) -> str:
    """Return a new proof for the browser in which the member has just signed in."""
    content = secrets.token_bytes(_ID_BYTES) + int(now.timestamp()).to_bytes(_TIME_BYTES)
    return base64.urlsafe_b64encode(content + vault.mac(_message(member_id, content))).decode()


def identify(vault: Vault, proof: str | None, member_id: str, now: datetime) -> str | None:
    """Return the id of the browser that presents a proof, or None if the proof is invalid, old or of another member."""
    try:
        decoded = base64.urlsafe_b64decode((proof or "").encode("ascii"))
    except (binascii.Error, ValueError):
        return None
    content, mac = decoded[:-_MAC_BYTES], decoded[-_MAC_BYTES:]
    if len(content) != _ID_BYTES + _TIME_BYTES or not vault.verify_mac(_message(member_id, content), mac):
        return None
    age = now.timestamp() - int.from_bytes(content[_ID_BYTES:])
    return content[:_ID_BYTES].hex() if age < LIFETIME.total_seconds() else None


def _message(member_id: str, content: bytes) -> bytes:
    return f"one-runtime/v1/known-browser/{member_id}/".encode() + content
