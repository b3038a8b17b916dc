"""Convert the arguments of an operation into a request, or say which arguments are not valid."""

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain, islice
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from one_runtime.agents.requests import MAX_FORM, MAX_QUERY
from one_runtime.catalog.operation import PLACEHOLDER, Argument, ArgumentType, Operation, Style
from one_runtime.errors import FieldError, InvalidInput
from one_runtime.validation.descriptions import expected, one_of
from one_runtime.validation.names import similar_names

_FORM: Final = "application/x-www-form-urlencoded"
_SEPARATORS: Final[Mapping[Style, str]] = {"comma": ",", "space": "%20", "pipe": "%7C"}
_MAX_LISTED: Final = 30
_MAX_UNKNOWN: Final = 20
"""Number of unknown arguments that an error names. A caller can send thousands of them."""
_MAX_SENT_NAME: Final = 1_000
"""Number of characters of a name such as `filter[created][after]`. Each value of a query or a form has its own name."""
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,30}")
_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,30}(?:\.[0-9]{1,30})?")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_NOT_IN_HEADER: Final = re.compile(r"[^\x20-\x7e]")
_DOTS: Final = frozenset({".", ".."})
_IN_WORDS: Final[Mapping[ArgumentType, str]] = {
    "string": "a string",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a JSON object",
    "any": "a value",
}
_CHECKS: Final[Mapping[ArgumentType, Callable[[Any], bool]]] = {
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value),
    "boolean": lambda value: isinstance(value, bool),
    "array": lambda value: isinstance(value, list | tuple),
    "object": lambda value: isinstance(value, Mapping),
    "any": lambda _: True,
}


class OperationRequest(NamedTuple):
    """A request below the base URL of an integration.

    - `path`: percent-encoded, such as `/crm/v3/objects/contacts/1`. `query`: percent-encoded, or an empty text.
    - `body`: the encoded body, or None. `headers` then contains the type of the body.
    """

    method: str
    path: str
    query: str
    body: bytes | None
    headers: tuple[tuple[str, str], ...]


def arguments_to_request(operation: Operation, arguments: Mapping[str, Any]) -> OperationRequest:
    """Return the request for an operation. An argument with the value None counts as missing.

    Raises:
        InvalidInput: an argument is unknown, missing, or has a wrong type. The detail lists the valid arguments.
    """
    values, errors = _read_arguments(operation, arguments)
    if errors:
        raise _refusal(operation, errors)
    in_query = (parameter for parameter in operation.parameters if parameter.location == "query")
    try:
        return OperationRequest(
            operation.method,
            _path(operation, values),
            _encode(in_query, values, MAX_QUERY),
            _body(operation, values),
            tuple(_headers(operation, values)),
        )
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{operation.full_name}: {error}") from error


def _read_arguments(operation: Operation, arguments: Mapping[str, Any]) -> tuple[dict[str, Any], list[FieldError]]:
    """Return the values to send by the name of the argument, and the errors."""
    known = {argument.name: argument for argument in operation.arguments}
    unknown = islice((str(name) for name in arguments if name not in known), _MAX_UNKNOWN)
    errors = [FieldError(name[:64], _unknown(name, known)) for name in unknown]
    values = {}
    for name, argument in known.items():
        value = arguments.get(name)
        if value is None and argument.required:
            value = argument.default
        if value is None:
            errors += [FieldError(name, "is required")] if argument.required else []
            continue
        try:
            values[name] = _read_value(argument, value)
        except ValueError as error:
            errors.append(FieldError(name, str(error)))
    return values, errors


def _unknown(name: str, known: Iterable[str]) -> str:
    names = list(known)
    folded = {candidate.lower(): candidate for candidate in names}
    close = similar_names(name.lower(), folded, 1)
    return f"is not an argument. Did you mean {folded[close[0]]}?" if close else "is not an argument"


def _refusal(operation: Operation, errors: list[FieldError]) -> InvalidInput:
    names = [f"{argument.name}{' (required)' if argument.required else ''}" for argument in operation.arguments]
    more = ", …" if len(names) > _MAX_LISTED else ""
    listed = ", ".join(names[:_MAX_LISTED]) + more
    takes = f"{operation.full_name} takes {listed}." if names else f"{operation.full_name} takes no arguments."
    return InvalidInput(f"{InvalidInput.of_all(errors).detail} {takes}", tuple(errors))


def _read_value(argument: Argument, value: Any) -> Any:
    """Return the value of an argument. Raises: ValueError with a predicate, such as `must be a list`.

    In a URL or a header, every value is a text. So a number is also accepted as a text there, and the reverse.
    """
    if argument.location != "body":
        value = _from_text(argument.type, value)
    if not _CHECKS[argument.type](value):
        raise ValueError(expected(_IN_WORDS[argument.type], value))
    if argument.items is not None and not all(map(_CHECKS[argument.items], value)):
        raise ValueError(f"must contain only items of the type {argument.items}")
    if argument.enum and value not in argument.enum:
        raise ValueError(one_of([_in_text(choice) for choice in argument.enum]))
    if argument.fields:
        _require_fields(argument, value)
    size = _size_of_sendable(value)
    if argument.location != "body" and size > MAX_QUERY:
        raise ValueError(f"must have at most {MAX_QUERY} characters, because a URL or a header contains the value")
    return value


def _from_text(kind: ArgumentType, value: Any) -> Any:
    if kind == "string" and isinstance(value, int | float):
        return _in_text(value)
    if isinstance(value, str):
        if kind == "integer" and _INTEGER.fullmatch(value):
            return int(value)
        if kind == "number" and _NUMBER.fullmatch(value):
            return float(value) if "." in value else int(value)
        if kind == "boolean" and value in {"true", "false"}:
            return value == "true"
    return value


def _require_fields(argument: Argument, value: Mapping[str, Any]) -> None:
    """Check the known members of an object, by their names in the request. Raises: ValueError."""
    for field in argument.fields:
        member = value.get(field.sent_name)
        if member is not None:
            try:
                _read_value(field, member)
            except ValueError as error:
                raise ValueError(f"contains an error: {field.sent_name} {error}") from error
        elif field.required and field.sent_name not in value:
            raise ValueError(f"needs the member {field.sent_name}")


def _size_of_sendable(value: Any) -> int:
    """Return the number of bytes of the value in JSON. Raises: ValueError if JSON cannot represent the value."""
    try:
        return len(_in_json(value).encode())
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError("must consist of valid JSON values, and must not be nested deeply") from error


def _path(operation: Operation, values: Mapping[str, Any]) -> str:
    """Return the path with the encoded values. Raises: ValueError.

    A value never adds a segment. Some servers decode a path before they remove the segment `..`, so no part of a value
    between two slashes may be `.` or `..`.
    """
    encoded = {}
    for parameter in operation.parameters:
        if parameter.location == "path":
            text = _in_text(values[parameter.name])
            if not text or _CONTROL.search(text) or _DOTS & set(re.split(r"[/\\;]", text)):
                raise ValueError(
                    f"{parameter.name} must not be empty, and must not contain control characters or the path segments "
                    ". and .."
                )
            encoded[parameter.sent_name] = quote(text, safe="")
    return PLACEHOLDER.sub(lambda match: encoded[match[1]], operation.path)


def _headers(operation: Operation, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Raises: ValueError."""
    for parameter in operation.parameters:
        if parameter.location == "header" and parameter.name in values:
            text = _in_text(values[parameter.name])
            if _NOT_IN_HEADER.search(text):
                raise ValueError(f"{parameter.name} must be printable ASCII, because a header contains the value")
            yield parameter.sent_name, text.strip()
    if operation.body:
        yield "Content-Type", "application/json" if operation.body_format == "json" else _FORM


def _body(operation: Operation, values: Mapping[str, Any]) -> bytes | None:
    """Return the encoded body. Return None if the operation has no body."""
    if not operation.body:
        return None
    if operation.body_format == "form":
        return _encode(operation.body, values, MAX_FORM).encode("ascii")
    if operation.whole_body:
        return _in_json(values.get(operation.body[0].name)).encode()
    members = {field.sent_name: values[field.name] for field in operation.body if field.name in values}
    return _in_json(members).encode()


def _encode(arguments: Iterable[Argument], values: Mapping[str, Any], most: int) -> str:
    """Return the arguments in the encoding of queries and forms. A space becomes `%20`.

    Raises: ValueError if the values, or their names, have more than `most` bytes. A name can occur once for each value.
    """
    given = [(argument, values[argument.name]) for argument in arguments if argument.name in values]
    too_long = ValueError(f"the values of a query or a form, and their names, must have at most {most:,} bytes")
    if sum(_size_of_sendable(value) for _, value in given) > most:
        raise too_long
    pairs = chain.from_iterable(_pairs(argument.sent_name, value, argument.style) for argument, value in given)
    encoded, left = list[str](), most
    for name, text in pairs:
        left -= len(name.encode())
        if left < 0:
            raise too_long
        encoded.append(f"{quote(name, safe='[]$')}={text}")
    return "&".join(encoded)


def _pairs(name: str, value: Any, style: Style) -> Iterator[tuple[str, str]]:
    """Yield the name and the encoded value of each part of a value. A member of an object becomes `name[member]`.

    Raises: ValueError for a long name.
    """
    if len(name) > _MAX_SENT_NAME:
        raise ValueError(f"a name in a query or a form must have at most {_MAX_SENT_NAME:,} characters")
    if isinstance(value, Mapping):
        for key, member in value.items():
            yield from _pairs(f"{name}[{key}]", member, style)
    elif not isinstance(value, list | tuple):
        yield name, quote(_in_text(value), safe="")
    elif style == "brackets" or any(isinstance(item, Mapping | list | tuple) for item in value):
        for position, item in enumerate(value):
            yield from _pairs(f"{name}[{position}]", item, style)
    elif style in _SEPARATORS:
        yield name, _SEPARATORS[style].join(quote(_in_text(item), safe="") for item in value)
    else:
        for item in value:
            yield name, quote(_in_text(item), safe="")


def _in_text(value: Any) -> str:
    """Return a value as in a URL: a string unchanged, and other values as in JSON."""
    return value if isinstance(value, str) else "" if value is None else _in_json(value)


def _in_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
