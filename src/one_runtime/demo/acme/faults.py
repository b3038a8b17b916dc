"""Hold the faults that tests and users of the demo can switch on in Acme."""

from dataclasses import dataclass


@dataclass(slots=True)
class Faults:
    """The active faults.

    If `token_status` is set, the token endpoint answers every request with this status. If `api_status` is set, the API
    answers every request with this status. Acme resets `deny_next_consent` and `refuse_next_refresh` after their first
    effect.
    """

    api_status: int | None = None
    api_delay: float = 0.0
    """Seconds that the API waits before each response."""
    token_status: int | None = None
    token_delay: float = 0.0
    """Seconds that the token endpoint waits before each response."""
    deny_next_consent: bool = False
    """Deny the next authorization request, even if the user allows access."""
    raw_basic: bool = False
    """Read the client's id and secret in HTTP Basic without form decoding, unlike RFC 6749, 2.3.1."""
    require_nonce: bool = False
    """Refuse an authorization request without the parameter `nonce`, or with a nonce of an earlier consent."""
    refuse_next_refresh: bool = False
    """Answer the next refresh with `invalid_grant`, even for a valid refresh token. The token stays valid."""
    omit_error_codes: bool = False
    """Send each refusal of the token endpoint with an empty body."""
