"""From the Authorization header to a principal with scopes; one table says which route wants which scope."""

from collections.abc import Mapping
from typing import Annotated, Final, TypeAlias

from fastapi import Depends, Request
from starlette.types import Scope

from one_runtime.context import Installation
from one_runtime.tenancy.api_keys import KeyScope
from one_runtime.tenancy.authentication import Authenticator, Principal

PROXIED: Final = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
"""Methods of the proxy that the route table names; it takes any but CONNECT and TRACE."""

SCOPES: Final[Mapping[str, KeyScope]] = {
    "GET /v1/integrations": "read",
    "POST /v1/hosted-connection-sessions": "connect",
    "GET /v1/hosted-connection-sessions/{session_id}": "read",
    "DELETE /v1/hosted-connection-sessions/{session_id}": "connect",
    "POST /v1/hosted-connection-sessions/{session_id}/redeem": "connect",
    "POST /v1/disconnect": "connect",
    **dict.fromkeys((f"{method} /v1/proxy/{{integration_slug}}/{{path}}" for method in PROXIED), "use"),
    "GET /v1/connections": "read",
    "POST /v1/connections": "connect",
    "GET /v1/connections/{connection_id}": "read",
    "PATCH /v1/connections/{connection_id}": "connect",
    "DELETE /v1/connections/{connection_id}": "connect",
    "POST /v1/connections/{connection_id}/check": "connect",
    "POST /v1/connections/{connection_id}/refresh": "connect",
    "GET /v1/connections/{connection_id}/credentials": "credentials:read",
    "GET /v1/custom-integrations": "read",
    "POST /v1/custom-integrations": "admin",
    "GET /v1/custom-integrations/{slug}": "read",
    "PUT /v1/custom-integrations/{slug}": "admin",
    "DELETE /v1/custom-integrations/{slug}": "admin",
    "GET /v1/oauth-clients": "admin",
    "GET /v1/integrations/{integration_slug}/oauth-client": "admin",
    "PUT /v1/integrations/{integration_slug}/oauth-client": "admin",
    "DELETE /v1/integrations/{integration_slug}/oauth-client": "admin",
    "GET /v1/end-users": "read",
    "DELETE /v1/end-users/{end_user_id}": "admin",
    "GET /v1/organization": "read",
    "PUT /v1/organization": "admin",
    "GET /v1/events": "read",
    "GET /v1/proxy-requests": "read",
}
"""Route → the scope it wants. A `/v1` route that is not here is public; a test names those."""


def authorize(request: Scope, principal: Principal, required: KeyScope) -> None:
    """Check the scope that a route requires, and note the organization for logs and traces.

    Raises: InsufficientScope.
    """
    request["organization_id"] = principal.organization_id
    principal.require(required)


def installation_of(request: Request) -> Installation:
    """What `app.py` put into the application's state."""
    installation: Installation = request.app.state.installation
    return installation


async def principal_of(request: Request) -> Principal:
    """Authenticate the request, and check the scope of its route.

    Raises: Unauthenticated; InsufficientScope; RateLimited.
    """
    authenticator: Authenticator = request.app.state.authenticator
    principal = await authenticator.authenticate(installation_of(request).database, request.scope)
    authorize(request.scope, principal, SCOPES[f"{request.method} {request.scope['route'].path_format}"])
    return principal


Authenticated: TypeAlias = Annotated[Principal, Depends(principal_of)]
Installed: TypeAlias = Annotated[Installation, Depends(installation_of)]
