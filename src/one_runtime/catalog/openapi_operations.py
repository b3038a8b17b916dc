"""Compile the operations of an OpenAPI document (3.x, or Swagger 2.0).

A document is untrusted. Its texts can contain invisible characters, or instructions to a language model. So the
compiler cleans and shortens every text, and limits the number and the size of the operations.
"""

import keyword
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final
from urllib.parse import quote, urlsplit

from pydantic import ValidationError

from one_runtime.catalog.openapi_arguments import ArgumentSource, SchemaReader, TooComplex, mapping, type_of, unique
from one_runtime.catalog.openapi_words import plain_text
from one_runtime.catalog.operation import (
    MAX_ARGUMENTS,
    MAX_NAME,
    MAX_PATH,
    MAX_TEXT,
    OPERATION_NAME,
    PLACEHOLDER,
    READ_METHODS,
    Access,
    Argument,
    BodyFormat,
    Location,
    Method,
    Operation,
    Style,
    is_free_header,
)
from one_runtime.catalog.templates import is_https

MAX_OPERATIONS: Final = 2_000
MAX_BYTES: Final = 2 * 1024 * 1024
"""Maximum size of the operations of a document, in characters of JSON."""

# The compiler reads at most this number of schemas and parameters in an empty document, and one more for each 20
# characters. Real documents need at most one for 95 characters. A hostile document can describe a tree of any size.
_LEAST_BUDGET: Final = 2_000
_CHARACTERS_OF_ONE: Final = 20

_METHODS: Final[Mapping[str, Method]] = {
    "get": "GET", "head": "HEAD", "post": "POST", "put": "PUT", "patch": "PATCH", "delete": "DELETE",
}  # fmt: skip
_READING: Final = frozenset({"search", "list", "lookup", "preview", "validate"})
_WORD: Final = re.compile(r"[a-z0-9]+")
_WRITING: Final = frozenset(
    _WORD.findall(
        "add append apply archive assign book cancel clear close copy create delete disable edit enable execute "
        "generate import insert invite merge modify move new pay publish put register remove replace reset run save "
        "send set share start stop store submit subscribe sync trigger update upload write"
    )
)
_FORM: Final = "application/x-www-form-urlencoded"
_MAX_SCOPES: Final = 20
_MAX_LISTED: Final = 12
_MAX_KEYS: Final = 50
_STYLES: Final[Mapping[str, Style]] = {
    "spaceDelimited": "space",
    "pipeDelimited": "pipe",
    "deepObject": "brackets",
    "csv": "comma",
    "ssv": "space",
    "pipes": "pipe",
    "multi": "repeat",
}
_HUMP: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_TOKEN: Final = re.compile(r"[!-~]{1,200}")
_URL: Final = re.compile(r"[!-~]{1,500}")
_SAFE: Final = "/:@!$&'()*+,;=~%[]"


@dataclass(frozen=True, slots=True)
class CompiledOperations:
    """The operations of a document, in its order. `skipped`: the number of operations left out, by the reason."""

    operations: tuple[Operation, ...]
    skipped: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class ApiAddress:
    """The address of an API: the URL to which the paths of the document belong, and the base URL of the integration.

    Operations have paths below `base_url`, because requests to an integration begin with this URL.
    """

    server_url: str
    base_url: str

    def relative(self, path: str, override: str | None) -> str | None:
        """Return a path of the document relative to the base URL, or None if the path is not below the base URL.

        `override`: the URL of another server, which the document names for this path, or None.
        """
        server = urlsplit(self.server_url)
        prefix = server.path
        if override is not None:
            other = urlsplit(override)
            if other.netloc and other.netloc != server.netloc:
                return None
            prefix = other.path
        whole, below = f"{prefix.rstrip('/')}/{path.lstrip('/')}", urlsplit(self.base_url).path.rstrip("/")
        return whole.removeprefix(below) if whole.startswith(f"{below}/") else None


def compile_operations(
    document: Mapping[str, Any],
    slug: str,
    address: ApiAddress,
    size: int,
    *,
    most: int = MAX_OPERATIONS,
    max_bytes: int = MAX_BYTES,
) -> CompiledOperations:
    """Return the operations of a document. Leave out each operation that One Runtime cannot call.

    `size`: the number of characters of the document. `most` and `max_bytes` limit the result.
    """
    compiler = _Compiler(document, slug, address, _LEAST_BUDGET + size // _CHARACTERS_OF_ONE)
    operations: list[Operation] = []
    skipped: Counter[str] = Counter()
    compiled_size = 0
    for place in compiler.places():
        if len(operations) >= most or compiled_size >= max_bytes:
            skipped["the document has too many operations"] += 1
            continue
        try:
            operation = compiler.operation(place)
        except _Unsupported as error:
            skipped[str(error)] += 1
        except TooComplex:
            skipped["the document has too many schemas"] += 1
        except (ValidationError, ValueError):
            skipped["the path or an argument is not valid"] += 1
        else:
            compiled_size += len(operation.model_dump_json(exclude_defaults=True))
            operations.append(operation)
    return CompiledOperations(tuple(operations), dict(skipped))


class _Unsupported(Exception):
    """One Runtime cannot call the operation. The message is the reason."""


@dataclass(frozen=True, slots=True)
class _PathOperation:
    """An operation in a document: the path, the method in lower case, the path item, and the operation itself."""

    path: str
    method: str
    item: Mapping[str, Any]
    definition: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Body:
    arguments: tuple[Argument, ...] = ()
    format: BodyFormat = "json"
    is_whole: bool = False


class _Compiler:
    def __init__(self, document: Mapping[str, Any], slug: str, address: ApiAddress, budget: int) -> None:
        self._document, self._slug, self._address = document, slug, address
        self._schemas = SchemaReader(document, budget)
        self._names: set[str] = set()

    def places(self) -> Iterator[_PathOperation]:
        """Yield the operations of the document."""
        for path, value in mapping(self._document.get("paths")).items():
            item = mapping(value) if self._schemas.is_exhausted else self._schemas.resolve(value)
            for method in _METHODS:
                if isinstance(item.get(method), Mapping):
                    yield _PathOperation(str(path), method, item, item[method])

    def operation(self, place: _PathOperation) -> Operation:
        """Raises: _Unsupported; TooComplex; ValueError; ValidationError."""
        definition, method = place.definition, _METHODS[place.method]
        path = self._address.relative(place.path, _server_url(definition) or _server_url(place.item))
        if path is None or len(path) > MAX_PATH:
            raise _Unsupported("the path is not below the base URL of the integration")
        if "#" in path or "?" in path:
            raise _Unsupported("the path contains a query or a fragment")
        path = _encoded(path)
        parameters = self._parameters(place)
        used: set[str] = set()
        arguments = [
            *self._path_arguments(path, parameters, used),
            *self._other_arguments("query", parameters, used),
            *self._other_arguments("header", parameters, used),
        ]
        body = _Body() if method in READ_METHODS else self._body(definition, parameters, used)
        name = unique(_name(definition.get("operationId"), place.method, path), self._names)
        summary = plain_text(definition.get("summary"), MAX_TEXT) or plain_text(definition.get("description"), MAX_TEXT)
        operation = Operation(
            integration_slug=self._slug,
            name=name,
            method=method,
            path=path,
            access=_access(definition, method, path, f"{name} {summary}"),
            summary=summary or f"{method} {path}"[:MAX_TEXT],
            parameters=tuple(arguments[:MAX_ARGUMENTS]),
            body=body.arguments,
            body_format=body.format,
            whole_body=body.is_whole,
            returns=self._returns(definition),
            scopes=self._scopes(definition),
            documentation=_link(definition),
            deprecated=definition.get("deprecated") is True,
        )
        self._names.add(name)
        return operation

    def _parameters(self, place: _PathOperation) -> list[Mapping[str, Any]]:
        """Return the parameters of an operation. These replace equal parameters of the path item."""
        by_key = {}
        for source in (place.item, place.definition):
            listed = source.get("parameters")
            for value in listed if isinstance(listed, list) else []:
                parameter = self._schemas.resolve(value)
                by_key[str(parameter.get("in")), str(parameter.get("name"))] = parameter
        return list(by_key.values())

    def _path_arguments(self, path: str, parameters: list[Mapping[str, Any]], used: set[str]) -> Iterator[Argument]:
        declared = {str(parameter.get("name")): parameter for parameter in parameters if parameter.get("in") == "path"}
        for name in dict.fromkeys(PLACEHOLDER.findall(path)):
            yield self._argument(name, "path", declared.get(name, {}), used, required=True)

    def _other_arguments(
        self, location: Location, parameters: list[Mapping[str, Any]], used: set[str]
    ) -> Iterator[Argument]:
        """Yield the arguments in the query or the headers, the required ones first."""
        for parameter in sorted(parameters, key=lambda parameter: parameter.get("required") is not True):
            name = parameter.get("name")
            if parameter.get("in") != location or not isinstance(name, str) or not name:
                continue
            if location == "query" or is_free_header(name):
                yield self._argument(name, location, parameter, used, required=parameter.get("required") is True)

    def _argument(
        self, name: str, location: Location, parameter: Mapping[str, Any], used: set[str], *, required: bool
    ) -> Argument:
        contents = list(mapping(parameter.get("content")).values())
        schema = parameter.get("schema") or (mapping(contents[0]).get("schema") if contents else parameter)
        style = _style(parameter, is_swagger="swagger" in self._document)
        source = ArgumentSource(name, location, schema, required, parameter.get("description"), style)
        return self._schemas.argument(source, used)

    def _body(self, definition: Mapping[str, Any], parameters: list[Mapping[str, Any]], used: set[str]) -> _Body:
        """Raises: _Unsupported; TooComplex; ValidationError."""
        if "swagger" in self._document:
            return self._swagger_body(parameters, used)
        request_body = self._schemas.resolve(definition.get("requestBody"))
        contents = {
            str(kind).partition(";")[0].strip().lower(): value
            for kind, value in islice(mapping(request_body.get("content")).items(), _MAX_KEYS)
        }
        json_kind = next((kind for kind in contents if kind == "*/*" or kind.endswith(("/json", "+json"))), None)
        is_required = request_body.get("required") is True
        if json_kind is not None:
            return self._json_body(mapping(contents[json_kind]).get("schema"), used, is_required=is_required)
        if _FORM in contents:
            media = mapping(contents[_FORM])
            encodings = islice(mapping(media.get("encoding")).items(), MAX_ARGUMENTS)
            styles = {str(name): _style(mapping(value), is_swagger=False) for name, value in encodings}
            fields = self._schemas.fields(self._schemas.schema(media.get("schema")), used, MAX_ARGUMENTS, styles)
            return _Body(tuple(fields), "form")
        if contents and is_required:
            raise _Unsupported("the body is neither JSON nor a form")
        return _Body()

    def _json_body(self, schema: object, used: set[str], *, is_required: bool) -> _Body:
        read = self._schemas.schema(schema)
        if type_of(read) == "object" and mapping(read.get("properties")):
            return _Body(tuple(self._schemas.fields(read, used)))
        source = ArgumentSource("body", "body", schema, is_required)
        return _Body((self._schemas.argument(source, used),), is_whole=True)

    def _swagger_body(self, parameters: list[Mapping[str, Any]], used: set[str]) -> _Body:
        """Return the body of an operation of Swagger 2.0. Raises: the same errors as `_body`."""
        for parameter in parameters:
            if parameter.get("in") == "body":
                return self._json_body(parameter.get("schema"), used, is_required=parameter.get("required") is True)
        fields = [parameter for parameter in parameters if parameter.get("in") == "formData"]
        if any(field.get("type") == "file" and field.get("required") is True for field in fields):
            raise _Unsupported("the body is neither JSON nor a form")
        arguments = (
            self._argument(str(field.get("name")), "body", field, used, required=field.get("required") is True)
            for field in fields
            if field.get("type") != "file"
        )
        return _Body(tuple(arguments)[:MAX_ARGUMENTS], "form")

    def _returns(self, definition: Mapping[str, Any]) -> str:
        """Describe the successful response by the members of its body, or by its description."""
        responses = mapping(definition.get("responses"))
        status = next((key for key in islice(responses, _MAX_KEYS) if str(key).startswith("2")), None)
        response = self._schemas.resolve(responses.get(status))
        contents = islice(mapping(response.get("content")).items(), _MAX_KEYS)
        schema = next((mapping(value).get("schema") for kind, value in contents if "json" in str(kind)), None)
        schema = schema or response.get("schema")
        if schema is None:
            return plain_text(response.get("description"), MAX_TEXT)
        read = self._schemas.schema(schema)
        is_list = type_of(read) == "array"
        inner = self._schemas.schema(read.get("items")) if is_list else read
        listed = islice(map(str, mapping(inner.get("properties"))), _MAX_LISTED)
        names = [name for name in listed if _TOKEN.fullmatch(name)]
        start = "A list of objects" if is_list else "An object"
        if not names:
            return plain_text(response.get("description"), MAX_TEXT)
        text = f"{start} with {', '.join(names)}."
        while len(text) > MAX_TEXT:
            text = f"{text.rpartition(',')[0]}."
        return text

    def _scopes(self, definition: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the scopes of the first security requirement."""
        requirements = definition.get("security", self._document.get("security"))
        first = mapping(requirements[0]) if isinstance(requirements, list) and requirements else {}
        scopes = (str(scope) for listed in first.values() if isinstance(listed, list) for scope in listed)
        return tuple(scope for scope in islice(scopes, _MAX_SCOPES) if _TOKEN.fullmatch(scope))


def _server_url(part: Mapping[str, Any]) -> str | None:
    """Return the URL of the server that a path item or an operation names, or None."""
    servers = part.get("servers")
    url = mapping(servers[0]).get("url") if isinstance(servers, list) and servers else None
    return url if isinstance(url, str) else None


def _encoded(path: str) -> str:
    """Percent-encode characters that a URL cannot contain, except in placeholders."""
    return re.sub(
        r"\{[^{}]*\}|[^{}]+", lambda match: match[0] if match[0][0] == "{" else quote(match[0], safe=_SAFE), path
    )


def _style(parameter: Mapping[str, Any], *, is_swagger: bool) -> Style:
    style = str(parameter.get("collectionFormat", "csv") if is_swagger else parameter.get("style", "form"))
    if style in _STYLES:
        return _STYLES[style]
    return "comma" if parameter.get("explode") is False else "repeat"


def _name(operation_id: object, method: str, path: str) -> str:
    """Return the operation id in snake case, or a name from the method and the last two words of the path."""
    if isinstance(operation_id, str) and len(operation_id) <= 100:
        name = _snake(operation_id)
        if re.fullmatch(OPERATION_NAME, name) and not keyword.iskeyword(name):
            return name
    words = [word for segment in path.split("/") if "{" not in segment for word in [_snake(segment)] if word]
    return "_".join((method, *words[-2:]))[:MAX_NAME].rstrip("_")


def _snake(text: str) -> str:
    return "_".join(_WORD.findall(_HUMP.sub("_", text).lower()))


def _access(definition: Mapping[str, Any], method: str, path: str, text: str) -> Access:
    """Return `write`, unless the method reads, the document says so, or the path and the words of a POST say so.

    A path such as `/query` says nothing, because the body of such a request can be a statement that writes.
    """
    if method in READ_METHODS or (method == "POST" and definition.get("x-one-runtime-access") == "read"):
        return "read"
    last = re.split(r"[/.:]", path)[-1].lower()
    says_read = method == "POST" and last in _READING and _WRITING.isdisjoint(_snake(text).split("_"))
    return "read" if says_read and definition.get("x-one-runtime-access") is None else "write"


def _link(definition: Mapping[str, Any]) -> str:
    url = mapping(definition.get("externalDocs")).get("url")
    return url if isinstance(url, str) and _URL.fullmatch(url) and is_https(url) else ""
