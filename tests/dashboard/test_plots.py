"""Plots of the dashboard: positions and texts for ordinary, empty and extreme numbers."""

import itertools
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import Environment, PackageLoader, StrictUndefined

from one_runtime.dashboard import plots
from one_runtime.dashboard.plots import HEIGHT, Line, Plot, plot_calls, plot_durations
from one_runtime.proxy.usage import DAY, HOUR, Usage

START: Final = datetime(2026, 11, 30, 9, tzinfo=UTC)
HUGE: Final = 1 << 62
NUMBERS: Final = st.one_of(st.integers(0, 3), st.integers(0, 10_000), st.integers(0, HUGE))


def periods(*numbers: tuple[int, int, int, int], step: object = HOUR) -> list[Usage]:
    """Return periods with these calls, failures, sums and maxima of durations."""
    assert step in {HOUR, DAY}
    length = HOUR if step == HOUR else DAY
    return [Usage(START + index * length, *row) for index, row in enumerate(numbers)]


def calls_of(*numbers: tuple[int, int]) -> Plot:
    return plot_calls("calls", "Calls by hour", periods(*((*row, 0, 0) for row in numbers)), empty="No calls.")


def bars(plot: Plot) -> list[tuple[str, float, float]]:
    """Return shape, top and height of all bars."""
    return [(bar.shape, bar.y, bar.height) for period in plot.periods for bar in period.bars]


@st.composite
def usages(draw: st.DrawFn) -> Sequence[Usage]:
    rows = []
    for _ in range(draw(st.integers(1, 40))):
        calls = draw(NUMBERS)
        longest = draw(NUMBERS) if calls else 0
        rows.append((calls, draw(st.integers(0, calls)), draw(st.integers(0, calls * longest)), longest))
    return periods(*rows, step=draw(st.sampled_from([HOUR, DAY])))


def test_failed_calls_are_below_the_other_calls() -> None:
    plot = calls_of((10, 0), (0, 0), (8, 2), (3, 3))
    assert [(bar.shape, bar.x, bar.y, bar.width, bar.height) for bar in plot.periods[2].bars] == [
        ("failed", 21, 80, 8, 20),
        ("ok", 21, 20, 8, 60),
    ]
    assert bars(plot) == [("ok", 0, 100), ("failed", 80, 20), ("ok", 20, 60), ("failed", 70, 30)]
    assert (plot.width, plot.ticks, plot.grid) == (40, ("10", "5", "0"), (0, 50, 100))
    assert plot.description == "21 calls, 5 failed (24 %). The most calls were 10 at 30 Nov, 09:00."
    assert [period.text for period in plot.periods][1:3] == [
        "30 Nov, 10:00: 0 calls, 0 failed",
        "30 Nov, 11:00: 8 calls, 2 failed",
    ]
    assert plot.table is not None
    assert plot.table.rows[2] == ("30 Nov, 11:00", "8", "2")


@pytest.mark.parametrize("build", [plot_calls, plot_durations])
@pytest.mark.parametrize("number", [0, 1, 24])
def test_plot_without_calls_is_a_sentence(build: type, number: int) -> None:
    plot = build("id", "Calls", periods(*[(0, 0, 0, 0)] * number), empty="No calls in the last 24 hours.")
    assert (plot.is_empty, plot.description, plot.table) == (True, "No calls in the last 24 hours.", None)
    assert "<svg" not in rendered(plot)
    assert "No calls in the last 24 hours." in rendered(plot)


def test_one_hour_with_one_call_fills_the_plot() -> None:
    plot = calls_of((1, 0))
    assert (bars(plot), plot.ticks, plot.labels) == ([("ok", 50, 50)], ("2", "1", "0"), ("09:00",))
    assert plot.description == "1 call, 0 failed (0 %). The most calls were 1 at 30 Nov, 09:00."


@pytest.mark.parametrize(
    "calls, failures, expected",
    [
        (10**6, 1, [("failed", 98, 2), ("ok", 0, 98)]),
        (10**6, 10**6 - 1, [("failed", 2, 98), ("ok", 0, 2)]),
        (10**6, 0, [("ok", 0, 100)]),
    ],
)
def test_a_single_call_is_visible_beside_a_million(
    calls: int, failures: int, expected: list[tuple[str, float, float]]
) -> None:
    assert bars(calls_of((calls, failures))) == expected


@pytest.mark.parametrize(
    "highest, ticks",
    [(1, "2 1 0"), (3, "4 2 0"), (11, "20 10 0"), (61, "80 40 0"), (999, "1k 500 0"), (1_001, "2k 1k 0"),
     (12_345, "20k 10k 0"), (10**9, "1G 500M 0"), (HUGE, "6E 3E 0")],
)  # fmt: skip
def test_axis_ends_at_a_round_number(highest: int, ticks: str) -> None:
    assert " ".join(calls_of((highest, 0)).ticks) == ticks


def test_gaps_interrupt_the_band_of_durations() -> None:
    usage = periods((2, 0, 20, 100), (1, 0, 10, 10), (0, 0, 0, 0), (1, 0, 1000, 1000))
    plot = plot_durations("durations", "Durations", usage, empty="")
    assert plot.ticks == ("1 s", "100 ms", "10 ms")
    assert plot.lines == (
        Line("range", "M0 100V50H10V100ZM10 100V100H20V100ZM30 0V0H40V0Z"),
        Line("average", "M0 100H10V100H20M30 0H40"),
    )
    assert plot.description == "The average was 258 ms. The longest call took 1 s at 30 Nov, 12:00."
    assert plot.table is not None
    assert plot.table.rows[2:] == (("30 Nov, 11:00", "–", "–"), ("30 Nov, 12:00", "1 s", "1 s"))
    assert plot.periods[2].text == "30 Nov, 11:00: no calls"


@pytest.mark.parametrize(
    "sums, maximum, ticks",
    [(0, 0, "10 ms, 1 ms"), (1, 1, "10 ms, 1 ms"), (1, 10, "10 ms, 1 ms"), (5, 11, "100 ms, 10 ms, 1 ms"),
     (1, 60_000, "100 s, 10 s, 1 s, 100 ms, 10 ms, 1 ms"), (1, 10**6, "1,000 s, 10 s, 100 ms, 1 ms")],
)  # fmt: skip
def test_axis_of_durations_has_powers_of_ten(sums: int, maximum: int, ticks: str) -> None:
    plot = plot_durations("durations", "Durations", periods((1, 0, sums, maximum)), empty="")
    assert ", ".join(plot.ticks) == ticks


def test_days_are_named_by_their_date() -> None:
    month = periods(*[(index, 0, index, 1) for index in range(30)], step=DAY)
    plot = plot_calls("days", "Calls by day", month, empty="")
    assert plot.labels == ("30 Nov", "6 Dec", "12 Dec", "18 Dec", "24 Dec")
    assert plot.periods[-1].text == "29 Dec: 29 calls, 0 failed"
    assert calls_of(*[(1, 0)] * 24).labels == ("09:00", "15:00", "21:00", "03:00")


@pytest.mark.parametrize(
    "values, width, points",
    [
        ((), 10, ""),
        ((0,), 10, "0,100 10,100"),
        ((5,), 10, "0,0 10,0"),
        ((0, 1, 4), 20, "0,100 10,75 20,0"),
        ((HUGE, 0), 10, "0,0 10,100"),
    ],
)
def test_sparkline_reaches_the_top_at_the_highest_value(values: tuple[int, ...], width: int, points: str) -> None:
    line = plots.sparkline(values, "Calls of the last 24 hours")
    assert (line.width, line.points) == (width, points)


@given(usages())
def test_every_shape_is_inside_the_plot(usage: Sequence[Usage]) -> None:
    for plot in (plot_calls("a", "A", usage, empty=""), plot_durations("b", "B", usage, empty="")):
        for period in plot.periods:
            assert all(0 < bar.height <= HEIGHT and 0 <= bar.y <= HEIGHT for bar in period.bars)
            edges = [HEIGHT, *itertools.chain.from_iterable((bar.y + bar.height, bar.y) for bar in period.bars)]
            assert edges == pytest.approx(sorted(edges, reverse=True), abs=0.02)
            assert sum(bar.height for bar in period.bars) <= HEIGHT + 0.02
        for line in plot.lines:
            heights = [float(number) for number in re.findall(r"(?:V|M\d+ )([\d.e-]+)", line.d)]
            assert all(0 <= height <= HEIGHT for height in heights)
        assert plot.is_empty or 2 <= len(plot.ticks) <= 6
        assert len(rendered(plot).encode()) < 40_000


@given(usages())
def test_plot_is_well_formed_and_without_inline_style(usage: Sequence[Usage]) -> None:
    for plot in (plot_calls("a", '<"&', usage, empty="<none>"), plot_durations("b", "B", usage, empty="none")):
        html = rendered(plot)
        figure = ElementTree.fromstring(html)
        attributes = {name for element in figure.iter() for name in element.attrib}
        assert not attributes & {"style", "onclick", "onmouseover"}
        ids = [element.attrib["id"] for element in figure.iter() if "id" in element.attrib]
        assert len(ids) == len(set(ids))
        for element in figure.iter():
            assert set(element.attrib.get("aria-labelledby", "").split()) <= set(ids)


def rendered(plot: Plot) -> str:
    return ENVIRONMENT.from_string('{% from "plots.html" import plot %}{{ plot(data) }}').render(data=plot).strip()


ENVIRONMENT: Final = Environment(
    loader=PackageLoader("one_runtime.dashboard"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)
