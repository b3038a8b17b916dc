"""Acme's consent page: an app asks, a person chooses the account and says yes or no (RFC 6749, 4.1.1; RFC 7636).

Nobody is sent to an address that was not registered by the app that asks: such a request ends on a page of Acme's.
"""

import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from one_runtime.demo.acme.accounts import Accounts
from one_runtime.demo.acme.clients import AcmeClient, Clients, origin_of
from one_runtime.demo.acme.faults import Faults
from one_runtime.demo.acme.form import Form, parse_form, read_form
from one_runtime.demo.acme.grants import Consent, Grants
from one_runtime.demo.acme.page import Stopped, refuse_from_elsewhere, show
from one_runtime.demo.acme.scopes import SCOPES, read_scopes

PATH: Final = "/oauth/authorize"

_CHALLENGE: Final = re.compile(r"[A-Za-z0-9_-]{43}")  # a SHA-256, as RFC 7636, 4.2 writes it
_PASSED_ON: Final = (
    "response_type",
    "client_id",
    "redirect_uri",
    "scope",
    "state",
    "code_challenge",
    "code_challenge_method",
)


@dataclass(frozen=True, slots=True)
class Returning:
    """Redirect URI and state of an authorization request."""

    redirect_uri: str
    state: str | None = field(repr=False)


class AcmeRefusal(Exception):
    """The app's request cannot be granted; the app is told so (RFC 6749, 4.1.2.1)."""

    def __init__(self, returning: Returning, code: str, description: str) -> None:
        super().__init__(description)
        self.returning, self.code, self.description = returning, code, description


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that a person can answer."""

    client: AcmeClient
    returning: Returning
    scopes: tuple[str, ...]
    challenge: str


class AcmeAuthorization:
    """The page, and the answer to it."""

    def __init__(self, accounts: Accounts, clients: Clients, grants: Grants, faults: Faults) -> None:
        self._accounts, self._clients, self._grants, self._faults = accounts, clients, grants, faults

    async def ask(self, request: Request) -> Response:
        """The consent page. Raises: Malformed; Stopped; Refused."""
        form = parse_form(request.scope["query_string"])
        return self._page(form, self._asked(form))

    async def answer(self, request: Request) -> Response:
        """Handle the pressed button. The request is parsed again: a form can hold anything.

        Raises: Malformed; Stopped; Refused.
        """
        refuse_from_elsewhere(request)
        form = await read_form(request)
        asked = self._asked(form)
        decision, account = form.get("decision"), self._accounts.find(form.get("account"))
        if decision == "deny" or (decision == "allow" and self._faults.take_denial()):
            raise AcmeRefusal(asked.returning, "access_denied", "The person said no.")
        if decision != "allow" or account is None:
            raise Stopped("This answer names no account, or neither yes nor no.")
        consent = Consent(account.id, asked.client.id, asked.scopes, asked.returning.redirect_uri, asked.challenge)
        return _go_back(request, asked.returning, code=self._grants.make_code(consent))

    def _asked(self, form: Form) -> Asked:
        client = self._clients.find(form.get("client_id"))
        redirect_uri = form.get("redirect_uri")
        if client is None or "client_id" in form.repeated:
            raise Stopped("No app is registered under the client_id that was sent.")
        if redirect_uri is None or redirect_uri not in client.redirect_uris or "redirect_uri" in form.repeated:
            raise Stopped(f"{client.name} did not register the redirect_uri that was sent.")
        returning = Returning(redirect_uri, form.get("state") if "state" not in form.repeated else None)
        if form.repeated:
            raise AcmeRefusal(returning, "invalid_request", "A parameter is there twice.")
        if form.get("response_type") is None:
            raise AcmeRefusal(returning, "invalid_request", "response_type is missing.")
        if form.get("response_type") != "code":
            raise AcmeRefusal(returning, "unsupported_response_type", "Acme CRM knows the response_type code.")
        challenge = form.get("code_challenge") or ""
        if form.get("code_challenge_method") != "S256" or _CHALLENGE.fullmatch(challenge) is None:
            raise AcmeRefusal(returning, "invalid_request", "PKCE is required: code_challenge, by the method S256.")
        scopes = read_scopes(form.get("scope"))
        if not scopes:
            raise AcmeRefusal(returning, "invalid_scope", f"scope has to be some of: {' '.join(SCOPES)}.")
        return Asked(client, returning, scopes, challenge)

    def _page(self, form: Form, asked: Asked) -> Response:
        passed_on = {name: value for name in _PASSED_ON if (value := form.get(name)) is not None}
        redirect_uri = asked.returning.redirect_uri
        return show(
            "consent.html",
            form_action=f"'self' {origin_of(redirect_uri)}",  # browsers hold a redirect after a form to it too
            app=asked.client.name,
            accounts=list(self._accounts),
            scopes=[(scope, SCOPES[scope]) for scope in asked.scopes],
            passed_on=passed_on,
            back_to=urlsplit(redirect_uri).netloc,
            path=PATH,
        )


def issuer_of(request: Request) -> str:
    """Acme's own address, as it was asked under: the demo has it answer under one name only."""
    return str(request.base_url).rstrip("/")


async def go_back(request: Request, error: Exception) -> Response:
    """The answer to a `Refused`."""
    assert isinstance(error, AcmeRefusal)  # noqa: S101 - the handler is registered for this type only
    return _go_back(request, error.returning, error=error.code, error_description=error.description)


def _go_back(request: Request, returning: Returning, **answer: str) -> Response:
    """Back to the app, with GET. `iss` says who answers (RFC 9207, 2)."""
    if returning.state is not None:
        answer["state"] = returning.state
    separator = "&" if urlsplit(returning.redirect_uri).query else "?"
    query = urlencode({**answer, "iss": issuer_of(request)})
    headers = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
    return RedirectResponse(f"{returning.redirect_uri}{separator}{query}", 303, headers)
