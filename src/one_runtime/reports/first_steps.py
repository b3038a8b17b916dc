"""Find the first steps that the people of a new organization have done, for the overview of the dashboard.

The oldest events of the organization show the steps. The demo creates data of its own, and its events have no person as
actor. So these events do not count.
"""

from datetime import timedelta
from typing import Final, NamedTuple

from sqlalchemy import ColumnElement, Subquery, Text, and_, bindparam, case, func, literal_column, or_, select

from one_runtime.db.schema import ID, TIME, events, organizations

PERIOD: Final = timedelta(days=30)
"""Time after the creation of an organization for which the organization is new."""

SEARCHED: Final = 2_000
"""Number of the oldest events that are compared."""

_CHANGED: Final = events.c.data.op("->>", return_type=Text())(literal_column("'changed'"))


class DoneSteps(NamedTuple):
    """The first steps. A field is True if a person has done the step.

    - `integration`: changed the list of enabled integrations, registered an OAuth client, or added a custom
      integration.
    - `api_key`: created an API key.
    - `connection`: connected an account.
    - `link`: created a link to connect again, in the dashboard.
    - `invitation`: invited a colleague, in the dashboard.
    """

    integration: bool
    api_key: bool
    connection: bool
    link: bool
    invitation: bool


def done_steps() -> Subquery:
    """Return one row: the column `is_new`, and the columns of `DoneSteps` with 1 for each step that was done.

    Parameters: `organization`, and `new_since`. An organization that was created before this time is not new. Then the
    statement reads no event.
    """
    organization = bindparam("organization", type_=ID)
    created_at = select(organizations.c.created_at).where(organizations.c.id == organization).scalar_subquery()
    is_new = created_at >= bindparam("new_since", type_=TIME)
    oldest = (
        select(events.c.type, events.c.actor_type, events.c.actor_id, events.c.connection_id, _CHANGED.label("changed"))
        .where(events.c.organization_id == organization, is_new)
        .order_by(events.c.id)
        .limit(SEARCHED)
        .subquery()
    )
    columns, by_person = oldest.c, oldest.c.actor_id.is_not(None)

    def is_type(*kinds: str) -> ColumnElement[bool]:
        return or_(*(columns.type == kind for kind in kinds))

    by_member = columns.actor_type == "member"
    enabled = and_(is_type("organization.updated"), columns.changed.contains("integrations_"))
    steps = {
        "integration": and_(by_person, or_(enabled, is_type("oauth_client.updated", "custom_integration.created"))),
        "api_key": and_(by_person, is_type("api_key.created")),
        "connection": is_type("connection.created"),
        "link": and_(by_member, is_type("hosted_connection_session.created"), columns.connection_id.is_not(None)),
        "invitation": and_(by_member, is_type("member.invited")),
    }
    flags = [func.coalesce(func.max(case((steps[name], 1), else_=0)), 0).label(name) for name in DoneSteps._fields]
    return select(case((is_new, 1), else_=0).label("is_new"), *flags).subquery()
