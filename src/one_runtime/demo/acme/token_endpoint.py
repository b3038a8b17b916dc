"""Answer apps that ask Acme for tokens (RFC 6749, 3.2), revocation (RFC 7009) or metadata (RFC 8414)."""

import asyncio
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from one_runtime.clock import Clock
from one_runtime.demo.acme.authorization import issuer_of
from one_runtime.demo.acme.clients import Clients, RegisteredApp
from one_runtime.demo.acme.errors import PRIVATE, OAuthRefused
from one_runtime.demo.acme.faults import Faults
from one_runtime.demo.acme.form import Form, MalformedForm, read_form
from one_runtime.demo.acme.grants import Grants, IssuedTokens
from one_runtime.demo.acme.scopes import SCOPES, read_scopes

_VERIFIER: Final = re.compile(r"[A-Za-z0-9._~-]{43,128}")  # RFC 7636, 4.1


@dataclass(frozen=True, slots=True)
class LoggedTokenRequest:
    """A request to the token endpoint. `grant` is the parameter `grant_type`.

    `outcome` is `granted`, an error code of RFC 6749, or the status of a simulated outage, such as `http_500`.
    """

    at: datetime
    grant: str
    outcome: str


class AcmeTokenEndpoint:
    """The endpoints for tokens and revocation. `log` lists the token requests, oldest first."""

    def __init__(self, clients: Clients, grants: Grants, faults: Faults, clock: Clock) -> None:
        self._clients, self._grants, self._faults, self._clock = clients, grants, faults, clock
        self.log: list[LoggedTokenRequest] = []

    async def token(self, request: Request) -> Response:
        """Return tokens for a code or a refresh token. Raises: OAuthRefused."""
        grant_type = ""
        try:
            form = await _read_form(request)
            grant_type = (form.get("grant_type") or "")[:100]
            await asyncio.sleep(self._faults.token_delay)
            if self._faults.token_status is not None:
                self._record(grant_type, f"http_{self._faults.token_status}")
                return Response("Acme CRM is not available now.", self._faults.token_status, PRIVATE, "text/plain")
            issued = self._issue(self._authenticate(request, form), form)
        except OAuthRefused as refused:
            self._record(grant_type, refused.code)
            if self._faults.omit_error_codes:
                return Response(status_code=refused.status, headers=PRIVATE)
            raise
        self._record(grant_type, "granted")
        content = {
            "access_token": issued.access_token,
            "token_type": "Bearer",
            "expires_in": issued.expires_in,
            "refresh_token": issued.refresh_token,
            "scope": " ".join(issued.scopes),
        }
        return JSONResponse(content, headers=PRIVATE)

    async def revoke(self, request: Request) -> Response:
        """Revoke a token. Return the status 200 also for an unknown token (RFC 7009, 2.2). Raises: OAuthRefused."""
        form = await _read_form(request)
        client = self._authenticate(request, form)
        self._grants.revoke(_require(form, "token"), client.id)
        return Response(status_code=200, headers=PRIVATE)

    def _record(self, grant_type: str, outcome: str) -> None:
        self.log.append(LoggedTokenRequest(self._clock(), grant_type, outcome))

    def _authenticate(self, request: Request, form: Form) -> RegisteredApp:
        authorization = request.headers.get("authorization")
        return self._clients.authenticate(authorization, form, raw_basic=self._faults.raw_basic)

    def _issue(self, client: RegisteredApp, form: Form) -> IssuedTokens:
        match _require(form, "grant_type"):
            case "authorization_code":
                code, redirect_uri = _require(form, "code"), _require(form, "redirect_uri")
                verifier = _require(form, "code_verifier")
                if _VERIFIER.fullmatch(verifier) is None:
                    detail = "code_verifier must have 43 to 128 characters: letters, digits and -._~"
                    raise OAuthRefused("invalid_request", detail)
                return self._grants.redeem(code, client.id, redirect_uri, verifier)
            case "refresh_token":
                return self._refresh(client, form)
        raise OAuthRefused("unsupported_grant_type", "grant_type must be authorization_code or refresh_token.")

    def _refresh(self, client: RegisteredApp, form: Form) -> IssuedTokens:
        token, scopes = _require(form, "refresh_token"), None
        if self._faults.refuse_next_refresh:
            self._faults.refuse_next_refresh = False
            raise OAuthRefused("invalid_grant", "A switch of the demo makes Acme CRM refuse this refresh.")
        if form.get("scope") is not None:
            scopes = read_scopes(form.get("scope"))
            if scopes is None:
                raise OAuthRefused("invalid_scope", "The scope is unknown.")
        return self._grants.refresh(token, client.id, scopes)


async def metadata(request: Request) -> Response:
    """Return the metadata of this authorization server (RFC 8414, 2; RFC 9207, 3)."""
    issuer, methods = issuer_of(request), ["client_secret_basic", "client_secret_post"]
    content = {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/oauth/authorize",
        "token_endpoint": f"{issuer}/oauth/token",
        "revocation_endpoint": f"{issuer}/oauth/revoke",
        "scopes_supported": list(SCOPES),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "token_endpoint_auth_methods_supported": methods,
        "revocation_endpoint_auth_methods_supported": methods,
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": True,
    }
    return JSONResponse(content)


async def _read_form(request: Request) -> Form:
    try:
        form = await read_form(request)
    except MalformedForm as error:
        raise OAuthRefused("invalid_request", str(error)) from error
    if form.repeated:
        raise OAuthRefused("invalid_request", "A parameter occurs twice.")
    return form


def _require(form: Form, name: str) -> str:
    value = form.get(name)
    if value is None:
        raise OAuthRefused("invalid_request", f"{name} is missing.")
    return value
