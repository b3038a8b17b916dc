"""Report the outcome of an authorization attempt, and a lost cookie, to the page that prepared the attempt."""

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
from one_runtime.errors import NotFound, Unauthenticated, error_note
from one_runtime.tenancy import organizations

_BROWSER_MISMATCH: Final = "browser_mismatch"


@dataclass(frozen=True, slots=True)
class AuthorizationOutcome:
    """The outcome of an authorization attempt, for our page.

    A waiting attempt has a `code` if a browser returned from the provider without the attempt's cookie.
    """

    state: Literal["waiting", "connected", "failed"]
    connected: Connected | None = None
    code: str | None = None
    message: str = ""
    provider_reason: str | None = None
    integration_name: str = ""
    organization_name: str = ""


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
        organization = await organizations.get(tx, session.organization_id)
        attempt = await authorization_attempts.find(tx, session.id, authorization_id)
        if attempt is None:
            raise NotFound("There is no such authorization. Start again.")
        integration = await installation.catalogs.get(tx, session.organization_id, attempt.integration_slug)
    ended = ended_error(session, now)
    if ended is not None:
        raise ended
    state: Literal["waiting", "failed"] = "waiting"
    code, message, reason = None, "", None
    if attempt.has_expired(now):
        state, code, message = (
            "failed",
            SessionExpired.code,
            "The provider did not send the browser back in time. Start again.",
        )
    elif _has_browser_mismatch(session, attempt):
        code = _BROWSER_MISMATCH
    elif attempt.status == authorization_attempts.FAILED:
        error = session.last_error or {}
        state, code, message = "failed", error.get("code", AuthorizationExpired.code), error.get("message", "")
        reason = error.get("provider_reason")
    return AuthorizationOutcome(
        state,
        code=code,
        message=message,
        provider_reason=reason,
        integration_name=integration.name if integration is not None else attempt.integration_slug,
        organization_name=organization.display_name,
    )


async def note_browser_mismatch(tx: Transaction, state: str, slug: str, now: datetime) -> None:
    """If an attempt is pending for a refused callback, store that the browser did not send the attempt's cookie.

    The attempt stays pending, because the browser with the cookie can still send the callback.
    """
    attempt = await authorization_attempts.find_pending(tx, state, slug, now)
    if attempt is None:
        return
    message = "The browser that returned from the provider did not send the cookie of this authorization."
    await sessions.note_error(tx, attempt.session_id, error_note(_BROWSER_MISMATCH, message, now), now)


def _has_browser_mismatch(session: ConnectSession, attempt: AuthorizationAttempt) -> bool:
    """Return True if a browser without the attempt's cookie has sent the callback of this pending attempt."""
    error = session.last_error
    if attempt.status != authorization_attempts.STARTED or error is None:
        return False
    return error["code"] == _BROWSER_MISMATCH and error["at"] >= rfc3339(attempt.created_at)
