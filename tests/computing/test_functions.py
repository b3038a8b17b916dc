"""Functions that run in the processes of a pool."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from one_runtime.agents.response_bodies import whole
from one_runtime.computing.functions import FunctionPool
from one_runtime.computing.pool import NoProcess
from one_runtime.computing.process import ProcessEnded

ARGUMENTS = {"encoding": "", "content_type": "text/plain", "secrets": ["canary"]}


@pytest.fixture
async def functions() -> AsyncIterator[FunctionPool]:
    functions = FunctionPool(size=2)
    yield functions
    await functions.close()


async def test_calls_return_the_result_of_the_function(functions: FunctionPool) -> None:
    bodies = [b"", b"a canary", b"\0" * 2_000_000, b"canary" * 300_000]
    answers = await asyncio.gather(
        *(functions.call(f"owner {n}", whole, body, ARGUMENTS) for n, body in enumerate(bodies))
    )
    assert answers == [whole(body, encoding="", content_type="text/plain", secrets=["canary"]) for body in bodies]
    assert len(functions.pool.processes) == 2


async def test_a_failed_function_ends_its_process_and_no_other_call(functions: FunctionPool) -> None:
    first = functions.call("one", whole, b"a", {"unknown": 1})
    second = functions.call("two", whole, b"b", ARGUMENTS)
    failed, result = await asyncio.gather(first, second, return_exceptions=True)
    assert isinstance(failed, ProcessEnded)
    assert result == ({}, b"b")
    assert await functions.call("one", whole, b"c", ARGUMENTS) == ({}, b"c")


async def test_a_call_has_limits_of_time() -> None:
    functions = FunctionPool(size=1, wait_seconds=0.01)
    async with functions.pool.reserve("other", 60):
        with pytest.raises(NoProcess):
            await functions.call("one", whole, b"a", ARGUMENTS)
    await functions.close()
    functions = FunctionPool(size=1, compute_seconds=0.001)
    with pytest.raises(ProcessEnded):
        await functions.call("one", whole, b"a", ARGUMENTS)
    await functions.close()
