"""Take over OAuth tokens that an organization holds already, given to a client that is configured here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from one_runtime.catalog.model import Integration
from one_runtime.catalog.oauth2 import OAuth2Auth
from one_runtime.catalog.received import UnexpectedValue, receive
from one_runtime.catalog.request import clean_values
from one_runtime.connecting.verification import GrantedTokens, VerifiedAccount, verify_tokens
from one_runtime.context import Installation
from one_runtime.errors import FieldError, InvalidInput
from one_runtime.integrations import oauth_clients
from one_runtime.integrations.oauth_clients import OAuthClientMissing
from one_runtime.oauth.response import parse_date
from one_runtime.oauth.scopes import parse_granted_scopes
from one_runtime.oauth.token_response import Tokens, is_token

_OWN: Final = ("access_token", "refresh_token", "expires_at", "scope")


@dataclass(frozen=True, slots=True)
class ImportedTokens:
    """What was sent: params, and by name the tokens with what is known of them."""

    params: Mapping[str, str]
    credentials: Mapping[str, str] = field(repr=False)
    check: bool = True


async def import_tokens(
    installation: Installation, organization_id: str, integration: Integration, auth: OAuth2Auth, given: ImportedTokens
) -> VerifiedAccount:
    """What the tokens open.

    Raises: InvalidInput; OAuthClientMissing; HostNotRegistered; CredentialsRefused; ProviderUnavailable.
    """
    received = {part.name for part in auth.received}
    typed = {name: value for name, value in given.credentials.items() if name not in _OWN}
    asked = {name: value for name, value in given.params.items() if name not in received}
    values = clean_values(auth, asked, typed)
    tokens = _tokens(given)
    client = None
    if auth.client.owner != "customer":
        async with installation.database.read() as tx:
            client = await oauth_clients.find_for(tx, installation.vault, organization_id, integration.slug)
        if client is None:
            raise OAuthClientMissing(f"No OAuth client is configured for {integration.name}.")
        oauth_clients.require_host(client, integration.name, auth, values.params)
    # What a provider says in a callback or with its tokens, whoever imports them says in the params.
    told = {part.where: given.params[part.name] for part in auth.received if part.name in given.params}
    try:
        params = {**values.params, **receive(auth, "callback", told)}
        granted = GrantedTokens(_with(tokens, told), params, values.credentials, client, tokens.scopes or ())
        return await verify_tokens(installation, integration, auth, granted, check=given.check)
    except UnexpectedValue as error:
        raise InvalidInput(f"params: {error}.") from error


def _tokens(given: ImportedTokens) -> Tokens:
    """Raises: InvalidInput."""
    errors = []
    access, refresh = (
        given.credentials.get("access_token", "").strip(),
        given.credentials.get("refresh_token", "").strip(),
    )
    if not is_token(access):
        errors.append(FieldError("credentials.access_token", "is required, as the provider gave it"))
    if refresh and not is_token(refresh):
        errors.append(FieldError("credentials.refresh_token", "is no token"))
    expires_at = _moment(given.credentials.get("expires_at", ""), errors)
    if errors:
        raise InvalidInput(f"{errors[0].field}: {errors[0].message}", tuple(errors))
    return Tokens(access, refresh or None, expires_at, parse_granted_scopes(given.credentials.get("scope")))


def _moment(text: str, errors: list[FieldError]) -> datetime | None:
    if not text.strip():
        return None
    moment = parse_date(text)
    if moment is None:
        errors.append(FieldError("credentials.expires_at", "must be a time such as 2026-11-26T08:00:00Z"))
    return moment


def _with(tokens: Tokens, told: Mapping[str, str]) -> Tokens:
    document: dict[str, object] = {}
    for path, value in told.items():
        *outer, last = path.split(".")
        place = document
        for step in outer:
            inner = place.setdefault(step, {})
            assert isinstance(inner, dict)  # noqa: S101 - made here
            place = inner
        place[last] = value
    return Tokens(tokens.access_token, tokens.refresh_token, tokens.expires_at, tokens.scopes, document=document)
