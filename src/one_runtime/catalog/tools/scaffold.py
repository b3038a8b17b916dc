"""Generate a first draft of a catalog entry from a developer's answers."""

from dataclasses import dataclass

import yaml

from one_runtime.catalog.auth_types import AUTH_TYPES, AuthType


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
    own = AUTH_TYPES[auth_type].draft(basics.api)
    check = {"path": basics.check_path, "expect": {"json": [{"path": "id", "exists": True}]}, "reason": "message"}
    rest = {"base_url": basics.api, "check": check, "identity": {"id": "id"}, "verified": {"how": "unverified"}}
    return {"type": auth_type, **own, **rest}
