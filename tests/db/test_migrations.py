"""Migrations: an empty database becomes `db/schema.py`, on both databases, with concurrent starts."""

import ast
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from psycopg import sql
from sqlalchemy import JSON, Connection, Engine, Index, create_engine, inspect, make_url, pool
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.sqlite.base import SQLiteDDLCompiler

from one_runtime.db.migrations import HEAD, LAST_UNRELEASED, current_revision, migrate, require_compatible
from one_runtime.db.schema import metadata
from one_runtime.errors import ConfigurationError
from tests.source_files import nodes
from tests.versions import THIS, Migration, Version, ended

pytestmark = [
    pytest.mark.slow,
    # `test_database_has_the_indexes_of_expressions_of_the_schema` compares these indexes.
    pytest.mark.filterwarnings("ignore:Skipped unsupported reflection of expression-based index"),
    pytest.mark.filterwarnings("ignore:autogenerate skipping metadata-specified expression-based index"),
]


def engine_for(url: str) -> Engine:
    parsed = make_url(url)
    if parsed.drivername.startswith("postgres"):
        parsed = parsed.set(drivername="postgresql+psycopg")
    return create_engine(parsed, poolclass=pool.NullPool)


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    """Open a plain SQLAlchemy connection to a migrated database."""
    engine = engine_for(database_url)
    with engine.connect() as opened:
        yield opened
    engine.dispose()


def test_empty_database_is_migrated_once(empty_database_url: str) -> None:
    assert current_revision(empty_database_url) is None
    with pytest.raises(ConfigurationError, match="one-runtime migrate"):
        require_compatible(empty_database_url)
    assert migrate(empty_database_url) is True
    assert current_revision(empty_database_url) == HEAD
    require_compatible(empty_database_url)
    assert migrate(empty_database_url) is False


def test_one_of_several_processes_migrates_and_the_others_wait(empty_database_url: str) -> None:
    processes = [THIS.start_migration(empty_database_url) for _ in range(4)]
    assert sorted(ended(process).done for process in processes) == [False, False, False, True]
    assert current_revision(empty_database_url) == HEAD


def test_alembic_is_not_imported_for_a_current_database(database_url: str) -> None:
    assert ended(THIS.start_migration(database_url)) == Migration(done=False, alembic=False)


def test_constant_head_is_the_head_of_alembic() -> None:
    assert ScriptDirectory(str(THIS.migrations)).get_heads() == [HEAD]


@pytest.mark.parametrize("revision", [None, HEAD, LAST_UNRELEASED])
def test_later_migrations_run_on_each_earlier_schema(
    database_url: str, empty_database_url: str, unreleased: Version, later: Version, revision: str | None
) -> None:
    url = database_url if revision == HEAD else empty_database_url
    if revision == LAST_UNRELEASED:
        unreleased.migrate(url)
    assert later.migrate(url) is True
    assert current_revision(url) == later.revision
    require_compatible(url)
    assert (later.migrate(url), migrate(url)) == (False, False)
    engine = engine_for(url)
    assert inspect(engine).has_table("fruits")
    assert "ix_events_type" in {index["name"] for index in inspect(engine).get_indexes("events")}
    engine.dispose()


def test_this_version_does_not_start_after_a_later_migration_that_removes_a_column(
    database_url: str, incompatible: Version
) -> None:
    assert incompatible.migrate(database_url) is True
    with pytest.raises(ConfigurationError, match=f"has the schema {incompatible.revision}, .* supports {HEAD} at most"):
        require_compatible(database_url)


def test_migrations_import_nothing_of_the_package() -> None:
    """A migration that used the current schema would change with it."""
    imports = {
        name
        for path in (THIS.migrations / "versions").glob("*.py")
        for node in nodes(path)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (getattr(node, "module", None), *(alias.name for alias in node.names))
        if name
    }
    assert "sqlalchemy" in imports
    assert {name for name in imports if name.startswith("one_runtime")} == set()


def test_migrations_make_exactly_the_schema(connection: Connection) -> None:
    options = {"compare_type": differs, "compare_server_default": True}
    assert compare_metadata(MigrationContext.configure(connection, opts=options), metadata) == []


def differs(context: MigrationContext, _: object, __: object, created: object, defined: object) -> bool | None:
    """Compare the types of a column. Return None if Alembic has to compare the types."""
    if context.dialect.name == "postgresql" and isinstance(defined, JSON):
        return not isinstance(created, JSONB)
    return None


def test_partial_indexes_have_the_conditions_of_the_schema(connection: Connection) -> None:
    inspector, option = inspect(connection), f"{connection.dialect.name}_where"
    created = {
        index["name"]: re.sub(r"[()\"]|::text", "", str(index["dialect_options"][option]))
        for name in metadata.tables
        for index in inspector.get_indexes(name)
        if option in index.get("dialect_options", {})
    }
    indexes = [index for table in metadata.tables.values() for index in table.indexes]
    assert created == {index.name: index.info["where"] for index in indexes if index.info}


def leading_column(index: Index) -> str:
    return str(next(iter(index.columns)).name)


def test_database_has_the_indexes_of_the_schema(connection: Connection) -> None:
    indexes = {
        index["name"]: [str(name) for name in index["column_names"]]
        for table in metadata.tables
        for index in inspect(connection).get_indexes(table)
        if "expressions" not in index
    }
    assert indexes == {
        index.name: [column.name for column in index.columns]
        for table in metadata.tables.values()
        for index in table.indexes
        if not of_expressions(index)
    }


def of_expressions(index: Index) -> bool:
    return list(index.expressions) != list(index.columns)


def test_database_has_the_indexes_of_expressions_of_the_schema(connection: Connection) -> None:
    query = "SELECT indexname AS name, indexdef AS definition FROM pg_indexes"
    if connection.dialect.name == "sqlite":
        query = "SELECT name, sql AS definition FROM sqlite_master"
    created = {
        row.name: row.definition.lower().split("(", 1)[1].removesuffix(")")
        for row in connection.exec_driver_sql(query)
        if row.definition and "(lower(" in row.definition.lower()
    }
    assert created == {
        index.name: f"lower({leading_column(index)})"
        for table in metadata.tables.values()
        for index in table.indexes
        if of_expressions(index)
    }


@pytest.mark.only_database("sqlite")
def test_failed_migration_changes_nothing(empty_database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SQLiteDDLCompiler, "visit_create_index", lambda *_, **__: "CREATE NONSENSE")
    with pytest.raises(Exception, match="NONSENSE"):
        migrate(empty_database_url)
    monkeypatch.undo()
    engine = engine_for(empty_database_url)
    assert inspect(engine).get_table_names() == []
    engine.dispose()
    assert migrate(empty_database_url) is True


def test_unreachable_postgresql_server_is_reported_in_a_sentence() -> None:
    with pytest.raises(ConfigurationError, match="cannot be reached"):
        migrate("postgresql://nobody@127.0.0.1:1/none")


@pytest.mark.only_database("postgresql")
def test_migration_waits_for_a_table_in_use_without_blocking_servers(database_url: str, later: Version) -> None:
    with psycopg.connect(database_url) as busy, psycopg.connect(database_url, autocommit=True) as reading:
        busy.execute("SELECT * FROM key_ring")  # a transaction that stays open
        _, error = later.start_migration(database_url, patience=0.5).communicate(timeout=30)
        assert "an open transaction locks a table" in error
        reading.execute("SET statement_timeout = '800ms'")
        migrating = later.start_migration(database_url)
        wait_for_lock(database_url, "key_ring")
        for _ in range(20):
            reading.execute(
                "SELECT * FROM key_ring"
            )  # would time out behind a migration that keeps waiting for the lock
            reading.execute("SELECT pg_sleep(0.05)")
        assert migrating.poll() is None
        busy.rollback()
        assert ended(migrating).done
    assert current_revision(database_url) == later.revision


@pytest.mark.timeout(120)
@pytest.mark.only_database("postgresql")
def test_migration_gives_way_to_a_server_before_the_deadlock_check_of_postgresql(
    empty_database_url: str, later: Version
) -> None:
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        name = sql.Identifier(connection.info.dbname)
        connection.execute(sql.SQL("ALTER DATABASE {} SET deadlock_timeout = '390ms'").format(name))
    # A busy machine can delay the migration until the check, but not again and again.
    assert any(server_outlasts_a_migration(empty_database_url, later) for _ in range(3))


def server_outlasts_a_migration(url: str, later: Version) -> bool:
    """Let a server and a migration wait for each other. Return False if PostgreSQL aborts the server's transaction."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    migrate(url)
    with ThreadPoolExecutor(1) as threads, psycopg.connect(url) as server, psycopg.connect(url) as other_server:
        server.execute("SELECT * FROM credentials")
        other_server.execute("SELECT * FROM hosted_connection_sessions")
        migrating = later.start_migration(url)
        wait_for_lock(url, "hosted_connection_sessions")  # the migration has already changed `key_ring`
        reading = threads.submit(server.execute, "SELECT * FROM key_ring")
        wait_for_lock(url, "key_ring")
        other_server.commit()  # the migration continues, and waits for `credentials`
        try:
            reading.result(timeout=30)
        except psycopg.errors.DeadlockDetected:
            return False
        finally:
            server.rollback()
            assert ended(migrating).done
    return True


def wait_for_lock(url: str, table: str) -> None:
    """Wait until a transaction waits for the lock of a table."""
    waiting = "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = %s::regclass"
    with psycopg.connect(url, autocommit=True) as connection:
        while connection.execute(waiting, [table]).fetchone() is None:
            connection.execute("SELECT pg_sleep(0.005)")


@pytest.mark.only_database("sqlite")
def test_each_migration_is_compatible_with_the_previous_version_or_says_otherwise(
    empty_database_url: str, incompatible: Version
) -> None:
    """Hold the rule of CONTRIBUTING.md: a migration only adds, or raises `compatible_revision` to itself."""
    engine = engine_for(empty_database_url)
    scripts = ScriptDirectory(str(incompatible.migrations))
    first, *later = [script.revision for script in reversed(list(scripts.walk_revisions()))]
    migrate_to(empty_database_url, incompatible, first)
    assert compatible_revision(engine) == first
    for revision in later:
        before, compatible = shape(engine), compatible_revision(engine)
        migrate_to(empty_database_url, incompatible, revision)
        assert compatible_revision(engine) in {compatible, revision}, revision
        if compatible_revision(engine) != revision:
            assert incompatibilities(before, shape(engine)) == [], revision
    assert compatible_revision(engine) == incompatible.revision
    engine.dispose()


def migrate_to(url: str, version: Version, revision: str) -> None:
    """Run the migrations of a version until one of them."""
    config = Config()
    config.set_main_option("script_location", str(version.migrations))
    config.attributes.update(url=url)
    command.upgrade(config, revision)


@pytest.mark.only_database("sqlite")
@pytest.mark.parametrize(
    "statement, expected",
    [
        ("CREATE TABLE fruit (id TEXT PRIMARY KEY)", []),
        ("ALTER TABLE servers ADD COLUMN zone TEXT", []),
        ("ALTER TABLE servers ADD COLUMN zone TEXT NOT NULL DEFAULT 'a'", []),
        ("CREATE INDEX plain ON servers (version)", []),
        ("DROP TABLE requests", ["the table requests is missing"]),
        ("ALTER TABLE servers DROP COLUMN version", ["servers.version is missing"]),
        ("ALTER TABLE servers RENAME COLUMN version TO build", ["servers.version is missing", "servers.build"]),
        ("CREATE UNIQUE INDEX strict ON servers (version)", ["servers has the new unique index strict"]),
        (
            "CREATE UNIQUE INDEX strict ON servers (version) WHERE version > ''",
            ["servers has the new unique index strict"],
        ),
    ],
)
def test_incompatible_changes_of_the_schema_are_found(database_url: str, statement: str, expected: list[str]) -> None:
    engine = engine_for(database_url)
    before = shape(engine)
    with engine.begin() as changing:
        changing.exec_driver_sql(statement)
    found = incompatibilities(before, shape(engine))
    assert len(found) == len(expected)
    assert all(finding.startswith(words) for finding, words in zip(found, expected, strict=True)), found
    engine.dispose()


Shape = dict[str, tuple[dict[str, tuple[str, bool, str]], dict[str, str]]]
"""By table: its columns with type, nullability and default, and its unique indexes with their conditions."""


def shape(engine: Engine) -> Shape:
    inspector = inspect(engine)
    return {
        table: (
            {
                column["name"]: (str(column["type"]), column["nullable"], str(column["default"] or ""))
                for column in inspector.get_columns(table)
            },
            {
                str(index["name"]): str(index.get("dialect_options", {}).get("sqlite_where", ""))
                for index in inspector.get_indexes(table)
                if index["unique"]
            },
        )
        for table in inspector.get_table_names()
    }


def incompatibilities(before: Shape, after: Shape) -> list[str]:
    """Return the changes after which the previous version cannot read and write all rows."""
    found = [f"the table {table} is missing" for table in before if table not in after]
    for table in before.keys() & after.keys():
        (old, old_unique), (new, new_unique) = before[table], after[table]
        found += [f"{table}.{name} is missing" for name in old if name not in new]
        found += [f"{table}.{name} is different" for name in old if name in new and new[name] != old[name]]
        found += [
            f"{table}.{name} is required, and has no default"
            for name, (_, nullable, default) in new.items()
            if name not in old and not nullable and not default
        ]
        unused = {name for name, (_, _, default) in new.items() if name not in old and default == "0"}
        found += [
            f"{table} has the new unique index {name}"
            for name, condition in new_unique.items()
            if name not in old_unique and condition not in unused  # else it has no row of the previous version
        ]
    return found


def compatible_revision(engine: Engine) -> str:
    with engine.connect() as connection:
        return str(connection.exec_driver_sql("SELECT compatible_revision FROM installation").scalar_one())


@pytest.mark.only_database("sqlite")
def test_new_sqlite_file_is_readable_by_its_owner_only(empty_database_url: str) -> None:
    migrate(empty_database_url)
    path = Path(empty_database_url.removeprefix("sqlite:///"))
    assert path.stat().st_mode & 0o777 == 0o600
