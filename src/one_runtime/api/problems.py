"""Every error as RFC 9457 `application/problem+json`: one shape everywhere."""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Route

from one_runtime.connections.credentials import CredentialsRefused, ProviderUnavailable
from one_runtime.errors import (
    FieldError,
    InvalidInput,
    MalformedRequest,
    MethodNotAllowed,
    NotFound,
    OneRuntimeError,
    RateLimited,
    TooLarge,
    Unauthenticated,
)
from one_runtime.telemetry import metrics

MEDIA_TYPE: Final = "application/problem+json"

log = structlog.get_logger()


class InternalError(OneRuntimeError):
    """A fault of ours: it is in the log under the request's id."""


def problem(error: OneRuntimeError, request_id: str, public_url: str) -> Response:
    """An error as a response. `error` repeats the detail, for clients of the compatible core."""
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
        body["errors"] = [{"field": one.field, "message": one.message} for one in error.errors]
    if isinstance(error, CredentialsRefused):
        body["provider_reason"] = error.provider_reason
    # A name that was refused is told again: what UTF-8 cannot carry of it becomes a question mark.
    content = json.dumps(body, ensure_ascii=False).encode(errors="replace")
    return Response(content, status_code=error.status, headers=headers_of(error), media_type=MEDIA_TYPE)


def crash(request_id: str) -> InternalError:
    """What the caller is told of a fault of ours; the log has the reason."""
    return InternalError(f"This is our fault. Tell the operator the request id {request_id}.")


def headers_of(error: OneRuntimeError) -> dict[str, str]:
    """The headers that belong to an error."""
    headers = {"cache-control": "no-store"}
    if isinstance(error, Unauthenticated):
        headers["www-authenticate"] = 'Bearer realm="One Runtime"'
    if isinstance(error, RateLimited | ProviderUnavailable) and error.retry_after is not None:
        headers["retry-after"] = str(error.retry_after)
    return headers


def install(app: FastAPI, public_url: str) -> None:
    """Answer every error of this application as a problem."""

    def answer(convert: Callable[[Exception], OneRuntimeError]) -> Callable[[Request, Exception], Awaitable[Response]]:
        async def handle(request: Request, error: Exception) -> Response:
            told = convert(error)
            request.scope["error_code"] = told.code
            response = problem(told, request.scope.get("request_id", ""), public_url)
            if isinstance(error, HTTPException) and error.headers:
                response.headers.update(error.headers)
            if response.status_code == MethodNotAllowed.status:
                response.headers["allow"] = ", ".join(sorted(_methods_at(app, request.url.path)))
            return response

        return handle

    async def fail(request: Request, _: Exception) -> Response:
        request_id = request.scope.get("request_id", "")
        request.scope["error_code"] = InternalError.code
        return problem(crash(request_id), request_id, public_url)

    app.add_exception_handler(OneRuntimeError, answer(_own))
    app.add_exception_handler(HTTPException, answer(_http))
    app.add_exception_handler(RequestValidationError, answer(_validation))
    app.add_exception_handler(
        Exception, fail
    )  # Starlette raises it again, for whoever stands before: it is logged there


def _methods_at(app: FastAPI, path: str) -> set[str]:
    """Every method of an address (RFC 9110 section 10.2.1): the framework names those of the first route only."""
    routes = [context.original_route for context in iter_route_contexts(app.routes)]
    found = [one for one in routes if isinstance(one, Route) and one.path_regex.match(path)]
    return {method for one in found for method in one.methods or ()}


def _own(error: Exception) -> OneRuntimeError:
    assert isinstance(error, OneRuntimeError)  # noqa: S101 - registered for these
    if error.status >= 500 and error.code in {"internal_error", "seal_broken"}:
        log.error("request_failed", code=error.code, detail=error.detail)
    return error


def _http(error: Exception) -> OneRuntimeError:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for these
    kinds: Mapping[int, OneRuntimeError] = {
        404: NotFound("There is nothing at this address. The routes are listed at /docs."),
        405: MethodNotAllowed("The address exists, with other methods: see the Allow header."),
        413: TooLarge("The body is larger than 1 MB."),
    }
    return kinds.get(error.status_code, MalformedRequest("The body must be JSON, sent as application/json."))


def _validation(error: Exception) -> OneRuntimeError:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for these
    found = error.errors()
    if any(one["type"] == "json_invalid" for one in found):
        return MalformedRequest("The body is not valid JSON.")
    errors = tuple(FieldError(_field(one["loc"]), _sentence(one)) for one in found)
    return InvalidInput(f"{errors[0].field}: {errors[0].message}", errors)


def _field(location: Sequence[object]) -> str:
    """`("body", "params", "region")` as `params.region`."""
    return ".".join(str(part) for part in location[1:]) or str(location[0])


def _sentence(error: Mapping[str, object]) -> str:
    if error["type"] == "missing":
        return "is required"
    if error["type"] == "extra_forbidden":
        return "is not a field of this request"
    return str(error["msg"])
