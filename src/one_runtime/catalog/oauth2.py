"""Define the OAuth 2.0 part of a catalog entry: scopes, requests to the provider, and values in the responses.

An entry describes requests by templates (texts with `{name}`). A value for `{name}` comes from the end user's
parameters, the callback, the token response or the look-up's response. The look-up is an optional request with the new
token. A template may use only values that One Runtime already has at the time of the request.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Annotated, Final, Literal, Protocol, TypeAlias

from pydantic import Field, StringConstraints

from one_runtime.catalog.parts import (
    CredentialField,
    EntryPart,
    ExpectedResponse,
    HeaderName,
    JsonPath,
    Link,
    Many,
    ParamName,
    Path,
    RefusalResponse,
    Template,
    Text,
    TokenRefusal,
    Url,
)

Pkce: TypeAlias = Literal["required", "supported", "tolerated", "avoid", "unknown"]
Refresh: TypeAlias = Literal["rotates", "static", "optional", "none"]
TokenKind: TypeAlias = Literal["access_token", "refresh_token"]
ClientAuth: TypeAlias = Literal["basic", "basic_raw", "post", "either", "none"]

Scope = Annotated[str, StringConstraints(pattern=r"^[\x21\x23-\x5b\x5d-\x7e]+$", max_length=200)]  # RFC 6749, 3.3
Seconds = Annotated[int, Field(ge=1, le=10 * 366 * 86_400)]

# One Runtime sets these parameters itself. An entry that replaced `state` or `code_challenge` would disable a defense.
_AUTHORIZATION_OWN: Final = frozenset(
    {"client_id", "code_challenge", "code_challenge_method", "redirect_uri", "response_type", "scope", "state"}
)
CLIENT_OWN: Final = frozenset({"client_id", "client_secret"})

_MARGIN: Final = timedelta(minutes=5)
_PART_OF_SHORT_LIFE: Final = 5  # a lifetime of less than 25 minutes has a margin of a fifth of the lifetime


class ClientRegistration(EntryPart):
    """The registration of the OAuth client with the provider.

    With `owner: customer`, each end user registers a client, and enters the client's id and secret in the popup.
    `fields`: other values of the client, such as a developer token.
    """

    owner: Literal["organization", "customer"] = "organization"
    where: Text | None = None
    where_url: Link | None = None
    fields: Annotated[tuple[CredentialField, ...], Many] = ()


class ScopeList(EntryPart):
    """A request parameter that lists scopes.

    `always`: the scopes of every request. `default`: further scopes. Scopes of the connection session or of the OAuth
    client replace the default scopes.
    """

    param: ParamName = "scope"
    separator: Literal[" ", ",", "+"] = " "
    always: Annotated[tuple[Scope, ...], Field(max_length=300)] = ()
    default: Annotated[tuple[Scope, ...], Field(max_length=300)] = ()

    def templates(self) -> Iterator[str]:
        """Yield every scope. A scope can be a template, because some scopes contain the customer's host."""
        yield from (*self.always, *self.default)


class AuthorizationEndpointSpec(EntryPart):
    """The authorization request (RFC 6749, 4.1.1).

    `code_param` and `callback_signature` describe a callback that deviates from the RFC. `nonce_param`: the parameter
    for a random value, such as `nonce` of OpenID Connect. Every request contains a new value. `issuer`: the provider's
    identifier (RFC 8414, 2), which One Runtime compares with the callback's `iss` (RFC 9207). With `iss: optional`, a
    callback can omit `iss`, because the provider does not announce that every callback has `iss`.
    """

    url: Url
    fragment: Path | None = None
    params: Annotated[dict[ParamName, Template], Many] = Field(default_factory=dict)
    client_id_param: ParamName = "client_id"
    nonce_param: ParamName | None = None
    code_param: ParamName = "code"
    issuer: Url | None = None
    iss: Literal["required", "optional"] = "required"
    callback_signature: Literal["hmac_sha256"] | None = None

    def _inconsistencies(self) -> Iterator[str]:
        yield from _refuse_own("authorization.params", self.params, _AUTHORIZATION_OWN)
        if self.issuer is None and "iss" in self.model_fields_set:
            yield "authorization.iss: needs issuer, the value that iss must have"
        if self.nonce_param in {*_AUTHORIZATION_OWN, self.client_id_param}:
            yield (
                f"authorization.nonce_param: {self.nonce_param} is a reserved parameter; write the name of the "
                "provider's parameter for a random value, such as nonce"
            )
        if self.nonce_param in self.params:
            name = self.nonce_param
            yield f"authorization.nonce_param: One Runtime sets {name}, so remove {name} from params"


class TokenResponsePaths(EntryPart):
    """The paths of the values in a token response.

    `within`: the paths of objects in the response. If the top level has no access token, One Runtime reads these
    objects. A response without an access token is an error, even with the status 200.
    """

    within: Annotated[tuple[JsonPath, ...], Many] = ()
    access_token: JsonPath = "access_token"
    refresh_token: JsonPath = "refresh_token"
    expires_in: JsonPath = "expires_in"
    expires_at: JsonPath | None = None
    refresh_token_expires_in: JsonPath = "refresh_token_expires_in"
    scope: JsonPath = "scope"
    error: JsonPath = "error"
    error_description: JsonPath = "error_description"


class LongLivedTokenExchange(EntryPart):
    """A request that exchanges a short-lived token for a long-lived token.

    One Runtime authenticates the request with the client's id and secret.
    """

    url: Url
    method: Literal["GET", "POST"] = "POST"
    params: Annotated[dict[ParamName, Template], Many]


class TokenEndpointSpec(EntryPart):
    """The token endpoint (RFC 6749, 3.2).

    `auth`: the method of client authentication (RFC 6749, 2.3.1). The method `basic_raw` deviates from the RFC, because
    the id and the secret have no form encoding. `query`: parameters in the URL of every request. `refresh_query`:
    further parameters in the URL of the refresh request. With `refresh_method: GET`, the refresh request has no client
    authentication. An entry can write `refused` as a list of error codes.
    """

    url: Url
    refresh_url: Url | None = None
    refresh_method: Literal["GET", "POST"] = "POST"
    auth: ClientAuth = "basic"
    body: Literal["form", "json"] = "form"
    query: Annotated[dict[ParamName, Template], Many] = Field(default_factory=dict)
    refresh_query: Annotated[dict[ParamName, Template], Many] = Field(default_factory=dict)
    params: Annotated[dict[ParamName, Template], Many] = Field(default_factory=dict)
    refresh_params: Annotated[dict[ParamName, Template], Many] = Field(default_factory=dict)
    headers: Annotated[dict[HeaderName, Template], Many] = Field(default_factory=dict)
    client_id_param: ParamName = "client_id"
    client_secret_param: ParamName = "client_secret"
    code_param: ParamName = "code"
    response: TokenResponsePaths = TokenResponsePaths.model_construct()
    refused: TokenRefusal = TokenRefusal.model_construct()
    exchange: LongLivedTokenExchange | None = None

    def refuse_own(self, own: frozenset[str]) -> Iterator[str]:
        """Yield a message for each parameter in `own` that the entry sets. The OAuth flow sets these parameters."""
        yield from _refuse_own("token.query", self.query, own)
        yield from _refuse_own("token.refresh_query", self.refresh_query, own)
        yield from _refuse_own("token.params", self.params, own)
        yield from _refuse_own("token.refresh_params", self.refresh_params, own)

    def templates(self) -> Iterator[str]:
        """Yield every template of a request for the first tokens."""
        yield self.url
        yield from self.query.values()
        yield from self.params.values()
        yield from self.headers.values()

    def has_refresh_keys(self) -> bool:
        """Return True if the entry says something that only a refresh needs."""
        return bool(self.refresh_url or self.refresh_query or self.refresh_params)

    def urls(self) -> Iterator[str]:
        """Yield every URL that receives the client's secret."""
        yield self.url
        if self.refresh_url is not None:
            yield self.refresh_url
        if self.exchange is not None:
            yield self.exchange.url


class RevocationEndpointSpec(EntryPart):
    """The request that revokes a token, by RFC 7009 or in the provider's own format.

    With `auth: bearer`, One Runtime sends the token as a Bearer token. With `auth: secret`, One Runtime sends the
    client's secret as a Bearer token. `gone`: the response to a token that is already invalid. One Runtime treats this
    response as success.
    """

    url: Url
    method: Literal["POST", "DELETE", "GET"] = "POST"
    auth: Literal["basic", "basic_raw", "post", "either", "none", "bearer", "secret"] = "post"
    body: Literal["form", "json", "query", "none"] = "form"
    token_param: ParamName | None = "token"
    tokens: tuple[TokenKind, ...] = ("refresh_token", "access_token")
    params: Annotated[dict[ParamName, Template], Many] = Field(default_factory=dict)
    headers: Annotated[dict[HeaderName, Template], Many] = Field(default_factory=dict)
    expect: ExpectedResponse = ExpectedResponse.model_construct(status=(200, 202, 204))
    gone: RefusalResponse = RefusalResponse.model_construct(status=())

    def _inconsistencies(self) -> Iterator[str]:
        if not self.tokens:
            yield "tokens: at least one is required"
        if self.token_param is None and self.auth != "bearer" and not self.params:
            yield "the request must contain the token: set token_param, params, or auth: bearer"
        if self.body == "none" and (self.token_param is not None or self.params or self.auth in {"post", "either"}):
            yield ("body: none needs token_param: null, and allows neither params nor auth: post nor auth: either")

    def templates(self) -> Iterator[str]:
        """Yield every template."""
        yield self.url
        yield from self.params.values()
        yield from self.headers.values()


class ExpiringTokens(Protocol):
    """Issued tokens. A time is None for a token that never expires, or whose expiry is unknown."""

    @property
    def expires_at(self) -> datetime | None:
        """Return the time at which the access token expires."""

    @property
    def refresh_expires_at(self) -> datetime | None:
        """Return the time at which the refresh token expires."""


class TokenLifetimes(EntryPart):
    """Lifetimes in seconds.

    `access`: lifetime of an access token if the token response has no `expires_in`. `refresh`: lifetime of an unused
    refresh token.
    """

    access: Seconds | None = None
    refresh: Seconds | None = None

    def next_refresh_at(self, tokens: ExpiringTokens, now: datetime) -> datetime | None:
        """Return the time of the next refresh of tokens that were issued at `now`. Return None if no token expires.

        A refresh must happen before the access token expires. Some refresh tokens expire too. A refresh must also
        happen before the refresh token expires.
        """
        unused = now + timedelta(seconds=self.refresh) if self.refresh is not None else None
        moments = [_ahead(tokens.expires_at, now), _halfway(tokens.refresh_expires_at, now), _halfway(unused, now)]
        return min((moment for moment in moments if moment is not None), default=None)


def _refuse_own(where: str, params: Iterable[str], own: frozenset[str]) -> Iterator[str]:
    for name in sorted(own & set(params)):
        yield f"{where}: {name} is a reserved parameter, which an entry must not set"


def _ahead(expires_at: datetime | None, now: datetime) -> datetime | None:
    return None if expires_at is None else expires_at - min(_MARGIN, (expires_at - now) / _PART_OF_SHORT_LIFE)


def _halfway(moment: datetime | None, now: datetime) -> datetime | None:
    """Return the time halfway between now and the expiry of a refresh token.

    Half of the lifetime is then left for retries, because the provider or One Runtime can be unavailable for days.
    """
    return None if moment is None else now + (moment - now) / 2
