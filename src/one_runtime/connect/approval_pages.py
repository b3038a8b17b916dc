"""Show the end user the exact call of an agent, and store the end user's answer.

The organization's backend opens the page for the user who is signed in to the organization's product. Only the address
of the page contains its token, and the agent never receives this address.
"""

import json
import re
import unicodedata
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Final, Literal, TypeAlias
from urllib.parse import parse_qsl, urlencode

from pydantic import Field, StringConstraints
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from one_runtime.agents import approvals
from one_runtime.agents.approvals import Answer, ApprovalRequest, SealedCall
from one_runtime.agents.calls import label_of
from one_runtime.agents.shaping import indented
from one_runtime.catalog.model import Integration
from one_runtime.connect.forms import is_from_our_page, read_form
from one_runtime.connect.pages import ENVIRONMENT, NO_ANCESTORS, Site, headers
from one_runtime.connect.requests import is_framed, read_body
from one_runtime.connect.screens import Screens, organization_values, origin_of
from one_runtime.connect.texts import Texts
from one_runtime.connect.wire import Sent
from one_runtime.connections import connections
from one_runtime.context import Installation
from one_runtime.egress.provider_text import INVISIBLE
from one_runtime.encryption.vault import SealBroken
from one_runtime.errors import MalformedRequest, NotFound, OneRuntimeError, TooLarge
from one_runtime.tenancy import organizations
from one_runtime.tenancy.authentication import client_address
from one_runtime.tenancy.events import Actor

PATH: Final = "/connect/approval"

Decision: TypeAlias = Literal["once", "all", "refuse"]
MAX_SHOWN: Final = 4 * approvals.MAX_BODY
"""Number of characters up to which the page indents JSON. The spaces of nested lists can need millions."""
_CLOSED: Final = 410
_UNUSUAL: Final = re.compile(r"[^\n\t -~]")
"""A character that can be invisible."""
_INVISIBLE_CATEGORIES: Final = frozenset({"Cc", "Cf", "Co", "Cn", "Cs", "Zl", "Zp"})


class AnswerPost(Sent):
    """The posted answer of the end user."""

    approval_token: Annotated[str, StringConstraints(min_length=1, max_length=200)] = Field(repr=False)
    answer: Decision


@dataclass(frozen=True, slots=True)
class CallText:
    """A call as the page shows it. `parts`: the key of the title, and the text."""

    method: str
    target: str
    parts: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, request: ApprovalRequest, call: SealedCall) -> "CallText":
        """Return the texts of a call."""
        content_type = dict(call.headers).get("content-type", "")
        others = [(name, value) for name, value in call.headers if name != "content-type"]
        parts = {
            "approve.query": _lines(parse_qsl(call.query, keep_blank_values=True)),
            "approve.headers": _lines(others),
            "approve.body": _body(call.body or "", content_type),
        }
        shown = tuple((key, visible(lines)) for key, lines in parts.items() if lines)
        return cls(request.method, visible(f"{request.host}{call.base_path}{request.path}"), shown)


class ApprovalPages:
    """The routes of the page. `logo_url` returns the URL of an integration's logo on this server."""

    def __init__(
        self, installation: Installation, site: Site, screens: Screens, logo_url: Callable[[Integration], str | None]
    ) -> None:
        self._installation, self._site, self._screens, self._logo_url = installation, site, screens, logo_url
        self._origin = origin_of(installation.settings.public_url) or ""

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [Route(PATH, self._show, methods=["GET"]), Route(PATH, self._answer, methods=["POST"])]

    async def _show(self, request: Request) -> Response:
        screens = self._screens.answering(request)
        if is_framed(request):
            return screens.refusal("framed", 403)
        token, now = request.query_params.get("approval_token", ""), self._installation.clock()
        async with self._installation.database.read() as tx:
            approval = await approvals.find_by_token(tx, token)
            if approval is None or approval.status(now) != "open":
                return screens.refusal("approval_closed", _CLOSED)
            try:
                connection = await connections.get(tx, approval.organization_id, approval.connection_id)
            except NotFound:  # the connection was deleted
                return screens.refusal("approval_closed", _CLOSED)
            try:
                call = await approvals.read_call(tx, self._installation.vault, approval)
            except SealBroken as error:
                return screens.refusal("broken", error.status)
        if call.account_id != connection.account_id:  # the page would name another account than the agent's call has
            return screens.refusal("approval_closed", _CLOSED)
        values = {"token": token, "account": label_of(connection), "call": CallText.of(approval, call)}
        return await self._render("approval", screens.texts(), approval, values, "approve.title")

    async def _answer(self, request: Request) -> Response:
        screens = self._screens.answering(request)
        if is_framed(request) or not is_from_our_page(request.headers, self._origin):
            return screens.refusal("foreign", 403)
        try:
            post = read_form(AnswerPost, request.headers.get("content-type", ""), await read_body(request))
        except (MalformedRequest, TooLarge) as error:
            return screens.refusal("broken", error.status)
        now = self._installation.clock()
        given: Answer = "refused" if post.answer == "refuse" else "approved"
        try:
            async with self._installation.database.write() as tx:
                approval = await approvals.find_by_token(tx, post.approval_token)
                if approval is None:
                    return screens.refusal("approval_closed", _CLOSED)
                address = client_address(request.scope)
                actor = Actor(approval.organization_id, "end_user", approval.end_user_id, address)
                await approvals.answer(tx, approval, actor, given, now, for_all=post.answer == "all")
        except OneRuntimeError:
            return screens.refusal("approval_closed", _CLOSED)
        if approval.return_url is not None:
            return _return(approval.return_url, approval.id, given)
        texts, notice = screens.texts(), f"notice.approval_{given}"
        return await self._render("notice", texts, approval, {"body": texts[f"{notice}.body"]}, f"{notice}.title")

    async def _render(
        self, template: str, texts: Texts, approval: ApprovalRequest, values: dict[str, object], title: str
    ) -> Response:
        async with self._installation.database.read() as tx:
            organization = await organizations.get(tx, approval.organization_id)
            slug = approval.integration_slug
            integration = await self._installation.catalogs.get(tx, approval.organization_id, slug)
        name = integration.name if integration is not None else slug
        body = ENVIRONMENT.get_template(f"window/{template}.html").render(
            **self._site.values(texts),
            session="",
            title=texts.text(title, integration=name),
            integration=name,
            integration_logo=self._logo_url(integration) if integration is not None else None,
            return_to=None,
            **organization_values(organization),
            **values,
        )
        # Some browsers apply `form-action` to the redirect that follows the form (CSP 3, section 6.1.5).
        back = origin_of(approval.return_url)
        return Response(body, 200, headers(NO_ANCESTORS, ("'self'", back) if back else ("'self'",), keeps_opener=False))


def visible(value: str) -> str:
    """Return a text in which each invisible character, and each that reorders the text, is written as its number."""
    return _UNUSUAL.sub(lambda match: _numbered(match[0]), value)


def _numbered(character: str) -> str:
    is_invisible = unicodedata.category(character) in _INVISIBLE_CATEGORIES or INVISIBLE.match(character) is not None
    return f"\\u{ord(character):04x}" if is_invisible else character


def _lines(pairs: list[tuple[str, str]]) -> str:
    """Return a line for each pair. A line break in a value must not look like another pair."""
    return "\n".join(f"{name} = {value}".replace("\n", "\\n") for name, value in pairs)


def _body(body: str, content_type: str) -> str:
    if content_type == "application/json":
        with suppress(ValueError, RecursionError):
            text = indented(json.loads(body), MAX_SHOWN)
            return text if len(text) <= MAX_SHOWN else body
    if content_type == "application/x-www-form-urlencoded":
        return _lines(parse_qsl(body, keep_blank_values=True))
    return body


def _return(url: str, request_id: str, status: str) -> Response:
    """Return a redirect to the organization's page, which the browser follows with GET (RFC 9110 section 15.4.4)."""
    parameters = urlencode({approvals.PARAMETER: request_id, "status": status})
    separator = "&" if "?" in url else "?"
    private = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
    return RedirectResponse(f"{url}{separator}{parameters}", 303, private)
