"""An OAuth client over plain httpx2 that follows a catalog entry: the reference for One Runtime's own client."""

import base64
import hashlib
import secrets
from dataclasses import dataclass, field
from typing import Any, Literal, Self
from urllib.parse import parse_qsl, quote, urlencode

import httpx2

from one_runtime.catalog.request import ConnectionValues, build_check
from one_runtime.catalog.response import CheckResult, look_up, read_check, text_of
from tests.foreign.person import Person
from tests.foreign.providers import OAuthClient, Provider
from tests.foreign.visitor import Visitor


@dataclass(frozen=True, slots=True)
class Tokens:
    """Successful response of a token endpoint."""

    access_token: str
    refresh_token: str | None
    expires_in: int | None
    scope: str | None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Error response of a token endpoint."""

    error: str
    status: int


@dataclass(frozen=True, slots=True)
class Attempt:
    """An authorization attempt: state, PKCE verifier (RFC 7636), and the URL for the browser."""

    state: str
    verifier: str
    url: str


@dataclass
class PlainClient:
    """A client of one provider."""

    provider: Provider
    client: OAuthClient
    http: httpx2.AsyncClient = field(default_factory=lambda: httpx2.AsyncClient(verify=False))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.http.aclose()

    def attempt(self, **params: str) -> Attempt:
        """Create an authorization request (RFC 6749, 4.1.1) with PKCE. Empty `params` remove parameters."""
        auth, state, verifier = self.provider.auth, secrets.token_urlsafe(16), secrets.token_urlsafe(48)
        scopes = [auth.scopes] if auth.more_scopes is None else [auth.scopes, auth.more_scopes]
        query = {
            "response_type": "code",
            "client_id": self.client.client_id,
            "redirect_uri": self.client.redirect_uri,
            "state": state,
            "code_challenge": base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("="),
            "code_challenge_method": "S256",
            **{scope.param: scope.separator.join((*scope.always, *scope.default)) for scope in scopes},
            **auth.authorization.params,
            **params,
        }
        parameters = {name: value for name, value in query.items() if value}
        return Attempt(state, verifier, f"{auth.authorization.url}?{urlencode(parameters)}")

    async def connect(self, person: Person) -> Tokens:
        """Get tokens for a person who allows access."""
        attempt = self.attempt()
        async with Visitor() as visitor:
            callback = await visitor.consent(attempt.url, person)
        assert callback["state"] == attempt.state
        return granted(await self.exchange(callback["code"], attempt.verifier))

    async def exchange(self, code: str, verifier: str) -> Tokens | Refusal:
        """RFC 6749, 4.1.3."""
        redirect_uri = self.client.redirect_uri
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri}
        return await self._token(form | {"code_verifier": verifier})

    async def refresh(self, refresh_token: str | None) -> Tokens | Refusal:
        """RFC 6749, 6."""
        assert refresh_token is not None
        return await self._token({"grant_type": "refresh_token", "refresh_token": refresh_token})

    async def client_credentials(self, scope: str) -> Tokens | Refusal:
        """RFC 6749, 4.4."""
        return await self._token({"grant_type": "client_credentials", "scope": scope})

    async def revoke(self, token: str | None, kind: Literal["access_token", "refresh_token"]) -> None:
        """RFC 7009."""
        revocation = self.provider.auth.revocation
        assert token is not None
        assert revocation is not None
        form = {"token": token, "token_type_hint": kind}
        answer = await self._post(revocation.url, form, revocation.auth)
        assert answer.status_code == 200, answer.text

    async def whoami(self, access_token: str) -> CheckResult:
        """Return the response to the entry's check with this token."""
        auth = self.provider.auth
        values = ConnectionValues({}, {"access_token": access_token})
        request = build_check(auth, values)
        answer = await self.http.request(
            request.method, request.url, headers=dict(request.headers), content=request.body
        )
        return read_check(auth, answer.status_code, list(answer.headers.items()), answer.content, values)

    async def _token(self, form: dict[str, str]) -> Tokens | Refusal:
        token = self.provider.auth.token
        return self._read(await self._post(token.url, form, token.auth, token.headers))

    async def _post(
        self, url: str, form: dict[str, str], auth: str, headers: dict[str, str] | None = None
    ) -> httpx2.Response:
        pair = {"client_id": self.client.client_id, "client_secret": self.client.client_secret}
        if auth == "basic":  # each part is encoded as a form's first (RFC 6749, 2.3.1)
            basic = base64.b64encode(":".join(quote(part, safe="") for part in pair.values()).encode()).decode()
            return await self.http.post(url, data=form, headers={**(headers or {}), "Authorization": f"Basic {basic}"})
        return await self.http.post(url, data=form if auth == "none" else form | pair, headers=headers or {})

    def _read(self, answer: httpx2.Response) -> Tokens | Refusal:
        is_form = answer.headers["content-type"].startswith("application/x-www-form-urlencoded")
        body: Any = dict(parse_qsl(answer.text)) if is_form else answer.json()
        where = self.provider.auth.token.response
        access_token, refresh_token, expires_in, scope = (
            text_of(look_up(body, path))
            for path in (where.access_token, where.refresh_token, where.expires_in, where.scope)
        )
        if access_token is None:
            return Refusal(body["error"], answer.status_code)
        return Tokens(access_token, refresh_token, int(expires_in) if expires_in is not None else None, scope)


def granted(answer: Tokens | Refusal) -> Tokens:
    """Return the tokens and fail if the response is a refusal."""
    assert isinstance(answer, Tokens), answer
    return answer
