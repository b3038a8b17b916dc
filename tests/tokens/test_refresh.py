"""P8: tokens are renewed before they expire, by one request, and no caller gets a token that is not committed."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import psycopg
import pytest
from sqlalchemy import update

from one_runtime.db.database_url import sqlite_path
from one_runtime.db.schema import credentials
from one_runtime.tokens.refresh import fresh_credentials
from tests.tokens.rotating import There, generation_of, held, token_of
from tests.waiting import eventually

pytestmark = pytest.mark.promise("P8")


async def test_a_fresh_token_is_returned_without_a_request_to_the_provider(there: There) -> None:
    seeded = await there.connect()
    usable = await fresh_credentials(there.installation, seeded.key)
    assert generation_of(token_of(usable)) == 0
    assert there.provider.is_taken(token_of(usable))
    assert there.provider.log(seeded.family) == []


async def test_a_token_is_renewed_five_minutes_before_it_expires(there: There) -> None:
    seeded = await there.connect(life=3600.0)
    there.application.clock.advance(seconds=3600 - 310)
    assert generation_of(token_of(await fresh_credentials(there.installation, seeded.key))) == 0
    there.application.clock.advance(seconds=20)
    renewed = await fresh_credentials(there.installation, seeded.key)
    assert generation_of(token_of(renewed)) == 1
    assert there.provider.is_taken(token_of(renewed))
    assert there.provider.answers(seeded.family) == ["granted"]
    shown = await there.look(seeded)
    assert datetime.fromisoformat(shown["token_expires_at"]) > there.application.clock()
    assert shown["status"] == "active"


async def test_a_short_lived_token_is_renewed_in_the_last_fifth_of_its_life(there: There) -> None:
    seeded = await there.connect(life=100.0)
    there.application.clock.advance(seconds=79)
    assert generation_of(token_of(await fresh_credentials(there.installation, seeded.key))) == 0
    there.application.clock.advance(seconds=2)
    assert generation_of(token_of(await fresh_credentials(there.installation, seeded.key))) == 1


async def test_a_rejected_token_is_renewed_once_for_all_callers(there: There) -> None:
    seeded = await there.connect()
    rejected = (await fresh_credentials(there.installation, seeded.key)).version
    calls = [fresh_credentials(there.installation, seeded.key, rejected=rejected) for _ in range(5)]
    renewed = await asyncio.gather(*calls)
    assert {generation_of(token_of(one)) for one in renewed} == {1}
    again = await fresh_credentials(there.installation, seeded.key, rejected=rejected)  # any newer one will do
    assert generation_of(token_of(again)) == 1
    assert there.provider.answers(seeded.family) == ["granted"]


async def test_the_api_renews_a_fresh_token_and_shows_the_connection(there: There) -> None:
    seeded = await there.connect()
    before = await there.look(seeded)
    there.application.clock.advance(seconds=60)
    answer = await there.client.post(f"/v1/connections/{seeded.key.connection_id}/refresh")
    assert answer.status_code == 200, answer.text
    assert answer.json()["token_expires_at"] > before["token_expires_at"]
    assert (answer.json()["status"], answer.json()["id"]) == ("active", seeded.key.connection_id)
    read = await there.client.get(f"/v1/connections/{seeded.key.connection_id}/credentials")
    token = read.json()["credentials"]["access_token"]
    assert generation_of(token) == 1
    assert there.provider.is_taken(token)
    assert "refresh_token" not in read.text


async def test_the_api_does_not_renew_a_connection_of_another_organization(there: There) -> None:
    seeded = await there.connect()
    stranger = there.application.client(await there.application.key(await there.application.organization("Other")))
    answer = await stranger.post(f"/v1/connections/{seeded.key.connection_id}/refresh")
    assert answer.status_code == 404
    assert there.provider.log(seeded.family) == []


@contextmanager
def nobody_else_writes(url: str) -> Iterator[None]:
    """Hold the row from outside; on SQLite, the whole file."""
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


async def test_no_caller_gets_a_new_token_before_it_is_committed(there: There, database_url: str) -> None:
    seeded = await there.connect(hold="after")
    there.application.clock.advance(hours=2)
    calls = [asyncio.create_task(fresh_credentials(there.installation, seeded.key)) for _ in range(3)]
    await eventually(lambda: there.provider.look(seeded.family)["waiting"] == 1)
    with nobody_else_writes(database_url):
        there.provider.behave(seeded.family, hold=None)
        done, _ = await asyncio.wait(calls, timeout=0.5)
        assert done == set()
        assert generation_of((await held(there.installation, seeded.key))[1].secrets["access_token"]) == 0
    renewed = await asyncio.gather(*calls)
    stored = (await held(there.installation, seeded.key))[1].secrets["access_token"]
    assert {token_of(one) for one in renewed} == {stored}
    assert generation_of(stored) == 1


async def test_a_process_returns_the_old_token_while_another_renews_it(there: There) -> None:
    seeded = await there.connect(life=3600.0, hold="before")
    there.application.clock.advance(seconds=3500)
    renewing = asyncio.create_task(fresh_credentials(there.installation, seeded.key))
    await eventually(lambda: there.provider.look(seeded.family)["waiting"] == 1)
    assert generation_of(token_of(await fresh_credentials(there.another_process, seeded.key))) == 0
    there.provider.behave(seeded.family, hold=None)
    assert generation_of(token_of(await renewing)) == 1
    assert there.provider.answers(seeded.family) == ["granted"]


async def test_a_cancelled_caller_does_not_end_the_renewal(there: There) -> None:
    seeded = await there.connect(hold="after")
    there.application.clock.advance(hours=2)
    caller = asyncio.create_task(fresh_credentials(there.installation, seeded.key))
    await eventually(lambda: there.provider.look(seeded.family)["waiting"] == 1)
    caller.cancel()
    there.provider.behave(seeded.family, hold=None)
    await there.installation.flights.land()
    _, stored = await held(there.installation, seeded.key)
    assert generation_of(stored.secrets["refresh_token"]) == 1


async def test_the_lease_of_a_dead_process_ends(there: There) -> None:
    seeded = await there.connect()
    there.application.clock.advance(hours=2)
    leased = update(credentials).values(
        lease="00000000-0000-7000-8000-000000000000", leased_until=there.application.clock()
    )
    async with there.installation.database.write() as tx:
        await tx.execute(leased)
    assert generation_of(token_of(await fresh_credentials(there.another_process, seeded.key))) == 1
