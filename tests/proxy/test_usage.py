"""Usage by hour: the counts of proxy calls that stay after the request log has deleted its entries."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from sqlalchemy import select

from one_runtime.db.ids import new_id
from one_runtime.db.schema import usage_hours
from one_runtime.proxy import usage
from one_runtime.proxy.request_log import LoggedRequest, RequestLog
from one_runtime.proxy.usage import IntegrationUsage, Usage, UsageHour
from one_runtime.settings import Settings
from tests.application import RunningAcme
from tests.proxy.relay import Relay, relaying
from tests.purging import purge

NOW: Final = datetime(2026, 11, 30, 22, 31, 5, 999000, tzinfo=UTC)
HOUR: Final = NOW.replace(minute=0, second=0, microsecond=0)


def call(organization_id: str = "", **values: Any) -> LoggedRequest:
    """Return a successful call."""
    entry = LoggedRequest(
        new_id(), organization_id or new_id(), NOW, None, new_id(), "hubspot", "GET", "/", 200, None, 1, 10, 100, 7, 5,
        None, None,
    )  # fmt: skip
    return replace(entry, **values)


def log_of(relay: Relay) -> RequestLog:
    log: RequestLog = relay.application.app.services.request_log
    return log


async def write(relay: Relay, *calls: LoggedRequest) -> None:
    async with relay.application.installation.database.write() as tx:
        await log_of(relay).write(tx, list(calls))


async def stored(relay: Relay) -> list[UsageHour]:
    """Return the rows of integrations. Check that the other rows are their totals."""
    async with relay.application.installation.database.read() as tx:
        rows = await tx.all(select(usage_hours), UsageHour)
    parts = [row for row in rows if row.integration_slug != usage.ALL]
    totals = {(row.organization_id, row.source, row.hour): row for row in rows if row.integration_slug == usage.ALL}
    starts: dict[str, Callable[[datetime], datetime]] = {
        "hour": usage.start_of_hour,
        "day": lambda hour: hour.replace(hour=0),
    }
    keys = {(row.organization_id, source, start(row.hour)) for row in parts for source, start in starts.items()}
    assert totals.keys() == keys
    for (organization_id, source, start), total in totals.items():
        mine = [row for row in parts if (row.organization_id, starts[source](row.hour)) == (organization_id, start)]
        for name in ("calls", "failures", "duration_ms_sum", "request_bytes", "response_bytes"):
            assert getattr(total, name) == sum(getattr(row, name) for row in mine)
        assert total.duration_ms_max == max(row.duration_ms_max for row in mine)
    return parts


async def test_calls_are_counted_with_their_failures_sizes_and_durations(relay: Relay) -> None:
    relay.upstream.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n12345"
    await relay.call("POST", "/a", body=b"a body")
    await log_of(relay).flush()
    relay.upstream.answer = b"HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\n\r\n123"
    await relay.call("GET", "/b")
    relay.upstream.answer = b"what is this\r\n\r\n"
    await relay.call("GET", "/c")
    await log_of(relay).flush()
    entries = (await relay.client.get("/v1/proxy-requests")).json()["proxy_requests"]
    (row,) = await stored(relay)
    assert row.hour == usage.start_of_hour(datetime.fromisoformat(entries[0]["created_at"]))
    assert (row.organization_id, row.integration_slug, row.source) == (relay.organization, "raw", "proxy")
    assert (row.calls, row.failures, row.request_bytes, row.response_bytes) == (3, 2, 6, 8)
    durations = [entry["duration_ms"] for entry in entries]
    assert (row.duration_ms_sum, row.duration_ms_max) == (sum(durations), max(durations))


def test_calls_are_grouped_by_hour_integration_and_source() -> None:
    mine, token = new_id(), new_id()
    calls = [
        call(mine, integration_slug="slack", end_user_token_id=token, duration_ms=9),
        call(mine, at=HOUR - timedelta(milliseconds=1)),
        call(mine, integration_slug="slack"),
        call(mine, integration_slug="slack", at=HOUR.astimezone().replace(minute=59), duration_ms=40),
        call(mine, integration_slug="slack", end_user_token_id=token, status=500, duration_ms=1 << 40),
    ]
    assert usage.count(calls) == [
        UsageHour(mine, HOUR.replace(hour=0), "*", "day", 5, 1, 63 + (1 << 40), 1 << 40, 50, 500),
        UsageHour(mine, HOUR - usage.HOUR, "*", "hour", 1, 0, 7, 7, 10, 100),
        UsageHour(mine, HOUR - usage.HOUR, "hubspot", "proxy", 1, 0, 7, 7, 10, 100),
        UsageHour(mine, HOUR, "*", "hour", 4, 1, 56 + (1 << 40), 1 << 40, 40, 400),
        UsageHour(mine, HOUR, "slack", "agent", 2, 1, 9 + (1 << 40), 1 << 40, 20, 200),
        UsageHour(mine, HOUR, "slack", "proxy", 2, 0, 47, 40, 20, 200),
    ]
    assert usage.count(reversed(calls)) == usage.count(calls)
    assert usage.count([]) == []


@pytest.mark.parametrize(
    "status, error, failed",
    [(200, None, 0), (304, None, 0), (399, None, 0), (400, None, 1), (503, None, 1), (0, None, 0),
     (200, "upstream_protocol_error", 1), (0, "upstream_timeout", 1)],
)  # fmt: skip
def test_failures_are_refused_and_broken_calls(status: int, error: str | None, failed: int) -> None:
    assert {row.failures for row in usage.count([call(status=status, error=error)])} == {failed}


async def test_large_numbers_are_added(relay: Relay) -> None:
    large = call(relay.organization, request_bytes=1 << 60, response_bytes=1 << 60, duration_ms=(1 << 31) - 1)
    await write(relay, large, replace(large, id=new_id()))
    await write(relay, replace(large, id=new_id(), duration_ms=1))
    (row,) = await stored(relay)
    assert (row.calls, row.request_bytes, row.duration_ms_sum) == (3, 3 << 60, (1 << 32) - 1)
    assert row.duration_ms_max == (1 << 31) - 1


async def test_calls_of_a_deleted_organization_do_not_prevent_other_counts(relay: Relay) -> None:
    await write(relay, call(), call(relay.organization), call())
    assert [(row.organization_id, row.calls) for row in await stored(relay)] == [(relay.organization, 1)]


async def test_calls_that_are_not_logged_are_not_counted(relay: Relay) -> None:
    with pytest.raises(Exception, match=r"too large|out of range"):
        await write(relay, call(relay.organization), call(relay.organization, attempts=1 << 70))
    assert await stored(relay) == []


async def test_counts_stay_after_the_entries_of_the_log(relay: Relay) -> None:
    await write(relay, call(relay.organization))
    installation = relay.application.installation
    installation.clock.advance(days=3650)  # type: ignore[attr-defined] # a clock that is set
    await purge(installation)
    assert (await relay.client.get("/v1/proxy-requests")).json()["proxy_requests"] == []
    assert len(await stored(relay)) == 1


async def test_calls_are_counted_without_a_request_log(settings: Settings, acme: RunningAcme) -> None:
    async with relaying(settings.model_copy(update={"request_retention_days": 0}), acme) as relay:
        await relay.call("GET")
        await log_of(relay).flush()
        assert [(row.integration_slug, row.calls) for row in await stored(relay)] == [("raw", 1)]


@pytest.mark.only_database("postgresql")
@pytest.mark.slow
async def test_two_processes_that_count_the_same_hours_do_not_deadlock(relay: Relay) -> None:
    slugs = [f"x-{number}" for number in range(40)]

    async def count_calls(order: Iterable[str]) -> None:
        calls = [call(relay.organization, integration_slug=slug) for slug in order]
        for _ in range(30):
            async with relay.application.installation.database.write() as tx:
                await usage.add(tx, calls)

    await asyncio.gather(count_calls(slugs), count_calls(slugs[::-1]))
    assert {row.calls for row in await stored(relay)} == {60}


async def test_usage_is_read_by_hour_by_day_and_by_integration(relay: Relay) -> None:
    mine, midnight = relay.organization, HOUR.replace(hour=0)
    other = await relay.application.organization("Southwind")
    await write(
        relay,
        call(mine, status=500, duration_ms=3),
        call(mine, integration_slug="slack", duration_ms=20),
        call(mine, integration_slug="slack", end_user_token_id=new_id()),
        call(mine, at=NOW - 2 * usage.HOUR),
        call(mine, at=midnight - usage.HOUR),
        call(mine, at=midnight - 40 * usage.DAY),
        call(other),
    )
    async with relay.application.installation.database.read() as tx:
        totals = await usage.read_totals(tx, mine, NOW, hours=24, days=30)
        assert [hour.start for hour in totals.hours] == [HOUR - index * usage.HOUR for index in reversed(range(24))]
        assert [day.start for day in totals.days] == [midnight - index * usage.DAY for index in reversed(range(30))]
        assert [hour for hour in totals.hours if hour.calls] == [
            Usage(midnight - usage.HOUR, 1, 0, 7, 7),
            Usage(HOUR - 2 * usage.HOUR, 1, 0, 7, 7),
            Usage(HOUR, 3, 1, 30, 20),
        ]
        assert [day for day in totals.days if day.calls] == [
            Usage(midnight - usage.DAY, 1, 0, 7, 7), Usage(midnight, 4, 1, 37, 20),
        ]  # fmt: skip
        by_integration = await usage.read_integrations(tx, mine, NOW)
        assert sorted(by_integration) == [IntegrationUsage("hubspot", 1, 1), IntegrationUsage("slack", 2, 0)]
        of_other = await usage.read_totals(tx, other, NOW, hours=2, days=1)
        assert (of_other.hours[1], of_other.days) == (Usage(HOUR, 1, 0, 7, 7), [Usage(midnight, 1, 0, 7, 7)])


def test_totals_of_several_periods_are_added() -> None:
    periods = [Usage(HOUR - usage.HOUR, 2, 1, 10, 8), Usage(HOUR), Usage(HOUR + usage.HOUR, 4, 0, 8, 3)]
    assert usage.total(periods) == Usage(HOUR - usage.HOUR, 6, 1, 18, 8)
    assert (usage.total(periods).average_ms, Usage(HOUR).average_ms) == (3.0, 0.0)
