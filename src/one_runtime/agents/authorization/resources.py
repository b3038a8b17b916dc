"""Define the addresses of the MCP endpoint. Each address is a resource of OAuth (RFC 8707), and names an organization.

`/v1/mcp/{organization_id}` belongs to the organization. `/v1/mcp` belongs to the organization that the operator has
chosen with the setting `mcp_organization`.
"""

from typing import Final

from one_runtime.db.engine import Transaction
from one_runtime.db.ids import is_id
from one_runtime.errors import NotFound
from one_runtime.settings import Settings
from one_runtime.tenancy import organizations
from one_runtime.tenancy.agent_policy import Access
from one_runtime.tenancy.organizations import Organization

PATH: Final = "/v1/mcp"
METADATA_PATH: Final = f"/.well-known/oauth-protected-resource{PATH}"
"""Beginning of the addresses of the metadata of a protected resource (RFC 9728 section 3.1)."""

READ_SCOPE: Final = "agent:read"
WRITE_SCOPE: Final = "agent:write"
SCOPES: Final = (READ_SCOPE, WRITE_SCOPE)


def scopes_of(access: Access) -> str:
    """Return the scopes of an access, separated by spaces. With `ask`, a client can write after an approval."""
    return READ_SCOPE if access == "read" else " ".join(SCOPES)


def address_of(settings: Settings, organization_id: str) -> str:
    """Return the address of the MCP endpoint of an organization."""
    suffix = "" if settings.mcp_organization == organization_id else f"/{organization_id}"
    return f"{settings.public_url}{PATH}{suffix}"


def suffix_of(path: str) -> str:
    """Return the organization's part of the path of a request: an empty text, or a slash and an id.

    Raises: NotFound.
    """
    suffix = path.removeprefix(PATH)
    if suffix and not is_id(suffix.removeprefix("/")):
        raise NotFound(f"The address of the MCP server is {PATH}, or {PATH}/ with the id of an organization.")
    return suffix


def organization_of(settings: Settings, resource: str) -> str | None:
    """Return the id of the organization to which a resource belongs, or None. `resource`: a URL."""
    address = f"{settings.public_url}{PATH}"
    path = resource.removesuffix("/")
    if path == address:
        return settings.mcp_organization or None
    identifier = path.removeprefix(f"{address}/")
    return identifier if identifier != path and is_id(identifier) else None


async def find_organization(tx: Transaction, settings: Settings, resource: str) -> Organization | None:
    """Return the organization of a resource. Return None if its end users cannot sign in."""
    organization_id = organization_of(settings, resource)
    if organization_id is None:
        return None
    try:
        organization = await organizations.get(tx, organization_id)
    except NotFound:
        return None
    return organization if organization.agents.sign_in_url is not None else None
