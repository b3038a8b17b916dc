"""Migrations: from nothing to `db/schema.py`, on both databases, however many processes start at once."""

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, Index, create_engine, inspect, make_url, pool
from sqlalchemy.dialects.sqlite.base import SQLiteDDLCompiler

from one_runtime.db import migrations
from one_runtime.db.migrations import HEAD, current_revision, migrate, require_current
from one_runtime.db.schema import metadata
from one_runtime.errors import ConfigurationError

pytestmark = pytest.mark.slow

CROSS_TENANT: Final = {
    "ix_credentials_key_id_connection_id": "keys are rotated over all organizations",
    "ix_unredeemed_connections_key_id_session_id": "keys are rotated over all organizations",
    "ix_unredeemed_connections_due_at": "what nobody redeemed is wiped over all organizations",
    "ix_oauth_clients_key_id_id": "keys are rotated over all organizations",
    "ix_consents_key_id_id": "keys are rotated over all organizations",
    "ix_revocations_key_id_id": "keys are rotated over all organizations",
    "ix_credentials_refresh_due_at": "tokens are renewed over all organizations",
    "ix_revocations_due_at": "tokens are revoked over all organizations",
    "ix_consents_expires_at": "what nobody came back from is wiped over all organizations",
    "ix_consents_session_id": "a consent goes with its session",
    "ix_consents_ticket_hash": "a look-up by the hash of a secret says which organization it is",
    "ix_consents_state_hash": "a look-up by the hash of a secret says which organization it is",
    "ix_credentials_oauth_client_id": "clients of the instance are no organization's",
    "ix_consents_oauth_client_id": "clients of the instance are no organization's",
    "ix_revocations_oauth_client_id": "clients of the instance are no organization's",
    "ix_custom_integrations_logo_hash": "the address of a logo holds a digest that only its organization is told",
    "ix_api_keys_secret_hash": "a look-up by the hash of a secret says which organization it is",
    "ix_hosted_connection_sessions_token_hash": "a look-up by the hash of a secret says which organization it is",
}
"""The indexes that do not lead with organization_id, and why."""

_THROUGH_OTHERS: Final = {"credentials", "unredeemed_connections", "consents", "oauth_clients"}
"""Tables whose rows go with a connection's or a session's; and clients, which may be the instance's."""

MIGRATE: Final = """
import json, sys
from one_runtime.db.migrations import migrate
done = migrate(sys.argv[1])
print(json.dumps({"done": done, "alembic": "alembic" in sys.modules}))
"""


def engine_for(url: str) -> Engine:
    parsed = make_url(url)
    if parsed.drivername.startswith("postgres"):
        parsed = parsed.set(drivername="postgresql+psycopg")
    return create_engine(parsed, poolclass=pool.NullPool)


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    """SQLAlchemy's own connection to a migrated database, to look at it."""
    engine = engine_for(database_url)
    with engine.connect() as opened:
        yield opened
    engine.dispose()


def start(url: str) -> "subprocess.Popen[str]":
    return subprocess.Popen([sys.executable, "-c", MIGRATE, url], stdout=subprocess.PIPE, text=True)


def told(process: "subprocess.Popen[str]") -> dict[str, Any]:
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    answer: dict[str, Any] = json.loads(output)
    return answer


def test_an_empty_database_is_migrated_once(empty_database_url: str) -> None:
    assert current_revision(empty_database_url) is None
    with pytest.raises(ConfigurationError, match="one-runtime migrate"):
        require_current(empty_database_url)
    assert migrate(empty_database_url) is True
    assert current_revision(empty_database_url) == HEAD
    require_current(empty_database_url)
    assert migrate(empty_database_url) is False


def test_of_several_processes_at_once_one_migrates_and_the_others_wait(empty_database_url: str) -> None:
    answers = [told(process) for process in [start(empty_database_url) for _ in range(4)]]
    assert sorted(answer["done"] for answer in answers) == [False, False, False, True]
    assert current_revision(empty_database_url) == HEAD


def test_alembic_is_not_imported_where_there_is_nothing_to_migrate(database_url: str) -> None:
    assert told(start(database_url)) == {"done": False, "alembic": False}


def test_the_head_that_is_written_down_is_alembics() -> None:
    scripts = ScriptDirectory(str(next(iter(migrations.__path__))))
    assert scripts.get_heads() == [HEAD]


def test_migrations_make_exactly_the_schema(connection: Connection) -> None:
    context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
    assert compare_metadata(context, metadata) == []


def test_every_index_leads_with_the_organization_except_those_that_say_why() -> None:
    indexes = [index for table in metadata.tables.values() for index in table.indexes]
    others = {str(index.name) for index in indexes if leads(index) != "organization_id"}
    assert others == CROSS_TENANT.keys()


def leads(index: Index) -> str:
    return str(next(iter(index.columns)).name)


def test_the_database_has_the_indexes_of_the_schema(connection: Connection) -> None:
    found = {
        index["name"]: [str(name) for name in index["column_names"]]
        for table in metadata.tables
        for index in inspect(connection).get_indexes(table)
    }
    assert found == {
        index.name: [column.name for column in index.columns]
        for table in metadata.tables.values()
        for index in table.indexes
    }


def test_everything_of_an_organization_belongs_to_it_by_a_foreign_key() -> None:
    for table in metadata.tables.values():
        if "organization_id" in table.c and table.name not in _THROUGH_OTHERS:
            targets = {key.column.table.name for key in table.foreign_keys}
            assert targets & {"organizations", "end_users"}, table.name
            kept_by_key = {key for key in table.foreign_keys if key.column.table.name == "key_ring"}
            assert all(key.ondelete == "CASCADE" for key in table.foreign_keys - kept_by_key), table.name


@pytest.mark.only_database("sqlite")
def test_a_migration_that_fails_leaves_nothing_behind(empty_database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SQLiteDDLCompiler, "visit_create_index", lambda *_, **__: "CREATE NONSENSE")
    with pytest.raises(Exception, match="NONSENSE"):
        migrate(empty_database_url)
    monkeypatch.undo()
    engine = engine_for(empty_database_url)
    assert inspect(engine).get_table_names() == []
    engine.dispose()
    assert migrate(empty_database_url) is True


def test_a_postgresql_server_that_is_not_there_is_a_sentence() -> None:
    with pytest.raises(ConfigurationError, match="cannot be reached"):
        migrate("postgresql://nobody@127.0.0.1:1/none")


@pytest.mark.only_database("postgresql")
def test_a_migration_waits_for_a_table_in_use_without_making_servers_wait(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate_to(empty_database_url, "0001")
    with psycopg.connect(empty_database_url) as busy, psycopg.connect(empty_database_url, autocommit=True) as reading:
        busy.execute("SELECT * FROM key_ring")  # a transaction that stays open
        monkeypatch.setattr(migrations, "LOCK_PATIENCE", 0.5)
        with pytest.raises(ConfigurationError, match="in use all the time"):
            migrate(empty_database_url)
        monkeypatch.undo()
        reading.execute("SET statement_timeout = '800ms'")
        with ThreadPoolExecutor(1) as threads:
            migrating = threads.submit(migrate, empty_database_url)
            for _ in range(20):
                reading.execute("SELECT * FROM key_ring")  # behind a migration that goes on waiting it would time out
                reading.execute("SELECT pg_sleep(0.05)")
            assert not migrating.done()
            busy.rollback()
            assert migrating.result(timeout=30) is True
    assert current_revision(empty_database_url) == HEAD


def migrate_to(url: str, revision: str) -> None:
    """As an earlier version would have."""
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    config.attributes.update(url=url, lock_timeout=migrations.LOCK_TIMEOUT)
    command.upgrade(config, revision)


@pytest.mark.only_database("sqlite")
def test_a_new_sqlite_file_can_be_read_by_its_owner_only(empty_database_url: str) -> None:
    migrate(empty_database_url)
    path = Path(empty_database_url.removeprefix("sqlite:///"))
    assert path.stat().st_mode & 0o777 == 0o600
