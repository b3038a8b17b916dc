"""Limit the number of concurrent requests and programs of agents in this process (promise P12 of docs/security.md)."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from one_runtime.agents.caller import AgentCaller
from one_runtime.proxy.concurrency import TooManyCalls


class ConcurrencyLimit:
    """Counts what agents do at the same time. `what`: the counted things in the plural, for the error."""

    def __init__(self, what: str, of_agent: int, of_organization: int) -> None:
        """Set the limits for one token, or one API key with one of its end users, and for one organization."""
        self._what, self._of_agent, self._of_organization = what, of_agent, of_organization
        self._counts: Counter[str] = Counter()

    @contextmanager
    def admit(self, caller: AgentCaller) -> Iterator[None]:
        """Count one thing while the `with` block runs. Raises: TooManyCalls."""
        agent = f"agent {caller.actor.id} {caller.end_user_id}"  # all end users can share one API key
        limits = {agent: self._of_agent, caller.organization_id: self._of_organization}
        for key, limit in limits.items():
            if self._counts[key] >= limit:
                owner = "Your organization" if key == caller.organization_id else "This agent"
                raise TooManyCalls(
                    f"{owner} has {limit} {self._what} in progress, which is the limit. Try again later.", 1
                )
        self._counts.update(limits.keys())
        try:
            yield
        finally:
            self._counts.subtract(limits.keys())
            for key in limits:
                if not self._counts[key]:
                    del self._counts[key]
