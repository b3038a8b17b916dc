"""Define `insert`, whose clause ON CONFLICT compiles for SQLite and for PostgreSQL (docs/decisions/0008-upserts.md).

SQLAlchemy has one `insert` with this clause for each dialect. The import of PostgreSQL's dialect takes 30 ms, and
commands on SQLite do not need this dialect.
"""

from typing import Any, Final, Self

from sqlalchemy import Table
from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.sqlite.dml import OnConflictDoNothing, OnConflictDoUpdate


class _DoNothing(OnConflictDoNothing):
    inherit_cache = True
    constraint_target: Final = None  # the compiler for PostgreSQL reads this attribute


class _DoUpdate(OnConflictDoUpdate):
    inherit_cache = True
    constraint_target: Final = None


class Insert(sqlite.Insert):
    """An INSERT of SQLite's dialect. SQLAlchemy's compiler for PostgreSQL also accepts the statement."""

    inherit_cache = True

    def on_conflict_do_nothing(self, *clause: Any, **named: Any) -> Self:
        return self.ext(_DoNothing(*clause, **named))

    def on_conflict_do_update(self, *clause: Any, **named: Any) -> Self:
        return self.ext(_DoUpdate(*clause, **named))


def insert(table: Table) -> Insert:
    """Return an INSERT that accepts the clause ON CONFLICT."""
    return Insert(table)
