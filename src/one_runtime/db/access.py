"""Find out if this process can read, write and migrate the database. If the process cannot, an `Obstacle` says why."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psycopg
from psycopg.rows import class_row

from one_runtime.db.database_url import sqlite_path
from one_runtime.db.obstacles import Obstacle, postgres_obstacle, sqlite_obstacle, url_obstacle
from one_runtime.db.schema import metadata

OLDEST_POSTGRESQL: Final = 15
"""The oldest supported major version, which is the oldest maintained one (postgresql.org/support/versioning, 2026)."""

_TABLES: Final = ["alembic_version", *metadata.tables]
_USER: Final = """
SELECT current_setting('server_version_num')::integer / 10000 AS major,
    quote_ident(current_user) AS name, quote_ident(current_database()) AS database,
    pg_is_in_recovery() AS on_standby,
    current_setting('transaction_read_only') = 'on' AS read_only,
    (SELECT source FROM pg_settings WHERE name = 'default_transaction_read_only') AS read_only_source,
    quote_ident(current_schema()) AS schema,
    coalesce(has_schema_privilege(current_schema(), 'CREATE'), false) AS may_create
"""
_OWNED: Final = """
SELECT name, pg_get_userbyid(relowner) AS owner, pg_has_role(relowner, 'USAGE') AS may_migrate,
    has_table_privilege(oid, 'SELECT') AND (name = 'alembic_version' OR has_table_privilege(oid, 'INSERT')
    AND has_table_privilege(oid, 'UPDATE') AND has_table_privilege(oid, 'DELETE')) AS may_use
FROM unnest(%s::text[]) AS name JOIN pg_class ON oid = to_regclass(quote_ident(name)) ORDER BY name
"""
_TURN_OFF: Final = {
    "database": "Run in PostgreSQL: ALTER DATABASE {database} RESET default_transaction_read_only.",
    "user": "Run in PostgreSQL: ALTER ROLE {name} RESET default_transaction_read_only.",
    "database user": (
        "Run in PostgreSQL: ALTER ROLE {name} IN DATABASE {database} RESET default_transaction_read_only."
    ),
    "client": "Remove this option from ONE_RUNTIME_DATABASE_URL.",
}
"""Commands that turn the setting off, by the place where the setting is on (`source` in `pg_settings`)."""
_OWNER: Final = "Make {name} the owner of all tables: see docs/backup.md, Tables of another user."


@dataclass(frozen=True, slots=True)
class _User:
    """The database user. `major`: the version of PostgreSQL.

    `name`, `database`, `schema`: quoted for a statement if necessary, such as "one-runtime".
    """

    major: int
    name: str
    database: str
    on_standby: bool
    read_only: bool
    read_only_source: str
    schema: str | None
    may_create: bool


@dataclass(frozen=True, slots=True)
class _Table:
    name: str
    owner: str
    may_migrate: bool
    may_use: bool


@dataclass(frozen=True, slots=True)
class Access:
    """The rights of the database user. Tables that the user cannot see are missing in `tables`."""

    user: _User
    tables: tuple[_Table, ...]

    def obstacle_to_use(self) -> Obstacle | None:
        """Return the reason why a server cannot use the tables, or None."""
        user = self.user
        if user.major < OLDEST_POSTGRESQL:
            return Obstacle(
                f"PostgreSQL {user.major} is too old: One Runtime supports PostgreSQL {OLDEST_POSTGRESQL} or later",
                "Upgrade PostgreSQL, or use another server.",
            )
        if user.on_standby:
            return Obstacle(
                "PostgreSQL is a standby, which refuses writes", "Set ONE_RUNTIME_DATABASE_URL to the primary server."
            )
        if user.read_only:
            advice = _TURN_OFF.get(
                user.read_only_source,
                "Turn the setting off in PostgreSQL. Some hosting providers turn the setting on if the disk is full.",
            )
            return Obstacle(
                "PostgreSQL refuses writes, because default_transaction_read_only is on",
                advice.format(name=user.name, database=user.database),
            )
        unusable = [table for table in self.tables if not table.may_use]
        if unusable:
            return self._obstacle_of(unusable, "lacks permissions for")
        return None

    def obstacle_to_migration(self) -> Obstacle | None:
        """Return the reason why this user cannot migrate the database, or None."""
        obstacle = self.obstacle_to_use()
        if obstacle is not None:
            return obstacle
        foreign = [table for table in self.tables if not table.may_migrate]
        if foreign:
            return self._obstacle_of(foreign, "cannot migrate")
        if not self.user.may_create:
            schema = self.user.schema or "public"
            return Obstacle(
                f"the database user {self.user.name} cannot create tables in the schema {schema}",
                f"Run in PostgreSQL: GRANT USAGE, CREATE ON SCHEMA {schema} TO {self.user.name}.",
            )
        return None

    def _obstacle_of(self, tables: list[_Table], verb: str) -> Obstacle:
        first, count = tables[0], f"{len(tables)} of One Runtime's {len(_TABLES)} tables"
        saw = f"the database user {self.user.name} {verb} {count}, such as {first.name}, which belongs to {first.owner}"
        return Obstacle(saw, _OWNER.format(name=self.user.name))


def connect(url: str, *, timeout: int = 10) -> "psycopg.Connection[tuple[object, ...]]":
    """Open one connection to PostgreSQL, for a few statements. `timeout`: seconds for each address of the server.

    Raises: DatabaseUnusable if no server accepts the connection, or if the URL is invalid.
    """
    obstacle = url_obstacle(url)
    if obstacle is not None:
        raise obstacle.error()
    try:
        return psycopg.connect(url, autocommit=True, connect_timeout=timeout)
    except (psycopg.OperationalError, psycopg.ProgrammingError) as error:
        raise postgres_obstacle(url, error).error() from error


def read_access(url: str, *, timeout: int = 10) -> Access:
    """Return the rights of the database user. Raises: DatabaseUnusable if PostgreSQL cannot be reached."""
    with connect(url, timeout=timeout) as connection:
        with connection.cursor(row_factory=class_row(_User)) as users:
            user = users.execute(_USER).fetchone()
        with connection.cursor(row_factory=class_row(_Table)) as tables:
            listed = tables.execute(_OWNED, [_TABLES]).fetchall()
    assert user is not None  # noqa: S101 - a statement without FROM returns one row
    return Access(user, tuple(listed))


def require_usable(url: str) -> None:
    """Raises: DatabaseUnusable if this process cannot use the database. The database can be empty."""
    path = sqlite_path(url)
    obstacle = sqlite_obstacle(Path(path)) if path else read_access(url).obstacle_to_use()
    if obstacle is not None:
        raise obstacle.error()
