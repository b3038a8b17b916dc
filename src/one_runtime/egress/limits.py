"""How long we wait, how much we read and how many connections we hold: an upstream's failure stays its own (P12)."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one request. Times in seconds."""

    connect: float = 10.0
    """Until there is a connection: waiting for a free one, name, TCP and TLS together."""
    idle: float = 20.0
    """Between two pieces of the answer, and before its first one."""
    total: float = 30.0
    """Everything together, redirects included."""
    body: int = 2 * 1024 * 1024
    """Bytes of an answer's body, as received and as decoded."""
    redirects: int = 5
    """Redirects that are followed, where they are followed at all."""


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """The limits of all requests of one `Egress` together."""

    connections: int = 512
    per_upstream: int = 64
    """Exchanges at once with one scheme, host and port: a hanging upstream must leave room for the others."""
    keepalive: float = 15.0
    """Seconds an unused connection is kept."""
    dns_cache: int = 10
    """Seconds a name's checked addresses are kept; 0 asks again for each new connection."""
    resolver_threads: int = 16


DEFAULT_LIMITS: Final = Limits()
DEFAULT_POOL_LIMITS: Final = PoolLimits()
