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
    known = [(whose, by) for whose, by in clocks if by is not None]
    if not known:
        return warning("clock", "there is no other one to compare it with", "See public URL and egress.")
    told = ", ".join(f"{whose} is {abs(by):.1f} s {'behind' if by < 0 else 'ahead'}" for whose, by in known)
    furthest = max(abs(by) for _, by in known)
    advice = "Keep every machine's clock by NTP: sessions, leases and tokens expire by it."
    if furthest > FAR_APART:
        return problem("clock", told, advice)
    return warning("clock", told, advice) if furthest > APART else ok("clock", told)


def ahead(told: datetime, before: datetime, after: datetime, *, grain: float = 0) -> float:
    """How many seconds a clock is ahead of ours at the least, which told its time between two times of ours, to the
    `grain`: a slow answer makes no clock wrong.
    """
    earliest = (told - after).total_seconds()
    latest = (told - before).total_seconds() + grain
    return max(earliest, 0.0) + min(latest, 0.0)


def ahead_by_date(answer: Response, before: datetime, after: datetime) -> float | None:
    """The same by an answer's Date, which has whole seconds; none where there is none to rely on."""
    told = next((value for name, value in answer.headers if name.lower() == "date"), None)
    try:
        date = parsedate_to_datetime(told) if told else None
    except ValueError:
        return None
    if date is None:
        return None
    date = date if date.tzinfo else date.replace(tzinfo=UTC)  # RFC 5322's "-0000"; HTTP's are all GMT
    return ahead(date, before, after, grain=1)
