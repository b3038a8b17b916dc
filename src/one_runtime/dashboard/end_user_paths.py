"""Write the identifier of an end user as one part of a path.

An identifier can contain any text, such as `..` or `team/42`. Browsers and reverse proxies change such paths. So only
plain identifiers are in the path as they are. All others are encoded, after the character `~`. E-mail addresses are
encoded too, so that browsers and access logs do not show them.
"""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Final

_PLAIN: Final = re.compile(r"[A-Za-z0-9_|:+-][A-Za-z0-9_.|:+-]*")


def path_part(end_user_id: str) -> str:
    """Return the part of the path for an end user."""
    if _PLAIN.fullmatch(end_user_id):
        return end_user_id
    return "~" + urlsafe_b64encode(end_user_id.encode()).decode().rstrip("=")


def query_value(end_user_id: str) -> str:
    """Return the value of a query for an end user. A query can contain any text, but shall not contain addresses."""
    is_plain = "@" not in end_user_id and identifier_of(end_user_id) == end_user_id
    return end_user_id if is_plain else path_part(end_user_id)


def identifier_of(part: str) -> str:
    """Return the identifier of a path or a query. A text that `path_part` did not write is the identifier.

    An encoded identifier can contain a NUL, which PostgreSQL cannot compare. No end user has such an identifier.
    """
    encoded = part.removeprefix("~")
    try:
        identifier = urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
    except ValueError:
        return part
    is_written = bool(identifier) and "\x00" not in identifier and path_part(identifier) == part
    return identifier if is_written else part
