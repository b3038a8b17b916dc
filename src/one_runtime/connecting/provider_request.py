"""Send a request that an integration defines, such as the check."""

from one_runtime.catalog.model import Integration
from one_runtime.catalog.request import OutboundRequest
from one_runtime.connections.credentials import ProviderUnavailable
from one_runtime.egress.client import Egress
from one_runtime.egress.errors import EgressError, TargetRefused
from one_runtime.egress.limits import Limits
from one_runtime.egress.response import Response


async def send_request(
    egress: Egress, integration: Integration, request: OutboundRequest, limits: Limits | None = None
) -> Response:
    """Send a request, and return the response. `limits`: the default is the limits of the egress.

    Raises: TargetRefused; ProviderUnavailable.
    """
    try:
        return await egress.request(
            request.method,
            request.url,
            headers=request.headers,
            body=request.body,
            limits=limits,
            integration=integration.slug,
        )
    except TargetRefused:
        raise
    except EgressError as error:
        raise ProviderUnavailable(
            f"{integration.name} cannot be reached at the moment ({error.code}). Nothing was stored; try again."
        ) from error
