"""Record metrics and a trace span for each outbound request.

The metrics and the span omit the host, because a host can identify an end user. For a refused target, a log line names
the host, because only the operator can allow the target.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from time import perf_counter
from typing import Final

from one_runtime.egress.errors import TargetRefused
from one_runtime.errors import OneRuntimeError
from one_runtime.telemetry import metrics, tracing
from one_runtime.telemetry.logger import Logger

log = Logger()

# The look-up of labels is slow.
_requests: Final = lru_cache(maxsize=4096)(metrics.egress_requests.labels)
_duration: Final = lru_cache(maxsize=1024)(metrics.egress_duration.labels)


class Observed:
    """The HTTP status of a response, or 0 until the response arrives."""

    status: int = 0


@contextmanager
def observed(method: str, slug: str) -> Iterator[Observed]:
    """Measure the request inside the `with` block, including its redirects. `slug`: the integration, or empty."""
    begun, request = perf_counter(), Observed()
    integration, outcome = metrics.integration_label(slug), metrics.OTHER
    try:
        with tracing.outbound(method, integration) as span:
            yield request
            outcome = f"{request.status // 100}xx"
            if span is not None:
                tracing.answered(span, request.status)
    except OneRuntimeError as error:
        outcome = error.code
        if isinstance(error, TargetRefused):
            log.warning("target_refused", integration=slug, cause=error.cause)
        raise
    finally:
        _requests(integration, outcome).inc()
        _duration(integration).observe(perf_counter() - begun)
