"""Define the operations for the users of your product, with arguments and results."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from one_runtime_client.arguments import LIMIT, Arguments, as_time, one_or_more
from one_runtime_client.operations import Listing, Operation, Resource, TransportT
from one_runtime_client.parsing import answer, list_of
from one_runtime_client.resources.connections import Revocation

__all__ = ["DeletedEndUser", "EndUser"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EndUser:
    """A user of your product."""

    end_user_id: str
    name: str | None
    email: str | None
    created_at: datetime
    updated_at: datetime
    metadata: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletedEndUser:
    """A deleted end user, with the revocations of all tokens of this end user."""

    end_user_id: str
    deleted_connections: int
    revocations: tuple[Revocation, ...]


def list_end_users(
    *,
    end_user_id: str | Iterable[str] = (),
    email: str | Iterable[str] = (),
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int = LIMIT,
    cursor: str | None = None,
) -> Arguments:
    """List end users, ordered by `end_user_id`. `since` and `until` select by the time of creation."""
    filters = {"end_user_id": one_or_more(end_user_id), "email": one_or_more(email)}
    times = {"since": as_time(since), "until": as_time(until)}
    return Arguments(query={**filters, **times, "limit": limit, "cursor": cursor})


def get_end_user(end_user_id: str) -> Arguments:
    """Return an end user."""
    return Arguments(path={"end_user_id": end_user_id})


def delete_end_user(end_user_id: str) -> Arguments:
    """Delete an end user with all connections, credentials and sessions."""
    return Arguments(path={"end_user_id": end_user_id})


class EndUsers(Resource[TransportT]):
    """The users of your product that are stored in One Runtime."""

    list = Listing("GET /v1/end-users", list_end_users, list_of(EndUser, under="end_users"))
    get = Operation("GET /v1/end-users/{end_user_id}", get_end_user, answer(EndUser))
    delete = Operation("DELETE /v1/end-users/{end_user_id}", delete_end_user, answer(DeletedEndUser))
