"""The parts that a catalog entry is made of: parameters, fields, requests, conditions. Data only.

The context `{"trusted": True}` skips the checks that need more than the shape; see `catalog/model.py`.
"""

import datetime as dt
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    JsonValue,
    StringConstraints,
    ValidationInfo,
    model_validator,
)
from pydantic import Field as Setting
from pydantic.fields import FieldInfo

from one_runtime.catalog.patterns import captured_part, check_pattern, compiled
from one_runtime.catalog.templates import check_link, names_in, split_url

Transform = Literal["lower", "upper", "underscore_to_hyphen"]
VerifiedHow = Literal["documentation", "fixture", "live", "unverified"]


def trusted(info: ValidationInfo) -> bool:
    """Whether this entry has been checked before, when the catalog was compiled."""
    return bool(info.context and info.context.get("trusted"))


def _allow_http(info: ValidationInfo) -> bool:
    return bool(info.context and info.context.get("allow_http"))


def _link(value: str, info: ValidationInfo) -> str:
    return value if trusted(info) else check_link(value, allow_http=_allow_http(info))


def _pattern(value: str, info: ValidationInfo) -> str:
    return value if trusted(info) else check_pattern(value)


def _template(value: str, info: ValidationInfo) -> str:
    if not trusted(info):
        names_in(value)
        if re.search(r"[\x00-\x1f\x7f]", value):
            raise ValueError("must not contain control characters")
    return value


def _url(value: str, info: ValidationInfo) -> str:
    if not trusted(info):
        split_url(value, allow_http=_allow_http(info))
    return value


def _one_or_many(value: object) -> object:
    return (value,) if isinstance(value, str) else value


Many: FieldInfo = Setting(max_length=32)
"""As many as one entry needs of anything; every process reads it, and every list holds it."""
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
# Texts reach terminals and pages: no control characters, and none that turn the direction of reading.
_PRINTED = r"^[^\x00-\x1f\x7f\u200e\u200f\u202a-\u202e\u2066-\u2069]*$"
Text = Annotated[str, StringConstraints(min_length=1, max_length=300, strip_whitespace=True, pattern=_PRINTED)]
MAX_LABEL = 60
Label = Annotated[str, StringConstraints(min_length=1, max_length=MAX_LABEL, pattern=_PRINTED)]
Link = Annotated[str, StringConstraints(max_length=500), AfterValidator(_link)]
Pattern = Annotated[str, AfterValidator(_pattern)]
Template = Annotated[str, StringConstraints(max_length=500), AfterValidator(_template)]
Url = Annotated[str, StringConstraints(max_length=500), AfterValidator(_url)]
PATH = r"^/[^?#\s\\]*$"
Path = Annotated[str, StringConstraints(pattern=PATH, max_length=500), AfterValidator(_template)]
HeaderName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,80}$")]  # RFC 9110, 5.6.2
HeaderValue = Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$")]
# Where in a JSON document: names and list positions (of two digits at the most), joined by dots.
_STEP = r"(?:[0-9]{1,2}|[0-9]*[A-Za-z_$-][A-Za-z0-9_$-]*)"
JsonPath = Annotated[str, StringConstraints(pattern=rf"^{_STEP}(?:\.{_STEP})*$", max_length=200)]
# A JSON path, or text with `{json.path}` and `{params.name}` in it.
IdentityText = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class Strict(BaseModel):
    """A part of an entry: frozen, and every key is known."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)


@dataclass(frozen=True, slots=True)
class HostGuard:
    """What holds a value inside the host it is put into (P7): a choice, or a pattern. `may_end_host`: whether the host
    may end in this value, because customers run the product on hosts of their own."""

    pattern: str
    options: tuple[str, ...] = ()
    may_end_host: bool = False


class Option(Strict):
    """One choice of a parameter."""

    value: Annotated[str, StringConstraints(min_length=1, max_length=255)]
    label: Label


class Param(Strict):
    """Something not secret that the end user says: a subdomain, a region."""

    name: Name
    label: Label
    help: Text | None = None
    placeholder: Annotated[str, StringConstraints(max_length=100)] | None = None
    default: str | None = None
    pattern: Pattern | None = None
    options: Annotated[tuple[Option, ...], Setting(max_length=200)] = ()
    suffix: Annotated[str, StringConstraints(pattern=r"^[a-z0-9./:-]{1,60}$")] | None = None
    transform: tuple[Transform, ...] = ()

    @model_validator(mode="after")
    def _consistent(self, info: ValidationInfo) -> Self:
        if trusted(info):
            return self
        if self.pattern is None and not self.options:
            raise ValueError(f"{self.name}: a pattern or options are required")
        values = [option.value for option in self.options]
        if len(set(values)) != len(values):
            raise ValueError(f"{self.name}: each option must be listed once")
        for value in [*values, *([self.default] if self.default is not None else [])]:
            if self.pattern is not None and not compiled(self.pattern).fullmatch(value):
                raise ValueError(f"{self.name}: {value!r} must match the pattern")
        if self.options and self.default is not None and self.default not in values:
            raise ValueError(f"{self.name}: the default must be one of the options")
        return self


class Field(Strict):
    """A part of the credential."""

    name: Name
    label: Label
    help: Text | None = None
    where: Text
    where_url: Link | None = None
    placeholder: Annotated[str, StringConstraints(max_length=100)] | None = None
    pattern: Pattern | None = None
    secret: bool = True
    optional: bool = False


class Derived(Strict):
    """A value that stands inside a field: Mailchimp's keys end in their data centre."""

    name: Name
    field: Name
    pattern: Pattern

    @model_validator(mode="after")
    def _one_group(self, info: ValidationInfo) -> Self:
        if not trusted(info):
            captured_part(self.pattern)
        return self


class Basic(Strict):
    """HTTP Basic (RFC 7617)."""

    username: Template
    password: Template


class Send(Strict):
    """How a credential goes with each request."""

    headers: Annotated[dict[HeaderName, Template], Many] = {}
    query: Annotated[dict[str, Template], Many] = {}
    basic: Basic | None = None

    @model_validator(mode="after")
    def _one_authorization(self, info: ValidationInfo) -> Self:
        if not trusted(info) and self.basic and any(name.lower() == "authorization" for name in self.headers):
            raise ValueError("use either basic or an Authorization header")
        return self

    def templates(self) -> Iterator[str]:
        """Every template in here."""
        yield from self.headers.values()
        yield from self.query.values()
        if self.basic is not None:
            yield from (self.basic.username, self.basic.password)


class Condition(Strict):
    """One thing that must hold of a JSON body: exactly one of `equals`, `one_of`, `exists` and `type`.

    `equals: null` holds where the value is there and null; `exists` means there and not null. The path `$` is the body
    itself.
    """

    path: JsonPath
    equals: str | int | bool | None = None
    one_of: Annotated[tuple[str | int | bool, ...], Many] | None = None
    exists: bool | None = None
    type: Literal["list", "object"] | None = None

    @model_validator(mode="after")
    def _exactly_one(self, info: ValidationInfo) -> Self:
        if not trusted(info) and len(self.model_fields_set - {"path"}) != 1:
            raise ValueError("exactly one of equals, one_of, exists and type is required")
        return self


Status = Annotated[int, Setting(ge=200, le=499)]


class Expect(Strict):
    """What the answer of a working credential looks like: one of the statuses, and every condition."""

    status: Annotated[tuple[Status, ...], Many] = (200,)
    json_body: Annotated[tuple[Condition, ...], Many] = Setting(default=(), alias="json")


class Refused(Strict):
    """What a definite refusal looks like: one of the statuses, or any one condition."""

    status: Annotated[tuple[Status, ...], Many] = (401, 403)
    json_body: Annotated[tuple[Condition, ...], Many] = Setting(default=(), alias="json")


class Request(Strict):
    """A cheap request that tells whether a credential works. `json` is sent as it stands, without templates."""

    method: Literal["GET", "POST"] = "GET"
    url: Url | None = None
    path: Path | None = None
    headers: Annotated[dict[HeaderName, Template], Many] = {}
    query: Annotated[dict[str, Template], Many] = {}
    json_body: JsonValue = Setting(default=None, alias="json")
    form: Annotated[dict[str, Template], Many] | None = None
    expect: Expect = Expect()
    refused: Refused = Refused()
    reason: Annotated[tuple[JsonPath, ...], BeforeValidator(_one_or_many), Many] = ()

    @model_validator(mode="after")
    def _consistent(self, info: ValidationInfo) -> Self:
        if trusted(info):
            return self
        if (self.url is None) == (self.path is None):
            raise ValueError("exactly one of url and path is required")
        if self.json_body is not None and self.form is not None:
            raise ValueError("use either json or form")
        if self.method == "GET" and (self.json_body is not None or self.form is not None):
            raise ValueError("a GET request cannot have a body")
        return self

    def placed_templates(self, what: str) -> Iterator[tuple[str, str]]:
        """Every template in here, each with where it goes."""
        yield f"{what}.path", self.url or self.path or ""
        for part, templates in (("headers", self.headers), ("query", self.query), ("form", self.form or {})):
            yield from ((f"{what}.{part}.{name}", template) for name, template in templates.items())

    def templates(self) -> Iterator[str]:
        """Every template in here."""
        yield self.url or self.path or ""
        yield from self.headers.values()
        yield from self.query.values()
        yield from (self.form or {}).values()


class Identity(Strict):
    """Where in the check's answer the account's id and its name for people stand."""

    id: IdentityText
    label: IdentityText | None = None


class Verified(Strict):
    """How we know that this entry is right: `documentation` (read at the provider), `fixture` (read there, and compared
    to a request that is shown there), `live` (called), `unverified`."""

    how: VerifiedHow
    date: dt.date | None = None

    @model_validator(mode="after")
    def _dated(self, info: ValidationInfo) -> Self:
        if not trusted(info) and (self.date is None) != (self.how == "unverified"):
            raise ValueError("date is required unless how is unverified, and must be omitted if it is")
        return self
