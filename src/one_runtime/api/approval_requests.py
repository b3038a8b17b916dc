"""Serve `/v1/approval-requests`: calls of agents that end users have to approve."""

from typing import Annotated, Final

from pydantic import Field

from one_runtime.agents import approvals
from one_runtime.agents.approvals import ApprovalRequestClosed, ApprovalStatus
from one_runtime.api.conditions import Conditional
from one_runtime.api.described import Described
from one_runtime.api.end_user_requests import RequestForm
from one_runtime.api.fields import BLANK_IS_ABSENT, Answer, Body, Link, PathId, Text, Time, example
from one_runtime.api.routing import Authenticated, Installed, Routes
from one_runtime.connecting.redirect_mode import EndUserMismatch
from one_runtime.errors import NotFound

router = Routes("Approval requests")


class ApprovalRequestAnswer(Answer, title="ApprovalRequest"):
    """A call of an agent that the end user has to approve. The request gives no permission.

    `status`: `open`, `approved`, `refused` or `expired`. A request expires after 10 minutes. `approved_until`: if the
    end user approved all calls with this connection, the end of this approval. Otherwise null.

    The query, the headers and the body of the call are only on the page for the end user.
    """

    id: str
    end_user_id: str
    integration_slug: str
    connection_id: str
    method: str
    host: Annotated[str, Described("Host of the provider's API.", "api.hubapi.com")]
    path: str
    status: Annotated[ApprovalStatus, Described("`open`, `approved`, `refused` or `expired`.", "open")]
    approved_until: Annotated[
        Time | None, Described("End of the approval of all calls with this connection.", "2026-12-01T14:02:10.215Z")
    ]
    created_at: Time
    expires_at: Time


APPROVAL_FORM: Final = RequestForm(approvals.REQUESTS, ApprovalRequestAnswer)


class OpenApproval(Body, title="ApprovalOpening"):
    """The user who opened your page, and the URL to which the browser returns at the end.

    - `end_user_id`: the user who is signed in to your product. Read this identifier from your own login, never from the
      URL.
    - `return_url`: one of your organization's return URLs. One Runtime adds the query parameters `approval_request_id`
      and `status` (`approved` or `refused`). If omitted, the page asks the end user to close the window.
    """

    model_config = example(end_user_id="user_123", return_url="https://app.example.com/agents")

    end_user_id: Text
    return_url: Annotated[
        Link | None,
        BLANK_IS_ABSENT,
        Described(
            "The URL to which the browser returns, or null. It must be one of your organization's return URLs.",
            "https://app.example.com/agents",
        ),
    ] = None


class OpenedApproval(Answer):
    """The address of the page on which the end user approves or refuses the call. Do not log this value."""

    approval_url: Annotated[
        str,
        Described(
            "The address of the page on which the end user approves or refuses the call of an agent.",
            "https://connect.example.com/connect/approval?approval_token=orap_…",
        ),
    ] = Field(repr=False)
    expires_at: Time


@router.route(
    "GET /v1/approval-requests/{approval_request_id}",
    scope="connect",
    errors=(NotFound,),
    conditional=True,
    summary="Read an approval request",
)
async def get_approval_request(
    approval_request_id: PathId, caller: Authenticated, installation: Installed, conditions: Conditional
) -> ApprovalRequestAnswer:
    """Return an approval request.

    The id is the query parameter `approval_request_id` of the page of your product that the end user opened.
    """
    return await APPROVAL_FORM.read(approval_request_id, caller, installation, conditions)


@router.route(
    "POST /v1/approval-requests/{approval_request_id}/open",
    scope="connect",
    errors=(NotFound, EndUserMismatch, ApprovalRequestClosed),
    summary="Open the page of an approval request",
)
async def open_approval_request(
    approval_request_id: PathId, body: OpenApproval, caller: Authenticated, installation: Installed
) -> OpenedApproval:
    """Return the address of the page on which the end user approves or refuses the call. Redirect the browser to it.

    If the request belongs to another end user, the response is 409. An earlier address of this request becomes invalid.
    """
    now = installation.clock()
    async with installation.database.write() as tx:
        request, token = await approvals.open_page(
            tx, caller.actor, approval_request_id, body.end_user_id, body.return_url, now
        )
    url = f"{installation.settings.public_url}/connect/approval?approval_token={token.secret}"
    return OpenedApproval(approval_url=url, expires_at=request.expires_at)


@router.route(
    "DELETE /v1/approval-requests/{approval_request_id}",
    scope="connect",
    errors=(NotFound,),
    conditional=True,
    summary="Refuse an approval request",
)
async def refuse_approval_request(
    approval_request_id: PathId, caller: Authenticated, installation: Installed, conditions: Conditional
) -> ApprovalRequestAnswer:
    """Refuse an open approval request for the end user. The agent learns it. A second call changes nothing."""
    request = await APPROVAL_FORM.refuse(approvals.refuse, approval_request_id, caller, installation, conditions)
    return APPROVAL_FORM.render(request, installation)
