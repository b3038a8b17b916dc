"""Report the outcome of an authorization attempt, a lost cookie and a lost opener to the page that prepared it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from one_runtime.clock import rfc3339
from one_runtime.connecting import authorization_attempts, sessions
from one_runtime.connecting.authorization_attempts import AuthorizationAttempt, AuthorizationExpired
from one_runtime.connecting.popup import Connected
from one_runtime.connecting.sessions import ConnectSession, SessionExpired, ended_error
from one_runtime.connections import connections
from one_runtime.context import Installation
from one_runtime.db.engine import Transaction
from one_runtime.errors import NotFound, Unauthenticated
from one_runtime.explanations.stored_errors import error_note

_BROWSER_MISMATCH: Final = "browser_mismatch"
_OPENER_POLICY: Final = "opener_policy"
_OPENER_POLICY_MESSAGE: Final = (
    "The sign-in window could not reach the popup. The page that contains the popup sends the header "
    "Cross-Origin-Opener-Policy: same-origin. Send same-origin-allow-popups, or use the mode redirect."
)


@dataclass(frozen=True, slots=True)
class AuthorizationOutcome:
    """The outcome of an authorization attempt, for our page.

    A waiting attempt has a `code` if a browser returned from the provider without the attempt's cookie, or if the
    window of the attempt has no opener. `permission`: the permission that the tokens lack, if its name is known.
    """

    state: Literal["waiting", "connected", "failed"]
    connected: Connected | None = None
    code: str | None = None
    provider_reason: str | None = None
    permission: str | None = None


async def get_outcome(installation: Installation, token: str, authorization_id: str) -> AuthorizationOutcome:
    """Return the outcome of an attempt for the page that prepared the attempt.

    Raises:
        Unauthenticated: the session is unknown.
        NotFound: the attempt is unknown.
        SessionUsed, SessionCancelled, SessionExpired, TooManyAttempts: the session has ended without a connection.
    """
    now = installation.clock()
    async with installation.database.read() as tx:
        session = await sessions.find_by_token(tx, token)
        if session is None:
            raise Unauthenticated("This session is not known. Open the window again from the app.")
        if session.state(now) == "connected" and session.connection_id is not None:
            connection = await connections.get(tx, session.organization_id, session.connection_id)
            connected = Connected(connection.id, connection.integration_slug, connection.name)
            return AuthorizationOutcome("connected", connected)
        attempt = await authorization_attempts.find(tx, session.id, authorization_id)
        if attempt is None:
            raise NotFound("There is no such authorization. Start again.")
    ended = ended_error(session, now)
    if ended is not None:
        raise ended
    state: Literal["waiting", "failed"] = "waiting"
    code = None
    if attempt.has_expired(now):
        state, code = "failed", SessionExpired.code
    elif _has_note(session, attempt, _BROWSER_MISMATCH, authorization_attempts.STARTED):
        code = _BROWSER_MISMATCH
    elif _has_note(session, attempt, _OPENER_POLICY, authorization_attempts.PREPARED):
        code = _OPENER_POLICY
    elif attempt.status == authorization_attempts.FAILED:
        error = session.last_error or {}
        return AuthorizationOutcome(
            "failed",
            code=error.get("code", AuthorizationExpired.code),
            provider_reason=error.get("provider_reason"),
            permission=error.get("permission"),
        )
    return AuthorizationOutcome(state, code=code)


async def note_browser_mismatch(tx: Transaction, state: str, slug: str, now: datetime) -> None:
    """If an attempt is pending for a refused callback, store that the browser did not send the attempt's cookie.

    The attempt stays pending, because the browser with the cookie can still send the callback.
    """
    attempt = await authorization_attempts.find_pending(tx, state, slug, now)
    if attempt is None:
        return
    message = "The browser that returned from the provider did not send the cookie of this authorization."
    await sessions.note_error(tx, attempt.session_id, error_note(_BROWSER_MISMATCH, message, now), now)


async def note_opener_policy(installation: Installation, session_id: str) -> None:
    """Store in a session that the window of its prepared attempt has no opener.

    The caller knows only the session's id, which is not secret. So this note ends nothing: the popup shows it, and the
    attempt can still start.

    Raises: NotFound: no attempt of the session waits for its window.
    """
    now = installation.clock()
    async with installation.database.write() as tx:
        attempt = await authorization_attempts.find_prepared(tx, session_id, now)
        if attempt is None:
            raise NotFound("No authorization of this session waits for its window.")
        await sessions.note_error(tx, session_id, error_note(_OPENER_POLICY, _OPENER_POLICY_MESSAGE, now), now)


def _has_note(session: ConnectSession, attempt: AuthorizationAttempt, code: str, status: str) -> bool:
    """Return True if the attempt has this status, and the session's last error is a note with this code about it."""
    error = session.last_error
    if attempt.status != status or error is None:
        return False
    return error["code"] == code and error["at"] >= rfc3339(attempt.created_at)
