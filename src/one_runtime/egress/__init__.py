"""The only way out: every outbound request of One Runtime is made here, guarded and limited (P7, P12).

The guard, in this order, on every request and again on every redirect: one strict parse (`target`), the target's
scheme, port, name and literal address (`target.check`), every address a name resolves to (`pool`), and the very
address about to be dialled (`pool`). What is refused by address stands in `addresses`.

Each purpose (checks and OAuth, the proxy, webhooks, agents) has an `Egress` of its own, so that one purpose's slow
upstreams and name servers take no connections and no threads from another's.
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
from one_runtime.egress.hop import USER_AGENT, Body
from one_runtime.egress.limits import Limits, PoolLimits
from one_runtime.egress.network import Network
from one_runtime.egress.observation import on_behalf_of
from one_runtime.egress.pool import Certificate

__all__ = [
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
