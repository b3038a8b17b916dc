"""Define the roles of members in an organization, and the permissions of each role.

The dashboard checks permissions, and the API checks the scopes of API keys. Each page of the dashboard declares the
permission that it needs.
"""

from typing import Final, Literal, NamedTuple, TypeAlias, get_args

from sqlalchemy import bindparam, select

from one_runtime.db.engine import Transaction
from one_runtime.db.schema import memberships

Role: TypeAlias = Literal["support", "developer", "admin", "owner"]
"""Role of a member. Each role has all permissions of the roles before it."""

Permission: TypeAlias = Literal["read", "connect", "identify", "use", "develop", "admin", "own"]
"""Permission of a role:

- `read`: see everything. No role sees credentials and secrets.
- `connect`: create links to connect again, check, refresh and delete connections.
- `identify`: see the e-mail addresses of end users. The setting `dashboard_mask_end_users` can allow it to all roles.
- `use`: call providers through connections.
- `develop`: enable integrations, and change custom integrations, webhook endpoints and API keys with few scopes.
- `admin`: change OAuth clients, settings, members except owners and all API keys, and delete end users.
- `own`: change owners.
"""

ROLES: Final[tuple[Role, ...]] = get_args(Role)
PERMISSIONS: Final[tuple[Permission, ...]] = get_args(Permission)

_LOWEST_ROLE: Final[dict[Permission, Role]] = {
    "read": "support",
    "connect": "support",
    "identify": "developer",
    "use": "developer",
    "develop": "developer",
    "admin": "admin",
    "own": "owner",
}


class _MemberRole(NamedTuple):
    role: Role


_OF_MEMBER = select(memberships.c.role).where(
    memberships.c.organization_id == bindparam("organization"), memberships.c.member_id == bindparam("member")
)


def permits(role: Role, permission: Permission) -> bool:
    """Return True if the role has the permission."""
    return ROLES.index(role) >= ROLES.index(_LOWEST_ROLE[permission])


async def find_role(tx: Transaction, organization_id: str, member_id: str) -> Role | None:
    """Return the role of a member in an organization, or None."""
    row = await tx.one(_OF_MEMBER, _MemberRole, organization=organization_id, member=member_id)
    return None if row is None else row.role
