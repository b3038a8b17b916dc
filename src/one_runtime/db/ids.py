"""Create and recognize row ids: UUIDs version 7 (RFC 9562 section 5.7) as text, in the order of their creation."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

import uuid_utils

ID_PATTERN: Final = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
ANY_CASE_PATTERN: Final = ID_PATTERN.replace("a-f", "a-fA-F")


def new_id() -> str:
    """Return a new id."""
    return str(uuid_utils.uuid7())


def lowest_id(moment: datetime) -> str:
    """Return the lowest possible id for a time. Every id that was created earlier is lower."""
    milliseconds = f"{max(0, int(moment.timestamp() * 1000)):012x}"
    return f"{milliseconds[:8]}-{milliseconds[8:]}-7000-8000-000000000000"


def later_id(row_id: str, delay: timedelta) -> str:
    """Return the lowest possible id for a time after the creation of an id. Accept every text that `is_id` accepts."""
    milliseconds = int(row_id.replace("-", "")[:12], 16) + delay // timedelta(milliseconds=1)
    text = f"{min(milliseconds, 2**48 - 1):012x}"
    return f"{text[:8]}-{text[8:]}-7000-8000-000000000000"


def time_of(row_id: str) -> datetime:
    """Return the time at which an id was created, in milliseconds."""
    return datetime.fromtimestamp(int(row_id.replace("-", "")[:12], 16) / 1000, UTC)


def canonical_id(text: str) -> str:
    """Return an id in lower case, because RFC 9562 also allows upper case. Return any other text unchanged."""
    return text.lower() if is_id(text.lower()) else text


def is_id(text: str) -> bool:
    """Return True if the text is a UUID in canonical form. Callers can refuse any other text without a query."""
    return re.fullmatch(ID_PATTERN, text) is not None
