"""Let the end user select one account, if the tokens from a provider give access to several accounts.

One Runtime encrypts and stores the tokens until the end user selects an account. The selection must come from the
browser that started the authorization. After ten minutes without a selection, One Runtime revokes the tokens
(promises P5 and P9 of docs/security.md).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pydantic import TypeAdapter

from one_runtime.connecting import authorization_attempts, sessions
from one_runtime.connecting.authorization_attempts import AuthorizationAttempt
from one_runtime.connecting.verification import AccountOption, GrantedTokens
from one_runtime.connections.credentials import TokenMetadata
from one_runtime.connections.pending_revocations import PendingRevocation, RevocableTokens, queue_revocation
from one_runtime.context import Installation
from one_runtime.db.engine import Transaction
from one_runtime.integrations.oauth_clients import OAuthClient
from one_runtime.jobs.queue import database_now
from one_runtime.oauth.token_response import TokenSet
from one_runtime.tokens.revocation import revoke_all
from one_runtime.tokens.state import merge_tokens

BATCH: Final = 100


@dataclass(frozen=True, slots=True)
class AccountSelection:
    """The accounts from which the end user selects one. `labels`: the accounts' names, in the provider's order."""

    authorization_id: str
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _PausedAuthorization:
    """The data to store until the end user selects an account.

    `own`: the fields of the end user's own OAuth client. `asked`: the requested scopes.
    """

    tokens: TokenSet
    params: Mapping[str, str]
    own: Mapping[str, str]
    asked: tuple[str, ...]
    accounts: tuple[AccountOption, ...]


_PAUSED: Final = TypeAdapter(_PausedAuthorization)


async def pause(
    tx: Transaction,
    installation: Installation,
    attempt: AuthorizationAttempt,
    browser: str,
    granted: GrantedTokens,
    accounts: tuple[AccountOption, ...],
) -> AccountSelection:
    """Encrypt and store the tokens of an authorization attempt until the end user selects an account.

    Raises: NotFound if a concurrent request deleted the attempt.
    """
    paused = _PausedAuthorization(
        granted.tokens, granted.params, granted.own_client, granted.requested_scopes, accounts
    )
    payload, now = _PAUSED.dump_json(paused), installation.clock()
    await authorization_attempts.pause(tx, installation.vault, attempt, browser, payload, now)
    return AccountSelection(attempt.id, tuple(account.label for account in accounts))


def selected_tokens(payload: bytes, number: int, client: OAuthClient | None) -> GrantedTokens:
    """Decode a payload that `pause` stored. Return the tokens with the selected account.

    `number`: the position of the account in the stored list. If the list has no such position, return the tokens
    without a selected account.
    """
    paused = _PAUSED.validate_json(payload)
    selected = paused.accounts[number].params if number < len(paused.accounts) else None
    return GrantedTokens(paused.tokens, paused.params, paused.own, client, paused.asked, selected)


async def purge_due(installation: Installation) -> int:
    """End authorization attempts that reached their time limit, and revoke the stored tokens. Delete old attempts.

    Return the number of ended and deleted attempts. Several processes can run this function at the same time.
    """
    vault = installation.vault
    async with installation.database.write() as tx:
        now = await database_now(tx, installation.clock)
        abandoned = await authorization_attempts.abandon(tx, vault, now, BATCH)
        revocations = await _queue_revocations(tx, installation, abandoned)
    expired = len(abandoned) + await authorization_attempts.expire(installation.database, now)
    await revoke_all(installation, revocations)
    return expired + await authorization_attempts.purge(installation.database, now)


async def purge_of_end_user(
    tx: Transaction, installation: Installation, organization_id: str, end_user_id: str
) -> list[PendingRevocation]:
    """End an end user's attempts that wait for a selection, and queue the revocation of the tokens.

    Return the queued revocations.
    """
    abandoned = await authorization_attempts.abandon_of(tx, installation.vault, organization_id, end_user_id)
    return await _queue_revocations(tx, installation, abandoned)


async def _queue_revocations(
    tx: Transaction, installation: Installation, abandoned: list[tuple[AuthorizationAttempt, bytes]]
) -> list[PendingRevocation]:
    now, vault, catalogs = installation.clock(), installation.vault, installation.catalogs
    pending = []
    for attempt, payload in abandoned:
        session = await sessions.get(tx, attempt.organization_id, attempt.session_id)
        paused = _PAUSED.validate_json(payload)
        secrets = merge_tokens(paused.own, paused.tokens)
        tokens = issued_tokens(attempt, session.end_user_id, paused.params, secrets)
        pending.append(await queue_revocation(tx, vault, catalogs, tokens, "account_not_selected", now))
    return [revocation for revocation in pending if revocation is not None]


def issued_tokens(
    attempt: AuthorizationAttempt,
    end_user_id: str,
    params: Mapping[str, str],
    secrets: Mapping[str, str],
    account_id: str | None = None,
) -> RevocableTokens:
    """Return the tokens that the provider issued in an attempt, in the form that `queue_revocation` accepts."""
    metadata = TokenMetadata(attempt.oauth_client_id, audience=attempt.details.audience)
    slug, organization_id = attempt.integration_slug, attempt.organization_id
    return RevocableTokens(organization_id, end_user_id, slug, "oauth2", metadata, params, secrets, account_id)
