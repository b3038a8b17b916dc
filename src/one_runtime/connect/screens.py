"""Render One Runtime's pages that are not in a frame, such as the pages of the modes `redirect` and `link`."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from one_runtime.catalog.auth_types import Auth
from one_runtime.catalog.model import Integration
from one_runtime.catalog.search import search
from one_runtime.connect.forms import FormField, FormPost, connection_field, connection_state, form_fields
from one_runtime.connect.pages import ENVIRONMENT, NO_ANCESTORS, NOTICES, STATUSES, Site, headers
from one_runtime.connect.problems import ShownText, text_of_error, text_of_field, text_of_problem
from one_runtime.connect.texts import Texts, select_texts
from one_runtime.connect.theme import Theme
from one_runtime.connecting.account_selection import AccountSelection
from one_runtime.connecting.authorization import AuthorizationRedirect, CallbackResult
from one_runtime.connecting.authorization_attempts import provider_reason
from one_runtime.connecting.popup import Connected, PopupShell, PopupView
from one_runtime.connecting.sessions import SessionCancelled, SessionExpired, SessionUsed, TooManyAttempts
from one_runtime.connections.connections import AccountMismatch, Connection, SeveralConnections
from one_runtime.errors import InvalidInput, OneRuntimeError
from one_runtime.tenancy.organizations import Organization

Refusal: TypeAlias = Literal["framed", "foreign", "broken", "top_level", "approval_closed"]

SESSION_ENDED: Final = (SessionCancelled, SessionExpired, SessionUsed, TooManyAttempts)
_HOST: Final = re.compile(r"[a-z0-9.:\[\]_-]+")


@dataclass(frozen=True, slots=True)
class FormError:
    """The error that a form shows.

    `errors`: the text for each invalid field, by the field's path. `question`: the question of `AccountMismatch`, if
    the form asks the end user to replace the connected account by the new account. `connections`: the connections of
    which the form asks the end user to select one.
    """

    problem: ShownText | None = None
    reason: str | None = None
    errors: Mapping[str, ShownText] = field(default_factory=dict)
    question: str | None = None
    connections: tuple[Connection, ...] = ()
    status: int = 200

    @classmethod
    def of(cls, error: OneRuntimeError) -> "FormError":
        """Return the form's error for an exception."""
        if isinstance(error, InvalidInput) and error.errors:
            return cls(errors={problem.field: text_of_field(problem) for problem in error.errors}, status=error.status)
        if isinstance(error, SeveralConnections):
            return cls(connections=error.present, status=error.status)
        question = error.detail if isinstance(error, AccountMismatch) else None
        return cls(text_of_error(error), provider_reason(error), question=question, status=error.status)

    @classmethod
    def after_authorization(cls, problem: OneRuntimeError) -> "FormError":
        """Return the form's error for a failed authorization."""
        return cls(text_of_problem(problem), provider_reason(problem), status=problem.status)

    @property
    def is_there(self) -> bool:
        """Return False for `NO_ERROR`, and True for every other error."""
        return self.status != 200


NO_ERROR: Final = FormError()


@dataclass(frozen=True, slots=True)
class BackForm:
    """The form that the back button sends. `anchor`: the URL fragment of the element to which the browser scrolls."""

    posted: FormPost
    anchor: str = ""


class Screens:
    """Renders the pages. `logo_url` returns the URL of an integration's logo on this server.

    `accepted`: the header `Accept-Language` of the browser, which counts after the session's locale.
    """

    def __init__(self, site: Site, logo_url: Callable[[Integration], str | None], accepted: str = "") -> None:
        self._site = site
        self._logo_url = logo_url
        self._accepted = accepted

    def answering(self, request: Request) -> "Screens":
        """Return the screens in the language of a request's browser."""
        return Screens(self._site, self._logo_url, request.headers.get("accept-language", ""))

    def texts(self, locale: str | None = None) -> Texts:
        """Return the texts for a session's locale, or for the browser alone."""
        return select_texts(locale, self._accepted)

    def refusal(self, refusal: Refusal, status: int) -> Response:
        """Render an error page that contains no data of a session."""
        return self._notice(refusal, PopupShell("unknown"), status)

    def agent_refused(self, reason: str, status: int, back: str | None = None, host: str = "") -> Response:
        """Render the error page of `/oauth/authorize`. `reason`: a text of ours, without values of the request.

        `back`: the address that brings the error to the agent, with its `host`. The page has a link to it.
        """
        texts = self.texts()
        values: dict[str, object] = {
            "title": texts["notice.agent.title"],
            "body": texts["notice.agent.body"],
            "for_developers": reason,
            "organization": host,
            "return_to": back,
            "theme": Theme(),
        }
        return self._render("notice", texts, None, values, None, status)

    def ended(self, shell: PopupShell) -> Response:
        """Render the page for a session that has ended or is unknown."""
        return self._notice(NOTICES.get(shell.state, shell.state), shell, STATUSES[shell.state])

    def broken(self, shell: PopupShell, status: int) -> Response:
        """Render the page for an error that the end user did not cause. The session stays open."""
        return self._notice("broken", shell, status)

    def resume(self, shell: PopupShell) -> Response:
        """Render the page that the browser gets after a reload.

        Before the reload, the script of the first page removed the session token from the address bar and stored the
        token in the browser. The script of this page reads the stored token, and loads the first page again.
        """
        texts = self.texts(shell.locale)
        values = self._notice_values("resume", shell, texts)
        return self._render("resume", texts, shell.session_id, values, shell.return_to)

    def confirm(self, view: PopupView, form: FormPost) -> Response:
        """Render the confirmation page, which names the organization, the end user and the integration."""
        texts = self.texts(view.session.locale)
        values = self._view_values(view, form, texts) | {
            "title": texts.text("confirm.page", organization=view.organization.display_name),
            "names": _names(view) or [view.end_user.end_user_id],
        }
        return self._render("confirm", texts, view.session.id, values, None)

    def pick(self, view: PopupView, form: FormPost) -> Response:
        """Render the list of integrations. After a search, the page hides the integrations that do not match.

        The HTML contains all integrations, because the page's script shows and hides them while the end user types.
        """
        integrations = [option.integration for option in view.options]
        ranks = {integration.slug: rank for rank, integration in enumerate(search(integrations, form.search))}
        hidden = {
            integration.slug
            for integration in integrations
            if integration.slug not in ranks or form.category not in {"", integration.category}
        }
        texts = self.texts(view.session.locale)
        values = self._view_values(view, form, texts) | {
            "title": texts["head.list"],
            "logo": self._logo_url,
            "options": sorted(view.options, key=lambda option: ranks.get(option.integration.slug, len(integrations))),
            "hidden": hidden,
            "categories": sorted({integration.category for integration in integrations}),
        }
        return self._render("pick", texts, view.session.id, values, view.session.return_url)

    def auth_types(self, view: PopupView, form: FormPost) -> Response:
        """Render the page on which the end user selects one of several auth types.

        If the form of `oauth2` has no fields, its row starts the authorization at once.
        """
        texts = self.texts(view.session.locale)
        values = self._view_values(view, form, texts) | {
            "back": _back_to_list(view, form),
            "asks_nothing": lambda auth: not form_fields(view, auth, None, {}, texts),
        }
        return self._render("auth_types", texts, view.session.id, values, view.session.return_url)

    def form(self, view: PopupView, auth: Auth, form: FormPost, error: FormError = NO_ERROR) -> Response:
        """Render the form of one auth type. After an error, the form contains the typed values, but no secrets.

        The server never sends a secret back to the browser (promise P11 of docs/security.md). So after each error, the
        end user enters the secret again.
        """
        texts, names = self.texts(view.session.locale), self._names(view)
        messages = {path: problem.within(texts, **names) for path, problem in error.errors.items()}
        fields = form_fields(view, auth, form if error.is_there else None, messages, texts)
        if error.connections:
            fields = (connection_field(error.connections, texts), *fields)
        sentence = error.problem.within(texts, **names) if error.problem is not None else None
        if not messages.keys() <= {shown.path for shown in fields}:
            sentence = texts["problem.other"]
        again = form.model_copy(update={"step": "show", "auth_type": None})
        values = self._view_values(view, form, texts) | {
            "back": BackForm(again) if len(view.auths) > 1 else _back_to_list(view, form),
            "auth": auth,
            "fields": fields,
            "error": error,
            "sentence": sentence,
            "focus": _focus(fields, error),
            "keep": form.model_copy(update={"step": "show", "auth_type": auth.type}),
            "which": None,
        }
        if error.connections and view.integration is not None:
            values["which"] = texts.text("which.title", integration=view.integration.name)
            values["title"] = values["which"]
            values["sentence"] = texts.text("which.body", integration=view.integration.name)
        elif error.is_there:
            values["title"] = texts.text("window.trouble", title=str(values["title"]))
        return self._render("form", texts, view.session.id, values, view.session.return_url, error.status)

    def done(self, view: PopupView, connected: Connected) -> Response:
        """Render the last page, after the end user has connected an account."""
        name = view.integration.name if view.integration else connected.integration_slug
        texts = self.texts(view.session.locale)
        values = self._view_values(view, None, texts) | self._outcome_values(name, connected, texts)
        return self._render("outcome", texts, view.session.id, values, None)

    def authorization_window(self, theme: Theme, locale: str | None, *, by_popup: bool) -> Response:
        """Render the first page in the window of an OAuth authorization.

        The page waits for a ticket (a one-time token) from the popup. `by_popup`: True if our popup has opened the
        window, and not a link from another site. `locale`: the language of the popup.
        """
        shell, texts = PopupShell("unknown"), self.texts(locale)
        policy = self._notice_values("opener_policy", shell, texts)
        values = self._notice_values("consent_lost", shell, texts)
        values |= {"theme": theme, "policy": policy, "by_popup": by_popup}
        return self._render("authorization_window", texts, None, values, None, keeps_opener=True)

    def authorization_redirect(self, view: PopupView, redirect: AuthorizationRedirect) -> Response:
        """Render a page that sends the browser to the provider. The page also contains a link to the provider.

        The browser gets this page as the response to a posted form. The policy `form-action` of the form's page does
        not name the provider. So some browsers would block an HTTP redirect to the provider (CSP 3, section 6.1.5).
        """
        texts = self.texts(view.session.locale)
        values = self._view_values(view, None, texts) | {
            "title": texts.text("leaving.title", integration=redirect.integration_name),
            "url": redirect.url,
        }
        return self._render("authorization_redirect", texts, view.session.id, values, None)

    def returned(self, result: CallbackResult) -> Response:
        """Render the last page of an authorization.

        In the mode `redirect`, this page sends the browser to the session's return URL after a success. An HTTP
        redirect would not work after every callback. The policy `form-action` of the provider's page can block such a
        redirect (CSP 3, section 6.1.5).
        """
        problem, connected = result.problem, result.connected
        if result.session is None or result.integration is None or result.organization is None:
            return self._notice("consent_lost", PopupShell("unknown"), problem.status if problem is not None else 200)
        texts = self.texts(result.session.locale)
        values = self._result_values(result.integration, result.organization)
        values |= self._outcome_values(result.integration.name, connected, texts)
        if problem is not None:
            names = {"integration": result.integration.name, "organization": result.organization.display_name}
            failure = text_of_problem(problem).within(texts, **names)
            values |= {"problem": failure, "reason": provider_reason(problem)}
        values |= {
            "return_to": result.return_to,
            # The popup shows the outcome, so the popup's window closes. The window stays open in two cases: the session
            # had already ended, or this page sends the browser to a return URL.
            "closes": not isinstance(problem, SESSION_ENDED) and (connected is None or connected.return_to is None),
        }
        status = 200 if problem is None else problem.status
        return self._render("outcome", texts, result.session.id, values, None, status, keeps_opener=True)

    def account_selection(self, result: CallbackResult, selection: AccountSelection) -> Response:
        """Render the page on which the end user selects an account or a connection, or decides about a replacement."""
        if (
            result.integration is None
            or result.organization is None
            or result.session is None
            or result.binding is None
        ):
            return self.refusal("broken", 500)
        texts = self.texts(result.session.locale)
        names = {"integration": result.integration.name, "organization": result.organization.display_name}
        title, question = _selection_texts(selection, texts, names)
        values = self._result_values(result.integration, result.organization) | {
            "title": title,
            "question": question,
            "connection_state": connection_state,
            "selection": selection,
            "cookie": result.binding.cookie,
        }
        back = result.session.return_url
        return self._render("account_selection", texts, result.session.id, values, back, keeps_opener=True)

    def _notice(self, notice: str, shell: PopupShell, status: int) -> Response:
        texts = self.texts(shell.locale)
        values = self._notice_values(notice, shell, texts)
        return self._render("notice", texts, shell.session_id, values, None, status)

    def _notice_values(self, notice: str, shell: PopupShell, texts: Texts) -> dict[str, object]:
        organization = shell.organization_name or texts["notice.app"]
        return {
            "title": texts.text(f"notice.{notice}.title", organization=organization),
            "body": texts.text(f"notice.{notice}.body", organization=organization),
            "organization": organization,
            "return_to": shell.return_to,
            "theme": Theme(shell.branding),
        }

    @staticmethod
    def _outcome_values(integration_name: str, connected: Connected | None, texts: Texts) -> dict[str, object]:
        account = connected.connection_name if connected is not None else None
        return {
            "title": texts["done.title" if connected is not None else "failed.title"],
            "account": account if account != integration_name else None,
            "problem": None,
            "reason": None,
            "return_to": None,
            "closes": False,
        }

    def _result_values(self, integration: Integration, organization: Organization) -> dict[str, object]:
        return organization_values(organization) | {
            "integration": integration.name,
            "integration_logo": self._logo_url(integration),
        }

    @staticmethod
    def _names(view: PopupView) -> dict[str, str]:
        integration = view.integration.name if view.integration is not None else ""
        return {"integration": integration, "organization": view.organization.display_name}

    def _view_values(self, view: PopupView, form: FormPost | None, texts: Texts) -> dict[str, object]:
        """Return the values that most templates need.

        `form`: the posted form, or None. The new page contains the posted values as hidden fields. So the form of the
        new page also sends these values.
        """
        organization, integration = view.organization, view.integration
        return organization_values(organization) | {
            "title": texts.text("head.title", integration=integration.name) if integration else texts["head.list"],
            "view": view,
            "integration": integration.name if integration else "",
            "integration_logo": self._logo_url(integration) if integration else None,
            "person": _names(view),
            "has_account": _wants_account(view),
            "posted": form,
            "back": None,
            "cancels": form and form.model_copy(update={"step": "cancel"}),
        }

    def _render(  # noqa: PLR0913 - by name
        self,
        name: str,
        texts: Texts,
        session_id: str | None,
        values: dict[str, object],
        return_url: str | None,
        status: int = 200,
        *,
        keeps_opener: bool = False,
    ) -> Response:
        body = ENVIRONMENT.get_template(f"window/{name}.html").render(
            **self._site.values(texts),
            session=session_id or "",
            **values,
        )
        # The response to this page's form can be a redirect to the app. Some browsers apply `form-action` to this
        # redirect (CSP 3, section 6.1.5). So `form-action` must name the app's origin.
        back = origin_of(return_url)
        form_action = ("'self'", back) if back else ("'self'",)
        return Response(body, status, headers(NO_ANCESTORS, form_action, keeps_opener=keeps_opener))


def _selection_texts(selection: AccountSelection, texts: Texts, names: Mapping[str, str]) -> tuple[str, str]:
    """Return the title of a question, and the question."""
    if selection.replacement is not None:
        return texts["replace.title"], text_of_error(selection.replacement).within(texts, **names)
    if selection.connections:
        return texts.text("which.title", **names), texts.text("which.body", **names)
    return texts.text("accounts.title", **names), texts.text("accounts.body", **names)


def organization_values(organization: Organization) -> dict[str, object]:
    """Return the values that show the organization: its name, its logos and the theme of the page."""
    return {
        "organization": organization.display_name,
        "organization_logo": own_image(organization.logo_url),
        "organization_logo_dark": own_image(organization.branding.logo_dark_url),
        "theme": Theme(organization.branding),
    }


def own_image(url: str | None) -> str | None:
    """Return the URL of an image if the URL is a `data:` URI. Otherwise, return None.

    Our pages load no images from other servers.
    """
    return url if url and url.startswith("data:image/") else None


def origin_of(url: str | None) -> str | None:
    """Return the origin of a URL. Return None if a Content-Security-Policy cannot contain this origin."""
    if url is None:
        return None
    address = urlsplit(url)
    try:
        host = (address.hostname or "").encode("idna").decode()
    except UnicodeError:
        return None
    if address.scheme not in {"http", "https"} or not _HOST.fullmatch(host):
        return None
    shown = f"[{host}]" if ":" in host else host
    return f"{address.scheme}://{shown}" + (f":{address.port}" if address.port else "")


def _names(view: PopupView) -> list[str]:
    """Return the end user's name and e-mail address. Omit an unknown value."""
    return [part for part in (view.end_user.name, view.end_user.email) if part]


def _wants_account(view: PopupView) -> bool:
    return any(auth.has_credential for auth in view.auths)


def _back_to_list(view: PopupView, form: FormPost) -> BackForm | None:
    if view.integration is None or not view.can_go_back:
        return None
    posted = form.model_copy(update={"step": "show", "integration_slug": None, "auth_type": None})
    return BackForm(posted, anchor=f"#pick-{view.integration.slug}")


def _focus(fields: tuple[FormField, ...], error: FormError) -> str:
    """Return the id of the element that gets the focus: the error, an invalid field or an empty field."""
    if error.is_there and not error.errors:
        return "problem"
    invalid = next((field.id for field in fields if field.error), None)
    return invalid or next((field.id for field in fields if not field.value), "")
