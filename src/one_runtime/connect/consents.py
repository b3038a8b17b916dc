"""The routes of a consent: our window's page, to the provider and back, and what our frame asks (P5, P6)."""

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from one_runtime.connect.cookies import BrowserBinding, Cookies
from one_runtime.connect.posted import is_from_our_page, read_choice
from one_runtime.connect.requests import PRIVATE, body_of, called, is_framed, rendered
from one_runtime.connect.screens import Screens
from one_runtime.connect.window import TopLevelPages
from one_runtime.connect.wire import (
    DepartureAnswer,
    PreparedAnswer,
    outcome_answer,
    read_connect,
    read_outcome,
    read_ticket,
)
from one_runtime.connecting.authorization import AuthorizationFlow
from one_runtime.connecting.authorization_steps import AuthorizationExpired, CallbackResult
from one_runtime.errors import MalformedRequest, OneRuntimeError, TooLarge
from one_runtime.oauth.callback import CALLBACK_PATH
from one_runtime.tenancy.authentication import client_address


class ConsentRoutes:
    """What the door answers. `origin`: our own."""

    def __init__(
        self, flow: AuthorizationFlow, window: TopLevelPages, screens: Screens, cookies: Cookies, origin: str
    ) -> None:
        self._flow, self._window, self._screens = flow, window, screens
        self._cookies, self._origin = cookies, origin

    def routes(self) -> list[Route]:
        """All of them."""
        return [
            Route("/connect/session/consent", called(self._prepare), methods=["POST"]),
            Route("/connect/session/outcome", called(self._outcome), methods=["POST"]),
            Route("/connect/consent", self._page, methods=["GET"]),
            Route("/connect/consent/leave", self._leave, methods=["POST"]),
            Route("/connect/consent/choose", self._choose, methods=["POST"]),
            Route(CALLBACK_PATH + "{slug}", self._come_back, methods=["GET"]),
        ]

    async def _prepare(self, token: str, request: Request) -> BaseModel:
        sent = read_connect(await body_of(request))
        prepared = await self._flow.prepare(token, sent, door="frame", address=client_address(request.scope))
        return PreparedAnswer(consent_id=prepared.consent_id, ticket=prepared.ticket)

    async def _outcome(self, token: str, request: Request) -> BaseModel:
        return outcome_answer(await self._flow.outcome(token, read_outcome(await body_of(request))))

    async def _page(self, request: Request) -> Response:
        """What the window shows that our frame opens. It knows nothing until our frame has told it."""
        if is_framed(request):
            return rendered(self._window.refuse("framed", 403))
        return rendered(self._screens.consent())

    async def _leave(self, request: Request) -> Response:
        """Called by the script of that page alone: no other site's page can make a browser send this."""
        if not is_from_our_page(request.headers, self._origin):
            raise AuthorizationExpired("This has to come from our own page.")
        departure = await self._flow.leave(read_ticket(await body_of(request)))
        headers = {**PRIVATE, "Set-Cookie": self._cookies.setting(departure)}
        return Response(DepartureAnswer(url=departure.url).model_dump_json(), 200, headers, "application/json")

    async def _come_back(self, request: Request) -> Response:
        if request.method != "GET":  # a look at the head must not use the state up
            return Response(status_code=405, headers={"Allow": "GET", **PRIVATE})
        if is_framed(request):
            return rendered(self._window.refuse("framed", 403))
        found: list[BrowserBinding] = []

        def cookie(name: str) -> str | None:
            traveller = self._cookies.read(request.cookies, name)
            found.extend([traveller] if traveller is not None else [])
            return traveller.secret if traveller is not None else None

        slug, query = request.path_params["slug"], request.scope["query_string"]
        try:
            arrival = await self._flow.come_back(slug, query, cookie, client_address(request.scope))
        except OneRuntimeError as error:  # a person looks at this window
            return rendered(self._window.refuse("broken", error.status))
        return await self._arrived(arrival, found[0] if found else None)

    async def _choose(self, request: Request) -> Response:
        """One of several accounts, from our own page, in the browser that came back."""
        if is_framed(request) or not is_from_our_page(request.headers, self._origin):
            return rendered(self._window.refuse("foreign", 403))
        try:
            choice = read_choice(request.headers.get("content-type", ""), await body_of(request))
        except (MalformedRequest, TooLarge) as error:
            return rendered(self._window.refuse("broken", error.status))
        traveller = self._cookies.read(request.cookies, choice.cookie)
        secret = traveller.secret if traveller is not None else ""
        try:
            arrival = await self._flow.choose(choice, secret, client_address(request.scope))
        except OneRuntimeError as error:
            return rendered(self._window.refuse("broken", error.status))
        return await self._arrived(arrival, traveller)

    async def _arrived(self, arrival: CallbackResult, traveller: BrowserBinding | None) -> Response:
        token = traveller.session_token if traveller is not None else None
        response = rendered(await self._window.come_back(arrival, token))
        if arrival.choosing is not None and traveller is not None:
            response.headers["Set-Cookie"] = self._cookies.keeping(arrival.choosing.cookie, traveller)
        if arrival.cookie is not None:
            response.headers["Set-Cookie"] = self._cookies.deleting(arrival.cookie)
        return response
