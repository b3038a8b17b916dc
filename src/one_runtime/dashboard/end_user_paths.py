"""Write the identifier of an end user as one part of a path.

An identifier can contain any text, such as `..` or `team/42`. Browsers and reverse proxies change such paths. So only
plain identifiers are in the path as they are. All others are encoded, after the character `~`.
"""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Final

_PLAIN: Final = re.compile(r"[A-Za-z0-9_@|:+-][A-Za-z0-9_.@|:+-]*")


def path_part(end_user_id: str) -> str:
    """Return the part of the path for an end user."""
    if _PLAIN.fullmatch(end_user_id):
        return end_user_id
    return "~" + urlsafe_b64encode(end_user_id.encode()).decode().rstrip("=")


def identifier_of(part: str) -> str:
    """Return the identifier of the end user of a path. A text that `path_part` did not write is the identifier."""
    encoded = part.removeprefix("~")
    try:
        identifier = urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
    except ValueError:
        return part
    return identifier if identifier and path_part(identifier) == part else part
