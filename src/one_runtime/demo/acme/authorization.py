"""Show Acme's consent page, on which a user allows or denies an app's request for access.

The requests follow RFC 6749 (section 4.1.1) and RFC 7636. Acme redirects only to URLs that the app has registered. For
any other URL, Acme shows an error page.
"""

import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from one_runtime.demo.acme.accounts import Accounts
from one_runtime.demo.acme.clients import Clients, RegisteredApp, origin_of
from one_runtime.demo.acme.faults import Faults
from one_runtime.demo.acme.form import Form, parse_form, read_form
from one_runtime.demo.acme.grants import Grant, Grants
from one_runtime.demo.acme.page import PageError, refuse_cross_site, show
from one_runtime.demo.acme.scopes import SCOPES, read_scopes

PATH: Final = "/oauth/authorize"

_CHALLENGE: Final = re.compile(r"[A-Za-z0-9_-]{43}")  # PKCE: a SHA-256 hash in base64url (RFC 7636, 4.2)
_MIN_NONCE: Final = 22  # characters of base64url for 128 bits
_PASSED_ON: Final = (
    "response_type",
    "client_id",
    "redirect_uri",
    "scope",
    "state",
    "code_challenge",
    "code_challenge_method",
    "nonce",
)


@dataclass(frozen=True, slots=True)
class RedirectTarget:
    """The app's redirect URL, and the app's parameter `state`, which Acme returns."""

    redirect_uri: str
    state: str | None = field(repr=False)


class ConsentRefused(Exception):
    """A refused authorization request. The app receives the error in the redirect (RFC 6749, 4.1.2.1)."""

    def __init__(self, target: RedirectTarget, code: str, description: str) -> None:
        super().__init__(description)
        self.target, self.code, self.description = target, code, description


@dataclass(frozen=True, slots=True)
class ConsentRequest:
    """A valid authorization request, which a user can allow or deny."""

    client: RegisteredApp
    target: RedirectTarget
    scopes: tuple[str, ...]
    challenge: str


class ConsentPage:
    """The endpoints of the consent page."""

    def __init__(self, accounts: Accounts, clients: Clients, grants: Grants, faults: Faults) -> None:
        self._accounts, self._clients, self._grants, self._faults = accounts, clients, grants, faults
        self._nonces: set[str] = set()

    async def ask(self, request: Request) -> Response:
        """Show the consent page. Raises: MalformedForm; PageError; ConsentRefused."""
        form = parse_form(request.scope["query_string"])
        return self._page(form, self._validate(form))

    async def answer(self, request: Request) -> Response:
        """Handle the user's decision.

        The posted form contains the authorization request. The form is untrusted, so this method validates the request
        again.

        Raises: MalformedForm; PageError; ConsentRefused.
        """
        refuse_cross_site(request)
        form = await read_form(request)
        consent = self._validate(form)
        decision, account = form.get("decision"), self._accounts.get(form.get("account") or "")
        if decision == "allow" and self._faults.deny_next_consent:
            self._faults.deny_next_consent = False
            decision = "deny"
        if decision == "deny":
            raise ConsentRefused(consent.target, "access_denied", "The user denied access.")
        if decision != "allow" or account is None:
            raise PageError("The form has no account or no decision. Go back and try again.")
        self._nonces.add(form.get("nonce") or "")
        grant = Grant(account.id, consent.client.id, consent.scopes)
        code = self._grants.create_code(grant, consent.target.redirect_uri, consent.challenge)
        return _redirect(request, consent.target, code=code)

    def _validate(self, form: Form) -> ConsentRequest:
        client = self._clients.find(form.get("client_id"))
        redirect_uri = form.get("redirect_uri")
        if client is None or "client_id" in form.repeated:
            raise PageError("No app is registered with the client_id of this request.")
        if redirect_uri is None or redirect_uri not in client.redirect_uris or "redirect_uri" in form.repeated:
            raise PageError(f"{client.name} has not registered the redirect_uri of this request.")
        target = RedirectTarget(redirect_uri, form.get("state") if "state" not in form.repeated else None)
        if form.repeated:
            raise ConsentRefused(target, "invalid_request", "A parameter occurs twice.")
        if form.get("response_type") is None:
            raise ConsentRefused(target, "invalid_request", "response_type is missing.")
        if form.get("response_type") != "code":
            raise ConsentRefused(target, "unsupported_response_type", "response_type must be code.")
        challenge = form.get("code_challenge") or ""
        if form.get("code_challenge_method") != "S256" or _CHALLENGE.fullmatch(challenge) is None:
            raise ConsentRefused(
                target, "invalid_request", "PKCE is required: send code_challenge with code_challenge_method S256."
            )
        nonce = form.get("nonce") or ""
        if self._faults.require_nonce and (len(nonce) < _MIN_NONCE or nonce in self._nonces):
            raise ConsentRefused(target, "invalid_request", "nonce must be a new random value.")
        scopes = read_scopes(form.get("scope"))
        if not scopes:
            raise ConsentRefused(target, "invalid_scope", f"scope must consist of: {' '.join(SCOPES)}.")
        return ConsentRequest(client, target, scopes, challenge)

    def _page(self, form: Form, consent: ConsentRequest) -> Response:
        passed_on = {name: value for name in _PASSED_ON if (value := form.get(name)) is not None}
        redirect_uri = consent.target.redirect_uri
        return show(
            "consent.html",
            form_action=f"'self' {origin_of(redirect_uri)}",  # some browsers apply form-action to redirects too
            app=consent.client.name,
            accounts=list(self._accounts.values()),
            scopes=[(scope, SCOPES[scope]) for scope in consent.scopes],
            passed_on=passed_on,
            back_to=urlsplit(redirect_uri).netloc,
            path=PATH,
        )


def issuer_of(request: Request) -> str:
    """Return Acme's own URL, which contains the host of the request.

    The demo accepts only one host, so a caller cannot change the URL.
    """
    return str(request.base_url).rstrip("/")


async def redirect_error(request: Request, error: Exception) -> Response:
    """Return the redirect for a `ConsentRefused`."""
    assert isinstance(error, ConsentRefused)  # noqa: S101 - the handler is registered for this type only
    return _redirect(request, error.target, error=error.code, error_description=error.description)


def _redirect(request: Request, target: RedirectTarget, **answer: str) -> Response:
    """Redirect to the app. The parameter `iss` identifies Acme (RFC 9207, 2)."""
    if target.state is not None:
        answer["state"] = target.state
    separator = "&" if urlsplit(target.redirect_uri).query else "?"
    query = urlencode({**answer, "iss": issuer_of(request)})
    headers = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
    return RedirectResponse(f"{target.redirect_uri}{separator}{query}", 303, headers)
