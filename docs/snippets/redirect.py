"""The backend of your product in redirect mode: send the browser to One Runtime, and redeem the code it returns with."""

from one_runtime_client import Conflict, Connection, OneRuntime

one_runtime = OneRuntime()  # reads ONE_RUNTIME_URL and ONE_RUNTIME_API_KEY


def start_redirect(user_id: str, slug: str, return_url: str) -> str:
    """Return the URL to which your product redirects the browser."""
    session = one_runtime.sessions.create(end_user_id=user_id, integration_slug=slug, return_url=return_url)
    return session.connect_url


def finish_redirect(user_id: str, query: dict) -> Connection | None:
    """Return the new connection. Take `user_id` from your login, and `query` from the return URL."""
    if query.get("status") != "connected":
        return None  # the user cancelled, or an error occurred
    try:
        session = one_runtime.sessions.redeem(query["session_id"], code=query["code"], end_user_id=user_id)
    except Conflict as error:
        if error.code == "end_user_mismatch":
            return None  # the session was created for another user; One Runtime has deleted the credentials
        raise
    return session.connection
