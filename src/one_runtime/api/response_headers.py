"""Describe the response headers of each route, for the OpenAPI document and for tests.

The descriptions omit headers that every HTTP client handles itself, such as `Content-Type` and `Cache-Control`.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from one_runtime.api.idempotency import REPLAYED
from one_runtime.api.routing import RouteSpec
from one_runtime.connections.credentials import ProviderUnavailable
from one_runtime.errors import InsufficientScope, OneRuntimeError, RateLimited, Unauthenticated, Unavailable
from one_runtime.tenancy.idempotency_keys import IdempotencyKeyInUse


def _header(description: str, kind: str = "string") -> dict[str, Any]:
    return {"description": description, "schema": {"type": kind}}


COMPONENTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "Request-Id": _header("The id of the request. The server's log contains this id."),
    "RateLimit-Policy": _header("The rate limit: the key can make `q` requests at once, and again after `w` seconds."),
    "RateLimit": _header("The key can now make `r` requests. The full number is available again in `t` seconds."),
    "Retry-After": _header("The number of seconds after which you can repeat the request.", "integer"),
    "WWW-Authenticate": _header("The necessary authentication. After 403, the value names the necessary scope."),
    "ETag": _header("The version of the resource. Each change gives the resource another `ETag`."),
    "Location": _header("The address of the created resource."),
    REPLAYED: _header("`true` if the response is the response to an earlier request with this `Idempotency-Key`."),
    "One-Runtime-Connection": _header("The id of the connection that One Runtime used."),
    "One-Runtime-Attempts": _header("The number of attempts to send the request.", "integer"),
    "One-Runtime-Upstream-Time": _header(
        "The milliseconds from the start of the last attempt to the start of the provider's response.", "number"
    ),
    "One-Runtime-Upstream-Request-Id": _header("The value of the provider's header `Request-Id`."),
    "One-Runtime-Error": _header(
        "The code of an error of One Runtime. A response of the provider never has this header."
    ),
}
"""The headers in the OpenAPI document, by name. A response of the document refers to these headers."""

_RELAYED: Final = (
    "One-Runtime-Connection",
    "One-Runtime-Attempts",
    "One-Runtime-Upstream-Time",
    "One-Runtime-Upstream-Request-Id",
)
_CHALLENGED: Final = (Unauthenticated, InsufficientScope)
_DELAYED: Final = (RateLimited, IdempotencyKeyInUse, ProviderUnavailable, Unavailable)


def references(spec: RouteSpec, status: str) -> dict[str, Any]:
    """Return the headers of a response in the OpenAPI document. `status`: as in the document, such as `200` or `4XX`.

    A response has only some of the headers. For example, only the response to a repeated request has
    `Idempotent-Replayed`.
    """
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names(spec, status)}


def names(spec: RouteSpec, status: str) -> tuple[str, ...]:
    """Return the names of the headers that a response of a route can have."""
    return tuple(_names(spec, status))


def _names(spec: RouteSpec, status: str) -> Iterator[str]:
    errors = [error for error in spec.all_errors if _has_status(error, status)]
    yield "Request-Id"
    if spec.scope is not None and (errors or not spec.relays):
        yield from ("RateLimit-Policy", "RateLimit")
    if any(issubclass(error, _DELAYED) for error in errors):
        yield "Retry-After"
    if any(issubclass(error, _CHALLENGED) for error in errors):
        yield "WWW-Authenticate"
    creates = spec.location is not None and status == "201"
    if creates or (spec.conditional and spec.method != "DELETE" and not errors):
        yield "ETag"
    if creates:
        yield "Location"
    if spec.idempotent and not errors:
        yield REPLAYED
    if spec.relays:
        yield from _RELAYED
        if errors:
            yield "One-Runtime-Error"


def _has_status(error: type[OneRuntimeError], status: str) -> bool:
    return status in {str(error.status), f"{error.status // 100}XX"}
