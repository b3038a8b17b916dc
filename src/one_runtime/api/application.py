"""Build the FastAPI application from the routes of all API modules."""

import json
import re
from collections.abc import Iterable
from functools import cached_property
from typing import Any, Final

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.routing import BaseRoute, Route
from starlette.types import Lifespan

from one_runtime import RELEASE
from one_runtime.api import (
    agent_authorizations,
    api_keys,
    approval_requests,
    catalog,
    connect_requests,
    connections,
    custom_integrations,
    disconnect,
    end_user_exports,
    end_user_tokens,
    end_users,
    events,
    hosted_connection_sessions,
    integrations,
    logos,
    oauth_clients,
    organization,
    problems,
    proxy,
    proxy_requests,
    reference,
    system,
    webhook_deliveries,
    webhook_endpoints,
)
from one_runtime.api.compression import CompressPublic
from one_runtime.api.openapi import document
from one_runtime.api.routing import AsgiRoute, RouteSpec

ASGI_ROUTES: Final[tuple[AsgiRoute, ...]] = (integrations.ROUTE, catalog.ROUTE, proxy.ROUTE)

_RESOURCES: Final = (
    integrations.router,
    catalog.router,
    logos.router,
    hosted_connection_sessions.router,
    connections.router,
    disconnect.router,
    end_users.router,
    end_user_exports.router,
    end_user_tokens.router,
    connect_requests.router,
    agent_authorizations.router,
    approval_requests.router,
    organization.router,
    api_keys.router,
    custom_integrations.router,
    oauth_clients.router,
    events.router,
    webhook_endpoints.router,
    webhook_deliveries.router,
    proxy_requests.router,
    system.router,
)

SPECS: Final[tuple[RouteSpec, ...]] = (
    *(spec for route in ASGI_ROUTES for spec in route.specs),
    *(spec for resource in _RESOURCES for spec in resource.specs),
)
"""The declarations of all documented routes."""


_WITHOUT_HEAD: Final = frozenset(spec.path for spec in SPECS if spec.method == "GET" and not spec.head) | {
    proxy.ROUTE.path_format  # the proxy relays HEAD to the provider
}


def _path_below(method: str, path: str) -> str | None:
    """Return the path of one item of the list at `path`. Return None if no such path has the method."""
    below = re.compile(re.escape(path) + r"/\{\w+\}")
    return next((spec.path for spec in SPECS if spec.method == method and below.fullmatch(spec.path)), None)


class ApiApplication(FastAPI):
    """The FastAPI application with the routes of the API."""

    def __init__(self, public_url: str, more_routes: Iterable[BaseRoute], lifespan: Lifespan[FastAPI]) -> None:
        super().__init__(
            openapi_url=None,  # api/reference.py serves the OpenAPI document
            docs_url=None,
            redoc_url=None,
            redirect_slashes=False,
            lifespan=lifespan,
        )
        self.title, self.version = "One Runtime", RELEASE
        self._public_url = public_url
        self.add_middleware(CompressPublic)
        self.router.routes += ASGI_ROUTES
        for resource in _RESOURCES:
            self.router.routes += resource.fastapi.routes
        self.router.routes += reference.router.routes
        self._head_paths = [
            route.path_regex
            for route in self.routes
            if isinstance(route, Route) and "GET" in (route.methods or ()) and route.path_format not in _WITHOUT_HEAD
        ]
        self.router.routes += more_routes
        problems.install(self, public_url, self._methods_at, _path_below)

    def answers_head(self, path: str) -> bool:
        """Return True if the API answers HEAD at this path: as it answers GET, but without a body."""
        return any(pattern.fullmatch(path) for pattern in self._head_paths)

    def _methods_at(self, path: str) -> set[str]:
        """Return all methods of a path. The framework returns only the methods of one route."""
        routes = [context.original_route for context in iter_route_contexts(self.routes)]
        matching = [route for route in routes if isinstance(route, Route) and route.path_regex.match(path)]
        methods = {method for route in matching for method in route.methods or ()}
        return methods | {"HEAD"} if self.answers_head(path) else methods

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI document. Only the first call builds the document."""
        if self.openapi_schema is None:
            self.openapi_schema = document(self.routes, SPECS, self._public_url)
        return self.openapi_schema

    @cached_property
    def openapi_text(self) -> bytes:
        """Return the OpenAPI document as JSON. Anybody can request it, and its conversion takes 10 ms."""
        return json.dumps(self.openapi(), ensure_ascii=False).encode()
