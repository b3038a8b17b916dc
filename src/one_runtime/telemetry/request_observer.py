"""What is told of every request that we answer: its time for the metrics, a line in the log, a span.

A request is told of by its route's template, never by its address: what stands in its place may be an end user's name
or a secret (P11).
"""

import asyncio
from bisect import bisect_left
from collections.abc import Mapping, MutableMapping
from time import perf_counter
from typing import Any, Final, Protocol, TypeAlias

import structlog

from one_runtime.settings import Settings
from one_runtime.telemetry import logs, metrics, tracing

Scope: TypeAlias = MutableMapping[str, Any]
"""A request as ASGI describes it."""

SLOW: Final = 5.0
"""Seconds from which a request is logged, whatever the settings say."""

UNMATCHED: Final = "unmatched"
"""The route of what no route is for."""

_BUCKETS: Final = metrics.REQUEST_BUCKETS
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_PAUSE: Final = 1.0
"""Seconds between two looks."""

log = structlog.get_logger()


class PoolUse(Protocol):
    """The connections of a database pool at one moment."""

    @property
    def in_use(self) -> int: ...
    @property
    def idle(self) -> int: ...
    @property
    def most(self) -> int: ...
    @property
    def waiting(self) -> int: ...


class Pooled(Protocol):
    """A database whose connections are counted; None where there is no pool."""

    def connections(self) -> PoolUse | None: ...


class Observer:
    """Looks on while requests are answered, for little: the list of integrations is answered in 90 µs."""

    def __init__(self, settings: Settings, plain_routes: Mapping[object, str]) -> None:
        """`plain_routes`: route templates by their endpoints, of routes that the framework does not name."""
        self._plain_routes = plain_routes
        self._timed = bool(settings.metrics_listen)
        self._all = settings.access_log == "all"
        self._times: dict[tuple[str, str, int], metrics.Times] = {}
        self._in_flight = 0

    def begin(self, scope: Scope) -> float:
        """A request has come in, with its id; when."""
        self._in_flight += 1
        if tracing.active():
            scope["span"] = tracing.request_span(_method(scope), scope["headers"])
        return perf_counter()

    def end(self, scope: Scope, status: int, begun: float) -> None:
        """It was answered with this status, or was given up before (0)."""
        seconds = perf_counter() - begun
        self._in_flight -= 1
        if self._timed:
            route, method = scope.get("route"), scope["method"]
            path = route.path_format if route else self.route_of(scope)
            key = (path, method if method in _METHODS else metrics.OTHER, status)
            times = self._times.get(key)
            if times is None:
                times = self._times[key] = _times_of(*key)
            times.counts[bisect_left(_BUCKETS, seconds)] += 1  # not a method of theirs: a call is half of the cost
            times.total += seconds
        if self._all or status >= 500 or seconds >= SLOW:
            _log(scope, self.route_of(scope), status, seconds)
        if "span" in scope:
            _end_span(scope, self.route_of(scope), status)

    def route_of(self, scope: Scope) -> str:
        """The template of the route that a request was for."""
        route = scope.get("route")
        return str(route.path_format) if route else self._plain_routes.get(scope.get("endpoint"), UNMATCHED)

    async def watch(self, database: Pooled) -> None:
        """Look every second, until cancelled, and then once more."""
        if not self._timed:
            return
        try:
            while True:
                self.look(database)
                await asyncio.sleep(_PAUSE)
        finally:
            self.look(database)

    def look(self, database: Pooled) -> None:
        """Publish what was kept, and how many requests and connections there are at this moment."""
        for times in self._times.values():
            times.publish()
        metrics.requests_in_flight.set(self._in_flight)
        use = database.connections()
        if use is not None:
            metrics.database_connections.labels("in_use").set(use.in_use)
            metrics.database_connections.labels("idle").set(use.idle)
            metrics.database_connections_max.set(use.most)
            metrics.database_waiting.set(use.waiting)


def _times_of(route: str, method: str, status: int) -> metrics.Times:
    return metrics.Times(method, route, f"{status // 100}xx" if status else "cancelled")


def _method(scope: Scope) -> str:
    method: str = scope["method"]
    return method if method in _METHODS else "_OTHER"  # OpenTelemetry's name for it


def _log(scope: Scope, route: str, status: int, seconds: float) -> None:
    logs.request.set(scope)
    write = log.error if status >= 500 else log.warning if seconds >= SLOW else log.info
    write(
        "request",
        method=_method(scope),
        route=route,
        status=status or None,
        code=scope.get("error_code"),
        duration_ms=round(seconds * 1000, 1),
        organization_id=scope.get("organization_id"),
    )


def _end_span(scope: Scope, route: str, status: int) -> None:
    attributes = {"one_runtime.request_id": scope["request_id"]}
    if route != UNMATCHED:
        attributes["http.route"] = route
    if "organization_id" in scope:
        attributes["one_runtime.organization_id"] = scope["organization_id"]
    name = _method(scope) if route == UNMATCHED else f"{_method(scope)} {route}"
    scope.pop("span").end(name, status, attributes)
