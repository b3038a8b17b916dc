"""Define the parts and the rules that all auth types have. An auth type is a way in which an end user can connect.

A catalog entry describes one integration, and lists the auth types of the integration. `catalog/auth_types` contains
one class for each auth type. `catalog/model.py` explains when One Runtime validates an entry.
"""

import json
import re
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Annotated, ClassVar, Final, Self

from pydantic import Field, model_validator

from one_runtime.catalog import examples
from one_runtime.catalog.grants import TokenGrant
from one_runtime.catalog.oauth2 import ExpiringTokens, ScopeList, TokenEndpointSpec, TokenLifetimes
from one_runtime.catalog.parts import (
    AccountIdentity,
    CredentialField,
    CredentialPlacement,
    DerivedValue,
    EntryPart,
    EntryVerification,
    HeaderName,
    HeaderValue,
    HostGuard,
    Label,
    Many,
    Param,
    RequestTemplate,
    Text,
    Url,
)
from one_runtime.catalog.patterns import captured_part, check_host_pattern
from one_runtime.catalog.templates import UrlTemplate, is_authority, names_in, split_url

SELF_HOSTED: Final = "self_hosted"
"""The only item of `quirks` that has an effect. Customers run the product on their own hosts."""


class AuthBase(EntryPart):
    """The base of all auth types."""

    title: ClassVar[str]
    """The name of the auth type for developers and for the team of an organization."""
    default_label: ClassVar[str]
    """The name of the auth type for end users, if the entry sets no label."""
    imported_keys: ClassVar[str]
    """The keys of `credentials` in an import of a connection, in Markdown."""
    has_credential: ClassVar[bool] = True
    """False if One Runtime stores and sends no credential."""
    predefined: ClassVar[frozenset[str]] = frozenset()
    """Names that an entry does not have to declare, such as `access_token`. One Runtime sets the values."""
    verifies_by_connecting: ClassVar[bool] = False
    """True if the entry may omit `check`, the request that verifies a credential.

    The OAuth flow already verifies the credential. The auth type `none` has no credential to verify.
    """

    label: Label = ""
    params: Annotated[tuple[Param, ...], Many] = ()
    fields: Annotated[tuple[CredentialField, ...], Many] = ()
    derived: Annotated[tuple[DerivedValue, ...], Many] = ()
    base_url: Url
    more_base_urls: Annotated[tuple[Url, ...], Many] = ()
    allow_dot_segments: bool = False
    """True if the path of a proxy call may contain the segment `..`. Such a path can leave the base URL."""
    headers: Annotated[dict[HeaderName, HeaderValue], Many] = Field(default_factory=dict)
    send: CredentialPlacement = CredentialPlacement.model_construct()
    check: RequestTemplate | None = None
    check_missing: Text | None = None
    identity: AccountIdentity | None = None
    verified: EntryVerification
    quirks: Annotated[tuple[Text, ...], Many] = ()

    @model_validator(mode="before")
    @classmethod
    def _add_default_label(cls, data: object) -> object:
        if isinstance(data, Mapping) and "label" not in data:
            return {**data, "label": cls.default_label}
        return data

    def _inconsistencies(self) -> Iterator[str]:
        for quirk in self.quirks:
            if quirk != SELF_HOSTED and re.sub(r"[\W_]", "", quirk).lower() == "selfhosted":
                yield f"quirks: write {SELF_HOSTED} instead of {quirk!r}; only this spelling has an effect"
        yield from _check_names(self)
        yield from _check_hosts(self)
        yield from _check_verification(self)

    @property
    def token_auth(self) -> "TokenAuth | None":
        """Return this auth type if it has tokens. Return None for a credential without tokens, such as an API key."""
        return None

    @property
    def needs_registered_client(self) -> bool:
        """Return True if a connection needs a registered OAuth client of the organization or the operator."""
        return False

    @property
    def can_be_revoked(self) -> bool:
        """Return True if the provider revokes tokens on request (RFC 7009)."""
        return False

    @property
    def sends_client(self) -> bool:
        """Return True if requests to the API contain a value of the OAuth client, such as a developer token."""
        return False

    @classmethod
    def exposed_keys(cls) -> str:
        """Return the names of the credentials that `exposes` returns, in Markdown."""
        return cls.imported_keys

    @staticmethod
    def exposes(credentials: Mapping[str, str], /) -> dict[str, str]:
        """Return the credentials that an API caller needs to call the provider directly.

        Without tokens, these are all credentials: a caller sends them unchanged to the provider's API.
        """
        return dict(credentials)

    @classmethod
    @abstractmethod
    def draft(cls, api: str, /) -> dict[str, object]:
        """Return a first version of the keys that only this auth type has, for `one-runtime catalog new`.

        `api`: the address of the API.
        """

    def predefined_names(self) -> frozenset[str]:
        """Return the names that a template (a text with `{name}`) may use without a declaration in the entry."""
        return self.predefined

    def requests(self) -> dict[str, RequestTemplate]:
        """Return each request that the entry defines, by its name, such as `check`."""
        return {"check": self.check} if self.check is not None else {}

    def credential_urls(self) -> dict[str, tuple[UrlTemplate, ...]]:
        """Return the parts of every URL that receives a stored credential, by the purpose of the URL's host."""
        own = [request.url for request in self.requests().values() if request.url is not None]
        urls = [self.base_url, *self.more_base_urls, *own]
        return {"api": tuple(split_url(url, allow_http=True) for url in urls)}

    def urls(self) -> tuple[UrlTemplate, ...]:
        """Return the parts of every URL to which One Runtime can send a request or redirect the browser."""
        return tuple(url for urls in self.credential_urls().values() for url in urls)

    def audience(self) -> str:
        """Return the audience: a text that describes the places to which requests send the credential.

        For each purpose, the text lists the hosts that receive the credential. The text also lists the source of each
        variable in a host, and the places of the credential in each request. A place can be a path, such as the path of
        `base_url`. If the audience of an entry changes, One Runtime sends no stored credential to the new places.

        The audience omits the host of the consent page, because the consent page receives no stored credential.
        """
        by_purpose = self.credential_urls()
        urls = [url for urls in by_purpose.values() for url in urls]
        hosts = {
            purpose: sorted({f"{url.scheme}://{url.authority}" for url in of_purpose})
            for purpose, of_purpose in by_purpose.items()
        }
        names = sorted({name for url in urls for name in names_in(url.authority)})
        secrets = self.secret_names
        places = {
            f"{key}.{place}: {template}"
            for key, request in self.requests().items()
            for place, template in request.placed_templates()
            if secrets & set(names_in(template))
        }
        paths = (url for url in urls if secrets & set(names_in(url.path)))
        places |= {f"url: {url.scheme}://{url.authority}{url.path}" for url in paths}
        origins = [self.origin_of(name) for name in names]
        parts: list[object] = [hosts, origins, self.send.model_dump(mode="json"), sorted(places)]
        return json.dumps(parts, sort_keys=True)

    @property
    def secret_names(self) -> frozenset[str]:
        """Return the names of the values that are secret, or a part of a secret."""
        return frozenset(
            {"access_token", *(field.name for field in self.fields), *(part.name for part in self.derived)}
        )

    @property
    def has_secret_path(self) -> bool:
        """Return True if the path of the base URL contains a secret, such as a bot's token."""
        return not self.secret_names.isdisjoint(names_in(split_url(self.base_url, allow_http=True).path))

    def origin_of(self, name: str) -> list[str]:
        """Return the source of a variable: a parameter, or a part of a field (`derived`).

        The audience contains the source. A variable with the same name but a new source therefore changes the audience.
        """
        derived = next((part for part in self.derived if part.name == name), None)
        return [name, "param"] if derived is None else [name, "derived", derived.field, derived.pattern]

    def templates(self) -> Iterator[str]:
        """Yield every template of the entry."""
        yield from (self.base_url, *self.more_base_urls)
        yield from self.send.templates()
        for request in self.requests().values():
            yield from request.templates()

    @property
    def has_examples(self) -> bool:
        """Return False if the entry lacks an example of a value that the provider sends."""
        return True

    def example_received(self) -> dict[str, str]:
        """Return an example of each value that the provider sends. Raises: UnexpectedValue."""
        return {}

    def example_tokens(self) -> dict[str, str]:
        """Return an example of each token that the provider issues."""
        return {}

    def example_client_fields(self) -> dict[str, str]:
        """Return an example value of each field that a registered OAuth client has besides its id and its secret."""
        return {}

    def oauth_urls(self) -> tuple[str, ...]:
        """Return the templates of every URL to which only the OAuth flow sends requests."""
        return ()

    def lint_wording(self) -> Iterator[str]:
        """Yield an error for each text that `catalog/lint.py` cannot judge, because only this auth type has it."""
        yield from ()

    def lint_with_examples(self, _: Mapping[str, str], /) -> Iterator[str]:
        """Yield an error for each rule of this auth type that example values break. The argument has these values."""
        yield from ()

    def lint_warnings(self) -> Iterator[str]:
        """Yield a message for each valid part of this auth type that could be better or safer."""
        yield from ()

    def describe_registration(self, slug: str, owner: str | None, /) -> Iterator[str]:  # noqa: ARG002
        """Yield the lines of the sheet (`catalog/tools/sheet.py`) about the registration of an OAuth client.

        `owner`: the id of the organization, or a placeholder, for a custom integration.
        """
        yield from ()

    def describe_oauth(self) -> Iterator[str]:
        """Yield the lines of the sheet about the OAuth flow."""
        yield from ()

    def declared(self) -> tuple[str, ...]:
        """Return every name that the entry declares."""
        parts: tuple[Param | CredentialField | DerivedValue, ...] = (*self.params, *self.fields, *self.derived)
        return tuple(part.name for part in parts)

    def stored_names(self) -> frozenset[str]:
        """Return the names of the values that One Runtime stores with the connection.

        In `identity` (the account's id and label), the entry can refer to a stored value as `params.<name>`.
        """
        return frozenset(param.name for param in self.params)

    def defaults(self) -> dict[str, str]:
        """Return the default of each stored value that has one."""
        return {param.name: param.default for param in self.params if param.default is not None}

    def complete(self, params: Mapping[str, str]) -> dict[str, str]:
        """Return the stored values of a connection, with the default of each value that the connection lacks.

        A connection can be older than a parameter of the entry, such as a region that the provider opened later.
        """
        return {**self.defaults(), **params}

    def host_guard(self, name: str) -> HostGuard | None:
        """Return the rule that prevents a value from changing the domain of a URL.

        Return None if a host must not contain the value.
        """
        param = next((param for param in self.params if param.name == name), None)
        if param is not None:
            options = tuple(option.value for option in param.options)
            return HostGuard(param.pattern or "", options, may_end_host=SELF_HOSTED in self.quirks)
        derived = next((part for part in self.derived if part.name == name), None)
        return HostGuard(captured_part(derived.pattern)) if derived is not None else None

    def has_fixed_domain(self, url: UrlTemplate) -> bool:
        """Return True if no value can select another domain for this URL.

        Either the host has a fixed end, or the pattern of the host's last value requires a fixed end. An example is
        `https://{domain}.com` with the pattern `[a-z0-9-]+\\.(?:okta|oktapreview)`.
        """
        if url.has_fixed_end:
            return True
        guard = self.host_guard(names_in(url.authority)[-1])
        return (
            bool(url.host_end)
            and guard is not None
            and not guard.options
            and examples.requires_fixed_end(guard.pattern)
        )


class TokenAuth(AuthBase):
    """The base of the auth types with a token endpoint. The provider issues tokens, and the tokens can expire."""

    predefined: ClassVar[frozenset[str]] = frozenset({"access_token"})
    verifies_by_connecting: ClassVar[bool] = True

    token: TokenEndpointSpec
    scopes: ScopeList = ScopeList.model_construct()
    lifetimes: TokenLifetimes = TokenLifetimes.model_construct()
    send: CredentialPlacement = CredentialPlacement.model_construct(headers={"Authorization": "Bearer {access_token}"})

    @property
    def token_auth(self) -> Self:
        """Return this auth type, which has tokens."""
        return self

    @abstractmethod
    def first_grant(self, credentials: Mapping[str, str], /) -> TokenGrant | None:
        """Return the grant for the values that the end user entered.

        Return None if the end user authorizes the access on the provider's page.
        """

    @abstractmethod
    def refresh_grant(self, secrets: Mapping[str, str], scopes: tuple[str, ...], /) -> TokenGrant | None:
        """Return the grant for a refresh. Return None if One Runtime cannot refresh the tokens.

        `secrets`: the stored credentials. `scopes`: the granted scopes.
        """

    def refresh_due_at(self, secrets: Mapping[str, str], tokens: ExpiringTokens, now: datetime) -> datetime | None:
        """Return the time of the next refresh for tokens that were issued at `now`.

        Return None if no refresh is necessary. If One Runtime cannot refresh the tokens, return the time at which the
        tokens expire. The end user then has to connect again.
        """
        if self.refresh_grant(secrets, ()) is None:
            return tokens.expires_at
        return self.lifetimes.next_refresh_at(tokens, now)

    def client_values(self, _: str, __: Mapping[str, str], /) -> dict[str, str]:
        """Return the values of a registered OAuth client for use in templates: its id and its fields, without secret.

        Return no values if the end user enters the client, because the credentials then already contain its values.
        """
        return {}

    @classmethod
    def exposed_keys(cls) -> str:
        """Return the names of the credentials that `exposes` returns, in Markdown."""
        return "`access_token`"

    @staticmethod
    def exposes(credentials: Mapping[str, str], /) -> dict[str, str]:
        """Return the access token. Omit refresh tokens and client secrets, which only One Runtime needs."""
        return {"access_token": credentials["access_token"]}

    def secret_urls(self) -> tuple[UrlTemplate, ...]:
        """Return the parts of every URL that receives the client's secret."""
        return tuple(split_url(url, allow_http=True) for url in self.token.urls())

    def credential_urls(self) -> dict[str, tuple[UrlTemplate, ...]]:
        """Return the parts of every URL that receives a stored credential, by the purpose of the URL's host."""
        return {**super().credential_urls(), "tokens": self.secret_urls()}

    def example_tokens(self) -> dict[str, str]:
        """Return an example of each token that the provider issues."""
        return {"access_token": examples.ACCESS_TOKEN}

    def oauth_urls(self) -> tuple[str, ...]:
        """Return the templates of every URL to which only the OAuth flow sends requests."""
        return tuple(self.token.urls())

    def describe_oauth(self) -> Iterator[str]:
        """Yield the lines of the sheet about the OAuth flow."""
        yield f"- Token endpoint: `{self.token.url}`"

    @abstractmethod
    def probe_grant(self, fields: Mapping[str, str], code_verifier: str, /) -> TokenGrant:
        """Return a made-up grant, with which `doctor/catalog_probe.py` tests the token endpoint without an account.

        `fields`: made-up values of the fields. `code_verifier`: a new PKCE code verifier.
        """


def identity_names(text: str) -> tuple[str, ...]:
    """Return the names in a text of `identity`. A name is a JSON path or `params.<name>`.

    A text without braces consists of one name.
    """
    return tuple(re.findall(r"\{([^{}]*)\}", text)) if "{" in text else (text,)


def _check_names(auth: AuthBase) -> Iterator[str]:
    declared = auth.declared()
    if len(set(declared)) != len(declared):
        yield "must declare each name only once in params, fields, derived and received"
    predefined = auth.predefined_names()
    for name in sorted(predefined & set(declared)):
        yield f"{name} is predefined and must not be declared"
    used = {name for template in auth.templates() for name in names_in(template)}
    for name in sorted(used - set(declared) - predefined):
        yield f"{{{name}}} is used, so it must be declared in params, fields, derived or received"
    fields = {field.name for field in auth.fields}
    for derived in auth.derived:
        if derived.field not in fields:
            yield f"derived.{derived.name}.field: must be a name in fields, not {derived.field}"
        used.add(derived.field)
    identity_parts = {name for text in _identity_texts(auth) for name in identity_names(text)}
    # A parameter that the end user enters must occur in a template. For a value that the provider sends, `identity` is
    # enough.
    stored = {name.removeprefix("params.") for name in identity_parts if name.startswith("params.")}
    used |= stored - {param.name for param in auth.params}
    for name in sorted(set(declared) - used):
        yield f"{name} is declared but not used: use it in a template, or remove it"
    for name in sorted(identity_parts):
        yield from _check_identity_name(auth, name)


def _identity_texts(auth: AuthBase) -> tuple[str, ...]:
    return (auth.identity.id, auth.identity.label or auth.identity.id) if auth.identity is not None else ()


def _check_identity_name(auth: AuthBase, name: str) -> Iterator[str]:
    if name.startswith("params."):
        if name.removeprefix("params.") not in auth.stored_names():
            yield f"identity: {{{name}}} must be declared in params or received"
    elif not re.fullmatch(r"[A-Za-z0-9_$-]+(?:\.[A-Za-z0-9_$-]+)*", name):
        yield f"identity: {name!r} must be a JSON path, such as account.id"


def _check_hosts(auth: AuthBase) -> Iterator[str]:
    """Yield a message for each value that could send the credential to another server.

    This check is part of promise P7 of docs/security.md.
    """
    optional = {field.name for field in auth.fields if field.optional}
    for url in auth.urls():
        names = names_in(url.authority)
        fixed = auth.has_fixed_domain(url) or (not url.host_end and _has_options(auth, names[-1]))
        for name in names:
            yield from _check_host_value(auth, name, has_fixed_end=fixed)
        for name in names_in(url.path):
            if name in optional:
                yield f"{name}: a field in a URL must not be optional"


def _has_options(auth: AuthBase, name: str) -> bool:
    guard = auth.host_guard(name)
    return guard is not None and bool(guard.options)


def _check_host_value(auth: AuthBase, name: str, *, has_fixed_end: bool) -> Iterator[str]:
    if name not in {*auth.declared(), *auth.predefined_names()}:
        return  # `_check_names` reports the name
    guard = auth.host_guard(name)
    if guard is None:
        yield f"{name}: a credential field must not be part of a host"
        return
    if guard.options:
        for option in guard.options:
            if not is_authority(option):
                yield f"{name}: the option {option!r} must be valid in a host name"
        return
    if not has_fixed_end and not guard.may_end_host:
        yield (
            f"{name}: the host must end in a domain of the provider, such as {{{name}}}.example.com. For other "
            f"hosts, add options to the value, or add {SELF_HOSTED} to quirks."
        )
    try:
        check_host_pattern(guard.pattern)
    except ValueError as error:
        yield f"{name}: {error}"


def _check_verification(auth: AuthBase) -> Iterator[str]:
    if auth.check is not None and auth.check_missing is not None:
        yield "declare either check or check_missing, not both"
    if auth.check is None and auth.check_missing is None and not auth.verifies_by_connecting:
        yield "add a check, or add check_missing with the reason why there is no check"
    from_answer = any(not name.startswith("params.") for text in _identity_texts(auth) for name in identity_names(text))
    if from_answer and auth.check is None:
        yield "identity uses the response to the check, so add a check"
