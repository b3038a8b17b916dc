"""P8: tokens are renewed before they expire, by one request, and no caller gets a token that is not committed."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import psycopg
import pytest
from sqlalchemy import update
from sqlalchemy.sql import ClauseElement

from one_runtime.db.database_url import sqlite_path
from one_runtime.db.engine import Transaction
from one_runtime.db.schema import credentials
from one_runtime.tokens.refresh import fresh_credentials
from tests.tokens.rotating import RotatingApplication, generation_of, read_stored, token_of
from tests.waiting import eventually

pytestmark = pytest.mark.promise("P8")


async def test_a_fresh_token_is_returned_without_a_request_to_the_provider(app: RotatingApplication) -> None:
    seeded = await app.connect()
    usable = await fresh_credentials(app.installation, seeded.key)
    assert generation_of(token_of(usable)) == 0
    assert app.provider.accepts(token_of(usable))
    assert app.provider.log(seeded.family) == []


async def test_a_token_is_renewed_five_minutes_before_it_expires(app: RotatingApplication) -> None:
    seeded = await app.connect(life=3600.0)
    app.application.clock.advance(seconds=3600 - 310)
    assert generation_of(token_of(await fresh_credentials(app.installation, seeded.key))) == 0
    app.application.clock.advance(seconds=20)
    renewed = await fresh_credentials(app.installation, seeded.key)
    assert generation_of(token_of(renewed)) == 1
    assert app.provider.accepts(token_of(renewed))
    assert app.provider.answers(seeded.family) == ["granted"]
    shown = await app.look(seeded)
    assert datetime.fromisoformat(shown["token_expires_at"]) > app.application.clock()
    assert shown["status"] == "active"


async def test_a_short_lived_token_is_renewed_in_the_last_fifth_of_its_life(app: RotatingApplication) -> None:
    seeded = await app.connect(life=100.0)
    app.application.clock.advance(seconds=79)
    assert generation_of(token_of(await fresh_credentials(app.installation, seeded.key))) == 0
    app.application.clock.advance(seconds=2)
    assert generation_of(token_of(await fresh_credentials(app.installation, seeded.key))) == 1


async def test_a_rejected_token_is_renewed_once_for_all_callers(app: RotatingApplication) -> None:
    seeded = await app.connect()
    rejected = (await fresh_credentials(app.installation, seeded.key)).version
    calls = [fresh_credentials(app.installation, seeded.key, rejected=rejected) for _ in range(5)]
    renewed = await asyncio.gather(*calls)
    assert {generation_of(token_of(one)) for one in renewed} == {1}
    again = await fresh_credentials(app.installation, seeded.key, rejected=rejected)  # any newer token is returned
    assert generation_of(token_of(again)) == 1
    assert app.provider.answers(seeded.family) == ["granted"]


async def test_the_api_renews_a_fresh_token_and_shows_the_connection(app: RotatingApplication) -> None:
    seeded = await app.connect()
    before = await app.look(seeded)
    app.application.clock.advance(seconds=60)
    answer = await app.client.post(f"/v1/connections/{seeded.key.connection_id}/refresh")
    assert answer.status_code == 200, answer.text
    assert answer.json()["token_expires_at"] > before["token_expires_at"]
    assert (answer.json()["status"], answer.json()["id"]) == ("active", seeded.key.connection_id)
    read = await app.client.get(f"/v1/connections/{seeded.key.connection_id}/credentials")
    token = read.json()["credentials"]["access_token"]
    assert generation_of(token) == 1
    assert app.provider.accepts(token)
    assert "refresh_token" not in read.text


async def test_the_api_does_not_renew_a_connection_of_another_organization(app: RotatingApplication) -> None:
    seeded = await app.connect()
    stranger = app.application.client(await app.application.key(await app.application.organization("Other")))
    answer = await stranger.post(f"/v1/connections/{seeded.key.connection_id}/refresh")
    assert answer.status_code == 404
    assert app.provider.log(seeded.family) == []


@contextmanager
def hold_the_row(url: str) -> Iterator[None]:
    """Lock the row from outside; on SQLite, the whole file."""
    path = sqlite_path(url)
    if path is None:
        with psycopg.connect(url) as connection:
            connection.execute("SELECT 1 FROM credentials FOR UPDATE")
            yield
        return
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    yield
    holder.execute("ROLLBACK")
    holder.close()


async def test_no_caller_gets_a_new_token_before_it_is_committed(app: RotatingApplication, database_url: str) -> None:
    seeded = await app.connect(hold="after")
    app.application.clock.advance(hours=2)
    calls = [asyncio.create_task(fresh_credentials(app.installation, seeded.key)) for _ in range(3)]
    await eventually(lambda: app.provider.look(seeded.family)["waiting"] == 1)
    with hold_the_row(database_url):
        app.provider.behave(seeded.family, hold=None)
        done, _ = await asyncio.wait(calls, timeout=0.5)
        assert done == set()
        assert generation_of((await read_stored(app.installation, seeded.key))[1].secrets["access_token"]) == 0
    renewed = await asyncio.gather(*calls)
    stored = (await read_stored(app.installation, seeded.key))[1].secrets["access_token"]
    assert {token_of(usable) for usable in renewed} == {stored}
    assert generation_of(stored) == 1


async def test_a_process_returns_the_old_token_while_another_renews_it(app: RotatingApplication) -> None:
    seeded = await app.connect(life=3600.0, hold="before")
    app.application.clock.advance(seconds=3500)
    renewing = asyncio.create_task(fresh_credentials(app.installation, seeded.key))
    await eventually(lambda: app.provider.look(seeded.family)["waiting"] == 1)
    assert generation_of(token_of(await fresh_credentials(app.another_process, seeded.key))) == 0
    app.provider.behave(seeded.family, hold=None)
    assert generation_of(token_of(await renewing)) == 1
    assert app.provider.answers(seeded.family) == ["granted"]


async def test_a_cancelled_caller_does_not_end_the_renewal(app: RotatingApplication) -> None:
    seeded = await app.connect(hold="after")
    app.application.clock.advance(hours=2)
    caller = asyncio.create_task(fresh_credentials(app.installation, seeded.key))
    await eventually(lambda: app.provider.look(seeded.family)["waiting"] == 1)
    caller.cancel()
    app.provider.behave(seeded.family, hold=None)
    await app.installation.flights.land()
    _, stored = await read_stored(app.installation, seeded.key)
    assert generation_of(stored.secrets["refresh_token"]) == 1


async def test_the_lease_of_a_dead_process_ends(app: RotatingApplication) -> None:
    seeded = await app.connect()
    app.application.clock.advance(hours=2)
    leased = update(credentials).values(
        lease="00000000-0000-7000-8000-000000000000", leased_until=app.application.clock()
    )
    async with app.installation.database.write() as tx:
        await tx.execute(leased)
    assert generation_of(token_of(await fresh_credentials(app.another_process, seeded.key))) == 1


async def test_a_refresh_sends_ten_statements(app: RotatingApplication, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check of the active key is part of the statement that acquires the lease."""
    seeded = await app.connect()
    app.application.clock.advance(hours=2)
    statements = list[ClauseElement]()
    for name in ("one", "all", "execute"):
        monkeypatch.setattr(Transaction, name, recording(getattr(Transaction, name), statements))
    await fresh_credentials(app.installation, seeded.key)
    assert len(statements) == 10, "\n".join(map(str, statements))


def recording(run: Callable[..., Awaitable[Any]], statements: list[ClauseElement]) -> Callable[..., Awaitable[Any]]:
    async def run_and_record(tx: Transaction, statement: ClauseElement, *row_type: type, **params: object) -> Any:
        statements.append(statement)
        return await run(tx, statement, *row_type, **params)

    return run_and_record
