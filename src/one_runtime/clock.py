"""Return the current time, and convert times from and to text. Tests pass another clock than `system_clock`."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, TypeAlias

Clock: TypeAlias = Callable[[], datetime]

_RFC3339: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)", re.ASCII | re.IGNORECASE)


def system_clock() -> datetime:
    """Return the current time in UTC, truncated to milliseconds. All stored times have this precision."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


def rfc3339(moment: datetime) -> str:
    """Format a time by RFC 3339, in UTC with milliseconds and `Z`, such as `2026-11-25T01:02:03.004Z`."""
    # `strftime` takes twice as long.
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def parse_rfc3339(text: str) -> datetime:
    """Parse a time by RFC 3339, such as `2026-11-25T01:02:03Z`. Raises: ValueError."""
    if not _RFC3339.fullmatch(text):
        raise ValueError("The text is not a time by RFC 3339.")
    return datetime.fromisoformat(text.upper())
