"""Databases that another version of One Runtime migrated, simulated with SQL."""

import sqlite3
from contextlib import closing
from typing import Final

import psycopg

from one_runtime.db.database_url import sqlite_path
from one_runtime.db.migrations import HEAD

NEWER: Final = f"v{int(HEAD[1:]) + 1:04}"
"""The revision after the newest one."""

_REVISION: Final = "UPDATE alembic_version SET version_num = '{}'"
_COMPATIBLE: Final = "UPDATE installation SET compatible_revision = '{}'"


def set_newer_schema(url: str, compatible_revision: str) -> None:
    """Record that a migration after `HEAD` ran, and which revision is compatible with its schema."""
    _update(url, _REVISION.format(NEWER), _COMPATIBLE.format(compatible_revision))


def set_revision(url: str, revision: str) -> None:
    """Record that a migration was the last one."""
    _update(url, _REVISION.format(revision))


def _update(url: str, *statements: str) -> None:
    path = sqlite_path(url)
    if path:
        with closing(sqlite3.connect(path)) as connection, connection:
            changed = [connection.execute(statement).rowcount for statement in statements]
    else:
        with psycopg.connect(url) as connection_:
            changed = [connection_.execute(statement.encode()).rowcount for statement in statements]
    assert set(changed) == {1}
