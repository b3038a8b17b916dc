"""Compare this machine's clock with the database, the public URL and providers."""

from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from one_runtime.doctor.finding import Finding, ok, problem, warning
from one_runtime.egress import Response

APART: Final = 2.0
"""Seconds that clocks may differ."""
FAR_APART: Final = 30.0


def examine_clock(clocks: Sequence[tuple[str, float | None]]) -> Finding:
    """Check clocks: a name, and the seconds that it is ahead of ours, or None if unknown."""
    known = [(owner, seconds) for owner, seconds in clocks if seconds is not None]
    if not known:
        return warning("clock", "there is no other clock to compare it with", "See public URL and egress.")
    summary = ", ".join(
        f"{owner} is {abs(seconds):.1f} s {'behind' if seconds < 0 else 'ahead'}" for owner, seconds in known
    )
    furthest = max(abs(seconds) for _, seconds in known)
    advice = "Keep every machine's clock by NTP: sessions, leases and tokens expire by it."
    if furthest > FAR_APART:
        return problem("clock", summary, advice)
    return warning("clock", summary, advice) if furthest > APART else ok("clock", summary)


def ahead(time: datetime, before: datetime, after: datetime, *, grain: float = 0) -> float:
    """Return the minimum of seconds that a clock is ahead of ours; a slow answer does not count as a difference.

    `time`: read from that clock between `before` and `after`, with a resolution of `grain` seconds.
    """
    earliest = (time - after).total_seconds()
    latest = (time - before).total_seconds() + grain
    return max(earliest, 0.0) + min(latest, 0.0)


def ahead_by_date(answer: Response, before: datetime, after: datetime) -> float | None:
    """Return the same from the Date header of an answer, in whole seconds, or None if it is missing or invalid."""
    value = next((value for name, value in answer.headers if name.lower() == "date"), None)
    try:
        date = parsedate_to_datetime(value) if value else None
    except ValueError:
        return None
    if date is None:
        return None
    date = date if date.tzinfo else date.replace(tzinfo=UTC)  # RFC 5322's "-0000"; HTTP's are all GMT
    return ahead(date, before, after, grain=1)
