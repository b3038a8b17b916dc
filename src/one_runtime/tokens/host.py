"""Name the token host of a connection, and record the responses of token hosts (`jobs/token_hosts.py`)."""

from collections.abc import Mapping

from one_runtime.catalog.loader import Catalog
from one_runtime.catalog.model import is_custom
from one_runtime.catalog.templates import fill, split_url
from one_runtime.connections.connections import Connection
from one_runtime.context import Installation
from one_runtime.jobs.token_hosts import TokenHost
from one_runtime.oauth.errors import (
    EndpointTargetRefused,
    MalformedTokenResponse,
    OAuthError,
    TemporaryFailure,
)


def token_host(catalog: Catalog, organization_id: str, slug: str, auth_type: str, params: Mapping[str, str]) -> str:
    """Return the host and port of the token endpoint that refreshes the tokens of a connection.

    The name is not always a host. A custom integration has a name of its own, because one organization's integration
    must not stop the refreshes of other organizations. A host that depends on the OAuth client has a name for each
    organization.
    """
    integration = catalog.get(slug)
    auth = integration.auth_of(auth_type) if integration is not None else None
    token_auth = auth.token_auth if auth is not None else None
    if is_custom(slug) or token_auth is None:
        return f"{organization_id} {slug}"
    token = token_auth.token
    template = split_url(token.refresh_url or token.url, allow_http=True).authority
    host = fill(template, token_auth.complete(params))
    return f"{organization_id} {template}" if host is None else host.lower()


def record_success(installation: Installation, connection: Connection, *, after_failure: bool) -> None:
    """Record that the token host of a connection works. `after_failure`: see `TokenHost.record_success`."""
    if _host_of(installation, connection).record_success(installation.clock(), after_failure=after_failure):
        installation.failures.end_outage(connection.integration_slug)


def record_error(installation: Installation, connection: Connection, error: OAuthError) -> None:
    """Record an error response, or a missing response, of the token host of a connection.

    A host that refuses the grant, the OAuth client or the request works. But a refusal that a firewall possibly sent
    does not show if the host works.
    """
    match error:
        case EndpointTargetRefused():
            _host_of(installation, connection).record_unclear()
        case TemporaryFailure() | MalformedTokenResponse():
            _host_of(installation, connection).record_failure(connection.id, installation.clock())
        case _ if error.response.firewall_page:
            _host_of(installation, connection).record_unclear()
        case _:
            record_success(installation, connection, after_failure=False)


def record_slowness(installation: Installation, connection: Connection) -> None:
    """Record that the token host of a connection has not answered within the time of a caller."""
    _host_of(installation, connection).record_failure(connection.id, installation.clock())


def _host_of(installation: Installation, connection: Connection) -> TokenHost:
    slug, params = connection.integration_slug, connection.params
    name = token_host(installation.catalog, connection.organization_id, slug, connection.auth_type, params)
    host = installation.token_hosts.get(name)
    host.integrations.add(slug)
    return host
