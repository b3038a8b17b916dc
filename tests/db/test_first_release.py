"""The first release: one migration makes the schema of all migrations before it, and their databases are accepted."""

import sqlite3
from contextlib import closing
from typing import Any, Final

import psycopg
import pytest

from one_runtime.db.database_url import sqlite_path
from one_runtime.db.migrations import HEAD, LAST_UNRELEASED, current_revision, migrate, require_compatible
from one_runtime.errors import ConfigurationError
from tests import every_table
from tests.newer_schema import set_revision
from tests.versions import COMMITS, Version

pytestmark = pytest.mark.slow

_SQLITE: Final = (
    """SELECT tables.name, columns.name, columns.type, "notnull", dflt_value, pk
    FROM sqlite_master tables, pragma_table_info(tables.name) columns WHERE tables.type = 'table'""",
    """SELECT tables.name, keys."from", keys."table", keys."to", on_delete
    FROM sqlite_master tables, pragma_foreign_key_list(tables.name) keys WHERE tables.type = 'table'""",
    "SELECT name, sql, '' FROM sqlite_master WHERE type <> 'table' AND name NOT LIKE 'sqlite_autoindex_%'",
)
_POSTGRESQL: Final = (
    """SELECT attrelid::regclass::text, attname, format_type(atttypid, atttypmod), attnotnull,
        pg_get_expr(adbin, adrelid)
    FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
    LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
    WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND attnum > 0""",
    """SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid)
    FROM pg_constraint WHERE connamespace = 'public'::regnamespace""",
    "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
)


def schema(url: str) -> list[set[tuple[Any, ...]]]:
    """Return all columns, all constraints and all indexes."""
    path = sqlite_path(url)
    if path:
        with closing(sqlite3.connect(path)) as connection:
            return [set(connection.execute(query)) for query in _SQLITE]
    with psycopg.connect(url) as connection_:
        return [set(connection_.execute(query)) for query in _POSTGRESQL]


async def test_database_of_the_version_before_keeps_its_rows_and_gets_the_schema_of_a_new_database(
    empty_database_url: str, database_url: str, unreleased: Version
) -> None:
    unreleased.migrate(empty_database_url)
    assert current_revision(empty_database_url) == LAST_UNRELEASED
    await every_table.fill(empty_database_url)
    missing = every_table.missing_columns(empty_database_url)
    rows = await every_table.contents(empty_database_url, missing)
    with pytest.raises(ConfigurationError, match="one-runtime migrate"):
        require_compatible(empty_database_url)
    assert migrate(empty_database_url) is True
    assert current_revision(empty_database_url) == HEAD
    assert await every_table.contents(empty_database_url, missing) == rows
    assert schema(empty_database_url) == schema(database_url)
    assert all(len(part) > 50 for part in schema(database_url))


@pytest.mark.parametrize("revision", ["0001", "0024"])
def test_older_schema_is_refused_with_the_version_that_can_migrate_it(database_url: str, revision: str) -> None:
    set_revision(database_url, revision)
    for refused in (migrate, require_compatible):
        with pytest.raises(ConfigurationError) as error:
            refused(database_url)
        assert error.value.detail == (
            f"The database has the schema {revision} of a version before the first release. Run `one-runtime migrate` "
            f"with commit {COMMITS[LAST_UNRELEASED][:8]} of One Runtime first, and then with this version."
        )
    assert current_revision(database_url) == revision
