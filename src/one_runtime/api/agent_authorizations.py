"""Serve `/v1/agent-authorizations`: requests of agents (OAuth clients) to act for an end user."""

from typing import Annotated, Final

from pydantic import Field

from one_runtime.agents.authorization import authorizations, redirect_uris
from one_runtime.agents.authorization.authorizations import (
    AgentAuthorization,
    AgentAuthorizationClosed,
    Approval,
    Status,
)
from one_runtime.api.agent_policy import PolicyFields, policy_of
from one_runtime.api.conditions import Conditional
from one_runtime.api.described import Described
from one_runtime.api.end_user_requests import RequestForm
from one_runtime.api.fields import Answer, PathId, Text, Time, example
from one_runtime.api.idempotency import Repeatable
from one_runtime.api.routing import Authenticated, Installed, Routes
from one_runtime.context import Installation
from one_runtime.errors import NotFound
from one_runtime.tenancy.agent_policy import Access

router = Routes("Agent authorizations")


class ApproveAgentAuthorization(PolicyFields, title="AgentApproval"):
    """The end user who is signed in to your product, and the limits of the agent.

    The limits of your organization apply too. `access`: null means the access that the agent has requested.
    """

    model_config = example(end_user_id="user_123", access="read")

    end_user_id: Text
    access: Annotated[
        Access | None, Described("The access to grant. Null: the access that the agent has requested.", "read")
    ] = None  # type: ignore[assignment] # null means the requested access


class AgentAuthorizationAnswer(Answer, title="AgentAuthorization"):
    """A request of an agent to act for an end user. The request gives no permission.

    - `status`: `open`, `approved`, `declined` or `expired`. A request expires after 10 minutes.
    - `client_id`: the address of the document in which the agent describes itself.
    - `client_host`: the host of `client_id`. Show this host to the end user: it identifies the agent.
    - `client_name`: the name that the agent gives itself, or null. One Runtime cannot verify this name.
    - `redirect_host`: the host to which the browser goes after the answer. For an app on the end user's computer: a
      loopback host such as `localhost`, or the scheme of the app with a colon.
    - `access`: the access that the agent has requested, `read` or `write`.
    - `end_user_id`: null before the approval.
    """

    id: str
    status: Status
    client_id: str
    client_host: str
    client_name: str | None
    redirect_host: str
    access: Access
    end_user_id: str | None
    created_at: Time
    expires_at: Time


def _hosts(authorization: AgentAuthorization) -> dict[str, object]:
    return {
        "client_host": redirect_uris.host_of(authorization.client_id),
        "redirect_host": redirect_uris.host_of(authorization.redirect_uri),
    }


AUTHORIZATION_FORM: Final = RequestForm(authorizations.REQUESTS, AgentAuthorizationAnswer, _hosts)


class AnsweredAgentAuthorization(AgentAuthorizationAnswer, title="AnsweredAgentAuthorization"):
    """An authorization, with the address to which you send the browser. Do not log `continue_url`.

    `continue_url`: null if the answer came too late. Show the end user a page that says so.
    """

    continue_url: Annotated[
        str | None, Described("The address to which you send the browser, or null. Do not log it.", None)
    ] = Field(repr=False)


@router.route(
    "GET /v1/agent-authorizations/{agent_authorization_id}",
    scope="use",
    errors=(NotFound,),
    conditional=True,
    summary="Read an agent authorization",
)
async def get_agent_authorization(
    agent_authorization_id: PathId, caller: Authenticated, installation: Installed, conditions: Conditional
) -> AgentAuthorizationAnswer:
    """Return the request of an agent. Show it to the end user, who approves or declines it.

    The id is the query parameter `agent_authorization_id` of your sign-in page (`agents.sign_in_url`).
    """
    return await AUTHORIZATION_FORM.read(agent_authorization_id, caller, installation, conditions)


@router.route(
    "POST /v1/agent-authorizations/{agent_authorization_id}",
    scope="use",
    errors=(NotFound, AgentAuthorizationClosed),
    idempotent=True,
    summary="Approve an agent authorization",
)
async def approve_agent_authorization(
    agent_authorization_id: PathId,
    body: ApproveAgentAuthorization,
    caller: Authenticated,
    installation: Installed,
    repeatable: Repeatable,
) -> AnsweredAgentAuthorization:
    """Approve the request of an agent for the end user who is signed in. Then send the browser to `continue_url`.

    Only one answer is possible. The address contains a code that is valid for 60 seconds.
    """
    issuer, now = installation.settings.public_url, installation.clock()
    async with installation.database.write() as tx:
        requested = await authorizations.REQUESTS.get(tx, caller.organization_id, agent_authorization_id)
        granted = body.model_copy(update={"access": body.access or requested.access})
        policy = policy_of(granted, await installation.catalogs.of(tx, caller.organization_id))
        approval = Approval(body.end_user_id, policy)
        approved, address = await authorizations.approve(
            tx, caller.actor, agent_authorization_id, approval, issuer, now
        )
        return await repeatable.store(tx, _answered(approved, installation, address))


@router.route(
    "DELETE /v1/agent-authorizations/{agent_authorization_id}",
    scope="use",
    errors=(NotFound,),
    conditional=True,
    summary="Decline an agent authorization",
)
async def decline_agent_authorization(
    agent_authorization_id: PathId, caller: Authenticated, installation: Installed, conditions: Conditional
) -> AnsweredAgentAuthorization:
    """Decline the open request of an agent. Then send the browser to `continue_url`, and the agent learns the answer.

    A second call changes nothing.
    """
    declined = await AUTHORIZATION_FORM.refuse(
        authorizations.decline, agent_authorization_id, caller, installation, conditions
    )
    address = authorizations.declined_address(declined, installation.settings.public_url)
    return _answered(declined, installation, address)


def _answered(
    authorization: AgentAuthorization, installation: Installation, address: str | None
) -> AnsweredAgentAuthorization:
    fields = AUTHORIZATION_FORM.fields(authorization, installation) | {"continue_url": address}
    return AnsweredAgentAuthorization.model_validate(fields)
