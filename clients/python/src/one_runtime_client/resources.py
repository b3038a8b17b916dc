"""The nouns of the API with their operations: the one place where a method of the client meets a route."""

from typing import Any, Final

from one_runtime_client import answers, requests
from one_runtime_client.operations import D, Listing, Operation, Resource, routes_of
from one_runtime_client.proxy import Proxy
from one_runtime_client.reading import answer, inside, nothing


class Integrations(Resource[D]):
    """What an end user can connect, and what is connected."""

    list = Operation("GET /v1/integrations", requests.list_integrations, inside("integrations", answers.Integration))


class Catalog(Resource[D]):
    """The public list, without anybody's state."""

    list = Operation(
        "GET /v1/catalog/integrations", requests.list_catalog, inside("integrations", answers.CatalogIntegration)
    )
    get = Operation("GET /v1/catalog/integrations/{slug}", requests.get_catalog, answer(answers.CatalogDetail))
    categories = Operation("GET /v1/catalog/categories", requests.nothing, inside("categories", answers.Category))


class Sessions(Resource[D]):
    """Hosted connection sessions: permissions to make one connection."""

    create = Operation("POST /v1/hosted-connection-sessions", requests.create_session, answer(answers.CreatedSession))
    get = Operation("GET /v1/hosted-connection-sessions/{session_id}", requests.by_session, answer(answers.Session))
    cancel = Operation(
        "DELETE /v1/hosted-connection-sessions/{session_id}", requests.by_session, answer(answers.Session)
    )
    redeem = Operation(
        "POST /v1/hosted-connection-sessions/{session_id}/redeem", requests.redeem_session, answer(answers.Session)
    )


class Connections(Resource[D]):
    """Connected accounts."""

    list = Listing("GET /v1/connections", requests.list_connections, inside("connections", answers.Connection))
    create = Operation("POST /v1/connections", requests.create_connection, answer(answers.Connection))
    get = Operation("GET /v1/connections/{connection_id}", requests.by_connection, answer(answers.Connection))
    update = Operation("PATCH /v1/connections/{connection_id}", requests.update_connection, answer(answers.Connection))
    delete = Operation(
        "DELETE /v1/connections/{connection_id}", requests.by_connection, answer(answers.DeletedConnection)
    )
    check = Operation(
        "POST /v1/connections/{connection_id}/check", requests.by_connection, answer(answers.ConnectionCheck)
    )
    refresh = Operation(
        "POST /v1/connections/{connection_id}/refresh", requests.by_connection, answer(answers.Connection)
    )
    credentials = Operation(
        "GET /v1/connections/{connection_id}/credentials", requests.by_connection, answer(answers.Credentials)
    )


class EndUsers(Resource[D]):
    """The users of your product that One Runtime knows."""

    list = Listing("GET /v1/end-users", requests.list_end_users, inside("end_users", answers.EndUser))
    delete = Operation("DELETE /v1/end-users/{end_user_id}", requests.by_end_user, answer(answers.DeletedEndUser))


class Organizations(Resource[D]):
    """Your organization."""

    get = Operation("GET /v1/organization", requests.nothing, answer(answers.Organization))
    replace = Operation("PUT /v1/organization", requests.replace_organization, answer(answers.Organization))


class OAuthClients(Resource[D]):
    """What you registered with providers."""

    list = Operation("GET /v1/oauth-clients", requests.nothing, inside("oauth_clients", answers.OAuthClient))
    get = Operation(
        "GET /v1/integrations/{integration_slug}/oauth-client", requests.get_oauth_client, answer(answers.OAuthClient)
    )
    replace = Operation(
        "PUT /v1/integrations/{integration_slug}/oauth-client",
        requests.replace_oauth_client,
        answer(answers.OAuthClient),
    )
    delete = Operation("DELETE /v1/integrations/{integration_slug}/oauth-client", requests.delete_oauth_client, nothing)


class CustomIntegrations(Resource[D]):
    """Integrations of your own."""

    list = Operation(
        "GET /v1/custom-integrations", requests.nothing, inside("custom_integrations", answers.CustomIntegration)
    )
    create = Operation(
        "POST /v1/custom-integrations", requests.create_custom_integration, answer(answers.CustomIntegration)
    )
    get = Operation(
        "GET /v1/custom-integrations/{slug}", requests.get_custom_integration, answer(answers.CustomIntegration)
    )
    replace = Operation(
        "PUT /v1/custom-integrations/{slug}", requests.replace_custom_integration, answer(answers.CustomIntegration)
    )
    delete = Operation("DELETE /v1/custom-integrations/{slug}", requests.delete_custom_integration, nothing)


class Events(Resource[D]):
    """What happened."""

    list = Listing("GET /v1/events", requests.list_events, inside("events", answers.Event))


class ProxyRequests(Resource[D]):
    """Calls that went through the proxy."""

    list = Listing(
        "GET /v1/proxy-requests", requests.list_proxy_requests, inside("proxy_requests", answers.ProxyRequest)
    )


class Api(Resource[D]):
    """All of it: what a client offers."""

    disconnect = Operation("POST /v1/disconnect", requests.disconnect, answer(answers.Disconnection))

    def __init__(self, driver: D) -> None:
        super().__init__(driver)
        self.integrations = Integrations(driver)
        self.catalog = Catalog(driver)
        self.sessions = Sessions(driver)
        self.connections = Connections(driver)
        self.end_users = EndUsers(driver)
        self.organization = Organizations(driver)
        self.oauth_clients = OAuthClients(driver)
        self.custom_integrations = CustomIntegrations(driver)
        self.events = Events(driver)
        self.proxy_requests = ProxyRequests(driver)
        self.proxy = Proxy(driver)


_NOUNS: Final[dict[str, type[Resource[Any]]]] = {
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
    f"{noun}.{name}": route for noun, kind in _NOUNS.items() for name, route in routes_of(kind).items()
}
"""Every method of the client and its route, such as `sessions.create`: `POST /v1/hosted-connection-sessions`."""
