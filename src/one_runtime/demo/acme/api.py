"""Serve Acme's API under the path /v1.

An API key permits every request. A test can restrict a key. An access token permits only the requests of the token's
scopes.
"""

import asyncio
import json
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import asdict, replace
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from one_runtime.demo.acme.accounts import Account, Accounts, Contact, new_contact_id
from one_runtime.demo.acme.errors import AcmeError
from one_runtime.demo.acme.faults import Faults
from one_runtime.demo.acme.grants import ACCESS_TOKEN, Grants
from one_runtime.demo.acme.scopes import ACCOUNT_READ, CONTACTS_READ, CONTACTS_WRITE

_Endpoint = Callable[[Request], Awaitable[Response]]

_MAX_BODY: Final = 16_384
_CONTACT_FIELDS: Final = ("name", "email", "company")


class Api:
    """The endpoints for an account and its contacts."""

    def __init__(self, accounts: Accounts, grants: Grants, faults: Faults) -> None:
        self._accounts, self._grants, self._faults = accounts, grants, faults

    def routes(self) -> list[Route]:
        """Return the routes of the API."""
        contacts, contact = "/v1/contacts", "/v1/contacts/{id}"
        return [
            Route("/v1/me", self._guard(ACCOUNT_READ, _me)),
            Route(contacts, self._guard(CONTACTS_READ, _list_contacts), methods=["GET"]),
            Route(contacts, self._guard(CONTACTS_WRITE, _create_contact), methods=["POST"]),
            Route(contact, self._guard(CONTACTS_READ, _get_contact), methods=["GET"]),
            Route(contact, self._guard(CONTACTS_WRITE, _update_contact), methods=["PATCH"]),
            Route(contact, self._guard(CONTACTS_WRITE, _delete_contact), methods=["DELETE"]),
            # These two routes accept no access token. So only the owner of the API key can use the routes.
            Route("/v1/test/revoke", self._switch(revoked=True), methods=["POST"]),
            Route("/v1/test/restore", self._switch(revoked=False), methods=["POST"]),
        ]

    def with_key(self, key: str) -> Account:
        """Return the account of a key, even if the key is revoked. Raises: AcmeError for an unknown key."""
        for account in self._accounts.values():
            if secrets.compare_digest(account.key.encode(), key.encode()):
                return account
        raise AcmeError(401, "invalid_key", "No Acme CRM account has this API key. Copy it again from Settings.")

    def _guard(self, scope: str, endpoint: Callable[[Request, Account], Awaitable[Response]]) -> _Endpoint:
        async def guarded(request: Request) -> Response:
            await asyncio.sleep(self._faults.api_delay)
            if self._faults.api_status is not None:
                raise AcmeError(
                    self._faults.api_status, "unavailable", "Acme CRM is not available now. Try again later."
                )
            bearer = _bearer(request)
            is_token = bearer.startswith(ACCESS_TOKEN)
            return await endpoint(request, self._of_token(bearer, scope) if is_token else self._of_key(bearer, scope))

        return guarded

    def _switch(self, *, revoked: bool) -> _Endpoint:
        async def switch(request: Request) -> Response:
            self.with_key(_bearer(request)).revoked = revoked
            return Response(status_code=204)

        return switch

    def _of_key(self, key: str, scope: str) -> Account:
        account = self.with_key(key)
        if account.revoked:
            raise AcmeError(401, "key_revoked", f"This API key was revoked by an administrator of {account.name}.")
        if account.restricted and scope == ACCOUNT_READ:
            raise AcmeError(403, "insufficient_scope", f"This API key does not allow {scope}.")
        return account

    def _of_token(self, value: str, scope: str) -> Account:
        token = self._grants.find_access_token(value)
        if token is None:
            raise _invalid_token("invalid_token", "This access token is unknown. Sign in again.")
        account = self._accounts[token.grant.account_id]
        if token.is_revoked:
            raise _invalid_token("token_revoked", f"This access to {account.name} was revoked. Sign in again.")
        if self._grants.is_over(token):
            raise _invalid_token("token_expired", "This access token has expired. Refresh the token.")
        if scope not in token.scopes:
            challenge = {"error": "insufficient_scope", "scope": scope}
            raise AcmeError(403, "insufficient_scope", f"This access token does not allow {scope}.", challenge)
        return account


def _invalid_token(code: str, message: str) -> AcmeError:
    return AcmeError(401, code, message, {"error": "invalid_token", "error_description": message})


def _bearer(request: Request) -> str:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        raise AcmeError(401, "missing_key", "Send your API key as 'Authorization: Bearer acme_…'.")
    return key.strip()


async def _me(_request: Request, account: Account) -> Response:
    return JSONResponse({"account": {"id": account.id, "name": account.name}, "plan": "team"})


async def _list_contacts(_request: Request, account: Account) -> Response:
    return JSONResponse({"contacts": [asdict(contact) for contact in account.contacts.values()]})


async def _create_contact(request: Request, account: Account) -> Response:
    fields = await _contact_fields(request)
    if not fields.get("name"):
        raise AcmeError(422, "invalid_contact", "A contact needs a name.")
    contact = Contact(new_contact_id(), **fields)
    account.contacts[contact.id] = contact
    return JSONResponse(asdict(contact), status_code=201)


async def _get_contact(request: Request, account: Account) -> Response:
    return JSONResponse(asdict(_find_contact(request, account)))


async def _update_contact(request: Request, account: Account) -> Response:
    contact = replace(_find_contact(request, account), **await _contact_fields(request))
    account.contacts[contact.id] = contact
    return JSONResponse(asdict(contact))


async def _delete_contact(request: Request, account: Account) -> Response:
    del account.contacts[_find_contact(request, account).id]
    return Response(status_code=204)


def _find_contact(request: Request, account: Account) -> Contact:
    contact = account.contacts.get(request.path_params["id"])
    if contact is None:
        raise AcmeError(404, "not_found", "There is no such contact.")
    return contact


async def _contact_fields(request: Request) -> dict[str, str]:
    body = await request.body()
    if len(body) > _MAX_BODY:
        raise AcmeError(413, "too_large", "A contact must be at most 16 kB.")
    try:
        data = json.loads(body)
    except ValueError as error:
        raise AcmeError(400, "malformed", "The body must be a JSON object.") from error
    if not isinstance(data, dict) or not all(isinstance(value, str) for value in data.values()):
        raise AcmeError(422, "invalid_contact", "A contact is a JSON object of texts: name, email, company.")
    unknown = data.keys() - set(_CONTACT_FIELDS)
    if unknown:
        raise AcmeError(422, "invalid_contact", f"A contact has no field '{min(unknown)}'.")
    return {name: value.strip() for name, value in data.items()}
