"""Verify credentials with the provider, for new connections and for connections that exist.

The functions store nothing and open no transaction, because a transaction must not wait for a request to a provider.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from one_runtime.catalog.auth_types import Auth
from one_runtime.catalog.auth_types.oauth2 import OAuth2Auth
from one_runtime.catalog.grants import ShortLivedToken
from one_runtime.catalog.model import Integration
from one_runtime.catalog.request import ConnectionValues, build_check
from one_runtime.catalog.response import (
    read_check,
    read_identity,
)
from one_runtime.clock import Clock
from one_runtime.connecting.account_lookup import look_up_account
from one_runtime.connecting.provider_request import log_unreachable, send_request
from one_runtime.connections.connections import NewConnection
from one_runtime.connections.credentials import (
    NO_TOKEN_METADATA,
    CredentialsRefused,
    PermissionMissing,
    ProviderAccount,
    ProviderUnavailable,
    TokenMetadata,
)
from one_runtime.context import Installation
from one_runtime.egress.client import Egress
from one_runtime.egress.errors import TargetRefused
from one_runtime.encryption import key_ring
from one_runtime.integrations.oauth_clients import OAuthClient, require_field_hosts
from one_runtime.oauth.client import ClientIdentity
from one_runtime.oauth.errors import (
    EndpointTargetRefused,
    EndpointUnreachable,
    InvalidClient,
    InvalidGrant,
    OAuthError,
    TemporaryFailure,
    TokenRequestRefused,
)
from one_runtime.oauth.response import is_temporary_failure
from one_runtime.oauth.scopes import missing_scopes, requested_scopes
from one_runtime.oauth.token_response import TokenSet
from one_runtime.telemetry import metrics, tracing
from one_runtime.tokens.endpoint import TokenEndpoint
from one_runtime.tokens.state import merge_tokens

_WRONG_ADDRESS: Final = frozenset({404, 405, 410})


class InconclusiveCheck(ProviderUnavailable):
    """The provider is available, but its response to the check does not show if the credential is valid."""


@dataclass(frozen=True, slots=True)
class VerifiedAccount:
    """An account at the provider, with the data of its future connection. `params`: values such as a subdomain."""

    integration: Integration
    auth_type: str
    account: ProviderAccount
    params: Mapping[str, str]
    secrets: Mapping[str, str] = field(repr=False)
    scopes: tuple[str, ...] = ()
    missing_scopes: tuple[str, ...] = ()
    expires_at: datetime | None = None
    token_metadata: TokenMetadata = NO_TOKEN_METADATA

    def as_connection(self, end_user_id: str, name: str | None, metadata: Mapping[str, object]) -> NewConnection:
        """Return the connection to store.

        For a custom integration, the connection also stores the audience: a digest of the places to which requests send
        the credentials. If the organization later changes these places, One Runtime stops sending the credentials
        (promise P7 of docs/security.md).
        """
        return NewConnection(
            end_user_id=end_user_id,
            integration_slug=self.integration.slug,
            auth_type=self.auth_type,
            name=name,
            params=self.params,
            secrets=self.secrets,
            account=self.account,
            metadata=metadata,
            scopes=self.scopes,
            missing_scopes=self.missing_scopes,
            expires_at=self.expires_at,
            token_metadata=replace(self.token_metadata, audience=self.integration.audience(self.auth_type)),
        )


async def check_credentials(
    egress: Egress, integration: Integration, auth: Auth, values: ConnectionValues
) -> ProviderAccount:
    """Verify credentials with the integration's check request, and return the account.

    If the integration has no check request, send nothing and return an account without id and label.

    Raises: CredentialsRefused; PermissionMissing; TargetRefused; ProviderUnavailable if the provider gives no usable
    response.
    """
    if auth.check is None:
        return ProviderAccount()
    with metrics.credential_check(integration.slug), tracing.credential_check(integration.slug):
        response = await send_request(egress, integration, build_check(auth, values))
        result = read_check(auth, response.status, response.headers, response.body, values)
        if result.refused:
            raise CredentialsRefused(
                f"{integration.name} did not accept these credentials. Check the values, and try again.", result.reason
            )
        if result.outcome == "permission_missing":
            permission = auth.check.permission_missing.permission
            raise PermissionMissing(_missing_permission(integration, permission), result.reason, permission)
        if not result.ok:
            error = ProviderUnavailable if is_temporary_failure(response.status) else InconclusiveCheck
            raise error(
                f"{integration.name} answered {response.status}, which does not show if the credentials are valid. "
                "Try again."
            )
        return ProviderAccount(result.account_id, result.account_label)


def _missing_permission(integration: Integration, permission: str | None) -> str:
    if permission is None:
        return (
            f"{integration.name} denied these credentials access to the account. Check the permissions of the "
            "credentials, and try again."
        )
    return (
        f"{integration.name} accepted these credentials, but the credentials lack the permission {permission}. Add "
        "the permission, and try again."
    )


def unverified_account(integration: Integration, auth: Auth, values: ConnectionValues) -> VerifiedAccount:
    """Return an account that is not verified, for an import with `check: false`."""
    return VerifiedAccount(integration, auth.type, ProviderAccount(), values.params, values.credentials)


async def verify_credentials(
    installation: Installation, organization_id: str, integration: Integration, auth: Auth, values: ConnectionValues
) -> VerifiedAccount:
    """Verify a key, a password, or an OAuth client that an end user entered or an organization imported.

    Raises: CredentialsRefused; PermissionMissing; TargetRefused; ProviderUnavailable if the provider gives no usable
    response; KeyNotInRing if this process could not store the tokens.
    """
    egress = installation.egress.for_tenant(organization_id)
    token_auth = auth.token_auth
    grant = token_auth.first_grant(values.credentials) if token_auth is not None else None
    if token_auth is None or grant is None:
        account = await check_credentials(egress, integration, auth, values)
        return VerifiedAccount(integration, auth.type, account, values.params, values.credentials)
    endpoint = TokenEndpoint(integration, token_auth, ClientIdentity.entered(values.credentials), values.params)
    async with installation.database.read() as tx:
        await key_ring.require_active_key(tx, installation.vault)
    try:
        tokens = await endpoint.ask(egress, installation.clock, grant)
    except EndpointTargetRefused as error:
        raise TargetRefused(str(error)) from error
    except OAuthError as error:
        if isinstance(error, InvalidClient | InvalidGrant | TokenRequestRefused) or _refuses_client(error):
            raise CredentialsRefused(
                f"{integration.name} did not accept these credentials. Check the values, and try again.", error.reason
            ) from error
        reason, cause = f" ({error.reason})" if error.reason else "", None
        if isinstance(error, EndpointUnreachable):
            cause = error.cause
            log_unreachable(integration, error.code, cause)
        raise ProviderUnavailable(
            f"{integration.name} does not answer as it should{reason}. Try again.",
            error.retry_after if isinstance(error, TemporaryFailure) else None,
            cause,
        ) from error
    secrets = merge_tokens(values.credentials, replace(tokens, refresh_token=None))
    account = await check_credentials(egress, integration, auth, ConnectionValues(values.params, secrets))
    scopes = requested_scopes(token_auth.scopes, None, values.params)
    due_at = token_auth.refresh_due_at(secrets, tokens, installation.clock())
    return VerifiedAccount(
        integration=integration,
        auth_type=auth.type,
        account=account,
        params=values.params,
        secrets=secrets,
        scopes=tokens.scopes or scopes,
        missing_scopes=missing_scopes(scopes, tokens.scopes, lacks_refresh_token=tokens.lacks_refresh_token),
        expires_at=tokens.expires_at,
        token_metadata=TokenMetadata(None, due_at),
    )


def _refuses_client(error: OAuthError) -> bool:
    """Return True if the response to a request with only a client id and a secret refuses the two values.

    Some providers refuse a wrong secret without an error code. A request for client credentials contains no grant that
    could be wrong (RFC 6749, 4.4.2). A status about the address, such as 404, says nothing about the two values.
    """
    response = error.response
    refused = response.possible_refusal and response.status not in _WRONG_ADDRESS
    return refused and not response.firewall_page and response.error is None


@dataclass(frozen=True, slots=True)
class GrantedTokens:
    """Unverified tokens from the provider.

    `params`: the connection's values that are known so far, such as a subdomain. `own_client`: the fields of the end
    user's own OAuth client, if the integration requires such a client. `selected`: the values of the account that the
    end user selected, if the tokens give access to several accounts.
    """

    tokens: TokenSet
    params: Mapping[str, str]
    own_client: Mapping[str, str] = field(repr=False)
    client: OAuthClient | None
    requested_scopes: tuple[str, ...]
    selected: Mapping[str, str] | None = None

    @property
    def secrets(self) -> dict[str, str]:
        """Return the tokens and `own_client` in one dictionary."""
        return merge_tokens(self.own_client, self.tokens)


async def verify_tokens(
    installation: Installation,
    organization_id: str,
    integration: Integration,
    auth: OAuth2Auth,
    granted: GrantedTokens,
    *,
    check: bool = True,
) -> VerifiedAccount:
    """Verify tokens, and return their account. Also ask the provider for the values that later requests need.

    `check`: False to send no check request.

    Raises:
        CredentialsRefused, PermissionMissing, TargetRefused, ProviderUnavailable: see `check_credentials`.
        AccountSelectionRequired: the tokens give access to several accounts.
        HostNotRegistered: a client field would go to a host that the client's registration omits.
        UnexpectedValue: the provider sent a value that the integration does not allow.
    """
    egress = installation.egress.for_tenant(organization_id)
    params = {**granted.params, **auth.read_received("token_response", granted.tokens.document)}
    client = granted.client
    client_fields = {} if client is None else auth.client_values(client.client.client_id, client.fields)
    secrets = granted.secrets
    sent = {**client_fields, **secrets}
    if granted.selected is not None:
        params |= granted.selected
    elif auth.lookup is not None:
        if client is not None:
            require_field_hosts(client, integration.name, auth, params)
        known = ConnectionValues(params, sent)
        params |= await look_up_account(egress, integration, auth, auth.lookup, known)
    if client is not None:  # a value of the provider can change a host that receives a client field (promise P7)
        require_field_hosts(client, integration.name, auth, params)
    values = ConnectionValues(params, sent)
    account = ProviderAccount()
    if check:
        account = await check_credentials(egress, integration, auth, values)
    if account.id is None and auth.check is None:
        account = ProviderAccount(*read_identity(auth, values))
    due_at = auth.refresh_due_at(secrets, granted.tokens, installation.clock())
    return VerifiedAccount(
        integration=integration,
        auth_type=auth.type,
        account=account,
        params=params,
        secrets=secrets,
        scopes=granted.tokens.scopes or granted.requested_scopes,
        missing_scopes=missing_scopes(
            granted.requested_scopes,
            granted.tokens.scopes,
            lacks_refresh_token=granted.tokens.lacks_refresh_token,
        ),
        expires_at=granted.tokens.expires_at,
        token_metadata=TokenMetadata(client.id if client is not None else None, due_at),
    )


async def exchange_tokens(egress: Egress, clock: Clock, endpoint: TokenEndpoint, tokens: TokenSet) -> TokenSet:
    """Exchange a short-lived token for a long-lived token. Raises: OAuthError.

    If the integration defines no such exchange, return `tokens` unchanged.
    """
    if endpoint.auth.token.exchange is None:
        return tokens
    grant = ShortLivedToken(tokens.access_token)
    longer = await endpoint.ask(egress, clock, grant)
    return replace(longer, refresh_token=longer.refresh_token or tokens.refresh_token, document=tokens.document)
