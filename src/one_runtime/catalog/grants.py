"""Define the grants that One Runtime exchanges for tokens, such as an authorization code (RFC 6749, 1.3).

`oauth/token_request.py` builds the requests to the token endpoint. Each grant returns its part of its request.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal, Protocol

from one_runtime.catalog.oauth2 import TokenEndpointSpec


@dataclass(frozen=True, slots=True)
class GrantRequest:
    """The part of a token request that depends on the grant.

    `params`: the parameters of the grant, by its RFC. `more_params`, `query`: templates of the catalog entry. `known`:
    the values for all templates of the request. `sends_scopes`: True if the request names scopes. `scopes`:
    these scopes, or None for the integration's default scopes. `authenticates_client`: False to send no client id and
    no client secret.
    """

    params: Mapping[str, str] = field(repr=False)
    url: str
    more_params: Mapping[str, str]
    query: Mapping[str, str]
    known: Mapping[str, str] = field(repr=False)
    method: Literal["GET", "POST"] = "POST"
    sends_scopes: bool = False
    scopes: tuple[str, ...] | None = None
    authenticates_client: bool = True


class TokenGrant(Protocol):
    """A grant that One Runtime exchanges for tokens."""

    name: ClassVar[str]
    """The name of the grant in metrics."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """Return the secrets that must not appear in logs or messages."""

    @property
    def refresh_token(self) -> str | None:
        """Return the refresh token of the grant, which stays valid if the response contains no other one."""

    def request(self, token: TokenEndpointSpec, known: Mapping[str, str]) -> GrantRequest:
        """Return the part of the token request that depends on this grant.

        `known`: values of the end user, of the provider and of the OAuth client for the templates of the request.
        """


@dataclass(frozen=True, slots=True)
class AuthorizationCode:
    """The authorization code of a callback (RFC 6749, 4.1.3).

    `redirect_uri`: the same value as in the authorization request. `verifier`: the PKCE code verifier (RFC 7636, 4.5).
    """

    name: ClassVar[str] = "authorization_code"
    refresh_token: ClassVar[None] = None

    code: str = field(repr=False)
    redirect_uri: str
    verifier: str | None = field(default=None, repr=False)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Return the secrets that must not appear in logs or messages."""
        return (self.code,) if self.verifier is None else (self.code, self.verifier)

    def request(self, token: TokenEndpointSpec, known: Mapping[str, str]) -> GrantRequest:
        """Return the part of the token request that depends on this grant (RFC 6749, 4.1.3; RFC 7636, 4.5)."""
        verifier = {"code_verifier": self.verifier} if self.verifier is not None else {}
        params = {
            "grant_type": "authorization_code",
            token.code_param: self.code,
            "redirect_uri": self.redirect_uri,
            **verifier,
        }
        return GrantRequest(params, token.url, token.params, token.query, known)


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """A refresh token (RFC 6749, 6) with the current access token.

    Some providers need the access token for a refresh. `refresh_token`: None if the provider issued no refresh token.
    """

    name: ClassVar[str] = "refresh_token"

    refresh_token: str | None = field(repr=False)
    access_token: str = field(repr=False)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Return the secrets that must not appear in logs or messages."""
        return tuple(token for token in (self.refresh_token, self.access_token) if token is not None)

    def request(self, token: TokenEndpointSpec, known: Mapping[str, str]) -> GrantRequest:
        """Return the part of the token request that depends on this grant (RFC 6749, 6).

        Without the parameter `scope`, the new token has the same scopes as the old token.
        """
        refresh_token = {"refresh_token": self.refresh_token} if self.refresh_token is not None else {}
        return GrantRequest(
            {"grant_type": "refresh_token", **refresh_token},
            token.refresh_url or token.url,
            token.refresh_params,
            {**token.query, **token.refresh_query},
            {**known, "access_token": self.access_token},
            token.refresh_method,
            # A GET keeps the client secret out of the URL. The token authenticates the request.
            authenticates_client=token.refresh_method != "GET",
        )


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """The client's own credentials (RFC 6749, 4.4.2).

    `fields`: all values that the end user entered. Some providers need more values than the client id and the secret.
    `scopes`: the scopes to request, or None for the integration's default scopes.
    """

    name: ClassVar[str] = "client_credentials"
    refresh_token: ClassVar[None] = None

    fields: Mapping[str, str] = field(default_factory=dict, repr=False)
    scopes: tuple[str, ...] | None = None

    @property
    def secrets(self) -> tuple[str, ...]:
        """Return the secrets that must not appear in logs or messages."""
        return tuple(value for name, value in self.fields.items() if name != "client_id")

    def request(self, token: TokenEndpointSpec, known: Mapping[str, str]) -> GrantRequest:
        """Return the part of the token request that depends on this grant (RFC 6749, 4.4.2)."""
        params, known = {"grant_type": "client_credentials"}, {**self.fields, **known}
        return GrantRequest(params, token.url, token.params, token.query, known, sends_scopes=True, scopes=self.scopes)


@dataclass(frozen=True, slots=True)
class ShortLivedToken:
    """An access token that the provider exchanges for a long-lived token.

    No RFC defines this grant. The catalog defines the request in `token.exchange`.
    """

    name: ClassVar[str] = "exchange"
    refresh_token: ClassVar[None] = None

    access_token: str = field(repr=False)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Return the secrets that must not appear in logs or messages."""
        return (self.access_token,)

    def request(self, token: TokenEndpointSpec, known: Mapping[str, str]) -> GrantRequest:
        """Return the part of the token request that depends on this grant.

        Raises:
            ValueError: the catalog has no `token.exchange` for the integration.
        """
        if token.exchange is None:
            raise ValueError("this entry has no token.exchange")
        known = {**known, "access_token": self.access_token}
        return GrantRequest({}, token.exchange.url, token.exchange.params, token.query, known, token.exchange.method)
