"""Return the current time, and format times as text. Tests replace `system_clock` with another clock."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeAlias

Clock: TypeAlias = Callable[[], datetime]


def system_clock() -> datetime:
    """Return the current time in UTC, truncated to milliseconds. All stored times have this precision."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


def rfc3339(moment: datetime) -> str:
    """Format a time by RFC 3339, in UTC with milliseconds and `Z`, such as `2026-11-25T01:02:03.004Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
