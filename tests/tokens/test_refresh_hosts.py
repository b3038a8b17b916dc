"""P12: a hanging or failing token endpoint does not delay the refreshes at other hosts. Its end is a smooth curve."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from sqlalchemy import update

from one_runtime.catalog.entry_files import load_yaml
from one_runtime.catalog.loader import Catalog
from one_runtime.connections.credentials import ProviderUnavailable
from one_runtime.context import Installation, Timing
from one_runtime.db.schema import connections, credentials
from one_runtime.db.sqlite import SqliteDatabase
from one_runtime.errors import Unavailable
from one_runtime.jobs.token_hosts import FAILED_CONNECTIONS, SLOTS
from one_runtime.telemetry import metrics
from one_runtime.tokens.refresh import fresh_credentials
from one_runtime.tokens.refresh_due import refresh_due
from tests.application import RunningAcme
from tests.foreign.providers import LOGO
from tests.tokens.rotating import (
    ENTRY,
    SLUG,
    RotatingApplication,
    RotatingProvider,
    Seeded,
    connect,
    generation_of,
    read_stored,
    register_client,
    rotating_application,
    token_of,
)
from tests.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.promise("P12")]

OTHER = "steady"
MANY = SLOTS + 28


@pytest_asyncio.fixture
async def app(database_url: str, acme: RunningAcme, provider: RotatingProvider) -> AsyncIterator[RotatingApplication]:
    """The application with two integrations, whose token endpoints have different hosts."""
    async with rotating_application(database_url, acme, provider, two_hosts(provider)) as app:
        yield app


def two_hosts(provider: RotatingProvider) -> Catalog:
    """Return a catalog with `rotating` at 127.0.0.1 and `steady` at localhost. One program answers for both hosts."""
    port = urlsplit(provider.url).port
    entry = load_yaml(ENTRY, allow_http=True, replace={"url": provider.url})
    other = load_yaml(ENTRY, allow_http=True, replace={"url": f"http://localhost:{port}"})
    other = other.model_copy(update={"slug": OTHER})
    return Catalog.of((entry, other), {SLUG: LOGO.encode(), OTHER: LOGO.encode()}, "two hosts")


async def connect_many(app: RotatingApplication, count: int, slug: str = SLUG, **behaviour: object) -> list[Seeded]:
    """Create connections of an integration, each with an end user of its own."""
    tokens = app.provider.make(count, **behaviour)
    seeded = [
        await connect(app.installation, app.organization_id, f"user_of_{first['family']}", first) for first in tokens
    ]
    async with app.installation.database.write() as tx:
        for connection in seeded:
            key = connections.c.id == connection.key.connection_id
            await tx.execute(update(connections).where(key).values(integration_slug=slug))
    return seeded


def answered(app: RotatingApplication, seeded: list[Seeded]) -> Counter[str]:
    """Return the responses to the token requests of these connections."""
    families = {connection.family for connection in seeded}
    return Counter(line.answer for line in app.provider.log() if line.family in families)


def hosts_paused(app: RotatingApplication) -> float | None:
    """Return the number of paused token hosts of the integration `rotating`."""
    return metrics.REGISTRY.get_sample_value("one_runtime_token_hosts_paused", {"integration": SLUG})


async def test_a_hanging_host_does_not_delay_the_refreshes_at_another_host(app: RotatingApplication) -> None:
    hanging = await connect_many(app, MANY, hold="before")
    app.application.clock.advance(seconds=1)
    good = await connect_many(app, 40, OTHER)
    app.application.clock.advance(hours=2)
    run = asyncio.create_task(refresh_due(app.installation))
    try:
        await eventually(lambda: answered(app, good) == {"granted": 40})
        assert not run.done()
        assert answered(app, hanging) == {}
        late = await connect_many(app, 1, OTHER, life=1.0)
        app.application.clock.advance(seconds=2)
        await eventually(lambda: answered(app, late) == {"granted": 1})
        assert answered(app, hanging) == {}
        waiting = sum(app.provider.look(connection.family)["waiting"] for connection in hanging)
        assert waiting == SLOTS
    finally:
        app.provider.behave(hold=None)
        await run


def patient(app: RotatingApplication) -> Installation:
    """The installation with longer times, for a machine on which a test takes long."""
    return replace(app.installation, timing=Timing(lease=timedelta(seconds=90), answer=80.0, request=80.0))


async def hang(app: RotatingApplication, count: int) -> list[Seeded]:
    """Start refreshes that hang, in a run that ends at once."""
    hanging = await connect_many(app, count, hold="before")
    app.application.clock.advance(hours=2)
    assert await asyncio.wait_for(refresh_due(patient(app), seconds=0), 15) == count
    await eventually(lambda: all(app.provider.look(connection.family)["waiting"] for connection in hanging))
    return hanging


async def test_an_organization_with_hanging_refreshes_leaves_room_for_another(
    app: RotatingApplication, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("one_runtime.tokens.refresh_due.AT_ONCE", 4)
    monkeypatch.setattr("one_runtime.tokens.refresh_due.AT_ONCE_OF_ORGANIZATION", 2)
    other = replace(app, organization_id=await app.application.organization("Southwind"))
    await register_client(app.installation, other.organization_id)
    hanging = await connect_many(app, 10, hold="before")
    app.application.clock.advance(hours=2)
    run = asyncio.create_task(refresh_due(patient(app)))
    try:
        await eventually(lambda: sum(app.provider.look(each.family)["waiting"] for each in hanging) == 2)
        good = await connect_many(other, 6, life=1.0)
        app.application.clock.advance(seconds=2)
        await eventually(lambda: answered(app, good) == {"granted": 6})
        assert sum(app.provider.look(each.family)["waiting"] for each in hanging) == 2
    finally:
        app.provider.behave(hold=None)
        await run
    assert answered(app, hanging) == {"granted": 10}
    assert app.installation.token_hosts.refreshes_of == {}


async def test_a_run_ends_in_time_and_the_next_run_does_not_wait_for_hanging_refreshes(
    app: RotatingApplication,
) -> None:
    hanging = await hang(app, 2)
    good = await connect_many(app, 1, OTHER, life=1.0)
    app.application.clock.advance(seconds=2)
    assert await asyncio.wait_for(refresh_due(patient(app), seconds=0), 15) == 1
    await eventually(lambda: answered(app, good) == {"granted": 1})
    assert answered(app, hanging) == {}
    app.provider.behave(hold=None)
    assert await refresh_due(patient(app)) == 0
    assert answered(app, hanging) == {"granted": 2}
    assert app.installation.token_hosts.refreshes == set()


async def test_a_stopped_run_also_ends_the_refreshes_of_the_previous_run(app: RotatingApplication) -> None:
    hanging = await hang(app, 2)
    refreshes = list(app.installation.token_hosts.refreshes)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(refresh_due(patient(app)), 0.2)
    assert [refresh.cancelled() for refresh in refreshes] == [True, True]
    assert app.installation.token_hosts.refreshes == set()
    app.provider.behave(hold=None)
    await app.installation.flights.land()
    assert answered(app, hanging) == {"granted": 2}, "a request that was sent can rotate the token"


async def test_a_process_does_not_wait_for_the_refreshes_of_another_process(app: RotatingApplication) -> None:
    """Both processes list the same rows. Each process skips the rows that the other process refreshes."""
    seeded = await connect_many(app, MANY, hold="before")
    app.application.clock.advance(hours=2)
    runs = [asyncio.create_task(refresh_due(process)) for process in (app.installation, app.another_process)]
    try:
        await eventually(lambda: all(app.provider.look(connection.family)["waiting"] for connection in seeded))
    finally:
        app.provider.behave(hold=None)
        await asyncio.gather(*runs)
    assert answered(app, seeded) == {"granted": MANY}


async def test_a_caller_gets_the_tokens_that_another_process_refreshes(app: RotatingApplication) -> None:
    (seeded,) = await connect_many(app, 1, hold="before")
    app.application.clock.advance(hours=2)
    elsewhere = asyncio.create_task(fresh_credentials(app.another_process, seeded.key))
    await eventually(lambda: app.provider.look(seeded.family)["waiting"])
    await refresh_due(app.installation)  # the worker does not wait for the other process
    caller = asyncio.create_task(fresh_credentials(app.installation, seeded.key))
    app.provider.behave(hold=None)
    assert token_of(await caller) == token_of(await elsewhere)
    assert answered(app, [seeded]) == {"granted": 1}


async def test_a_failing_host_gets_few_requests_until_a_probe_succeeds(app: RotatingApplication) -> None:
    failing = await connect_many(app, MANY, fault="503")
    app.application.clock.advance(hours=2)
    await refresh_due(app.installation)
    first = answered(app, failing)["503"]
    assert FAILED_CONNECTIONS <= first < SLOTS + FAILED_CONNECTIONS
    for _ in range(30):
        app.application.clock.advance(seconds=10)
        await refresh_due(app.installation)
    assert hosts_paused(app) == 1
    probes = answered(app, failing)["503"] - first
    assert 5 <= probes <= 15, "one probe a minute, or two because of the random pauses, and some more at the beginning"
    app.provider.behave(fault=None)
    app.application.clock.advance(minutes=1)
    await refresh_due(app.installation)
    assert answered(app, failing)["granted"] >= 1
    for _ in range(60):
        app.application.clock.advance(seconds=1)
        await refresh_due(app.installation)
    assert answered(app, failing)["granted"] == MANY
    assert hosts_paused(app) == 0


async def test_failing_connections_do_not_delay_a_new_connection_at_their_host(app: RotatingApplication) -> None:
    failing = await connect_many(app, 2 * FAILED_CONNECTIONS, fault="500")
    app.application.clock.advance(hours=2)
    await refresh_due(app.installation)
    good = await connect_many(app, 1)
    app.application.clock.advance(hours=1)
    await refresh_due(app.installation, batch=4)  # the other connections fill the first batch
    assert answered(app, good) == {"granted": 1}
    assert answered(app, failing)["granted"] == 0


async def postpone_after_outage(app: RotatingApplication, seeded: list[Seeded]) -> None:
    """Put connections into the state after a long outage."""
    async with app.installation.database.write() as tx:
        for connection in seeded:
            row = credentials.c.connection_id == connection.key.connection_id
            retry_at = app.application.clock() + timedelta(minutes=9)
            await tx.execute(update(credentials).where(row).values(failures=7, retry_at=retry_at))


async def test_an_explicit_refresh_ends_the_pause_after_a_long_outage(app: RotatingApplication) -> None:
    (seeded,) = await connect_many(app, 1)
    app.application.clock.advance(hours=2)
    await postpone_after_outage(app, [seeded])
    with pytest.raises(ProviderUnavailable):
        await fresh_credentials(app.installation, seeded.key)
    answer = await app.client.post(f"/v1/connections/{seeded.key.connection_id}/refresh")
    assert answer.status_code == 200
    assert generation_of(token_of(await fresh_credentials(app.installation, seeded.key))) == 1
    assert (await read_stored(app.installation, seeded.key))[1].failures == 0


async def test_a_success_at_the_host_ends_the_pauses_of_its_connections(app: RotatingApplication) -> None:
    postponed = await connect_many(app, 3)
    (first,) = await connect_many(app, 1)
    elsewhere = await connect_many(app, 1, OTHER)
    app.application.clock.advance(hours=2)
    await postpone_after_outage(app, [*postponed, *elsewhere])
    path = f"/v1/proxy/{SLUG}/me"
    headers = {"one-runtime-connection": postponed[0].key.connection_id}
    assert (await app.client.http.get(path, headers=headers)).status_code == 502
    await fresh_credentials(app.installation, first.key)
    await refresh_due(app.installation)
    assert (await app.client.http.get(path, headers=headers)).status_code == 200
    assert answered(app, postponed) == {"granted": 3}
    assert answered(app, elsewhere) == {}, "another host has shown no success"


@pytest.mark.only_database("sqlite")
async def test_pauses_end_later_if_the_database_fails_at_the_end_of_the_pauses(app: RotatingApplication) -> None:
    postponed, (first,) = await connect_many(app, 3), await connect_many(app, 1)
    app.application.clock.advance(hours=2)
    await postpone_after_outage(app, postponed)
    await fresh_credentials(app.installation, first.key)
    database = app.installation.database
    assert isinstance(database, SqliteDatabase)
    database._writing.execute("PRAGMA query_only = ON")
    with pytest.raises(Unavailable):
        await refresh_due(app.installation)
    database._writing.execute("PRAGMA query_only = OFF")
    await refresh_due(app.installation)
    assert answered(app, postponed) == {"granted": 3}


@pytest.mark.parametrize("columns", [{"refused_client_version": 1}, {"refusals": "single"}], ids=str)
async def test_a_success_at_the_host_does_not_end_pauses_of_another_kind(
    app: RotatingApplication, columns: dict[str, object]
) -> None:
    postponed, requested, first = await connect_many(app, 3)
    app.application.clock.advance(hours=2)
    await postpone_after_outage(app, [postponed])
    async with app.installation.database.write() as tx:
        row = credentials.c.connection_id == postponed.key.connection_id
        await tx.execute(update(credentials).where(row).values(**columns))
        row = credentials.c.connection_id == requested.key.connection_id
        retry_at = app.application.clock() + timedelta(minutes=30)  # a `Retry-After` of the provider
        await tx.execute(update(credentials).where(row).values(failures=7, retry_at=retry_at))
    await fresh_credentials(app.installation, first.key)
    await refresh_due(app.installation)
    assert answered(app, [postponed, requested]) == {}
