"""Concurrency limit of proxy calls: per organization, and per integration within it (P12)."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from one_runtime.errors import RateLimited


class TooManyCalls(RateLimited):
    """The organization has reached its limit of concurrent proxy calls."""

    code = "too_many_calls"


class CallLimit:
    """Counts the concurrent calls of each organization. One integration gets at most half of them, so that an
    integration that hangs leaves the other half to the rest (docs/decisions/0024-bulkheads.md)."""

    def __init__(self, calls: int) -> None:
        self._calls, self._calls_per_integration = calls, max(1, calls // 2)
        self._counts: Counter[tuple[str, str]] = Counter()

    @contextmanager
    def acquire(self, organization_id: str, integration_slug: str) -> Iterator[None]:
        """Count a call until the block ends. Raises: TooManyCalls."""
        organization, integration = (organization_id, ""), (organization_id, integration_slug)
        if self._counts[organization] >= self._calls:
            raise TooManyCalls(f"Your organization has {self._calls} calls in progress, the limit. Try again later.", 1)
        if self._counts[integration] >= self._calls_per_integration:
            raise TooManyCalls(
                f"Your organization has {self._calls_per_integration} calls to {integration_slug} in progress, the "
                "limit for one integration. Try again later.",
                1,
            )
        self._counts.update((organization, integration))
        try:
            yield
        finally:
            for key in (organization, integration):
                self._counts[key] -= 1
                if not self._counts[key]:
                    del self._counts[key]
