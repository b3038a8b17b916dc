"""Ask the end user a question after a callback, and store the tokens until the end user answers.

The end user selects one of several accounts, decides about the replacement of the connected account, or selects the
connection to reconnect. One Runtime encrypts the stored tokens. The answer must come from the browser that started the
authorization (promise P5 of docs/security.md). If the end user does not answer within ten minutes, One Runtime revokes
the tokens, unless another connection possibly uses the same grant (promise P9).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pydantic import TypeAdapter

from one_runtime.connecting import authorization_attempts, sessions
from one_runtime.connecting.account_lookup import AccountOption, AccountSelectionRequired
from one_runtime.connecting.authorization_attempts import AuthorizationAttempt
from one_runtime.connecting.verification import GrantedTokens
from one_runtime.connections.connections import ADD, AccountMismatch, Connection, SeveralConnections
from one_runtime.connections.credentials import TokenMetadata
from one_runtime.connections.pending_revocations import (
    PendingRevocation,
    RevocableTokens,
    RevocationCause,
    leave_to_worker,
    queue_revocation,
)
from one_runtime.context import Installation
from one_runtime.db.engine import Transaction
from one_runtime.integrations.oauth_clients import OAuthClient
from one_runtime.jobs.queue import database_now
from one_runtime.oauth.token_response import TokenSet
from one_runtime.tokens.state import merge_tokens

BATCH: Final = 100


REPLACE: Final = 0
KEEP: Final = 1
"""Answers to the question about a replacement of the connected account."""


@dataclass(frozen=True, slots=True)
class AccountSelection:
    """A question to the end user.

    `labels`: the names of the accounts from which the end user selects one, in the provider's order. `replacement`: the
    two accounts, if the end user decides about a replacement. `has_more`: True if the provider has further accounts.
    `connections`: the connections from which the end user selects the one to reconnect. The number after the last of
    them adds an account.
    """

    authorization_id: str
    labels: tuple[str, ...]
    replacement: AccountMismatch | None = None
    has_more: bool = False
    connections: tuple[Connection, ...] = ()


@dataclass(frozen=True, slots=True)
class Question:
    """A question before One Runtime stores it.

    The question is about the accounts to select from, about a replacement, or about the connections to select from.
    `account_id`: the account of the tokens, if known. `has_more`: True if the provider has further accounts.
    """

    accounts: tuple[AccountOption, ...] = ()
    replacement: AccountMismatch | None = None
    account_id: str | None = None
    has_more: bool = False
    connections: tuple[Connection, ...] = ()

    @classmethod
    def of(
        cls, error: AccountSelectionRequired | AccountMismatch | SeveralConnections, account_id: str | None
    ) -> "Question":
        """Return the question to ask after `error`."""
        if isinstance(error, AccountSelectionRequired):
            return cls(error.accounts, None, account_id, error.has_more)
        if isinstance(error, SeveralConnections):
            return cls(account_id=account_id, connections=error.present)
        return cls((), error, account_id)


@dataclass(frozen=True, slots=True)
class AnsweredQuestion:
    """The stored tokens with the end user's answer. `account_id`: the account of the tokens, if known.

    If the question was about a replacement, either `agreed_to` is the question, or `keeps_account` is True.
    `connection`: the id of the selected connection, or `ADD`, if the question was about connections.
    """

    granted: GrantedTokens
    account_id: str | None
    agreed_to: str | None
    keeps_account: bool
    connection: str | None = None


@dataclass(frozen=True, slots=True)
class _PausedAuthorization:
    """The data to store until the end user answers.

    `own`: the fields of the end user's own OAuth client. `asked`: the requested scopes. `selected`: the values of an
    account that the end user has already selected. `connections`: the ids of the connections to select from.
    """

    tokens: TokenSet
    params: Mapping[str, str]
    own: Mapping[str, str]
    asked: tuple[str, ...]
    accounts: tuple[AccountOption, ...]
    selected: Mapping[str, str] | None = None
    replacement: str | None = None
    account_id: str | None = None
    connections: tuple[str, ...] = ()


_PAUSED: Final = TypeAdapter(_PausedAuthorization)


async def pause(
    tx: Transaction,
    installation: Installation,
    attempt: AuthorizationAttempt,
    browser: str,
    granted: GrantedTokens,
    question: Question,
) -> AccountSelection:
    """Encrypt and store the tokens of an authorization attempt until the end user answers the question.

    Raises: NotFound if a concurrent request deleted the attempt.
    """
    paused = _PausedAuthorization(
        granted.tokens,
        granted.params,
        granted.own_client,
        granted.requested_scopes,
        question.accounts,
        granted.selected,
        question.replacement.detail if question.replacement is not None else None,
        question.account_id,
        tuple(connection.id for connection in question.connections),
    )
    payload, now = _PAUSED.dump_json(paused), installation.clock()
    await authorization_attempts.pause(tx, installation.vault.for_issued_tokens(), attempt, browser, payload, now)
    labels = tuple(account.label for account in question.accounts)
    return AccountSelection(attempt.id, labels, question.replacement, question.has_more, question.connections)


def read_answer(payload: bytes, number: int, client: OAuthClient | None) -> AnsweredQuestion:
    """Decode a payload that `pause` stored. Return the tokens with the end user's answer.

    `number`: the answer. If the end user selected an account, `number` is the account's position in the stored list. If
    the list is shorter, the result contains the account that an earlier answer selected, or no account. If the question
    was about a replacement, the list is empty, and every `number` other than `REPLACE` counts as `KEEP`. If the
    question was about connections, `number` is the position of a connection, or adds an account.
    """
    paused = _PAUSED.validate_json(payload)
    selected = paused.accounts[number].params if number < len(paused.accounts) else paused.selected
    granted = GrantedTokens(paused.tokens, paused.params, paused.own, client, paused.asked, selected)
    agreed_to = paused.replacement if number == REPLACE else None
    keeps = paused.replacement is not None and agreed_to is None
    connection = None
    if paused.connections:
        connection = paused.connections[number] if number < len(paused.connections) else ADD
    return AnsweredQuestion(granted, paused.account_id, agreed_to, keeps, connection)


async def purge_due(installation: Installation) -> int:
    """End authorization attempts that reached their time limit. Delete old attempts.

    The worker then revokes the stored tokens, unless another connection possibly uses the same grant. Return the number
    of ended and deleted attempts. Several processes can run this function at the same time.
    """
    vault = installation.vault
    async with installation.database.write() as tx:
        now = await database_now(tx, installation.clock)
        abandoned = await authorization_attempts.abandon(tx, vault, now, BATCH)
        for pending in await _queue_revocations(tx, installation, abandoned):
            await leave_to_worker(tx, pending, now)
    expired = len(abandoned) + await authorization_attempts.expire(installation.database, now)
    return expired + await authorization_attempts.purge(installation.database, now)


async def purge_of_end_user(
    tx: Transaction, installation: Installation, organization_id: str, end_user_id: str
) -> list[PendingRevocation]:
    """End all attempts of an end user that wait for an answer, delete their stored tokens, and queue the revocations.

    Return the queued revocations. The list omits tokens that another connection possibly uses.
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
        tokens = issued_tokens(attempt, session.end_user_id, paused.params, secrets, paused.account_id)
        cause: RevocationCause = "replacement_not_confirmed" if paused.replacement else "account_not_selected"
        pending.append(await queue_revocation(tx, vault, catalogs, tokens, cause, now))
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
