"""Generate a first draft of a catalog entry from a developer's answers."""

from dataclasses import dataclass
from typing import Final

import yaml

from one_runtime.catalog.auth_types import AuthType

_FIELD: Final = {
    "name": "api_key",
    "label": "API key",
    "where": "In the product, go to Settings, then API, and create a key.",
    "pattern": "[A-Za-z0-9._~+/=-]{16,1024}",
}
_TYPED: Final = "[!-~]{1,255}"


@dataclass(frozen=True, slots=True)
class ScaffoldInputs:
    """The developer's answers for the draft."""

    slug: str
    name: str
    description: str
    category: str
    website: str
    docs: str
    api: str
    check_path: str
    auth_types: tuple[AuthType, ...]


def scaffold(basics: ScaffoldInputs, file: str) -> str:
    """Return the YAML of the entry, with a comment about the values that the developer has to replace."""
    entry = {
        "slug": basics.slug,
        "name": basics.name,
        "description": basics.description,
        "category": basics.category,
        "website": basics.website,
        "docs": basics.docs,
        "auth": [_auth(basics, auth_type) for auth_type in basics.auth_types],
    }
    text = yaml.safe_dump(entry, sort_keys=False, allow_unicode=True, width=1000)
    return (
        "# A draft. In the provider's documentation, find the place where users find a credential, the pattern of the\n"
        "# credential, and the response to the check (expect, reason, identity). For OAuth, also find the URLs,\n"
        f"# scopes, PKCE, refresh and revocation. Then change `verified`, and run: one-runtime catalog check {file}\n"
        f"{text}"
    )


def _auth(basics: ScaffoldInputs, auth_type: AuthType) -> dict[str, object]:
    own: dict[AuthType, dict[str, object]] = {
        "api_key": {"fields": [dict(_FIELD)]},
        "basic": {"fields": _field_pair("username", "password")},
        "none": {},
        "oauth2": {
            "client": {"where": "In the provider's developer portal, create an app and copy its client id and secret."},
            "authorization": {"url": f"{basics.api}/oauth/authorize"},
            "scopes": {"default": ["read"]},
            "pkce": "unknown",
            "token": {"url": f"{basics.api}/oauth/token", "auth": "post"},
        },
        "client_credentials": {
            "fields": _field_pair("client_id", "client_secret"),
            "token": {"url": f"{basics.api}/oauth/token", "auth": "post"},
        },
    }
    sent = {"send": {"headers": {"Authorization": "Bearer {api_key}"}}} if auth_type == "api_key" else {}
    check = {"path": basics.check_path, "expect": {"json": [{"path": "id", "exists": True}]}, "reason": "message"}
    rest = {"base_url": basics.api, **sent, "check": check, "identity": {"id": "id"}, "verified": {"how": "unverified"}}
    return {"type": auth_type, **own[auth_type], **rest}


def _field_pair(shown: str, hidden: str) -> list[dict[str, object]]:
    return [{**_field(shown), "secret": False}, _field(hidden)]


def _field(name: str) -> dict[str, object]:
    label = name.replace("_", " ").capitalize()
    return {"name": name, "label": label, "where": f"The {label.lower()} of the account.", "pattern": _TYPED}
