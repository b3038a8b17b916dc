"""P8: SQLite stores the tokens of a refresh on a full disk, in the space of the disk reserve."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from one_runtime.db.disk_reserve import DiskReserve
from one_runtime.db.sqlite import SqliteDatabase
from one_runtime.tokens.refresh import fresh_credentials
from tests.tokens.rotating import RotatingApplication, read_stored, token_of
from tests.waiting import eventually

pytestmark = [pytest.mark.promise("P8"), pytest.mark.only_database("sqlite")]


async def test_new_tokens_are_stored_in_the_space_of_the_reserve(
    app: RotatingApplication, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeded = await app.connect(hold="after")
    app.provider.behave(seeded.family, padding=12_000)  # the new tokens need more pages than the old tokens
    app.application.clock.advance(hours=2)
    database = app.installation.database
    assert isinstance(database, SqliteDatabase)
    connection, release = database._writing, DiskReserve.release

    def release_and_lift_the_limit(reserve: DiskReserve) -> None:
        release(reserve)
        connection.execute("PRAGMA max_page_count = 1000000")

    installation = replace(
        app.installation, timing=replace(app.installation.timing, lease=timedelta(seconds=5), store=5.0)
    )
    flight = asyncio.create_task(fresh_credentials(installation, seeded.key))
    await eventually(lambda: app.provider.look(seeded.family)["waiting"] == 1)
    monkeypatch.setattr(DiskReserve, "release", release_and_lift_the_limit)
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages}")
    app.provider.behave(seeded.family, hold=None)
    usable = await flight
    _, stored = await read_stored(app.installation, seeded.key)
    assert len(token_of(usable)) > 12_000
    assert stored.secrets["access_token"] == token_of(usable)
    assert app.provider.answers(seeded.family) == ["granted"]
