"""Define the operations for connected accounts, with arguments and results."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal, TypeAlias

from one_runtime_client.arguments import LIMIT, Arguments, as_dict, as_text, as_time, one_or_more, without_none
from one_runtime_client.operations import Listing, Operation, Resource, TransportT
from one_runtime_client.parsing import answer, list_of
from one_runtime_client.resources.catalog import AuthType

__all__ = [
    "Account",
    "Connection",
    "ConnectionCheck",
    "ConnectionSummary",
    "Credentials",
    "DeletedConnection",
    "Disconnection",
    "ErrorNote",
    "Revocation",
]

ConnectionStatus: TypeAlias = Literal["active", "needs_reauth"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorNote:
    """The newest error of a connection or a session."""

    code: str
    message: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The account at the provider. `id` or `label` is None if the provider does not return this value."""

    id: str | None
    label: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionSummary:
    """A connection in the list of integrations.

    `params`: values that are not secret, such as a subdomain. `base_url`: the base URL of the provider's API for this
    account, or None if the URL contains a part of the credential. `token_expires_at`: when the access token expires.
    """

    id: str
    name: str
    status: ConnectionStatus
    error: ErrorNote | None
    account: Account
    params: Mapping[str, str]
    base_url: str | None
    scopes: tuple[str, ...]
    missing_scopes: tuple[str, ...]
    created_at: datetime
    updated_at: datetime
    last_used_at: datetime | None
    token_expires_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection(ConnectionSummary):
    """A connected account of an end user, without its credentials."""

    integration_slug: str
    end_user_id: str
    auth_type: AuthType
    metadata: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Revocation:
    """The outcome of revoking one token at the provider."""

    connection_id: str
    token: Literal["access_token", "refresh_token"] | None
    outcome: Literal["revoked", "failed", "not_supported"]
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletedConnection:
    """A deleted connection, with the revocations of its tokens."""

    id: str
    revocations: tuple[Revocation, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionCheck:
    """The result of a check of a connection. `working` is None if the integration has no check.

    `missing_permission`: the provider's name of the missing permission, or None if the name is not known.
    """

    outcome: Literal["accepted", "refused", "permission_missing", "not_supported"]
    working: bool | None
    reason: str | None
    missing_permission: str | None
    connection: Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """The credentials for requests to the provider. Tokens expire, so get the credentials again before each use."""

    connection_id: str
    integration_slug: str
    auth_type: AuthType
    params: Mapping[str, str]
    credentials: Mapping[str, str] = field(repr=False)
    token_expires_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Disconnection:
    """The outcome of a call of `disconnect`. `not_found`: the end user had no connection to the integration."""

    status: Literal["disconnected", "not_found"]
    integration_slug: str
    end_user_id: str
    deleted_count: int
    revocations: tuple[Revocation, ...]


def list_connections(  # noqa: PLR0913 - by name
    *,
    end_user_id: str | Iterable[str] = (),
    integration_slug: str | Iterable[str] = (),
    status: ConnectionStatus | Iterable[ConnectionStatus] = (),
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int = LIMIT,
    cursor: str | None = None,
) -> Arguments:
    """List connections, newest first. `since` and `until` select by the time of creation.

    A filter with several values matches connections that have one of the values.
    """
    filters = {
        "end_user_id": one_or_more(end_user_id),
        "integration_slug": one_or_more(integration_slug),
        "status": one_or_more(status),
        "since": as_time(since),
        "until": as_time(until),
    }
    return Arguments(query={**filters, "limit": limit, "cursor": cursor})


def create_connection(  # noqa: PLR0913 - by name
    *,
    integration_slug: str,
    end_user_id: str,
    auth_type: AuthType,
    credentials: Mapping[str, str | datetime] | None = None,
    params: Mapping[str, str] | None = None,
    name: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    check: bool | None = None,
    multiple: bool | None = None,
) -> Arguments:
    """Import a credential that you have already.

    One Runtime verifies the credential with the provider. With `check=False`, One Runtime does not verify the
    credential.
    """
    body = {"integration_slug": integration_slug, "end_user_id": end_user_id, "auth_type": auth_type, "name": name}
    more = {"params": as_dict(params), "metadata": as_dict(metadata), "check": check, "multiple": multiple}
    texts = {key: as_text(value) for key, value in (credentials or {}).items()}
    return Arguments(json=without_none({**body, "credentials": texts, **more}))


def get_connection(connection_id: str) -> Arguments:
    """Return a connection."""
    return Arguments(path={"connection_id": connection_id})


def update_connection(
    connection_id: str, *, name: str | None = None, metadata: Mapping[str, Any] | None = None
) -> Arguments:
    """Change the name, keys of the metadata, or both. An omitted argument changes nothing.

    Each key of `metadata` changes only this key. A key with the value None is removed.
    """
    changes = {"name": name, "metadata": as_dict(metadata)}
    return Arguments(path={"connection_id": connection_id}, json=without_none(changes))


def delete_connection(connection_id: str) -> Arguments:
    """Delete a connection with its credentials. One Runtime revokes the tokens at the provider."""
    return Arguments(path={"connection_id": connection_id})


def check_connection(connection_id: str) -> Arguments:
    """Ask the provider whether the credential of a connection still works."""
    return Arguments(path={"connection_id": connection_id})


def refresh_connection(connection_id: str) -> Arguments:
    """Refresh the tokens of a connection now. One Runtime also refreshes tokens by itself before they expire."""
    return Arguments(path={"connection_id": connection_id})


def get_credentials(connection_id: str) -> Arguments:
    """Return the credentials of a connection, with a valid token. The API key needs the scope `credentials:read`."""
    return Arguments(path={"connection_id": connection_id})


def disconnect(*, integration_slug: str, end_user_id: str) -> Arguments:
    """Delete all connections of an end user to an integration, with their credentials. A repeated call is harmless."""
    return Arguments(json={"integration_slug": integration_slug, "end_user_id": end_user_id})


_CONNECTION: Final = "/v1/connections/{connection_id}"
_connection: Final = answer(Connection)


class Connections(Resource[TransportT]):
    """Connected accounts."""

    list = Listing("GET /v1/connections", list_connections, list_of(Connection, under="connections"))
    create = Operation("POST /v1/connections", create_connection, _connection, creates=True)
    get = Operation(f"GET {_CONNECTION}", get_connection, _connection)
    update = Operation(f"PATCH {_CONNECTION}", update_connection, _connection)
    delete = Operation(f"DELETE {_CONNECTION}", delete_connection, answer(DeletedConnection))
    check = Operation(f"POST {_CONNECTION}/check", check_connection, answer(ConnectionCheck))
    refresh = Operation(f"POST {_CONNECTION}/refresh", refresh_connection, _connection)
    credentials = Operation(f"GET {_CONNECTION}/credentials", get_credentials, answer(Credentials))
