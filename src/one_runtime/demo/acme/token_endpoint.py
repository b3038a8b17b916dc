"""Acme's endpoints for apps: tokens (RFC 6749, 3.2), revocation (RFC 7009) and metadata (RFC 8414)."""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from one_runtime.clock import Clock
from one_runtime.demo.acme.clients import ClientRefused, Clients, ConflictingAuthentication, RegisteredApp
from one_runtime.demo.acme.faults import Faults
from one_runtime.demo.acme.form import Form, MalformedForm, read_form
from one_runtime.demo.acme.grants import GrantRefused, Grants, IssuedTokens, ScopeRefused
from one_runtime.demo.acme.scopes import SCOPES, read_scopes

_VERIFIER: Final = re.compile(r"[A-Za-z0-9._~-]{43,128}")  # RFC 7636, 4.1
_PRIVATE: Final = {"Cache-Control": "no-store", "Pragma": "no-cache"}  # RFC 6749, 5.1


@dataclass(frozen=True, slots=True)
class LoggedTokenRequest:
    """A request to the token endpoint. `grant` is its `grant_type`; `outcome` is `granted`, an error code of RFC 6749,
    or `http_…` during an outage."""

    at: datetime
    grant: str
    outcome: str


class OAuthRefused(Exception):
    """An error answer (RFC 6749, 5.2)."""

    def __init__(self, code: str, description: str, *, status: int = 400, basic: bool = False) -> None:
        super().__init__(description)
        self.code, self.description, self.status = code, description, status
        self.basic = basic


class AcmeTokenEndpoint:
    """The endpoints. `log` lists the token requests, oldest first."""

    def __init__(self, clients: Clients, grants: Grants, faults: Faults, clock: Clock) -> None:
        self._clients, self._grants, self._faults, self._clock = clients, grants, faults, clock
        self.log: list[LoggedTokenRequest] = []

    async def token(self, request: Request) -> Response:
        """Return tokens for a code or a refresh token."""
        grant = ""
        try:
            form = await _form(request)
            grant = (form.get("grant_type") or "")[:100]
            await asyncio.sleep(self._faults.token_delay)
            if self._faults.token_status is not None:
                return self._fail(grant, self._faults.token_status)
            issued = self._issue(self._client(request, form), form)
        except OAuthRefused as refused:
            self._note(grant, refused.code)
            return _refuse(refused)
        self._note(grant, "granted")
        return _tokens(issued)

    async def revoke(self, request: Request) -> Response:
        """Answer 200 for known and unknown tokens (RFC 7009, 2.2)."""
        try:
            form = await _form(request)
            client = self._client(request, form)
            self._grants.revoke(_require(form, "token"), client.id)
        except OAuthRefused as refused:
            return _refuse(refused)
        return Response(status_code=200, headers=_PRIVATE)

    def _fail(self, grant: str, status: int) -> Response:
        self._note(grant, f"http_{status}")
        return Response("Acme CRM is having a bad day.", status, _PRIVATE, "text/plain")

    def _note(self, grant: str, outcome: str) -> None:
        self.log.append(LoggedTokenRequest(self._clock(), grant, outcome))

    def _client(self, request: Request, form: Form) -> RegisteredApp:
        try:
            return self._clients.authenticate(request.headers.get("authorization"), form)
        except ConflictingAuthentication as error:
            raise OAuthRefused("invalid_request", str(error)) from error
        except ClientRefused as error:
            raise OAuthRefused("invalid_client", str(error), status=401, basic=error.basic) from error

    def _issue(self, client: RegisteredApp, form: Form) -> IssuedTokens:
        try:
            match _require(form, "grant_type"):
                case "authorization_code":
                    return self._of_code(client, form)
                case "refresh_token":
                    return self._of_refresh_token(client, form)
        except GrantRefused as error:
            raise OAuthRefused("invalid_grant", str(error)) from error
        except ScopeRefused as error:
            raise OAuthRefused("invalid_scope", str(error)) from error
        raise OAuthRefused("unsupported_grant_type", "grant_type must be authorization_code or refresh_token.")

    def _of_code(self, client: RegisteredApp, form: Form) -> IssuedTokens:
        code, redirect_uri = _require(form, "code"), _require(form, "redirect_uri")
        verifier = _require(form, "code_verifier")
        if _VERIFIER.fullmatch(verifier) is None:
            raise OAuthRefused("invalid_request", "code_verifier must be 43 to 128 letters, digits and -._~.")
        return self._grants.redeem(code, client.id, redirect_uri, verifier)

    def _of_refresh_token(self, client: RegisteredApp, form: Form) -> IssuedTokens:
        token, scopes = _require(form, "refresh_token"), None
        if self._faults.take_refusal():
            raise GrantRefused("An administrator had Acme CRM refuse this refresh.")
        if form.get("scope") is not None:
            scopes = read_scopes(form.get("scope"))
            if scopes is None:
                raise ScopeRefused("The scope is unknown.")
        return self._grants.refresh(token, client.id, scopes)


def metadata(issuer: str) -> Mapping[str, object]:
    """Return the metadata of this authorization server (RFC 8414, 2; RFC 9207, 3)."""
    ways = ["client_secret_basic", "client_secret_post"]
    return {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/oauth/authorize",
        "token_endpoint": f"{issuer}/oauth/token",
        "revocation_endpoint": f"{issuer}/oauth/revoke",
        "scopes_supported": list(SCOPES),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "token_endpoint_auth_methods_supported": ways,
        "revocation_endpoint_auth_methods_supported": ways,
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": True,
    }


async def _form(request: Request) -> Form:
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


def _tokens(issued: IssuedTokens) -> Response:
    content = {
        "access_token": issued.access_token,
        "token_type": "Bearer",
        "expires_in": issued.expires_in,
        "refresh_token": issued.refresh_token,
        "scope": " ".join(issued.scopes),
    }
    return JSONResponse(content, headers=_PRIVATE)


def _refuse(refused: OAuthRefused) -> Response:
    headers = _PRIVATE | ({"WWW-Authenticate": 'Basic realm="Acme CRM"'} if refused.basic else {})
    content = {"error": refused.code, "error_description": refused.description}
    return JSONResponse(content, refused.status, headers)
