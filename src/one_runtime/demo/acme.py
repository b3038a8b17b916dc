"""Acme CRM: a small working provider to connect to, with accounts, API keys and contacts, and switches for faults.

It keeps everything in memory. It is no part of One Runtime: the demo and the tests run it as a server of its own.
"""

import base64
import hashlib
import html
import json
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

_Endpoint = Callable[[Request], Awaitable[Response]]

GLOBEX: Final = "acc_globex"
INITECH: Final = "acc_initech"

_MAX_BODY: Final = 16_384
_CONTACT_FIELDS: Final = ("name", "email", "company")


@dataclass(frozen=True, slots=True)
class Contact:
    """A record of an account."""

    id: str
    name: str
    email: str
    company: str

    def shown(self) -> dict[str, str]:
        """The wire shape."""
        return {"id": self.id, "name": self.name, "email": self.email, "company": self.company}


@dataclass(slots=True)
class Account:
    """A customer of Acme CRM. A revoked key is remembered, so that it can be restored."""

    id: str
    name: str
    key: str = field(repr=False)
    revoked: bool = False
    contacts: dict[str, Contact] = field(default_factory=dict)


class AcmeError(Exception):
    """What Acme answers instead of a result: `{"error": {"code", "message"}}`."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


class Acme:
    """The provider: `app` is its ASGI application; the methods are its switches.

    `keys` gives each of the two accounts its key, by account id (`GLOBEX`, `INITECH`).
    """

    def __init__(self, keys: Mapping[str, str]) -> None:
        self._accounts = (
            Account(GLOBEX, "Globex Corporation", keys[GLOBEX], contacts=_contacts(_GLOBEX_CONTACTS)),
            Account(INITECH, "Initech", keys[INITECH], contacts=_contacts(_INITECH_CONTACTS)),
        )
        self._outage: int | None = None
        self.app = Starlette(routes=self._routes(), exception_handlers={AcmeError: _refuse})

    @property
    def accounts(self) -> tuple[Account, ...]:
        """The accounts, each with its key."""
        return self._accounts

    def revoke(self, key: str) -> None:
        """Refuse this key from now on."""
        self._with_key(key).revoked = True

    def restore(self, key: str) -> None:
        """Take a revoked key again."""
        self._with_key(key).revoked = False

    def fail_with(self, status: int | None) -> None:
        """Answer every API request with this status (an outage), until called with None."""
        self._outage = status

    def _routes(self) -> list[Route]:
        return [
            Route("/", self._home),
            Route("/settings/api-keys", self._home),
            Route("/v1/me", self._guarded(self._me)),
            Route("/v1/contacts", self._guarded(self._list_contacts), methods=["GET"]),
            Route("/v1/contacts", self._guarded(self._create_contact), methods=["POST"]),
            Route("/v1/contacts/{id}", self._guarded(self._get_contact), methods=["GET"]),
            Route("/v1/contacts/{id}", self._guarded(self._update_contact), methods=["PATCH"]),
            Route("/v1/contacts/{id}", self._guarded(self._delete_contact), methods=["DELETE"]),
            # The switches want the key itself, so that nobody without it can turn them.
            Route("/v1/test/revoke", self._switch(revoked=True), methods=["POST"]),
            Route("/v1/test/restore", self._switch(revoked=False), methods=["POST"]),
        ]

    def _guarded(self, endpoint: Callable[[Request, Account], Awaitable[Response]]) -> _Endpoint:
        async def guarded(request: Request) -> Response:
            if self._outage is not None:
                raise AcmeError(self._outage, "unavailable", "Acme CRM is having a bad day. Try again later.")
            return await endpoint(request, self._account(request))

        return guarded

    def _switch(self, *, revoked: bool) -> _Endpoint:
        async def switch(request: Request) -> Response:
            self._with_key(_bearer(request)).revoked = revoked
            return Response(status_code=204)

        return switch

    def _account(self, request: Request) -> Account:
        account = self._with_key(_bearer(request))
        if account.revoked:
            raise AcmeError(401, "key_revoked", f"This API key was revoked by an administrator of {account.name}.")
        return account

    def _with_key(self, key: str) -> Account:
        for account in self._accounts:
            if secrets.compare_digest(account.key.encode(), key.encode()):
                return account
        raise AcmeError(401, "invalid_key", "No Acme CRM account has this API key. Copy it again from Settings.")

    async def _me(self, _request: Request, account: Account) -> Response:
        return JSONResponse({"account": {"id": account.id, "name": account.name}, "plan": "team"})

    async def _list_contacts(self, _request: Request, account: Account) -> Response:
        return JSONResponse({"contacts": [contact.shown() for contact in account.contacts.values()]})

    async def _create_contact(self, request: Request, account: Account) -> Response:
        given = await _contact_fields(request)
        if not given.get("name"):
            raise AcmeError(422, "invalid_contact", "A contact needs a name.")
        contact = _contact(given)
        account.contacts[contact.id] = contact
        return JSONResponse(contact.shown(), status_code=201)

    async def _get_contact(self, request: Request, account: Account) -> Response:
        return JSONResponse(_found(request, account).shown())

    async def _update_contact(self, request: Request, account: Account) -> Response:
        old = _found(request, account)
        new = Contact(**{**old.shown(), **await _contact_fields(request)})
        account.contacts[old.id] = new
        return JSONResponse(new.shown())

    async def _delete_contact(self, request: Request, account: Account) -> Response:
        del account.contacts[_found(request, account).id]
        return Response(status_code=204)

    async def _home(self, _request: Request) -> Response:
        """Where the person finds the key, as at a real provider (there, behind a login)."""
        rows = "".join(
            f"<div><dt>{html.escape(account.name)}</dt><dd><code>{html.escape(account.key)}</code></dd></div>"
            for account in self._accounts
        )
        return HTMLResponse(_HOME.replace("{rows}", rows), headers=_HOME_HEADERS)


def new_key() -> str:
    """A new Acme CRM API key, `acme_` and 32 letters and digits."""
    return "acme_" + secrets.token_hex(16)


def _bearer(request: Request) -> str:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        raise AcmeError(401, "missing_key", "Send your API key as 'Authorization: Bearer acme_…'.")
    return key.strip()


def _found(request: Request, account: Account) -> Contact:
    contact = account.contacts.get(request.path_params["id"])
    if contact is None:
        raise AcmeError(404, "not_found", "There is no such contact.")
    return contact


async def _contact_fields(request: Request) -> dict[str, str]:
    body = await request.body()
    if len(body) > _MAX_BODY:
        raise AcmeError(413, "too_large", "A contact has to fit into 16 kB.")
    try:
        data = json.loads(body)
    except ValueError as error:
        raise AcmeError(400, "malformed", "The body has to be a JSON object.") from error
    if not isinstance(data, dict) or not all(isinstance(value, str) for value in data.values()):
        raise AcmeError(422, "invalid_contact", "A contact is a JSON object of texts: name, email, company.")
    unknown = data.keys() - set(_CONTACT_FIELDS)
    if unknown:
        raise AcmeError(422, "invalid_contact", f"A contact has no field '{min(unknown)}'.")
    return {name: value.strip() for name, value in data.items()}


def _contact(given: Mapping[str, str]) -> Contact:
    email, company = given.get("email", ""), given.get("company", "")
    return Contact("con_" + secrets.token_hex(8), given["name"], email, company)


def _contacts(rows: tuple[tuple[str, str, str], ...]) -> dict[str, Contact]:
    made = [_contact({"name": name, "email": email, "company": company}) for name, email, company in rows]
    return {contact.id: contact for contact in made}


async def _refuse(_request: Request, error: Exception) -> Response:
    assert isinstance(error, AcmeError)  # noqa: S101 - the handler is registered for this type only
    headers = {"WWW-Authenticate": "Bearer"} if error.status == 401 else None
    content = {"error": {"code": error.code, "message": error.message}}
    return JSONResponse(content, status_code=error.status, headers=headers)


_GLOBEX_CONTACTS: Final = (
    ("Priya Raman", "priya@hammond.example", "Hammond Logistics"),
    ("Jonas Weber", "jonas@kestrel.example", "Kestrel Energy"),
    ("Amara Obi", "amara@brightwell.example", "Brightwell Foods"),
)
_INITECH_CONTACTS: Final = (
    ("Lucía Vidal", "lucia@orchard.example", "Orchard Bank"),
    ("Sam Whitlock", "sam@pine.example", "Pine Street Clinic"),
)

_HOME: Final = (files(__package__) / "acme_settings.html").read_text("utf-8")
_STYLE: Final = _HOME.partition("<style>")[2].partition("</style>")[0]
_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_HOME_HEADERS: Final = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; img-src data:; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
