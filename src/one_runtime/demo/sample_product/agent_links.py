"""Handle a link with which an agent asks its end user to connect an account, or to approve a call.

The link opens this page of the product (`agents.connect_url` of the organization). The link gives no permission. So the
backend compares the end user of the request with the user who is signed in (docs/agents.md).
"""

from dataclasses import dataclass, replace
from typing import Any, Final, Literal
from urllib.parse import quote

from one_runtime.demo.sample_product.calls import ApiResponse, RecordedCall, Unreachable, error_detail
from one_runtime.demo.sample_product.product import AGENT_LINKS, END_USERS
from one_runtime.demo.sample_product.visit import BadRequest, ProductVisit

_Kind = Literal["connect", "approval"]


@dataclass(frozen=True, slots=True)
class AgentLink:
    """The content of the page. If `connect_request_id` is set, the end user can connect the integration.

    `sentence`: the message for the end user. `answered`: True if the agent can go on.
    """

    sentence: str
    connect_request_id: str | None = None
    integration_slug: str | None = None
    answered: bool = False
    requests: tuple[RecordedCall, ...] = ()


async def open_agent_link(visit: ProductVisit) -> AgentLink | str:
    """Return the content of the page, or the URL of One Runtime's page on which the end user approves the call."""
    query = visit.request.query_params
    kind: _Kind = "connect" if "connect_request_id" in query else "approval"
    path = _path(kind, query.get(f"{kind}_request_id", ""))
    try:
        response = await visit.one_runtime.get(path)
        request = response.json()
        if response.status != 200:
            outcome: AgentLink | str = AgentLink(error_detail(response))
        elif request["end_user_id"] != visit.end_user_id:
            outcome = AgentLink(_FOR_ANOTHER.format(name=END_USERS.get(visit.end_user_id, visit.end_user_id)))
        elif request["status"] != "open":
            outcome = AgentLink(_ENDS[request["status"]], answered=request["status"] != "expired")
        elif kind == "connect":
            outcome = AgentLink(_ASKS, request["id"], request["integration_slug"])
        else:
            outcome = _approval_page(await _open_approval(visit, path))
    except Unreachable as error:
        outcome = AgentLink(str(error))
    return outcome if isinstance(outcome, str) else replace(outcome, requests=tuple(visit.one_runtime.calls))


async def decline(visit: ProductVisit, connect_request_id: str) -> ApiResponse:
    """Decline a connect request of the signed-in end user. Raises: BadRequest; Unreachable."""
    path = _path("connect", connect_request_id)
    response = await visit.one_runtime.get(path)
    if response.status == 200 and response.json()["end_user_id"] != visit.end_user_id:
        raise BadRequest("This is a request to another end user.", 404)
    return await visit.one_runtime.delete(path)


def _path(kind: _Kind, request_id: str) -> str:
    return f"/v1/{kind}-requests/{quote(request_id, safe='')}"


async def _open_approval(visit: ProductVisit, path: str) -> ApiResponse:
    body: dict[str, Any] = {"end_user_id": visit.end_user_id, "return_url": visit.product.origin + AGENT_LINKS}
    return await visit.one_runtime.post(f"{path}/open", body)


def _approval_page(response: ApiResponse) -> AgentLink | str:
    if response.status != 200:
        return AgentLink(error_detail(response))
    return str(response.json()["approval_url"])


_ASKS: Final = "An agent that acts for you asks you to connect {integration}."
_FOR_ANOTHER: Final = "This link is for another user. {name} is signed in here, so nothing was changed."
_ENDS: Final = {
    "approved": "You have approved the call. The agent can go on. Close this window.",
    "connected": "The account is connected. The agent can go on. Close this window.",
    "declined": "You have declined. The agent goes on without the account. Close this window.",
    "expired": "This link has expired. Let the agent ask again.",
    "refused": "You have refused the call. The agent does not make it. Close this window.",
}
