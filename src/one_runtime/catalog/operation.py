"""Define operations: the requests of an integration's API that agents can call as functions.

An operation is data: a method, a path below the integration's base URL, and typed arguments. Operations of other
sources than One Runtime contain texts of providers, so agents must treat these texts as data.
"""

import keyword
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Annotated, Final, Literal, TypeAlias

from pydantic import Field, JsonValue, StringConstraints

from one_runtime.catalog.model import MAX_SLUG, SLUG
from one_runtime.catalog.parts import EntryPart

Method: TypeAlias = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
Access: TypeAlias = Literal["read", "write"]
ArgumentType: TypeAlias = Literal["string", "integer", "number", "boolean", "array", "object", "any"]
Location: TypeAlias = Literal["path", "query", "header", "body"]
BodyFormat: TypeAlias = Literal["json", "form"]
Style: TypeAlias = Literal["repeat", "comma", "space", "pipe", "brackets"]
Source: TypeAlias = Literal["builtin", "openapi"]

MAX_NAME: Final = 64
MAX_TEXT: Final = 200
MAX_PATH: Final = 1_000
MAX_ARGUMENTS: Final = 100
MAX_VALUES: Final = 50
"""Maximum number of values of an `enum`."""
OPERATION_NAME: Final = r"^[a-z][a-z0-9_]{1,63}$"
ARGUMENT_NAME: Final = r"^[A-Za-z_][A-Za-z0-9_]{0,63}$"
READ_METHODS: Final = frozenset({"GET", "HEAD"})
PLACEHOLDER: Final = re.compile(r"\{([^{}]*)\}")

_PATH: Final = r"^/[!-\"$->@-\[\]-~]*$"
"""Printable ASCII without `#`, `?` and the backslash."""
_HEADER_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
# One Runtime sets these headers itself, or a provider would read a different method or host from them.
_RESERVED_HEADER: Final = re.compile(
    r"(?:accept|accept-encoding|authorization|connection|content-.*|cookie|expect|forwarded|host|keep-alive"
    r"|one-runtime-.*|origin|proxy-.*|referer|te|trailer|transfer-encoding|upgrade|user-agent|via"
    r"|x-forwarded-.*|x-http-method|x-http-method-override|x-method-override|x-original-url|x-rewrite-url)"
)

Name: TypeAlias = Annotated[str, StringConstraints(pattern=OPERATION_NAME)]
Text: TypeAlias = Annotated[str, StringConstraints(max_length=MAX_TEXT)]


class Argument(EntryPart):
    """An argument of an operation.

    - `name`: a Python identifier. `wire_name`: the name in the request, if different.
    - `location`: the part of the request that contains the value.
    - `type`: a type of JSON. `any` allows every value of JSON.
    - `default`: the value that the provider assumes, or None. One Runtime sends the default only for a required
      argument.
    - `items`: the type of the items of an array. `style`: the form of an array in a query or a form.
    - `fields`: the known members of an object. An object can have further members.
    """

    name: Annotated[str, StringConstraints(pattern=ARGUMENT_NAME)]
    location: Location
    type: ArgumentType = "string"
    wire_name: Annotated[str, StringConstraints(max_length=MAX_TEXT)] = ""
    required: bool = False
    default: JsonValue = None
    enum: Annotated[tuple[JsonValue, ...], Field(max_length=MAX_VALUES)] = ()
    description: Text = ""
    items: ArgumentType | None = None
    style: Style = "repeat"
    fields: Annotated[tuple["Argument", ...], Field(max_length=MAX_ARGUMENTS)] = ()

    @property
    def sent_name(self) -> str:
        """Return the name of the argument in the request."""
        return self.wire_name or self.name

    def _inconsistencies(self) -> Iterator[str]:
        if keyword.iskeyword(self.name):
            yield f"name: must not be {self.name}, a keyword of Python; add the name of the API as `name`"
        if self.location == "path" and not self.required:
            yield "required: a parameter of the path is always required"
        if self.location == "header" and not is_free_header(self.sent_name):
            yield f"{self.sent_name} is a header that no argument may set"
        if self.items is not None and self.type != "array":
            yield "items: only an array has items"
        if self.fields and self.type != "object":
            yield "fields: only an object has fields"
        yield from _require_distinct(self.fields)


class Operation(EntryPart):
    """A callable request of an integration.

    - `name`: unique in the integration, and the name of a Python function. Shown as `hubspot.contacts_list`.
    - `source`: `builtin` for One Runtime's own data, `openapi` for a document.
    - `path`: relative to the integration's base URL. A placeholder such as `{id}` stands for a path parameter.
    - `parameters`: the arguments in the path, the query and the headers, path parameters first.
    - `body`: the arguments in the body. If `whole_body` is true, the only argument of `body` is the whole body.
    - `returns`: describes the response. `scopes`: the OAuth scopes that the request needs, as far as known.
    - `documentation`: a URL, or an empty text.
    """

    integration_slug: Annotated[str, StringConstraints(pattern=SLUG, max_length=MAX_SLUG)]
    name: Name
    source: Source = "openapi"
    method: Method
    path: Annotated[str, StringConstraints(pattern=_PATH, max_length=MAX_PATH)]
    access: Access
    summary: Text
    parameters: Annotated[tuple[Argument, ...], Field(max_length=MAX_ARGUMENTS)] = ()
    body: Annotated[tuple[Argument, ...], Field(max_length=MAX_ARGUMENTS)] = ()
    body_format: BodyFormat = "json"
    whole_body: bool = False
    returns: Text = ""
    scopes: tuple[Text, ...] = ()
    documentation: Annotated[str, StringConstraints(max_length=500)] = ""
    deprecated: bool = False

    @property
    def full_name(self) -> str:
        """Return the name with the slug, such as `hubspot.contacts_list`."""
        return f"{self.integration_slug}.{self.name}"

    @property
    def arguments(self) -> tuple[Argument, ...]:
        """Return all arguments, those of the body last."""
        return (*self.parameters, *self.body)

    def _inconsistencies(self) -> Iterator[str]:
        if keyword.iskeyword(self.name):
            yield f"name: must not be {self.name}, a keyword of Python"
        if self.method in READ_METHODS and (self.access != "read" or self.body):
            yield (f"access: must be read, and the operation must have no body, because the method is {self.method}")
        if self.whole_body and len(self.body) != 1:
            yield "body: needs exactly one argument, because whole_body is true"
        if any(argument.location != "body" for argument in self.body):
            yield "body: each argument must have the location body"
        if any(argument.location == "body" for argument in self.parameters):
            yield "parameters: must not have the location body"
        if any(segment in {".", ".."} for segment in self.path.split("/")):
            yield "path: must not contain the segments . and .."
        yield from _require_declared(self.path, self.parameters)
        yield from _require_distinct(self.arguments)


def is_free_header(name: str) -> bool:
    """Return True if an argument may set this header."""
    return _HEADER_NAME.fullmatch(name) is not None and _RESERVED_HEADER.fullmatch(name.lower()) is None


def _require_declared(path: str, parameters: Iterable[Argument]) -> Iterator[str]:
    """Yield a message unless each placeholder has exactly one parameter."""
    placeholders = PLACEHOLDER.findall(path)
    rest = PLACEHOLDER.sub("", path)
    if "{" in rest or "}" in rest:
        yield "path: must have braces only around the names of parameters"
    declared = [parameter.sent_name for parameter in parameters if parameter.location == "path"]
    if sorted(declared) != sorted(placeholders):
        names = ", ".join(declared) or "none"
        yield f"path: must have the path parameters as placeholders, which are: {names}"


def _require_distinct(arguments: Iterable[Argument]) -> Iterator[str]:
    """Yield a message for a name of several arguments."""
    name, count = next(iter(Counter(argument.name for argument in arguments).most_common(1)), ("", 0))
    if count > 1:
        yield f"{name} must be the name of only one argument"
