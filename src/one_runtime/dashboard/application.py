"""Build the ASGI application of the dashboard: check the host, the session and the permission, and call the page."""

from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias
from urllib.parse import quote, urlencode, urlsplit

from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from one_runtime.dashboard import (
    account,
    agents,
    api_keys,
    audit,
    connection_actions,
    connections,
    custom_integrations,
    end_users,
    integration,
    integrations,
    invitation,
    members,
    openid,
    organizations,
    overview,
    playground,
    requests,
    session,
    settings,
    sign_in,
    sign_in_again,
    webhook_deliveries,
    webhooks,
)
from one_runtime.dashboard.assets import load_static_files
from one_runtime.dashboard.cookies import SESSION, DashboardCookies
from one_runtime.dashboard.declarations import PUBLIC, SIGNED_IN, Access, PageSpec
from one_runtime.dashboard.limits import limit_time, read_body, require_text_in_url
from one_runtime.dashboard.rendering import Renderer
from one_runtime.dashboard.visit import DashboardServices, Visit, is_partial
from one_runtime.db.ids import new_id
from one_runtime.errors import InsufficientRole, MethodNotAllowed, NotAllowed, NotFound, OneRuntimeError
from one_runtime.team import dashboard_sessions
from one_runtime.team.dashboard_sessions import Visitor
from one_runtime.telemetry.current_request import current_request
from one_runtime.telemetry.logger import Logger
from one_runtime.telemetry.request_observer import Observer
from one_runtime.tenancy.roles import PERMISSIONS

_MODULES: Final = (
    session,
    sign_in,
    sign_in_again,
    openid,
    invitation,
    account,
    organizations,
    overview,
    playground,
    settings,
    requests,
    integrations,
    integration,
    custom_integrations,
    audit,
    api_keys,
    members,
    webhooks,
    webhook_deliveries,
    agents,
    connections,
    connection_actions,
    end_users,
)

PAGES: Final[tuple[PageSpec, ...]] = tuple(spec for module in _MODULES for spec in module.pages.specs)
"""The declarations of all pages and actions."""

_PATHS_OF_PAGES: Final = frozenset(spec.path for spec in PAGES if spec.method == "GET")

_COMPRESSION_LEVEL: Final = 4
_VISIT: Final = "one_runtime.visit"
Handle: TypeAlias = Callable[[Request], Awaitable[Response]]

log = Logger()


class Dashboard:
    """The application. `connect_js`: the popup's script."""

    def __init__(self, services: DashboardServices, observer: Observer, connect_js: bytes) -> None:
        settings = services.installation.settings
        static = load_static_files(connect_js)
        self._services, self._observer = services, observer
        self._body_timeout = settings.body_timeout
        self._origin, self._host = settings.dashboard_url, urlsplit(settings.dashboard_url).netloc
        self._renderer = Renderer(static, settings.public_url, settings.dashboard_url)
        self._cookies = DashboardCookies(secure=settings.dashboard_url.startswith("https://"))
        routes = [Route(spec.path, _endpoint(self._handle, spec), methods=[spec.method]) for spec in PAGES]
        routes.append(Route("/assets/{hash}/{name}", static.respond))
        router = Router(routes, redirect_slashes=False, default=_not_found)
        self._app: ASGIApp = GZipMiddleware(router, minimum_size=1000, compresslevel=_COMPRESSION_LEVEL)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request. Record it, and respond to an error with a page."""
        request_id = new_id()
        scope["request_id"] = request_id
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"request-id", request_id.encode())]
            await send(message)

        current = current_request.set(scope)
        started = self._observer.begin(scope)
        try:
            try:
                self._check_origin(Request(scope))
                require_text_in_url(Request(scope))
                scope["app"] = self  # with it, the router raises HTTPException for a wrong method
                await self._app(scope, limit_time(receive, self._body_timeout), send_with_id)
            except OneRuntimeError as error:
                await self._fail(error, scope, receive, send_with_id, has_begun=status != 0)
            except HTTPException:
                wrong = MethodNotAllowed("This address does not accept this method. Open the page again.", ())
                await self._fail(wrong, scope, receive, send_with_id, has_begun=status != 0)
            except Exception as error:  # only the log contains the details
                route, kind = self._observer.route_of(scope), type(error).__name__
                log.exception("request_crashed", request_id=request_id, route=route, kind=kind)
                await self._fail(_crashed(request_id), scope, receive, send_with_id, has_begun=status != 0)
        finally:
            self._observer.end(scope, status, started)
            current_request.reset(current)

    def _check_origin(self, request: Request) -> None:
        """Refuse a request for another host (DNS rebinding), and a form of another site (CSRF).

        Raises: NotFound, NotAllowed.
        """
        if request.headers.getlist("host") != [self._host]:
            raise NotFound(f"The dashboard answers only at {self._origin}.")
        if request.method in {"GET", "HEAD"}:
            return
        site = request.headers.get("sec-fetch-site")
        if site != "same-origin" if site is not None else request.headers.get("origin") != self._origin:
            raise NotAllowed("Another site sent this form. Open the page again, and send the form from there.")

    async def _handle(self, request: Request, spec: PageSpec) -> Response:
        """Check the session and the permission, and call the page.

        The whole form arrives before the check. Otherwise, a browser could send the end of a form after the session has
        ended, or after the member was removed.
        """
        request.scope["route"] = _RouteTemplate(spec.path)
        posted = await read_body(request, is_public=spec.access is PUBLIC) if spec.method == "POST" else b""
        now = self._services.installation.clock()
        visitor = await self._visitor(request, spec.access)
        visit = Visit(
            request, self._services, self._renderer, self._cookies, visitor, now, spec.messages, spec.failures, posted
        )
        if spec.access is not PUBLIC:
            if visitor is None:
                return _to_sign_in(request, spec)
            if visitor.role is not None:
                request.scope[_VISIT] = visit
            if spec.access != SIGNED_IN:
                _check_permission(visit, spec)
                request.scope["organization_id"] = visit.organization_id
            if spec.recent and not visitor.has_authenticated_recently(now):
                form = await visit.form()
                if spec.needs_recent_authentication(form):
                    return RedirectResponse(f"/sign-in/again{_next(request, spec, form)}", 303)
        return await spec.handler(visit)

    async def _visitor(self, request: Request, access: Access) -> Visitor | None:
        token = self._cookies.read(request.cookies, SESSION)
        if token is None:
            return None
        installation, organization_id = self._services.installation, request.path_params.get("organization_id")
        now = installation.clock()
        async with installation.database.read() as tx:
            visitor = await dashboard_sessions.find_visitor(tx, token, organization_id, now)
        # A live list sends requests without the member, so they do not prolong the session.
        is_used = access is not PUBLIC and not is_partial(request)
        if visitor is not None and is_used and dashboard_sessions.is_due(visitor, now):
            async with installation.database.write() as tx:
                await dashboard_sessions.touch(tx, visitor.session_id, now)
        return visitor

    async def _fail(
        self, error: OneRuntimeError, scope: Scope, receive: Receive, send: Send, *, has_begun: bool
    ) -> None:
        if has_begun:
            return
        scope["error_code"] = error.code
        visit = scope.get(_VISIT)  # set for a member of the organization in the path
        page = "error.html" if visit is None or visit.is_partial else "error_with_menu.html"
        shown = {"title": error.title, "error": error, "visit": visit, "message": None}
        body = self._renderer.render(page, is_masked=visit is not None and visit.is_masked, **shown)
        retry = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
        await Response(body, error.status, {**self._renderer.headers, **retry})(scope, receive, send)


class _RouteTemplate:
    """The route of a request for metrics and logs."""

    def __init__(self, path_format: str) -> None:
        self.path_format = path_format


def _endpoint(handle: Callable[[Request, PageSpec], Awaitable[Response]], spec: PageSpec) -> Handle:
    async def endpoint(request: Request) -> Response:
        return await handle(request, spec)

    return endpoint


def _check_permission(visit: Visit, spec: PageSpec) -> None:
    """Raises: NotFound for an organization in which the member has no role. InsufficientRole without the permission."""
    member = visit.member
    if member.role is None:
        raise NotFound("There is no such page, or you are no member of this organization.")
    if spec.access not in PERMISSIONS or not member.may(spec.access):
        raise InsufficientRole(
            f"Your role in {member.organization_name} is {member.role}, which does not allow this. Ask an owner or an "
            "administrator of the organization."
        )


def _to_sign_in(request: Request, spec: PageSpec) -> Response:
    """Redirect the browser. After a request of htmx, the whole page changes, and not only a part of the page."""
    path = f"/sign-in{_next(request, spec)}"
    return Response(headers={"HX-Redirect": path}) if is_partial(request) else RedirectResponse(path, 303)


def _next(request: Request, spec: PageSpec, form: FormData | None = None) -> str:
    """Return a query with the page to which the browser returns after the sign-in.

    After an action, this is the page with the form: the nearest page above the action's path. `form`: the fields of the
    action, of which the page gets the values that the action declares in `kept`.
    """
    path, query = request.url.path, request.url.query
    if spec.method == "POST":
        template = spec.path
        while template and template not in _PATHS_OF_PAGES:
            template, path = template.rpartition("/")[0], path.rpartition("/")[0]
        kept = {name: form.getlist(name) for name in spec.kept} if form is not None else {}
        query = urlencode(kept, doseq=True)
    target = path + (f"?{query}" if query else "")
    return f"?next={quote(target)}" if target not in {"", "/"} else ""


async def _not_found(*_: object) -> None:
    raise NotFound("There is no such page.")


def _crashed(request_id: str) -> OneRuntimeError:
    return OneRuntimeError(f"Something went wrong. If this happens again, report the request id {request_id}.")
