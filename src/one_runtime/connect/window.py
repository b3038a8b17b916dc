"""The modes `redirect` and `link`: pages in a window of their own, which work without JavaScript.

Each step is a form that our own page posts (posted.py), answered with a page. The token stands in the body, never in an
address after the first. Opening the address shows the confirmation in the mode `link`, whatever was done before: what
comes after it is reached by a press of a button of ours only (P6).
"""

from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import quote

from one_runtime.connect.cookies import Cookies
from one_runtime.connect.pages import Page
from one_runtime.connect.posted import FormPost
from one_runtime.connect.screens import FRESH, FormError, Refusal, Screens
from one_runtime.connecting.authorization import AuthorizationFlow
from one_runtime.connecting.authorization_steps import CallbackResult
from one_runtime.connecting.popup import PopupFlow, PopupShell, PopupView
from one_runtime.connections.connections import AccountMismatch
from one_runtime.connections.credentials import CredentialsRefused, ProviderUnavailable
from one_runtime.errors import InvalidInput, OneRuntimeError
from one_runtime.integrations.oauth_clients import OAuthClientMissing

_ANSWERED_IN_THE_FORM: Final = (
    InvalidInput,
    CredentialsRefused,
    ProviderUnavailable,
    AccountMismatch,
    OAuthClientMissing,
)


@dataclass(frozen=True, slots=True)
class Opening:
    """How the address was opened: with which token, inside of another page, and by a person's GET or by a HEAD."""

    token: str | None
    framed: bool
    by_get: bool


class TopLevelPages:
    """What the door answers."""

    def __init__(self, flow: PopupFlow, consents: AuthorizationFlow, screens: Screens, cookies: Cookies) -> None:
        self._flow, self._consents = flow, consents
        self._screens, self._cookies = screens, cookies

    def refuse(self, why: Refusal, status: int) -> Page:
        """A page that shows nothing of any session."""
        return self._screens.refusal(why, status)

    async def open(self, shell: PopupShell, how: Opening) -> Page:
        """The first page for an address. Without a token (a reload, after the script has taken it out of the address)
        it can only start over.

        In the mode `redirect` the first GET opens the session: it lives on for an hour. A scanner of links may do that
        too, and does no harm: an hour is the longest that a session may wait to be opened, so it never ends earlier. In
        the mode `link`, whose addresses scanners do get to see, only the confirmation opens it.
        """
        if how.framed:
            return self.refuse("framed", 403)
        if shell.state != "open":
            return self._screens.ended(shell)
        if how.token is None:
            return self._screens.resume(shell)
        start = FormPost(session_token=how.token, step="resume")
        return await self._taken(start, shell, None, opening=how.by_get)

    async def take(self, form: FormPost, address: str | None) -> Page:
        """The answer to a form of ours."""
        shell = await self._flow.shell(token=form.session_token)
        if shell.state == "open" and shell.mode == "embed":
            return self.refuse("top_level", 409)
        if shell.state != "open":
            return self._screens.ended(shell)
        return await self._taken(form, shell, address)

    async def _taken(self, form: FormPost, shell: PopupShell, address: str | None, *, opening: bool = True) -> Page:
        try:
            if form.step == "cancel":
                return await self._cancel(form)
            if form.step == "connect":
                return await self._connect(form, address)
            if form.step == "resume" and shell.mode == "link":
                return self._screens.confirm(await self._view(form, opening=False), form)
            return self._show(await self._view(form, opening=opening), form)
        except OneRuntimeError as error:
            # Whatever went wrong: either the session is over now, or it is not the person's fault.
            now = await self._flow.shell(token=form.session_token)
            return self._screens.ended(now) if now.state != "open" else self._screens.broken(now, error.status)

    async def _view(self, form: FormPost, *, opening: bool = True) -> PopupView:
        return await self._flow.view(
            form.session_token, door="page", integration_slug=form.integration_slug, opening=opening
        )

    def _show(self, view: PopupView, form: FormPost, trouble: FormError = FRESH) -> Page:
        """The list, the choice between ways to connect, or the form: the first that is not decided yet."""
        if view.integration is None:
            return self._screens.pick(view, form)
        wanted = [auth for auth in view.auths if form.auth_type in {None, auth.type}] or list(view.auths)
        if len(wanted) > 1:
            return self._screens.choose(view, form)
        return self._screens.ask(view, wanted[0], form, trouble)

    async def _cancel(self, form: FormPost) -> Page:
        return_to = await self._flow.cancel(form.session_token)
        if return_to is not None:
            return _go(return_to)
        return self._screens.ended(await self._flow.shell(token=form.session_token))

    async def _connect(self, form: FormPost, address: str | None) -> Page:
        view = await self._view(form)
        try:
            if form.auth_type == "oauth2":
                return await self._leave(view, form, address)
            connected = await self._flow.connect(form.session_token, form.request(), door="page", address=address)
        except _ANSWERED_IN_THE_FORM as error:
            return self._show(view, form, FormError.of(error))
        return self._screens.done(view, connected) if connected.return_to is None else _go(connected.return_to)

    async def _leave(self, view: PopupView, form: FormPost, address: str | None) -> Page:
        """On to the provider's own page. The browser takes the session's token along, to go on when it comes back."""
        prepared = await self._consents.prepare(form.session_token, form.request(), door="page", address=address)
        departure = await self._consents.leave(prepared.ticket)
        page = self._screens.leaving(view, departure)
        cookie = self._cookies.setting(departure, form.session_token)
        return replace(page, headers={**page.headers, "Set-Cookie": cookie})

    async def come_back(self, arrival: CallbackResult, token: str | None) -> Page:
        """The page for a callback. `token`: of the session that a page of this window went on from."""
        if arrival.choosing is not None:
            return self._screens.accounts(arrival, arrival.choosing)
        if arrival.problem is None or arrival.session is None or token is None:
            return self._screens.returned(arrival)
        form = FormPost(
            session_token=token,
            step="show",
            integration_slug=None if arrival.session.integration_slug else arrival.integration_slug,
            auth_type="oauth2",
            params=dict(arrival.params),
            name=arrival.name,
        )
        try:
            view = await self._view(form, opening=False)
        except OneRuntimeError:
            return self._screens.returned(arrival)
        return self._show(view, form, self._screens.trouble(arrival, arrival.problem))


def _go(address: str) -> Page:
    """On to the app, with GET (RFC 9110, section 15.4.4)."""
    headers = {
        "Location": quote(address, safe="%/:=&?~#+!$,;'@()*[]"),
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
    }
    return Page(303, headers, b"")
