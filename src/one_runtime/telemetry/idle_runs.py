"""Export no spans of background tasks that had nothing to do. Most runs are idle, and several tasks run every second.

This module needs the extra `otlp`.
"""

from typing import Final

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.trace import StatusCode

from one_runtime.telemetry.tracing import CLIENT, ROWS, WORKER_TASK

_MOST_SPANS: Final = 256
"""Maximum number of spans that wait for the end of their run. A run with more spans is not idle."""


class WithoutIdleRuns(SpanProcessor):
    """Passes ended spans to another processor, except for the spans of idle runs.

    The spans of a run wait until the run ends. A run is idle if it handled no row, sent no request and did not fail.
    """

    def __init__(self, following: SpanProcessor) -> None:
        self._following = following
        self._waiting: dict[int, list[ReadableSpan]] = {}
        """The ended spans of each running task, by trace id."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        self._following.on_start(span, parent_context)
        if span.parent is None and span.name.startswith(WORKER_TASK):
            self._waiting[span.get_span_context().trace_id] = []

    def on_end(self, span: ReadableSpan) -> None:
        trace_id = span.context.trace_id
        waiting = self._waiting.get(trace_id)
        if waiting is None:
            self._following.on_end(span)
            return
        waiting.append(span)
        if span.parent is None or len(waiting) > _MOST_SPANS:
            del self._waiting[trace_id]
            if span.parent is not None or not _is_idle(span, waiting):
                for ended in waiting:
                    self._following.on_end(ended)

    def shutdown(self) -> None:
        self._following.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._following.force_flush(timeout_millis)


def _is_idle(run: ReadableSpan, spans: list[ReadableSpan]) -> bool:
    handled = (run.attributes or {}).get(ROWS)
    failed = run.status.status_code is StatusCode.ERROR
    return handled == 0 and not failed and not any(span.kind is CLIENT for span in spans)
