"""Serve the metadata of OAuth, the token endpoint and the revocation endpoint of the authorization server of `/v1/mcp`.

`connect/agent_authorization.py` serves the authorization endpoint, because browsers open it.
"""

from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from one_runtime.agents.authorization import grants, requests
from one_runtime.agents.authorization.errors import ProtocolError
from one_runtime.agents.authorization.resources import METADATA_PATH, PATH, SCOPES, find_organization, scopes_of
from one_runtime.context import Installation
from one_runtime.errors import NotFound

SERVER_METADATA_PATH: Final = "/.well-known/oauth-authorization-server"
"""Address of the metadata of the authorization server (RFC 8414 section 3)."""

_PUBLIC: Final = {"cache-control": "public, max-age=300", "access-control-allow-origin": "*"}
_PRIVATE: Final = {"cache-control": "no-store", "pragma": "no-cache", "x-content-type-options": "nosniff"}
_MAX_FIELDS: Final = 30
_MAX_FORM: Final = 64 * 1024
"""Size of a form in bytes. Anybody can send one, and decoding 1 MB takes 65 ms (promise P17 of docs/security.md)."""


class AuthorizationRoutes:
    """The routes that programs call. `/oauth/authorize` is the route that browsers open."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation

    def routes(self) -> list[Route]:
        """Return all routes. Metrics and logs name the last route of an endpoint."""
        return [
            Route(METADATA_PATH, self._resource_metadata, methods=["GET"]),
            Route(METADATA_PATH + "/{organization_id}", self._resource_metadata, methods=["GET"]),
            # Some clients add the path of the MCP server to the address of the metadata.
            Route(SERVER_METADATA_PATH + PATH, self._server_metadata, methods=["GET"]),
            Route(SERVER_METADATA_PATH + PATH + "/{organization_id}", self._server_metadata, methods=["GET"]),
            Route(SERVER_METADATA_PATH, self._server_metadata, methods=["GET"]),
            # The official Python client stores no metadata. After a restart, it renews its token at the default address
            # of MCP 2025-03-26.
            Route("/token", self._token, methods=["POST"]),
            Route("/oauth/token", self._token, methods=["POST"]),
            Route("/oauth/revoke", self._revoke, methods=["POST"]),
        ]

    async def _resource_metadata(self, request: Request) -> Response:
        """Return the metadata of a protected resource (RFC 9728 section 2). Raises: NotFound."""
        settings = self._installation.settings
        identifier = request.path_params.get("organization_id")
        resource = f"{settings.public_url}{PATH}" + (f"/{identifier}" if identifier else "")
        async with self._installation.database.read() as tx:
            organization = await find_organization(tx, settings, resource)
        if organization is None and identifier:
            raise NotFound("End users cannot sign in at this address. The organization must set agents.sign_in_url.")
        metadata = {
            "resource": resource,
            "resource_name": organization.display_name if organization is not None else "One Runtime",
            "resource_documentation": f"{settings.public_url}/docs",
            "bearer_methods_supported": ["header"],
            "scopes_supported": list(SCOPES),
        }
        if organization is not None:
            metadata["authorization_servers"] = [settings.public_url]
        return JSONResponse(metadata, headers=_PUBLIC)

    async def _server_metadata(self, _: Request) -> Response:
        """Return the metadata of the authorization server (RFC 8414 section 2)."""
        issuer = self._installation.settings.public_url
        metadata = {
            "issuer": issuer,
            "authorization_endpoint": f"{issuer}/oauth/authorize",
            "token_endpoint": f"{issuer}/oauth/token",
            "revocation_endpoint": f"{issuer}/oauth/revoke",
            "service_documentation": f"{issuer}/docs",
            "scopes_supported": list(SCOPES),
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": ["authorization_code", "refresh_token"],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["none"],
            "revocation_endpoint_auth_methods_supported": ["none"],
            "client_id_metadata_document_supported": True,
            "authorization_response_iss_parameter_supported": True,
        }
        return JSONResponse(metadata, headers=_PUBLIC)

    async def _token(self, request: Request) -> Response:
        """Return tokens for a code or a refresh token (RFC 6749 section 5)."""
        try:
            tokens = await grants.issue(self._installation, await _read_form(request))
        except ProtocolError as problem:
            return _error(problem)
        body = {
            "access_token": tokens.access_token,
            "token_type": "Bearer",
            "expires_in": tokens.expires_in,
            "refresh_token": tokens.refresh_token,
            "scope": scopes_of(tokens.policy.access),
        }
        return JSONResponse(body, headers=_PRIVATE)

    async def _revoke(self, request: Request) -> Response:
        """Revoke a token (RFC 7009 section 2)."""
        try:
            await grants.revoke(self._installation, await _read_form(request))
        except ProtocolError as problem:
            return _error(problem)
        return Response(status_code=200, headers=_PRIVATE)


async def _read_form(request: Request) -> Mapping[str, str]:
    """Return the fields of a form. Raises: ProtocolError."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/x-www-form-urlencoded":
        raise ProtocolError("invalid_request", "The body must have the type application/x-www-form-urlencoded.")
    body = await request.body()
    if len(body) > _MAX_FORM:
        raise ProtocolError("invalid_request", f"The body must be at most {_MAX_FORM // 1024} kB.")
    try:
        text = body.decode("ascii")
        fields = parse_qsl(text, keep_blank_values=True, max_num_fields=_MAX_FIELDS, errors="strict")
    except ValueError as error:
        raise ProtocolError("invalid_request", f"The body must be a form with at most {_MAX_FIELDS} fields.") from error
    return requests.single_values(fields)


def _error(problem: ProtocolError) -> Response:
    """Return an error response (RFC 6749 section 5.2)."""
    return JSONResponse({"error": problem.error, "error_description": problem.description}, 400, _PRIVATE)
