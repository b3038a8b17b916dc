"""Events: written with their change, counted once it is committed, filtered, anonymized and purged."""

from datetime import timedelta
from functools import partial
from typing import Any, Final

import pytest

from one_runtime.db.engine import Transaction
from one_runtime.db.scanning import read_pages
from one_runtime.serving.periodic_tasks import PERIODIC_TASKS
from one_runtime.telemetry import metrics
from one_runtime.tenancy import events
from one_runtime.tenancy.event_types import EventType
from one_runtime.tenancy.events import Actor, Event, EventFilter, Subject
from tests.application import Application

USER: Final = "user_123"


async def recorded(tx: Transaction, application: Application, actor: Actor, end_user_id: str | None = USER) -> None:
    data = {"integration_slug": "acme"}
    await events.record(tx, actor, EventType.CONNECTION_CREATED, application.clock(), Subject(end_user_id, None, data))


async def listed(tx: Transaction, organization: str, matching: EventFilter | None = None) -> list[Event]:
    rows, _ = await events.list_newest(tx, organization, matching or EventFilter(), limit=9, before=None)
    return rows


def counted() -> float:
    return float(metrics.events.labels("connection.created", "acme")._value.get())


async def test_event_has_the_actor_the_subject_and_the_time(application: Application) -> None:
    organization = await application.organization()
    async with application.installation.database.write() as tx:
        await recorded(tx, application, Actor(organization, "end_user", USER, "192.0.2.7"))
        (event,) = await listed(tx, organization)
    assert (event.organization_id, event.type) == (organization, "connection.created")
    assert timedelta() <= application.clock() - event.occurred_at < timedelta(minutes=1)
    assert (event.actor_type, event.actor_id, event.address) == ("end_user", USER, "192.0.2.7")
    assert (event.end_user_id, event.connection_id, event.data) == (USER, None, {"integration_slug": "acme"})


async def test_event_of_a_change_that_is_rolled_back_is_neither_stored_nor_counted(application: Application) -> None:
    organization, before = await application.organization(), counted()

    async def fail() -> None:
        async with application.installation.database.write() as tx:
            await recorded(tx, application, Actor(organization, "system"))
            raise LookupError

    with pytest.raises(LookupError):
        await fail()
    async with application.installation.database.write() as tx:
        assert await listed(tx, organization) == []
        await recorded(tx, application, Actor(organization, "system"))
        assert counted() == before, "not before the commit"
    assert counted() == before + 1


@pytest.mark.promise("P1")
async def test_events_of_another_organization_are_not_listed(application: Application) -> None:
    northwind, southwind = await application.organization(), await application.organization("Southwind")
    async with application.installation.database.write() as tx:
        await recorded(tx, application, Actor(northwind, "system"))
        assert await listed(tx, southwind, EventFilter(end_user_id=USER)) == []


async def test_events_of_all_organizations_are_listed_without_an_organization(application: Application) -> None:
    northwind, southwind = await application.organization(), await application.organization("Southwind")
    async with application.installation.database.write() as tx:
        for organization in (northwind, southwind):
            await recorded(tx, application, Actor(organization, "system"))
        rows, cursor = await events.list_newest(tx, None, EventFilter(), limit=1, before=None)
        rest, end = await events.list_newest(tx, None, EventFilter(), limit=9, before=cursor)
    assert ([row.organization_id for row in (*rows, *rest)], end) == ([southwind, northwind], None)


async def test_filtered_page_searches_a_limited_number_of_events(application: Application) -> None:
    organization = await application.organization()
    async with application.installation.database.write() as tx:
        await recorded(tx, application, Actor(organization, "api_key", "leaked"))
        for _ in range(3):
            await recorded(tx, application, Actor(organization, "system"))
        matching = EventFilter(actor_id="leaked")
        rows, cursor = await events.list_newest(tx, organization, matching, limit=9, before=None, scanned=3)
        assert rows == []
        found, end = await events.list_newest(tx, organization, matching, limit=9, before=cursor, scanned=3)
        page = partial(events.list_newest, tx, organization, matching)
        everything = await read_pages(page, limit=9, cursor=None)
    assert (len(found), end) == (1, None)
    assert everything == (found, None)


async def test_events_recorded_during_the_search_of_a_page_repeat_no_event(application: Application) -> None:
    organization = await application.organization()

    class Growing(Transaction):
        """Records an event after the search for the rows of a page, as another process can."""

        def __init__(self, tx: Transaction) -> None:
            super().__init__(tx.machine_clock)
            self._tx = tx

        async def all(self, *arguments: Any, **params: object) -> list[Any]:
            rows: list[Any] = await self._tx.all(*arguments, **params)
            await recorded(self._tx, application, Actor(organization, "system"))
            return rows

        async def one(self, *arguments: Any, **params: object) -> Any:
            return await self._tx.one(*arguments, **params)

        _fetch = _execute = _execute_many = None  # type: ignore[assignment] # only for the other methods

    async with application.installation.database.write() as tx:
        for actor in ("leaked", None, "leaked", None):
            await recorded(tx, application, Actor(organization, "api_key", actor))
        matching = EventFilter(actor_id="leaked")
        rows, cursor = await events.list_newest(Growing(tx), organization, matching, limit=9, before=None, scanned=2)
        rest, _ = await events.list_newest(tx, organization, matching, limit=9, before=cursor, scanned=9)
    assert (len(rows), len(rest)) == (1, 1)
    assert rows != rest


async def test_forgotten_end_user_is_in_no_event_and_other_actors_stay(application: Application) -> None:
    organization, other = await application.organization(), await application.organization("Southwind")
    async with application.installation.database.write() as tx:
        await recorded(tx, application, Actor(organization, "end_user", USER, "192.0.2.7"))
        await recorded(tx, application, Actor(organization, "api_key", USER, "192.0.2.8"))
        await recorded(tx, application, Actor(organization, "end_user", "user_456", "192.0.2.9"), "user_456")
        await recorded(tx, application, Actor(other, "end_user", USER, "192.0.2.7"))
        await events.forget_end_user(tx, organization, USER, application.clock())
        actors = [(event.end_user_id, event.actor_id, event.address) for event in await listed(tx, organization)]
        (untouched,) = await listed(tx, other)
    assert actors == [("user_456", "user_456", "192.0.2.9"), (None, USER, "192.0.2.8"), (None, None, None)]
    assert (untouched.end_user_id, untouched.actor_id) == (USER, USER)


async def test_only_events_older_than_the_setting_are_purged(application: Application) -> None:
    organization, installation = await application.organization(), application.installation
    async with installation.database.write() as tx:
        await recorded(tx, application, Actor(organization, "system"))
    application.clock.advance(days=installation.settings.event_retention_days - 1)
    assert await events.purge(installation) == 0
    application.clock.advance(days=2)
    assert await events.purge(installation) == 1
    async with installation.database.read() as tx:
        assert await listed(tx, organization) == []


def test_server_purges_events() -> None:
    assert events.purge in {task.work for task in PERIODIC_TASKS}
