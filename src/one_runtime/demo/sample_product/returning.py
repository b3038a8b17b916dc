"""Handle the browser's return in the mode `redirect`, and redeem the URL's code: exchange the code for the connection.

The backend must not trust the return URL, because an attacker can send this URL to any user. So the backend sends the
signed-in user's id to One Runtime. One Runtime creates the connection only if the session belongs to this user
(docs/popup.md).
"""

from dataclasses import dataclass, replace
from typing import Final, Literal

from one_runtime.demo.sample_product.calls import ApiResponse, RecordedCall, Unreachable, error_detail, session_path
from one_runtime.demo.sample_product.product import END_USERS
from one_runtime.demo.sample_product.visit import ProductVisit


@dataclass(frozen=True, slots=True)
class ReturnOutcome:
    """The outcome that the page shows.

    `integration_slug` is set if an account was connected. Otherwise, `sentence` is the message for the end user.
    """

    status: Literal["connected", "cancelled", "error"]
    sentence: str | None = None
    integration_slug: str | None = None
    requests: tuple[RecordedCall, ...] = ()


async def handle_return(visit: ProductVisit) -> ReturnOutcome:
    """Return the outcome for the page. If the URL has the status `connected`, first redeem the URL's code."""
    query = visit.request.query_params
    session = session_path(query.get("session_id", ""))
    if query.get("status") == "cancelled":
        return ReturnOutcome("cancelled", "Cancelled. Nothing was connected.")
    try:
        if query.get("status") == "connected":
            code = {"code": query.get("code", ""), "end_user_id": visit.end_user_id}
            outcome = _read_redemption(await visit.one_runtime.post(f"{session}/redeem", code), visit)
        else:
            outcome = ReturnOutcome("error", _failure_sentence(await visit.one_runtime.get(session), visit))
    except Unreachable as error:
        outcome = ReturnOutcome("error", str(error))
    return replace(outcome, requests=tuple(visit.one_runtime.calls))


def _read_redemption(answer: ApiResponse, visit: ProductVisit) -> ReturnOutcome:
    data = answer.json()
    if answer.status == 200:
        connection = data.get("connection")
        if connection:
            return ReturnOutcome("connected", integration_slug=connection["integration_slug"])
        # After a reload of the page, the backend redeems the code a second time. If the account was disconnected after
        # the first redemption, the second redemption returns no connection.
        return ReturnOutcome("error", "This account was connected, but has been disconnected since.")
    if data.get("code") == "end_user_mismatch":
        name = END_USERS.get(visit.end_user_id, visit.end_user_id)
        return ReturnOutcome("error", _FOR_ANOTHER.format(name=name))
    return ReturnOutcome("error", f"Nothing was connected. {error_detail(answer)}")


def _failure_sentence(answer: ApiResponse, visit: ProductVisit) -> str:
    """Return the reason why no account was connected, as a sentence.

    The reason comes from the session, because the return URL contains no reason.
    """
    session = answer.json()
    if answer.status != 200 or session.get("end_user_id") != visit.end_user_id:
        return "Nothing was connected. Start again from here."
    reason = (session.get("last_error") or {}).get("message")
    ending = _ENDS.get(session.get("status", ""), "Nothing was connected. Start again from here.")
    return f"{ending} The last error was: {reason}" if reason else ending


_FOR_ANOTHER: Final = (
    "Nothing was connected. Another user started this connection, but {name} is signed in here. "
    "So One Runtime deleted the new credentials."
)
_ENDS: Final = {
    "connected": "No new account was connected, because this window had already connected an account.",
    "expired": "It took too long, so nothing was connected. Start again from here.",
    "failed": "Too many attempts were refused, so nothing was connected. Start again from here.",
}
