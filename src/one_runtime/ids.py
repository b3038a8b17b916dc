"""Row ids: UUIDs version 7 (RFC 9562 section 5.7), in canonical text; ordered by time of making."""

import uuid_utils


def new_id() -> str:
    """A new id."""
    return str(uuid_utils.uuid7())


def is_id(text: str) -> bool:
    """Whether a text is a UUID in canonical form; anything else names nothing and is not looked up."""
    try:
        return str(uuid_utils.UUID(text)) == text
    except ValueError:
        return False
