"""What refreshing leans on: reads that are asked for one upon the other are answered, whenever that is."""

import asyncio

import pytest

from tests.refresh.rotating import There, held

READS = 300


@pytest.mark.only_database("postgresql")
async def test_a_read_that_is_asked_for_while_the_last_batch_ends_is_answered(there: There) -> None:
    seeded = await there.connect()

    async def read() -> None:
        for _ in range(READS):
            await held(there.installation, seeded.owner)

    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        for _ in range(5):
            group.create_task(read())
