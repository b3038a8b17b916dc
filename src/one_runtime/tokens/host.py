"""Name the token host of a connection, and record the responses of token hosts (`jobs/token_hosts.py`)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from one_runtime.auth_types import auth_method
from one_runtime.catalog.loader import Catalog
from one_runtime.catalog.model import is_custom
from one_runtime.catalog.templates import fill, names_in, split_url
from one_runtime.connections.connections import Connection
from one_runtime.jobs.token_hosts import TokenHost
from one_runtime.oauth.errors import (
    EndpointTargetRefused,
    MalformedTokenResponse,
    OAuthError,
    TemporaryFailure,
)


@dataclass(frozen=True, slots=True)
class TokenHostName:
    """The name of a token host. `shared`: True if all connections of the integration have this token host."""

    name: str
    shared: bool = False


def token_host(
    catalog: Catalog, organization_id: str, slug: str, auth_type: str, params: Mapping[str, str]
) -> TokenHostName:
    """Return the host and port of the token endpoint that refreshes the tokens of a connection.

    A custom integration has a name of its own, because one organization's integration must not stop the refreshes of
    other organizations. A host that depends on the OAuth client has a name for each organization.
    """
    integration = catalog.get(slug)
    auth = integration.auth_of(auth_type) if integration is not None else None
    method = auth_method(auth).tokens if auth is not None else None
    if is_custom(slug) or method is None:
        return TokenHostName(f"{organization_id} {slug}")
    token = method.auth.token
    template = split_url(token.refresh_url or token.url, allow_http=True).authority
    host = fill(template, params)
    if host is None:
        return TokenHostName(f"{organization_id} {template}")
    return TokenHostName(host.lower(), shared=not names_in(template))


def host_of_connection(catalog: Catalog, connection: Connection) -> TokenHostName:
    """Return the token host of a connection."""
    return token_host(
        catalog, connection.organization_id, connection.integration_slug, connection.auth_type, connection.params
    )


def record_response(host: TokenHost, connection: Connection, error: OAuthError, now: datetime) -> None:
    """Record an error response, or a missing response, of a token endpoint.

    A host works if it refuses the grant, the OAuth client or the request. But a refusal with the page of a firewall is
    unclear.
    """
    match error:
        case EndpointTargetRefused():
            host.record_unclear()
        case TemporaryFailure() | MalformedTokenResponse():
            host.record_failure(connection.id, now)
        case _ if error.response.firewall_page:
            host.record_unclear()
        case _:
            host.record_success(now, after_failure=False)
