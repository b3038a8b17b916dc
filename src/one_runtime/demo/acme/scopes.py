"""Acme's scopes: what an app may be allowed to do, and how a person reads it."""

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
"""Every scope with its meaning, in the order of the consent page."""


def read_scopes(text: str | None) -> tuple[str, ...] | None:
    """The scopes of a `scope` parameter (RFC 6749, 3.3), in our order; None where one is unknown, or there is none."""
    wanted = (text or "").split(" ")
    if not set(wanted) <= SCOPES.keys():
        return None
    return tuple(scope for scope in SCOPES if scope in wanted)
