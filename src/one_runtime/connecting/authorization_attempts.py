"""Store OAuth authorization attempts. An attempt begins with the end user's click and ends with a known outcome.

An attempt has these steps:

1. The popup opens a window, and sends a ticket (a one-time token) to the window. In the modes `redirect` and `link`,
   the popup and the window are the same tab.
2. The window exchanges the ticket for an OAuth state and a browser secret. A cookie stores the browser secret. The
   window then goes to the provider's page.
3. The provider redirects the window to One Runtime, with the state. This request is the callback. One Runtime accepts
   each state only once, and only from the browser with the cookie (promises P5 and P6 of docs/security.md).

The database stores only hashes of the ticket, the state and the browser secret (P2). Until the callback, an attempt
also stores the secrets that the token request needs, encrypted. If the end user has to answer a question after the
callback, such as which account to connect, the attempt stores the tokens, encrypted.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from sqlalchemy import Select, bindparam, delete, func, insert, select, update

from one_runtime.connections.credentials import CheckFailed
from one_runtime.db.engine import Database, Transaction
from one_runtime.db.ids import is_id
from one_runtime.db.schema import consents
from one_runtime.db.schema import hosted_connection_sessions as sessions
from one_runtime.encryption import key_ring, secret_tokens
from one_runtime.encryption.secret_tokens import SecretToken
from one_runtime.encryption.vault import KeyNotInRing, SealBroken, SealContext, Sealed, Vault
from one_runtime.errors import Conflict, NotFound, OneRuntimeError
from one_runtime.jobs.queue import batched_delete, batched_update, lock_due, run_in_batches

TABLE: Final = "consents"
TICKET_LIFE: Final = timedelta(minutes=2)
STATE_LIFE: Final = timedelta(minutes=10)
"""Time that the end user has on the provider's page, and to answer a question after the callback."""
KEPT: Final = timedelta(hours=1)
"""Time from an attempt's `expires_at` to the attempt's deletion. Until then, the popup can read the outcome."""

_VERSION: Final = 1  # `version` of a row that stores an `AttemptSecret`
_PAUSED_VERSION: Final = 2  # `version` of a row that stores tokens during the account selection
_COOKIE_PREFIX: Final = "or-authorization-"
_COOKIE_DIGITS: Final = 16  # hex digits of the state's hash, so that parallel attempts have different cookies

Status: TypeAlias = Literal["prepared", "left", "arrived", "choosing", "connected", "failed"]
# Some values do not match the names of their constants. New values would need a migration.
PREPARED: Final = "prepared"
STARTED: Final = "left"
CONSUMED: Final = "arrived"
SELECTING: Final = "choosing"
CONNECTED: Final = "connected"
FAILED: Final = "failed"


class AuthorizationExpired(Conflict):
    """The ticket or callback was used before, has expired, or belongs to another browser's attempt."""

    code = "consent_lost"
    documentation = (
        "In the popup: the authorization has expired or ended, or belongs to a different browser.",
        "The user has to start again.",
    )


class AuthorizationFailed(Conflict):
    """The authorization ended without a connection.

    `failure`: the failure's code, such as `invalid_grant`. `reason`: the provider's error message. `counts`: True if
    the failure counts towards the session's limit of failed attempts.
    """

    code = "authorization_failed"
    documentation = (
        "In the popup: the authorization at the provider failed. The session's `last_error` has the reason.",
        "The user can try again in the popup.",
    )

    def __init__(self, failure: str, detail: str, reason: str | None = None, *, counts: bool = False) -> None:
        super().__init__(detail)
        self.failure = failure
        self.reason = reason
        self.counts = counts


@dataclass(frozen=True, slots=True)
class AttemptDetails:
    """The connection that the end user requested.

    - `scopes`: the scopes to request. None: the integration's default scopes.
    - `audience`: a hash over the hosts that receive the tokens, and over the parts of requests (header, query, body)
      that contain the tokens (`CustomIntegration.audience`). None for a built-in integration.
    """

    params: Mapping[str, str]
    scopes: tuple[str, ...] | None = None
    name: str | None = None
    replace_account: str | None = None
    audience: str | None = None

    def __post_init__(self) -> None:
        if self.scopes is not None:  # the database returns a list
            object.__setattr__(self, "scopes", tuple(self.scopes))


@dataclass(frozen=True, slots=True)
class AttemptSecret:
    """Secrets for the token request: the PKCE verifier (RFC 7636), and fields of the end user's own OAuth client."""

    verifier: str | None = field(default=None, repr=False)
    credentials: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class BrowserBinding:
    """The cookie that binds an attempt to the browser that started the attempt (P5).

    `session_token`: the session token, only in the modes `redirect` and `link`. After the callback, the tab continues
    the session with this token. The database does not contain the token.
    """

    cookie: str
    secret: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class AuthorizationAttempt:
    """A stored attempt. `sealed`: the encrypted secrets or tokens. `key_id`: the id of the encryption key."""

    id: str
    session_id: str
    organization_id: str
    integration_slug: str
    oauth_client_id: str | None
    status: Status
    issuer: str | None
    details: AttemptDetails
    created_at: datetime
    expires_at: datetime
    ticket_hash: bytes | None = field(default=None, repr=False)
    state_hash: bytes | None = field(default=None, repr=False)
    browser_hash: bytes | None = field(default=None, repr=False)
    sealed: bytes | None = field(default=None, repr=False)
    key_id: str | None = None
    version: int = _VERSION

    def __post_init__(self) -> None:
        details: object = self.details
        if isinstance(details, dict):  # from a row
            object.__setattr__(self, "details", AttemptDetails(**details))

    def has_expired(self, now: datetime) -> bool:
        """Return True if `expires_at` has passed and the attempt has not ended."""
        return self.status not in {CONNECTED, FAILED} and now >= self.expires_at


class _AttemptCount(NamedTuple):
    attempts: int


_COLUMNS = tuple(consents.c[name] for name in AuthorizationAttempt.__dataclass_fields__)
_INSERT = insert(consents)
_OPEN = (consents.c.status == PREPARED) | (consents.c.status == STARTED)
_SUPERSEDE = delete(consents).where(consents.c.session_id == bindparam("session"), _OPEN)
_BY_TICKET = select(*_COLUMNS).where(consents.c.ticket_hash == bindparam("hash"))
_BY_ID = select(*_COLUMNS).where(consents.c.id == bindparam("attempt"))
_BY_STATE = select(*_COLUMNS).where(consents.c.state_hash == bindparam("hash"))
_OF_SESSION = select(*_COLUMNS).where(
    consents.c.id == bindparam("attempt"), consents.c.session_id == bindparam("session")
)
_CHANGE = update(consents).where(consents.c.id == bindparam("attempt"))
_START = _CHANGE.where(consents.c.status == PREPARED, consents.c.expires_at > bindparam("now")).values(
    status=STARTED,
    ticket_hash=None,
    state_hash=bindparam("new_state"),
    browser_hash=bindparam("new_browser"),
    expires_at=bindparam("until"),
)
_WIPED: dict[str, Any] = {
    "ticket_hash": None, "state_hash": None, "browser_hash": None, "sealed": None, "key_id": None,
}  # fmt: skip
_CONSUME = _CHANGE.where(consents.c.status == STARTED, consents.c.expires_at > bindparam("now")).values(
    status=CONSUMED, **_WIPED
)
_PAUSE = _CHANGE.where(consents.c.status == CONSUMED).values(
    status=SELECTING,
    browser_hash=bindparam("new_browser"),
    sealed=bindparam("new_sealed"),
    key_id=bindparam("new_key"),
    version=_PAUSED_VERSION,
    expires_at=bindparam("until"),
)
_RESUME = _CHANGE.where(consents.c.status == SELECTING, consents.c.expires_at > bindparam("now")).values(
    status=CONSUMED, **_WIPED
)
_ABANDONED = lock_due(consents, consents.c.status == SELECTING, due=consents.c.expires_at).with_only_columns(*_COLUMNS)
_SELECTING_OF_END_USER = (
    select(*_COLUMNS)
    .join(sessions, sessions.c.id == consents.c.session_id)
    .where(
        sessions.c.organization_id == bindparam("organization"),
        sessions.c.end_user_id == bindparam("end_user"),
        consents.c.status == SELECTING,
    )
)
_ABANDON = _CHANGE.where(consents.c.status == SELECTING).values(status=FAILED, **_WIPED)
_END = _CHANGE.where(consents.c.status == CONSUMED).values(status=bindparam("ended"))
_PURGE = batched_delete(consents, consents.c.expires_at <= bindparam("before"), consents.c.status != SELECTING)
_PREPARED = select(*_COLUMNS).where(
    consents.c.session_id == bindparam("session"),
    consents.c.status == PREPARED,
    consents.c.expires_at > bindparam("now"),
)
_COUNT = select(func.count().label("attempts")).where(consents.c.session_id == bindparam("session"))
_EXPIRE = batched_update(consents, {"status": FAILED, **_WIPED}, consents.c.expires_at <= bindparam("now"), _OPEN)


def failure_code(error: OneRuntimeError) -> str:
    """Return the code of a failed authorization, such as `invalid_grant`."""
    return error.failure if isinstance(error, AuthorizationFailed) else error.code


def provider_reason(error: OneRuntimeError) -> str | None:
    """Return the provider's error message, or None."""
    if isinstance(error, AuthorizationFailed):
        return error.reason
    return error.provider_reason if isinstance(error, CheckFailed) else None


def cookie_name(state: str) -> str:
    """Return the name of the cookie for a state. The name contains a part of the state's hash, but never the state."""
    return _COOKIE_PREFIX + secret_tokens.digest(state).hex()[:_COOKIE_DIGITS]


async def create(tx: Transaction, vault: Vault, attempt: AuthorizationAttempt, secret: AttemptSecret) -> SecretToken:
    """Store an attempt with the hash of a new ticket. Return the ticket.

    Delete the session's other attempts that have not ended and have received no callback.
    """
    ticket = secret_tokens.make(secret_tokens.TICKET)
    await tx.execute(_SUPERSEDE, session=attempt.session_id)
    context = SealContext(TABLE, attempt.id, attempt.version)
    sealed = await key_ring.seal(tx, vault, attempt.organization_id, json.dumps(asdict(secret)).encode(), context)
    stored = replace(attempt, ticket_hash=ticket.hash, sealed=sealed.data, key_id=sealed.key_id)
    await tx.execute(_INSERT, **asdict(stored))
    return ticket


async def start(
    tx: Transaction, vault: Vault, ticket: str, state: SecretToken, browser: SecretToken, now: datetime
) -> tuple[AuthorizationAttempt, AttemptSecret] | None:
    """Exchange a ticket for a state and a browser secret. Return None for a used, unknown or expired ticket."""
    attempt = await _find(tx, _BY_TICKET, secret_tokens.TICKET, ticket)
    if attempt is None or not _is_same(attempt.ticket_hash, ticket):
        return None
    until, hashes = now + STATE_LIFE, {"new_state": state.hash, "new_browser": browser.hash}
    if not await tx.execute(_START, attempt=attempt.id, now=now, until=until, **hashes):
        return None
    return attempt, _open_secret(vault, attempt)


async def consume(
    tx: Transaction, vault: Vault, state: str, browser: str, slug: str, now: datetime
) -> tuple[AuthorizationAttempt, AttemptSecret] | None:
    """Return the attempt of a state, and the attempt's secrets. Mark the state as used, and delete the stored secrets.

    Return None in these cases:

    - The state is unknown, expired or used.
    - The callback comes from another browser, or arrives at the redirect URL of another integration. The state
      then stays valid.
    """
    attempt = await _find(tx, _BY_STATE, secret_tokens.STATE, state)
    if attempt is None or not _is_same(attempt.state_hash, state):
        return None
    if attempt.integration_slug != slug or not _is_of_browser(attempt, browser):
        return None
    secret = _open_secret(vault, attempt)
    return (attempt, secret) if await tx.execute(_CONSUME, attempt=attempt.id, now=now) else None


async def find_pending(tx: Transaction, state: str, slug: str, now: datetime) -> AuthorizationAttempt | None:
    """Return the attempt of a state if the attempt waits for a callback of this integration, or None."""
    attempt = await _find(tx, _BY_STATE, secret_tokens.STATE, state)
    if attempt is None or attempt.status != STARTED or attempt.integration_slug != slug or attempt.has_expired(now):
        return None
    return attempt


async def find_prepared(tx: Transaction, session_id: str, now: datetime) -> AuthorizationAttempt | None:
    """Return the session's attempt that waits for its window, or None. A session has at most one such attempt."""
    if not is_id(session_id):
        return None
    return await tx.one(_PREPARED, AuthorizationAttempt, session=session_id, now=now)


async def count(tx: Transaction, session_id: str) -> int:
    """Return the number of a session's stored attempts."""
    row = await tx.one(_COUNT, _AttemptCount, session=session_id)
    return row.attempts if row is not None else 0


async def pause(
    tx: Transaction, vault: Vault, attempt: AuthorizationAttempt, browser: str, payload: bytes, now: datetime
) -> None:
    """Encrypt and store a payload (the tokens) until the end user answers the question in the same browser.

    Raises: NotFound if the attempt was deleted or has ended.
    """
    context = SealContext(TABLE, attempt.id, _PAUSED_VERSION)
    sealed = await key_ring.seal(tx, vault, attempt.organization_id, payload, context)
    paused = await tx.execute(
        _PAUSE,
        attempt=attempt.id,
        new_browser=secret_tokens.digest(browser),
        new_sealed=sealed.data,
        new_key=sealed.key_id,
        until=now + STATE_LIFE,
    )
    if not paused:
        raise NotFound("This authorization was deleted or has ended. Start again.")


async def resume(
    tx: Transaction, vault: Vault, attempt_id: str, browser: str, now: datetime
) -> tuple[AuthorizationAttempt, bytes] | None:
    """Return the attempt and the payload that `pause` stored, and delete the stored payload.

    Return None if the attempt does not wait for an answer, has expired, or belongs to another browser.
    """
    attempt = await tx.one(_BY_ID, AuthorizationAttempt, attempt=attempt_id) if is_id(attempt_id) else None
    if attempt is None or attempt.status != SELECTING or not _is_of_browser(attempt, browser):
        return None
    payload = _open_payload(vault, attempt)
    return (attempt, payload) if await tx.execute(_RESUME, attempt=attempt.id, now=now) else None


async def abandon(tx: Transaction, vault: Vault, now: datetime, limit: int) -> list[tuple[AuthorizationAttempt, bytes]]:
    """End attempts whose question the end user did not answer in time. Delete the stored payloads.

    Return the ended attempts with their payloads. An attempt with a damaged payload ends, but is not in the result. If
    this process lacks the encryption key of an attempt, the attempt does not end.
    """
    return await _abandon(tx, vault, await tx.all(_ABANDONED, AuthorizationAttempt, now=now, limit=limit))


async def abandon_of(
    tx: Transaction, vault: Vault, organization_id: str, end_user_id: str
) -> list[tuple[AuthorizationAttempt, bytes]]:
    """End all attempts of an end user that wait for an answer. Delete the stored payloads.

    Return the ended attempts with their payloads. An attempt with a damaged payload ends, but is not in the result. If
    this process lacks the encryption key of an attempt, the attempt does not end.
    """
    scope = {"organization": organization_id, "end_user": end_user_id}
    return await _abandon(tx, vault, await tx.all(_SELECTING_OF_END_USER, AuthorizationAttempt, **scope))


async def _abandon(
    tx: Transaction, vault: Vault, attempts: list[AuthorizationAttempt]
) -> list[tuple[AuthorizationAttempt, bytes]]:
    abandoned = []
    for attempt in attempts:
        try:
            payload = _open_payload(vault, attempt)
        except KeyNotInRing:  # a server process with this key ends the attempt later
            continue
        except SealBroken:
            payload = b""
        if await tx.execute(_ABANDON, attempt=attempt.id) and payload:
            abandoned.append((attempt, payload))
    return abandoned


async def end(tx: Transaction, attempt_id: str, status: Literal["connected", "failed"]) -> bool:
    """Record the end of an attempt after its callback. Return False if the attempt was deleted or has already ended."""
    return await tx.execute(_END, attempt=attempt_id, ended=status) > 0


async def find(tx: Transaction, session_id: str, attempt_id: str) -> AuthorizationAttempt | None:
    """Return an attempt of this session, or None."""
    if not is_id(attempt_id):
        return None
    return await tx.one(_OF_SESSION, AuthorizationAttempt, session=session_id, attempt=attempt_id)


async def expire(database: Database, now: datetime) -> int:
    """End expired attempts that received no callback, and delete the secrets. Return the number of ended attempts."""
    return await run_in_batches(database, _EXPIRE, now=now)


async def purge(database: Database, now: datetime) -> int:
    """Delete attempts whose `expires_at` is more than one hour ago. Return the number of deleted attempts.

    Keep attempts that wait for an answer, because One Runtime must first revoke the stored tokens (see `abandon`).
    """
    return await run_in_batches(database, _PURGE, before=now - KEPT)


async def _find(tx: Transaction, statement: Select[Any], kind: str, token: str) -> AuthorizationAttempt | None:
    if not secret_tokens.recognize(kind, token):
        return None
    return await tx.one(statement, AuthorizationAttempt, hash=secret_tokens.digest(token))


def _is_of_browser(attempt: AuthorizationAttempt, browser: str) -> bool:
    return secret_tokens.recognize(secret_tokens.BROWSER, browser) and _is_same(attempt.browser_hash, browser)


def _is_same(stored_hash: bytes | None, token: str) -> bool:
    """Return True if the token has this hash. The comparison takes constant time (P2)."""
    return stored_hash is not None and secret_tokens.same(stored_hash, secret_tokens.digest(token))


def _open_payload(vault: Vault, attempt: AuthorizationAttempt) -> bytes:
    """Raises: KeyNotInRing; SealBroken."""
    assert attempt.key_id is not None and attempt.sealed is not None  # noqa: S101, PT018 - an ended attempt is never opened
    context = SealContext(TABLE, attempt.id, attempt.version)
    return vault.open(attempt.organization_id, Sealed(attempt.key_id, attempt.sealed), context)


def _open_secret(vault: Vault, attempt: AuthorizationAttempt) -> AttemptSecret:
    return AttemptSecret(**json.loads(_open_payload(vault, attempt)))
