"""Serve `/oauth/authorize`, which an agent opens in its user's browser. Send the browser to the organization's page."""

from typing import Final
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from one_runtime.agents.authorization import authorization_endpoint, redirect_uris
from one_runtime.agents.authorization.authorization_endpoint import InvalidAuthorizationRequest
from one_runtime.agents.authorization.client_documents import ClientDocuments
from one_runtime.agents.authorization.errors import AgentClientRefused
from one_runtime.connect.requests import PRIVATE, is_framed
from one_runtime.connect.screens import Screens
from one_runtime.context import Installation
from one_runtime.encryption.secret_tokens import digest
from one_runtime.errors import RateLimited
from one_runtime.tenancy.authentication import RateLimit, client_network

PER_MINUTE: Final = 240
"""Maximum number of requests of one network in a minute. Each request can fetch a document, and stores a row.

Many people can share an IP address.
"""

_MAX_PARAMETERS: Final = 50


class AgentAuthorizationPage:
    """The authorization endpoint. An end user sees a page only after an error."""

    def __init__(self, installation: Installation, screens: Screens) -> None:
        self._installation, self._screens = installation, screens
        self._documents = ClientDocuments(installation.egress, installation.clock)
        self._rate_limit = RateLimit(PER_MINUTE)

    def routes(self) -> list[Route]:
        """Return the route of the endpoint."""
        return [Route("/oauth/authorize", self._authorize, methods=["GET"])]

    async def _authorize(self, request: Request) -> Response:
        screens = self._screens.answering(request)
        if request.method != "GET":  # a HEAD request must not store a request
            return Response(status_code=405, headers={"Allow": "GET", **PRIVATE})
        if is_framed(request):
            return screens.refusal("framed", 403)
        try:
            network = client_network(request.scope)
            self._rate_limit.take(digest(network))
            query = request.scope["query_string"].decode("ascii")
            parameters = parse_qsl(query, keep_blank_values=True, max_num_fields=_MAX_PARAMETERS, errors="strict")
            address = await authorization_endpoint.start(self._installation, self._documents, parameters, network)
        except RateLimited:
            return screens.agent_refused("There were too many attempts. Wait a minute, and try again.", 429)
        except ValueError:
            return screens.agent_refused("The address of this page is not valid.", 400)
        except AgentClientRefused as refused:
            return screens.agent_refused(refused.detail, 400)
        except InvalidAuthorizationRequest as refused:
            host = redirect_uris.host_of(refused.back)
            return screens.agent_refused(refused.problem.description, 400, refused.back, host)
        return RedirectResponse(address, 303, PRIVATE)
