"""Spans: names, parents, attributes without secrets, export on request only."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import httpx2
import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from starlette.types import Receive, Scope, Send

from one_runtime.context import Installation
from one_runtime.errors import Unavailable
from one_runtime.jobs.worker import PeriodicTask, run
from one_runtime.settings import Settings
from one_runtime.telemetry import tracing
from one_runtime.telemetry.idle_runs import WithoutIdleRuns
from tests.application import ACME_KEYS, Application, Client, RunningAcme
from tests.otlp import attributes, running_receiver
from tests.promises.serving import Serving, make_key, serving
from tests.proxy.relay import relaying
from tests.waiting import eventually

pytestmark = pytest.mark.worker

ROOT: Final = Path(__file__).resolve().parents[2]
TRACE: Final = "0af7651916cd43dd8448eb211c80319c"
CALLER: Final = "b7ad6b7169203331"


class Spans:
    """Finished spans."""

    def __init__(self, exporter: InMemorySpanExporter) -> None:
        self._exporter = exporter

    def all(self) -> tuple[ReadableSpan, ...]:
        return tuple(self._exporter.get_finished_spans())

    def one(self, name: str) -> ReadableSpan:
        (match,) = [span for span in self.all() if span.name == name]
        return match

    def clear(self) -> None:
        self._exporter.clear()


@pytest.fixture
def spans() -> Iterator[Spans]:
    """Record spans in this process."""
    provider, exporter = TracerProvider(shutdown_on_exit=False), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracing.use(provider)
    yield Spans(exporter)
    tracing.use(None)


def parent_of(span: ReadableSpan) -> int | None:
    return span.parent.span_id if span.parent else None


def id_of(span: ReadableSpan) -> int:
    number: int = span.context.span_id
    return number


def span_attributes(span: ReadableSpan) -> dict[str, object]:
    return dict(span.attributes or {})


async def test_request_span_has_its_steps_as_children(spans: Spans, application: Application, client: Client) -> None:
    spans.clear()
    await client.connect()
    request = spans.one("POST /v1/connections")
    check, sent = spans.one("credential check"), spans.one("GET")
    assert request.kind is SpanKind.SERVER
    assert parent_of(request) is None
    assert parent_of(check) == id_of(request)
    assert (parent_of(sent), sent.kind) == (id_of(check), SpanKind.CLIENT)
    transactions = [span for span in spans.all() if span.name == "database transaction"]
    assert id_of(request) in {parent_of(span) for span in transactions}
    assert span_attributes(sent) == {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "one_runtime.integration": "acme",
    }
    assert span_attributes(check) == {"one_runtime.integration": "acme"}
    about = span_attributes(request)
    assert about.pop("one_runtime.request_id")
    assert about.pop("one_runtime.organization_id")
    assert about == {"http.request.method": "POST", "http.route": "/v1/connections", "http.response.status_code": 201}
    assert {span.status.status_code for span in spans.all()} == {StatusCode.UNSET}


async def test_span_names_the_route_and_not_the_address(spans: Spans, client: Client) -> None:
    await client.send("DELETE", "/v1/end-users/canary@example.com")
    await client.get("/canary", query="canary")
    await client.send("CANARY", "/healthz")
    await client.get("/v1/integrations", end_user_id="canary")
    names = {span.name for span in spans.all() if span.kind is SpanKind.SERVER}
    assert names == {"DELETE /v1/end-users/{end_user_id}", "GET", "_OTHER /healthz", "GET /v1/integrations"}
    assert "canary" not in "".join(span.to_json() for span in spans.all()).lower()


async def test_trace_of_the_caller_is_continued(spans: Spans, client: Client) -> None:
    headers = {"traceparent": f"00-{TRACE}-{CALLER}-01"}
    answer = await client.http.get("/healthz", headers=headers)
    span = spans.one("GET /healthz")
    assert f"{span.context.trace_id:032x}" == TRACE
    assert f"{parent_of(span):016x}" == CALLER
    assert answer.headers["request-id"] == span_attributes(span)["one_runtime.request_id"] != TRACE, (
        "the caller does not choose the request id"
    )


@pytest.mark.parametrize("header", ["", "canary", f"00-{'0' * 32}-{CALLER}-01", f"ff-{TRACE}-{CALLER}-01", "x" * 5000])
async def test_invalid_traceparent_starts_a_new_trace(spans: Spans, client: Client, header: str) -> None:
    assert (await client.http.get("/healthz", headers={"traceparent": header})).status_code == 200
    assert parent_of(spans.one("GET /healthz")) is None


async def test_providers_receive_no_traceparent(spans: Spans, client: Client, acme: RunningAcme) -> None:
    received: list[dict[str, str]] = []
    app = acme.acme.app

    async def capture_headers(scope: Scope, receive: Receive, send: Send) -> None:
        received.append({name.decode(): value.decode() for name, value in scope["headers"]})
        await app(scope, receive, send)

    acme.acme.app = capture_headers  # type: ignore[assignment]
    await client.connect()
    assert not [headers for headers in received if "traceparent" in headers]


async def test_proxy_call_continues_the_trace_and_forwards_it_on_request_only(
    spans: Spans, settings: Settings, acme: RunningAcme
) -> None:
    trace = {"traceparent": f"00-{TRACE}-{CALLER}-01", "tracestate": "vendor=1", "baggage": "end_user=ada"}
    headers = [f"{name}: {value}" for name, value in trace.items()]
    async with relaying(settings, acme) as relay:
        spans.clear()
        assert (await relay.call("GET", "/canary?canary=canary", *headers)).status == 200
        request, sent = spans.one("GET /v1/proxy/{integration_slug}/{path}"), spans.one("GET")
        assert (f"{request.context.trace_id:032x}", f"{parent_of(request):016x}") == (TRACE, CALLER)
        assert (parent_of(sent), sent.context.trace_id) == (id_of(request), request.context.trace_id)
        assert span_attributes(sent) == {
            "http.request.method": "GET",
            "http.response.status_code": 200,
            "one_runtime.integration": "raw",
        }
        assert "canary" not in "".join(span.to_json() for span in spans.all())
        assert [relay.last.named(name.encode()) for name in trace] == [[], [], []]
        await relay.call("GET", "/x", "One-Runtime-Trace: pass", *headers)
        assert [relay.last.named(name.encode()) for name in trace] == [[value.encode()] for value in trace.values()]


@pytest.mark.promise("P11")
async def test_failed_span_has_an_error_code_and_no_message(
    spans: Spans, application: Application, client: Client, acme: RunningAcme
) -> None:
    spans.clear()
    acme.acme.fail_with(503)
    body = {"integration_slug": "acme", "end_user_id": "user_123", "auth_type": "api_key"}
    answer = await client.post("/v1/connections", {**body, "credentials": {"api_key": next(iter(ACME_KEYS.values()))}})
    assert answer.status_code == 502
    failed = {
        span.name: span_attributes(span)["error.type"] for span in spans.all() if "error.type" in span_attributes(span)
    }
    assert {span.name for span in spans.all() if span.status.status_code is StatusCode.ERROR} == failed.keys()
    assert failed == {"GET": "503", "credential check": "provider_unavailable", "POST /v1/connections": "502"}
    with pytest.raises(ValueError, match="canary"), tracing.span("a block"):
        raise ValueError("canary")
    assert span_attributes(spans.one("a block")) == {"error.type": "ValueError"}
    for span in spans.all():
        assert (span.events, span.status.description) == ((), None), span.name
        assert "canary" not in span.to_json()


async def test_periodic_task_is_a_span(spans: Spans, application: Application) -> None:
    async def work(_: Installation) -> int:
        raise Unavailable("canary")

    loop = asyncio.ensure_future(run(application.installation, (PeriodicTask("made_up", 3600.0, work),)))
    await eventually(lambda: [span for span in spans.all() if span.name == "worker task made_up"])
    loop.cancel()
    assert span_attributes(spans.one("worker task made_up")) == {"error.type": "unavailable"}


@pytest.mark.parametrize(
    "rows, fails, requests, exported",
    [(0, False, False, 0), (1, False, False, 2), (0, True, False, 2), (0, False, True, 3)],
)
async def test_spans_of_idle_runs_are_not_exported(rows: int, fails: bool, requests: bool, exported: int) -> None:
    async def work(_: None) -> int:
        with tracing.span("database transaction"):
            pass
        if requests:
            with tracing.outbound("POST", "acme"):
                pass
        if fails:
            raise Unavailable("not now")
        return rows

    provider, exporter = TracerProvider(shutdown_on_exit=False), InMemorySpanExporter()
    provider.add_span_processor(WithoutIdleRuns(SimpleSpanProcessor(exporter)))
    tracing.use(provider)
    try:
        ended = asyncio.Event()

        async def work_once(_: None) -> int:
            ended.set()
            return await work(None)

        loop = asyncio.ensure_future(run(None, (PeriodicTask("made_up", 3600.0, work_once),)))
        await ended.wait()
        with tracing.span("another span"):
            pass
        loop.cancel()
    finally:
        tracing.use(None)
    names = [span.name for span in exporter.get_finished_spans()]
    assert len(names) == exported + 1, names
    assert "another span" in names


def test_no_span_is_created_without_an_exporter() -> None:
    assert not tracing.active()
    assert tracing.request_span("GET", []) is None
    with tracing.span("nothing") as span, tracing.outbound("GET", "hubspot") as other:
        assert span is other is None


def set_up(environment: Mapping[str, str], *, extra: bool = True) -> tuple[bool, list[dict[str, str]]]:
    """Configure tracing in a new process. Return whether tracing is active, and the log lines."""
    program = f"""
import sys
if not {extra}:
    sys.modules["opentelemetry.sdk.trace"] = None
from one_runtime.telemetry import exporting, logs, tracing
logs.configure("debug", "json")
exporting.set_up()
print(tracing.active())
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": os.environ.get("PYTHONPATH", ""), **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip() == "True", [json.loads(line) for line in done.stderr.splitlines()]


@pytest.mark.slow
def test_tracing_requires_an_endpoint_and_no_opt_out() -> None:
    endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}
    assert set_up({}) == (False, [])
    assert set_up({"OTEL_SERVICE_NAME": "mine"}) == (False, [])
    assert set_up(endpoint | {"OTEL_SDK_DISABLED": "true"}) == (False, [])
    assert set_up(endpoint | {"OTEL_TRACES_EXPORTER": "none"}) == (False, [])
    assert set_up(endpoint) == (True, [])
    assert set_up({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:1/v1/traces"}) == (True, [])


@pytest.mark.slow
def test_endpoint_without_the_extra_logs_a_warning_with_advice() -> None:
    active, (line,) = set_up({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, extra=False)
    assert not active
    assert (line["level"], line["event"]) == ("warning", "tracing_unavailable")
    assert "one-runtime[otlp]" in line["detail"]


@pytest.mark.slow
@pytest.mark.only_database("sqlite")
async def test_server_exports_its_spans_until_it_stops(database_url: str, tmp_path: Path) -> None:
    key = await make_key(database_url)
    async with running_receiver() as receiver:
        settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, "OTEL_RESOURCE_ATTRIBUTES": "deployment.name=blue"}
        async with serving(Serving(database_url, settings=settings), tmp_path) as served, httpx2.AsyncClient() as http:
            address = f"{served.url}/v1/integrations?end_user_id=user_123"
            listed = await http.get(address, headers={"authorization": f"Bearer {key}"})
        (span,) = receiver.named("GET /v1/integrations")
    assert attributes(span)["one_runtime.request_id"] == listed.headers["request-id"]
    assert receiver.resource["service.name"] == "one-runtime"
    assert receiver.resource["deployment.name"] == "blue"
    assert attributes(receiver.named("worker task heartbeat")[0])["one_runtime.rows"] == 1
    assert not receiver.named("worker task purge_events"), "the run was idle"
