"""Build the plots of the dashboard: bars by period, the range of durations, and sparklines.

The functions return positions and texts. `templates/plots.html` renders them as SVG, which needs no script. The shapes
fill the width of their place, so one unit of the horizontal axis is wider on a wide screen. Texts are HTML beside the
SVG, and keep their size.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, NamedTuple, TypeAlias

from one_runtime.dashboard.quantities import compact, duration, number, share
from one_runtime.proxy.usage import DAY, HOUR, Usage

HEIGHT: Final = 100
"""Height of a plot in units of its SVG."""

STEP: Final = 10
"""Width of one period in units of the SVG."""

_BAR: Final = 8
_LOWEST_BAR: Final = 2.0
"""Height of the lowest bar. One failed call remains visible beside a million calls."""

_LABELS: Final = (4, 5, 6, 7, 3, 2, 1)
_FACTORS: Final = (2, 4, 6, 8, 10)

Shape: TypeAlias = Literal["ok", "failed", "range", "average"]


class Bar(NamedTuple):
    """A rectangle in units of the SVG. `y`: distance from the top."""

    shape: Shape
    x: float
    y: float
    width: float
    height: float


class Line(NamedTuple):
    """A path. `d`: the value of the attribute `d` of an SVG path."""

    shape: Shape
    d: str


class Period(NamedTuple):
    """An area of the plot that shows `text` when the mouse is over it."""

    x: int
    text: str
    bars: tuple[Bar, ...] = ()


@dataclass(frozen=True, slots=True)
class PlotTable:
    """The numbers of a plot as a table. The first cell of a row is its heading."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Plot:
    """A plot.

    - `id`: part of the ids of HTML elements, unique in the page.
    - `description`: the most important numbers in words. Without data, this is the only content of the plot.
    - `ticks`: texts of the vertical axis from the top to the bottom, at equal distances.
    - `labels`: texts of the horizontal axis. Each label is at the left edge of an equal part of the axis.
    """

    id: str
    title: str
    description: str
    width: int = 0
    ticks: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    legend: tuple[tuple[Shape, str], ...] = ()
    periods: tuple[Period, ...] = ()
    lines: tuple[Line, ...] = ()
    table: PlotTable | None = None

    @property
    def is_empty(self) -> bool:
        """Return True if there is no data to show."""
        return not self.periods

    @property
    def grid(self) -> tuple[float, ...]:
        """Return the vertical positions of the ticks."""
        steps = max(1, len(self.ticks) - 1)
        return tuple(round(index * HEIGHT / steps, 2) for index in range(len(self.ticks)))


@dataclass(frozen=True, slots=True)
class Sparkline:
    """A small line without axes. `text`: the numbers in words. `points`: the value of the attribute of a polyline."""

    text: str
    width: int
    points: str


def plot_calls(plot_id: str, title: str, usage: Sequence[Usage], *, empty: str) -> Plot:
    """Return stacked bars: failed calls at the bottom, and the other calls above.

    `usage`: periods of one length without gaps, oldest first. `empty`: the description of a plot without calls.
    """
    highest = max(usage, key=lambda period: period.calls, default=None)
    if highest is None or not highest.calls:
        return Plot(plot_id, title, empty)
    top, name = _top(highest.calls), _names(usage)
    return Plot(
        plot_id,
        title,
        _describe_calls(usage, f"The most calls were {number(highest.calls)} at {name(highest.start)}."),
        len(usage) * STEP,
        tuple(compact(tick) for tick in (top, top // 2, 0)),
        _labels(usage),
        (("ok", "Successful"), ("failed", "Failed")),
        tuple(
            Period(index * STEP, f"{name(period.start)}: {_calls(period)}", _stack(index, period, top))
            for index, period in enumerate(usage)
        ),
        table=PlotTable(
            ("Time in UTC", "Calls", "Failed"),
            tuple((name(period.start), number(period.calls), number(period.failures)) for period in usage),
        ),
    )


def plot_durations(plot_id: str, title: str, usage: Sequence[Usage], *, empty: str) -> Plot:
    """Return a band from the average to the longest duration of each period, on a logarithmic axis.

    The arguments are the same as those of `plot_calls`. A period without calls is a gap.
    """
    called = [period for period in usage if period.calls]
    if not called:
        return Plot(plot_id, title, empty)
    scale, name = _Decades.of(called), _names(usage)
    slowest = max(called, key=lambda period: period.duration_ms_max)
    average = sum(period.duration_ms_sum for period in called) / sum(period.calls for period in called)
    return Plot(
        plot_id,
        title,
        f"The average was {duration(average)}. The longest call took {duration(slowest.duration_ms_max)} at "
        f"{name(slowest.start)}.",
        len(usage) * STEP,
        scale.ticks,
        _labels(usage),
        (("average", "Average"), ("range", "Up to the longest call")),
        tuple(
            Period(index * STEP, f"{name(period.start)}: {_durations(period)}") for index, period in enumerate(usage)
        ),
        tuple(_duration_lines(usage, scale)),
        PlotTable(
            ("Time in UTC", "Average", "Longest"),
            tuple(
                (name(period.start), duration(period.average_ms), duration(period.duration_ms_max))
                if period.calls
                else (name(period.start), "–", "–")
                for period in usage
            ),
        ),
    )


def sparkline(values: Sequence[int], text: str) -> Sparkline:
    """Return a line through the values. The highest value is at the top. `text`: the meaning of the line in words."""
    top = max(1, *values, 1)
    points = [f"{index * STEP:g},{_number(HEIGHT - value / top * HEIGHT)}" for index, value in enumerate(values)]
    if len(points) == 1:
        points.append(f"{STEP},{points[0].partition(',')[2]}")
    return Sparkline(text, max(1, len(values) - 1) * STEP, " ".join(points))


def _top(highest: int) -> int:
    """Return a round even number that is equal to or above `highest`, so that the half is a whole number."""
    magnitude = 1
    while highest > 10 * magnitude:
        magnitude *= 10
    return next(factor * magnitude for factor in _FACTORS if factor * magnitude >= highest)


def _stack(index: int, period: Usage, top: int) -> tuple[Bar, ...]:
    if not period.calls:
        return ()
    ok, failed = _bar_height(period.calls - period.failures, top), _bar_height(period.failures, top)
    excess = max(0.0, ok + failed - HEIGHT)  # after a low bar has become higher
    if ok > failed:
        ok -= excess
    else:
        failed -= excess
    x = index * STEP + (STEP - _BAR) / 2
    bars = (
        Bar("failed", x, round(HEIGHT - failed, 2), _BAR, round(failed, 2)),
        Bar("ok", x, round(HEIGHT - failed - ok, 2), _BAR, round(ok, 2)),
    )
    return tuple(bar for bar in bars if bar.height)


def _bar_height(calls: int, top: int) -> float:
    return max(_LOWEST_BAR, calls / top * HEIGHT) if calls else 0.0


class _Decades(NamedTuple):
    """A logarithmic axis from 10^`low` to 10^`high` milliseconds."""

    low: int
    high: int

    @classmethod
    def of(cls, usage: Iterable[Usage]) -> "_Decades":
        usage = list(usage)
        low = math.floor(math.log10(max(1, min(period.average_ms for period in usage))))
        high = math.ceil(math.log10(max(1, *(period.duration_ms_max for period in usage), 1)))
        return cls(low, max(high, low + 1))

    @property
    def ticks(self) -> tuple[str, ...]:
        """Return the texts of the axis. A long axis has only some of the powers of ten, at equal distances."""
        powers = self.high - self.low
        step = next(step for step in range(1, powers + 1) if powers % step == 0 and powers // step <= 5)
        return tuple(duration(10.0**power) for power in range(self.high, self.low - 1, -step))

    def y(self, milliseconds: float) -> float:
        share = (math.log10(max(1.0, milliseconds)) - self.low) / (self.high - self.low)
        return HEIGHT - min(1.0, max(0.0, share)) * HEIGHT


def _duration_lines(usage: Sequence[Usage], scale: _Decades) -> Iterable[Line]:
    """Yield the band and the line of the average, in steps. Each period without calls interrupts both."""
    band, average, before = "", "", False
    for index, period in enumerate(usage):
        left, right = index * STEP, (index + 1) * STEP
        if period.calls:
            low, high = _number(scale.y(period.average_ms)), _number(scale.y(period.duration_ms_max))
            band += f"M{left} {low}V{high}H{right}V{low}Z"
            average += f"{'V' if before else f'M{left} '}{low}H{right}"
        before = period.calls > 0
    yield Line("range", band)
    yield Line("average", average)


def _number(value: float) -> str:
    """Return a position with one digit after the point."""
    return f"{round(value, 1):g}"


def _names(usage: Sequence[Usage]) -> Callable[[datetime], str]:
    """Return the function that names a period: `30 Nov, 14:00` for an hour, and `30 Nov` for a day."""
    return _name_day if len(usage) > 1 and usage[1].start - usage[0].start >= DAY else _name_hour


def _name_hour(moment: datetime) -> str:
    return f"{_name_day(moment)}, {moment:%H:%M}"


def _name_day(moment: datetime) -> str:
    return f"{moment.day} {moment:%b}"


def _labels(usage: Sequence[Usage]) -> tuple[str, ...]:
    parts = next(parts for parts in _LABELS if len(usage) % parts == 0)
    starts = [period.start for period in usage[:: len(usage) // parts]]
    are_hours = len(usage) < 2 or usage[1].start - usage[0].start == HOUR
    return tuple(f"{start:%H:%M}" if are_hours else _name_day(start) for start in starts)


def _describe_calls(usage: Sequence[Usage], highest: str) -> str:
    calls, failures = sum(period.calls for period in usage), sum(period.failures for period in usage)
    return f"{_plural(calls)}, {number(failures)} failed ({share(failures, calls)}). {highest}"


def _calls(period: Usage) -> str:
    return f"{_plural(period.calls)}, {number(period.failures)} failed"


def _plural(calls: int) -> str:
    return f"{number(calls)} {'call' if calls == 1 else 'calls'}"


def _durations(period: Usage) -> str:
    if not period.calls:
        return "no calls"
    return f"average {duration(period.average_ms)}, longest {duration(period.duration_ms_max)}"
