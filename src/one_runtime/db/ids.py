"""Row ids: UUIDs version 7 (RFC 9562 section 5.7), in canonical text, ordered by creation time."""

import re
from datetime import datetime
from typing import Final

import uuid_utils

ID_PATTERN: Final = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"


def new_id() -> str:
    """Return a new id."""
    return str(uuid_utils.uuid7())


def lowest_id(moment: datetime) -> str:
    """Return the lowest possible id of a moment. All ids from earlier moments are lower."""
    milliseconds = f"{int(moment.timestamp() * 1000):012x}"
    return f"{milliseconds[:8]}-{milliseconds[8:]}-7000-8000-000000000000"


def is_id(text: str) -> bool:
    """Return True for a UUID in canonical form. No row has any other id, so callers need no look-up for other texts."""
    return re.fullmatch(ID_PATTERN, text) is not None
