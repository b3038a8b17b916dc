"""Compare this machine's clock with the clocks of the database, of the server at the public URL, and of providers."""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from one_runtime.doctor.finding import Finding, ok, problem, warning
from one_runtime.egress.response import Response

APART: Final = 2.0
"""If a clock differs by more than this number of seconds, the finding is a warning."""
FAR_APART: Final = 30.0
"""If a clock differs by more than this number of seconds, the finding is a problem."""


def examine_clock(clocks: Mapping[str, float | None]) -> Finding:
    """Compare other clocks with this machine's clock.

    `clocks` maps the owner of each clock to a difference in seconds. The difference is positive if the owner's clock is
    ahead of this machine's clock. The difference is None if the owner's clock could not be read.
    """
    known = {owner: seconds for owner, seconds in clocks.items() if seconds is not None}
    if not known:
        return warning(
            "clock",
            "the doctor could read no other clock to check this machine's clock",
            "See the findings `public URL` and `egress`.",
        )
    summary = ", ".join(
        f"the clock of {owner} is {abs(seconds):.1f} s {'behind' if seconds < 0 else 'ahead'}"
        for owner, seconds in known.items()
    )
    furthest = max(abs(seconds) for seconds in known.values())
    advice = "Synchronize every machine's clock with NTP. Clocks decide when sessions and tokens expire."
    if furthest > FAR_APART:
        return problem("clock", summary, advice)
    return warning("clock", summary, advice) if furthest > APART else ok("clock", summary)


def ahead(time: datetime, before: datetime, after: datetime, *, grain: float = 0) -> float:
    """Return the number of seconds by which another clock is certainly ahead of this machine's clock.

    A negative result means that the other clock is behind. The result is 0 if no difference is certain.

    The other clock showed `time` during a request. `time` is rounded down to a multiple of `grain` seconds. This
    machine's clock showed `before` at the start of the request and `after` at the end.
    """
    earliest = (time - after).total_seconds()
    latest = (time - before).total_seconds() + grain
    return max(earliest, 0.0) + min(latest, 0.0)


def ahead_by_date(answer: Response, before: datetime, after: datetime) -> float | None:
    """Return `ahead` for the Date header of a response (resolution: 1 second). Return None without a valid header."""
    try:
        date = parsedate_to_datetime(header(answer, "Date") or "")
    except ValueError:
        return None
    if not date.tzinfo:  # Python returns no time zone for the offset "-0000". HTTP dates are always GMT
        date = date.replace(tzinfo=UTC)
    return ahead(date, before, after, grain=1)


def header(answer: Response, name: str) -> str | None:
    """Return the value of the first header with this name, or None."""
    return next((value for key, value in answer.headers if key.lower() == name.lower()), None)
