"""Write numbers, durations and shares as short texts."""

from typing import Final

_THOUSANDS: Final = ("", "k", "M", "G", "T", "P", "E")


def number(value: int) -> str:
    """Return a number with commas between thousands."""
    return f"{value:,}"


def compact(value: float) -> str:
    """Return a number with at most four characters and a unit, such as `1.2k`. The result is rounded."""
    power = 0
    while value >= 999.5 and power < len(_THOUSANDS) - 1:
        value, power = value / 1000, power + 1
    text = f"{value:.1f}" if power and value < 99.95 else f"{value:.0f}"
    return f"{text.removesuffix('.0')}{_THOUSANDS[power]}"


def duration(milliseconds: float) -> str:
    """Return a duration with a unit, such as `120 ms` or `1.5 s`. The result is rounded."""
    if milliseconds < 999.5:
        return "< 1 ms" if 0 < milliseconds < 0.5 else f"{milliseconds:.0f} ms"
    seconds = milliseconds / 1000
    return f"{f'{seconds:.1f}'.removesuffix('.0')} s" if seconds < 99.95 else f"{seconds:,.0f} s"


def share(part: int, whole: int) -> str:
    """Return a part in percent, such as `0.5 %`. Only nothing is 0 %, and only the whole is 100 %."""
    if part in {0, whole}:
        return "100 %" if part else "0 %"
    percent = 100 * part / whole
    if percent < 0.1:
        return "< 0.1 %"
    if percent > 99.9:
        return "> 99.9 %"
    return f"{percent:.0f} %" if 9.95 <= percent < 99 else f"{percent:.1f} %"
