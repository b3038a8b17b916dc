"""Define all resources of the API. `python -m scripts.generate_clients` writes this file."""

from collections.abc import Mapping
from functools import cached_property

from one_runtime_client.models import Disconnection
from one_runtime_client.operations import Resource, with_response
from one_runtime_client.parsing import answer
from one_runtime_client.requests import Request
from one_runtime_client.resources.agent_authorizations import AgentAuthorizations
from one_runtime_client.resources.api_keys import APIKeys
from one_runtime_client.resources.approval_requests import ApprovalRequests
from one_runtime_client.resources.catalog import Catalog
from one_runtime_client.resources.connect_requests import ConnectRequests
from one_runtime_client.resources.connections import Connections
from one_runtime_client.resources.custom_integrations import CustomIntegrations
from one_runtime_client.resources.end_user_tokens import EndUserTokens
from one_runtime_client.resources.end_users import EndUsers
from one_runtime_client.resources.events import Events
from one_runtime_client.resources.integrations import Integrations
from one_runtime_client.resources.oauth_clients import OAuthClients
from one_runtime_client.resources.organization import Organizations
from one_runtime_client.resources.proxy import Proxy
from one_runtime_client.resources.proxy_requests import ProxyRequests
from one_runtime_client.resources.sessions import Sessions
from one_runtime_client.resources.webhook_deliveries import WebhookDeliveries
from one_runtime_client.resources.webhook_endpoints import WebhookEndpoints


class Api(Resource):
    """All resources of the API."""

    @cached_property
    def agent_authorizations(self) -> AgentAuthorizations:
        """Requests of agents to act for an end user, which your sign-in page answers."""
        return AgentAuthorizations(self._transport)

    @cached_property
    def api_keys(self) -> APIKeys:
        """The API keys of your organization, and the key of the request."""
        return APIKeys(self._transport)

    @cached_property
    def approval_requests(self) -> ApprovalRequests:
        """Calls of agents that an end user has to approve."""
        return ApprovalRequests(self._transport)

    @cached_property
    def catalog(self) -> Catalog:
        """The public list of the built-in integrations. These requests need no API key."""
        return Catalog(self._transport)

    @cached_property
    def connect_requests(self) -> ConnectRequests:
        """Requests of agents that an end user connects an account."""
        return ConnectRequests(self._transport)

    @cached_property
    def connections(self) -> Connections:
        """Connected accounts of end users, and their credentials."""
        return Connections(self._transport)

    @cached_property
    def custom_integrations(self) -> CustomIntegrations:
        """Integrations that your organization defines itself."""
        return CustomIntegrations(self._transport)

    @cached_property
    def end_user_tokens(self) -> EndUserTokens:
        """Tokens with which an agent acts for one end user."""
        return EndUserTokens(self._transport)

    @cached_property
    def end_users(self) -> EndUsers:
        """The users of your product."""
        return EndUsers(self._transport)

    @cached_property
    def events(self) -> Events:
        """The audit log of your organization."""
        return Events(self._transport)

    @cached_property
    def integrations(self) -> Integrations:
        """The integrations that an end user can connect."""
        return Integrations(self._transport)

    @cached_property
    def oauth_clients(self) -> OAuthClients:
        """The OAuth clients that your organization has registered with providers."""
        return OAuthClients(self._transport)

    @cached_property
    def organization(self) -> Organizations:
        """The settings of your organization."""
        return Organizations(self._transport)

    @cached_property
    def proxy_requests(self) -> ProxyRequests:
        """The log of calls through the proxy."""
        return ProxyRequests(self._transport)

    @cached_property
    def sessions(self) -> Sessions:
        """Permissions to make one connection in the hosted popup."""
        return Sessions(self._transport)

    @cached_property
    def webhook_deliveries(self) -> WebhookDeliveries:
        """The deliveries of events to webhook endpoints."""
        return WebhookDeliveries(self._transport)

    @cached_property
    def webhook_endpoints(self) -> WebhookEndpoints:
        """The endpoints that receive events."""
        return WebhookEndpoints(self._transport)

    @cached_property
    def proxy(self) -> Proxy:
        """The APIs of providers."""
        return Proxy(self._transport)

    @cached_property
    def with_raw_response(self) -> "ApiWithRawResponse":
        """The methods of the client itself. Each returns a `RawResponse` with the status and the headers."""
        return ApiWithRawResponse(self)

    def disconnect(
        self,
        *,
        integration_slug: str,
        end_user_id: str,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Disconnection:
        """Delete all connections of an end user to an integration, with their credentials.

        One Runtime revokes the tokens at the provider.

        The API key needs the scope `connect`.

        Args:
            integration_slug: The slug of the integration.
            end_user_id: Your own identifier of the end user.
            timeout: Seconds for each wait on the network. Default: the timeout of the client.
            headers: Further headers of the request.

        Returns:
            Disconnection: The result of a disconnection.

        Raises:
            InvalidInput: `invalid_input`.
            OneRuntimeError: Every other failure. This class is also the parent of all classes of errors.
        """
        return self._request(
            Request(
                "POST /v1/disconnect",
                json={
                    "integration_slug": integration_slug,
                    "end_user_id": end_user_id,
                },
                timeout=timeout,
                headers=headers,
            ),
            answer(Disconnection),
        )


class ApiWithRawResponse:
    """The methods of the client itself. Each returns a `RawResponse` with the status and the headers."""

    def __init__(self, resource: Api) -> None:
        self.disconnect = with_response(resource.disconnect)
