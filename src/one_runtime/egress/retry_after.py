"""Parse the header `Retry-After` (RFC 9110 section 10.2.3), and the date formats of providers."""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

_SECONDS: Final = re.compile(r"-?[0-9]{1,16}(?:\.[0-9]{1,9})?")
_UNIX_TIME: Final = 1_000_000_000
"""A larger number counts as a Unix time, because some providers send a Unix time instead of seconds."""

_LONGEST: Final = float(_UNIX_TIME)
"""Maximum result, which a `timedelta` can contain. Some providers send a Unix time in microseconds."""


def parse_retry_after(value: str, now: datetime) -> float | None:
    """Return the number of seconds to wait, from 0 to `_LONGEST`. Return None if the value is no number and no date."""
    value = value.strip()
    if _SECONDS.fullmatch(value):
        seconds = float(value)
        return min(max(0.0, seconds if seconds <= _UNIX_TIME else seconds - now.timestamp()), _LONGEST)
    moment = parse_date(value)
    return None if moment is None else max(0.0, (moment - now).total_seconds())


def parse_date(text: str) -> datetime | None:
    """Parse an RFC 3339 or HTTP date and return its time in UTC. Return None for any other text.

    A date without a time zone counts as UTC.
    """
    for parse in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            moment = parse(text.strip()[:64])
            return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
        except (ValueError, OverflowError):
            continue
    return None
