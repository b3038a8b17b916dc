"""Define the classes of answers of `connections`. `python -m scripts.generate_clients` writes this file."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

__all__ = [
    "Account",
    "Connection",
    "ConnectionCheck",
    "ConnectionSummary",
    "Credentials",
    "DeletedConnection",
    "Disconnection",
    "ErrorNote",
    "Explanation",
    "Revocation",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Texts for people: what happened, and what to do.

    Attributes:
        message: What happened.
        action: What to do.
    """

    message: str
    action: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorNote:
    """The newest error of a connection or a session. `explanation`: None for a code of a later version.

    Attributes:
        code: The code of the error. Codes are stable.
        message: The error, as a text for people.
        created_at: The time of the error, as in RFC 3339.
        explanation: Texts for people about the code: what happened, and what to do.
    """

    code: str
    message: str
    created_at: datetime
    explanation: Explanation | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The account at the provider. A field is None if the provider does not report the value.

    Attributes:
        id: The provider's id of the account, or None if it is unknown.
        label: The name of the account, or None if it is unknown.
    """

    id: str | None
    label: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionSummary:
    """A connection in the list of integrations.

    Attributes:
        id: The id. Ids are UUIDs.
        name: The name of the connection.
        is_default: True for the end user's [default connection](api.md#default-connections) to the integration.
        status: `active`, or `needs_reauth` if the end user has to connect again.
        error: The newest error, or None.
        account: The account at the provider.
        params: Values that are not secret, such as a subdomain.
        base_url: The base URL of the provider's API for this account. None if the URL contains a part of the
            credential.
        scopes: The granted scopes.
        missing_scopes: The scopes that One Runtime requested and the provider did not grant.
        created_at: The time of the creation, as in RFC 3339.
        updated_at: The time of the last change, as in RFC 3339.
        last_used_at: The time of the last call through the proxy, or None.
        token_expires_at: The time at which the access token expires, or None.
    """

    id: str
    name: str
    is_default: bool
    status: Literal["active", "needs_reauth"]
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
    """A connected account of an end user, without the credentials.

    Attributes:
        integration_slug: The slug of the integration.
        end_user_id: Your own identifier of the end user.
        auth_type: The auth type: the way to authenticate with the provider.
        metadata: An object with your own data, at most 16 kB of JSON. One Runtime stores the object and does not
            interpret it.
    """

    integration_slug: str
    end_user_id: str
    auth_type: Literal["api_key", "basic", "none", "oauth2", "client_credentials"]
    metadata: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionCheck:
    """The result of checking a credential. `working` is None if no check is possible.

    Attributes:
        outcome: The result.
        working: True if the credential works. None if no check is possible.
        reason: The reason, as a text for people, or None.
        missing_permission: The provider's name of the missing permission, or None.
        connection: The connection after the check.
    """

    outcome: Literal["accepted", "refused", "permission_missing", "not_supported"]
    working: bool | None
    reason: str | None
    missing_permission: str | None
    connection: Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """Valid credentials for requests to the provider. The fields of `credentials` depend on the auth type.

    - `api_key`: the fields that the integration defines.
    - `basic`: `username` and `password`.
    - `none`: no fields.
    - `oauth2`: `access_token`.
    - `client_credentials`: `access_token`.

    One Runtime never returns a refresh token or the secret of an OAuth client.

    Attributes:
        connection_id: The id of the connection.
        integration_slug: The slug of the integration.
        auth_type: The auth type: the way to authenticate with the provider.
        params: Values that are not secret, such as a subdomain.
        credentials: The credential. The keys depend on the auth type.
        token_expires_at: The time at which the access token expires, or None.
    """

    connection_id: str
    integration_slug: str
    auth_type: Literal["api_key", "basic", "none", "oauth2", "client_credentials"]
    params: Mapping[str, str]
    credentials: Mapping[str, str] = field(repr=False)
    token_expires_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Revocation:
    """The result of revoking one token at the provider.

    - `revoked`: the provider revoked the token.
    - `not_supported`: One Runtime cannot revoke the credential. For example, the provider has no revocation
      endpoint, or the credential is an API key.
    - `failed`: the revocation failed, and `reason` says why. One Runtime retries a temporary failure for 24 hours.

    Attributes:
        connection_id: The id of the connection.
        token: The revoked token. None for a credential that is not a token.
        outcome: The result of the revocation at the provider.
        reason: The reason, as a text for people, or None.
    """

    connection_id: str
    token: Literal["access_token", "refresh_token"] | None
    outcome: Literal["revoked", "failed", "not_supported"]
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletedConnection(Connection):
    """The deleted connection as it last was, and the result of revoking each of its tokens.

    Attributes:
        revocations: The result of revoking each token at the provider.
    """

    revocations: tuple[Revocation, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Disconnection:
    """The result of a disconnection.

    `status` is `not_found` if the end user has no connection to the integration. An unknown end user or an unknown
    integration also gives `not_found`.

    Attributes:
        status: `disconnected`, or `not_found` if the end user had no connection to the integration.
        integration_slug: The slug of the integration.
        end_user_id: Your own identifier of the end user.
        deleted_count: The number of deleted connections.
        revocations: The result of revoking each token at the provider.
    """

    status: Literal["disconnected", "not_found"]
    integration_slug: str
    end_user_id: str
    deleted_count: int
    revocations: tuple[Revocation, ...]
