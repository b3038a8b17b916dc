"""The resources of the API with their operations: each method of the client with its route."""

from typing import Any, Final

from one_runtime_client import answers, arguments
from one_runtime_client.operations import Listing, Operation, Resource, TransportT, routes_of
from one_runtime_client.parsing import answer, list_of, no_answer
from one_runtime_client.proxy import Proxy

_OAUTH_CLIENT: Final = "/v1/integrations/{integration_slug}/oauth-client"
_SESSION: Final = "/v1/hosted-connection-sessions/{session_id}"
_CONNECTION: Final = "/v1/connections/{connection_id}"
_CUSTOM_INTEGRATION: Final = "/v1/custom-integrations/{slug}"

_connection: Final = answer(answers.Connection)
_session: Final = answer(answers.Session)
_oauth_client: Final = answer(answers.OAuthClient)
_organization: Final = answer(answers.Organization)
_custom_integration: Final = answer(answers.CustomIntegration)


class Integrations(Resource[TransportT]):
    """The integrations that an end user can connect."""

    list = Operation(
        "GET /v1/integrations", arguments.list_integrations, list_of(answers.Integration, under="integrations")
    )


class Catalog(Resource[TransportT]):
    """The built-in integrations."""

    list = Operation(
        "GET /v1/catalog/integrations",
        arguments.list_catalog,
        list_of(answers.CatalogIntegration, under="integrations"),
    )
    get = Operation(
        "GET /v1/catalog/integrations/{slug}", arguments.get_catalog_integration, answer(answers.CatalogDetail)
    )
    categories = Operation(
        "GET /v1/catalog/categories", arguments.list_categories, list_of(answers.Category, under="categories")
    )


class Sessions(Resource[TransportT]):
    """Hosted connection sessions: each permits one connection."""

    create = Operation("POST /v1/hosted-connection-sessions", arguments.create_session, answer(answers.CreatedSession))
    get = Operation(f"GET {_SESSION}", arguments.get_session, _session)
    cancel = Operation(f"DELETE {_SESSION}", arguments.cancel_session, _session)
    redeem = Operation(f"POST {_SESSION}/redeem", arguments.redeem_session, _session)


class Connections(Resource[TransportT]):
    """Connected accounts."""

    list = Listing("GET /v1/connections", arguments.list_connections, list_of(answers.Connection, under="connections"))
    create = Operation("POST /v1/connections", arguments.create_connection, _connection)
    get = Operation(f"GET {_CONNECTION}", arguments.get_connection, _connection)
    update = Operation(f"PATCH {_CONNECTION}", arguments.update_connection, _connection)
    delete = Operation(f"DELETE {_CONNECTION}", arguments.delete_connection, answer(answers.DeletedConnection))
    check = Operation(f"POST {_CONNECTION}/check", arguments.check_connection, answer(answers.ConnectionCheck))
    refresh = Operation(f"POST {_CONNECTION}/refresh", arguments.refresh_connection, _connection)
    credentials = Operation(f"GET {_CONNECTION}/credentials", arguments.get_credentials, answer(answers.Credentials))


class EndUsers(Resource[TransportT]):
    """The users of your product that One Runtime knows."""

    list = Listing("GET /v1/end-users", arguments.list_end_users, list_of(answers.EndUser, under="end_users"))
    delete = Operation("DELETE /v1/end-users/{end_user_id}", arguments.delete_end_user, answer(answers.DeletedEndUser))


class Organizations(Resource[TransportT]):
    """Your organization."""

    get = Operation("GET /v1/organization", arguments.get_organization, _organization)
    replace = Operation("PUT /v1/organization", arguments.replace_organization, _organization)


class OAuthClients(Resource[TransportT]):
    """The OAuth clients that you registered with providers."""

    list = Operation(
        "GET /v1/oauth-clients", arguments.list_oauth_clients, list_of(answers.OAuthClient, under="oauth_clients")
    )
    get = Operation(f"GET {_OAUTH_CLIENT}", arguments.get_oauth_client, _oauth_client)
    replace = Operation(f"PUT {_OAUTH_CLIENT}", arguments.replace_oauth_client, _oauth_client)
    delete = Operation(f"DELETE {_OAUTH_CLIENT}", arguments.delete_oauth_client, no_answer)


class CustomIntegrations(Resource[TransportT]):
    """Your organization's own integrations."""

    list = Operation(
        "GET /v1/custom-integrations",
        arguments.list_custom_integrations,
        list_of(answers.CustomIntegration, under="custom_integrations"),
    )
    create = Operation("POST /v1/custom-integrations", arguments.create_custom_integration, _custom_integration)
    get = Operation(f"GET {_CUSTOM_INTEGRATION}", arguments.get_custom_integration, _custom_integration)
    replace = Operation(f"PUT {_CUSTOM_INTEGRATION}", arguments.replace_custom_integration, _custom_integration)
    delete = Operation(f"DELETE {_CUSTOM_INTEGRATION}", arguments.delete_custom_integration, no_answer)


class Events(Resource[TransportT]):
    """The audit log."""

    list = Listing("GET /v1/events", arguments.list_events, list_of(answers.Event, under="events"))


class ProxyRequests(Resource[TransportT]):
    """The log of calls through the proxy."""

    list = Listing(
        "GET /v1/proxy-requests",
        arguments.list_proxy_requests,
        list_of(answers.ProxyRequest, under="proxy_requests"),
    )


class Api(Resource[TransportT]):
    """All resources of the API."""

    disconnect = Operation("POST /v1/disconnect", arguments.disconnect, answer(answers.Disconnection))

    def __init__(self, transport: TransportT) -> None:
        super().__init__(transport)
        self.integrations = Integrations(transport)
        self.catalog = Catalog(transport)
        self.sessions = Sessions(transport)
        self.connections = Connections(transport)
        self.end_users = EndUsers(transport)
        self.organization = Organizations(transport)
        self.oauth_clients = OAuthClients(transport)
        self.custom_integrations = CustomIntegrations(transport)
        self.events = Events(transport)
        self.proxy_requests = ProxyRequests(transport)
        self.proxy = Proxy(transport)


_RESOURCES: Final[dict[str, type[Resource[Any]]]] = {
    "integrations": Integrations,
    "catalog": Catalog,
    "sessions": Sessions,
    "connections": Connections,
    "end_users": EndUsers,
    "organization": Organizations,
    "oauth_clients": OAuthClients,
    "custom_integrations": CustomIntegrations,
    "events": Events,
    "proxy_requests": ProxyRequests,
}
ROUTES: Final[dict[str, str]] = routes_of(Api) | {
    f"{noun}.{name}": route for noun, kind in _RESOURCES.items() for name, route in routes_of(kind).items()
}
"""Every method of the client with its route, such as `sessions.create`: `POST /v1/hosted-connection-sessions`."""
