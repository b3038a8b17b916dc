"""What connecting proves: that credentials work, whose account they open, and what is to be kept with them (P7).

Nothing is stored here, and no transaction is open: providers are asked.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from one_runtime.catalog.model import Auth, Integration
from one_runtime.catalog.oauth2 import ClientCredentialsAuth, Lookup, OAuth2Auth
from one_runtime.catalog.received import UnexpectedValue, receive
from one_runtime.catalog.request import (
    Values,
    build_request,
    look_up,
    read_identity,
    read_lookup,
    text_of,
)
from one_runtime.connections import credentials
from one_runtime.connections.credentials import (
    NO_TOKEN_METADATA,
    CredentialsRefused,
    ProviderAccount,
    ProviderUnavailable,
    TokenMetadata,
)
from one_runtime.context import Installation
from one_runtime.egress import EgressError, on_behalf_of
from one_runtime.egress.provider_text import printable
from one_runtime.errors import Conflict
from one_runtime.integrations.oauth_clients import OAuthClient
from one_runtime.oauth.client import ClientIdentity
from one_runtime.oauth.errors import InvalidClient, InvalidGrant, OAuthError, TemporaryFailure, TokenRequestRefused
from one_runtime.oauth.grants import ClientCredentials, ShortLivedToken
from one_runtime.oauth.scopes import missing_scopes, requested_scopes
from one_runtime.oauth.token_response import Tokens
from one_runtime.tokens.endpoint import TokenEndpoint
from one_runtime.tokens.state import merge_tokens, refresh_due_at

_MOST_CHOICES: Final = 200


@dataclass(frozen=True, slots=True)
class AccountOption:
    """One of several accounts behind a token: what a person reads, and what it is known by."""

    label: str
    params: Mapping[str, str]


class AccountSelectionRequired(Conflict):
    """Behind the token are several accounts, and nobody has said which one."""

    code = "several_accounts"

    def __init__(self, detail: str, accounts: tuple[AccountOption, ...]) -> None:
        super().__init__(detail)
        self.accounts = accounts


@dataclass(frozen=True, slots=True)
class VerifiedAccount:
    """What a connection is made of. `params`: the end user's, and what the provider said."""

    account: ProviderAccount
    params: Mapping[str, str]
    secrets: Mapping[str, str] = field(repr=False)
    scopes: tuple[str, ...] = ()
    missing_scopes: tuple[str, ...] = ()
    expires_at: datetime | None = None
    grant: TokenMetadata = NO_TOKEN_METADATA


async def verify_credentials(
    installation: Installation, integration: Integration, auth: Auth, values: Values
) -> VerifiedAccount:
    """Ask the provider about what was typed: a key, a password, a client of the customer's own.

    Raises: CredentialsRefused on the provider's definite no; ProviderUnavailable where it gave no usable answer.
    """
    if not isinstance(auth, ClientCredentialsAuth):
        account = await credentials.check(installation.egress, integration, auth, values)
        return VerifiedAccount(account, values.params, values.credentials)
    grant = ClientCredentials(values.credentials)
    client = ClientIdentity(values.credentials["client_id"], values.credentials["client_secret"])
    endpoint = TokenEndpoint(integration, auth, client, values.params)
    try:
        tokens = await endpoint.ask(installation.egress, installation.clock, grant)
    except (InvalidClient, InvalidGrant, TokenRequestRefused) as error:
        raise CredentialsRefused(f"{integration.name} did not accept this.", error.reason) from error
    except OAuthError as error:
        raise unavailable(integration, error) from error
    secrets = merge_tokens(values.credentials, replace(tokens, refresh_token=None))
    account = await credentials.check(installation.egress, integration, auth, Values(values.params, secrets))
    asked = requested_scopes(auth.scopes, None, values.params)
    due_at = refresh_due_at(auth, secrets, tokens, installation.clock())
    return VerifiedAccount(
        account=account,
        params=values.params,
        secrets=secrets,
        scopes=tokens.scopes or asked,
        missing_scopes=missing_scopes(asked, tokens.scopes),
        expires_at=tokens.expires_at,
        grant=TokenMetadata(None, due_at),
    )


@dataclass(frozen=True, slots=True)
class GrantedTokens:
    """Tokens that a consent brought. `params`: what is known so far; `own`: what the customer typed, where the client
    is theirs; `asked`: the scopes that were asked for; `chosen`: the account, where there were several."""

    tokens: Tokens
    params: Mapping[str, str]
    own: Mapping[str, str] = field(repr=False)
    client: OAuthClient | None
    asked: tuple[str, ...]
    chosen: Mapping[str, str] | None = None

    @property
    def secrets(self) -> dict[str, str]:
        """What is kept sealed."""
        return merge_tokens(self.own, self.tokens)

    @property
    def grant(self) -> TokenMetadata:
        """The client that they were given to."""
        return TokenMetadata(self.client.id if self.client is not None else None)


async def verify_tokens(
    installation: Installation,
    integration: Integration,
    auth: OAuth2Auth,
    granted: GrantedTokens,
    *,
    check: bool = True,
) -> VerifiedAccount:
    """Take what the provider said with the tokens, look up what else is needed, and ask whose account it is.

    Raises: CredentialsRefused; ProviderUnavailable; SeveralAccounts; UnexpectedValue for a value that does not fit.
    """
    params = {**granted.params, **receive(auth, "token_response", granted.tokens.document)}
    client = granted.client
    given = {} if client is None else {"client_id": client.client.client_id, **client.fields_of(auth)}
    sent = {**given, **granted.secrets}
    if granted.chosen is not None:
        params |= granted.chosen
    elif auth.lookup is not None:
        params |= await _look_up(installation, integration, auth, auth.lookup, Values(params, sent))
    values = Values(params, sent)
    account = await credentials.check(installation.egress, integration, auth, values) if check else ProviderAccount()
    if account.id is None and auth.check is None:
        account = ProviderAccount(*read_identity(auth, values))
    due_at = refresh_due_at(auth, granted.secrets, granted.tokens, installation.clock())
    return VerifiedAccount(
        account=account,
        params=params,
        secrets=granted.secrets,
        scopes=granted.tokens.scopes or granted.asked,
        missing_scopes=missing_scopes(granted.asked, granted.tokens.scopes),
        expires_at=granted.tokens.expires_at,
        grant=TokenMetadata(granted.grant.oauth_client_id, due_at),
    )


async def exchange_tokens(installation: Installation, endpoint: TokenEndpoint, tokens: Tokens) -> Tokens:
    """The long-lived token for a short-lived one, where the entry has such an exchange. Raises: OAuthError."""
    if endpoint.auth.token.exchange is None:
        return tokens
    grant = ShortLivedToken(tokens.access_token)
    longer = await endpoint.ask(installation.egress, installation.clock, grant)
    return replace(longer, refresh_token=longer.refresh_token or tokens.refresh_token, document=tokens.document)


async def _look_up(
    installation: Installation, integration: Integration, auth: OAuth2Auth, lookup: Lookup, values: Values
) -> dict[str, str]:
    request = build_request(auth, lookup, values)
    try:
        with on_behalf_of(integration.slug):
            answer = await installation.egress.request(
                request.method, request.url, headers=request.headers, body=request.body
            )
    except EgressError as error:
        raise ProviderUnavailable(f"{integration.name} cannot be reached at the moment ({error.code}).") from error
    document = read_lookup(lookup, answer.status, answer.body)
    if document is None:
        raise ProviderUnavailable(f"{integration.name} answered {answer.status} when it was asked for the account.")
    if lookup.choices is None:
        return receive(auth, "lookup", document)
    choices = _choices(integration, auth, lookup, document)
    if len(choices) > 1:
        detail = f"This opens {len(choices)} accounts at {integration.name}, and it has to be said which one."
        raise AccountSelectionRequired(detail, choices)
    return dict(choices[0].params)


def _choices(integration: Integration, auth: OAuth2Auth, lookup: Lookup, document: object) -> tuple[AccountOption, ...]:
    assert lookup.choices is not None  # noqa: S101 - the caller has looked
    items = look_up(document, lookup.choices.at) if lookup.choices.at is not None else document
    if not isinstance(items, list) or not items or len(items) > _MOST_CHOICES:
        raise UnexpectedValue(f"{integration.name} lists no account that this token opens")
    found = [(text_of(look_up(item, lookup.choices.label)), receive(auth, "lookup", item)) for item in items]
    return tuple(AccountOption(printable(label or ", ".join(params.values()))[:255], params) for label, params in found)


def unavailable(integration: Integration, error: OAuthError) -> ProviderUnavailable:
    """What to say where a provider's token endpoint gave nothing that helps."""
    wait = error.retry_after if isinstance(error, TemporaryFailure) else None
    said = f" ({error.reason})" if error.reason else ""
    return ProviderUnavailable(f"{integration.name} does not answer as it should{said}. Try again.", wait)
