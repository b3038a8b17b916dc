"""Define the filters for lists of an organization's connections."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement

from one_runtime.db.scanning import Values, matches, within
from one_runtime.db.schema import connections


@dataclass(frozen=True, slots=True)
class ConnectionFilter:
    """Filters for a list of connections. A field with the value None matches all connections.

    `since`, `until`: list connections that were created at or after `since`, and before `until`.
    """

    end_user_id: Values[str] = None
    integration_slug: Values[str] = None
    status: Values[str] = None
    since: datetime | None = None
    until: datetime | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """Return the conditions for the rows of connections."""
        names = ("end_user_id", "integration_slug", "status")
        equal = [condition for name in names for condition in matches(connections.c[name], getattr(self, name))]
        return [*equal, *within(connections.c.id, self.since, self.until)]
