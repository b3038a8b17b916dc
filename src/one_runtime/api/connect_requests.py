"""Serve `/v1/connect-requests`: requests of agents that an end user connects an account."""

from typing import Annotated, Final

from one_runtime.agents import connect_requests
from one_runtime.agents.connect_requests import Status
from one_runtime.api.conditions import Conditional
from one_runtime.api.described import Described
from one_runtime.api.end_user_requests import RequestForm
from one_runtime.api.fields import Answer, PathId, Time
from one_runtime.api.routing import Authenticated, Installed, Routes
from one_runtime.errors import NotFound

router = Routes("Connect requests")


class ConnectRequestAnswer(Answer, title="ConnectRequest"):
    """A request of an agent that an end user connects an account. The request gives no permission.

    `status`: `open`, `connected`, `declined` or `expired`. A request expires after 10 minutes.
    """

    id: str
    end_user_id: str
    integration_slug: str
    status: Annotated[Status, Described("`open`, `connected`, `declined` or `expired`.", "open")]
    created_at: Time
    expires_at: Time


CONNECT_FORM: Final = RequestForm(connect_requests.REQUESTS, ConnectRequestAnswer)


@router.route(
    "GET /v1/connect-requests/{connect_request_id}",
    scope="connect",
    errors=(NotFound,),
    conditional=True,
    summary="Read a connect request",
)
async def get_connect_request(
    connect_request_id: PathId, caller: Authenticated, installation: Installed, conditions: Conditional
) -> ConnectRequestAnswer:
    """Return a connect request. Compare `end_user_id` with the user who is signed in to your product.

    The id is the query parameter `connect_request_id` of the page of your product that the end user opened.
    """
    return await CONNECT_FORM.read(connect_request_id, caller, installation, conditions)


@router.route(
    "DELETE /v1/connect-requests/{connect_request_id}",
    scope="connect",
    errors=(NotFound,),
    conditional=True,
    summary="Decline a connect request",
)
async def decline_connect_request(
    connect_request_id: PathId, caller: Authenticated, installation: Installed, conditions: Conditional
) -> ConnectRequestAnswer:
    """Decline an open connect request, because the end user does not want to connect. The agent learns it.

    A second call changes nothing.
    """
    request = await CONNECT_FORM.refuse(connect_requests.decline, connect_request_id, caller, installation, conditions)
    return CONNECT_FORM.render(request, installation)
