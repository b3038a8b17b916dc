"""Define the auth type `oauth2`: the end user authorizes access on the provider's page (RFC 6749, 4.1)."""

import secrets
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from functools import cached_property
from typing import Annotated, ClassVar, Final, Literal, get_args

from one_runtime.catalog import examples
from one_runtime.catalog.auth import TokenAuth
from one_runtime.catalog.grants import AuthorizationCode, RefreshToken
from one_runtime.catalog.lookup import LookupRequest
from one_runtime.catalog.oauth2 import (
    CLIENT_OWN,
    AuthorizationEndpointSpec,
    ClientRegistration,
    Pkce,
    Refresh,
    RevocationEndpointSpec,
    ScopeList,
)
from one_runtime.catalog.parts import CredentialField, HostGuard, Many, RequestTemplate, see
from one_runtime.catalog.received_values import ReceivedValue, ValueSource
from one_runtime.catalog.response import UnexpectedValue, is_expected
from one_runtime.catalog.templates import UrlTemplate, fill, names_in, split_url

_PROBE_REDIRECT: Final = "https://probe.invalid/connect/callback"
_FOREIGN_HOSTS: Final = (
    "https://evil.com", "https://evil.com/{}", "https://evil.com#{}", "https://evil.com?{}", "https://evil.com\\{}",
    "https://x@evil.com/{}", "{}@evil.com", "{}.evil.com", "{}:80@evil.com", "http://evil.com/{}", "evil.com/{}",
    "//evil.com/{}", "https://127.0.0.1/{}", "{}\n.evil.com", "..", "",
)  # fmt: skip
_REDIRECT: Final = "https://<your One Runtime>/connect/callback/{slug}"
_PKCE: Final = {
    "required": "required, and sent",
    "supported": "supported, and sent",
    "tolerated": "sent; the provider does not document PKCE",
    "avoid": "not sent",
    "unknown": "sent; nothing is known about the provider's support",
}
_REFRESH: Final = {
    "rotates": "each refresh returns a new refresh token, which replaces the old one",
    "static": "the refresh token never changes",
    "optional": "the client's settings decide whether there is a refresh token",
    "none": "there is no refresh token",
}
_REFRESH_UNKNOWN: Final = "unknown; One Runtime expects a new refresh token from each refresh"
_TOKEN_OWN: Final = CLIENT_OWN | {"code", "code_verifier", "redirect_uri", "refresh_token"}


class OAuth2Auth(TokenAuth):
    """The authorization code grant of OAuth 2.0 (RFC 6749, 4.1; RFC 9700)."""

    type: Literal["oauth2"]
    title: ClassVar[str] = "OAuth"
    default_label: ClassVar[str] = "Sign in"
    imported_keys: ClassVar[str] = (
        "`access_token`. The fields `refresh_token`, `expires_at` (RFC 3339) and `scope` are optional. The OAuth "
        "client of the tokens must be the client that One Runtime uses for the integration. If each end user "
        "registers a client, `credentials` must also contain `client_id` and `client_secret`"
    )
    predefined: ClassVar[frozenset[str]] = frozenset({"access_token", "client_id"})

    client: ClientRegistration = ClientRegistration.model_construct()
    authorization: AuthorizationEndpointSpec
    more_scopes: ScopeList | None = None
    pkce: Pkce
    refresh: Refresh = "rotates"
    received: Annotated[tuple[ReceivedValue, ...], Many] = ()
    lookup: LookupRequest | None = None
    revocation: RevocationEndpointSpec | None = None

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

    @property
    def uses_pkce(self) -> bool:
        """Return True if One Runtime sends a PKCE code challenge to the provider.

        RFC 9700, 2.1.1 requires PKCE. One Runtime sends a challenge even if the provider's support for PKCE is unknown.
        Such a challenge is harmless, because servers ignore unknown parameters (RFC 6749, 3.1).
        """
        return self.pkce != "avoid"

    @property
    def needs_registered_client(self) -> bool:
        """Return False if each end user enters their own OAuth client, and True otherwise."""
        return self.client.owner != "customer"

    @property
    def can_be_revoked(self) -> bool:
        """Return True if the provider revokes tokens on request (RFC 7009)."""
        return self.revocation is not None

    def first_grant(self, _: Mapping[str, str], /) -> None:
        """Return None, because the end user has not authorized the access yet."""

    def refresh_grant(self, secrets: Mapping[str, str], _: tuple[str, ...], /) -> RefreshToken | None:
        """Return the refresh token. Return None if One Runtime cannot refresh the tokens.

        The grant also contains the access token, because some providers require the access token for a refresh.
        """
        if self.refresh == "none" or ("refresh_token" not in secrets and not self.token.refresh_params):
            return None
        return RefreshToken(secrets.get("refresh_token"), secrets["access_token"])

    def client_values(self, client_id: str, fields: Mapping[str, str], /) -> dict[str, str]:
        """Return the client id, and the stored client fields that the entry declares."""
        return {"client_id": client_id, **self.client_fields(fields)}

    def probe_grant(self, _: Mapping[str, str], code_verifier: str, /) -> AuthorizationCode:
        """Return a made-up authorization code."""
        return AuthorizationCode(secrets.token_hex(16), _PROBE_REDIRECT, code_verifier if self.uses_pkce else None)

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

    def read_received(self, source: ValueSource, answer: object) -> dict[str, str]:
        """Return the received values of a source, by name.

        `answer`: the callback's query, the token response, or the look-up's response. If the look-up lists accounts,
        `answer` is an account in the list.

        Raises:
            UnexpectedValue: a value is not allowed, or is missing and has no default.
        """
        return {part.name: part.read(answer) for part in self.received if part.source == source}

    def example_answer(self, source: ValueSource) -> object:
        """Return an example of the callback, of the token response or of the look-up's response.

        The example contains the entry's example of each received value.
        """
        answer: object = {}
        for part in self.received:
            if part.source == source:
                answer = examples.put(answer, part.where, part.example)
        return answer

    @property
    def has_examples(self) -> bool:
        """Return False if the entry lacks an example of a value that the provider sends."""
        return all(part.example for part in self.received)

    def example_received(self) -> dict[str, str]:
        """Return an example of each value that the provider sends. Raises: UnexpectedValue."""
        received: dict[str, str] = {}
        for source in get_args(ValueSource):
            received |= self.read_received(source, self.example_answer(source))
        return received

    def example_client_fields(self) -> dict[str, str]:
        """Return an example value of each field that a registered OAuth client has besides its id and its secret."""
        return {part.name: examples.generate_field(part) for part in self.client.fields}

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

    def oauth_urls(self) -> tuple[str, ...]:
        """Return the templates of every URL to which only the OAuth flow sends requests."""
        urls = [self.authorization.url, *super().oauth_urls()]
        urls += [self.revocation.url] if self.revocation is not None else []
        urls += [self.lookup.url] if self.lookup is not None and self.lookup.url is not None else []
        return tuple(urls)

    def secret_urls(self) -> tuple[UrlTemplate, ...]:
        """Return the parts of every URL that receives the client's secret."""
        revocation = (split_url(self.revocation.url, allow_http=True),) if self.revocation is not None else ()
        return (*super().secret_urls(), *revocation)

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

    def lint_wording(self) -> Iterator[str]:
        """Yield an error for each text and each choice of the OAuth flow that needs no example values to judge."""
        if self.pkce == "unknown":
            yield "pkce: must not be unknown; see the provider's documentation"
        if not self.client.where or not self.client.where.endswith("."):
            yield "client.where: must be a sentence that says where to register an OAuth client and ends in a full stop"
        if self.token.auth == "none":
            yield "token.auth: must not be none, because One Runtime requires OAuth clients with a secret"
        if self.revocation is not None:
            yield from self._lint_revocation(self.revocation)
        if not self.has_examples:
            yield "received: each value requires an example from the provider's documentation"

    def _lint_revocation(self, revocation: RevocationEndpointSpec) -> Iterator[str]:
        if self.refresh == "none" and "refresh_token" in revocation.tokens:
            yield "revocation.tokens: must not contain refresh_token, because refresh is none"
        if revocation.auth == "bearer" and not (revocation.gone.status or revocation.gone.json_body):
            yield (
                "revocation.gone: is required with auth: bearer; describe the response to a token that is already "
                "invalid"
            )
        if is_expected(revocation.expect, 500, {}):
            yield "revocation.expect: must not accept an outage (HTTP 500)"

    def lint_with_examples(self, known: Mapping[str, str], /) -> Iterator[str]:
        """Yield an error for each list of scopes, and each pattern of a received value, that example values break."""
        for scopes in (self.scopes, *((self.more_scopes,) if self.more_scopes is not None else ())):
            requested = [fill(scope, known) or "" for scope in scopes.templates()]
            if len(set(requested)) != len(requested) or any(scopes.separator in scope for scope in requested):
                yield "scopes: list each scope once, without the separator"
        in_hosts = {name for url in self.urls() for name in names_in(url.authority)}
        for part in self.received:
            if part.name in in_hosts:
                yield from self._lint_host(part)

    def _lint_host(self, part: ReceivedValue) -> Iterator[str]:
        """Yield an error for each value with which an attacker could change the host of a URL.

        The attacker's host would receive a token (promise P7 of docs/security.md).
        """
        for host in _FOREIGN_HOSTS:
            answer = examples.put(self.example_answer(part.source), part.where, host.format(part.example or ""))
            try:
                received = self.read_received(part.source, answer)
            except UnexpectedValue:
                continue
            if received[part.name] != part.default:
                yield f"received.{part.name}: the pattern must refuse {host.format(part.example)!r}"

    def lint_warnings(self) -> Iterator[str]:
        """Yield a message if the authorization endpoint has no issuer, with the addresses of its metadata.

        Without the issuer, only the redirect URIs protect end users from a mix-up attack (RFC 9700, 4.4).
        """
        if self.authorization.issuer is None:
            scheme, _, rest = self.authorization.url.partition("://")
            well_known = f"{scheme}://{rest.partition('/')[0]}/.well-known"
            yield (
                f"authorization.issuer is missing. If {well_known}/oauth-authorization-server or "
                f"{well_known}/openid-configuration names this authorization_endpoint, add its issuer, so that a "
                "mix-up attack is refused"
            )

    @classmethod
    def draft(cls, api: str, /) -> dict[str, object]:
        """Return a first version of the keys that only this auth type has."""
        return {
            "client": {"where": "In the provider's developer portal, create an app and copy its client id and secret."},
            "authorization": {"url": f"{api}/oauth/authorize"},
            "scopes": {"default": ["read"]},
            "pkce": "unknown",
            "token": {"url": f"{api}/oauth/token", "auth": "post"},
        }

    def describe_registration(self, slug: str, owner: str | None, /) -> Iterator[str]:
        """Yield the lines of the sheet about the registration of an OAuth client."""
        if self.client.owner == "customer":
            yield from ("Each end user enters their own OAuth client.", "")
        if self.client.where:
            yield from (f"To register an OAuth client: {self.client.where}{see(self.client.where_url)}", "")
        yield from (f"Redirect URL: `{_REDIRECT.format(slug=slug)}`", "")
        if self.client.owner == "organization":
            of_organization = f" --organization {owner}" if owner is not None else ""
            command = f"one-runtime oauth-clients set {slug} --client-id ID{of_organization}"
            yield from (f"End users can connect after you register a client: `{command}`.", "")
        if self.client.fields:
            yield from ("The client has these other fields:", "", *(part.markdown for part in self.client.fields), "")

    def describe_oauth(self) -> Iterator[str]:
        """Yield the lines of the sheet about the OAuth flow."""
        yield f"- Authorization endpoint: `{self.authorization.url}`"
        yield from super().describe_oauth()
        for scopes in (self.scopes, *((self.more_scopes,) if self.more_scopes is not None else ())):
            requested = ", ".join(f"`{scope}`" for scope in scopes.templates())
            if requested:
                yield f"- Default scopes, in the parameter `{scopes.param}`: {requested}"
        yield f"- PKCE: {_PKCE[self.pkce]}."
        yield f"- Refresh: {_REFRESH[self.refresh] if 'refresh' in self.model_fields_set else _REFRESH_UNKNOWN}."
        if self.revocation is not None:
            yield f"- Revoked at: `{self.revocation.url}`"
        else:
            yield "- Revoked: not at the provider; One Runtime only deletes the tokens."
        for part in self.received:
            yield f"- Stored from the {part.source.replace('_', ' ')}: `{part.name}`"

    def _is_open(self, url: UrlTemplate) -> bool:
        guards = (self.host_guard(name) for name in names_in(url.authority))
        return any(guard is None or not guard.options for guard in guards)


def _contains(names: AbstractSet[str], *templates: str) -> bool:
    return any(name in names for template in templates for name in names_in(template))


def _steps(auth: OAuth2Auth) -> Iterator[tuple[str, frozenset[str], tuple[str, ...]]]:
    """Yield the name, the known values and the templates of each step of the OAuth flow, in order."""
    # The authorization request passes through the end user's browser, so no template of this step may use a secret.
    known = frozenset(param.name for param in auth.params) | {"client_id"}
    known |= {field.name for field in auth.client.fields if not field.secret}
    scopes = [*auth.scopes.templates(), *(auth.more_scopes.templates() if auth.more_scopes is not None else ())]
    authorization = (auth.authorization.url, auth.authorization.issuer or "", *auth.authorization.params.values())
    yield "authorization", known, (*authorization, *scopes)
    known |= _names_received(auth, "callback") | {field.name for field in auth.client.fields}
    yield "token", known, tuple(auth.token.templates())
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
