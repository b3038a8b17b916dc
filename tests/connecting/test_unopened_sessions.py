"""The limit of sessions that no end user has opened, and the deletion of such sessions."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from one_runtime.connecting import new_session, sessions
from one_runtime.db import sqlite
from one_runtime.db.database_url import sqlite_path
from one_runtime.db.row_counts import AGE, RowCounts
from one_runtime.demo.acme import GLOBEX
from one_runtime.settings import Settings
from tests.application import ACME_KEYS, Application, Client, RunningAcme, settings_for, started

LIMIT = 3


class Clock:
    """A monotonic clock that a test sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def settings(database_url: str, acme: RunningAcme) -> Settings:
    return settings_for(database_url, acme, unopened_sessions=LIMIT)


@pytest.fixture
def timer() -> Clock:
    return Clock()


@pytest_asyncio.fixture
async def application(settings: Settings, acme: RunningAcme, timer: Clock) -> AsyncIterator[Application]:
    async with started(settings, acme, worker=False) as application:
        installation = replace(application.installation, unopened_sessions=RowCounts(timer))
        application.replace_services(installation=installation)
        yield replace(application, installation=installation)


async def create(client: Client, **more: Any) -> httpx2.Response:
    body = {"integration_slug": "acme", "end_user_id": "user_123", **more}
    return await client.post("/v1/hosted-connection-sessions", body)


async def fill(client: Client) -> list[dict[str, Any]]:
    return [await client.session(f"user_{number}") for number in range(LIMIT)]


async def test_too_many_unopened_sessions_are_refused_with_advice(application: Application, client: Client) -> None:
    await fill(client)
    refused = await create(client)
    assert (refused.status_code, refused.json()["code"], refused.headers["retry-after"]) == (429, "rate_limited", "60")
    assert f"{LIMIT} sessions that no end user has opened" in refused.json()["detail"]
    other = application.client(await application.key(await application.organization("Initech")))
    assert (await create(other)).status_code == 200


async def test_opened_sessions_do_not_count(client: Client, timer: Clock) -> None:
    for session in await fill(client):
        answer = await client.type_key(session["session_token"], ACME_KEYS[GLOBEX])
        assert answer.status_code == 200, answer.text
    assert (await create(client)).status_code == 429, "the count is at most a minute old"
    timer.now += AGE
    assert (await create(client)).status_code == 200


async def test_sessions_of_other_processes_count_after_a_minute(
    application: Application, client: Client, timer: Clock
) -> None:
    await client.session()
    other_process = replace(application.installation, unopened_sessions=RowCounts(timer))
    application.replace_services(installation=other_process)
    await fill_rest(client)
    application.replace_services(installation=application.installation)
    assert (await create(client)).status_code == 200
    timer.now += AGE
    assert (await create(client)).status_code == 429


async def fill_rest(client: Client) -> None:
    for _ in range(LIMIT - 1):
        await client.session()


async def test_unopened_sessions_are_deleted_after_a_day(application: Application, client: Client) -> None:
    unopened, used = await client.session(), await client.session("user_456")
    assert (await client.type_key(used["session_token"], ACME_KEYS[GLOBEX])).status_code == 200
    application.clock.advance(hours=23)
    assert await sessions.purge(application.installation) == 0
    application.clock.advance(hours=2)
    assert await sessions.purge(application.installation) == 1
    for session, status in ((unopened, 404), (used, 200)):
        answer = await client.get(f"/v1/hosted-connection-sessions/{session['id']}")
        assert answer.status_code == status, answer.text


async def follow(client: Client, session: dict[str, Any], step: str) -> int:
    """Send a form of the pages behind a link. Return the status."""
    form = {"session_token": session["session_token"], "auth_type": "api_key", "step": step}
    headers = {"sec-fetch-dest": "document", "sec-fetch-mode": "navigate", "sec-fetch-site": "same-origin"}
    data = {**form, "credentials.api_key": ACME_KEYS[GLOBEX]}
    return (await client.http.post("/connect", data=data, headers=headers)).status_code


async def test_link_is_kept_until_it_expires_and_its_result_for_a_month(
    application: Application, client: Client
) -> None:
    opened, left = [await client.session(mode="link", expires_in=30 * 24 * 3600) for _ in range(2)]
    application.clock.advance(days=30, minutes=-5)
    assert await sessions.purge(application.installation) == 0
    assert [await follow(client, opened, step) for step in ("confirm", "connect")] == [200, 200]
    application.clock.advance(minutes=6)
    assert await follow(client, left, "confirm") == 410
    assert await sessions.purge(application.installation) == 1
    result = (await client.get(f"/v1/hosted-connection-sessions/{opened['id']}")).json()
    assert result["status"] == "connected"
    application.clock.advance(days=30)
    assert await sessions.purge(application.installation) == 1


@pytest.mark.only_database("sqlite")
async def test_count_reads_the_index_of_unopened_sessions(application: Application, database_url: str) -> None:
    path = sqlite_path(database_url)
    assert path is not None
    statement = sqlite._COMPILER.compile(new_session._COUNT_UNOPENED)
    with closing(sqlite3.connect(path)) as database:
        (plan,) = database.execute(f"EXPLAIN QUERY PLAN {statement.text}", {"organization": "a"}).fetchall()
    assert "ix_hosted_connection_sessions_unopened" in plan[-1]
