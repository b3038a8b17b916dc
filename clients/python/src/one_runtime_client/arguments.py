"""The arguments of each operation: functions from the caller's arguments to a path, a query and a body.

The docstring of a function is the docstring of the client's method.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal

from one_runtime_client.answers import (
    AuthType,
    Availability,
    ConnectionStatus,
    Expand,
    IntegrationStatus,
    Logo,
    Mode,
)

LIMIT: Final = 100
"""Items of a page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arguments:
    """The values that fill an operation's path and query, and its body: `json`, or `body` with its media type."""

    path: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, Any] = field(default_factory=dict)
    json: Any = field(default=None, repr=False)
    body: str | None = field(default=None, repr=False)
    media_type: str | None = None


def list_integrations(  # noqa: PLR0913 - by name
    *,
    end_user_id: str,
    slug: str | Iterable[str] = (),
    category: str | None = None,
    search: str | None = None,
    status: IntegrationStatus | None = None,
    logo: Logo = "url",
    expand: Expand | Iterable[Expand] = (),
) -> Arguments:
    """List the integrations that an end user can connect, with their status. `not_connected` never means "purge".

    `logo`: an address by default; `inline` or `none` on request. `expand="connections"` adds the connections of each
    integration.
    """
    filters = {"slug": _one_or_more(slug), "category": category, "search": search, "status": status}
    return Arguments(query={"end_user_id": end_user_id, **filters, "logo": logo, "expand": _one_or_more(expand)})


def list_catalog(
    *, slug: str | Iterable[str] = (), category: str | None = None, search: str | None = None, logo: Logo = "url"
) -> Arguments:
    """List the built-in integrations with all their auth types, whatever your organization offers."""
    return Arguments(query={"slug": _one_or_more(slug), "category": category, "search": search, "logo": logo})


def get_catalog_integration(slug: str, *, logo: Logo = "url") -> Arguments:
    """Return one built-in integration with the fields that end users fill in."""
    return Arguments(path={"slug": slug}, query={"logo": logo})


def list_categories() -> Arguments:
    """List the categories with the number of their integrations."""
    return Arguments()


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
    """Create a session: one end user may make one connection in the hosted popup.

    Without `integration_slug` the end user selects from a list. `multiple` adds an account beside the connected one.
    `expires_in`: seconds in which the popup has to be opened, 60 to 3600.
    """
    body = {"end_user_id": end_user_id, "integration_slug": integration_slug, "end_user_name": end_user_name}
    body |= {"end_user_email": end_user_email, "suggested_connection_name": suggested_connection_name}
    place = {"allowed_origins": _list(allowed_origins), "return_url": return_url, "mode": mode}
    choice = {"connection_id": connection_id, "multiple": multiple, "auth_type": auth_type, "scopes": _list(scopes)}
    rest = {"metadata": _dict(metadata), "expires_in": expires_in}
    return Arguments(json=_without_none({**body, **place, **choice, **rest}))


def get_session(session_id: str) -> Arguments:
    """Return a session with its status and its connection."""
    return Arguments(path={"session_id": session_id})


def cancel_session(session_id: str) -> Arguments:
    """Cancel a pending session. A session that made its connection is a 409 `conflict`."""
    return Arguments(path={"session_id": session_id})


def redeem_session(session_id: str, *, code: str, end_user_id: str) -> Arguments:
    """Redeem the code of the mode `redirect`: this creates the connection.

    `end_user_id`: the user who is signed in where the code arrived. Take it from your login, never from the URL.
    """
    return Arguments(path={"session_id": session_id}, json={"code": code, "end_user_id": end_user_id})


def disconnect(*, integration_slug: str, end_user_id: str) -> Arguments:
    """Delete every connection of an end user to an integration, with its credentials. A second call is harmless."""
    return Arguments(json={"integration_slug": integration_slug, "end_user_id": end_user_id})


def list_connections(
    *,
    end_user_id: str | None = None,
    integration_slug: str | None = None,
    status: ConnectionStatus | None = None,
    limit: int = LIMIT,
    cursor: str | None = None,
) -> Arguments:
    """List connections, newest first."""
    filters = {"end_user_id": end_user_id, "integration_slug": integration_slug, "status": status}
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
    """Import a credential that you hold already. One Runtime verifies it with the provider unless `check` is False."""
    body = {"integration_slug": integration_slug, "end_user_id": end_user_id, "auth_type": auth_type, "name": name}
    more = {"params": _dict(params), "metadata": _dict(metadata), "check": check, "multiple": multiple}
    texts = {key: _text(value) for key, value in (credentials or {}).items()}
    return Arguments(json=_without_none({**body, "credentials": texts, **more}))


def get_connection(connection_id: str) -> Arguments:
    """Return a connection."""
    return Arguments(path={"connection_id": connection_id})


def update_connection(
    connection_id: str, *, name: str | None = None, metadata: Mapping[str, Any] | None = None
) -> Arguments:
    """Set the name, or the whole metadata. An omitted argument changes nothing."""
    changes = {"name": name, "metadata": _dict(metadata)}
    return Arguments(path={"connection_id": connection_id}, json=_without_none(changes))


def delete_connection(connection_id: str) -> Arguments:
    """Delete a connection with its credentials, and revoke its tokens at the provider."""
    return Arguments(path={"connection_id": connection_id})


def check_connection(connection_id: str) -> Arguments:
    """Ask the provider whether the credential of a connection still works."""
    return Arguments(path={"connection_id": connection_id})


def refresh_connection(connection_id: str) -> Arguments:
    """Refresh the tokens of a connection now. One Runtime refreshes them ahead of expiry by itself."""
    return Arguments(path={"connection_id": connection_id})


def get_credentials(connection_id: str) -> Arguments:
    """Return the fresh credentials of a connection. The API key needs the scope `credentials:read`."""
    return Arguments(path={"connection_id": connection_id})


def list_end_users(*, limit: int = LIMIT, cursor: str | None = None) -> Arguments:
    """List end users, ordered by `end_user_id`."""
    return Arguments(query={"limit": limit, "cursor": cursor})


def delete_end_user(end_user_id: str) -> Arguments:
    """Delete an end user with all connections, credentials and sessions."""
    return Arguments(path={"end_user_id": end_user_id})


def get_organization() -> Arguments:
    """Return the settings of your organization."""
    return Arguments()


def replace_organization(
    *,
    display_name: str,
    logo_url: str | None = None,
    privacy_url: str | None = None,
    allowed_origins: Iterable[str] = (),
    return_urls: Iterable[str] = (),
    integrations: Availability | None = None,
) -> Arguments:
    """Replace all settings of your organization: **an omitted argument resets its setting to the default**."""
    availability = integrations or Availability()
    body = {
        "display_name": display_name,
        "logo_url": logo_url,
        "privacy_url": privacy_url,
        "allowed_origins": _list(allowed_origins),
        "return_urls": _list(return_urls),
        "integrations": {"mode": availability.mode, "slugs": _list(availability.slugs)},
    }
    return Arguments(json=_without_none(body))


def list_oauth_clients() -> Arguments:
    """List the OAuth clients of your organization."""
    return Arguments()


def get_oauth_client(integration_slug: str) -> Arguments:
    """Return the OAuth client of your organization for an integration. The secret is never returned."""
    return Arguments(path={"integration_slug": integration_slug})


def replace_oauth_client(
    integration_slug: str,
    *,
    client_id: str,
    client_secret: str | None = None,
    scopes: Iterable[str] | None = None,
    hosts: Iterable[str] = (),
    fields: Mapping[str, str] | None = None,
) -> Arguments:
    """Register your OAuth client for an integration, or replace it.

    Omit `client_secret` to keep the stored secret of the same `client_id`.
    """
    body = {
        "client_id": client_id,
        "client_secret": client_secret,
        "scopes": _list(scopes),
        "hosts": _list(hosts),
        "fields": _dict(fields),
    }
    return Arguments(path={"integration_slug": integration_slug}, json=_without_none(body))


def delete_oauth_client(integration_slug: str) -> Arguments:
    """Delete an OAuth client. Connections that were made with it keep it."""
    return Arguments(path={"integration_slug": integration_slug})


def list_custom_integrations() -> Arguments:
    """List your organization's own integrations."""
    return Arguments()


def create_custom_integration(definition: Mapping[str, Any] | str) -> Arguments:
    """Create an integration of your own.

    `definition`: an entry in the catalog's format or an OpenAPI document, as a mapping or as text in YAML or JSON.
    """
    return _definition(definition)


def get_custom_integration(slug: str) -> Arguments:
    """Return one of your organization's own integrations."""
    return Arguments(path={"slug": slug})


def replace_custom_integration(slug: str, definition: Mapping[str, Any] | str) -> Arguments:
    """Create or replace an integration of your own. The definition may omit `slug`."""
    return _definition(definition, slug=slug)


def delete_custom_integration(slug: str, *, delete_connections: bool = False) -> Arguments:
    """Delete an integration of your own. If it has connections, `delete_connections` has to be True."""
    return Arguments(path={"slug": slug}, query={"delete_connections": delete_connections or None})


def list_events(
    *,
    type: str | None = None,  # noqa: A002 - the API's name
    end_user_id: str | None = None,
    connection_id: str | None = None,
    limit: int = LIMIT,
    cursor: str | None = None,
) -> Arguments:
    """List events, newest first."""
    filters = {"type": type, "end_user_id": end_user_id, "connection_id": connection_id}
    return Arguments(query={**filters, "limit": limit, "cursor": cursor})


def list_proxy_requests(
    *,
    end_user_id: str | None = None,
    connection_id: str | None = None,
    integration_slug: str | None = None,
    http_status: int | None = None,
    limit: int = LIMIT,
    cursor: str | None = None,
) -> Arguments:
    """List calls through the proxy, newest first."""
    filters = {"end_user_id": end_user_id, "connection_id": connection_id, "integration_slug": integration_slug}
    return Arguments(query={**filters, "http_status": http_status, "limit": limit, "cursor": cursor})


def _definition(definition: Mapping[str, Any] | str, **path: str) -> Arguments:
    text = definition if isinstance(definition, str) else json.dumps(definition, ensure_ascii=False)
    syntax: Literal["json", "yaml"] = "json" if text.lstrip().startswith("{") else "yaml"
    return Arguments(path=path, body=text, media_type=f"application/{syntax}")


def _without_none(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _list(values: Iterable[str] | None) -> list[str] | None:
    if isinstance(values, str):
        raise TypeError("Pass a list of strings, not one string.")
    return None if values is None else list(values)


def _one_or_more(values: str | Iterable[str]) -> list[str]:
    return [values] if isinstance(values, str) else list(values)


def _dict(values: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return None if values is None else dict(values)


def _text(value: str | datetime) -> str:
    return value.isoformat() if isinstance(value, datetime) else value
