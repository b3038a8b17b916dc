"""Begin and end the session of a browser."""

from contextlib import suppress
from datetime import datetime
from typing import Final

from starlette.responses import Response

from one_runtime.dashboard.cookies import KNOWN_BROWSER, SESSION
from one_runtime.dashboard.declarations import SIGNED_IN, Pages
from one_runtime.dashboard.visit import Visit
from one_runtime.db.engine import Transaction
from one_runtime.encryption.secret_tokens import SecretToken
from one_runtime.errors import NotFound
from one_runtime.team import dashboard_sessions
from one_runtime.team.dashboard_sessions import LIFETIME, SignInMethod
from one_runtime.team.sign_in import known_browsers

_SECONDS: Final = int(LIFETIME.total_seconds())

pages = Pages()


async def start(
    visit: Visit, tx: Transaction, member_id: str, method: SignInMethod, authenticated_at: datetime | None = None
) -> SecretToken:
    """Create a session after a sign-in, and end the session that the browser had before. Return the new token.

    `authenticated_at`: the time at which an OpenID provider authenticated the member. None: now.
    """
    if visit.visitor is not None:
        with suppress(NotFound):  # the first sign-in at a provider has ended all sessions of the member
            await dashboard_sessions.end(tx, visit.visitor.member_id, visit.visitor.session_id)
    session, token = await dashboard_sessions.create(
        tx, member_id, method, visit.now, address=visit.address, user_agent=visit.user_agent
    )
    if authenticated_at is not None:
        await dashboard_sessions.note_authentication(tx, session.id, min(authenticated_at, visit.now))
    return token


def signed_in(visit: Visit, token: SecretToken, member_id: str, path: str = "/") -> Response:
    """Return the response that gives the session to the browser, and redirects the browser to a page.

    The browser is then known (`known_browsers`), also after the session has ended.
    """
    response = visit.redirect_to(path)
    visit.cookies.set(response, SESSION, token.secret, _SECONDS)
    proof = known_browsers.issue(visit.installation.vault, member_id, visit.now)
    visit.cookies.set(response, KNOWN_BROWSER, proof, int(known_browsers.LIFETIME.total_seconds()))
    return response


def safe_path(path: str) -> str:
    """Return a path of the dashboard from a query or a form. Return `/` for the address of another site."""
    is_ours = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return path if is_ours else "/"


@pages.post("/sign-out", access=SIGNED_IN)
async def sign_out(visit: Visit) -> Response:
    """End the session."""
    member = visit.member
    async with visit.installation.database.write() as tx:
        await dashboard_sessions.end(tx, member.member_id, member.session_id)
    response = visit.redirect_to("/sign-in?done=signed_out")
    visit.cookies.delete(response, SESSION)
    return response
