"""Limit the number of concurrent proxy calls of an organization (promise P12 of docs/security.md).

Also log each accepted call. A proxy call is a request to a provider with an end user's credential.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from time import perf_counter

from one_runtime.clock import Clock
from one_runtime.connections.connections import Connection
from one_runtime.db.ids import new_id
from one_runtime.egress.errors import UpstreamTooLarge
from one_runtime.errors import OneRuntimeError, RateLimited
from one_runtime.proxy.request_log import MAX_PATH, LoggedRequest, RequestLog


class TooManyCalls(RateLimited):
    """The organization has reached its limit of concurrent proxy calls, in total or to one integration."""

    code = "too_many_calls"
    documentation = (
        "Your organization has too many concurrent proxy calls, in total or to one integration.",
        "Try again later.",
    )


@dataclass(slots=True)
class CallRecord:
    """Progress of one call. Sizes are in bytes.

    `status`: 0 until there is a response. `max_bytes`: maximum size of the request body and of the response body.
    The caller is `api_key_id`, `end_user_token_id`, or `member_id` for a call in the dashboard. The others are None.
    `run_id`: the run of an agent's program, or None.
    """

    connection: Connection
    api_key_id: str | None
    method: str
    path: str
    request_id: str
    started: float = field(default_factory=perf_counter)
    status: int = 0
    error: str | None = None
    attempts: int = 0
    upstream_seconds: float | None = None
    request_bytes: int = 0
    response_bytes: int = 0
    max_bytes: int = 1 << 62
    end_user_token_id: str | None = None
    member_id: str | None = None
    run_id: str | None = None

    def count_response(self, size: int) -> None:
        """Count bytes of the response body. Raises: UpstreamTooLarge for more than `max_bytes`."""
        self.response_bytes += size
        if self.response_bytes > self.max_bytes:
            raise UpstreamTooLarge(f"The response is larger than the {self.max_bytes} bytes that the operator allows.")

    def fail(self, code: str, status: int) -> None:
        """Record One Runtime's own error. If the response has started, keep the response's status."""
        self.error, self.status = code, self.status or status

    def entry(self, now: datetime) -> LoggedRequest:
        """Return the entry for the request log."""
        upstream = self.upstream_seconds
        return LoggedRequest(
            id=new_id(),
            organization_id=self.connection.organization_id,
            at=now,
            end_user_id=self.connection.end_user_id,
            connection_id=self.connection.id,
            integration_slug=self.connection.integration_slug,
            method=self.method,
            path=self.path[:MAX_PATH],
            status=self.status,
            error=self.error,
            attempts=self.attempts,
            request_bytes=self.request_bytes,
            response_bytes=self.response_bytes,
            duration_ms=round((perf_counter() - self.started) * 1000),
            upstream_ms=None if upstream is None else round(upstream * 1000),
            api_key_id=self.api_key_id,
            request_id=self.request_id,
            end_user_token_id=self.end_user_token_id,
            member_id=self.member_id,
            run_id=self.run_id,
        )


class ProxyCalls:
    """Limits the number of calls in progress, and logs each accepted call at its end.

    The calls to one integration can use at most half of an organization's limit. So a hanging provider cannot block the
    calls to other integrations (docs/decisions/0024-bulkheads.md). With a limit of 1, each integration can use the one
    call.
    """

    def __init__(self, limit: int, request_log: RequestLog, clock: Clock) -> None:
        """`limit`: maximum number of concurrent calls of an organization."""
        self._limit, self._limit_per_integration = limit, max(1, limit // 2)
        self._counts: Counter[tuple[str, str]] = Counter()
        self._request_log, self._clock = request_log, clock

    @contextmanager
    def track(self, record: CallRecord) -> Iterator[None]:
        """Count a call while the `with` block runs, and log the call at the end. Raises: TooManyCalls."""
        organization_id, slug = record.connection.organization_id, record.connection.integration_slug
        counted = of_organization, of_integration = (organization_id, ""), (organization_id, slug)
        if self._counts[of_organization] >= self._limit:
            raise TooManyCalls(
                f"Your organization has reached its limit of {self._limit} calls in progress. Try again later.", 1
            )
        if self._counts[of_integration] >= self._limit_per_integration:
            raise TooManyCalls(
                f"Your organization has reached its limit of {self._limit_per_integration} calls in progress to one "
                f"integration, {slug}. Try again later.",
                1,
            )
        for key in counted:
            self._counts[key] += 1
        try:
            yield
        except OneRuntimeError as error:
            record.fail(error.code, error.status)
            raise
        except Exception:
            record.fail("internal_error", 500)
            raise
        finally:
            for key in counted:
                self._counts[key] -= 1
                if not self._counts[key]:
                    del self._counts[key]
            self._request_log.note(record.entry(self._clock()))
