"""Make, recognize, hash and compare random tokens, such as API keys and session tokens.

The database stores only the hashes of these tokens (promise P2 of docs/security.md).
"""

import hashlib
import hmac
import secrets
import zlib
from dataclasses import dataclass
from typing import Final

API_KEY: Final = "oru"
END_USER_TOKEN: Final = "orut"
REFRESH_TOKEN: Final = "orur"
AUTHORIZATION_CODE: Final = "orac"
SESSION: Final = "orcs"
CODE: Final = "orcc"
TICKET: Final = "orct"
STATE: Final = "orst"
BROWSER: Final = "orcb"
APPROVAL: Final = "orap"
DASHBOARD_SESSION: Final = "ords"
SIGN_IN_STEP: Final = "orss"
INVITATION: Final = "orui"

_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_PAIRS: Final = [high + low for high in _ALPHABET for low in _ALPHABET]
_PREFIX_LENGTH: Final = 8
_SECRET_LENGTH: Final = 43  # 62**43 is a little over 2**256
_CHECKSUM_LENGTH: Final = 6


@dataclass(frozen=True, slots=True)
class SecretToken:
    """A new token. One Runtime shows `secret` once, and stores `prefix` and `hash`."""

    secret: str
    prefix: str
    hash: bytes

    def __repr__(self) -> str:
        return f"SecretToken({self.prefix}_***)"


def make(kind: str) -> SecretToken:
    """Create a token `<kind>_<prefix>_<secret>` with 256 random bits and a checksum at the end."""
    return _build(kind, _random(_PREFIX_LENGTH), _random(_SECRET_LENGTH))


def derive(kind: str, seed: bytes) -> SecretToken:
    """Return the token of a secret seed of 32 bytes. The same seed gives the same token."""
    prefix = hashlib.sha256(b"prefix\x00" + seed).digest()
    return _build(kind, _encode(prefix, _PREFIX_LENGTH), _encode(seed, _SECRET_LENGTH))


def recognize(kind: str, text: str) -> bool:
    """Return True if the text has the format and checksum of this kind of token.

    If the result is False, the caller can refuse the text without a database query.
    """
    head = f"{kind}_"
    length = len(head) + _PREFIX_LENGTH + 1 + _SECRET_LENGTH + _CHECKSUM_LENGTH
    if len(text) != length or not text.isascii() or not text.startswith(head):
        return False
    return hmac.compare_digest(_checksum(text[:-_CHECKSUM_LENGTH]), text[-_CHECKSUM_LENGTH:])


def digest(text: str) -> bytes:
    """Return the SHA-256 hash that the database stores for a token.

    A slow hash is not necessary, because an attacker cannot guess the 256 random bits of a token.
    """
    return hashlib.sha256(text.encode()).digest()


def same(left: bytes, right: bytes) -> bool:
    """Compare two digests in constant time."""
    return hmac.compare_digest(left, right)


def _build(kind: str, prefix: str, secret: str) -> SecretToken:
    body = f"{kind}_{prefix}_{secret}"
    text = body + _checksum(body)
    return SecretToken(secret=text, prefix=f"{kind}_{prefix}", hash=digest(text))


def _encode(data: bytes, length: int) -> str:
    """Return the last digits of the number that the bytes encode, in base 62."""
    number, digits = int.from_bytes(data), list[str]()
    for _ in range(length):
        number, digit = divmod(number, len(_ALPHABET))
        digits.append(_ALPHABET[digit])
    return "".join(digits)


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def _checksum(text: str) -> str:
    """Return the CRC-32 as six digits of base 62."""
    value, pairs = zlib.crc32(text.encode()), len(_PAIRS)
    return _PAIRS[value // pairs**2] + _PAIRS[value // pairs % pairs] + _PAIRS[value % pairs]
