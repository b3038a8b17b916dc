"""Import keys, passwords and OAuth tokens that an organization already has: verify and store them as connections."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final, NamedTuple

from one_runtime.catalog.auth_types import Auth, AuthType, oauth2_of
from one_runtime.catalog.auth_types.oauth2 import OAuth2Auth
from one_runtime.catalog.model import Integration
from one_runtime.catalog.parts import CredentialField, Param
from one_runtime.catalog.request import (
    NO_NAMES,
    NOT_AN_OPTION,
    REQUIRED,
    ConnectionValues,
    Group,
    Wording,
    clean_values,
    names_of,
)
from one_runtime.catalog.response import UnexpectedValue
from one_runtime.connecting.provider_request import reasons_for_developers
from one_runtime.connecting.verification import (
    GrantedTokens,
    VerifiedAccount,
    unverified_account,
    verify_credentials,
    verify_tokens,
)
from one_runtime.connections import connections
from one_runtime.connections.connections import AccountMismatch, Connection, NewConnection
from one_runtime.context import Installation
from one_runtime.db.engine import Transaction
from one_runtime.egress.retry_after import parse_date
from one_runtime.errors import FieldError, InvalidInput
from one_runtime.integrations import oauth_clients
from one_runtime.integrations.availability import Availability
from one_runtime.oauth.scopes import parse_granted_scopes
from one_runtime.oauth.token_response import TokenSet, is_token
from one_runtime.tenancy.events import Actor
from one_runtime.validation.descriptions import one_of

_TOKEN_FIELDS: Final = ("access_token", "refresh_token", "expires_at", "scope")


@dataclass(frozen=True, slots=True)
class CredentialImport:
    """A credential to import for an end user.

    `connection_id`: the connection whose credential to replace, or None.
    `multiple`: True to add a connection, and to keep the end user's present connection to the integration.
    `check`: True to verify the credential with the provider first. A credential of the auth type `client_credentials`
    is always verified.
    """

    integration_slug: str
    auth_type: AuthType
    params: Mapping[str, str]
    credentials: Mapping[str, str] = field(repr=False)
    end_user_id: str
    name: str | None
    metadata: Mapping[str, object]
    connection_id: str | None = None
    multiple: bool = False
    check: bool = True


class VerifiedImport(NamedTuple):
    """A connection to store, and its integration."""

    connection: NewConnection
    integration: Integration


class ImportedConnection(NamedTuple):
    """A stored connection, and its integration. `created`: True if the connection is new."""

    connection: Connection
    created: bool
    integration: Integration


async def verify_import(installation: Installation, actor: Actor, request: CredentialImport) -> VerifiedImport:
    """Verify a credential with the provider. Return the connection that `store_import` stores.

    Raises:
        NotFound: the integration is unknown.
        InvalidInput: the auth type is not available, or a field is invalid.
        IntegrationDisabled: the operator has disabled the integration.
        OAuthClientMissing: no OAuth client is registered.
        HostNotRegistered: the client's registration omits a host of this request.
        CredentialsRefused, PermissionMissing, TargetRefused, ProviderUnavailable: the verification failed.
        AccountSelectionRequired: the token gives access to several accounts.
    """
    async with installation.database.read() as tx:
        integration = await installation.catalogs.require(tx, actor.organization_id, request.integration_slug)
        installation.disabled.require_enabled(integration.slug, "integration_slug")
        clients = await oauth_clients.list_slugs(tx, actor.organization_id)
    # A backend can also import a credential of an integration that the organization has not enabled.
    reason = Availability(clients=clients).explain_auth_type(integration, request.auth_type)
    if reason is not None:
        raise InvalidInput.of("auth_type", reason)
    with reasons_for_developers():
        verified = await _verify(installation, actor.organization_id, integration, request)
    connection = verified.as_connection(request.end_user_id, request.name, request.metadata)
    target, multiple = request.connection_id, request.multiple
    return VerifiedImport(replace(connection, target=target, multiple=multiple, agreed=target is not None), integration)


async def store_import(
    tx: Transaction, installation: Installation, actor: Actor, verified: VerifiedImport
) -> ImportedConnection:
    """Store the connection, or replace the credential of a present connection.

    Raises:
        NotFound: the end user has no connection `connection_id` to the integration.
        AccountMismatch, SeveralConnections: the request does not say which connection to replace (promise P15).
    """
    vault, catalogs, now = installation.vault, installation.catalogs, installation.clock()
    new = verified.connection
    try:
        stored, created = await connections.create_or_replace(tx, vault, catalogs, actor, new, now)
    except AccountMismatch as mismatch:
        raise _explained(mismatch) from None
    return ImportedConnection(stored, created, verified.integration)


def _explained(mismatch: AccountMismatch) -> AccountMismatch:
    """Return the error with the instructions for a backend, which cannot ask the end user."""
    new, present = mismatch.account, mismatch.present
    mismatch.detail = (
        f"The credential belongs to the account {new.label or new.id}, but the end user's connection {present.id} "
        f"belongs to {present.account_label or present.account_id}. To replace the account of this connection, send "
        "its id as connection_id. To add a connection, send multiple: true."
    )
    return mismatch


async def _verify(
    installation: Installation, organization_id: str, integration: Integration, request: CredentialImport
) -> VerifiedAccount:
    auth = integration.auth_of(request.auth_type)
    if auth is None:
        raise InvalidInput.of("auth_type", f"{integration.name} has no auth type {request.auth_type}.")
    oauth2 = oauth2_of(auth)
    if oauth2 is not None:
        return await _verify_tokens(installation, organization_id, integration, oauth2, request)
    values = clean_values(auth, request.params, request.credentials, wording=_wording(integration))
    if request.check or auth.token_auth is not None:
        return await verify_credentials(installation, organization_id, integration, auth, values)
    return unverified_account(integration, auth, values)


async def _verify_tokens(
    installation: Installation,
    organization_id: str,
    integration: Integration,
    auth: OAuth2Auth,
    request: CredentialImport,
) -> VerifiedAccount:
    values, tokens = _clean_tokens(integration, auth, request)
    async with installation.database.read() as tx:
        client = await oauth_clients.require(tx, installation.vault, organization_id, integration, auth, values.params)
    # `auth.received` lists values that the provider sends with the tokens, such as a subdomain. An import has no such
    # response, so the organization sends these values in `params`.
    provider_values = {part.where: request.params[part.name] for part in auth.received if part.name in request.params}
    try:
        params = {**values.params, **auth.read_received("callback", provider_values)}
        tokens = _with_document(tokens, provider_values)
        granted = GrantedTokens(tokens, params, values.credentials, client, tokens.scopes or ())
        return await verify_tokens(installation, organization_id, integration, auth, granted, check=request.check)
    except UnexpectedValue as error:
        raise InvalidInput.of("params", str(error)) from error


def _clean_tokens(
    integration: Integration, auth: OAuth2Auth, request: CredentialImport
) -> tuple[ConnectionValues, TokenSet]:
    """Return the valid values and tokens. Raises: InvalidInput, with the errors of both."""
    tokens, errors = _read_tokens(request.credentials)
    try:
        values = clean_values(
            auth,
            request.params,
            request.credentials,
            wording=_wording(integration),
            other_names=_names_of_tokens(auth),
        )
    except InvalidInput as error:
        raise InvalidInput.of_all([*errors, *error.errors]) from error
    if errors:
        raise InvalidInput.of_all(errors)
    return values, tokens


def field_names(auth: Auth, group: Group) -> list[str]:
    """Return the names of the values in `params` or `credentials` of an import."""
    oauth2 = oauth2_of(auth)
    tokens = _names_of_tokens(oauth2) if oauth2 is not None else NO_NAMES
    return [*tokens.get(group, ()), *names_of(auth, group)]


def _names_of_tokens(auth: OAuth2Auth) -> Mapping[Group, Collection[str]]:
    """Return the names of the values that an end user does not enter, but that an import contains."""
    return {"params": [part.name for part in auth.received], "credentials": _TOKEN_FIELDS}


def _wording(integration: Integration) -> Wording:
    """Return the function that writes the messages for developers. The field's name is in front of each message."""

    def describe(part: Param | CredentialField, problem: str) -> str:
        if problem == REQUIRED:
            return f"is required: {part.label} of the end user's account at {integration.name}"
        if problem == NOT_AN_OPTION and isinstance(part, Param):
            return one_of([option.value for option in part.options])
        return problem

    return describe


def _read_tokens(credentials: Mapping[str, str]) -> tuple[TokenSet, list[FieldError]]:
    """Return the tokens, and the errors of invalid values. With an error, the tokens are not usable."""
    errors = list[FieldError]()
    access, refresh = (credentials.get(name, "").strip() for name in ("access_token", "refresh_token"))
    if not access:
        errors.append(FieldError("credentials.access_token", "is required: the token exactly as the provider sent it"))
    for name, token in (("access_token", access), ("refresh_token", refresh)):
        if token and not is_token(token):
            errors.append(
                FieldError(f"credentials.{name}", "must be the token exactly as the provider sent it, in ASCII")
            )
    expires_at = _read_time(credentials.get("expires_at", ""), errors)
    return TokenSet(access, refresh or None, expires_at, parse_granted_scopes(credentials.get("scope"))), errors


def _read_time(text: str, errors: list[FieldError]) -> datetime | None:
    if not text.strip():
        return None
    moment = parse_date(text)
    if moment is None:
        errors.append(FieldError("credentials.expires_at", "must be a time such as 2026-11-26T08:00:00Z"))
    return moment


def _with_document(tokens: TokenSet, provider_values: Mapping[str, str]) -> TokenSet:
    """Add a JSON document to the tokens, as if the provider had sent the values in a token response.

    The document contains each value at its path: `team.id` becomes `{"team": {"id": …}}`.
    """
    document: dict[str, object] = {}
    for path, value in provider_values.items():
        *outer, last = path.split(".")
        place = document
        for step in outer:
            inner = place.setdefault(step, {})
            assert isinstance(inner, dict)  # noqa: S101 - the loop made this dict
            place = inner
        place[last] = value
    return replace(tokens, document=document)
