"""Acme's faults: failures of a provider on demand."""

from typing import Final

from one_runtime.demo.acme.grants import Grants

SLOW_SECONDS: Final = 5.0


class Faults:
    """The active faults. `token_delay`: seconds that the token endpoint waits; `token_status`: its answer instead of
    tokens. The other two faults happen once."""

    def __init__(self, grants: Grants) -> None:
        self._grants = grants
        self.token_delay = 0.0
        self.token_status: int | None = None
        self.consent_denied_next = False
        self.refresh_refused_next = False

    def deny_next_consent(self, *, on: bool = True) -> None:
        """Deny the next consent, whatever the person presses."""
        self.consent_denied_next = on

    def slow_tokens(self, seconds: float = SLOW_SECONDS) -> None:
        """Delay the token endpoint; 0 ends the delay."""
        self.token_delay = seconds

    def fail_tokens(self, status: int | None = 500) -> None:
        """Answer the token endpoint with this status and do nothing, until called with None."""
        self.token_status = status

    def refuse_next_refresh(self, *, on: bool = True) -> None:
        """Answer the next refresh with `invalid_grant`, whatever the token. The grant itself stays."""
        self.refresh_refused_next = on

    def revoke_tokens(self, account_id: str) -> int:
        """Revoke every grant of an account, as an administrator does at Acme. Return their number."""
        return self._grants.revoke_account(account_id)

    def take_denial(self) -> bool:
        """Return whether to deny this consent, and reset the fault."""
        due, self.consent_denied_next = self.consent_denied_next, False
        return due

    def take_refusal(self) -> bool:
        """Return whether to refuse this refresh, and reset the fault."""
        due, self.refresh_refused_next = self.refresh_refused_next, False
        return due
