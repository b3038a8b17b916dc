"""Define the operations for hosted connection sessions, with arguments and results."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal, TypeAlias

from one_runtime_client.arguments import Arguments, as_dict, as_list, without_none
from one_runtime_client.operations import Operation, Resource, TransportT
from one_runtime_client.parsing import answer
from one_runtime_client.resources.catalog import AuthType
from one_runtime_client.resources.connections import Connection, ErrorNote

__all__ = ["CreatedSession", "Session"]

Mode: TypeAlias = Literal["embed", "redirect", "link"]

SessionStatus: TypeAlias = Literal["pending", "connected", "failed", "cancelled", "expired"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CreatedSession:
    """A new session. `connect_url` contains the secret `session_token`, so log neither the URL nor the token.

    One Runtime returns the URL and the token only once.
    """

    id: str
    session_token: str = field(repr=False)
    connect_url: str = field(repr=False)
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A session with its status."""

    id: str
    status: SessionStatus
    end_user_id: str
    integration_slug: str | None
    mode: Mode
    return_url: str | None
    last_error: ErrorNote | None
    connection: Connection | None
    metadata: Mapping[str, Any]
    created_at: datetime
    expires_at: datetime


def create_session(  # noqa: PLR0913 - by name
    *,
    end_user_id: str,
    integration_slug: str | None = None,
    end_user_name: str | None = None,
    end_user_email: str | None = None,
    suggested_connection_name: str | None = None,
    allowed_origins: Iterable[str] | None = None,
    return_url: str | None = None,
    mode: Mode | None = None,
    connection_id: str | None = None,
    multiple: bool | None = None,
    auth_type: AuthType | None = None,
    scopes: Iterable[str] | None = None,
    metadata: Mapping[str, Any] | None = None,
    expires_in: int | None = None,
) -> Arguments:
    """Create a session. With a session, an end user can make one connection in the hosted popup.

    Without `integration_slug`, the end user selects an integration from a list. With `multiple=True`, the new account
    does not replace an account that is already connected. `expires_in`: seconds in which the end user has to open the
    popup, 60 to 3600.
    """
    body = {"end_user_id": end_user_id, "integration_slug": integration_slug, "end_user_name": end_user_name}
    body |= {"end_user_email": end_user_email, "suggested_connection_name": suggested_connection_name}
    place = {"allowed_origins": as_list(allowed_origins), "return_url": return_url, "mode": mode}
    choice = {"connection_id": connection_id, "multiple": multiple, "auth_type": auth_type, "scopes": as_list(scopes)}
    rest = {"metadata": as_dict(metadata), "expires_in": expires_in}
    return Arguments(json=without_none({**body, **place, **choice, **rest}))


def get_session(session_id: str) -> Arguments:
    """Return a session with its status and its connection."""
    return Arguments(path={"session_id": session_id})


def cancel_session(session_id: str) -> Arguments:
    """Cancel a pending session. Raises: OneRuntimeError `conflict` (409) if the session already made its connection."""
    return Arguments(path={"session_id": session_id})


def redeem_session(session_id: str, *, code: str, end_user_id: str) -> Arguments:
    """Exchange the code of a return URL for the connection (mode `redirect`). One Runtime then creates the connection.

    `end_user_id`: the user who is signed in to your product in the browser that sent the code. Take the value from
    your login session, never from the URL.
    """
    return Arguments(path={"session_id": session_id}, json={"code": code, "end_user_id": end_user_id})


_SESSION: Final = "/v1/hosted-connection-sessions/{session_id}"
_session: Final = answer(Session)


class Sessions(Resource[TransportT]):
    """Hosted connection sessions. With each session, an end user can make one connection."""

    create = Operation("POST /v1/hosted-connection-sessions", create_session, answer(CreatedSession), creates=True)
    get = Operation(f"GET {_SESSION}", get_session, _session)
    cancel = Operation(f"DELETE {_SESSION}", cancel_session, _session)
    redeem = Operation(f"POST {_SESSION}/redeem", redeem_session, _session)
