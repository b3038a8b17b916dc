"""Name end users in lists: first the name or the e-mail address, then the identifier."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

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
