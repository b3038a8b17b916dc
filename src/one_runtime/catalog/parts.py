"""Define the parts of a catalog entry (the description of one integration), such as fields and requests.

With the pydantic context `{"trusted": True}`, the models check only field types (see `catalog/model.py`).
"""

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    StringConstraints,
    ValidationInfo,
    model_validator,
)
from pydantic.fields import FieldInfo

from one_runtime.catalog.patterns import captured_part, check_pattern, compiled
from one_runtime.catalog.templates import CONTROL, check_link, names_in, split_url
from one_runtime.validation.descriptions import Place

Transform = Literal["lower", "upper", "underscore_to_hyphen"]
VerifiedHow = Literal["documentation", "fixture", "live", "unverified"]


def trusted(info: ValidationInfo) -> bool:
    """Return True if One Runtime has already validated the entry completely."""
    return bool(info.context and info.context.get("trusted"))


def _allow_http(info: ValidationInfo) -> bool:
    return bool(info.context and info.context.get("allow_http"))


def _validate_link(value: str, info: ValidationInfo) -> str:
    return value if trusted(info) else check_link(value, allow_http=_allow_http(info))


def _validate_pattern(value: str, info: ValidationInfo) -> str:
    return value if trusted(info) else check_pattern(value)


def _validate_template(value: str, info: ValidationInfo) -> str:
    if not trusted(info):
        names_in(value)
    return value


def _validate_url(value: str, info: ValidationInfo) -> str:
    if not trusted(info):
        split_url(value, allow_http=_allow_http(info))
    return value


def _texts_in(value: object) -> Iterator[str]:
    """Yield the texts of a field, and the keys of a mapping. Omit nested parts, which check their own texts."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from chain.from_iterable(map(_texts_in, chain(value, value.values())))
    elif isinstance(value, tuple):
        yield from chain.from_iterable(map(_texts_in, value))


def _wrap_single_path(value: object) -> object:
    return (value,) if isinstance(value, str) else value


Many: FieldInfo = Field(max_length=32)
"""Maximum length of a list or mapping in an entry. The limit saves memory, because every process loads the entry."""
NAME = r"^[a-z][a-z0-9_]{0,63}$"
Name = Annotated[str, StringConstraints(pattern=NAME)]
# Terminals and pages show these texts. A control character or a direction mark could change what the reader sees.
PRINTABLE = r"^[^\x00-\x1f\x7f\u200e\u200f\u202a-\u202e\u2066-\u2069]*$"
Text = Annotated[str, StringConstraints(min_length=1, max_length=300, strip_whitespace=True, pattern=PRINTABLE)]
MAX_LABEL = 60
Label = Annotated[str, StringConstraints(min_length=1, max_length=MAX_LABEL, pattern=PRINTABLE)]
Link = Annotated[str, StringConstraints(max_length=500), AfterValidator(_validate_link)]
Pattern = Annotated[str, AfterValidator(_validate_pattern)]
MAX_URL = 500
Template = Annotated[str, StringConstraints(max_length=500), AfterValidator(_validate_template)]
Url = Annotated[str, StringConstraints(max_length=MAX_URL), AfterValidator(_validate_url)]
PATH = r"^/[^?#\s\\]*$"
Path = Annotated[str, StringConstraints(pattern=PATH, max_length=500), AfterValidator(_validate_template)]
HEADER_NAME = r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,80}$"  # RFC 9110, 5.6.2
HeaderName = Annotated[str, StringConstraints(pattern=HEADER_NAME)]
HEADER_VALUE = r"^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$"
HeaderValue = Annotated[str, StringConstraints(pattern=HEADER_VALUE)]
PARAM_NAME = r"^[A-Za-z0-9_.\[\]-]{1,64}$"
ParamName = Annotated[str, StringConstraints(pattern=PARAM_NAME)]
# A path in a JSON document: names and list positions, joined by dots. A list position has one or two digits.
_STEP = r"(?:[0-9]{1,2}|[0-9]*[A-Za-z_$-][A-Za-z0-9_$-]*)"
JSON_PATH = rf"^{_STEP}(?:\.{_STEP})*$"
JsonPath = Annotated[str, StringConstraints(pattern=JSON_PATH, max_length=200)]
# The id or label of an account: a JSON path, or a text that contains `{json.path}` or `{params.name}`.
IdentityText = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class Inconsistency(ValueError):
    """A part of an entry breaks rules that field types cannot express. `messages`: one message for each rule."""

    def __init__(self, messages: tuple[str, ...]) -> None:
        super().__init__("; ".join(messages))
        self.messages = messages


class EntryPart(BaseModel):
    """Base class of the parts of an entry. A part is immutable and refuses unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False, defer_build=True)

    def __deepcopy__(self, _: dict[int, Any] | None = None) -> Self:
        """Return the part itself instead of a copy, because parts are immutable.

        Pydantic copies the default value of each field. Real copies would slow down the loading of the catalog.
        """
        return self

    @model_validator(mode="after")
    def _validate_new(self, info: ValidationInfo) -> Self:
        messages = () if trusted(info) else tuple(self.inconsistencies())
        if messages:
            raise Inconsistency(messages)
        return self

    def inconsistencies(self) -> Iterator[str]:
        """Yield a message for each rule that this part breaks, and that field types cannot express.

        The types of all fields are valid. Nested parts check their own rules.
        """
        yield from self._control_characters()
        yield from self._inconsistencies()

    def parts(self) -> Iterator[tuple[Place, "EntryPart"]]:
        """Yield this part and each part inside, with its place in this part."""
        yield (), self
        for name, field in type(self).model_fields.items():
            value = getattr(self, name)
            children = enumerate(value) if isinstance(value, tuple) else [(None, value)]
            for index, child in children:
                if isinstance(child, EntryPart):
                    place = (field.alias or name,) if index is None else (field.alias or name, index)
                    yield from (((*place, *inner), part) for inner, part in child.parts())

    def _control_characters(self) -> Iterator[str]:
        """A JSON body is exempt, because JSON escapes control characters."""
        for name, field in type(self).model_fields.items():
            texts = _texts_in(getattr(self, name)) if field.annotation != JsonValue else ()
            if any(CONTROL.search(text) for text in texts):
                yield f"{field.alias or name} must not contain control characters"

    def _inconsistencies(self) -> Iterator[str]:
        """Yield a message for each broken rule of this class. A subclass with rules overrides this method."""
        yield from ()


@dataclass(frozen=True, slots=True)
class HostGuard:
    """The rule that prevents a value from changing the domain of a URL (promise P7 of docs/security.md).

    `pattern`: the pattern of the value, or an empty text. `options`: the allowed values, or an empty tuple.
    `may_end_host`: True if a host may end in the value, because customers run the product on their own hosts.
    """

    pattern: str
    options: tuple[str, ...] = ()
    may_end_host: bool = False


class ParamOption(EntryPart):
    """An option of a parameter."""

    value: Annotated[str, StringConstraints(min_length=1, max_length=255)]
    label: Label


class Param(EntryPart):
    """A value that the end user enters and that is not secret, such as a subdomain or a region."""

    name: Name
    label: Label
    help: Text | None = None
    placeholder: Annotated[str, StringConstraints(max_length=100)] | None = None
    default: str | None = None
    pattern: Pattern | None = None
    options: Annotated[tuple[ParamOption, ...], Field(max_length=200)] = ()
    suffix: Annotated[str, StringConstraints(pattern=r"^[a-z0-9./:-]{1,60}$")] | None = None
    transform: tuple[Transform, ...] = ()

    def _inconsistencies(self) -> Iterator[str]:
        if self.pattern is None and not self.options:
            yield f"{self.name}: a pattern or options are required"
        values = [option.value for option in self.options]
        if len(set(values)) != len(values):
            yield f"{self.name}: each option must be listed once"
        for value in [*values, *([self.default] if self.default is not None else [])]:
            if self.pattern is not None and not compiled(self.pattern).fullmatch(value):
                yield f"{self.name}: {value!r} must match the pattern"
        if self.options and self.default is not None and self.default not in values:
            yield f"{self.name}: the default must be one of the options"

    @property
    def markdown(self) -> str:
        """Return the description of the value in Markdown, as an item of a list."""
        choice = f" One of {', '.join(option.label for option in self.options)}." if self.options else ""
        example = f" Such as `{self.placeholder}{self.suffix or ''}`." if self.placeholder else ""
        return f"- **{self.label}** (`params.{self.name}`).{_sentence(self.help)}{choice}{example}"


class CredentialField(EntryPart):
    """A value that belongs to a credential or to an OAuth client."""

    name: Name
    label: Label
    help: Text | None = None
    where: Text
    where_url: Link | None = None
    placeholder: Annotated[str, StringConstraints(max_length=100)] | None = None
    pattern: Pattern | None = None
    secret: bool = True
    optional: bool = False

    @staticmethod
    def draft(name: str, *, secret: bool = True) -> dict[str, object]:
        """Return a first version of a field, for `one-runtime catalog new`."""
        label = name.replace("_", " ").capitalize()
        where = f"The {label.lower()} of the account."
        draft: dict[str, object] = {"name": name, "label": label, "where": where, "pattern": "[!-~]{1,255}"}
        return draft if secret else {**draft, "secret": False}

    @property
    def markdown(self) -> str:
        """Return the description of the value in Markdown, as an item of a list."""
        optional = " This value is optional." if self.optional else ""
        explanation = f"{_sentence(self.help)} {self.where}{see(self.where_url)}"
        return f"- **{self.label}** (`{self.name}`).{explanation}{optional}"


class DerivedValue(EntryPart):
    """A value that One Runtime extracts from a field, such as the data centre at the end of a Mailchimp key."""

    name: Name
    field: Name
    pattern: Pattern

    def _inconsistencies(self) -> Iterator[str]:
        try:
            captured_part(self.pattern)
        except ValueError as error:
            yield str(error)


class HttpBasic(EntryPart):
    """HTTP Basic (RFC 7617)."""

    username: Template
    password: Template


class CredentialPlacement(EntryPart):
    """The places of the credential in each request: headers, query parameters, or HTTP Basic."""

    headers: Annotated[dict[HeaderName, Template], Many] = Field(default_factory=dict)
    query: Annotated[dict[str, Template], Many] = Field(default_factory=dict)
    basic: HttpBasic | None = None

    def _inconsistencies(self) -> Iterator[str]:
        if self.basic and any(name.lower() == "authorization" for name in self.headers):
            yield "use either basic or an Authorization header"

    def templates(self) -> Iterator[str]:
        """Yield every template."""
        yield from self.headers.values()
        yield from self.query.values()
        if self.basic is not None:
            yield from (self.basic.username, self.basic.password)


class JsonCondition(EntryPart):
    """A condition on a JSON body. An entry sets exactly one of `equals`, `one_of`, `contains`, `exists` and `type`.

    `equals: null` requires a null at the path. `exists: true` requires a value other than null. `exists: false`
    requires a null or no value. The path `$` is the whole body.
    """

    path: JsonPath
    equals: str | int | bool | None = None
    one_of: Annotated[tuple[str | int | bool, ...], Many] | None = None
    contains: Annotated[str, StringConstraints(min_length=3, max_length=120)] | None = None
    exists: bool | None = None
    type: Literal["list", "object"] | None = None

    def _inconsistencies(self) -> Iterator[str]:
        if len(self.model_fields_set - {"path"}) != 1:
            yield "exactly one of equals, one_of, contains, exists and type is required"


Status = Annotated[int, Field(ge=200, le=499)]


BUSY: Final = frozenset({408, 425, 429})
"""The statuses 4xx of a busy provider."""
ErrorCode = Annotated[
    str, StringConstraints(pattern=r"^[\x20-\x21\x23-\x5b\x5d-\x7e]+$", max_length=100)
]  # RFC 6749, 5.2


class ExpectedResponse(EntryPart):
    """The response that means success. The status is in `status`, and the body meets every condition in `json`."""

    status: Annotated[tuple[Status, ...], Many] = (200,)
    json_body: Annotated[tuple[JsonCondition, ...], Many] = Field(default=(), alias="json")


class RefusalResponse(EntryPart):
    """The response that means a refusal. The status is in `status`, or the body meets a condition in `json`."""

    status: Annotated[tuple[Status, ...], Many] = (401,)
    json_body: Annotated[tuple[JsonCondition, ...], Many] = Field(default=(), alias="json")


class PermissionResponse(EntryPart):
    """The response to a valid credential that lacks a permission, in the same form as a refusal.

    The default is 403, because RFC 6750 section 3.1 uses 403 for a valid token without the required scope.
    `permission`: the provider's name of the permission that the check needs.
    """

    status: Annotated[tuple[Status, ...], Many] = (403,)
    json_body: Annotated[tuple[JsonCondition, ...], Many] = Field(default=(), alias="json")
    permission: Annotated[str, StringConstraints(min_length=1, max_length=120, pattern=PRINTABLE)] | None = None


class TokenRefusal(EntryPart):
    """The responses that a token endpoint sends in place of `invalid_grant` (RFC 6749, 5.2).

    `codes`: error codes. `status`: HTTP statuses of responses without an error code. An entry can write only the list
    of codes.
    """

    codes: Annotated[tuple[ErrorCode, ...], Many] = ()
    status: Annotated[tuple[Status, ...], Many] = ()

    @model_validator(mode="before")
    @classmethod
    def _wrap_codes(cls, value: object) -> object:
        return {"codes": value} if isinstance(value, list | tuple) else value

    def _inconsistencies(self) -> Iterator[str]:
        for status in self.status:
            if status < 400 or status in BUSY:
                yield f"status: {status} must be a 4xx, but not 408, 425 or 429, which can mean an outage"


class RequestTemplate(EntryPart):
    """A request to the provider, such as the check (the request that verifies a credential).

    In `url`, `path`, `headers`, `query` and `form`, One Runtime replaces each `{name}` by a value. One Runtime sends
    `json` unchanged.
    """

    method: Literal["GET", "POST"] = "GET"
    url: Url | None = None
    path: Path | None = None
    headers: Annotated[dict[HeaderName, Template], Many] = Field(default_factory=dict)
    query: Annotated[dict[str, Template], Many] = Field(default_factory=dict)
    json_body: JsonValue = Field(default=None, alias="json")
    form: Annotated[dict[str, Template], Many] | None = None
    expect: ExpectedResponse = ExpectedResponse.model_construct()
    refused: RefusalResponse = RefusalResponse.model_construct()
    permission_missing: PermissionResponse = PermissionResponse.model_construct()
    reason: Annotated[tuple[JsonPath, ...], BeforeValidator(_wrap_single_path), Many] = ()

    def _inconsistencies(self) -> Iterator[str]:
        if (self.url is None) == (self.path is None):
            yield "exactly one of url and path is required"
        if self.json_body is not None and self.form is not None:
            yield "use either json or form"
        if self.method == "GET" and (self.json_body is not None or self.form is not None):
            yield "a GET request cannot have a body"

    def placed_templates(self) -> Iterator[tuple[str, str]]:
        """Yield the place (such as `headers.Accept`) and the text of every template."""
        yield "path", self.url or self.path or ""
        for part, templates in (("headers", self.headers), ("query", self.query), ("form", self.form or {})):
            yield from ((f"{part}.{name}", template) for name, template in templates.items())

    def templates(self) -> Iterator[str]:
        """Yield every template."""
        yield from (template for _, template in self.placed_templates())


class AccountIdentity(EntryPart):
    """The account's id and label, as JSON paths in the response to the check, or as texts (see `IdentityText`)."""

    id: IdentityText
    label: IdentityText | None = None


class EntryVerification(EntryPart):
    """The evidence that the entry is correct.

    `documentation`: the author compared the entry with the provider's documentation. `fixture`: a test also compares
    the request of the check with a request in the documentation. `live`: the author tested the entry with the provider.
    `unverified`: there is no evidence. `sources`: the pages that the author compared the entry with.
    """

    how: VerifiedHow
    date: dt.date | None = None
    sources: Annotated[tuple[Link, ...], Many] = ()

    def _inconsistencies(self) -> Iterator[str]:
        if (self.date is None) != (self.how == "unverified"):
            yield "date: omit date with how: unverified, and add date with every other value of how"


def see(url: str | None) -> str:
    """Return a sentence with the link, in Markdown. Return an empty text without a URL."""
    return f" See <{url}>." if url else ""


def _sentence(text: str | None) -> str:
    return f" {text}" if text else ""
