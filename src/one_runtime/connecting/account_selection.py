"""Consents that wait for the end user to say which of several accounts: what was granted is kept meanwhile, sealed, and
let go of where nobody comes back (P9)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pydantic import TypeAdapter

from one_runtime.connecting import authorization_attempts, sessions
from one_runtime.connecting.authorization_attempts import AuthorizationAttempt
from one_runtime.connecting.verification import AccountOption
from one_runtime.connections.credentials import TokenMetadata
from one_runtime.connections.pending_revocations import PendingRevocation, RevocableTokens, queue_revocation
from one_runtime.context import Installation
from one_runtime.db.engine import Transaction
from one_runtime.jobs.queue import database_now
from one_runtime.jobs.worker import PeriodicTask
from one_runtime.oauth.token_response import Tokens
from one_runtime.tokens.revocation import revoke_all
from one_runtime.tokens.state import merge_tokens

BATCH: Final = 100
"""Consents that one turn lets go of at the most; the next turn goes on."""


@dataclass(frozen=True, slots=True)
class PausedAuthorization:
    """What is kept, sealed, while the end user chooses. `own`: the customer's own client; `asked`: scopes."""

    tokens: Tokens
    params: Mapping[str, str]
    own: Mapping[str, str]
    asked: tuple[str, ...]
    accounts: tuple[AccountOption, ...]


_PAUSED: Final = TypeAdapter(PausedAuthorization)


def dump(paused: PausedAuthorization) -> bytes:
    """As it is sealed."""
    return _PAUSED.dump_json(paused)


def parse(kept: bytes) -> PausedAuthorization:
    """What `dump` wrote."""
    return _PAUSED.validate_json(kept)


async def purge_due(installation: Installation) -> int:
    """Wipe what consents left behind that nobody came back from, and let go of what was granted; how many. Safe to run
    in several processes at once."""
    vault = installation.vault
    async with installation.database.write() as tx:
        now = await database_now(tx, installation.clock)
        abandoned = await authorization_attempts.abandon(tx, vault, now, BATCH)
        lettings = await _kept_to_revoke(tx, installation, abandoned)
        expired = len(abandoned) + await authorization_attempts.expire(tx, now)
    await revoke_all(installation, lettings)
    return expired + await authorization_attempts.purge(installation.database, now)


EXPIRE_AUTHORIZATIONS: Final[PeriodicTask[Installation]] = PeriodicTask("expire_authorizations", 30.0, purge_due)


async def purge_of_end_user(
    tx: Transaction, installation: Installation, organization_id: str, end_user_id: str
) -> list[PendingRevocation]:
    """Wipe what was granted to an end user who has not chosen an account yet; what is to be revoked of it."""
    abandoned = await authorization_attempts.abandon_of(tx, installation.vault, organization_id, end_user_id)
    return await _kept_to_revoke(tx, installation, abandoned)


async def _kept_to_revoke(
    tx: Transaction, installation: Installation, abandoned: list[tuple[AuthorizationAttempt, bytes]]
) -> list[PendingRevocation]:
    """Queue the revocation of the tokens of abandoned attempts."""
    now, vault, catalogs = installation.clock(), installation.vault, installation.catalogs
    pending = []
    for attempt, kept in abandoned:
        paused = _PAUSED.validate_json(kept)
        session = await sessions.get(tx, attempt.organization_id, attempt.session_id)
        secrets = merge_tokens(paused.own, paused.tokens)
        tokens = issued_tokens(attempt, session.end_user_id, paused.params, secrets)
        pending.append(await queue_revocation(tx, vault, catalogs, tokens, "account_not_selected", now))
    return [row for row in pending if row is not None]


def issued_tokens(
    attempt: AuthorizationAttempt,
    end_user_id: str,
    params: Mapping[str, str],
    secrets: Mapping[str, str],
    account_id: str | None = None,
) -> RevocableTokens:
    """Return the tokens that the provider issued in an authorization attempt, as `queue_revocation` takes them."""
    metadata = TokenMetadata(attempt.oauth_client_id, audience=attempt.details.audience)
    slug, organization_id = attempt.integration_slug, attempt.organization_id
    return RevocableTokens(organization_id, end_user_id, slug, "oauth2", metadata, params, secrets, account_id)
