"""The pages of a window of its own, one function each: what they show, and with which headers (P6, P11)."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal, TypeAlias
from urllib.parse import urlsplit

from one_runtime.catalog.model import Auth, Integration
from one_runtime.catalog.search import search
from one_runtime.connect.asked import FormField, asked_of
from one_runtime.connect.pages import ENVIRONMENT, NOBODY, NOTICE, STATUS, Page, Site, headers
from one_runtime.connect.posted import FormPost
from one_runtime.connect.texts import TEXTS, failure, text
from one_runtime.connecting.authorization_steps import (
    AccountSelection,
    AuthorizationRedirect,
    CallbackResult,
    failure_code,
    reason_of,
)
from one_runtime.connecting.popup import Connected, PopupShell, PopupView
from one_runtime.connecting.sessions import SessionCancelled, SessionExpired, SessionUsed, TooManyAttempts
from one_runtime.connections.connections import AccountMismatch
from one_runtime.errors import InvalidInput, OneRuntimeError

Refusal: TypeAlias = Literal["framed", "foreign", "broken", "top_level"]

SESSION_ENDED: Final = (SessionCancelled, SessionExpired, SessionUsed, TooManyAttempts)
_HOST: Final = re.compile(r"[a-z0-9.:\[\]_-]+")


@dataclass(frozen=True, slots=True)
class FormError:
    """Why a form is shown again. `errors`: by the field's path; `replaces`: another account is connected already."""

    sentence: str | None = None
    reason: str | None = None
    errors: Mapping[str, str] = field(default_factory=dict)
    replaces: bool = False
    status: int = 200

    @classmethod
    def of(cls, error: OneRuntimeError) -> "FormError":
        """What to say about a refused attempt."""
        if isinstance(error, InvalidInput) and error.errors:
            return cls(errors={one.field: one.message for one in error.errors}, status=error.status)
        return cls(error.detail, reason_of(error), replaces=isinstance(error, AccountMismatch), status=error.status)

    @property
    def is_there(self) -> bool:
        """Whether there is any."""
        return self.status != 200


FRESH: Final = FormError()


@dataclass(frozen=True, slots=True)
class NextForm:
    """A form that only moves on. `anchor`: where on the next page the browser looks first."""

    label: str
    posted: FormPost
    anchor: str = ""


class Screens:
    """Renders the pages. `logo_url` gives the address on this server of an integration's logo."""

    def __init__(self, site: Site, logo_url: Callable[[Integration], str | None]) -> None:
        self._site = site
        self._logo_url = logo_url

    def refusal(self, why: Refusal, status: int) -> Page:
        """A page that knows no session."""
        return self._notice(why, PopupShell("unknown"), status)

    def ended(self, shell: PopupShell) -> Page:
        """A session that is over, or unknown."""
        return self._notice(NOTICE.get(shell.state, shell.state), shell, STATUS[shell.state])

    def broken(self, shell: PopupShell, status: int) -> Page:
        """A fault of ours, or of something between; the session goes on."""
        return self._notice("broken", shell, status)

    def resume(self, shell: PopupShell) -> Page:
        """A reload that brings no token: the script has kept it and starts over; without it there is no way on."""
        return self._render("resume", shell.session_id, self._notice_values("resume", shell), shell.return_to)

    def confirm(self, view: PopupView, form: FormPost) -> Page:
        """Who asks, for whom, for what; and whether that was expected."""
        values = self._view_values(view, form) | {
            "title": text("confirm.page", organization=view.organization.display_name),
            "names": _names(view) or [view.end_user.end_user_id],
        }
        return self._render("confirm", view.session.id, values, None)

    def pick(self, view: PopupView, form: FormPost) -> Page:
        """The list. Every row is there, whatever is searched for, so that the script can go on from it."""
        everything = [choice.integration for choice in view.choices]
        found = {one.slug: place for place, one in enumerate(search(everything, form.search))}
        hidden = {one.slug for one in everything if one.slug not in found or form.category not in {"", one.category}}
        values = self._view_values(view, form) | {
            "title": TEXTS["head.list"],
            "choices": sorted(view.choices, key=lambda choice: found.get(choice.integration.slug, len(everything))),
            "hidden": hidden,
            "categories": sorted({one.category for one in everything}),
        }
        return self._render("pick", view.session.id, values, view.session.return_url)

    def choose(self, view: PopupView, form: FormPost) -> Page:
        """The choice between several ways to connect."""
        values = self._view_values(view, form) | {"back": _back_to_list(view, form)}
        return self._render("choose", view.session.id, values, view.session.return_url)

    def ask(self, view: PopupView, auth: Auth, form: FormPost, trouble: FormError = FRESH) -> Page:
        """The form of one way to connect; after a refused attempt with what was typed, but for what is secret.

        No secret is ever sent back (P11): it would stand in the page's source, in whatever the browser keeps of it, and
        in any recording of answers. So it has to be pasted again, also to agree to another account.
        """
        typed = form if trouble.is_there else None
        shown = asked_of(view, auth, typed, trouble.errors)
        homeless = " ".join(
            message for path, message in trouble.errors.items() if path not in {one.path for one in shown}
        )
        again = form.model_copy(update={"step": "show", "auth_type": None})
        values = self._view_values(view, form) | {
            "back": NextForm("action.back", again) if len(view.auths) > 1 else _back_to_list(view, form),
            "auth": auth,
            "asked": shown,
            "trouble": trouble,
            "sentence": trouble.sentence or homeless or None,
            "start": _start(shown, trouble),
            "keep": form.model_copy(update={"step": "show", "auth_type": auth.type}),
        }
        if trouble.is_there:
            values["title"] = text("window.trouble", title=str(values["title"]))
        return self._render("ask", view.session.id, values, view.session.return_url, trouble.status)

    def done(self, view: PopupView, connected: Connected) -> Page:
        """It worked."""
        integration = view.integration.name if view.integration else connected.integration_slug
        name = connected.connection_name
        values = self._view_values(view, None)
        values |= {"title": TEXTS["done.title"], "account": name if name != integration else None}
        return self._render("done", view.session.id, values, None)

    def consent(self) -> Page:
        """The window that our frame opens, before it has heard from it."""
        lost = self._notice_values("consent_lost", PopupShell("unknown"))
        values: dict[str, object] = {"heading": lost["title"], "lost": lost["body"], "title": TEXTS["consent.title"]}
        return self._render("consent", None, values, None, keeps_opener=True)

    def leaving(self, view: PopupView, departure: AuthorizationRedirect) -> Page:
        """On to the provider, without a press of a button where the browser does that. A form could not: what it may
        redirect to has to stand in the page's policy, and not every browser knows that (CSP 3, section 6.1.5)."""
        values = self._view_values(view, None) | {
            "title": text("leaving.title", integration=departure.integration_name),
            "url": departure.url,
        }
        return self._render("leaving", view.session.id, values, None)

    def returned(self, arrival: CallbackResult) -> Page:
        """The end of a consent in the window that was opened for it, or in a browser that we know nothing about.

        Where the app waits for the browser, it is a page that moves on: the policy of the provider's page may have
        redirects end with us (`form-action`, CSP 3, section 6.1.5).
        """
        if arrival.session is None or arrival.integration is None or arrival.organization is None:
            return self._notice(
                "consent_lost", PopupShell("unknown"), arrival.problem.status if arrival.problem else 200
            )
        integration, organization = arrival.integration, arrival.organization
        connected = arrival.connected
        account = connected.connection_name if connected is not None else None
        values: dict[str, object] = {
            "title": TEXTS["done.title" if connected is not None else "failed.title"],
            "integration": integration.name,
            "integration_logo": self._logo_url(integration),
            "organization": organization.display_name,
            "organization_logo": own_image(organization.logo_url),
            "account": account if account != integration.name else None,
            "problem": None if arrival.problem is None else self._failure(arrival),
            "reason": None if arrival.problem is None else reason_of(arrival.problem),
            "return_to": arrival.return_to if connected is None else connected.return_to,
            # Our frame tells what went wrong, and goes on from there: unless the session is over, and the frame gone.
            "closes": not isinstance(arrival.problem, SESSION_ENDED)
            and (connected is None or connected.return_to is None),
        }
        status = 200 if arrival.problem is None else arrival.problem.status
        return self._render("returned", arrival.session.id, values, None, status, keeps_opener=True)

    def accounts(self, arrival: CallbackResult, choosing: AccountSelection) -> Page:
        """Several accounts are behind what was granted: which one?"""
        integration, organization = arrival.integration, arrival.organization
        if integration is None or organization is None or arrival.session is None:
            return self.refusal("broken", 500)
        values: dict[str, object] = {
            "title": text("accounts.title", integration=integration.name),
            "integration": integration.name,
            "integration_logo": self._logo_url(integration),
            "organization": organization.display_name,
            "organization_logo": own_image(organization.logo_url),
            "choosing": choosing,
        }
        back = arrival.session.return_url
        return self._render("accounts", arrival.session.id, values, back, keeps_opener=True)

    def trouble(self, arrival: CallbackResult, problem: OneRuntimeError) -> FormError:
        """Why a consent's form is shown again."""
        return replace(FormError.of(problem), sentence=self._failure(arrival), errors={})

    def _failure(self, arrival: CallbackResult) -> str:
        """What to tell a person: our own words for what is known, and the error's for everything else."""
        if arrival.problem is None or arrival.integration is None or arrival.organization is None:
            return ""
        names = {"integration": arrival.integration.name, "organization": arrival.organization.display_name}
        return failure(failure_code(arrival.problem), arrival.problem.detail, **names)

    def _notice(self, notice: str, shell: PopupShell, status: int) -> Page:
        values = self._notice_values(notice, shell)
        return self._render("notice", shell.session_id, values, None, status)

    def _notice_values(self, notice: str, shell: PopupShell) -> dict[str, object]:
        organization = shell.organization_name or TEXTS["notice.app"]
        return {
            "title": text(f"notice.{notice}.title", organization=organization),
            "body": text(f"notice.{notice}.body", organization=organization),
            "organization": organization,
            "return_to": shell.return_to,
        }

    def _view_values(self, view: PopupView, form: FormPost | None) -> dict[str, object]:
        """What most pages show. `posted` is what the next form carries on."""
        organization, integration = view.organization, view.integration
        return {
            "title": text("head.title", integration=integration.name) if integration else TEXTS["head.list"],
            "view": view,
            "organization": organization.display_name,
            "organization_logo": own_image(organization.logo_url),
            "integration": integration.name if integration else "",
            "logo": self._logo_url,
            "person": " · ".join(_names(view)),
            "has_account": _wants_account(view),
            "posted": form,
            "back": None,
            "cancels": form and form.model_copy(update={"step": "cancel"}),
        }

    def _render(
        self,
        name: str,
        session_id: str | None,
        values: dict[str, object],
        return_url: str | None,
        status: int = 200,
        *,
        keeps_opener: bool = False,
    ) -> Page:
        body = ENVIRONMENT.get_template(f"window/{name}.html").render(
            base=self._site.base, assets=self._site.assets, session=session_id or "", **values
        )
        # A form's target and, in some browsers, whatever it redirects to (CSP 3, section 6.1.5): ours, then the app's.
        back = origin_of(return_url)
        form_action = ("'self'", back) if back else ("'self'",)
        return Page(status, headers(NOBODY, form_action, keeps_opener=keeps_opener), body.encode())


def own_image(url: str | None) -> str | None:
    """The address of an image that the page's policy lets it show, or None."""
    return url if url and url.startswith("data:image/") else None


def origin_of(url: str | None) -> str | None:
    """The origin of an address, as a policy may hold it; None where it has none that can be written there."""
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
    """What the end user is called: name, e-mail address; as far as they are known."""
    return [part for part in (view.end_user.name, view.end_user.email) if part]


def _wants_account(view: PopupView) -> bool:
    return any(auth.type != "none" for auth in view.auths)


def _back_to_list(view: PopupView, form: FormPost) -> NextForm | None:
    if not view.can_go_back:
        return None
    posted = form.model_copy(update={"step": "show", "integration_slug": None, "auth_type": None})
    return NextForm("action.back", posted, anchor=f"#pick-{_slug(view.integration)}")


def _slug(integration: Integration | None) -> str:
    return integration.slug if integration else ""


def _start(shown: tuple[FormField, ...], trouble: FormError) -> str:
    """Where the focus starts: on what went wrong, else on the first thing to fill in."""
    if trouble.is_there and not trouble.errors:
        return "problem"
    wrong = next((one.id for one in shown if one.error), None)
    return wrong or next((one.id for one in shown if not one.value), "")
