"""Convert FastAPI's validation errors to errors of One Runtime that name the fields and their allowed values.

`validation.descriptions` describes the errors. This module adds the names and values that only the route knows. The
module also checks the parts of a request that FastAPI does not check.
"""

import difflib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from json import JSONDecodeError
from types import UnionType
from typing import Any, Final, Literal, TypeAlias, Union, cast, get_args, get_origin
from urllib.parse import unquote_to_bytes

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel

from one_runtime.api import property_descriptions
from one_runtime.api.fields import Body
from one_runtime.errors import FieldError, InvalidInput, MalformedRequest, OneRuntimeError
from one_runtime.validation.descriptions import MAX_ERRORS, OBJECTS, describe, describe_json, dotted, one_of

Explain: TypeAlias = Callable[[Mapping[str, Any]], str | None]
"""Returns the message for a validation error, or None for the general message."""

NOT_JSON: Final = "Send JSON with the header Content-Type: application/json."
NOT_UTF8: Final = "must be percent-encoded UTF-8"
_MAX_NAME: Final = 64
"""Number of characters of a name in an answer. A body of 1 MB can contain a field with a long name."""

_QUERY: Final = "query"
_NAME: Final = re.compile(rb"[A-Za-z0-9_]{1,64}")
_BODY: Final = "body"


def convert(error: RequestValidationError, route: object, explain: Explain | None = None) -> OneRuntimeError:
    """Return the error for the caller. `route`: the route that received the request.

    `explain`: returns a more exact message for an error, or None.
    """
    details = error.errors()
    for detail in details:
        if detail["type"] == "json_invalid":
            return MalformedRequest(_json_sentence(detail["ctx"]["error"], str(error.body), detail["loc"][-1]))
    errors = [_field_error(detail, route, explain) for detail in details[:MAX_ERRORS]]
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
    # A query can contain 10,000 names, and the search for similar names takes long.
    errors = tuple(islice(_parameter_errors(counts, _parameters(request.scope["route"])), MAX_ERRORS))
    if errors:
        raise InvalidInput.of_all(errors)


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
        model = _model_in(annotation)
        types |= {field.alias: annotation} if model is None else _annotations(model)
    return {name: get_origin(annotation) is list for name, annotation in types.items()}


def unknown_name(names: Iterable[str], received: str, what: str) -> str:
    """Return the message for an unknown field or parameter. `names`: the valid names. `what`: `field`, for example."""
    known = list(names)
    longer = [name for name in known if received in name.split("_")]
    close = longer[:1] or difflib.get_close_matches(received, known, n=1)
    hint = f"Did you mean {close[0]}?" if close else f"The {what}s are: {', '.join(known)}"
    return f"is not a {what} of this request. {hint if known else f'The request has no {what}s'}"


def _json_sentence(message: str, text: str, position: int) -> str:
    return f"The body is not valid JSON: {describe_json(JSONDecodeError(message, text, position))}."


def required(owner: str, name: str, values: Iterable[str] = (), *, place: str = _BODY) -> str:
    """Return the message for a missing field or parameter.

    `owner`: the schema or the operation id, as in `property_descriptions`. `values`: the valid values, if listed.
    `place`: `body` or `query`.
    """
    listed, described = tuple(values), property_descriptions.find(owner, name)
    predicate = "is required" if place == _BODY else f"is required in the {place}"
    if described is not None and described.missing:
        return f"{predicate}: {described.missing.format(values=', '.join(listed))}"
    if listed:
        return f"{predicate}, and {one_of(listed)}"
    if described is None:
        return predicate
    text = described.description
    return f"{predicate}: {text[0].lower()}{text[1:].removesuffix('.')}"


def _field_error(detail: Mapping[str, Any], route: object, explain: Explain | None) -> FieldError:
    where, *path = detail["loc"]
    if where == _QUERY:
        path = path[:1]  # without the position of one value of a repeated parameter
    message = explain(detail) if explain is not None else None
    return FieldError(dotted(tuple(path)) or where, message or _message(detail, path, route))


def _message(detail: Mapping[str, Any], path: list[str | int], route: object) -> str:
    where, kind = detail["loc"][0], detail["type"]
    model = _model(route, where)
    if not path and kind == "missing":
        return f"is required: send a JSON object{_such_as(model)}"
    owner = _inner_model(model, path[:-1])
    if owner is not None and path:
        name, annotations = str(path[-1]), _annotations(owner)
        if kind == "extra_forbidden":
            return unknown_name(annotations, name[:_MAX_NAME], "field")
        values = _values(annotations.get(name))
        if kind == "missing":
            schema = str(owner.model_config.get("title", owner.__name__))
            return required(schema if where == _BODY else getattr(route, "name", ""), name, values, place=where)
        if kind == "literal_error" and values:
            return one_of(values)
    described = describe(detail)  # type: ignore[arg-type] # FastAPI has no type for its details
    return f"{described}{_such_as(_inner_model(model, path))}" if kind in OBJECTS else described


def _model(route: object, place: str) -> type[BaseModel] | None:
    """Return the model of the body or the query of a route. Return None if the route has no model there."""
    if not isinstance(route, APIRoute):
        return None
    fields = route.dependant.body_params if place == _BODY else route.dependant.query_params
    return next((model for field in fields if (model := _model_in(field.field_info.annotation)) is not None), None)


def _inner_model(model: type[BaseModel] | None, path: Iterable[str | int]) -> type[BaseModel] | None:
    """Return the inner model at `path`. Return None if the value there has no model."""
    inner = model
    for name in path:
        inner = _model_in(_annotations(inner).get(str(name))) if inner is not None else None
    return inner


def _annotations(model: type[BaseModel]) -> dict[str, object]:
    return {name: field.annotation for name, field in model.model_fields.items()}


def _model_in(annotation: object) -> type[BaseModel] | None:
    """Return the model of a type, also of an optional type."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    choices = get_args(annotation) if get_origin(annotation) in {Union, UnionType} else ()
    return next((model for choice in choices if (model := _model_in(choice)) is not None), None)


def _such_as(model: type[BaseModel] | None) -> str:
    """Return an example of the object: its required and usual fields. Without such fields, return all."""
    extra = model.model_config.get("json_schema_extra") if model is not None else None
    if model is None or not isinstance(extra, dict):
        return ""
    (example,) = cast("list[dict[str, object]]", extra["examples"])
    usual = model.usual_fields if issubclass(model, Body) else frozenset[str]()
    fields = model.model_fields.items()
    needed = {name: example[name] for name, field in fields if field.is_required() or name in usual}
    return f", such as {json.dumps(needed or example, ensure_ascii=False)}"


def _values(annotation: object) -> tuple[str, ...]:
    """Return the values of a `Literal` type, also inside a union."""
    if get_origin(annotation) is Literal:
        return tuple(map(str, get_args(annotation)))
    return tuple(value for inner in get_args(annotation) for value in _values(inner))
