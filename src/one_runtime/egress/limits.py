"""Define the limits of outbound requests: time, size and number of connections.

A slow provider must not affect requests to other providers (promise P12 of docs/security.md).
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one request. Times are in seconds."""

    connect: float = 10.0
    """Time until a connection is ready, including name resolution, TCP and TLS.

    The time also includes the wait for a free connection while a limit of `PoolLimits` is reached.
    """
    idle: float = 20.0
    """Maximum wait for the first piece of the response, and for each next piece."""
    total: float = 30.0
    """Time of the whole request with its redirects and its response. `Egress.stream` does not apply this limit."""
    body: int = 2 * 1024 * 1024
    """Size of a response body in bytes, before and after decoding. `Egress.stream` does not apply this limit."""
    redirects: int = 5
    """Maximum number of redirects that One Runtime follows."""


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """Limits that all requests of one `Egress` share."""

    connections: int = 8192
    """Maximum number of concurrent requests of all tenants."""
    idle_connections: int = 1024
    """Maximum number of idle connections of all tenants. Over this limit, the oldest idle connection is closed."""
    per_upstream: int = 64
    """Maximum number of concurrent requests of one tenant (organization) to one scheme, host and port.

    Because of this limit, one tenant's requests to a hanging server cannot occupy all connections.
    """
    per_tenant: int = 512
    """Maximum number of concurrent requests of one tenant to all upstreams.

    Because of this limit, one tenant with many hanging servers, such as custom integrations, cannot occupy all
    connections.
    """
    dns_cache: int = 10
    """Seconds to cache the IP addresses of a name. With 0, One Runtime resolves the name for each new connection."""


DEFAULT_LIMITS: Final = Limits()
DEFAULT_POOL_LIMITS: Final = PoolLimits()
