"""Declare the routes of the API. A declaration contains the OpenAPI tag, the errors and the scope of a route.

A scope is a permission of an API key, such as `read`. Every documented route must declare a scope, `ANY` or `PUBLIC`.
`api/application.py` collects the declarations for the permission check, the OpenAPI document, the middleware and tests.
"""

import json
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal, TypeAlias

from fastapi import APIRouter, Depends, Request
from fastapi.routing import APIRoute
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Scope

from one_runtime.api.headers import is_current
from one_runtime.api.idempotency import handle_once
from one_runtime.api.invalid_requests import require_json, require_known_parameters
from one_runtime.api.services import services_of
from one_runtime.context import Installation
from one_runtime.db.engine import Busy
from one_runtime.encryption.vault import KeyNotInRing, SealBroken
from one_runtime.errors import (
    InsufficientScope,
    InvalidInput,
    MalformedRequest,
    OneRuntimeError,
    PreconditionFailed,
    RateLimited,
    RequestTimeout,
    TooLarge,
    Unauthenticated,
    Unavailable,
)
from one_runtime.tenancy.api_keys import KeyScope
from one_runtime.tenancy.authentication import Principal
from one_runtime.tenancy.idempotency_keys import IdempotencyKeyInUse, IdempotencyKeyReused
from one_runtime.validation.json_values import require_few_values

PUBLIC: Final = None
"""The scope of routes that need no API key."""

ANY: Final = "any"
"""The scope of routes that accept every API key, whatever its scopes."""

RouteScope: TypeAlias = KeyScope | Literal["any"] | None
Errors: TypeAlias = tuple[type[OneRuntimeError], ...]

_EVERYWHERE: Final[Errors] = (InvalidInput, OneRuntimeError, Unavailable, Busy)
_WITH_API_KEY: Final[Errors] = (Unauthenticated, InsufficientScope, RateLimited)
_WITH_BODY: Final[Errors] = (MalformedRequest, RequestTimeout, TooLarge)
UNREADABLE_CREDENTIALS: Final[Errors] = (SealBroken, KeyNotInRing)
"""Errors of routes that decrypt stored credentials."""
_ONCE: Final[Errors] = (IdempotencyKeyReused, IdempotencyKeyInUse, *UNREADABLE_CREDENTIALS)
_API: Final = "/v1/"
"""Beginning of the paths whose routes check the names of query parameters.

The other routes ignore unknown parameters, because load balancers and caches add parameters.
"""
_BODY_METHODS: Final = frozenset({"POST", "PUT", "PATCH"})
PRINCIPAL: Final = "one_runtime.principal"
"""Key of the `Principal` in the ASGI scope. The key is absent before the authentication, and on public routes."""


@dataclass(frozen=True, slots=True)
class RouteSpec:
    """Declaration of a route: one method of one path.

    - `scope`: the scope that an API key needs, `ANY` or `PUBLIC`.
    - `errors`: the errors of this route only. `all_errors` adds the general errors, such as `Unauthenticated`.
    - `idempotent`: True if the route accepts the header `Idempotency-Key`. Every POST that creates something does.
    - `head`: False if the path does not accept HEAD, because a GET has an effect, such as a refresh of tokens.
    - `conditional`: True if the route accepts conditions: `If-None-Match` for a GET, and otherwise `If-Match`.
    - `location`: the path of a resource that the route creates, such as `/v1/connections/{id}`, or None. The names in
      the path are fields of the response. A response 201 has the address of the resource in the header `Location`.
    - `relays`: True if the route relays requests to a provider.
    - `operation`: the OpenAPI operation of a plain ASGI route. For other routes, FastAPI generates the operation.
    """

    method: str
    path: str
    scope: RouteScope
    tag: str
    errors: Errors = ()
    idempotent: bool = False
    head: bool = True
    conditional: bool = False
    location: str | None = None
    relays: bool = False
    operation: Mapping[str, Any] | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """Return the method and the path, such as `GET /v1/connections`."""
        return f"{self.method} {self.path}"

    @property
    def all_errors(self) -> Errors:
        """Return all errors that the route can send."""
        with_key = () if self.scope is PUBLIC else _WITH_API_KEY
        with_body = _WITH_BODY if self.method in _BODY_METHODS else ()
        once = _ONCE if self.idempotent else ()
        once += (PreconditionFailed,) if self.conditional and self.method != "GET" else ()
        return tuple(dict.fromkeys((*_EVERYWHERE, *with_key, *with_body, *once, *self.errors)))


class Routes:
    """The routes of one resource."""

    def __init__(self, tag: str) -> None:
        self.tag = tag
        self.specs: list[RouteSpec] = []
        self.fastapi = APIRouter(
            tags=[tag],
            generate_unique_id_function=_operation_id,
        )

    def route(  # noqa: PLR0913 - by name
        self,
        name: str,
        /,
        *,
        scope: RouteScope,
        errors: Errors = (),
        idempotent: bool = False,
        head: bool = True,
        conditional: bool = False,
        location: str | None = None,
        **options: Any,
    ) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Declare a route such as `GET /v1/connections`. `options`: arguments for FastAPI's `add_api_route`."""
        method, path = name.split(" ")
        path_of_spec = path.replace(":path}", "}")
        spec = RouteSpec(method, path_of_spec, scope, self.tag, errors, idempotent, head, conditional, location)
        self.specs.append(spec)
        route_class = APIRoute if scope is PUBLIC else _authenticated_route(spec, scope)

        def declare(endpoint: Callable[..., Any]) -> Callable[..., Any]:
            self.fastapi.add_api_route(
                path,
                endpoint,
                methods=[method],
                route_class_override=route_class,
                dependencies=[Depends(require_known_parameters)] if path.startswith(_API) else [],
                **options,
            )
            return endpoint

        return declare


class AsgiRoute(Route):
    """A route with a plain ASGI endpoint. The middleware calls the endpoint without FastAPI.

    FastAPI's dependency injection would take longer than the endpoint itself (docs/benchmarks.md). FastAPI's route
    table contains the route too, because FastAPI sends the status 405 for a wrong method.

    If the specs relay requests, the endpoint receives requests with every method. The middleware marks One Runtime's
    own errors with the header `One-Runtime-Error`, because callers also receive the provider's errors.

    `methods`: the methods of a route without specs. The OpenAPI document omits this route.
    """

    def __init__(
        self, path: str, endpoint: ASGIApp, specs: Iterable[RouteSpec] = (), *, methods: Iterable[str] = ()
    ) -> None:
        self.specs = tuple(specs)
        names = [*methods, *(spec.method for spec in self.specs)]
        super().__init__(path, endpoint, methods=names, include_in_schema=bool(self.specs))
        self.app = endpoint  # Starlette would treat a plain function as a request handler
        self.relays = any(spec.relays for spec in self.specs)


def _authenticated_route(spec: RouteSpec, scope: KeyScope | Literal["any"]) -> type[APIRoute]:
    """Return a class of routes that authenticate a request and check the scope of the API key.

    These routes authenticate the request before FastAPI reads the body. A dependency would run after FastAPI has parsed
    the body. A caller without an API key could use much CPU time with large bodies.
    """

    class AuthenticatedRoute(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            handle = super().get_route_handler()
            has_json_body = self.body_field is not None

            async def authenticate_and_handle(request: Request) -> Response:
                services = services_of(request.scope)
                principal = await services.authenticator.authenticate(services.installation.database, request.scope)
                authorize(request.scope, principal, scope)
                request.scope[PRINCIPAL] = principal
                if has_json_body:
                    require_json(request.headers.get("content-type", ""))
                    require_few_values(await request.body())
                if spec.idempotent:
                    response = await handle_once(services.installation, principal, request, handle)
                else:
                    response = _or_not_modified(request.scope, await handle(request))
                return _with_location(response, spec, services.installation.settings.public_url)

            return authenticate_and_handle

    return AuthenticatedRoute


def _with_location(response: Response, spec: RouteSpec, public_url: str) -> Response:
    """Add the address of a created resource to a response 201 (RFC 9110, 15.3.2)."""
    if response.status_code == 201 and spec.location is not None:
        response.headers["location"] = public_url + spec.location.format_map(json.loads(bytes(response.body)))
    return response


def _or_not_modified(request: Scope, response: Response) -> Response:
    """Return a 304 response if the caller already has the response to a GET with this entity tag."""
    etag = response.headers.get("etag")
    if request["method"] != "GET" or etag is None or not is_current(request, etag.encode()):
        return response
    headers = {name: value for name, value in response.headers.items() if not name.startswith("content-")}
    return Response(status_code=304, headers=headers)


def authorize(request: Scope, principal: Principal, required: KeyScope | Literal["any"]) -> None:
    """Check the scope that a route requires, and record the organization and the API key for logs and traces.

    Raises: InsufficientScope.
    """
    request["organization_id"], request["api_key_id"] = principal.organization_id, principal.api_key_id
    if required != ANY:
        principal.require(required)


async def _principal_of(request: Request) -> Principal:
    principal: Principal = request.scope[PRINCIPAL]
    return principal


async def _installation_of(request: Request) -> Installation:
    return services_of(request.scope).installation


def _operation_id(route: APIRoute) -> str:
    return route.name


Authenticated: TypeAlias = Annotated[Principal, Depends(_principal_of)]
"""Type of a route's argument for the authenticated caller. Only a route with a scope can have this argument."""
Installed: TypeAlias = Annotated[Installation, Depends(_installation_of)]
"""Type of a route's argument for the running installation."""
