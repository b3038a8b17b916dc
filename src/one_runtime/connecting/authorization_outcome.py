"""Report the outcome of an authorization attempt to the page that prepared the attempt."""

from dataclasses import dataclass
from typing import Literal

from one_runtime.connecting import authorization_attempts, sessions
from one_runtime.connecting.authorization_attempts import AuthorizationExpired
from one_runtime.connecting.popup import Connected
from one_runtime.connecting.sessions import SessionExpired, ended_error
from one_runtime.connections import connections
from one_runtime.context import Installation
from one_runtime.errors import NotFound, Unauthenticated
from one_runtime.tenancy import organizations


@dataclass(frozen=True, slots=True)
class AuthorizationOutcome:
    """The outcome of an authorization attempt, for our page."""

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
    code, message, reason = None, "", None
    if attempt.has_expired(now):
        code, message = SessionExpired.code, "The provider did not send the browser back in time. Start again."
    elif attempt.status == authorization_attempts.FAILED:
        error = session.last_error or {}
        code, message = error.get("code", AuthorizationExpired.code), error.get("message", "")
        reason = error.get("provider_reason")
    return AuthorizationOutcome(
        "waiting" if code is None else "failed",
        code=code,
        message=message,
        provider_reason=reason,
        integration_name=integration.name if integration is not None else attempt.integration_slug,
        organization_name=organization.display_name,
    )
