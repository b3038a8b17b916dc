"""Programs that follow the log receive each event exactly once, whatever the order of the commits."""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Final

import pytest
from sqlalchemy import delete, select, update

from one_runtime.db.engine import Database, Transaction
from one_runtime.db.schema import events as events_table
from one_runtime.tenancy import events, followed_events
from one_runtime.tenancy.event_types import EventType
from one_runtime.tenancy.events import Actor, EventFilter, Subject
from one_runtime.tenancy.followed_events import PositionsMissing, assign_positions, list_followed
from tests.application import Application
from tests.waiting import async_attempts

pytestmark = [pytest.mark.slow, pytest.mark.worker]
ALL: Final = EventFilter()
CONCURRENT: Final = pytest.mark.only_database("postgresql")
"""SQLite has only one writing transaction at a time."""


async def record(tx: Transaction, application: Application, organization: str, name: str) -> None:
    subject = Subject(name, data={"integration_slug": "acme"})
    await events.record(tx, Actor(organization, "system"), EventType.CONNECTION_CREATED, application.clock(), subject)


async def record_all(application: Application, organization: str, *names: str) -> None:
    async with application.installation.database.write() as tx:
        for name in names:
            await record(tx, application, organization, name)


class Follower:
    """A program that follows the log, page by page, and remembers the id of the last event."""

    def __init__(
        self,
        application: Application,
        organization: str,
        matching: EventFilter = ALL,
        *,
        limit: int = 1000,
        scanned: int = 1000,
    ) -> None:
        database = application.installation.database
        self._page = partial(list_followed, database, organization, matching, limit=limit, scanned=scanned)
        self.last_id: str | None = None
        self.names: list[str | None] = []

    async def follow(self) -> list[str | None]:
        """Read until the last page. Return the end users of all events so far."""
        cursor: str | None = None
        while True:
            after = [event_id for event_id in (self.last_id, cursor) if event_id]
            rows, cursor = await self._page(after=after)
            self.names += [row.end_user_id for row in rows]
            self.last_id = rows[-1].id if rows else self.last_id
            if cursor is None:
                return self.names


@pytest.fixture
async def organization(application: Application) -> str:
    return await application.organization()


@asynccontextmanager
async def open_transactions(database: Database, number: int) -> AsyncIterator[list[AsyncExitStack]]:
    """Yield stacks for concurrent transactions. To commit a transaction, close its stack."""
    async with AsyncExitStack() as outer:
        yield [await outer.enter_async_context(AsyncExitStack()) for _ in range(number)]


@CONCURRENT
async def test_follower_receives_events_of_transactions_that_commit_late_exactly_once(
    application: Application, organization: str
) -> None:
    """On PostgreSQL, transactions can commit in another order than the order of the ids of their events."""
    database = application.installation.database
    follower, late_follower = Follower(application, organization), Follower(application, organization, limit=1)
    await record_all(application, organization, "before")
    async with open_transactions(database, 3) as stacks:
        for stack, name in zip(stacks, ("longest", "slow", "fast"), strict=True):
            tx = await stack.enter_async_context(database.write())
            await record(tx, application, organization, name)
        assert await follower.follow() == ["before"]
        longest, slow, fast = stacks
        await fast.aclose()
        assert await follower.follow() == ["before", "fast"]
        await slow.aclose()
        assert await follower.follow() == ["before", "fast", "slow"]
        application.clock.advance(days=1)
        await record_all(application, organization, "after")
        assert await follower.follow() == ["before", "fast", "slow", "after"]
        await longest.aclose()
    assert await follower.follow() == ["before", "fast", "slow", "after", "longest"]
    assert await follower.follow() == await late_follower.follow()


async def test_concurrent_followers_receive_the_same_order_without_gaps(
    application: Application, organization: str
) -> None:
    """Four followers poll while transactions write events and commit in a different order.

    Two followers have a filter, which matches every event, and search only two events for each page.
    """
    filters = (ALL, ALL, EventFilter(integration_slug="acme"), EventFilter(integration_slug="acme"))
    followers = [Follower(application, organization, matching, limit=3, scanned=2) for matching in filters]
    expected = {f"user_{number}" for number in range(40)}

    async def write(number: int) -> None:
        async with application.installation.database.write() as tx:
            await record(tx, application, organization, f"user_{number}")
            for _ in range(number % 5):  # until the commit, other transactions run
                await asyncio.sleep(0)

    async def poll(follower: Follower) -> None:
        async for _ in async_attempts():
            if len(await follower.follow()) >= len(expected):
                return

    async with asyncio.TaskGroup() as tasks:
        for follower in followers:
            tasks.create_task(poll(follower))
        for number in range(len(expected)):
            tasks.create_task(write(number))
    for follower in followers:
        assert follower.names == followers[0].names
        assert (set(follower.names), len(follower.names)) == (expected, len(expected))


@CONCURRENT
async def test_follower_waits_while_another_request_assigns_positions(
    application: Application, organization: str
) -> None:
    """Without the wait, the follower would read the second event before the lower position of the first event."""
    database = application.installation.database
    await record_all(application, organization, "first")
    async with database.write() as tx:
        assert await assign_positions(tx, organization) == 1
        await record_all(application, organization, "second")
        following = asyncio.create_task(Follower(application, organization).follow())
        done, _ = await asyncio.wait({following}, timeout=0.3)
        assert not done
    assert await following == ["first", "second"]


async def test_events_of_another_organization_have_their_own_positions(
    application: Application, organization: str
) -> None:
    other = await application.organization("Southwind")
    await record_all(application, organization, "northwind")
    await record_all(application, other, "southwind")
    assert await Follower(application, organization).follow() == ["northwind"]
    async with application.installation.database.read() as tx:
        rows = await tx.all(select(events_table.c.organization_id, events_table.c.position))
    assert {(row.organization_id, row.position) for row in rows} == {(organization, 1), (other, None)}
    assert await Follower(application, other).follow() == ["southwind"]


async def test_many_old_events_are_positioned_in_batches_while_they_are_listed(
    application: Application, organization: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(followed_events, "BATCH", 2)
    names = [f"user_{number}" for number in range(9)]
    await record_all(application, organization, *names)
    database = application.installation.database
    unmatched, cursor = await list_followed(database, organization, EventFilter(end_user_id="user_8"), limit=9)
    assert (unmatched, cursor is None) == ([], False), "the other events are not positioned yet"
    for limit in (2, 3, 9):
        assert await Follower(application, organization, limit=limit).follow() == names


async def test_request_after_an_event_without_position_continues_the_work_of_earlier_requests(
    application: Application, organization: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program can know the id of an event from a webhook, before a request has assigned positions."""
    monkeypatch.setattr(followed_events, "BATCH", 2)
    monkeypatch.setattr(followed_events, "_MAX_BATCHES", 2)
    await record_all(application, organization, *(f"user_{number}" for number in range(9)))
    database = application.installation.database
    async with database.read() as tx:
        (newest, second, *_), _ = await events.list_newest(tx, organization, ALL, limit=9, before=None)
    page = partial(list_followed, database, organization, ALL, limit=9)
    with pytest.raises(PositionsMissing) as refused:  # one request positions four events
        await page(after=[second.id])
    assert refused.value.retry_after == 1
    assert await page(after=[second.id]) == (
        [],
        second.id,
    )  # eight events have positions, and this is not the last page
    rows, cursor = await page(after=[second.id, second.id])
    assert ([row.id for row in rows], cursor) == ([newest.id], None)


async def test_follower_continues_by_id_after_an_event_that_the_log_has_deleted(
    application: Application, organization: str
) -> None:
    follower = Follower(application, organization)
    await record_all(application, organization, "first", "second")
    await follower.follow()
    async with application.installation.database.write() as tx:
        await tx.execute(delete(events_table).where(events_table.c.organization_id == organization))
    await record_all(application, organization, "third")
    assert await follower.follow() == ["first", "second", "third"]
    assert await follower.follow() == ["first", "second", "third"]


@CONCURRENT
async def test_event_that_another_transaction_changes_is_listed_after_this_transaction(
    application: Application, organization: str
) -> None:
    """A follower does not wait for a transaction that changes old events, for example to delete an end user."""
    database = application.installation.database
    follower = Follower(application, organization)
    await record_all(application, organization, "changed", "other")
    async with database.write() as tx:
        changed = events_table.c.end_user_id == "changed"
        await tx.execute(update(events_table).where(changed).values(address="192.0.2.7"))
        async with asyncio.timeout(5):
            assert await follower.follow() == ["other"]
    assert await follower.follow() == ["other", "changed"]


async def test_filtered_page_searches_a_limited_number_of_events(application: Application, organization: str) -> None:
    await record_all(application, organization, "found", "other", "other", "found")
    matching = EventFilter(end_user_id=["found", "nobody"])
    page = partial(list_followed, application.installation.database, organization, matching, limit=9, scanned=3)

    async def read(after: Collection[str]) -> tuple[list[int | None], str | None]:
        rows, cursor = await page(after=after)
        return [row.position for row in rows], cursor

    positions, cursor = await read([])
    assert positions == [1]
    assert cursor is not None
    assert await read([cursor]) == ([4], None)
