"""Time, size and connection limits, so that an upstream's failure does not spread (P12)."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one request. Times are in seconds."""

    connect: float = 10.0
    """Time until a connection is ready, including the wait for the concurrency limit, name resolution, TCP and TLS."""
    idle: float = 20.0
    """Longest time until the first piece of the response, and between two pieces."""
    total: float = 30.0
    """Time of the whole exchange, including redirects."""
    body: int = 2 * 1024 * 1024
    """Size of a response body in bytes. The limit applies before and after decoding."""
    redirects: int = 5
    """Maximum number of redirects, if the caller follows redirects."""


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """Limits of all requests of one `Egress` together."""

    connections: int = 512
    per_upstream: int = 64
    """Concurrent exchanges with one scheme, host and port, so that a hanging upstream leaves room for others."""
    dns_cache: int = 10
    """Time in seconds to cache the checked IP addresses of a name. With 0, each new connection resolves the name."""


DEFAULT_LIMITS: Final = Limits()
DEFAULT_POOL_LIMITS: Final = PoolLimits()
