"""The only package that opens outbound connections; every request is guarded and limited (P7, P12).

The guard runs on every request and again on every redirect, in this order: one strict parse (`target`); the target's
scheme, port, name and literal address (`target.check`); every address that a name resolves to (`pool`); the very
address about to be dialled (`pool`). `addresses` lists the refused ranges.

Each purpose (checks and OAuth, the proxy, webhooks, agents) has its own `Egress`, so slow upstreams and name servers
of one purpose take no connections and no threads from another.
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
