"""From the Authorization header to a principal with scopes; one table says which route wants which scope."""

import time
from collections import OrderedDict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Annotated, Final, TypeAlias

from fastapi import Depends, Request
from starlette.types import Scope

from one_runtime.context import Installation
from one_runtime.encryption import secret_tokens
from one_runtime.errors import InsufficientScope, RateLimited, Unauthenticated
from one_runtime.tenancy import api_keys
from one_runtime.tenancy.api_keys import ApiKey
from one_runtime.tenancy.events import Actor

PROXIED: Final = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
"""Methods of the proxy that the route table names; it takes any but CONNECT and TRACE."""

SCOPES: Final[Mapping[str, str]] = {
    "GET /v1/integrations": "read",
    "POST /v1/hosted-connection-sessions": "connect",
    "GET /v1/hosted-connection-sessions/{session_id}": "read",
    "DELETE /v1/hosted-connection-sessions/{session_id}": "connect",
    "POST /v1/hosted-connection-sessions/{session_id}/redeem": "connect",
    "POST /v1/disconnect": "connect",
    **{f"{method} /v1/proxy/{{integration_slug}}/{{path}}": "use" for method in PROXIED},
    "GET /v1/connections": "read",
    "POST /v1/connections": "connect",
    "GET /v1/connections/{connection_id}": "read",
    "PATCH /v1/connections/{connection_id}": "connect",
    "DELETE /v1/connections/{connection_id}": "connect",
    "POST /v1/connections/{connection_id}/check": "connect",
    "POST /v1/connections/{connection_id}/refresh": "connect",
    "GET /v1/connections/{connection_id}/credentials": "credentials:read",
    "GET /v1/custom-integrations": "read",
    "POST /v1/custom-integrations": "admin",
    "GET /v1/custom-integrations/{slug}": "read",
    "PUT /v1/custom-integrations/{slug}": "admin",
    "DELETE /v1/custom-integrations/{slug}": "admin",
    "GET /v1/oauth-clients": "admin",
    "GET /v1/integrations/{slug}/oauth-client": "admin",
    "PUT /v1/integrations/{slug}/oauth-client": "admin",
    "DELETE /v1/integrations/{slug}/oauth-client": "admin",
    "GET /v1/end-users": "read",
    "DELETE /v1/end-users/{end_user_id}": "admin",
    "GET /v1/organization": "read",
    "PUT /v1/organization": "admin",
    "GET /v1/events": "read",
    "GET /v1/requests": "read",
}
"""Route → the scope it wants. A `/v1` route that is not here is public; a test names those."""

_MISSING: Final = "Send the header `Authorization: Bearer oru_…` with one of your organization's API keys."
_BAD: Final = "This API key is not valid: it is mistyped, revoked, or of another installation."


class RateLimit:
    """A token bucket per presented token, by its hash, in this process; bounded, the longest unused ones go."""

    def __init__(self, per_minute: int, *, capacity: int = 10_000) -> None:
        self._rate, self._burst, self._capacity = per_minute / 60, max(per_minute / 6, 1.0), capacity
        self._buckets: OrderedDict[bytes, tuple[float, float]] = OrderedDict()

    def take(self, token: str) -> None:
        """Count one request. Raises: RateLimited."""
        if not self._rate:
            return
        digest, now = secret_tokens.digest(token), time.monotonic()
        level, since = self._buckets.pop(digest, (self._burst, now))
        level = min(self._burst, level + (now - since) * self._rate)
        self._buckets[digest] = (level - 1 if level >= 1 else level, now)
        if len(self._buckets) > self._capacity:
            self._buckets.popitem(last=False)
        if level < 1:
            wait = max(1, round((1 - level) / self._rate + 0.5))
            raise RateLimited(f"This API key made too many requests. Try again in {wait} s.", wait)


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls: a key of an organization, from an address."""

    key: ApiKey
    address: str | None

    @property
    def organization_id(self) -> str:
        """The organization that the key belongs to; every statement is bound to it (P1)."""
        return self.key.organization_id

    @property
    def actor(self) -> Actor:
        """As events name it."""
        return Actor(self.key.organization_id, "api_key", self.key.id, self.address)


def bearer(scope: Scope) -> str:
    """The token of the Authorization header (RFC 6750 section 2.1). Raises: Unauthenticated."""
    for name, value in scope["headers"]:
        if name == b"authorization":
            kind, _, token = value.decode("latin-1").partition(" ")
            if kind.lower() == "bearer" and token.strip():
                return str(token.strip())
    raise Unauthenticated(_MISSING)


def refuse_key() -> Unauthenticated:
    """The error for a token that is no live key."""
    return Unauthenticated(_BAD)


def require_scope(scopes: Collection[str], wanted: str) -> None:
    """Raises: InsufficientScope."""
    if wanted not in scopes:
        raise InsufficientScope(
            f"This API key has the scopes {', '.join(scopes)}; {wanted!r} is needed. "
            "Make another with `one-runtime api-keys create --scope`."
        )


def client_address(scope: Scope) -> str | None:
    """The caller's address, as the server took it from the connection or a trusted proxy."""
    client = scope.get("client")
    return client[0] if client else None


def installation_of(request: Request) -> Installation:
    """What `app.py` put into the application's state."""
    installation: Installation = request.app.state.installation
    return installation


async def principal_of(request: Request) -> Principal:
    """Who calls, with the scope that the route wants. Raises: Unauthenticated, InsufficientScope, RateLimited."""
    token = bearer(request.scope)
    request.app.state.rate_limit.take(token)
    async with installation_of(request).database.read() as tx:
        key = await api_keys.find(tx, token)
    if key is None:
        raise refuse_key()
    request.scope["organization_id"] = key.organization_id
    require_scope(key.scopes, SCOPES[f"{request.method} {request.scope['route'].path_format}"])
    return Principal(key, client_address(request.scope))


Authenticated: TypeAlias = Annotated[Principal, Depends(principal_of)]
Installed: TypeAlias = Annotated[Installation, Depends(installation_of)]
