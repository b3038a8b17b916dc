"""Define all asynchronous resources of the API. `python -m scripts.generate_clients` writes this file."""

from collections.abc import Mapping
from functools import cached_property

from one_runtime_client.async_resources.agent_authorizations import AsyncAgentAuthorizations
from one_runtime_client.async_resources.api_keys import AsyncAPIKeys
from one_runtime_client.async_resources.approval_requests import AsyncApprovalRequests
from one_runtime_client.async_resources.catalog import AsyncCatalog
from one_runtime_client.async_resources.connect_requests import AsyncConnectRequests
from one_runtime_client.async_resources.connections import AsyncConnections
from one_runtime_client.async_resources.custom_integrations import AsyncCustomIntegrations
from one_runtime_client.async_resources.end_user_tokens import AsyncEndUserTokens
from one_runtime_client.async_resources.end_users import AsyncEndUsers
from one_runtime_client.async_resources.events import AsyncEvents
from one_runtime_client.async_resources.integrations import AsyncIntegrations
from one_runtime_client.async_resources.oauth_clients import AsyncOAuthClients
from one_runtime_client.async_resources.organization import AsyncOrganizations
from one_runtime_client.async_resources.proxy import AsyncProxy
from one_runtime_client.async_resources.proxy_requests import AsyncProxyRequests
from one_runtime_client.async_resources.sessions import AsyncSessions
from one_runtime_client.async_resources.webhook_deliveries import AsyncWebhookDeliveries
from one_runtime_client.async_resources.webhook_endpoints import AsyncWebhookEndpoints
from one_runtime_client.models import Disconnection
from one_runtime_client.operations import AsyncResource, async_with_response
from one_runtime_client.parsing import answer
from one_runtime_client.requests import Request


class AsyncApi(AsyncResource):
    """All resources of the API."""

    @cached_property
    def agent_authorizations(self) -> AsyncAgentAuthorizations:
        """Requests of agents to act for an end user, which your sign-in page answers."""
        return AsyncAgentAuthorizations(self._transport)

    @cached_property
    def api_keys(self) -> AsyncAPIKeys:
        """The API keys of your organization, and the key of the request."""
        return AsyncAPIKeys(self._transport)

    @cached_property
    def approval_requests(self) -> AsyncApprovalRequests:
        """Calls of agents that an end user has to approve."""
        return AsyncApprovalRequests(self._transport)

    @cached_property
    def catalog(self) -> AsyncCatalog:
        """The public list of the built-in integrations. These requests need no API key."""
        return AsyncCatalog(self._transport)

    @cached_property
    def connect_requests(self) -> AsyncConnectRequests:
        """Requests of agents that an end user connects an account."""
        return AsyncConnectRequests(self._transport)

    @cached_property
    def connections(self) -> AsyncConnections:
        """Connected accounts of end users, and their credentials."""
        return AsyncConnections(self._transport)

    @cached_property
    def custom_integrations(self) -> AsyncCustomIntegrations:
        """Integrations that your organization defines itself."""
        return AsyncCustomIntegrations(self._transport)

    @cached_property
    def end_user_tokens(self) -> AsyncEndUserTokens:
        """Tokens with which an agent acts for one end user."""
        return AsyncEndUserTokens(self._transport)

    @cached_property
    def end_users(self) -> AsyncEndUsers:
        """The users of your product."""
        return AsyncEndUsers(self._transport)

    @cached_property
    def events(self) -> AsyncEvents:
        """The audit log of your organization."""
        return AsyncEvents(self._transport)

    @cached_property
    def integrations(self) -> AsyncIntegrations:
        """The integrations that an end user can connect."""
        return AsyncIntegrations(self._transport)

    @cached_property
    def oauth_clients(self) -> AsyncOAuthClients:
        """The OAuth clients that your organization has registered with providers."""
        return AsyncOAuthClients(self._transport)

    @cached_property
    def organization(self) -> AsyncOrganizations:
        """The settings of your organization."""
        return AsyncOrganizations(self._transport)

    @cached_property
    def proxy_requests(self) -> AsyncProxyRequests:
        """The log of calls through the proxy."""
        return AsyncProxyRequests(self._transport)

    @cached_property
    def sessions(self) -> AsyncSessions:
        """Permissions to make one connection in the hosted popup."""
        return AsyncSessions(self._transport)

    @cached_property
    def webhook_deliveries(self) -> AsyncWebhookDeliveries:
        """The deliveries of events to webhook endpoints."""
        return AsyncWebhookDeliveries(self._transport)

    @cached_property
    def webhook_endpoints(self) -> AsyncWebhookEndpoints:
        """The endpoints that receive events."""
        return AsyncWebhookEndpoints(self._transport)

    @cached_property
    def proxy(self) -> AsyncProxy:
        """The APIs of providers."""
        return AsyncProxy(self._transport)

    @cached_property
    def with_raw_response(self) -> "AsyncApiWithRawResponse":
        """The methods of the client itself. Each returns a `RawResponse` with the status and the headers."""
        return AsyncApiWithRawResponse(self)

    async def disconnect(
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
        return await self._request(
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


class AsyncApiWithRawResponse:
    """The methods of the client itself. Each returns a `RawResponse` with the status and the headers."""

    def __init__(self, resource: AsyncApi) -> None:
        self.disconnect = async_with_response(resource.disconnect)
