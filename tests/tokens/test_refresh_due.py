"""P8: the worker renews unused tokens, and rows that it cannot renew do not keep it busy."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from sqlalchemy import delete, update

from one_runtime.catalog.loader import Catalog
from one_runtime.catalog.model import Integration
from one_runtime.context import Installation
from one_runtime.db.schema import credentials, oauth_clients
from one_runtime.tokens.refresh_due import refresh_due
from tests.application import RunningAcme, started
from tests.tokens.rotating import (
    SLUG,
    RotatingApplication,
    RotatingProvider,
    Seeded,
    arrive,
    auth_of,
    generation_of,
    read_stored,
    settings_with,
)
from tests.waiting import async_attempts

pytestmark = pytest.mark.promise("P8")


async def generation(app: RotatingApplication, seeded: Seeded) -> int:
    _, stored = await read_stored(app.installation, seeded.key)
    return generation_of(stored.secrets["refresh_token"])


async def test_unused_tokens_are_renewed_before_they_expire(app: RotatingApplication) -> None:
    seeded = [await app.connect(f"user_{number}") for number in range(3)]
    later = await app.connect("user_later", life=7200.0)
    assert await refresh_due(app.installation) == 0
    app.application.clock.advance(seconds=3310)
    assert await refresh_due(app.installation) == 3
    assert [await generation(app, connection) for connection in (*seeded, later)] == [1, 1, 1, 0]
    assert await refresh_due(app.installation) == 0


async def test_two_workers_at_once_renew_each_connection_once(app: RotatingApplication) -> None:
    seeded = [await app.connect(f"user_{number}", before=0.02) for number in range(10)]
    app.application.clock.advance(hours=2)
    another = app.another_process
    await asyncio.gather(refresh_due(app.installation), refresh_due(another))
    assert [app.provider.answers(connection.family) for connection in seeded] == [["granted"]] * 10


async def test_more_than_a_batch_is_renewed_in_one_run(app: RotatingApplication) -> None:
    seeded = [await app.connect(f"user_{number}") for number in range(9)]
    app.application.clock.advance(hours=2)
    assert await refresh_due(app.installation, batch=4) == 9
    assert [await generation(app, connection) for connection in seeded] == [1] * 9


@pytest.mark.slow
async def test_the_running_application_renews_in_the_background(
    database_url: str, acme: RunningAcme, provider: RotatingProvider
) -> None:
    async with started(settings_with(database_url, acme, provider), acme, provider.catalog) as application:
        app = await arrive(application, provider)
        seeded = await app.connect()
        app.application.clock.advance(hours=2)

        async for _ in async_attempts():
            if await generation(app, seeded) == 1:
                break
        assert provider.answers(seeded.family) == ["granted"]


async def without_client(app: RotatingApplication) -> Installation:
    """Delete the OAuth client's row. One Runtime never does that while a connection needs it."""
    async with app.installation.database.write() as tx:
        await tx.execute(delete(oauth_clients))
    return app.installation


async def with_a_broken_seal(app: RotatingApplication) -> Installation:
    """Tamper with the sealed row."""
    async with app.installation.database.write() as tx:
        await tx.execute(update(credentials).values(sealed=b"tampered with, and long enough to be one"))
    return app.installation


async def without_integration(app: RotatingApplication) -> Installation:
    """Use a catalog without this entry."""
    return replace(app.installation, catalog=Catalog.of((), {}, "empty"))


async def without_refresh(app: RotatingApplication) -> Installation:
    """Use an entry that does not renew these tokens, which have not expired yet."""
    app.application.clock.advance(minutes=-63)
    entry = app.installation.catalog.get(SLUG)
    assert entry is not None
    auth = auth_of(app.installation).model_copy(update={"refresh": "none"})
    changed: Integration = entry.model_copy(update={"auth": (auth,)})
    return replace(app.installation, catalog=Catalog.of((changed,), {SLUG: app.provider.catalog.logo(SLUG)}, "changed"))


@pytest.mark.parametrize(
    "broken",
    [without_client, with_a_broken_seal, without_integration, without_refresh],
    ids=lambda broken: broken.__name__,
)
async def test_rows_that_cannot_be_renewed_are_postponed_and_do_not_block_others(
    app: RotatingApplication, broken: Callable[[RotatingApplication], Awaitable[Installation]]
) -> None:
    seeded = [await app.connect(f"user_{number}") for number in range(4)]
    app.application.clock.advance(hours=2)
    installation = await broken(app)
    # A run takes batches until none is due, so a row that fails must not be due again in the same run.
    assert await refresh_due(installation, batch=2) == 4
    assert await refresh_due(installation, batch=2) == 0
    assert [app.provider.log(connection.family) for connection in seeded] == [[]] * 4
    assert await app.events("needs_reauth") == []


async def test_tokens_of_an_integration_that_returns_are_renewed_again(app: RotatingApplication) -> None:
    seeded = await app.connect()
    app.application.clock.advance(hours=2)
    assert await refresh_due(await without_integration(app)) == 1
    assert await refresh_due(app.installation) == 0
    app.application.clock.advance(minutes=11)
    assert await refresh_due(app.installation) == 1
    assert await generation(app, seeded) == 1


async def test_a_row_that_can_be_decrypted_again_is_renewed_again(app: RotatingApplication) -> None:
    seeded = await app.connect()
    app.application.clock.advance(hours=2)
    async with app.installation.database.write() as tx:
        await tx.execute(update(credentials).values(version=credentials.c.version + 7))  # it is sealed for another row
    assert await refresh_due(app.installation) == 1
    async with app.installation.database.write() as tx:
        await tx.execute(update(credentials).values(version=credentials.c.version - 7))
    app.application.clock.advance(minutes=11)
    assert await refresh_due(app.installation) == 1
    assert await generation(app, seeded) == 1


async def test_expired_tokens_without_renewal_need_reauth(app: RotatingApplication) -> None:
    seeded = await app.connect()
    app.application.clock.advance(hours=2)
    installation = await without_refresh(app)
    app.application.clock.advance(minutes=63)
    assert await refresh_due(installation) == 1
    assert await refresh_due(installation) == 0
    shown = await app.look(seeded)
    assert (shown["status"], shown["error"]["code"]) == ("needs_reauth", "token_expired")
    assert app.provider.log(seeded.family) == []
