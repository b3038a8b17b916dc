"""The shape of a catalog entry, and what an entry may not say. Data only: nothing here is sent or stored.

An entry is checked in full when the catalog is built (or loaded from YAML). The precompiled file is read with the
context `{"trusted": True}`, which skips the checks that need more than the shape.
"""

import re
import uuid
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field as Setting
from pydantic import StringConstraints, ValidationInfo, model_validator

from one_runtime.catalog.parts import (
    Basic,
    Derived,
    Field,
    HeaderName,
    HeaderValue,
    Identity,
    Label,
    Link,
    Param,
    Request,
    Send,
    Strict,
    Text,
    Url,
    Verified,
    trusted,
)
from one_runtime.catalog.patterns import captured_part, check_host_pattern
from one_runtime.catalog.templates import UrlTemplate, is_authority, names_in, split_url

# The same on every installation, and for good: clients keep these ids.
ID_NAMESPACE = uuid.UUID("7eca3406-a90b-57e4-84d9-31773fc066b6")

Category = Literal[
    "CRM", "Support", "Marketing", "Productivity", "Communication", "Developer Tools", "Accounting", "Payments",
    "E-commerce", "HR", "Recruiting", "Storage", "Data", "Social", "Scheduling", "AI", "Project Management", "Design",
    "Security", "Industry", "Consumer",
]  # fmt: skip


class AuthBase(Strict):
    """What all auth types have in common."""

    default_label: ClassVar[str]

    label: Label = ""
    params: tuple[Param, ...] = ()
    fields: tuple[Field, ...] = ()
    derived: tuple[Derived, ...] = ()
    base_url: Url
    headers: dict[HeaderName, HeaderValue] = Setting(default={})
    send: Send = Send()
    check: Request | None = None
    check_missing: Text | None = None
    identity: Identity | None = None
    verified: Verified
    quirks: tuple[Text, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _labelled(cls, data: object) -> object:
        if isinstance(data, Mapping) and "label" not in data:
            return {**data, "label": cls.default_label}
        return data

    @model_validator(mode="after")
    def _consistent(self, info: ValidationInfo) -> Self:
        if not trusted(info):
            _check_names(self)
            _check_hosts(self)
            _check_checkable(self)
        return self

    def param(self, name: str) -> Param | None:
        """The parameter of that name."""
        return next((param for param in self.params if param.name == name), None)

    def field(self, name: str) -> Field | None:
        """The credential field of that name."""
        return next((field for field in self.fields if field.name == name), None)

    def urls(self) -> tuple[UrlTemplate, ...]:
        """Every URL that this entry may call, in its parts."""
        urls = [self.base_url] + ([self.check.url] if self.check is not None and self.check.url is not None else [])
        return tuple(split_url(url, allow_http=True) for url in urls)

    def templates(self) -> Iterator[str]:
        """Every template of the entry."""
        yield self.base_url
        yield from self.send.templates()
        if self.check is not None:
            yield from self.check.templates()


class ApiKeyAuth(AuthBase):
    """A key that the end user copies from the provider."""

    type: Literal["api_key"]
    default_label: ClassVar[str] = "API key"

    @model_validator(mode="after")
    def _has_fields(self) -> Self:
        if not self.fields:
            raise ValueError("fields: an api_key has at least one")
        return self


class BasicAuth(AuthBase):
    """A user name and a password, whatever the provider calls them."""

    type: Literal["basic"]
    default_label: ClassVar[str] = "Username and password"

    send: Send = Send(basic=Basic(username="{username}", password="{password}"))

    @model_validator(mode="after")
    def _has_both(self) -> Self:
        if [field.name for field in self.fields] != ["username", "password"]:
            raise ValueError("fields: basic has username and password, in this order")
        return self


class NoAuth(AuthBase):
    """Nothing to ask: a public API."""

    type: Literal["none"]
    default_label: ClassVar[str] = "No account needed"

    @model_validator(mode="after")
    def _has_no_fields(self) -> Self:
        if self.fields:
            raise ValueError("fields: none has no fields")
        return self


# oauth2 and client_credentials join here, each a class of its own.
Auth = Annotated[ApiKeyAuth | BasicAuth | NoAuth, Setting(discriminator="type")]


class Integration(Strict):
    """One third-party product that can be connected."""

    slug: Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(?:-[a-z0-9]+)*$", max_length=64)]
    name: Annotated[str, StringConstraints(min_length=1, max_length=60)]
    description: Annotated[str, StringConstraints(pattern=r"^[A-Z0-9][^\n]*\.$", max_length=89)]
    category: Category
    website: Link
    docs: Link
    auth: tuple[Auth, ...]

    @model_validator(mode="after")
    def _one_of_each(self, info: ValidationInfo) -> Self:
        if not self.auth:
            raise ValueError("auth: needs at least one auth type")
        if not trusted(info) and len(set(self.auth_types)) != len(self.auth):
            raise ValueError("auth: an auth type stands there twice")
        return self

    @property
    def id(self) -> str:
        """UUID version 5 of the slug, the same on every installation."""
        return str(uuid.uuid5(ID_NAMESPACE, self.slug))

    @property
    def auth_types(self) -> tuple[str, ...]:
        """The auth types that this integration has, in the entry's order."""
        return tuple(auth.type for auth in self.auth)

    def auth_of(self, auth_type: str) -> ApiKeyAuth | BasicAuth | NoAuth | None:
        """How to connect with that auth type, or None."""
        return next((auth for auth in self.auth if auth.type == auth_type), None)


def identity_names(text: str) -> tuple[str, ...]:
    """The JSON paths and `params.<name>` that an identity asks for."""
    return tuple(re.findall(r"\{([^{}]*)\}", text)) if "{" in text else (text,)


def _check_names(auth: AuthBase) -> None:
    declared = [
        *(param.name for param in auth.params),
        *(field.name for field in auth.fields),
        *(derived.name for derived in auth.derived),
    ]
    if len(set(declared)) != len(declared):
        raise ValueError("a name is declared twice among params, fields and derived")
    used = {name for template in auth.templates() for name in names_in(template)}
    for name in sorted(used - set(declared)):
        raise ValueError(f"{{{name}}} is used and not declared")
    fields = {field.name for field in auth.fields}
    for derived in auth.derived:
        if derived.field not in fields:
            raise ValueError(f"derived.{derived.name}: there is no field {derived.field}")
        used.add(derived.field)
    for name in sorted(set(declared) - used):
        raise ValueError(f"{name} is declared and never used")
    for text in [auth.identity.id, auth.identity.label or auth.identity.id] if auth.identity else []:
        for name in identity_names(text):
            _check_identity_name(auth, name)


def _check_identity_name(auth: AuthBase, name: str) -> None:
    if name.startswith("params."):
        if auth.param(name.removeprefix("params.")) is None:
            raise ValueError(f"identity: {{{name}}} is not declared")
    elif not re.fullmatch(r"[A-Za-z0-9_$-]+(?:\.[A-Za-z0-9_$-]+)*", name):
        raise ValueError(f"identity: {name!r} is no JSON path")


def _check_hosts(auth: AuthBase) -> None:
    """Nothing that the end user types may choose another server than the entry means (P7)."""
    for url in auth.urls():
        for name in names_in(url.authority):
            _check_host_value(auth, name, has_fixed_end=url.has_fixed_end)
        for name in names_in(url.path):
            field = auth.field(name)
            if field is not None and field.optional:
                raise ValueError(f"{name}: an optional field cannot be part of a URL")


def _check_host_value(auth: AuthBase, name: str, *, has_fixed_end: bool) -> None:
    param = auth.param(name)
    derived = next((part for part in auth.derived if part.name == name), None)
    if param is not None and param.options:
        for option in param.options:
            if not is_authority(option.value):
                raise ValueError(f"{name}: {option.value!r} is no part of a host")
        return
    if param is None and derived is None:
        raise ValueError(f"{name}: a credential field cannot be part of a host")
    if not has_fixed_end and "self_hosted" not in auth.quirks:
        raise ValueError(f"{name}: the host ends in a value; give options, or say self_hosted in quirks")
    pattern = param.pattern if param is not None else captured_part(derived.pattern) if derived is not None else None
    try:
        check_host_pattern(pattern or "")
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def _check_checkable(auth: AuthBase) -> None:
    is_none = isinstance(auth, NoAuth)
    if auth.check is not None and auth.check_missing is not None:
        raise ValueError("check and check_missing exclude each other")
    if auth.check is None and auth.check_missing is None and not is_none:
        raise ValueError("needs a check, or check_missing with the reason")
    if auth.identity is not None and auth.check is None:
        raise ValueError("identity is read from the check's answer, and there is no check")


def dump(integration: Integration) -> dict[str, Any]:
    """The entry as plain data, as it was written (so that an explicit null stays)."""
    return integration.model_dump(mode="json", by_alias=True, exclude_unset=True)
