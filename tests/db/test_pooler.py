"""One Runtime behind a real PgBouncer in transaction mode."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import httpx2
import psycopg
import pytest
from sqlalchemy import func, select

from one_runtime.db.database_url import create_database
from one_runtime.db.migrations import HEAD, current_revision, migrate
from one_runtime.db.pooler import is_pooled
from one_runtime.errors import ConfigurationError
from one_runtime.settings import load_settings
from tests.db.pgbouncer import pgbouncer, set_timeout
from tests.promises.serving import Serving, make_key, serving

pytestmark = [pytest.mark.slow, pytest.mark.only_database("postgresql")]

ACCEPTING = {"ignore_startup_parameters": "statement_timeout"}


async def timeout_of(url: str) -> str:
    database = create_database(url, pool_size=2)
    await database.open()
    try:
        async with database.read() as tx:
            row = await tx.one(select(func.current_setting("statement_timeout").label("timeout")))
        assert row is not None
        return str(row.timeout)
    finally:
        await database.close()


@pytest.mark.parametrize("settings", [{}, ACCEPTING], ids=["refuses-parameters", "ignores-parameters"])
async def test_statements_keep_a_timeout_behind_a_pooler(
    empty_database_url: str, tmp_path: Path, settings: Mapping[str, str]
) -> None:
    advice = r"ALTER ROLE postgres SET statement_timeout = '30s'"
    with pgbouncer(tmp_path, empty_database_url, **settings) as pooled, pytest.raises(ConfigurationError, match=advice):
        await timeout_of(pooled)
    set_timeout(empty_database_url, "20s")
    with pgbouncer(tmp_path, empty_database_url, **settings) as pooled:
        assert await timeout_of(pooled) == "20s"
    assert await timeout_of(empty_database_url) == "30s", "on a direct connection, One Runtime sets the timeout"


def test_pooler_is_detected(empty_database_url: str, tmp_path: Path) -> None:
    assert not is_pooled(empty_database_url)
    with pgbouncer(tmp_path, empty_database_url) as pooled:
        assert is_pooled(pooled)


def test_migration_takes_a_direct_connection_and_releases_its_lock(empty_database_url: str, tmp_path: Path) -> None:
    with pgbouncer(tmp_path, empty_database_url) as pooled:
        with pytest.raises(ConfigurationError, match="ONE_RUNTIME_DATABASE_DIRECT_URL"):
            migrate(pooled)
        environ = {
            "ONE_RUNTIME_DATABASE_URL": pooled,
            "ONE_RUNTIME_DATABASE_DIRECT_URL": empty_database_url,
        }
        assert migrate(load_settings(environ).migration_url)
        assert current_revision(pooled) == HEAD
        assert not migrate(pooled), "a current database needs no direct connection"
    with psycopg.connect(empty_database_url) as connection:
        locks = "SELECT count(*) FROM pg_locks JOIN pg_database d ON d.oid = database"
        row = connection.execute(f"{locks} WHERE locktype = 'advisory' AND datname = current_database()").fetchone()
        assert row == (0,)


@pytest.mark.parametrize("prepared_statements", ["200", "0"])
async def test_server_serves_many_clients_behind_a_pooler(
    database_url: str, tmp_path: Path, prepared_statements: str
) -> None:
    set_timeout(database_url, "30s")
    settings = {"default_pool_size": "3", "max_prepared_statements": prepared_statements}
    with pgbouncer(tmp_path, database_url, **settings) as pooled:
        key = await make_key(pooled)
        async with serving(Serving(pooled, workers=2), tmp_path) as served:
            headers = {"Authorization": f"Bearer {key}"}
            async with httpx2.AsyncClient(base_url=served.url, headers=headers, timeout=30) as http:
                body = {"integration_slug": "notion", "auth_type": "api_key", "check": False}
                credentials = {"api_key": f"ntn_{'a' * 46}"}

                async def connect_and_list(number: int) -> tuple[int, int]:
                    user = f"user_{number}"
                    created = await http.post(
                        "/v1/connections", json={**body, "end_user_id": user, "credentials": credentials}
                    )
                    listed = await http.get("/v1/integrations", params={"end_user_id": user, "logo": "none"})
                    connected = [each for each in listed.json()["integrations"] if each["status"] == "connected"]
                    return created.status_code, len(connected)

                assert set(await asyncio.gather(*map(connect_and_list, range(40)))) == {(201, 1)}
