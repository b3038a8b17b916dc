"""`doctor` on clocks: whose can be asked, and what is made of their answers."""

from asyncio import StreamWriter
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Final

import pytest

from one_runtime.clock import system_clock
from one_runtime.doctor.clock import ahead, ahead_by_date
from one_runtime.egress import Response
from tests.doctor.conftest import Patient, World, patient_on
from tests.egress.upstream import Writes, answer

NOW: Final = datetime(2026, 11, 25, 9, tzinfo=UTC)


def telling(*aheads: float) -> Writes:
    """Answers whose dates are so many seconds ahead, one after the other."""
    following = iter(aheads)

    async def tell(writer: StreamWriter) -> None:
        date = system_clock() + timedelta(seconds=next(following))
        writer.write(answer(404, [("Date", format_datetime(date, usegmt=True))]))

    return tell


@pytest.mark.parametrize("seconds, verdict", [(0, "ok"), (-10, "warning"), (300, "problem")])
async def test_the_clock_of_a_machine_by_itself_is_compared_to_the_providers(
    seconds: int, verdict: str, on_sqlite: Patient
) -> None:
    on_sqlite.world.providers.anything = telling(seconds, seconds)
    found = (await on_sqlite.examined())["clock"]
    assert (found.verdict, found.saw.startswith("the providers' is ")) == (verdict, True), found
    assert ("behind" in found.saw) == (seconds < 0)


async def test_an_old_date_out_of_a_cache_does_not_make_our_clock_wrong(on_sqlite: Patient) -> None:
    on_sqlite.world.providers.anything = telling(-86_400, 0)
    assert (await on_sqlite.examined())["clock"].verdict == "ok"


async def test_that_there_is_no_clock_to_compare_ours_with_is_said(migrated_sqlite_url: str, bare_world: World) -> None:
    found = (await patient_on(migrated_sqlite_url, bare_world).examined())["clock"]
    assert (found.verdict, found.advice) == ("warning", "See public URL and egress.")


@pytest.mark.parametrize(
    "told, took, seconds",
    [(0, 0, 0), (4, 5, 0), (-1, 5, -1), (9, 5, 4), (10, 0, 10), (-10, 0, -10)],
)
def test_a_slow_answer_makes_no_clock_wrong(told: int, took: int, seconds: int) -> None:
    assert ahead(NOW + timedelta(seconds=told), NOW, NOW + timedelta(seconds=took)) == seconds


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
def test_a_date_counts_where_it_is_one_and_to_the_second(date: str | None, seconds: float | None) -> None:
    told = Response(200, (("date", date),) if date is not None else (), b"")
    assert ahead_by_date(told, NOW, NOW) == seconds
