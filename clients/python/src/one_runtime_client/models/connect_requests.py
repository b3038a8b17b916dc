"""Define the classes of answers of `connect_requests`. `python -m scripts.generate_clients` writes this file."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

__all__ = [
    "ConnectRequest",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectRequest:
    """A request of an agent that an end user connects an account. The request gives no permission.

    `status`: `open`, `connected`, `declined` or `expired`. A request expires after 10 minutes.

    Attributes:
        id: The id. Ids are UUIDs.
        end_user_id: Your own identifier of the end user.
        integration_slug: The slug of the integration.
        status: `open`, `connected`, `declined` or `expired`.
        created_at: The time of the creation, as in RFC 3339.
        expires_at: The time at which the session expires.
    """

    id: str
    end_user_id: str
    integration_slug: str
    status: Literal["open", "connected", "declined", "expired"]
    created_at: datetime
    expires_at: datetime
