"""Outbound requests (egress). No other package sends requests. Checks and limits apply to each request (P7, P12).

The address checks run on every request and again on every redirect, in this order:
1. `target.parse` parses the URL strictly.
2. `target.check` checks scheme, port, host name, and an IP address in place of a name.
3. `pool` checks every IP address to which the name resolves.
4. `pool` checks the IP address to which the socket is about to connect.
`addresses` lists the refused ranges.

Each purpose (provider checks and OAuth, the proxy, webhooks, agents) has its own `Egress`. So a slow upstream
or name server of one purpose takes no connections and no threads from another purpose.
"""

from one_runtime.egress.client import Egress, Relayed, Response
from one_runtime.egress.errors import (
    EgressError,
    RequestRefused,
    TargetRefused,
    UpstreamProtocolError,
    UpstreamTimeout,
    UpstreamTooLarge,
    UpstreamUnreachable,
)
from one_runtime.egress.hop import HOP_BY_HOP, USER_AGENT, Body
from one_runtime.egress.limits import Limits, PoolLimits
from one_runtime.egress.network import Network
from one_runtime.egress.observation import on_behalf_of
from one_runtime.egress.pool import Certificate

__all__ = [
    "HOP_BY_HOP",
    "USER_AGENT",
    "Body",
    "Certificate",
    "Egress",
    "EgressError",
    "Limits",
    "Network",
    "PoolLimits",
    "Relayed",
    "RequestRefused",
    "Response",
    "TargetRefused",
    "UpstreamProtocolError",
    "UpstreamTimeout",
    "UpstreamTooLarge",
    "UpstreamUnreachable",
    "on_behalf_of",
]
