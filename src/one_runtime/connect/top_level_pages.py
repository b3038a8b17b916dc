"""Choose the page to show in the modes `redirect` and `link`. The pages of these modes are not in a frame.

The pages work without JavaScript. Each page sends a form, and the response is the next page. Only the first URL
contains the session token. All later requests contain the token in the body. In the mode `link`, the first page names
the organization and the end user. The end user has to press a button to continue (promise P6 of docs/security.md).
"""

from dataclasses import replace
from typing import Final

from starlette.responses import RedirectResponse, Response

from one_runtime.connect.cookies import Cookies
from one_runtime.connect.forms import FormPost
from one_runtime.connect.screens import NO_ERROR, FormError, Screens
from one_runtime.connecting import authorization, popup
from one_runtime.connecting.authorization import CallbackResult
from one_runtime.connecting.popup import PopupShell, PopupView
from one_runtime.connections.connections import AccountMismatch, AnswerOutdated, SeveralConnections
from one_runtime.connections.credentials import CheckFailed, ProviderUnavailable
from one_runtime.context import Installation
from one_runtime.egress.errors import TargetRefused
from one_runtime.errors import InvalidInput, OneRuntimeError
from one_runtime.integrations.oauth_clients import OAuthClientMissing

_SHOWN_IN_THE_FORM: Final = (
    InvalidInput,
    CheckFailed,
    ProviderUnavailable,
    TargetRefused,
    AccountMismatch,
    AnswerOutdated,
    SeveralConnections,
    OAuthClientMissing,
)


class TopLevelPages:
    """Returns the responses to a session's URL, to posted forms, and to redirects from a provider (callbacks)."""

    def __init__(self, installation: Installation, screens: Screens, cookies: Cookies) -> None:
        self._installation, self._screens, self._cookies = installation, screens, cookies

    async def open(self, shell: PopupShell, token: str | None, *, opening: bool) -> Response:
        """Return the first page of a session.

        `token`: None after a reload, because the page's script removes the token from the address bar. In this case,
        return a page that loads the first page again.

        `opening`: False for a HEAD request, because a HEAD request must not open the session. An opened session lasts
        one hour. In the mode `redirect`, the first GET request opens the session. In the mode `link`, only the button
        of the confirmation page opens the session. The first GET request can come from a program that scans links.
        """
        if shell.state != "open":
            return self._screens.ended(shell)
        if token is None:
            return self._screens.resume(shell)
        return await self._respond(FormPost(session_token=token, step="resume"), shell, None, opening=opening)

    async def submit(self, form: FormPost, address: str | None) -> Response:
        """Return the response to a posted form: the next page, or a redirect to the app."""
        shell = await popup.load_shell(self._installation, token=form.session_token)
        if shell.state == "open" and shell.mode == "embed":
            return self._screens.refusal("top_level", 409)
        if shell.state != "open":
            return self._screens.ended(shell)
        return await self._respond(form, shell, address)

    async def _respond(
        self, form: FormPost, shell: PopupShell, address: str | None, *, opening: bool = True
    ) -> Response:
        try:
            if form.step == "cancel":
                return await self._cancel(form)
            needs_confirmation = form.step == "resume" and shell.mode == "link"
            view = await self._load_view(form, opening=opening and not needs_confirmation)
            if needs_confirmation:
                return self._screens.confirm(view, form)
            return await self._connect(view, form, address) if form.step == "connect" else self._form(view, form)
        except OneRuntimeError as error:  # for example, the session has ended, or the integration was deleted
            current = await popup.load_shell(self._installation, token=form.session_token)
            if current.state != "open":
                return self._screens.ended(current)
            return self._screens.broken(current, error.status)

    async def _load_view(self, form: FormPost, *, opening: bool) -> PopupView:
        return await popup.load_view(
            self._installation,
            form.session_token,
            presentation="page",
            integration_slug=form.integration_slug,
            opening=opening,
        )

    def _form(self, view: PopupView, form: FormPost, error: FormError = NO_ERROR) -> Response:
        """Return the next page: the list of integrations, the list of auth types, or the form of one auth type."""
        if view.integration is None:
            return self._screens.pick(view, form)
        auths = [auth for auth in view.auths if form.auth_type in {None, auth.type}] or list(view.auths)
        if len(auths) > 1:
            return self._screens.auth_types(view, form)
        return self._screens.form(view, auths[0], form, error)

    async def _cancel(self, form: FormPost) -> Response:
        return_to = await popup.cancel(self._installation, form.session_token)
        if return_to is not None:
            return _redirect(return_to)
        return self._screens.ended(await popup.load_shell(self._installation, token=form.session_token))

    async def _connect(self, view: PopupView, form: FormPost, address: str | None) -> Response:
        try:
            if form.auth_type == "oauth2":
                return await self._authorize(view, form)
            connected = await popup.connect(self._installation, view, form.request(), address)
        except _SHOWN_IN_THE_FORM as error:
            return self._form(view, form, FormError.of(error))
        return self._screens.done(view, connected) if connected.return_to is None else _redirect(connected.return_to)

    async def _authorize(self, view: PopupView, form: FormPost) -> Response:
        """Send the browser to the provider. Store the session token in the cookie for the later callback."""
        _, ticket = await authorization.prepare_authorization(self._installation, view, form.request())
        redirect = await authorization.start_authorization(self._installation, ticket.secret)
        binding = replace(redirect.binding, session_token=form.session_token)
        page = self._screens.authorization_redirect(view, redirect)
        page.headers["Set-Cookie"] = self._cookies.set_header(binding)
        return page

    async def finish_authorization(self, result: CallbackResult) -> Response:
        """Return the page to show after a callback. After a failure, show the form again."""
        if result.selection is not None:
            return self._screens.account_selection(result, result.selection)
        token = result.binding.session_token if result.binding is not None else None
        if result.problem is None or result.session is None or result.details is None or token is None:
            return self._screens.returned(result)
        slug = result.integration.slug if result.integration is not None else None
        form = FormPost(
            session_token=token,
            step="show",
            integration_slug=None if result.session.integration_slug else slug,
            auth_type="oauth2",
            params=dict(result.details.params),
            name=result.details.name,
        )
        try:
            view = await self._load_view(form, opening=False)
        except OneRuntimeError:
            return self._screens.returned(result)
        return self._form(view, form, FormError.after_authorization(result.problem))


def _redirect(address: str) -> Response:
    """Return a redirect that the browser follows with GET (RFC 9110, section 15.4.4)."""
    return RedirectResponse(address, 303, {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"})
