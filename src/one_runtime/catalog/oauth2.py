"""Define the OAuth 2.0 part of a catalog entry: scopes, requests to the provider, and values in the responses.

An entry describes requests by templates (texts with `{name}`). A value for `{name}` comes from the end user's
parameters, the callback, the token response or the look-up's response. The look-up is an optional request with the new
token. A template may use only values that One Runtime already has at the time of the request.
"""

from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from functools import cached_property
from typing import Annotated, ClassVar, Final, Literal, TypeAlias

from pydantic import Field, StringConstraints

from one_runtime.catalog.auth import AuthBase
from one_runtime.catalog.lookup import LookupRequest
from one_runtime.catalog.parts import (
    CredentialField,
    CredentialPlacement,
    EntryPart,
    ExpectedResponse,
    HeaderName,
    HostGuard,
    JsonPath,
    Link,
    Many,
    ParamName,
    Path,
    RefusalResponse,
    RequestTemplate,
    Template,
    Text,
    TokenRefusal,
    Url,
)
from one_runtime.catalog.received_values import ReceivedValue, ValueSource
from one_runtime.catalog.templates import UrlTemplate, names_in, split_url

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
_CLIENT_OWN: Final = frozenset({"client_id", "client_secret"})
_TOKEN_OWN: Final = _CLIENT_OWN | {"code", "code_verifier", "redirect_uri", "refresh_token"}


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


class TokenLifetimes(EntryPart):
    """Lifetimes in seconds.

    `access`: lifetime of an access token if the token response has no `expires_in`. `refresh`: lifetime of an unused
    refresh token.
    """

    access: Seconds | None = None
    refresh: Seconds | None = None


class OAuth2Auth(AuthBase):
    """The authorization code grant of OAuth 2.0 (RFC 6749, 4.1; RFC 9700)."""

    type: Literal["oauth2"]
    default_label: ClassVar[str] = "Sign in"
    predefined: ClassVar[frozenset[str]] = frozenset({"access_token", "client_id"})
    verifies_by_connecting: ClassVar[bool] = True

    client: ClientRegistration = ClientRegistration.model_construct()
    authorization: AuthorizationEndpointSpec
    scopes: ScopeList = ScopeList.model_construct()
    more_scopes: ScopeList | None = None
    pkce: Pkce
    token: TokenEndpointSpec
    refresh: Refresh = "rotates"
    lifetimes: TokenLifetimes = TokenLifetimes.model_construct()
    received: Annotated[tuple[ReceivedValue, ...], Many] = ()
    lookup: LookupRequest | None = None
    revocation: RevocationEndpointSpec | None = None
    send: CredentialPlacement = CredentialPlacement.model_construct(headers={"Authorization": "Bearer {access_token}"})

    def _inconsistencies(self) -> Iterator[str]:
        yield from super()._inconsistencies()
        own = ["client_id", "client_secret"] if self.client.owner == "customer" else []
        if [field.name for field in self.fields] != own or self.derived:
            yield (f"fields: must be {own or 'empty'} for oauth2; omit derived, and put other values in params")
        yield from self.token.refuse_own(_TOKEN_OWN)
        if self.more_scopes is not None and self.more_scopes.param == self.scopes.param:
            yield "more_scopes.param: must differ from scopes.param"
        if self.authorization.nonce_param in self._scope_params():
            yield "authorization.nonce_param: must differ from the param of scopes and more_scopes"
        if (self.lookup is None) != all(part.source != "lookup" for part in self.received):
            yield "lookup needs a received value with source: lookup, and such a value needs lookup"
        if self.refresh == "none" and (self.token.has_refresh_keys() or self.lifetimes.refresh):
            yield (
                "refresh is none, so refresh_url, refresh_query, refresh_params and lifetimes.refresh must be omitted"
            )
        yield from _check_steps(self)

    def _scope_params(self) -> tuple[str, ...]:
        return (self.scopes.param, *((self.more_scopes.param,) if self.more_scopes is not None else ()))

    def predefined_names(self) -> frozenset[str]:
        """Return the predefined names. Omit each name that `fields` declares.

        If the end user enters the OAuth client, `fields` declares `client_id` and `client_secret`.
        """
        return self.predefined - {field.name for field in self.fields}

    @cached_property
    def sends_client(self) -> bool:
        """Return True if requests to the API contain a value of the OAuth client, such as a developer token."""
        client_names = {"client_id", *(part.name for part in self.client.fields)}
        check = self.check.templates() if self.check is not None else ()
        return _contains(client_names, self.base_url, *self.more_base_urls, *self.send.templates(), *check)

    def client_fields(self, stored: Mapping[str, str]) -> dict[str, str]:
        """Return the stored values of `client.fields`, such as a developer token.

        Omit each stored value that the entry no longer declares in `client.fields`.
        """
        return {part.name: stored[part.name] for part in self.client.fields if part.name in stored}

    @property
    def names_hosts(self) -> bool:
        """Return True if a value could select the domain of a host in `client_urls`.

        A client of this integration must then list the allowed hosts (promise P7 of docs/security.md). For a
        custom integration, `integrations/client_hosts.py` has a stricter rule.
        """
        return any(not self.has_fixed_domain(url) and self._is_open(url) for url in self.client_urls)

    @cached_property
    def client_urls(self) -> tuple[UrlTemplate, ...]:
        """Return the parts of every URL that receives the client's secret or a client field."""
        return (*self.secret_urls(), *self.field_urls)

    @cached_property
    def field_urls(self) -> tuple[UrlTemplate, ...]:
        """Return the parts of every API URL that receives a client field, such as a developer token.

        The token endpoint can receive client fields too, but this result omits the token endpoint (see `secret_urls`).
        """
        names, send = {part.name for part in self.client.fields}, tuple(self.send.templates())
        urls = [url for url in (self.base_url, *self.more_base_urls) if _contains(names, url, *send)]
        for request in self.requests().values():
            url = request.url or self.base_url
            urls += [url] if _contains(names, url, *send, *request.templates()) else []
        return tuple(split_url(url, allow_http=True) for url in dict.fromkeys(urls))

    def secret_urls(self) -> tuple[UrlTemplate, ...]:
        """Return the parts of every URL that receives the client's secret."""
        urls = [*self.token.urls(), *([self.revocation.url] if self.revocation is not None else [])]
        return tuple(split_url(url, allow_http=True) for url in urls)

    def credential_urls(self) -> dict[str, tuple[UrlTemplate, ...]]:
        """Return the parts of every URL that receives a stored credential, by the purpose of the URL's host."""
        return {**super().credential_urls(), "tokens": self.secret_urls()}

    def urls(self) -> tuple[UrlTemplate, ...]:
        """Return the parts of every URL to which One Runtime can send a request or redirect the browser."""
        return (*super().urls(), split_url(self.authorization.url, allow_http=True))

    def origin_of(self, name: str) -> list[str]:
        """Return the source of a variable. The source of a received value includes its pattern and its options."""
        part = next((part for part in self.received if part.name == name), None)
        if part is None:
            return super().origin_of(name)
        return [name, part.source, part.where, part.guard_pattern or "", *part.options]

    def requests(self) -> dict[str, RequestTemplate]:
        """Return the requests that the entry defines, by name."""
        return super().requests() | ({"lookup": self.lookup} if self.lookup is not None else {})

    def templates(self) -> Iterator[str]:
        """Yield every template, and a template for each field.

        With `owner: customer`, the fields are `client_id` and `client_secret`. The OAuth flow uses both fields. Without
        a template for each field, the validation would refuse both fields as unused.
        """
        yield from super().templates()
        yield from (f"{{{field.name}}}" for field in self.fields)
        for _, _, templates in _steps(self):
            yield from templates

    def declared(self) -> tuple[str, ...]:
        """Return every name that the entry declares."""
        parts: tuple[CredentialField | ReceivedValue, ...] = (*self.client.fields, *self.received)
        return (*super().declared(), *(part.name for part in parts))

    def stored_names(self) -> frozenset[str]:
        """Return the names of the values that One Runtime stores with the connection."""
        return super().stored_names() | {part.name for part in self.received}

    def defaults(self) -> dict[str, str]:
        """Return the default of each stored value that has one."""
        received = {part.name: part.default for part in self.received if part.default is not None}
        return {**super().defaults(), **received}

    def host_guard(self, name: str) -> HostGuard | None:
        """Return the rule that prevents a value from changing the domain of a URL.

        Return None if a host must not contain the value. A host may end in a received value only if the value has
        `options`.
        """
        part = next((part for part in self.received if part.name == name), None)
        if part is not None:
            return HostGuard(part.guard_pattern or "", part.options)
        return super().host_guard(name)

    def _is_open(self, url: UrlTemplate) -> bool:
        guards = (self.host_guard(name) for name in names_in(url.authority))
        return any(guard is None or not guard.options for guard in guards)


class ClientCredentialsAuth(AuthBase):
    """The client credentials grant (RFC 6749, 4.4). The end user enters the client's id and secret."""

    type: Literal["client_credentials"]
    default_label: ClassVar[str] = "Client id and secret"
    predefined: ClassVar[frozenset[str]] = frozenset({"access_token"})
    verifies_by_connecting: ClassVar[bool] = True

    token: TokenEndpointSpec
    scopes: ScopeList = ScopeList.model_construct()
    lifetimes: TokenLifetimes = TokenLifetimes.model_construct()
    send: CredentialPlacement = CredentialPlacement.model_construct(headers={"Authorization": "Bearer {access_token}"})

    def _inconsistencies(self) -> Iterator[str]:
        yield from super()._inconsistencies()
        if [field.name for field in self.fields[:2]] != ["client_id", "client_secret"]:
            yield "fields: client_credentials must begin with client_id and client_secret"
        yield from self.token.refuse_own(_CLIENT_OWN)

    def credential_urls(self) -> dict[str, tuple[UrlTemplate, ...]]:
        """Return the parts of every URL that receives a stored credential, by the purpose of the URL's host."""
        tokens = tuple(split_url(url, allow_http=True) for url in self.token.urls())
        return {**super().credential_urls(), "tokens": tokens}

    def templates(self) -> Iterator[str]:
        """Yield every template of the entry, and templates for `client_id` and `client_secret`.

        The OAuth flow uses both values. Without a template for each value, the validation would refuse both as unused.
        """
        yield from super().templates()
        yield from ("{client_id}", "{client_secret}", *_token_templates(self.token), *self.scopes.templates())


TokenAuth: TypeAlias = OAuth2Auth | ClientCredentialsAuth
"""The auth types with a token endpoint."""


def _contains(names: AbstractSet[str], *templates: str) -> bool:
    return any(name in names for template in templates for name in names_in(template))


def _refuse_own(where: str, params: Iterable[str], own: frozenset[str]) -> Iterator[str]:
    for name in sorted(own & set(params)):
        yield f"{where}: {name} is a reserved parameter, which an entry must not set"


def _token_templates(token: TokenEndpointSpec) -> Iterator[str]:
    yield token.url
    yield from token.query.values()
    yield from token.params.values()
    yield from token.headers.values()


def _steps(auth: OAuth2Auth) -> Iterator[tuple[str, frozenset[str], tuple[str, ...]]]:
    """Yield the name, the known values and the templates of each step of the OAuth flow, in order."""
    # The authorization request passes through the end user's browser, so no template of this step may use a secret.
    known = frozenset(param.name for param in auth.params) | {"client_id"}
    known |= {field.name for field in auth.client.fields if not field.secret}
    scopes = [*auth.scopes.templates(), *(auth.more_scopes.templates() if auth.more_scopes is not None else ())]
    authorization = (auth.authorization.url, auth.authorization.issuer or "", *auth.authorization.params.values())
    yield "authorization", known, (*authorization, *scopes)
    known |= _names_received(auth, "callback") | {field.name for field in auth.client.fields}
    yield "token", known, tuple(_token_templates(auth.token))
    known |= _names_received(auth, "token_response") | {"access_token"}
    if auth.token.exchange is not None:
        yield "token.exchange", known, (auth.token.exchange.url, *auth.token.exchange.params.values())
    if auth.lookup is not None:
        base = auth.base_url if auth.lookup.path is not None else ""
        yield "lookup", known, (base, *auth.lookup.templates())
    known |= _names_received(auth, "lookup")
    refresh = (*auth.token.refresh_query.values(), *auth.token.refresh_params.values())
    yield "token.refresh", known, (auth.token.refresh_url or "", *refresh)
    if auth.revocation is not None:
        yield "revocation", known, tuple(auth.revocation.templates())


def _names_received(auth: OAuth2Auth, source: ValueSource) -> frozenset[str]:
    return frozenset(part.name for part in auth.received if part.source == source)


def _check_steps(auth: OAuth2Auth) -> Iterator[str]:
    declared = {*auth.declared(), *auth.predefined_names()}  # `_check_names` reports all other names
    for step, known, templates in _steps(auth):
        for name in sorted((declared & {name for template in templates for name in names_in(template)}) - known):
            yield f"{step}: {{{name}}} is not known at this step"
