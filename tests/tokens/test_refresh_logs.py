"""An outage of a token endpoint writes a few lines to the log, not a line for each connection."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from one_runtime.connections.credentials import ProviderUnavailable
from one_runtime.telemetry import logs
from one_runtime.tokens.refresh import ClientRefused, fresh_credentials
from one_runtime.tokens.refresh_due import refresh_due
from tests.telemetry.test_logs import forget_cached_loggers
from tests.tokens.rotating import RotatingApplication, Seeded, connect

pytestmark = pytest.mark.only_database("sqlite")  # nothing here depends on the database

CONNECTIONS = 60


@pytest.fixture
def lines() -> Iterator[list[Any]]:
    """The log lines of a test."""
    forget_cached_loggers()
    structlog.reset_defaults()
    with capture_logs() as lines:
        yield lines
    forget_cached_loggers()
    logs.configure("info", "json")  # `capture_logs` leaves a configuration that writes to standard output


def shown(lines: list[Any]) -> list[Any]:
    """Return the lines that the default level of the log shows. Forget all lines."""
    visible = [line for line in lines if line["log_level"] != "debug"]
    lines.clear()
    return visible


async def connect_all(app: RotatingApplication) -> list[Seeded]:
    tokens = app.provider.make(CONNECTIONS, fault="503")
    return [
        await connect(app.installation, app.organization_id, f"user_{number}", first)
        for number, first in enumerate(tokens)
    ]


async def call_all(app: RotatingApplication, seeded: list[Seeded]) -> None:
    """Use every connection, as many callers do."""

    async def call(connection: Seeded) -> None:
        with suppress(ProviderUnavailable, ClientRefused):
            await fresh_credentials(app.installation, connection.key)

    await asyncio.gather(*map(call, seeded))


@pytest.mark.slow
async def test_an_outage_writes_one_line_a_minute_with_the_number_of_failures(
    app: RotatingApplication, lines: list[Any]
) -> None:
    seeded = await connect_all(app)
    app.application.clock.advance(hours=2)
    await refresh_due(app.installation)
    await call_all(app, seeded)
    (first,) = shown(lines)
    assert first == {
        "event": "token_endpoint_failing",
        "log_level": "warning",
        "integration": "rotating",
        "code": "provider_trouble",
        "failures": 1,
    }
    requests = len(seeded)
    assert sum(len(app.provider.log(connection.family)) for connection in seeded) == requests
    app.application.clock.advance(minutes=1)
    await call_all(app, seeded)
    await refresh_due(app.installation)
    (second,) = shown(lines)
    assert (second["event"], second["failures"]) == ("token_endpoint_failing", requests)
    app.provider.behave(fault=None)
    app.application.clock.advance(minutes=2)
    await refresh_due(app.installation)
    (end,) = shown(lines)
    assert (end["event"], end["log_level"]) == ("token_endpoint_recovered", "info")
    total = sum(line.answer == "503" for connection in seeded for line in app.provider.log(connection.family))
    assert first["failures"] + second["failures"] + end["failures"] == total


async def test_each_error_code_has_a_line_of_its_own(app: RotatingApplication, lines: list[Any]) -> None:
    seeded = await connect_all(app)
    app.application.clock.advance(hours=2)
    await call_all(app, seeded[: CONNECTIONS // 2])
    app.provider.behave(fault="invalid_client")
    await call_all(app, seeded[CONNECTIONS // 2 :])
    failing = [line for line in shown(lines) if line["event"] == "token_endpoint_failing"]
    assert [(line["code"], line["failures"]) for line in failing] == [("provider_trouble", 1), ("client_refused", 1)]


async def test_the_level_debug_has_a_line_for_each_connection(app: RotatingApplication, lines: list[Any]) -> None:
    (seeded, *_) = await connect_all(app)
    app.application.clock.advance(hours=2)
    await call_all(app, [seeded])
    (line,) = [line for line in lines if line["event"] == "refresh_failed_temporarily"]
    assert (line["log_level"], line["connection_id"]) == ("debug", seeded.key.connection_id)
