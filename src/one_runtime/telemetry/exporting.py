"""Set up OpenTelemetry at the start of a server, so that it exports the spans of `tracing`."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from opentelemetry import trace

from one_runtime import __version__
from one_runtime.telemetry import tracing
from one_runtime.telemetry.logger import Logger

_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")

log = Logger()


def set_up(environ: Mapping[str, str] = os.environ) -> None:
    """Start recording spans if OpenTelemetry is set up, or if an environment variable names an endpoint.

    OpenTelemetry itself reads the `OTEL_…` variables. Clusters often set these variables for every service. So the
    function only logs a warning if the extra `otlp` is not installed.
    """
    if not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        tracing.use(trace.get_tracer_provider())
    elif _is_wanted(environ):
        provider = _exporting(environ)
        if provider is not None:
            tracing.use(provider, must_flush=True)


@contextmanager
def command(name: str) -> Iterator[None]:
    """Record a span around a command, and send the span before the command ends."""
    set_up()
    try:
        with tracing.span(name):
            yield
    finally:
        tracing.flush()


def _is_wanted(environ: Mapping[str, str]) -> bool:
    off = environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or environ.get("OTEL_TRACES_EXPORTER") == "none"
    return not off and any(environ.get(name) for name in _ENDPOINTS)


def _exporting(environ: Mapping[str, str]) -> Any:
    """Return a tracer provider that exports spans. Return None without the extra `otlp`."""
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - the extra
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider as Exporting  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

        from one_runtime.telemetry.idle_runs import WithoutIdleRuns  # noqa: PLC0415
    except ImportError:
        log.warning(
            "tracing_unavailable",
            detail="OTEL_EXPORTER_OTLP_ENDPOINT is set, but the exporter of spans is not installed. "
            "Install one-runtime[otlp], or set OTEL_SDK_DISABLED=true.",
        )
        return None
    named = environ.get("OTEL_SERVICE_NAME") or "service.name=" in environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    attributes = {"service.version": __version__} | ({} if named else {"service.name": "one-runtime"})
    provider = Exporting(resource=Resource.create(attributes))
    provider.add_span_processor(WithoutIdleRuns(BatchSpanProcessor(OTLPSpanExporter())))
    return provider
