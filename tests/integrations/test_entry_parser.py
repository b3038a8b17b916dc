"""Parsing of custom integrations: fair between organizations, and limited."""

import asyncio
import threading
from collections.abc import Awaitable, Callable

import pytest

from one_runtime.errors import RateLimited
from one_runtime.integrations.entry_parser import (
    MAX_PENDING,
    MAX_PENDING_OF_ORGANIZATION,
    MAX_SIZE_ON_THREAD,
    THREAD,
    EntryParser,
    EntryQueue,
)
from one_runtime.settings import Settings
from tests.application import RunningAcme, started
from tests.billing import ENTRY, PATH, Billing, send
from tests.waiting import eventually


def recorder(order: list[str], organization: str, free: asyncio.Event) -> Callable[[], Awaitable[None]]:
    """Return a job that adds the organization to `order` when `free` is set."""

    async def job() -> None:
        await free.wait()
        order.append(organization)

    return job


def start(
    queue: EntryQueue, order: list[str], free: asyncio.Event, organizations: list[str]
) -> list[asyncio.Future[None]]:
    return [
        asyncio.ensure_future(queue.run(organization, recorder(order, organization, free)))
        for organization in organizations
    ]


async def test_entries_of_different_organizations_alternate() -> None:
    queue, free, order = EntryQueue(1), asyncio.Event(), list[str]()
    calls = start(queue, order, free, ["a", "a", "a", "b"])
    await eventually(lambda: queue.pending == len(calls))
    free.set()
    await asyncio.gather(*calls)
    assert order == ["a", "b", "a", "a"]


async def test_organization_does_not_occupy_all_processes() -> None:
    queue, blocked, free, order = EntryQueue(2), asyncio.Event(), asyncio.Event(), list[str]()
    free.set()
    calls = start(queue, order, blocked, ["a"] * MAX_PENDING_OF_ORGANIZATION)
    await asyncio.gather(*start(queue, order, free, ["b", "b"]))
    assert order == ["b", "b"]
    blocked.set()
    await asyncio.gather(*calls)


async def test_entries_that_wait_are_limited() -> None:
    queue, free, order = EntryQueue(1), asyncio.Event(), list[str]()
    organizations = [str(number // MAX_PENDING_OF_ORGANIZATION) for number in range(MAX_PENDING)]
    calls = start(queue, order, free, organizations)
    await eventually(lambda: queue.pending == MAX_PENDING)
    for organization, limit in (("0", "Your organization may send at most 4"), ("another", "The server is busy")):
        with pytest.raises(RateLimited, match=limit):
            await asyncio.wait_for(queue.run(organization, recorder(order, organization, free)), 10)
    free.set()
    await asyncio.gather(*calls)
    assert queue.pending == 0
    await queue.run("another", recorder(order, "another", free))
    assert order[-1] == "another"


async def test_failed_and_cancelled_jobs_leave_the_queue() -> None:
    queue, never = EntryQueue(1), asyncio.Event()

    async def fail() -> None:
        raise ValueError("a")

    running, waiting = start(queue, [], never, ["a", "b"])
    await eventually(lambda: queue.pending == 2)
    for call in (waiting, running):
        call.cancel()
    await asyncio.gather(running, waiting, return_exceptions=True)
    with pytest.raises(ValueError, match="a"):
        await queue.run("a", fail)
    assert queue.pending == 0


@pytest.mark.slow
async def test_long_document_is_parsed_in_a_process(billing: Billing) -> None:
    client = await billing.organization()
    processes = billing.application.app.services.entry_parser.large
    ended: list[int] = []
    long = ENTRY + "#" * (MAX_SIZE_ON_THREAD - len(ENTRY))
    assert (await send(client, "POST", PATH, long)).status_code == 201
    call = asyncio.ensure_future(send(client, "PUT", f"{PATH}/x-billing", long + "#"))
    call.add_done_callback(lambda _: ended.append(1))
    await eventually(lambda: processes.pending == 1 or ended)
    assert not ended
    assert (await call).status_code == 200


@pytest.mark.slow
async def test_organization_with_large_documents_does_not_delay_another(billing: Billing) -> None:
    organization = await billing.application.organization()
    client = billing.application.client(await billing.application.key(organization))
    other = await billing.organization("Southwind")
    parser: EntryParser = billing.application.app.services.entry_parser
    free, order = asyncio.Event(), list[str]()
    calls = start(parser.large, order, free, [organization] * MAX_PENDING_OF_ORGANIZATION)
    await eventually(lambda: parser.large.pending == MAX_PENDING_OF_ORGANIZATION)
    large = ENTRY + "#" * MAX_SIZE_ON_THREAD
    refused = await send(client, "POST", PATH, large)
    assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
    assert refused.headers["retry-after"] == "1"
    assert (await send(other, "POST", PATH, ENTRY)).status_code == 201
    assert (await send(other, "PUT", f"{PATH}/x-billing", large)).status_code == 200
    free.set()
    await asyncio.gather(*calls)
    assert (await send(client, "POST", PATH, large)).status_code == 201


async def test_thread_ends_with_the_server(settings: Settings, acme: RunningAcme) -> None:
    others = set(threading.enumerate())
    async with started(settings, acme) as application:
        client = application.client(await application.key(await application.organization()))
        assert (await send(client, "POST", PATH, ENTRY)).status_code == 201
        (thread,) = (thread for thread in set(threading.enumerate()) - others if THREAD in thread.name)
    await eventually(lambda: not thread.is_alive())
