"""`doctor` on clocks: sources of the time, and findings about differences."""

from asyncio import StreamWriter
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Final

import pytest

from one_runtime.clock import system_clock
from one_runtime.doctor.clock import ahead, ahead_by_date
from one_runtime.egress.response import Response
from tests.doctor.conftest import Patient, World, patient_on
from tests.egress.upstream import Writes, answer

NOW: Final = datetime(2026, 11, 25, 9, tzinfo=UTC)


def responses_ahead(*aheads: float) -> Writes:
    """Return responses whose dates are this many seconds ahead, one per request."""
    following = iter(aheads)

    async def respond(writer: StreamWriter) -> None:
        date = system_clock() + timedelta(seconds=next(following))
        writer.write(answer(404, [("Date", format_datetime(date, usegmt=True))]))

    return respond


@pytest.mark.parametrize("seconds, verdict", [(0, "ok"), (-10, "warning"), (300, "problem")])
async def test_clock_is_compared_to_providers_without_a_server(seconds: int, verdict: str, on_sqlite: Patient) -> None:
    on_sqlite.world.providers.anything = responses_ahead(seconds, seconds)
    finding = (await on_sqlite.examined())["clock"]
    assert (finding.verdict, finding.saw.startswith("the clock of the providers is ")) == (verdict, True), finding
    assert ("behind" in finding.saw) == (seconds < 0)


async def test_old_date_from_a_cache_is_ignored(on_sqlite: Patient) -> None:
    on_sqlite.world.providers.anything = responses_ahead(-86_400, 0)
    assert (await on_sqlite.examined())["clock"].verdict == "ok"


async def test_missing_time_source_is_reported(migrated_sqlite_url: str, bare_world: World) -> None:
    finding = (await patient_on(migrated_sqlite_url, bare_world).examined())["clock"]
    assert (finding.verdict, finding.advice) == ("warning", "See the findings `public URL` and `egress`.")


@pytest.mark.parametrize(
    "ahead_by, took, seconds",
    [(0, 0, 0), (4, 5, 0), (-1, 5, -1), (9, 5, 4), (10, 0, 10), (-10, 0, -10)],
)
def test_slow_response_is_ignored(ahead_by: int, took: int, seconds: int) -> None:
    assert ahead(NOW + timedelta(seconds=ahead_by), NOW, NOW + timedelta(seconds=took)) == seconds


@pytest.mark.parametrize(
    "date, seconds",
    [
        (None, None),
        ("yesterday", None),
        ("", None),
        (format_datetime(NOW, usegmt=True), 0),
        (format_datetime(NOW - timedelta(seconds=1), usegmt=True), 0),
        (format_datetime(NOW - timedelta(seconds=61), usegmt=True), -60),
        (f"{NOW:%a, %d %b %Y %H:%M:%S} -0000", 0),
    ],
)
def test_date_header_is_read_to_the_second(date: str | None, seconds: float | None) -> None:
    response = Response(200, (("date", date),) if date is not None else (), b"")
    assert ahead_by_date(response, NOW, NOW) == seconds
