"""Define the classes of answers of `sessions`. `python -m scripts.generate_clients` writes this file."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from one_runtime_client.models.connections import Connection, ErrorNote

__all__ = ["CreatedSession", "Session", "SessionSummary"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CreatedSession:
    """A new session. Only this response contains `session_token` and `connect_url`. Do not log these two values.

    Attributes:
        session_token: The token for the popup. No later response contains the token.
        connect_url: The URL of the popup, with the token.
        id: The id. Ids are UUIDs.
        expires_at: The time at which the session expires.
    """

    session_token: str = field(repr=False)
    connect_url: str = field(repr=False)
    id: str
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSummary:
    """A session in a list, without its token.

    `last_error`: the newest stored error, or None. The session can stay `pending` after an error. After ten
    attempts that the provider refused, the session is `failed`.

    `connection_id`: the id of the connection that the session made, or None. The connection can have been deleted.

    Attributes:
        id: The id. Ids are UUIDs.
        status: The state of the session.
        end_user_id: Your own identifier of the end user.
        integration_slug: The slug of the integration, or None before the choice.
        mode: The place where the popup opens: `embed`, `redirect` or `link`.
        return_url: The URL to which the browser returns in the mode `redirect`.
        last_error: The newest error of the session, or None.
        connection_id: The id of the connection that the session made, or None.
        metadata: An object with your own data, at most 16 kB of JSON. One Runtime stores the object and does not
            interpret it.
        created_at: The time of the creation, as in RFC 3339.
        expires_at: The time at which the session expires.
    """

    id: str
    status: Literal["pending", "connected", "failed", "cancelled", "expired"]
    end_user_id: str
    integration_slug: str | None
    mode: Literal["embed", "redirect", "link"]
    return_url: str | None
    last_error: ErrorNote | None
    connection_id: str | None
    metadata: Mapping[str, Any]
    created_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Session(SessionSummary):
    """The state of a session, with the connection that the session made.

    Attributes:
        connection: The connection, or None.
    """

    connection: Connection | None
