"""The way back in the mode `redirect`: the backend redeems the code for who is signed in, and says what happened.

The address that the browser comes with proves nothing: anybody can send anybody there. So the backend tells One Runtime
who is signed in here, and only if the session was made for them does the connection count (docs/popup.md).
"""

from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import quote

from one_runtime.demo.playground.calls import Call, CallAnswer, Unreachable
from one_runtime.demo.playground.product import END_USERS
from one_runtime.demo.playground.visit import Visit

_SESSIONS: Final = "/v1/hosted-connection-sessions"


@dataclass(frozen=True, slots=True)
class Return:
    """Result for the page: `integration_slug` after a connection, else a sentence."""

    status: Literal["connected", "cancelled", "error"]
    sentence: str | None = None
    integration_slug: str | None = None
    calls: tuple[Call, ...] = ()

    def shown(self) -> dict[str, Any]:
        """The wire shape."""
        return {
            "status": self.status,
            "sentence": self.sentence,
            "integration_slug": self.integration_slug,
            "requests": [call.shown() for call in self.calls],
        }


async def come_back(visit: Visit) -> Return:
    """Read the outcome from the return URL and verify it with One Runtime."""
    query = visit.request.query_params
    session = f"{_SESSIONS}/{quote(query.get('session_id', ''), safe='')}"
    if query.get("status") == "cancelled":
        return Return("cancelled", "Cancelled. Nothing was connected.")
    try:
        if query.get("status") == "connected":
            code = {"code": query.get("code", ""), "end_user_id": visit.end_user_id}
            status, sentence, slug = _redeemed(await visit.one_runtime.post(f"{session}/redeem", code), visit)
        else:
            status, sentence, slug = "error", _why(await visit.one_runtime.get(session), visit), None
    except Unreachable as error:
        status, sentence, slug = "error", str(error), None
    return Return(status, sentence, slug, tuple(visit.one_runtime.calls))


def _redeemed(answer: CallAnswer, visit: Visit) -> tuple[Literal["connected", "error"], str | None, str | None]:
    data = answer.json()
    if answer.status == 200:
        connection = data.get("connection")
        # Redeeming twice is harmless (a reload); meanwhile the account may have been disconnected.
        return ("connected", None, connection["integration_slug"]) if connection else ("error", _GONE, None)
    if data.get("code") == "end_user_mismatch":
        return "error", _FOR_ANOTHER.format(name=END_USERS.get(visit.end_user_id, visit.end_user_id)), None
    return "error", f"Nothing was connected. {data.get('detail') or f'One Runtime answered {answer.status}.'}", None


def _why(answer: CallAnswer, visit: Visit) -> str:
    """Return the reason for the missing connection, from the session. The return URL does not contain it."""
    session = answer.json()
    if answer.status != 200 or session.get("end_user_id") != visit.end_user_id:
        return "Nothing was connected. Start again from here."
    reason = (session.get("last_error") or {}).get("message")
    known = _ENDS.get(session.get("status", ""), "Nothing was connected. Start again from here.")
    return f"{known} The last answer was: {reason}" if reason else known


_GONE: Final = "That was connected, and has been disconnected since."
_FOR_ANOTHER: Final = (
    "Nothing was connected. This was started for somebody else, and {name} is signed in here. "
    "One Runtime has thrown the account away."
)
_ENDS: Final = {
    "connected": "Nothing new was connected: that window had been used before.",
    "expired": "It took too long, so nothing was connected. Start again from here.",
    "failed": "Too many attempts were refused, so nothing was connected. Start again from here.",
}
