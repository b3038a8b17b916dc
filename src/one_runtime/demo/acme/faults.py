"""Acme's faults: failures of a provider on demand."""

from dataclasses import dataclass


@dataclass(slots=True)
class Faults:
    """The active faults.

    With `token_status`, the token endpoint only sends this status. With `api_status`, the API only sends this status.
    The two `next` faults happen once and then reset themselves.
    """

    api_status: int | None = None
    token_status: int | None = None
    token_delay: float = 0.0
    """Seconds that the token endpoint waits."""
    deny_next_consent: bool = False
    """Deny the next authorization request, even if the user allows it."""
    refuse_next_refresh: bool = False
    """Answer the next refresh with `invalid_grant`, even for a valid token. The grant itself stays valid."""
