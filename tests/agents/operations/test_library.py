"""All sources of functions together, as a server process searches them."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from threading import Barrier, BrokenBarrierError, Event

import pytest

from one_runtime.agents.operations.data import read_folder
from one_runtime.agents.operations.index import IndexedIntegration, OperationIndex
from one_runtime.agents.operations.library import OperationLibrary
from one_runtime.catalog.loader import load_catalog
from one_runtime.catalog.operation import Operation
from one_runtime.demo.acme_entry import acme_operations, with_acme
from tests.agents.operations.synthetic import operation

URL = "http://127.0.0.1:8002"


@pytest.fixture
def library() -> Iterator[OperationLibrary]:
    catalog = with_acme(load_catalog(), URL)
    library = OperationLibrary(catalog, (read_folder, partial(acme_operations, URL)))
    yield library
    library.close()


async def test_the_demo_finds_the_functions_of_acme(library: OperationLibrary) -> None:
    matches = await library.search("create a contact in acme", {"acme", "stripe"}, {"acme"}, 5)
    assert matches[0].operation.full_name == "acme.contact_create"
    assert matches[0].connected
    found = await library.get("acme", "contact_get")
    assert found is not None
    assert found.documentation == URL
    assert await library.get("acme", "none") is None


async def test_a_server_without_acme_has_no_functions_of_acme() -> None:
    library = OperationLibrary(load_catalog(), (read_folder, partial(acme_operations, URL)))
    assert await library.of_integration("acme") == []
    library.close()


async def test_own_functions_come_beside_the_others(library: OperationLibrary) -> None:
    own = OperationIndex.in_memory(
        [IndexedIntegration("x-desk", "acme desk", [operation("x-desk.contacts_list", summary="List contacts.")])]
    )
    found = await library.search("list contacts", {"acme", "x-desk"}, {"x-desk"}, 8, own)
    assert [match.operation.full_name for match in found][:2] == ["x-desk.contacts_list", "acme.contacts_list"]
    assert await library.get("x-desk", "contacts_list", own) == own.get("x-desk", "contacts_list")
    assert await library.get("x-desk", "contacts_list") is None


async def test_concurrent_first_searches_load_the_data_once() -> None:
    loads = list[str]()
    both = Barrier(2)

    def read() -> dict[str, tuple[Operation, ...]]:
        loads.append(URL)
        with suppress(BrokenBarrierError):  # no second thread arrives
            both.wait(0.2)
        return acme_operations(URL)

    library = OperationLibrary(with_acme(load_catalog(), URL), (read,))
    found = await asyncio.gather(
        *(library.search("contact", None, set(), 3, owner=str(number)) for number in range(20))
    )
    assert {len(matches) for matches in found} == {3}
    assert loads == [URL]
    library.close()


@pytest.mark.promise("P17")
async def test_searches_of_one_organization_leave_threads_for_another(library: OperationLibrary) -> None:
    end = Event()
    held = [asyncio.create_task(library.run(end.wait, "one")) for _ in range(10)]
    try:
        async with asyncio.timeout(5):
            assert await library.get("acme", "contact_get", owner="two") is not None
            held[0].cancel()  # the thread goes on, and so does the lock
            assert await library.get("acme", "contact_get", owner="two") is not None
        assert not any(task.done() for task in held[1:])
    finally:
        end.set()
        await asyncio.gather(*held, return_exceptions=True)
    assert all(task.result() for task in held[1:])
