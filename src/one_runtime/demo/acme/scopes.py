"""Define Acme's scopes, with the descriptions that the consent page shows."""

from collections.abc import Mapping
from typing import Final

ACCOUNT_READ: Final = "account:read"
CONTACTS_READ: Final = "contacts:read"
CONTACTS_WRITE: Final = "contacts:write"

SCOPES: Final[Mapping[str, str]] = {
    ACCOUNT_READ: "See which account this is: its name and plan",
    CONTACTS_READ: "Read all contacts",
    CONTACTS_WRITE: "Add, change and delete contacts",
}


def read_scopes(text: str | None) -> tuple[str, ...] | None:
    """Return the scopes of a `scope` parameter (RFC 6749, 3.3) in Acme's order.

    Return None for an unknown scope, and for a parameter without a scope.
    """
    requested = (text or "").split(" ")
    if not set(requested) <= SCOPES.keys():
        return None
    return tuple(scope for scope in SCOPES if scope in requested)
