"""Small and complete entries for tests."""

from copy import deepcopy
from typing import Any

from one_runtime.catalog.auth_types import Auth
from one_runtime.catalog.auth_types.oauth2 import OAuth2Auth
from one_runtime.catalog.model import Integration

API_KEY: dict[str, Any] = {
    "type": "api_key",
    "fields": [{"name": "api_key", "label": "API key", "where": "In the settings."}],
    "base_url": "https://api.example.com",
    "send": {"headers": {"Authorization": "Bearer {api_key}"}},
    "check": {"path": "/me", "reason": "error.message"},
    "identity": {"id": "account.id", "label": "account.name"},
    "verified": {"how": "unverified"},
}
OAUTH2: dict[str, Any] = {
    "type": "oauth2",
    "client": {"where": "In the developer portal.", "where_url": "https://example.com/apps"},
    "authorization": {"url": "https://login.example.com/authorize"},
    "scopes": {"always": ["offline"], "default": ["contacts.read"]},
    "pkce": "supported",
    "token": {"url": "https://login.example.com/token", "auth": "post"},
    "base_url": "https://api.example.com",
    "check": {"path": "/me"},
    "identity": {"id": "account.id"},
    "verified": {"how": "unverified"},
}
ENTRY: dict[str, Any] = {
    "slug": "example",
    "name": "Example",
    "description": "Something to test with.",
    "category": "Data",
    "website": "https://example.com",
    "docs": "https://example.com/docs",
}
SUBDOMAIN: dict[str, Any] = {
    "name": "subdomain",
    "label": "Subdomain",
    "pattern": "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?",
    "suffix": ".example.com",
    "transform": ["lower"],
}


def entry_of(*auth: dict[str, Any], **changes: Any) -> Integration:
    """Return a validated integration with these auth types."""
    return Integration.model_validate({**deepcopy(ENTRY), "auth": [deepcopy(part) for part in auth], **changes})


def api_key(**changes: Any) -> Auth:
    """Return the API key auth of the example with changes."""
    return entry_of({**API_KEY, **changes}).auth[0]


def oauth2(**changes: Any) -> OAuth2Auth:
    """Return the OAuth 2.0 auth of the example with changes."""
    auth = entry_of({**OAUTH2, **changes}).auth[0]
    assert isinstance(auth, OAuth2Auth)
    return auth
