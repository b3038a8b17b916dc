"""The routes of an authorization: our window's page, the provider's callback, and our frame's requests (P5, P6)."""

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from one_runtime.connect.cookies import Cookies
from one_runtime.connect.forms import is_from_our_page, read_account
from one_runtime.connect.requests import PRIVATE, is_framed, json_endpoint, page_response, read_body
from one_runtime.connect.screens import Screens
from one_runtime.connect.top_level_pages import TopLevelPages
from one_runtime.connect.wire import (
    PreparedAnswer,
    RedirectAnswer,
    outcome_answer,
    read_connect,
    read_outcome,
    read_ticket,
)
from one_runtime.connecting import authorization, popup
from one_runtime.connecting.authorization import CallbackResult
from one_runtime.connecting.authorization_attempts import AuthorizationExpired
from one_runtime.context import Installation
from one_runtime.errors import OneRuntimeError
from one_runtime.oauth.callback import CALLBACK_PATH
from one_runtime.tenancy.authentication import client_address


class AuthorizationRoutes:
    """Endpoints of authorizations. `origin`: our own."""

    def __init__(
        self, installation: Installation, pages: TopLevelPages, screens: Screens, cookies: Cookies, origin: str
    ) -> None:
        self._installation, self._pages, self._screens = installation, pages, screens
        self._cookies, self._origin = cookies, origin

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/connect/session/authorization", json_endpoint(self._prepare), methods=["POST"]),
            Route("/connect/session/outcome", json_endpoint(self._outcome), methods=["POST"]),
            Route("/connect/authorization", self._window, methods=["GET"]),
            Route("/connect/authorization/start", self._start, methods=["POST"]),
            Route("/connect/authorization/account", self._select_account, methods=["POST"]),
            Route(CALLBACK_PATH + "{slug}", self._callback, methods=["GET"]),
        ]

    async def _prepare(self, token: str, request: Request) -> BaseModel:
        submitted = read_connect(await read_body(request))
        view = await popup.load_view(
            self._installation, token, integration_slug=submitted.integration_slug, opening=False
        )
        authorization_id, ticket = await authorization.prepare_authorization(self._installation, view, submitted)
        return PreparedAnswer(authorization_id=authorization_id, ticket=ticket.secret)

    async def _outcome(self, token: str, request: Request) -> BaseModel:
        authorization_id = read_outcome(await read_body(request))
        return outcome_answer(await authorization.get_outcome(self._installation, token, authorization_id))

    async def _window(self, request: Request) -> Response:
        """The page of the window that our frame opens. It gets its ticket from the frame."""
        if is_framed(request):
            return page_response(self._pages.refuse("framed", 403))
        return page_response(self._screens.authorization_window())

    async def _start(self, request: Request) -> Response:
        """Only the script of that page may call this: another site's page cannot make a browser send the header."""
        if not is_from_our_page(request.headers, self._origin):
            raise AuthorizationExpired("This request must come from One Runtime's own page. Start again from the app.")
        redirect = await authorization.start_authorization(self._installation, read_ticket(await read_body(request)))
        headers = {**PRIVATE, "Set-Cookie": self._cookies.set_header(redirect.binding)}
        return Response(RedirectAnswer(url=redirect.url).model_dump_json(), 200, headers, "application/json")

    async def _callback(self, request: Request) -> Response:
        if request.method != "GET":  # a HEAD request must not consume the state
            return Response(status_code=405, headers={"Allow": "GET", **PRIVATE})
        if is_framed(request):
            return page_response(self._pages.refuse("framed", 403))
        slug, query = request.path_params["slug"], request.scope["query_string"]
        try:
            result = await authorization.handle_callback(
                self._installation,
                slug,
                query,
                lambda name: self._cookies.read(request.cookies, name),
                client_address(request.scope),
            )
        except OneRuntimeError as error:  # a person sees this window
            return page_response(self._pages.refuse("broken", error.status))
        return await self._respond(result)

    async def _select_account(self, request: Request) -> Response:
        """The selection of an account, from our own page, in the browser that brought the callback."""
        if is_framed(request) or not is_from_our_page(request.headers, self._origin):
            return page_response(self._pages.refuse("foreign", 403))
        try:
            post = read_account(request.headers.get("content-type", ""), await read_body(request))
            binding = self._cookies.read(request.cookies, post.cookie)
            result = await authorization.select_account(
                self._installation, post.authorization, post.account, binding, client_address(request.scope)
            )
        except OneRuntimeError as error:
            return page_response(self._pages.refuse("broken", error.status))
        return await self._respond(result)

    async def _respond(self, result: CallbackResult) -> Response:
        response = page_response(await self._pages.finish_authorization(result))
        if result.binding is not None:  # an attempt of this browser: it has ended, unless an account is to be selected
            header = self._cookies.set_header if result.selection is not None else self._cookies.delete_header
            response.headers["Set-Cookie"] = header(result.binding)
        return response
