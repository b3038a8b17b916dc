"""The log: JSON lines with the request id, failed and slow requests, no text of callers or providers."""

import io
import json
import logging
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Final

import pytest
from starlette.applications import Starlette
from starlette.types import Message

from one_runtime.errors import NotFound
from one_runtime.serving.application import create_app
from one_runtime.telemetry import logger, logs
from one_runtime.telemetry.logger import Logger
from tests.application import Application, Client, RunningAcme, settings_for, started

pytestmark = pytest.mark.worker

CANARY: Final = "canary_0123456789"
TRACE: Final = "0af7651916cd43dd8448eb211c80319c"

log = Logger()


class Log:
    """Log lines of a test."""

    def __init__(self, stream: io.StringIO) -> None:
        self._stream = stream

    def lines(self, event: str | None = None) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self._stream.getvalue().splitlines()]
        return [line for line in lines if event in {None, line["event"]}]

    def one(self, event: str) -> dict[str, Any]:
        (line,) = self.lines(event)
        return line


def forget_cached_loggers() -> None:
    """Have the loggers read the configuration again, which structlog caches at the first line.

    A command that ran in this process may have set another level.
    """
    logger._structlog.cache_clear()


@pytest.fixture
def logged() -> Iterator[Log]:
    """Capture the log as `serve` configures it, at level debug."""
    root, stream = logging.getLogger(), io.StringIO()
    level = root.level
    forget_cached_loggers()
    logs.configure("debug", "json")
    (ours,) = root.handlers
    assert isinstance(ours, logging.StreamHandler)
    ours.setStream(stream)
    yield Log(stream)
    root.removeHandler(ours)
    root.setLevel(level)
    logs.configure("info", "json")  # as an application does; a later `capture_logs` restores this configuration


async def test_every_line_of_a_request_has_its_id_and_trace(
    application: Application, client: Client, logged: Log
) -> None:
    installation = application.app.services.installation
    application.replace_services(installation=replace(installation, catalog=None))  # type: ignore[arg-type] # a fault
    headers = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
    answer = await client.http.get("/v1/catalog/integrations/canary", headers=headers)
    lines = [logged.one("request_crashed"), logged.one("request")]
    assert {line["request_id"] for line in lines} == {answer.headers["request-id"]}
    assert {line["trace_id"] for line in lines} == {TRACE}
    assert lines[0]["route"] == lines[1]["route"] == "/v1/catalog/integrations/{slug}"
    assert lines[1]["code"] == "internal_error"
    assert "Traceback" in lines[0]["exception"]
    assert "canary" not in str(lines)


async def test_only_failed_requests_are_logged_by_default(client: Client, acme: RunningAcme, logged: Log) -> None:
    acme.acme.fail_with(503)
    await client.get("/healthz")
    assert (await client.get("/v1/connections/0")).status_code == 404
    body = {"integration_slug": "acme", "end_user_id": "canary", "auth_type": "api_key"}
    answer = await client.post("/v1/connections", {**body, "credentials": {"api_key": "acme_globex0123456789"}})
    line = logged.one("request")
    assert (line["level"], line["status"], line["method"]) == ("error", 502, "POST")
    assert (line["route"], line["request_id"]) == ("/v1/connections", answer.headers["request-id"])
    assert line["code"] == answer.json()["code"] == "provider_unavailable"
    assert line["organization_id"]
    assert line["duration_ms"] > 0


async def test_slow_request_is_logged(application: Application, client: Client, logged: Log) -> None:
    application.app.observer.slow = 0.0
    await client.get("/healthz")
    line = logged.one("request")
    assert (line["level"], line["route"], line["status"]) == ("warning", "/healthz", 200)


async def test_request_that_waits_for_events_is_not_slow(application: Application, client: Client, logged: Log) -> None:
    endpoint = (await client.post("/v1/webhook-endpoints", {"kind": "pull", "event_types": ["*"]})).json()
    application.app.observer.slow = 0.0
    await client.connect()
    await client.get(f"/v1/webhook-endpoints/{endpoint['id']}/pending", wait_seconds=30)
    await client.get("/healthz")
    assert [line["route"] for line in logged.lines("request")] == ["/v1/connections", "/healthz"]


async def test_access_log_has_every_request_without_its_address(
    database_url: str, acme: RunningAcme, logged: Log
) -> None:
    async with started(settings_for(database_url, acme, access_log="all"), acme) as application:
        client = application.client(await application.key(organization := await application.organization()))
        await client.get("/v1/integrations", end_user_id="canary")
        await client.send("DELETE", "/v1/end-users/canary")
        await client.get("/canary")
        await client.send("CANARY", "/healthz")
    lines = logged.lines("request")
    assert [(line["method"], line["route"], line["status"], line["organization_id"]) for line in lines] == [
        ("GET", "/v1/integrations", 200, organization),
        ("DELETE", "/v1/end-users/{end_user_id}", 404, organization),
        ("GET", "unmatched", 404, None),
        ("_OTHER", "/healthz", 405, None),
    ]
    assert {line["level"] for line in lines} == {"info"}
    assert "canary" not in str(lines).lower()
    assert len({line["request_id"] for line in lines}) == 4


@pytest.mark.promise("P11")
def test_traceback_has_only_text_of_our_code(logged: Log) -> None:
    def fail() -> None:
        words = CANARY
        try:
            int(words)
        except ValueError as error:
            inner = [NotFound("A sentence of ours."), OSError(2, "No such file", words)]
            raise ExceptionGroup(words, inner) from error

    for write in (log.exception, logging.getLogger("a_library").exception):
        try:
            fail()
        except ExceptionGroup:
            write("failed")
    ours, theirs = (line["exception"] for line in logged.lines("failed"))
    assert ours == theirs
    assert "int(words)\nbuiltins.ValueError\n" in ours
    assert "NotFound: A sentence of ours." in ours
    assert "FileNotFoundError: No such file" in ours
    assert CANARY not in ours


@pytest.mark.promise("P11")
async def test_failed_start_is_logged_with_text_of_our_code_only(
    database_url: str, acme: RunningAcme, logged: Log
) -> None:
    app, messages = create_app(settings_for(database_url, acme)), []

    @asynccontextmanager
    async def failing(_: Starlette) -> AsyncIterator[None]:
        int(CANARY)
        yield

    async def receive() -> Message:
        return {"type": "lifespan.startup"}

    async def send(message: Message) -> None:
        messages.append(message)

    app.app.router.lifespan_context = failing
    with pytest.raises(ValueError, match=CANARY):
        await app({"type": "lifespan", "state": {}}, receive, send)
    assert messages == [{"type": "lifespan.startup.failed"}], "the server would log a message of the application"
    line = logged.one("lifespan_failed")
    assert (line["level"], line["kind"]) == ("error", "ValueError")
    assert "int(CANARY)\nbuiltins.ValueError" in line["exception"]
    assert CANARY not in str(logged.lines())


@pytest.mark.slow
def test_warnings_of_libraries_are_logged() -> None:
    program = (
        'import warnings; from one_runtime.telemetry import logs; logs.configure("info", "json"); '
        'warnings.warn("Old ways.")'
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    line = json.loads(done.stderr)
    assert line["level"] == "warning"
    assert "UserWarning: Old ways." in line["event"]


def test_parser_of_forms_logs_no_characters() -> None:
    """At the level `debug`, the parser would write 200 bytes for each character of some forms."""
    logs.configure("debug", "json")
    try:
        assert not logging.getLogger("python_multipart.multipart").isEnabledFor(logging.INFO)
    finally:
        logs.configure("info", "json")


def test_line_outside_of_a_request_has_no_request_id(logged: Log) -> None:
    log.info("alone", key="value")
    line = logged.one("alone")
    assert line.keys() == {"event", "level", "timestamp", "key"}


def test_command_imports_structlog_only_for_an_error() -> None:
    script = (
        "import sys; from one_runtime.telemetry import logger; logger.log_errors_only(); log = logger.Logger(); "
        'log.debug("a"); log.info("b"); log.warning("c"); print("structlog" in sys.modules); '
        'log.error("failed", port=1)'
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout == "False\n"
    (line,) = run.stderr.splitlines()
    assert "failed" in line
    assert "port=1" in line


@pytest.mark.parametrize("terminal", [True, False])
def test_format_auto_is_text_for_a_terminal_and_json_otherwise(*, terminal: bool) -> None:
    script = (
        "from one_runtime.telemetry import logger, logs; "
        'logs.configure("info", "auto"); logger.Logger().info("started", port=1)'
    )
    read, write = os.openpty() if terminal else os.pipe()
    with subprocess.Popen([sys.executable, "-c", script], stderr=write) as process:
        pass
    os.close(write)
    line = os.read(read, 10_000).decode()
    os.close(read)
    assert process.returncode == 0
    assert line.startswith('{"port": 1, "event": "started"') is not terminal, line
    assert ("port=1" in line) is terminal
