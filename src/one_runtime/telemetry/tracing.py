"""Record OpenTelemetry spans with names and durations, but without contents (promise P11 of docs/security.md).

If OpenTelemetry is not set up, One Runtime records no spans. Only this folder imports OpenTelemetry. No span contains
an exception's message, an IP address, a host or a query. For an error, it contains only the code of the error or the
name of the exception class.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Final, TypeAlias

from opentelemetry import context, trace
from opentelemetry.context import Context
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    Tracer,
    TracerProvider,
)

from one_runtime import __version__
from one_runtime.errors import OneRuntimeError

Attributes: TypeAlias = Mapping[str, str | int]
Headers: TypeAlias = Sequence[tuple[bytes, bytes]]

CLIENT: Final = SpanKind.CLIENT
INTERNAL: Final = SpanKind.INTERNAL
WORKER_TASK: Final = "worker task"
"""Start of the name of the span of a run of a background task."""
ROWS: Final = "one_runtime.rows"

_NAME: Final = "one_runtime"
_INTEGRATION: Final = "one_runtime.integration"
_NOTHING: Final = nullcontext()
_TRACEPARENT: Final = re.compile(rb"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")


class _State:
    """Tracer of this process. `tracer` is None if this process records no spans."""

    tracer: Tracer | None = None
    provider: Any = None
    """Tracer provider for `flush`. None if One Runtime did not set up OpenTelemetry itself."""


def use(provider: TracerProvider | None, *, must_flush: bool = False) -> None:
    """Record all later spans with a tracer of this provider. With None, stop recording spans.

    `must_flush`: True if One Runtime made the provider, so `flush` sends its pending spans.
    """
    _State.tracer = provider.get_tracer(_NAME, __version__) if provider else None
    if must_flush:
        _State.provider = provider


def active() -> bool:
    """Return True if this process records spans."""
    return _State.tracer is not None


def flush() -> None:
    """Send pending spans. The function can take 5 seconds, so do not call this function on the event loop."""
    if _State.provider is not None:
        _State.provider.force_flush(5000)


def span(
    name: str, kind: SpanKind = INTERNAL, attributes: Attributes | None = None
) -> AbstractContextManager[Span | None]:
    """Record a span around a block, as a child of the current span."""
    if _State.tracer is None:
        return _NOTHING
    return _span(_State.tracer, name, kind, attributes or {})


def outbound(method: str, integration: str) -> AbstractContextManager[Span | None]:
    """Record a span around a request to a provider. The function adds no trace header to the request."""
    attributes = {"http.request.method": method.upper()}
    return span(method.upper(), CLIENT, attributes | ({_INTEGRATION: integration} if integration else {}))


def answered(current: Span, status: int) -> None:
    """Set the status of the provider's response on a span.

    A status of 400 or above marks the span as failed (OpenTelemetry convention).
    """
    current.set_attribute("http.response.status_code", status)
    if status >= 400:
        fail(current, str(status))


def credential_check(slug: str) -> AbstractContextManager[Span | None]:
    """Record a span around a credential check."""
    return span("credential check", attributes={_INTEGRATION: slug})


def worker_task(name: str) -> AbstractContextManager[Span | None]:
    """Record a span around a run of background work."""
    return span(f"{WORKER_TASK} {name}")


def set_rows(run: Span | None, rows: int) -> None:
    """Record the number of rows that a run of background work handled."""
    if run is not None:
        run.set_attribute(ROWS, rows)


@contextmanager
def _span(tracer: Tracer, name: str, kind: SpanKind, attributes: Attributes) -> Iterator[Span]:
    with tracer.start_as_current_span(
        name, kind=kind, attributes=attributes, record_exception=False, set_status_on_exception=False
    ) as current:
        try:
            yield current
        except BaseException as error:
            fail(current, error.code if isinstance(error, OneRuntimeError) else type(error).__name__)
            raise


def fail(failed: Span, kind: str) -> None:
    """Mark a span as failed. A description or an exception would add a message to the span (promise P11)."""
    failed.set_attribute("error.type", kind)
    failed.set_status(StatusCode.ERROR)


class RequestSpan:
    """Span of a request. With the header `traceparent`, the span is a child of the caller's span."""

    def __init__(self, tracer: Tracer, method: str, headers: Headers) -> None:
        caller = _caller(headers)
        parent = trace.set_span_in_context(NonRecordingSpan(caller), Context()) if caller else Context()
        self._span = tracer.start_span(
            method, parent, SpanKind.SERVER, {"http.request.method": method}, record_exception=False
        )
        self._token = context.attach(trace.set_span_in_context(self._span))

    def end(self, name: str, status: int, attributes: Attributes) -> None:
        """End the span with the status of the response."""
        self._span.update_name(name)
        self._span.set_attributes(attributes)
        if status:
            self._span.set_attribute("http.response.status_code", status)
        if status >= 500 or not status:
            fail(self._span, str(status) if status else "cancelled")
        self._span.end()
        context.detach(self._token)


def request_span(method: str, headers: Headers) -> RequestSpan | None:
    """Start the span of a request. Return None if this process records no spans."""
    return RequestSpan(_State.tracer, method, headers) if _State.tracer else None


def trace_id(headers: Headers) -> str | None:
    """Return the id of the current trace. Without a trace, return the id in the caller's `traceparent`, or None."""
    current = trace.get_current_span().get_span_context()
    context_of_span = current if current.is_valid else _caller(headers)
    return trace.format_trace_id(context_of_span.trace_id) if context_of_span else None


def _caller(headers: Headers) -> SpanContext | None:
    """Parse the caller's `traceparent` (W3C Trace Context). Return None if the header is missing or malformed.

    OpenTelemetry's own parser logs malformed headers, so any caller could fill the log with such headers. One Runtime
    ignores `tracestate`, because One Runtime adds no trace headers to its own requests.
    """
    values = [value for name, value in headers if name == b"traceparent"]
    parts = _TRACEPARENT.fullmatch(values[0]) if len(values) == 1 else None
    if parts is None:
        return None
    trace_number, span_number, flags = (int(part, 16) for part in parts.groups())
    caller = SpanContext(trace_number, span_number, is_remote=True, trace_flags=TraceFlags(flags & 1))
    return caller if caller.is_valid else None
