"""Send a request that an integration defines, such as the check."""

from collections.abc import Iterator
from contextlib import contextmanager

from one_runtime.catalog.model import Integration
from one_runtime.catalog.request import OutboundRequest
from one_runtime.connections.credentials import ProviderUnavailable
from one_runtime.egress.client import Egress
from one_runtime.egress.errors import EgressError, TargetRefused
from one_runtime.egress.limits import Limits
from one_runtime.egress.response import Response
from one_runtime.telemetry.logger import Logger

log = Logger()


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
        log_unreachable(integration, error.code, error.cause)
        raise ProviderUnavailable(
            f"{integration.name} cannot be reached at the moment. Nothing was stored; try again.", reason=error.detail
        ) from error


def log_unreachable(integration: Integration, code: str, cause: str) -> None:
    """Log for the operator why a provider cannot be reached. `cause` names the host."""
    log.warning("provider_unreachable", integration=integration.slug, code=code, cause=cause)


@contextmanager
def reasons_for_developers() -> Iterator[None]:
    """Add the reason to the message of a ProviderUnavailable, for callers with an API key."""
    try:
        yield
    except ProviderUnavailable as error:
        if error.reason is not None:
            error.detail = f"{error.detail} The reason: {error.reason}"
        raise
