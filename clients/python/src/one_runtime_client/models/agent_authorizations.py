"""Define the classes of answers of `agent_authorizations`. `python -m scripts.generate_clients` writes this file."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

__all__ = [
    "AgentAuthorization",
    "AnsweredAgentAuthorization",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentAuthorization:
    """A request of an agent to act for an end user. The request gives no permission.

    Attributes:
        id: The id. Ids are UUIDs.
        status: `open`, `approved`, `declined` or `expired`.
        client_id: The address of the document in which the agent describes itself.
        client_host: The host of `client_id`. Show it to the end user: it identifies the agent.
        client_name: The name that the agent gives itself, or None. The name is not verified.
        redirect_host: The host, or the scheme of an app, to which the browser goes.
        access: The access that the agent has requested, `read` or `write`.
        end_user_id: Your identifier of the end user. None before the approval.
        created_at: The time of the creation, as in RFC 3339.
        expires_at: The time at which the request expires.
    """

    id: str
    status: Literal["open", "approved", "declined", "expired"]
    client_id: str
    client_host: str
    client_name: str | None
    redirect_host: str
    access: Literal["read", "ask", "write"]
    end_user_id: str | None
    created_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class AnsweredAgentAuthorization(AgentAuthorization):
    """An authorization, with the address to which you send the browser. Do not log `continue_url`.

    `continue_url`: None if the answer came too late. Show the end user a page that says so.

    Attributes:
        continue_url: The address to which you send the browser, or None. Do not log it.
    """

    continue_url: str | None = field(repr=False)
