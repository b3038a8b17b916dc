"""Define the errors that One Runtime stores in connections (`error`) and in sessions (`last_error`)."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from one_runtime.clock import rfc3339
from one_runtime.errors import Explanation, Explanations, explain_error
from one_runtime.explanations import event_reasons

CONNECTION_ERRORS: Final[Mapping[str, Explanations]] = {
    "needs_reauth": event_reasons.NEEDS_REAUTH,
    "active": {**event_reasons.REFRESH_FAILED, **event_reasons.CONNECTION_UPDATED},
}
"""Errors of connections, by the status of the connection and by `code`."""

SESSION_ERRORS: Final[Explanations] = {
    **event_reasons.SESSION_FAILED,
    "browser_mismatch": Explanation(
        "The browser that returned from the provider did not send the cookie of this authorization.",
        "Let the end user try again, and finish in the browser in which the end user started.",
    ),
    "opener_policy": Explanation(
        (
            "The sign-in window could not reach the popup, because the page that contains the popup sends the header "
            "`Cross-Origin-Opener-Policy: same-origin`."
        ),
        "Send `same-origin-allow-popups` instead, or use the mode `redirect`.",
    ),
}
"""Errors of sessions, by `code`."""


def explain_connection_error(status: str, code: str) -> Explanation | None:
    """Return the explanation of a connection's error, or None if the code has no explanation."""
    return CONNECTION_ERRORS.get(status, {}).get(code)


def explain_session_error(code: str) -> Explanation | None:
    """Return the explanation of a session's error, or None if the code has no explanation.

    An authorization can fail with each error of the API.
    """
    return SESSION_ERRORS.get(code) or explain_error(code)


def error_note(code: str, message: str, now: datetime, **shown: str | None) -> dict[str, str]:
    """Return an error in the form that sessions and connections store: `{code, message, at}`.

    `shown`: values for the popup, such as `provider_reason`, the provider's own error text. None is left out.
    """
    known = {name: value for name, value in shown.items() if value is not None}
    return {"code": code, "message": message, "at": rfc3339(now), **known}
