"""The return in the mode `redirect`: the backend redeems the code for the signed-in user.

The URL of the return proves nothing: anybody can send anybody there. The backend sends the signed-in user's id to One
Runtime, which creates the connection only if the session belongs to that user (docs/popup.md).
"""

from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import quote

from one_runtime.demo.playground.calls import ApiResponse, RecordedCall, Unreachable
from one_runtime.demo.playground.product import END_USERS
from one_runtime.demo.playground.visit import Visit

_SESSIONS: Final = "/v1/hosted-connection-sessions"


@dataclass(frozen=True, slots=True)
class ReturnOutcome:
    """The outcome on the page: `integration_slug` after a connection, otherwise a sentence."""

    status: Literal["connected", "cancelled", "error"]
    sentence: str | None = None
    integration_slug: str | None = None
    calls: tuple[RecordedCall, ...] = ()

    def shown(self) -> dict[str, Any]:
        """Return the JSON shape."""
        return {
            "status": self.status,
            "sentence": self.sentence,
            "integration_slug": self.integration_slug,
            "requests": [call.shown() for call in self.calls],
        }


async def handle_return(visit: Visit) -> ReturnOutcome:
    """Return the outcome from the URL and from One Runtime."""
    query = visit.request.query_params
    session = f"{_SESSIONS}/{quote(query.get('session_id', ''), safe='')}"
    if query.get("status") == "cancelled":
        return ReturnOutcome("cancelled", "Cancelled. Nothing was connected.")
    try:
        if query.get("status") == "connected":
            code = {"code": query.get("code", ""), "end_user_id": visit.end_user_id}
            status, sentence, slug = _read_redemption(await visit.one_runtime.post(f"{session}/redeem", code), visit)
        else:
            status, sentence, slug = "error", _failure_sentence(await visit.one_runtime.get(session), visit), None
    except Unreachable as error:
        status, sentence, slug = "error", str(error), None
    return ReturnOutcome(status, sentence, slug, tuple(visit.one_runtime.calls))


def _read_redemption(answer: ApiResponse, visit: Visit) -> tuple[Literal["connected", "error"], str | None, str | None]:
    data = answer.json()
    if answer.status == 200:
        connection = data.get("connection")
        # Redeeming twice is harmless (a reload); meanwhile the account may have been disconnected.
        return ("connected", None, connection["integration_slug"]) if connection else ("error", _GONE, None)
    if data.get("code") == "end_user_mismatch":
        return "error", _FOR_ANOTHER.format(name=END_USERS.get(visit.end_user_id, visit.end_user_id)), None
    return "error", f"Nothing was connected. {data.get('detail') or f'One Runtime answered {answer.status}.'}", None


def _failure_sentence(answer: ApiResponse, visit: Visit) -> str:
    """Return the reason for a return without a connection. One Runtime knows it, the URL does not."""
    session = answer.json()
    if answer.status != 200 or session.get("end_user_id") != visit.end_user_id:
        return "Nothing was connected. Start again from here."
    reason = (session.get("last_error") or {}).get("message")
    ending = _ENDS.get(session.get("status", ""), "Nothing was connected. Start again from here.")
    return f"{ending} The last answer was: {reason}" if reason else ending


_GONE: Final = "That was connected, and has been disconnected since."
_FOR_ANOTHER: Final = (
    "Nothing was connected. Another user started this, and {name} is signed in here. "
    "One Runtime deleted what was connected."
)
_ENDS: Final = {
    "connected": "Nothing new was connected: that window had been used before.",
    "expired": "It took too long, so nothing was connected. Start again from here.",
    "failed": "Too many attempts were refused, so nothing was connected. Start again from here.",
}
