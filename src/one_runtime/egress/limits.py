"""Time, size and connection limits, so that an upstream's failure does not spread (P12)."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one request. Times in seconds."""

    connect: float = 10.0
    """Until a connection is ready. Includes the wait for the concurrency limit, name resolution, TCP and TLS."""
    idle: float = 20.0
    """Until the first piece of the response, and between two pieces."""
    total: float = 30.0
    """The whole exchange, including redirects."""
    body: int = 2 * 1024 * 1024
    """Bytes of a response body, counted before and after decoding."""
    redirects: int = 5
    """Redirects to follow, if the caller follows redirects."""


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """Limits of all requests of one `Egress` together."""

    connections: int = 512
    per_upstream: int = 64
    """Concurrent exchanges with one scheme, host and port, so that a hanging upstream leaves room for others."""
    dns_cache: int = 10
    """Seconds to cache the checked IP addresses of a name. 0 resolves the name for each new connection."""


DEFAULT_LIMITS: Final = Limits()
DEFAULT_POOL_LIMITS: Final = PoolLimits()
