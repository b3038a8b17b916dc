"""Connect to the database and run the migrations. Alembic executes this module when `migrate()` calls Alembic."""

from typing import Final

from alembic import context
from sqlalchemy import Connection, Engine, create_engine, event, inspect, pool

from one_runtime.db.migrations import LAST_UNRELEASED
from one_runtime.db.schema import metadata

_SET_LOCK_TIMEOUT: Final = """
SELECT set_config('lock_timeout', greatest(1, least(400, setting::integer / 5 * 2))::text, true)
FROM pg_settings WHERE name = 'deadlock_timeout'
"""
"""Statement that sets the milliseconds that the migration waits for the lock of a table, until its transaction ends.

During this time, servers that need the table wait too. A server that waits for a table of the migration longer than
`deadlock_timeout` looks for a deadlock. If the migration then waits for a table of the server, PostgreSQL aborts the
server's transaction. So the migration waits for less than half of `deadlock_timeout`, and gives way before that.
"""


def run() -> None:
    """Migrate in one transaction, except for the parts of migrations that PostgreSQL runs outside a transaction."""
    url: str = context.config.attributes["url"]
    engine = create_engine(url, poolclass=pool.NullPool) if url.startswith("sqlite:") else _postgres_engine(url)
    if engine.dialect.name == "sqlite":
        # sqlite3's own transactions do not include DDL statements, so turn these transactions off. The BEGIN below puts
        # the whole migration into one transaction.
        event.listen(engine, "connect", lambda connection, _: setattr(connection, "isolation_level", None))
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    else:
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(_SET_LOCK_TIMEOUT))
    with engine.begin() as connection:
        _accept_unreleased(connection)
    with engine.connect() as connection:
        context.configure(connection=connection, target_metadata=metadata)
        with context.begin_transaction():
            context.run_migrations()
    engine.dispose()


def _accept_unreleased(connection: Connection) -> None:
    """Change the revision of a database that an unreleased version migrated. Its tables are those of `v0001`."""
    if inspect(connection).has_table("alembic_version"):
        connection.exec_driver_sql(
            f"UPDATE alembic_version SET version_num = 'v0001' WHERE version_num = '{LAST_UNRELEASED}'"  # noqa: S608
        )


def _postgres_engine(url: str) -> Engine:
    """Create an engine that leaves the URL to libpq. SQLAlchemy cannot read a URL with the ports of several hosts."""
    import psycopg  # noqa: PLC0415 - takes 50 ms, and SQLite does not need it

    return create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(url), poolclass=pool.NullPool)


run()
