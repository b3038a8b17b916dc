"""Send requests to a provider's token endpoint, and read the responses. This module uses no database."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from one_runtime.catalog.auth import TokenAuth
from one_runtime.catalog.grants import TokenGrant
from one_runtime.catalog.model import Integration
from one_runtime.catalog.request import OutboundRequest
from one_runtime.clock import Clock
from one_runtime.egress.client import Egress
from one_runtime.egress.errors import EgressError, TargetRefused, UpstreamTimeout, UpstreamUnreachable
from one_runtime.egress.limits import Limits
from one_runtime.egress.response import Response
from one_runtime.errors import InvalidInput
from one_runtime.oauth.client import ClientIdentity
from one_runtime.oauth.errors import EndpointTargetRefused, EndpointUnreachable, OAuthError, TemporaryFailure
from one_runtime.oauth.token_request import token_request
from one_runtime.oauth.token_response import TokenSet, read_token_response
from one_runtime.telemetry import metrics

LIMITS: Final = Limits(connect=10.0, idle=20.0, total=20.0, body=1024 * 1024)
"""Limits of a request, in seconds and bytes. With `until`, a caller sets another total time."""


@dataclass(frozen=True, slots=True)
class TokenEndpoint:
    """The token endpoint of an integration for one OAuth client.

    `known`: values for the templates of the request: the end user's params, values from the provider, and the client's
    fields.
    """

    integration: Integration
    auth: TokenAuth
    client: ClientIdentity
    known: Mapping[str, str] = field(repr=False)

    async def ask(self, egress: Egress, clock: Clock, grant: TokenGrant, *, until: float | None = None) -> TokenSet:
        """Request the tokens for a grant, such as a refresh token. `until`: the deadline, by `time.monotonic`.

        Raises:
            OAuthError: the provider sent no tokens.
            InvalidInput: the request cannot be built.
        """
        with metrics.token_request(self.integration.slug, grant.name) as measured:
            try:
                request = token_request(self.auth, self.client, grant, self.known)
                answer = await send(egress, self.integration, request, until=until)
                tokens = read_token_response(self.auth, self.client, grant, answer, clock())
            except OAuthError as error:
                measured.result = error.code
                raise
            measured.result = "granted"
        return tokens


async def send(
    egress: Egress, integration: Integration, request: OutboundRequest, *, until: float | None = None
) -> Response:
    """Send a request to an OAuth endpoint. Do not follow redirects, because the request contains secrets.

    Raises:
        EndpointTargetRefused: One Runtime sends no requests to the address of the endpoint.
        TemporaryFailure: One Runtime cannot send the request, or the provider sends no response.
    """
    limits = LIMITS
    if until is not None:
        left = until - time.monotonic()
        limits = replace(LIMITS, idle=left, total=left)
    if limits.total <= 0:
        raise TemporaryFailure(f"The time for the request to {integration.name} has passed. Try again.")
    try:
        return await egress.request(
            request.method,
            request.url,
            headers=request.headers,
            body=request.body,
            limits=limits,
            integration=integration.slug,
        )
    except TargetRefused as error:
        raise EndpointTargetRefused(error.detail) from error
    except EgressError as error:
        raise EndpointUnreachable(_unanswered(integration.name, error), error.cause) from error
    except InvalidInput as error:
        raise TemporaryFailure(f"One Runtime cannot send the request to {integration.name}: {error.detail}") from error


def _unanswered(name: str, error: EgressError) -> str:
    """Return the message for callers. Only the log names the host."""
    if isinstance(error, UpstreamUnreachable):
        return f"{name} could not be reached. Try again."
    if isinstance(error, UpstreamTimeout):
        return f"{name} did not answer in time. Try again."
    return f"{name} sent an unreadable response. Try again."
