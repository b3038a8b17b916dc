"""What One Runtime answers, as frozen dataclasses. Fields that this client does not know yet are left out."""

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
    """The account at the provider; None where it does not tell."""

    id: str | None
    label: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionSummary:
    """A connection inside the list of integrations."""

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
    """A connected account of an end user. Credentials are never part of it."""

    integration_slug: str
    end_user_id: str
    auth_type: AuthType
    metadata: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogIntegration:
    """What anybody may know of an integration."""

    id: str
    slug: str
    name: str
    description: str
    logo_url: str | None
    category: str
    supported_auth_types: tuple[AuthType, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Integration(CatalogIntegration):
    """What an end user can connect. `not_connected` never means that what you imported should be deleted.
    `connections` is None unless the list was asked to expand them."""

    status: IntegrationStatus
    connections: tuple[ConnectionSummary, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogFieldOption:
    """One choice of a field."""

    value: str
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogField:
    """What an end user is asked for."""

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
    """What an OAuth client of an integration asks for."""

    scopes: tuple[str, ...]
    pkce: str
    refresh: str
    client: Literal["organization", "customer"]
    client_url: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogVerified:
    """How it is known that an integration is right, and since when."""

    how: str
    date: date | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogAuth:
    """One way to connect, with what it asks for."""

    auth_type: AuthType
    params: tuple[CatalogField, ...]
    fields: tuple[CatalogField, ...]
    oauth2: CatalogOAuth2 | None
    verified: CatalogVerified


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogDetail(CatalogIntegration):
    """One integration with its fields."""

    website: str
    docs: str | None
    auth: tuple[CatalogAuth, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Category:
    """A category, and how many integrations it has."""

    name: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CreatedSession:
    """A new session. `session_token` is told this once, and `connect_url` holds it: log neither."""

    id: str
    session_token: str = field(repr=False)
    connect_url: str = field(repr=False)
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """How a session stands."""

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
    """What became of one token at the provider."""

    connection_id: str
    token: Literal["access_token", "refresh_token"] | None
    outcome: Literal["revoked", "failed", "not_supported"]
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Disconnection:
    """What was deleted; `not_found` where there was nothing."""

    status: Literal["disconnected", "not_found"]
    integration_slug: str
    end_user_id: str
    deleted_count: int
    revocations: tuple[Revocation, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletedConnection:
    """A connection that is gone, and what became of its tokens."""

    id: str
    revocations: tuple[Revocation, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionCheck:
    """What the provider said; `working` is None where the integration has no check."""

    working: bool | None
    reason: str | None
    connection: Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What authenticates requests to the provider, fresh. Ask again for each use."""

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
    """What was deleted of an end user."""

    end_user_id: str
    deleted_connections: int
    revocations: tuple[Revocation, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Availability:
    """Which integrations an organization offers: all, the listed ones, or all but those."""

    mode: AvailabilityMode = "all"
    slugs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Organization:
    """Your organization's settings."""

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
    """A client that you registered with a provider. `redirect_url` is the address to register there."""

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
    """An integration of your own."""

    enabled: bool
    definition: Mapping[str, Any]
    warnings: tuple[str, ...]
    invalidated_connections: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who did it: an API key, an end user, or the system."""

    type: str
    id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyRequest:
    """A call through the proxy. `path` has no query. `error_code` is set where One Runtime failed, not the provider.
    Sizes are bytes of bodies, times milliseconds."""

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
    """What happened. `data` holds no secrets."""

    id: str
    type: str
    created_at: datetime
    actor: Actor
    address: str | None
    end_user_id: str | None
    connection_id: str | None
    data: Mapping[str, Any]
