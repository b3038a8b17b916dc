"""Connect to the database and run the migrations. Alembic executes this module when `migrate()` calls Alembic."""

from alembic import context
from sqlalchemy import create_engine, event, pool
from sqlalchemy.engine import make_url

from one_runtime.db.tables import metadata


def run() -> None:
    """Migrate in one transaction, except for the parts of migrations that PostgreSQL runs outside a transaction."""
    url = make_url(context.config.attributes["url"])
    if url.drivername in {"postgresql", "postgres"}:
        url = url.set(drivername="postgresql+psycopg")
    engine = create_engine(url, poolclass=pool.NullPool)
    if url.drivername == "sqlite":
        # sqlite3's own transactions do not include DDL statements, so turn these transactions off. The BEGIN below puts
        # the whole migration into one transaction.
        event.listen(engine, "connect", lambda connection, _: setattr(connection, "isolation_level", None))
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    else:
        wait = context.config.attributes["lock_timeout"]
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(f"SET LOCAL lock_timeout = {wait}"))
    with engine.connect() as connection:
        context.configure(connection=connection, target_metadata=metadata)
        with context.begin_transaction():
            context.run_migrations()
    engine.dispose()


run()
