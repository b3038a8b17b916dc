"""The answers of One Runtime as frozen dataclasses. The client ignores fields that it does not know."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Literal, TypeAlias

AuthType: TypeAlias = Literal["oauth2", "api_key", "basic", "client_credentials", "none"]
Logo: TypeAlias = Literal["inline", "url", "none"]
Mode: TypeAlias = Literal["embed", "redirect", "link"]
ConnectionStatus: TypeAlias = Literal["active", "needs_reauth"]
Expand: TypeAlias = Literal["connections"]
IntegrationStatus: TypeAlias = Literal["connected", "not_connected"]
AvailabilityMode: TypeAlias = Literal["all", "listed", "all_but"]
SessionStatus: TypeAlias = Literal["pending", "connected", "failed", "cancelled", "expired"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorNote:
    """The newest error of a connection or a session."""

    code: str
    message: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The account at the provider. A value is None if the provider does not return it."""

    id: str | None
    label: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionSummary:
    """A connection in the list of integrations. `token_expires_at`: when the access token expires."""

    id: str
    name: str
    status: ConnectionStatus
    error: ErrorNote | None
    account: Account
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
class CatalogIntegration:
    """An integration, without the state of an end user."""

    id: str
    slug: str
    name: str
    description: str
    logo_url: str | None
    category: str
    supported_auth_types: tuple[AuthType, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Integration(CatalogIntegration):
    """An integration with the state of an end user. `not_connected` never means "purge".

    `connections` is None unless the list was requested with `expand="connections"`.
    """

    status: IntegrationStatus
    connections: tuple[ConnectionSummary, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogFieldOption:
    """An option of a field."""

    value: str
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogField:
    """A field that an end user fills in. `secret` is False for parameters such as a subdomain."""

    name: str
    label: str
    help: str | None
    placeholder: str | None
    pattern: str | None
    secret: bool
    optional: bool
    options: tuple[CatalogFieldOption, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogOAuth2:
    """The requirements of an integration on its OAuth client. `client_url`: the page that registers one."""

    scopes: tuple[str, ...]
    pkce: str
    refresh: str
    client: Literal["organization", "customer"]
    client_url: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogVerified:
    """The way and the date of the last verification of an auth type."""

    how: str
    date: date | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogAuth:
    """An auth type of an integration, with its fields."""

    auth_type: AuthType
    params: tuple[CatalogField, ...]
    fields: tuple[CatalogField, ...]
    oauth2: CatalogOAuth2 | None
    verified: CatalogVerified


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogDetail(CatalogIntegration):
    """An integration with its auth types."""

    website: str
    docs: str | None
    auth: tuple[CatalogAuth, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Category:
    """A category with the number of its integrations."""

    name: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CreatedSession:
    """A new session. `session_token` is shown once, and `connect_url` contains it: log neither."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Revocation:
    """The outcome of revoking one token at the provider."""

    connection_id: str
    token: Literal["access_token", "refresh_token"] | None
    outcome: Literal["revoked", "failed", "not_supported"]
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Disconnection:
    """The outcome of a disconnect. `not_found`: there was no connection."""

    status: Literal["disconnected", "not_found"]
    integration_slug: str
    end_user_id: str
    deleted_count: int
    revocations: tuple[Revocation, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletedConnection:
    """A deleted connection, with the revocations of its tokens."""

    id: str
    revocations: tuple[Revocation, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionCheck:
    """The outcome of a check. `working` is None if the integration has no check."""

    working: bool | None
    reason: str | None
    connection: Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """The credentials for requests to the provider. Request them again for each use: tokens expire."""

    connection_id: str
    integration_slug: str
    auth_type: AuthType
    params: Mapping[str, str]
    credentials: Mapping[str, str] = field(repr=False)
    token_expires_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EndUser:
    """A user of your product."""

    end_user_id: str
    name: str | None
    email: str | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletedEndUser:
    """A deleted end user, with the revocations of all tokens."""

    end_user_id: str
    deleted_connections: int
    revocations: tuple[Revocation, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Availability:
    """The integrations that an organization offers: all, the listed ones, or all but the listed ones."""

    mode: AvailabilityMode = "all"
    slugs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Organization:
    """The settings of your organization."""

    id: str
    display_name: str
    logo_url: str | None
    privacy_url: str | None
    allowed_origins: tuple[str, ...]
    return_urls: tuple[str, ...]
    integrations: Availability
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class OAuthClient:
    """An OAuth client that you registered with a provider. Register `redirect_url` there as the redirect URI."""

    integration_slug: str
    client_id: str
    client_secret_last_four: str | None
    scopes: tuple[str, ...] | None
    hosts: tuple[str, ...]
    fields: tuple[str, ...]
    redirect_url: str
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomIntegration(CatalogIntegration):
    """One of your organization's own integrations.

    `invalidated_connections`: connections that end users have to make again, because the definition now sends
    credentials to another place.
    """

    enabled: bool
    definition: Mapping[str, Any]
    warnings: tuple[str, ...]
    invalidated_connections: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """The actor of an event: an API key, an end user, or the system."""

    type: str
    id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyRequest:
    """A call through the proxy. `path` has no query.

    `http_status` is 0 if the caller closed the connection before the answer began. `error_code` is set if One Runtime
    failed, not the provider. Sizes are bytes of bodies, times milliseconds.
    """

    id: str
    created_at: datetime
    end_user_id: str | None
    connection_id: str
    integration_slug: str
    method: str
    path: str
    http_status: int
    error_code: str | None
    attempts: int
    request_bytes: int
    response_bytes: int
    duration_ms: int
    upstream_ms: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """An entry of the audit log. `data` contains no secrets."""

    id: str
    type: str
    created_at: datetime
    actor: Actor
    address: str | None
    end_user_id: str | None
    connection_id: str | None
    data: Mapping[str, Any]
