"""Turn errors into error responses with the form of RFC 9457 (`application/problem+json`)."""

import json
from collections.abc import Callable
from typing import Annotated, Final, TypeAlias, TypeVar

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

from one_runtime.api import invalid_requests
from one_runtime.api.described import Described, DescribedModel
from one_runtime.api.named_integration import find_named_integration
from one_runtime.api.request_body import too_slow
from one_runtime.clock import rfc3339
from one_runtime.connections.connections import Connection, SeveralConnections
from one_runtime.connections.credentials import CheckFailed
from one_runtime.errors import (
    InsufficientScope,
    MalformedRequest,
    MethodNotAllowed,
    NotFound,
    OneRuntimeError,
    RequestTimeout,
    TooLarge,
    Unauthenticated,
)
from one_runtime.telemetry import metrics
from one_runtime.telemetry.logger import Logger

MEDIA_TYPE: Final = "application/problem+json"
_CHALLENGE: Final = 'Bearer realm="One Runtime"'

MethodsAt: TypeAlias = Callable[[str], set[str]]
PathBelow: TypeAlias = Callable[[str, str], str | None]

log = Logger()


_Value = TypeVar("_Value")
_Optional: TypeAlias = Annotated[_Value, Field(json_schema_extra=lambda schema: schema.pop("default"))]
"""A property that is absent in some responses. The absent property has no default value."""


class FieldProblem(DescribedModel, title="FieldError"):
    """An invalid field."""

    field: Annotated[str, Described("The path to the field, such as `params.region` or `scopes[0]`.", "end_user_id")]
    message: Annotated[str, Described("What is wrong with the value, and what is allowed.", "must not be blank")]


class ConnectionChoice(DescribedModel):
    """One of several connections, in the error `several_connections`."""

    id: str
    name: str
    status: Annotated[str, Described("`active`, or `needs_reauth` if the end user has to connect again.", "active")]
    created_at: str


class Problem(DescribedModel):
    """An error (RFC 9457). `detail` says what is wrong and what to do. `error` repeats `detail`. `code` is stable."""

    type: Annotated[str, Described("The URL of the documentation of the error.")]
    title: Annotated[str, Described("The kind of error, as a text for people.", "A value in the request is invalid")]
    status: Annotated[int, Described("The HTTP status.", 422)]
    detail: Annotated[str, Described("A text for people that says what is wrong and what to do.")]
    code: Annotated[str, Described("The code of the error. Codes are stable.")]
    request_id: str
    error: Annotated[str, Described("The text of `detail`, for clients that do not read `detail`.")]
    errors: Annotated[
        _Optional[list[FieldProblem]], Described("The invalid fields. Absent if no field is invalid.")
    ] = []
    provider_reason: Annotated[
        _Optional[str | None],
        Described("The provider's message as plain text, or null. Only some codes have this property."),
    ] = None
    connections: Annotated[
        _Optional[list[ConnectionChoice]],
        Described("The connections to choose from, only with the code `several_connections`."),
    ] = []


class InternalError(OneRuntimeError):
    """An unexpected error. The log contains the reason and the request id."""


def problem(error: OneRuntimeError, request_id: str, public_url: str) -> Response:
    """Return the response for an error. The field `error` contains the detail for clients that do not read `detail`."""
    metrics.errors.labels(error.code).inc()
    body: dict[str, object] = {
        "type": f"{public_url}/docs/errors#{error.code}",
        "title": error.title,
        "status": error.status,
        "detail": error.detail,
        "code": error.code,
        "request_id": request_id,
        "error": error.detail,
    }
    if error.errors:
        body["errors"] = [{"field": invalid.field, "message": invalid.message} for invalid in error.errors]
    if isinstance(error, CheckFailed):
        body["provider_reason"] = error.provider_reason
    if isinstance(error, SeveralConnections):
        body["connections"] = [_choice(connection) for connection in error.present]
    body |= error.members
    # A message can quote text from the request. A character that UTF-8 cannot encode becomes a question mark.
    content = json.dumps(body, ensure_ascii=False).encode(errors="replace")
    return Response(content, status_code=error.status, headers=headers_of(error), media_type=MEDIA_TYPE)


def _choice(connection: Connection) -> dict[str, object]:
    return ConnectionChoice(
        id=connection.id,
        name=connection.name,
        status=connection.status,
        created_at=rfc3339(connection.created_at),
    ).model_dump()


def internal_error(request_id: str) -> InternalError:
    """Return the error that the caller receives after an unexpected exception. The log contains the exception."""
    return InternalError(f"One Runtime failed unexpectedly. Report the request id {request_id} to the operator.")


def headers_of(error: OneRuntimeError) -> dict[str, str]:
    """Return the response headers for an error."""
    headers = {"cache-control": "no-store"}
    if isinstance(error, Unauthenticated):
        headers["www-authenticate"] = ", ".join(part for part in (_CHALLENGE, error.parameters) if part)
    if isinstance(error, InsufficientScope):
        headers["www-authenticate"] = f'{_CHALLENGE}, error="insufficient_scope", scope="{error.scope}"'
    if isinstance(error, MethodNotAllowed):
        headers["allow"] = ", ".join(sorted(error.allowed))
    if error.retry_after is not None:
        headers["retry-after"] = str(error.retry_after)
    if isinstance(error, RequestTimeout):  # the rest of the body must not be read as the next request
        headers["connection"] = "close"
    return headers


def install(app: FastAPI, public_url: str, methods_at: MethodsAt, path_below: PathBelow) -> None:
    """Make the application send every error as `application/problem+json`.

    `methods_at`: returns the methods of a path, for the header `Allow` (RFC 9110 section 10.2.1). `path_below`: returns
    the path of one item of a list, such as `/v1/connections/{connection_id}`, if the path has this method.
    """

    async def render(request: Request, error: Exception) -> Response:
        converted = await _convert(request, error, methods_at, path_below)
        request.scope["error_code"] = converted.code
        return problem(converted, request.scope["request_id"], public_url)

    for kind in (OneRuntimeError, HTTPException, RequestValidationError):
        app.add_exception_handler(kind, render)
    # After this response, Starlette raises the error again. api/middleware.py catches and logs the error.
    app.add_exception_handler(Exception, render)


async def _convert(request: Request, error: Exception, methods_at: MethodsAt, path_below: PathBelow) -> OneRuntimeError:
    if isinstance(error, NotFound | HTTPException) and _has_extra_slash(request, methods_at):
        return NotFound("There is nothing at this address. Remove the slash at the end of the path.")
    if isinstance(error, OneRuntimeError):
        if error.status >= 500 and error.code in {"internal_error", "seal_broken"}:
            log.error("request_failed", code=error.code, detail=error.detail)
        return error
    if isinstance(error, RequestValidationError):
        named = await find_named_integration(request, error)
        explain = named.explain if named is not None else None
        return invalid_requests.convert(error, request.scope.get("route"), explain)
    if isinstance(error, HTTPException):
        if error.status_code == MethodNotAllowed.status:
            path = request.url.path
            return _method_not_allowed(request.method, methods_at(path), path_below(request.method, path))
        return _of_status(error.status_code, request.url.path)
    return internal_error(request.scope["request_id"])


def _of_status(status: int, path: str) -> OneRuntimeError:
    if status == NotFound.status and path.startswith("/v1/v1/"):
        return NotFound("There is nothing at this address. Write the base URL of One Runtime without /v1 at its end.")
    if status == NotFound.status:
        return NotFound("There is nothing at this address. The page /docs lists all routes.")
    if status == TooLarge.status:
        return TooLarge("The body must be at most 1 MB.")
    if status == RequestTimeout.status:
        return too_slow()
    return MalformedRequest("The body is not JSON in UTF-8, or it is nested too deeply.")


def _method_not_allowed(method: str, allowed: set[str], below: str | None) -> OneRuntimeError:
    hint = f" {method} is allowed at {below}." if below is not None else ""
    return MethodNotAllowed(f"This address allows only these methods: {', '.join(sorted(allowed))}.{hint}", allowed)


def _has_extra_slash(request: Request, methods_at: MethodsAt) -> bool:
    """Return True if no resource has this path, and a route has the path without the slash at the end.

    The path of an end user can end with a slash, because an identifier can contain slashes. But no identifier is empty.
    """
    path = request.url.path
    if not path.endswith("/") or any(request.path_params.values()):
        return False
    return request.method in methods_at(path.rstrip("/"))
