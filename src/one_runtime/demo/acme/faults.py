"""Acme's faults: failures of a provider on demand."""

from dataclasses import dataclass


@dataclass(slots=True)
class Faults:
    """The active faults. The token endpoint and the API answer with `token_status` and `api_status` instead of doing
    anything; the two `next` faults happen once and reset themselves."""

    api_status: int | None = None
    token_status: int | None = None
    token_delay: float = 0.0
    """Seconds that the token endpoint waits."""
    deny_next_consent: bool = False
    """Deny the next consent, whatever the person presses."""
    refuse_next_refresh: bool = False
    """Answer the next refresh with `invalid_grant`, whatever the token. The grant itself stays."""
