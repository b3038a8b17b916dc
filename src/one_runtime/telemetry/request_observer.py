"""Record metrics, log lines and trace spans of the requests that One Runtime receives.

A path can contain an end user's identifier or a secret. So metrics, log lines and spans contain the template of the
route, never the path (promise P11 of docs/security.md).
"""

import asyncio
from collections.abc import Callable, Mapping, MutableMapping
from time import perf_counter
from typing import Any, Final, TypeAlias

from one_runtime.telemetry import metrics, tracing
from one_runtime.telemetry.logger import Logger

Scope: TypeAlias = MutableMapping[str, Any]
"""An ASGI scope."""

SLOW: Final = 5.0
"""Seconds after which a request is slow. One Runtime logs every slow request, even if `access_log` is not `all`."""

UNMATCHED: Final = "unmatched"
"""Route label of requests that match no route."""

WAITS: Final = "waits"
"""Key of the scope: the seconds for which the caller asked the server to wait. Such a request is not slow."""

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_INTERVAL: Final = 1.0
"""Seconds between two updates of the gauges."""

log = Logger()


class Observer:
    """Records requests. The methods must be fast, because some requests take only about 150 µs."""

    def __init__(self, plain_routes: Mapping[object, str], *, is_timed: bool, logs_all: bool) -> None:
        """`is_timed`: True if metrics are served. `logs_all`: see the attribute.

        `plain_routes`: the template of each plain ASGI or Starlette route, by endpoint.

        The framework sets `scope["route"]` only for FastAPI's own routes.
        """
        self.slow = SLOW
        self.last_request = float("-inf")
        """Start of the newest request, by `perf_counter`."""
        self._plain_routes = plain_routes
        self._timed = is_timed
        self.logs_all = logs_all
        """True if the log has a line for each request. A reload can change it."""
        self._durations: dict[tuple[str, str, int], metrics.Duration] = {}
        self._in_flight = 0

    def begin(self, scope: Scope) -> float:
        """Record the start of a request, and return the start time."""
        self._in_flight += 1
        if tracing.active():
            scope["span"] = tracing.request_span(_method(scope), scope["headers"])
        self.last_request = perf_counter()
        return self.last_request

    def end(self, scope: Scope, status: int, begun: float) -> None:
        """Record the end of a request. `status`: 0 if the request ended without a response."""
        seconds = perf_counter() - begun
        self._in_flight -= 1
        if self._timed:
            route, method = scope.get("route"), scope["method"]
            path = route.path_format if route else self.route_of(scope)
            key = (path, method if method in _METHODS else metrics.OTHER, status)
            duration = self._durations.get(key)
            if duration is None:
                duration = self._durations[key] = metrics.duration_of(*key)
            duration.observe(seconds)
        is_slow = seconds >= self.slow and seconds >= self.slow + scope.get(WAITS, 0)
        if self.logs_all or status >= 500 or is_slow:
            self._log(scope, status, seconds, is_slow=is_slow)
        if "span" in scope:
            _end_span(scope, self.route_of(scope), status)

    def route_of(self, scope: Scope) -> str:
        """Return the route template of a request, such as `/v1/connections/{connection_id}`."""
        route = scope.get("route")
        return str(route.path_format) if route else self._plain_routes.get(scope.get("endpoint"), UNMATCHED)

    def _log(self, scope: Scope, status: int, seconds: float, *, is_slow: bool) -> None:
        write = log.error if status >= 500 else log.warning if is_slow else log.info
        write(
            "request",
            method=_method(scope),
            route=self.route_of(scope),
            status=status or None,
            code=scope.get("error_code"),
            duration_ms=round(seconds * 1000, 1),
            organization_id=scope.get("organization_id"),
        )

    async def watch(self, pool_use: Callable[[], metrics.PoolUse | None]) -> None:
        """Update the gauges every second until this task is cancelled, and once more at the cancellation."""
        if not self._timed:
            return
        try:
            while True:
                self.update_gauges(pool_use())
                await asyncio.sleep(_INTERVAL)
        finally:
            self.update_gauges(pool_use())

    def update_gauges(self, use: metrics.PoolUse | None) -> None:
        """Set the gauges of requests and database connections. `use`: None if the database has no connection pool."""
        metrics.requests_in_flight.set(self._in_flight)
        if use is not None:
            metrics.database_connections.labels("in_use").set(use.in_use)
            metrics.database_connections.labels("idle").set(use.idle)
            metrics.database_connections_max.set(use.most)
            metrics.database_waiting.set(use.waiting)


def _method(scope: Scope) -> str:
    method: str = scope["method"]
    return method if method in _METHODS else "_OTHER"  # the value that OpenTelemetry prescribes


def _end_span(scope: Scope, route: str, status: int) -> None:
    attributes = {"one_runtime.request_id": scope["request_id"]}
    if route != UNMATCHED:
        attributes["http.route"] = route
    if "organization_id" in scope:
        attributes["one_runtime.organization_id"] = scope["organization_id"]
    name = _method(scope) if route == UNMATCHED else f"{_method(scope)} {route}"
    scope.pop("span").end(name, status, attributes)
