"""Define the popup's HTTP routes. Each route parses the request, calls `connecting`, and renders the response.

No route writes a log, because requests contain secrets (promise P11 of docs/security.md).
"""

from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from one_runtime.catalog.model import Integration
from one_runtime.connect.agent_authorization import AgentAuthorizationPage
from one_runtime.connect.approval_pages import ApprovalPages
from one_runtime.connect.assets import load_assets
from one_runtime.connect.cookies import Cookies
from one_runtime.connect.forms import AccountPost, FormPost, is_from_our_page, read_form
from one_runtime.connect.pages import Site, render
from one_runtime.connect.requests import PRIVATE, is_framed, json_endpoint, read_body
from one_runtime.connect.screens import Screens
from one_runtime.connect.theme import Theme
from one_runtime.connect.top_level_pages import TopLevelPages
from one_runtime.connect.wire import (
    ConnectBody,
    ConnectedAnswer,
    OpenerPolicyBody,
    OutcomeBody,
    PreparedAnswer,
    RedirectAnswer,
    SearchAnswer,
    SearchBody,
    TicketBody,
    ViewBody,
    outcome_answer,
    read_json,
    view_answer,
)
from one_runtime.connecting import authorization, authorization_outcome, popup
from one_runtime.connecting.authorization import CallbackResult
from one_runtime.connecting.authorization_attempts import AuthorizationExpired
from one_runtime.connecting.popup import PopupView, SubmittedForm
from one_runtime.context import Installation
from one_runtime.errors import MalformedRequest, NotFound, OneRuntimeError, TooLarge
from one_runtime.oauth.callback import CALLBACK_PATH
from one_runtime.tenancy.authentication import client_address

_PUBLIC_MODULE: Final = {
    "Access-Control-Allow-Origin": "*",
    "Cross-Origin-Resource-Policy": "cross-origin",
    "Cache-Control": "public, max-age=300, stale-while-revalidate=3600",
    "X-Content-Type-Options": "nosniff",
}


class PopupRoutes:
    """Endpoints for the popup in a frame, for the pages that are not in a frame, and for OAuth authorizations.

    `logo_url` returns the URL of an integration's logo on this server.
    """

    def __init__(self, installation: Installation, logo_url: Callable[[Integration], str | None]) -> None:
        address = urlsplit(installation.settings.public_url)
        self._installation, self._logo_url, self._assets = installation, logo_url, load_assets()
        self._origin = f"{address.scheme}://{address.netloc}"
        self._site = Site(address.path.rstrip("/"), self._assets.hash)
        self._screens, self._cookies = Screens(self._site, logo_url), Cookies(secure=address.scheme == "https")
        self._agent_page = AgentAuthorizationPage(installation, self._screens)
        self._approvals = ApprovalPages(installation, self._site, self._screens, logo_url)

    def routes(self) -> list[Route]:
        """Return all routes of the popup."""
        return [
            Route("/connect", self._page, methods=["GET"], name="connect"),
            Route("/connect", self._form, methods=["POST"]),
            Route("/connect/session", json_endpoint(self._view), methods=["POST"]),
            Route("/connect/session/search", json_endpoint(self._search), methods=["POST"]),
            Route("/connect/session/connect", json_endpoint(self._connect), methods=["POST"]),
            Route("/connect/session/cancel", json_endpoint(self._cancel), methods=["POST"]),
            Route("/connect/session/authorization", json_endpoint(self._prepare), methods=["POST"]),
            Route("/connect/session/outcome", json_endpoint(self._outcome), methods=["POST"]),
            Route("/connect/authorization", self._window, methods=["GET"]),
            Route("/connect/authorization/start", self._start, methods=["POST"]),
            Route("/connect/authorization/opener-policy", self._note_opener_policy, methods=["POST"]),
            Route("/connect/authorization/account", self._answer_question, methods=["POST"]),
            Route(CALLBACK_PATH + "{slug}", self._callback, methods=["GET"]),
            *self._approvals.routes(),
            Route("/connect/assets/{version}/{name}", self._asset),
            Route("/connect.js", self._connect_js),
            Route("/connect.d.ts", _connect_types),
            *self._agent_page.routes(),
        ]

    async def _page(self, request: Request) -> Response:
        query = request.query_params
        token = query.get("session_token")
        shell = await popup.load_shell(
            self._installation, token=token, token_digest=query.get("token_digest"), session_id=query.get("session")
        )
        if shell.mode == "embed":
            # Old browsers do not send `Sec-Fetch-Dest`, and new browsers can omit this header for an http URL. If the
            # header is missing, the page's script checks if the page is in a frame.
            framed = request.headers.get("sec-fetch-dest") != "document"
            return render(self._site, shell, self._screens.answering(request).texts(shell.locale), framed=framed)
        if is_framed(request):
            return self._screens.answering(request).refusal("framed", 403)
        return await self._pages(request).open(shell, token, opening=request.method == "GET")

    def _pages(self, request: Request) -> TopLevelPages:
        return TopLevelPages(self._installation, self._screens.answering(request), self._cookies)

    async def _form(self, request: Request) -> Response:
        """Handle a form of a page that is not in a frame. Respond with a page, or with a redirect to the app."""
        if is_framed(request):
            return self._screens.answering(request).refusal("framed", 403)
        if not is_from_our_page(request.headers, self._origin):
            return self._screens.answering(request).refusal("foreign", 403)
        try:
            post = read_form(FormPost, request.headers.get("content-type", ""), await read_body(request))
        except (MalformedRequest, TooLarge) as error:
            return self._screens.answering(request).refusal("broken", error.status)
        return await self._pages(request).submit(post, client_address(request.scope))

    async def _view(self, token: str, request: Request) -> BaseModel:
        body = read_json(ViewBody, await read_body(request) or b"{}")
        view = await popup.load_view(
            self._installation, token, session_id=body.session_id, integration_slug=body.integration_slug
        )
        return view_answer(view, self._logo_url)

    async def _search(self, token: str, request: Request) -> BaseModel:
        body = read_json(SearchBody, await read_body(request))
        return SearchAnswer(slugs=await popup.search_list(self._installation, token, body.session_id, body.query))

    async def _connect(self, token: str, request: Request) -> BaseModel:
        view, submitted = await self._read_form(token, request)
        connected = await popup.connect(self._installation, view, submitted, client_address(request.scope))
        return ConnectedAnswer.model_validate(connected)

    async def _cancel(self, token: str, _: Request) -> None:
        await popup.cancel(self._installation, token)

    async def _prepare(self, token: str, request: Request) -> BaseModel:
        view, submitted = await self._read_form(token, request)
        authorization_id, ticket = await authorization.prepare_authorization(self._installation, view, submitted)
        return PreparedAnswer(authorization_id=authorization_id, ticket=ticket.secret)

    async def _read_form(self, token: str, request: Request) -> tuple[PopupView, SubmittedForm]:
        submitted = SubmittedForm(**dict(read_json(ConnectBody, await read_body(request))))
        slug = submitted.integration_slug
        return await popup.load_view(self._installation, token, integration_slug=slug, opening=False), submitted

    async def _outcome(self, token: str, request: Request) -> BaseModel:
        authorization_id = read_json(OutcomeBody, await read_body(request)).authorization_id
        return outcome_answer(await authorization_outcome.get_outcome(self._installation, token, authorization_id))

    async def _window(self, request: Request) -> Response:
        """Return the first page in the window of an OAuth authorization. The page waits for a ticket from the popup."""
        if is_framed(request):
            return self._screens.answering(request).refusal("framed", 403)
        theme = Theme.parse(request.query_params.get("theme", "")) or Theme()
        screens, locale = self._screens.answering(request), request.query_params.get("locale")
        by_popup = is_from_our_page(request.headers, self._origin)
        return screens.authorization_window(theme, locale, by_popup=by_popup)

    async def _note_opener_policy(self, request: Request) -> Response:
        """Store that the window of an authorization has no opener. Only the window of our popup calls this route."""
        if not is_from_our_page(request.headers, self._origin):
            raise AuthorizationExpired("This request must come from One Runtime's own page. Start again from the app.")
        session_id = read_json(OpenerPolicyBody, await read_body(request)).session
        await authorization_outcome.note_opener_policy(self._installation, session_id)
        return Response(status_code=204, headers=PRIVATE)

    async def _start(self, request: Request) -> Response:
        """Exchange a ticket (a one-time token) for the URL of the provider's authorization page.

        Only One Runtime's own pages can call this route, because `is_from_our_page` checks the request.
        """
        if not is_from_our_page(request.headers, self._origin):
            raise AuthorizationExpired("This request must come from One Runtime's own page. Start again from the app.")
        ticket = read_json(TicketBody, await read_body(request)).ticket
        redirect = await authorization.start_authorization(self._installation, ticket)
        headers = {**PRIVATE, "Set-Cookie": self._cookies.set_header(redirect.binding)}
        return Response(RedirectAnswer(url=redirect.url).model_dump_json(), 200, headers, "application/json")

    async def _callback(self, request: Request) -> Response:
        if request.method != "GET":  # a HEAD request must not use the state, because each state is valid only once
            return Response(status_code=405, headers={"Allow": "GET", **PRIVATE})
        if is_framed(request):
            return self._screens.answering(request).refusal("framed", 403)
        slug, query = request.path_params["slug"], request.scope["query_string"]
        try:
            result = await authorization.handle_callback(
                self._installation,
                slug,
                query,
                lambda name: self._cookies.read(request.cookies, name),
                client_address(request.scope),
            )
        except OneRuntimeError as error:  # the end user sees the response, so respond with a page
            return self._screens.answering(request).refusal("broken", error.status)
        return await self._finish(request, result)

    async def _answer_question(self, request: Request) -> Response:
        """Handle the selection of an account, or the decision to replace or keep the connected account.

        The request must come from our own page, in the browser that sent the callback.
        """
        if is_framed(request) or not is_from_our_page(request.headers, self._origin):
            return self._screens.answering(request).refusal("foreign", 403)
        try:
            post = read_form(AccountPost, request.headers.get("content-type", ""), await read_body(request))
            binding = self._cookies.read(request.cookies, post.cookie)
            result = await authorization.answer_question(
                self._installation, post.authorization, post.account, binding, client_address(request.scope)
            )
        except OneRuntimeError as error:
            return self._screens.answering(request).refusal("broken", error.status)
        return await self._finish(request, result)

    async def _finish(self, request: Request, result: CallbackResult) -> Response:
        response = await self._pages(request).finish_authorization(result)
        # `binding` is set if this browser started the authorization. The answer to a question needs the cookie, so
        # extend the cookie's lifetime before an answer. In all other cases, delete the cookie.
        if result.binding is not None:
            header = self._cookies.set_header if result.selection is not None else self._cookies.delete_header
            response.headers["Set-Cookie"] = header(result.binding)
        return response

    async def _connect_js(self, request: Request) -> Response:
        """Return the script for the organization's page. Its few texts are in the language of the browser."""
        script = self._assets.connect_js(self._screens.answering(request).texts().language)
        headers = {**_PUBLIC_MODULE, "Vary": "accept-language"}
        return Response(script, 200, headers, "text/javascript; charset=utf-8")

    async def _asset(self, request: Request) -> Response:
        language, _, version = request.path_params["version"].rpartition("-")
        file = self._assets.find(request.path_params["name"], language)
        if file is None:
            raise NotFound("There is no such file.")
        current = version == self._assets.hash
        # During an update, a page of an old version can request its files from a process of a new version. The process
        # sends the new file. Browsers must not cache the new file under the old URL.
        caching = "public, max-age=31536000, immutable" if current else "no-store"
        headers = {"Cache-Control": caching, "X-Content-Type-Options": "nosniff"}
        return Response(file.body, 200, headers, file.media_type)


async def _connect_types(_: Request) -> Response:
    return Response(load_assets().connect_types, 200, _PUBLIC_MODULE, "text/plain; charset=utf-8")
