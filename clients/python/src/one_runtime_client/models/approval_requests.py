"""Define the classes of answers of `approval_requests`. `python -m scripts.generate_clients` writes this file."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

__all__ = [
    "ApprovalRequest",
    "OpenedApproval",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalRequest:
    """A call of an agent that the end user has to approve. The request gives no permission.

    `status`: `open`, `approved`, `refused` or `expired`. A request expires after 10 minutes. `approved_until`: if
    the end user approved all calls with this connection, the end of this approval. Otherwise None.

    The query, the headers and the body of the call are only on the page for the end user.

    Attributes:
        id: The id. Ids are UUIDs.
        end_user_id: Your own identifier of the end user.
        integration_slug: The slug of the integration.
        connection_id: The id of the connection.
        method: The HTTP method.
        host: Host of the provider's API.
        path: The path at the provider, without the query.
        status: `open`, `approved`, `refused` or `expired`.
        approved_until: End of the approval of all calls with this connection.
        created_at: The time of the creation, as in RFC 3339.
        expires_at: The time at which the session expires.
    """

    id: str
    end_user_id: str
    integration_slug: str
    connection_id: str
    method: str
    host: str
    path: str
    status: Literal["open", "approved", "refused", "expired"]
    approved_until: datetime | None
    created_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedApproval:
    """The address of the page on which the end user approves or refuses the call. Do not log this value.

    Attributes:
        approval_url: The address of the page on which the end user approves or refuses the call of an agent.
        expires_at: The time at which the session expires.
    """

    approval_url: str = field(repr=False)
    expires_at: datetime
