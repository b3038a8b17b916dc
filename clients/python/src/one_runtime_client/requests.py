"""The requests of each operation: what callers may say, as functions from arguments to plain data."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal

from one_runtime_client.answers import AuthType, Availability, ConnectionStatus, Expand, IntegrationStatus, Logo, Mode

PAGE: Final = 100
"""Items that are asked for at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What fills an operation: the parameters of its path and query, and its body."""

    path: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)
    json: Any = field(default=None, repr=False)
    content: str | None = field(default=None, repr=False)
    media_type: str | None = None


def nothing() -> Request:
    """Everything is said by the address."""
    return Request()


def list_integrations(  # noqa: PLR0913 - by name
    *,
    end_user_id: str,
    slug: str | Iterable[str] = (),
    category: str | None = None,
    search: str | None = None,
    status: IntegrationStatus | None = None,
    logo: Logo = "url",
    expand: Expand | Iterable[Expand] = (),
) -> Request:
    """List what an end user can connect, and what is connected. `logo` is an address unless you ask for `inline` or
    `none`. `expand="connections"` adds each integration's connections."""
    query = {"end_user_id": end_user_id, "slug": _one_or_more(slug), "category": category, "search": search}
    return Request(params=query | {"status": status, "logo": logo, "expand": _one_or_more(expand)})


def list_catalog(
    *, slug: str | Iterable[str] = (), category: str | None = None, search: str | None = None, logo: Logo = "url"
) -> Request:
    """Every integration with every auth type it has, and nobody's status."""
    return Request(params={"slug": _one_or_more(slug), "category": category, "search": search, "logo": logo})


def get_catalog(slug: str, *, logo: Logo = "url") -> Request:
    """One integration with what it asks end users for."""
    return Request(path={"slug": slug}, params={"logo": logo})


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
) -> Request:
    """A short-lived permission for one end user to make one connection in the hosted popup. Without `integration_slug`
    the user picks from a list. `multiple` puts another account beside the present one. `expires_in` in seconds."""
    body = {"end_user_id": end_user_id, "integration_slug": integration_slug, "end_user_name": end_user_name}
    body |= {"end_user_email": end_user_email, "suggested_connection_name": suggested_connection_name}
    where = {"allowed_origins": _listed(allowed_origins), "return_url": return_url, "mode": mode}
    how = {"connection_id": connection_id, "multiple": multiple, "auth_type": auth_type, "scopes": _listed(scopes)}
    return Request(json=_given({**body, **where, **how, "metadata": _object(metadata), "expires_in": expires_in}))


def by_session(session_id: str) -> Request:
    """A session by its id."""
    return Request(path={"session_id": session_id})


def redeem_session(session_id: str, *, code: str, end_user_id: str) -> Request:
    """Make what was connected in the mode `redirect` count. `end_user_id`: who is signed in where the code arrived, by
    your own login and never by the address."""
    return Request(path={"session_id": session_id}, json={"code": code, "end_user_id": end_user_id})


def disconnect(*, integration_slug: str, end_user_id: str) -> Request:
    """Delete every connection of an end user at an integration, with its credentials. Calling twice is safe."""
    return Request(json={"integration_slug": integration_slug, "end_user_id": end_user_id})


def list_connections(
    *,
    end_user_id: str | None = None,
    integration_slug: str | None = None,
    status: ConnectionStatus | None = None,
    limit: int = PAGE,
    cursor: str | None = None,
) -> Request:
    """Connections, newest first; the next page is asked for when it is wanted."""
    asked = {"end_user_id": end_user_id, "integration_slug": integration_slug, "status": status}
    return Request(params={**asked, "limit": limit, "cursor": cursor})


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
) -> Request:
    """Import a credential that you hold already. Unless `check` is False the provider is asked first."""
    secrets = {key: _text(value) for key, value in (credentials or {}).items()}
    body = {"integration_slug": integration_slug, "end_user_id": end_user_id, "auth_type": auth_type, "name": name}
    more = {"params": _object(params), "metadata": _object(metadata), "check": check, "multiple": multiple}
    return Request(json=_given({**body, "credentials": secrets, **more}))


def by_connection(connection_id: str) -> Request:
    """A connection by its id."""
    return Request(path={"connection_id": connection_id})


def update_connection(
    connection_id: str, *, name: str | None = None, metadata: Mapping[str, Any] | None = None
) -> Request:
    """Set the name, or the metadata as a whole; what is left out stays."""
    return Request(path={"connection_id": connection_id}, json=_given({"name": name, "metadata": _object(metadata)}))


def list_end_users(*, limit: int = PAGE, cursor: str | None = None) -> Request:
    """End users by identifier; the next page is asked for when it is wanted."""
    return Request(params={"limit": limit, "cursor": cursor})


def by_end_user(end_user_id: str) -> Request:
    """Forget an end user: connections, credentials and sessions are deleted."""
    return Request(path={"end_user_id": end_user_id})


def replace_organization(
    *,
    display_name: str,
    logo_url: str | None = None,
    privacy_url: str | None = None,
    allowed_origins: Iterable[str] = (),
    return_urls: Iterable[str] = (),
    integrations: Availability | None = None,
) -> Request:
    """Set the whole of your organization: **what is left out goes back to its default**."""
    availability = integrations or Availability()
    lists = {"allowed_origins": _listed(allowed_origins), "return_urls": _listed(return_urls)}
    offered = {"mode": availability.mode, "slugs": _listed(availability.slugs)}
    body = {"display_name": display_name, "logo_url": logo_url, "privacy_url": privacy_url}
    return Request(json=_given({**body, **lists, "integrations": offered}))


def get_oauth_client(integration_slug: str) -> Request:
    """Return your organization's OAuth client for an integration. The secret is never returned."""
    return Request(path={"integration_slug": integration_slug})


def delete_oauth_client(integration_slug: str) -> Request:
    """Delete your organization's OAuth client. Connections made with it keep it until they are gone."""
    return Request(path={"integration_slug": integration_slug})


def get_custom_integration(slug: str) -> Request:
    """Return one of your organization's own integrations, with its definition."""
    return Request(path={"slug": slug})


def replace_oauth_client(
    integration_slug: str,
    *,
    client_id: str,
    client_secret: str | None = None,
    scopes: Iterable[str] | None = None,
    hosts: Iterable[str] = (),
    fields: Mapping[str, str] | None = None,
) -> Request:
    """Register your client of a provider, in the place of the one before. `client_secret` may be left out where the
    `client_id` stays."""
    body = {"client_id": client_id, "client_secret": client_secret, "scopes": _listed(scopes)}
    fields_and_hosts = {"hosts": _listed(hosts), "fields": _object(fields)}
    return Request(path={"integration_slug": integration_slug}, json=_given({**body, **fields_and_hosts}))


def create_custom_integration(entry: Mapping[str, Any] | str) -> Request:
    """Make an integration of your own, from an entry or an OpenAPI document: a mapping, or text in YAML or JSON."""
    return _entry(entry)


def replace_custom_integration(slug: str, entry: Mapping[str, Any] | str) -> Request:
    """Make or replace an integration of your own. The entry's `slug` may be left out."""
    return _entry(entry, slug=slug)


def delete_custom_integration(slug: str, *, delete_connections: bool = False) -> Request:
    """Delete an integration of your own; one that has connections only with `delete_connections`."""
    return Request(path={"slug": slug}, params={"delete_connections": delete_connections or None})


def list_events(
    *,
    type: str | None = None,  # noqa: A002 - the API's word
    end_user_id: str | None = None,
    connection_id: str | None = None,
    limit: int = PAGE,
    cursor: str | None = None,
) -> Request:
    """What happened, newest first; the next page is asked for when it is wanted."""
    asked = {"type": type, "end_user_id": end_user_id, "connection_id": connection_id}
    return Request(params={**asked, "limit": limit, "cursor": cursor})


def list_proxy_requests(
    *,
    end_user_id: str | None = None,
    connection_id: str | None = None,
    integration_slug: str | None = None,
    http_status: int | None = None,
    limit: int = PAGE,
    cursor: str | None = None,
) -> Request:
    """Calls through the proxy, newest first; the next page is asked for when it is wanted."""
    asked = {"end_user_id": end_user_id, "connection_id": connection_id, "integration_slug": integration_slug}
    return Request(params={**asked, "http_status": http_status, "limit": limit, "cursor": cursor})


def _entry(entry: Mapping[str, Any] | str, **path: str) -> Request:
    text = entry if isinstance(entry, str) else json.dumps(entry, ensure_ascii=False)
    syntax: Literal["json", "yaml"] = "json" if text.lstrip().startswith("{") else "yaml"
    return Request(path=path, content=text, media_type=f"application/{syntax}")


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _listed(values: Iterable[str] | None) -> list[str] | None:
    if isinstance(values, str):
        raise TypeError("a list of strings is wanted, not one string")
    return None if values is None else list(values)


def _one_or_more(values: str | Iterable[str]) -> list[str]:
    return [values] if isinstance(values, str) else list(values)


def _object(values: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return None if values is None else dict(values)


def _text(value: str | datetime) -> str:
    return value.isoformat() if isinstance(value, datetime) else value
