"""Convert FastAPI's validation errors to errors of One Runtime that name the fields and their allowed values.

`validation.descriptions` describes the errors. This module adds the names and values that only the route knows. The
module also checks the parts of a request that FastAPI does not check.
"""

import difflib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from json import JSONDecodeError
from typing import Any, Final, Literal, get_args, get_origin
from urllib.parse import unquote_to_bytes

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel

from one_runtime.errors import FieldError, InvalidInput, MalformedRequest, OneRuntimeError
from one_runtime.validation.descriptions import describe, describe_json, one_of

NOT_JSON: Final = "Send JSON with the header Content-Type: application/json."
NOT_UTF8: Final = "must be percent-encoded UTF-8"
_MAX_ERRORS: Final = 20
_MAX_NAME: Final = 64
"""Limits of an answer. A body of 1 MB can contain many unknown fields, or a field with a long name."""

_QUERY: Final = "query"
_NAME: Final = re.compile(rb"[A-Za-z0-9_]{1,64}")
_BODY: Final = "body"


def convert(error: RequestValidationError, route: object) -> OneRuntimeError:
    """Return the error for the caller. `route`: the route that received the request."""
    details = error.errors()
    for detail in details:
        if detail["type"] == "json_invalid":
            return MalformedRequest(_json_sentence(detail["ctx"]["error"], str(error.body), detail["loc"][-1]))
    errors = [_field_error(detail, _model(route, str(detail["loc"][0]))) for detail in details[:_MAX_ERRORS]]
    return InvalidInput.of_all(dict.fromkeys(errors))


def require_json(content_type: str) -> None:
    """Check the header `Content-Type` of a request with a body. Raises: InvalidInput."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        raise InvalidInput(NOT_JSON, (FieldError("Content-Type", "must be application/json"),))


def require_utf8(query_string: bytes) -> None:
    """Refuse a query that is not UTF-8. The framework would replace the invalid bytes. Raises: InvalidInput."""
    if query_string.isascii() and b"%" not in query_string:
        return
    for pair in query_string.split(b"&"):
        try:
            pair.decode("ascii")
            unquote_to_bytes(pair).decode()
        except UnicodeDecodeError as error:
            name = pair.partition(b"=")[0]
            raise InvalidInput.of(name.decode() if _NAME.fullmatch(name) else _QUERY, NOT_UTF8) from error


async def require_known_parameters(request: Request) -> None:
    """Refuse unknown and repeated query parameters (a dependency of routes). Raises: InvalidInput."""
    counts = Counter(name for name, _ in request.query_params.multi_items())
    errors = tuple(_parameter_errors(counts, _parameters(request.scope["route"])))
    if errors:
        raise InvalidInput.of_all(errors[:_MAX_ERRORS])


def _parameter_errors(counts: Mapping[str, int], repeatable: Mapping[str, bool]) -> Iterator[FieldError]:
    for name, count in counts.items():
        if name not in repeatable:
            yield FieldError(name[:_MAX_NAME], unknown_name(repeatable, name[:_MAX_NAME], "parameter"))
        elif count > 1 and not repeatable[name]:
            yield FieldError(name, "must occur only once")


def _parameters(route: APIRoute) -> Mapping[str, bool]:
    """Return the query parameters of a route by name. The value is True if a caller can repeat the parameter."""
    types: dict[str, object] = {}
    for field in route.dependant.query_params:
        annotation = field.field_info.annotation
        types |= _annotations(annotation, ()) or {field.alias: annotation}
    return {name: get_origin(annotation) is list for name, annotation in types.items()}


def unknown_name(names: Iterable[str], received: str, what: str) -> str:
    """Return the message for an unknown field or parameter. `names`: the valid names. `what`: `field`, for example."""
    known = list(names)
    longer = [name for name in known if received in name.split("_")]
    close = difflib.get_close_matches(received, known, n=1) or longer[:1]
    hint = f"Did you mean {close[0]}?" if close else f"The {what}s are: {', '.join(known)}"
    return f"is not a {what} of this request. {hint if known else f'The request has no {what}s'}"


def _json_sentence(message: str, text: str, position: int) -> str:
    return f"The body is not valid JSON: {describe_json(JSONDecodeError(message, text, position))}."


def _field_error(detail: Mapping[str, Any], model: type[BaseModel] | None) -> FieldError:
    place, *path = [str(part)[:_MAX_NAME] for part in detail["loc"]]
    if place == _QUERY:
        path = path[:1]  # without the position of one value of a repeated parameter
    field = ".".join(path) or place
    if not path:
        needs = "is required: send a JSON object" if detail["type"] == "missing" else describe(detail)  # type: ignore[arg-type] # FastAPI has no type for its details
        return FieldError(field, needs)
    if detail["type"] == "extra_forbidden" and model is not None:
        return FieldError(field, unknown_name(_annotations(model, path[:-1]), path[-1], "field"))
    if detail["type"] == "literal_error" and model is not None:
        values = _values(_annotations(model, path[:-1]).get(path[-1]))
        if values:
            return FieldError(field, one_of(values))
    return FieldError(field, describe(detail))  # type: ignore[arg-type] # FastAPI has no type for its details


def _model(route: object, place: str) -> type[BaseModel] | None:
    """Return the model of the body or the query of a route. Return None if the route has no model there."""
    if not isinstance(route, APIRoute):
        return None
    fields = route.dependant.body_params if place == _BODY else route.dependant.query_params
    models = [field.field_info.annotation for field in fields]
    return next((model for model in models if isinstance(model, type) and issubclass(model, BaseModel)), None)


def _annotations(model: object, path: Iterable[str]) -> dict[str, object]:
    """Return the types of the fields of a model, or of the inner model at `path`, by name."""
    inner = model
    for name in path:
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)) or name not in inner.model_fields:
            return {}
        inner = inner.model_fields[name].annotation
    if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
        return {}
    return {name: field.annotation for name, field in inner.model_fields.items()}


def _values(annotation: object) -> tuple[str, ...]:
    """Return the values of a `Literal` type, also inside a union."""
    if get_origin(annotation) is Literal:
        return tuple(map(str, get_args(annotation)))
    return tuple(value for inner in get_args(annotation) for value in _values(inner))
