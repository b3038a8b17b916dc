"""Authenticate requests by their API keys. The result is a principal, which describes the caller.

No other module authenticates API keys. Two other parts of One Runtime read the row of the API key together with their
own data: the list of integrations and the proxy. Their SQL statements select `KEY_COLUMNS`, and `PresentedKey.verify`
checks the row.
"""

import ipaddress
import time
from collections.abc import Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from json import loads
from math import ceil
from typing import Any, Final, NamedTuple, cast

from cachetools import LRUCache
from sqlalchemy import Text, bindparam, select
from sqlalchemy import cast as sql_cast

from one_runtime.db.engine import Database, Transaction
from one_runtime.db.schema import api_keys
from one_runtime.encryption import secret_tokens
from one_runtime.errors import InsufficientScope, RateLimited, Unauthenticated
from one_runtime.tenancy.api_keys import KeyScope
from one_runtime.tenancy.events import Actor
from one_runtime.tenancy.key_uses import KeyUses


class ApiKeyRow(NamedTuple):
    """The columns that `PresentedKey.verify` reads."""

    key_hash: bytes
    key_revoked_at: datetime | None
    key_id: str
    key_organization_id: str
    key_scopes: str


KEY_COLUMNS: Final = (
    api_keys.c.secret_hash.label("key_hash"),
    api_keys.c.revoked_at.label("key_revoked_at"),
    api_keys.c.id.label("key_id"),
    api_keys.c.organization_id.label("key_organization_id"),
    # The statement returns the scopes as text, because `_parse_scopes` caches the parsed scopes by this text.
    sql_cast(api_keys.c.scopes, Text).label("key_scopes"),
)
KEY_MATCHES: Final = api_keys.c.secret_hash == bindparam("key_hash")
"""Condition that finds the row of an API key by its hash. The parameter `key_hash` is `PresentedKey.hash`."""
_SELECT_KEY: Final = select(*KEY_COLUMNS).where(KEY_MATCHES)
_ACTIVE_KEY: Final = select(api_keys.c.id).where(
    api_keys.c.organization_id == bindparam("organization"),
    api_keys.c.id == bindparam("key"),
    api_keys.c.revoked_at.is_(None),
)

RATE_LIMIT_HEADERS: Final = "one_runtime.rate_limit_headers"
"""Key of the response headers of `RateLimit.headers` in the ASGI scope. The key is absent if there is no rate limit."""

_MISSING: Final = "Send the header `Authorization: Bearer oru_…` with one of your organization's API keys."
_ELSEWHERE: Final = {
    secret_tokens.SESSION: (
        "This is a session token, not an API key. Send one of your organization's API keys: `oru_…`."
    ),
    secret_tokens.END_USER_TOKEN: (
        "This is an end-user token, which is valid only at /v1/mcp. Send one of your organization's API keys: `oru_…`."
    ),
}
_INVALID: Final = (
    "This API key is not valid. The key is mistyped or revoked, or belongs to another installation. Copy the whole key "
    "again, or create an API key with `one-runtime api-keys create <organization>`."
)
INVALID_TOKEN: Final = (
    "This end-user token is not valid. The token is mistyped, expired or revoked, or belongs to another installation. "
    "Create a token with POST /v1/end-user-tokens."
)


class Principal(NamedTuple):
    """The authenticated caller: an API key of an organization, and the caller's IP address."""

    organization_id: str
    api_key_id: str
    scopes: tuple[KeyScope, ...]
    address: str | None = None

    @property
    def actor(self) -> Actor:
        """Return the caller as the actor of an event."""
        return Actor(self.organization_id, "api_key", self.api_key_id, self.address)

    def require(self, scope: KeyScope) -> None:
        """Check that the API key has the scope. Raises: InsufficientScope."""
        if scope not in self.scopes:
            options = " ".join(f"--scope {name}" for name in (*self.scopes, scope))
            raise InsufficientScope(
                f"This request needs the scope {scope!r}. This API key has the scopes: {', '.join(self.scopes)}. "
                f"Create an API key with `one-runtime api-keys create {self.organization_id} {options}`.",
                scope,
            )


class PresentedKey(NamedTuple):
    """The API key in a request. One Runtime has not verified the key yet.

    `hash`: the hash of the key. `address`: the caller's IP address. `rate_limit`: the rate limit that counted the
    request, or None. `uses`: collects the uses of keys, or None.
    """

    hash: bytes
    address: str | None = None
    rate_limit: "RateLimit | None" = None
    uses: KeyUses | None = None

    @classmethod
    def recognize(cls, token: str) -> "PresentedKey | None":
        """Return the key. Return None if the token does not have the format and the checksum of an API key."""
        if not secret_tokens.recognize(secret_tokens.API_KEY, token):
            return None
        return cls(secret_tokens.digest(token))

    def verify(self, row: ApiKeyRow | None) -> Principal:
        """Compare the key with the row in constant time, and return the principal of the row.

        `row`: None if the database does not contain the key. Raises: Unauthenticated for an unknown or revoked key.
        """
        if row is None or not secret_tokens.same(row.key_hash, self.hash) or row.key_revoked_at is not None:
            raise Unauthenticated(_INVALID)
        self.confirm(row.key_id)
        return Principal(row.key_organization_id, row.key_id, _parse_scopes(row.key_scopes), self.address)

    def confirm(self, key_id: str) -> None:
        """Note that the key exists and is used. `key_id`: the id of its row."""
        if self.rate_limit is not None:
            self.rate_limit.confirm(self.hash)
        if self.uses is not None:
            self.uses.note(key_id)


class Authenticator:
    """Authenticates requests by their API keys, limits the rate of requests of each key, and notes the use of keys.

    End-user tokens have the same limit.
    """

    def __init__(
        self, requests_per_minute: int, uses: KeyUses | None = None, token_uses: KeyUses | None = None
    ) -> None:
        """Set the rate limit for each API key and each end-user token. With 0, there is no limit."""
        self.limit(requests_per_minute)
        self._uses, self._token_uses = uses, token_uses

    def limit(self, requests_per_minute: int) -> None:
        """Set the rate limit, and forget the requests so far. With 0, there is no limit."""
        self._rate_limit = RateLimit(requests_per_minute) if requests_per_minute else None

    def present(self, request: MutableMapping[str, Any]) -> PresentedKey:
        """Count a request for the rate limit, and return the request's API key. `request` is the ASGI scope.

        Add the response headers of the rate limit to the scope.

        The rate limit counts only tokens with a correct checksum, because a refusal by the checksum is faster than the
        count.

        Raises: RateLimited; Unauthenticated for a request without a key or with a wrong checksum.
        """
        token = bearer_token(request["headers"])
        if token is None:
            raise Unauthenticated(_MISSING)
        if not secret_tokens.recognize(secret_tokens.API_KEY, token):
            kind = token.partition("_")[0]
            raise Unauthenticated(_ELSEWHERE.get(kind, _INVALID))
        return self._count(request, token, self._uses)

    def present_end_user_token(self, request: MutableMapping[str, Any]) -> PresentedKey | None:
        """Count a request as `present` does, and return the request's end-user token.

        Return None, and count nothing, if the request has no token of this kind.

        Raises: RateLimited; Unauthenticated for a wrong checksum.
        """
        token = bearer_token(request["headers"])
        if token is None or not token.startswith(f"{secret_tokens.END_USER_TOKEN}_"):
            return None
        if not secret_tokens.recognize(secret_tokens.END_USER_TOKEN, token):
            raise Unauthenticated(INVALID_TOKEN)
        return self._count(request, token, self._token_uses)

    def _count(self, request: MutableMapping[str, Any], token: str, uses: KeyUses | None) -> PresentedKey:
        key_hash = secret_tokens.digest(token)
        if self._rate_limit is not None:
            bucket = self._rate_limit.bucket_of(key_hash)
            try:
                self._rate_limit.count(bucket)
            finally:
                request[RATE_LIMIT_HEADERS] = self._rate_limit.headers(bucket)
        return PresentedKey(key_hash, client_address(request), self._rate_limit, uses)

    async def authenticate(self, database: Database, request: MutableMapping[str, Any]) -> Principal:
        """Return the principal of a request. Raises: Unauthenticated; RateLimited."""
        key = self.present(request)
        async with database.read() as tx:
            return await read_principal(tx, key)


@dataclass(slots=True)
class _Bucket:
    """The token bucket of one key. `level`: number of allowed requests at the time `filled_at`."""

    level: float
    filled_at: float


class RateLimit:
    """Token buckets of this process, which limit the rate of requests. Each API key has one bucket.

    The process has two groups of buckets. Confirmed keys are keys that exist in the database. Their buckets are in one
    group, and all other buckets are in the second group. Each group has at most `capacity` buckets. If a group is full,
    the process deletes the least recently used bucket of the group.

    The reason for two groups: an attacker can invent any number of tokens with a correct checksum. In a single group,
    these tokens could displace the bucket of an existing key. The key would get a new, full bucket and could exceed its
    limit.
    """

    def __init__(self, requests_per_minute: int, *, capacity: int = 10_000) -> None:
        self._rate, self._burst = requests_per_minute / 60, max(requests_per_minute / 6, 1.0)
        window = ceil(self._burst / self._rate)
        self._policy = b'"api-key";q=%d;w=%d' % (self._burst, window)
        self._confirmed: LRUCache[bytes, _Bucket] = LRUCache(capacity)
        self._unconfirmed: LRUCache[bytes, _Bucket] = LRUCache(capacity)

    def bucket_of(self, key_hash: bytes) -> _Bucket:
        """Return the bucket of a key. A new bucket is full."""
        bucket = self._confirmed.get(key_hash) or self._unconfirmed.get(key_hash)
        if bucket is None:
            bucket = self._unconfirmed[key_hash] = _Bucket(self._burst, time.monotonic())
        return bucket

    def take(self, key_hash: bytes) -> None:
        """Count one request of a key. Raises: RateLimited."""
        self.count(self.bucket_of(key_hash))

    def count(self, bucket: _Bucket) -> None:
        """Count one request in a bucket. Raises: RateLimited."""
        now = time.monotonic()
        bucket.level = min(self._burst, bucket.level + (now - bucket.filled_at) * self._rate)
        bucket.filled_at = now
        if bucket.level < 1:
            wait = max(1, round((1 - bucket.level) / self._rate + 0.5))
            raise RateLimited(f"This API key has made too many requests. Try again in {wait} seconds.", wait)
        bucket.level -= 1

    def headers(self, bucket: _Bucket) -> tuple[tuple[bytes, bytes], tuple[bytes, bytes]]:
        """Return the response headers that describe the limit and the bucket.

        The headers follow draft-ietf-httpapi-ratelimit-headers-10. `RateLimit-Policy` has the number of requests of a
        full bucket (`q`), and the seconds that an empty bucket needs to become full (`w`). `RateLimit` has the number
        of requests that the key can make now (`r`), and the seconds until the bucket is full (`t`).
        """
        full_in = ceil((self._burst - bucket.level) / self._rate)
        return (b"ratelimit-policy", self._policy), (b"ratelimit", b'"api-key";r=%d;t=%d' % (bucket.level, full_in))

    def confirm(self, key_hash: bytes) -> None:
        """Move the bucket of an existing key to the group of confirmed keys. Call `take` first."""
        if key_hash not in self._confirmed:
            # If other requests have displaced the bucket since `take`, create a new bucket. The new bucket counts the
            # request of `take`.
            bucket = self._unconfirmed.pop(key_hash, None) or _Bucket(self._burst - 1, time.monotonic())
            self._confirmed[key_hash] = bucket


async def read_principal(tx: Transaction, key: PresentedKey) -> Principal:
    """Return the principal of a key. Raises: Unauthenticated if the key is unknown or revoked."""
    return key.verify(await tx.one(_SELECT_KEY, ApiKeyRow, key_hash=key.hash))


async def require_active_key(tx: Transaction, organization_id: str, api_key_id: str) -> None:
    """Check again, during a long request, that the API key is not revoked. Raises: Unauthenticated."""
    if await tx.one(_ACTIVE_KEY, organization=organization_id, key=api_key_id) is None:
        raise Unauthenticated(_INVALID)


def bearer_token(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """Return the token of the first header `Authorization: Bearer …` (RFC 6750 section 2.1), or None."""
    for name, value in headers:
        if name == b"authorization":
            token = value[7:].strip() if value[:7].lower() == b"bearer " else b""
            if token:
                return token.decode("latin-1")
    return None


def client_address(request: Mapping[str, Any]) -> str | None:
    """Return the caller's IP address, or None. `request` is the ASGI scope.

    Behind a trusted proxy, the scope already contains the address that the proxy reports.
    """
    client = request.get("client")
    return client[0] if client else None


def client_network(request: Mapping[str, Any]) -> str:
    """Return the network of the caller, for a rate limit: the IPv4 address, or the first 64 bits of the IPv6 address.

    One customer of an internet provider has all addresses of such an IPv6 network.
    """
    address = client_address(request) or ""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:  # a Unix socket
        return address
    if ip.version == 4 or ip.ipv4_mapped is not None:
        return str(ip if ip.version == 4 else ip.ipv4_mapped)
    return str(ipaddress.ip_network((ip, 64), strict=False))


@lru_cache(maxsize=1024)
def _parse_scopes(text: str) -> tuple[KeyScope, ...]:
    return cast("tuple[KeyScope, ...]", tuple(loads(text)))
