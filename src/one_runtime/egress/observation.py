"""What is told of an outbound request: a count, its time, a span. Never where it went: hosts may be users' own."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from time import perf_counter
from typing import Final

from one_runtime.errors import OneRuntimeError
from one_runtime.telemetry import metrics, tracing

_integration: Final[ContextVar[str]] = ContextVar("one_runtime_egress_integration", default="")


class Seen:
    """What became of a request; the status is 0 until there is an answer."""

    status: int = 0


@contextmanager
def on_behalf_of(slug: str) -> Iterator[None]:
    """Requests inside of the block are this integration's."""
    before = _integration.set(metrics.integration_label(slug))
    try:
        yield
    finally:
        _integration.reset(before)


@contextmanager
def observed(method: str) -> Iterator[Seen]:
    """Count and time the request inside of the block, with its redirects."""
    integration, begun, seen = _integration.get(), perf_counter(), Seen()
    outcome = metrics.OTHER
    try:
        with tracing.outbound(method, integration) as span:
            yield seen
            outcome = f"{seen.status // 100}xx"
            if span is not None:
                tracing.answered(span, seen.status)
    except OneRuntimeError as error:
        outcome = error.code
        raise
    finally:
        metrics.egress_requests.labels(integration, outcome).inc()
        metrics.egress_duration.labels(integration).observe(perf_counter() - begun)
