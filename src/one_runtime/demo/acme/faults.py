"""Acme's switches: what a provider does on a bad day, to be had on demand."""

from typing import Final

from one_runtime.demo.acme.grants import Grants

SLOW_SECONDS: Final = 5.0


class Faults:
    """Faults to simulate. `token_delay`: seconds that the token endpoint waits; `token_status`: what it answers
    instead; the other two happen once."""

    def __init__(self, grants: Grants) -> None:
        self._grants = grants
        self.token_delay = 0.0
        self.token_status: int | None = None
        self.consent_denied_next = False
        self.refresh_refused_next = False

    def deny_next_consent(self, *, on: bool = True) -> None:
        """Whatever is pressed on the next consent page, it is a no."""
        self.consent_denied_next = on

    def slow_tokens(self, seconds: float = SLOW_SECONDS) -> None:
        """Have the token endpoint wait before it does anything; 0 for no more."""
        self.token_delay = seconds

    def fail_tokens(self, status: int | None = 500) -> None:
        """Have the token endpoint answer this status and do nothing, until called with None."""
        self.token_status = status

    def refuse_next_refresh(self, *, on: bool = True) -> None:
        """Answer the next refresh with `invalid_grant`, whatever the token. The grant itself stays."""
        self.refresh_refused_next = on

    def revoke_tokens(self, account_id: str) -> int:
        """End every grant of an account, as its administrator does in Acme's settings; how many there were."""
        return self._grants.revoke_account(account_id)

    def take_denial(self) -> bool:
        """Return true if this authorization is to be denied."""
        due, self.consent_denied_next = self.consent_denied_next, False
        return due

    def take_refusal(self) -> bool:
        """Return true if this refresh is to be refused."""
        due, self.refresh_refused_next = self.refresh_refused_next, False
        return due
