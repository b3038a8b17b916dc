"""Build the FastAPI application from the routes of all API modules."""

from collections.abc import Iterable
from typing import Any, Final

from fastapi import FastAPI
from starlette.routing import BaseRoute
from starlette.types import Lifespan

from one_runtime import RELEASE
from one_runtime.api import (
    catalog,
    connections,
    custom_integrations,
    disconnect,
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
)
from one_runtime.api.compression import CompressPublic
from one_runtime.api.openapi import document
from one_runtime.api.routing import AsgiRoute, RouteSpec

ASGI_ROUTES: Final[tuple[AsgiRoute, ...]] = (integrations.ROUTE, catalog.ROUTE, proxy.ROUTE)

_RESOURCES: Final = (
    catalog.router,
    logos.router,
    hosted_connection_sessions.router,
    connections.router,
    disconnect.router,
    end_users.router,
    organization.router,
    custom_integrations.router,
    oauth_clients.router,
    events.router,
    proxy_requests.router,
    system.router,
)

SPECS: Final[tuple[RouteSpec, ...]] = (
    *(spec for route in ASGI_ROUTES for spec in route.specs),
    *(spec for resource in _RESOURCES for spec in resource.specs),
)
"""The declarations of all documented routes."""


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
        self.router.routes += more_routes
        problems.install(self, public_url)

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI document. Only the first call builds the document."""
        if self.openapi_schema is None:
            self.openapi_schema = document(self.routes, SPECS, self._public_url)
        return self.openapi_schema
