"""Compare this machine's clock with the database, the public URL and providers."""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from one_runtime.doctor.finding import Finding, ok, problem, warning
from one_runtime.egress import Response

APART: Final = 2.0
"""Seconds that clocks may differ."""
FAR_APART: Final = 30.0


def examine_clock(clocks: Mapping[str, float | None]) -> Finding:
    """Check the seconds that each owner's clock is ahead of ours, or None if unknown."""
    known = {owner: seconds for owner, seconds in clocks.items() if seconds is not None}
    if not known:
        return warning("clock", "there is no other clock to compare it with", "See public URL and egress.")
    summary = ", ".join(
        f"{owner} is {abs(seconds):.1f} s {'behind' if seconds < 0 else 'ahead'}" for owner, seconds in known.items()
    )
    furthest = max(abs(seconds) for seconds in known.values())
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
    try:
        date = parsedate_to_datetime(header(answer, "Date") or "")
    except ValueError:
        return None
    date = date if date.tzinfo else date.replace(tzinfo=UTC)  # RFC 5322's "-0000"; HTTP's are all GMT
    return ahead(date, before, after, grain=1)


def header(answer: Response, name: str) -> str | None:
    """Return the first header with this name."""
    return next((value for key, value in answer.headers if key.lower() == name.lower()), None)
