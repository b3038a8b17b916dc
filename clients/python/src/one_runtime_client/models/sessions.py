"""Define the classes of answers of `sessions`. `python -m scripts.generate_clients` writes this file."""

from dataclasses import dataclass, field
from datetime import datetime

from one_runtime_client.models.connections import Connection
from one_runtime_client.models.end_users import SessionSummary

__all__ = [
    "CreatedSession",
    "Session",
]


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
class Session(SessionSummary):
    """The state of a session, with the connection that the session made.

    Attributes:
        connection: The connection, or None.
    """

    connection: Connection | None
