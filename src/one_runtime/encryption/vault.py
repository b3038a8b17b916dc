"""Encrypt (seal) and decrypt (open) secrets with AES-256-GCM, derive a subkey for each organization, hash passwords.

The module keeps the promise P3 of docs/security.md. Only this module imports `cryptography`. A sealed value is bound to
its table, its row and the row's version. If an attacker copies a value to another row, One Runtime cannot decrypt the
copy.
"""

import base64
import binascii
import hmac
import secrets
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from cryptography.exceptions import InvalidKey, InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from one_runtime.errors import ConfigurationError, OneRuntimeError
from one_runtime.telemetry import metrics

KEY_BYTES: Final = 32
# NIST SP 800-38D section 8.2 recommends this length. Random nonces are safe, because each organization's subkey
# encrypts few values.
_NONCE_BYTES: Final = 12
_FORMAT: Final = b"\x01"
# The parameters that OWASP recommends for Argon2id (Password Storage Cheat Sheet): 19 MiB, two passes, one lane.
_MEMORY_KIB: Final = 19 * 1024
_PASSES: Final = 2
_LANES: Final = 1
_HASH_PREFIX: Final = f"$argon2id$v=19$m={_MEMORY_KIB},t={_PASSES},p={_LANES}$"
NO_PASSWORD_HASH: Final = f"{_HASH_PREFIX}{'A' * 22}${'A' * 43}"
"""A hash of no known password. Its verification takes as long as the verification of another hash."""

_CHANGED: Final = "A stored credential was changed or moved. Ask the end user to connect again."


class SealBroken(OneRuntimeError):
    """One Runtime cannot decrypt a sealed value. The value was changed or moved, or its key is not in the ring."""

    code, status, title = "seal_broken", 500, "A stored credential cannot be decrypted"
    documentation = (
        "One Runtime cannot decrypt a stored credential.",
        "Ask the user to connect again.",
    )


class KeyNotInRing(SealBroken):
    """The key ring of this process lacks the key of a value. The key ring of another server can contain the key."""

    code, status, title = "key_not_in_ring", 503, "This server lacks an encryption key"
    documentation = (
        "This server lacks an encryption key that other servers have.",
        "Tell the operator.",
    )

    def __init__(self, key: str) -> None:
        super().__init__(
            f"The key {key} is not in the ring of this server. The operator has to add the key to "
            "ONE_RUNTIME_ENCRYPTION_KEYS, and to reload or restart the server."
        )


@dataclass(frozen=True, slots=True)
class SealContext:
    """Place of a sealed value. Encryption uses the place as additional authenticated data (AAD).

    `row`: the primary key of the row. `version`: the row's column `version`.
    """

    table: str
    row: str
    version: int

    @property
    def aad(self) -> bytes:
        return b"\x00".join([_FORMAT, self.table.encode(), self.row.encode(), str(self.version).encode()])


_WRONG_KEY: Final = (
    "ONE_RUNTIME_ENCRYPTION_KEYS, or the file that ONE_RUNTIME_ENCRYPTION_KEYS_FILE names, must be 32-byte keys in "
    "base64, separated by commas. Create one with `one-runtime keys new`."
)


@dataclass(frozen=True, slots=True)
class Sealed:
    """A ciphertext, and the id of its key."""

    key_id: str
    data: bytes


class _Ring:
    """An unchanging set of keys, with the ciphers of the organizations."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys:
            raise ConfigurationError(
                "No encryption key is set. Create a key with `one-runtime keys new`. Store the key in "
                "ONE_RUNTIME_ENCRYPTION_KEYS. You can also store the key in a file, and the file's path in "
                "ONE_RUNTIME_ENCRYPTION_KEYS_FILE."
            )
        if any(len(key) != KEY_BYTES for key in keys):
            raise ConfigurationError(_WRONG_KEY)
        self.keys = {key_id(key): key for key in keys}
        self.cipher = lru_cache(maxsize=4096)(self._make_cipher)

    def _make_cipher(self, key: str, organization_id: str) -> AESGCM:
        if key not in self.keys:
            raise KeyNotInRing(key)
        return AESGCM(_derive(self.keys[key], f"one-runtime/v1/organization/{organization_id}", KEY_BYTES))


class Vault:
    """The configured keys of this process (the key ring). The vault encrypts and decrypts with these keys."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        """Raises: ConfigurationError if there is no key, or if the length of a key is not 32 bytes."""
        self._ring = _Ring(keys)
        self.is_for_issued_tokens = False
        """True for a vault that `for_issued_tokens` returned."""

    def __repr__(self) -> str:
        return f"Vault({', '.join(self._ring.keys)})"

    @property
    def key_ids(self) -> tuple[str, ...]:
        """Return the ids of the keys in the order of the setting. An id is public, because an id is only a hash."""
        return tuple(self._ring.keys)

    def take_keys_of(self, other: "Vault") -> None:
        """Replace the keys with the keys of another vault, in one step, for all that use this vault."""
        self._ring = other._ring  # noqa: SLF001 - of the same class

    def for_issued_tokens(self) -> "Vault":
        """Return a vault with the same keys, for tokens that the provider has just issued.

        No other copy of these tokens exists, and the provider has possibly invalidated the previous tokens. So if this
        process does not have the active key, `key_ring.seal` uses another key instead of raising an error.
        """
        vault = copy(self)
        vault.is_for_issued_tokens = True
        return vault

    @metrics.counting_failures
    def require(self, key: str) -> None:
        """Raise KeyNotInRing if this process does not have the key. `key`: the id of the key."""
        if key not in self._ring.keys:
            raise KeyNotInRing(key)

    @metrics.counting_failures
    def seal(self, key: str, organization_id: str, plaintext: bytes, place: SealContext) -> Sealed:
        """Encrypt a value for one organization and one place. `key`: the id of the key. Raises: KeyNotInRing.

        Other packages do not call this method. They call `key_ring.seal`, because `key_ring.seal` uses the active key.
        """
        nonce = secrets.token_bytes(_NONCE_BYTES)
        cipher = self._ring.cipher(key, organization_id)
        return Sealed(key, _FORMAT + nonce + cipher.encrypt(nonce, plaintext, place.aad))

    @metrics.counting_failures
    def open(self, organization_id: str, sealed: Sealed, place: SealContext) -> bytes:
        """Decrypt a sealed value. Raises: SealBroken, or its subclass KeyNotInRing."""
        cipher = self._ring.cipher(sealed.key_id, organization_id)
        if sealed.data[:1] != _FORMAT:
            raise SealBroken(_CHANGED)
        nonce, ciphertext = sealed.data[1 : 1 + _NONCE_BYTES], sealed.data[1 + _NONCE_BYTES :]
        try:
            return cipher.decrypt(nonce, ciphertext, place.aad)
        except (InvalidTag, ValueError) as error:  # ValueError: the value is shorter than the nonce
            raise SealBroken(_CHANGED) from error

    def mac(self, message: bytes, key: str | None = None) -> bytes:
        """Return the HMAC-SHA256 of a message, with a subkey of a key. `key`: a key id. None: the ring's first key.

        Raises: KeyNotInRing.
        """
        keys = self._ring.keys
        key = next(iter(keys)) if key is None else key
        if key not in keys:
            raise KeyNotInRing(key)
        return _mac(keys[key], message)

    def verify_mac(self, message: bytes, mac: bytes) -> bool:
        """Return True if `mac` is the HMAC of the message with any key of the ring. Compare in constant time."""
        return any(hmac.compare_digest(_mac(key, message), mac) for key in self._ring.keys.values())


def new_key() -> str:
    """Return a new encryption key: 32 random bytes in base64."""
    return base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()


def parse_keys(text: str) -> tuple[bytes, ...]:
    """Decode keys in base64, separated by commas or white space. Raises: ConfigurationError if a key is not base64."""
    try:
        return tuple(base64.b64decode(part, validate=True) for part in text.replace(",", " ").split())
    except (binascii.Error, ValueError) as error:
        raise ConfigurationError(_WRONG_KEY) from error


def key_id(key: bytes) -> str:
    """Return the id of a key: a fingerprint of 16 bytes, in hex."""
    return _derive(key, "one-runtime/v1/key-id", 16).hex()


def hash_password(password: bytes) -> str:
    """Return the Argon2id hash of a password in the PHC string format. The function takes some 30 milliseconds."""
    salt = secrets.token_bytes(16)
    argon2 = Argon2id(salt=salt, length=KEY_BYTES, iterations=_PASSES, lanes=_LANES, memory_cost=_MEMORY_KIB)
    return argon2.derive_phc_encoded(password)


def verify_password(password: bytes, phc: str) -> bool:
    """Return True if the hash is the hash of the password. The function takes as long as `hash_password`."""
    try:
        Argon2id.verify_phc_encoded(password, phc)
    except InvalidKey:
        return False
    return True


def has_current_parameters(phc: str) -> bool:
    """Return False if `hash_password` now uses other parameters."""
    return phc.startswith(_HASH_PREFIX)


def _mac(key: bytes, message: bytes) -> bytes:
    return hmac.digest(_derive(key, "one-runtime/v1/proof", KEY_BYTES), message, "sha256")


def _derive(key: bytes, info: str, length: int) -> bytes:
    """Derive a subkey with HKDF-SHA256 (RFC 5869)."""
    return HKDF(algorithm=SHA256(), length=length, salt=None, info=info.encode()).derive(key)
