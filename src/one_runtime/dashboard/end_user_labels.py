"""Name end users in lists, first by name or e-mail address, and write their identifiers as one part of a path.

An identifier can contain any text, such as `..` or `team/42`. Browsers and reverse proxies change such paths. So only
plain identifiers are in the path as they are. All others are encoded, after the character `~`. E-mail addresses are
encoded too, so that browsers and access logs do not show them.
"""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from one_runtime.dashboard.visit import Visit
from one_runtime.db.engine import Transaction
from one_runtime.tenancy import end_users


class EndUserLabel(NamedTuple):
    """An end user in a list. The macro `ui.end_user` shows the label.

    - `text`: the name, the e-mail address, or the identifier.
    - `identifier`: the identifier if `text` is another text, or None.
    - `path`: the path of the end user's page.
    """

    text: str
    identifier: str | None
    path: str


def own_test_user(visit: Visit) -> str:
    """Return the `end_user_id` with which the signed-in member connects test accounts."""
    return f"dashboard:{visit.member.member_id}"


def label_of(visit: Visit, end_user_id: str, name: str | None = None, email: str | None = None) -> EndUserLabel:
    """Return the label of an end user with this name and this e-mail address."""
    text = name or email or end_user_id
    identifier = None if text == end_user_id else end_user_id
    return EndUserLabel(text, identifier, visit.end_user_path(end_user_id))


async def find_labels(
    visit: Visit, tx: Transaction, end_user_ids: Iterable[str | None]
) -> Mapping[str | None, EndUserLabel]:
    """Return the labels of end users by identifier, with one statement. A deleted end user has a label, too."""
    ids = {end_user_id for end_user_id in end_user_ids if end_user_id is not None}
    known = await end_users.find_all(tx, visit.organization_id, ids)
    labels: dict[str | None, EndUserLabel] = {end_user_id: label_of(visit, end_user_id) for end_user_id in ids}
    return labels | {each.end_user_id: label_of(visit, each.end_user_id, each.name, each.email) for each in known}


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
