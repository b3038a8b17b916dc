"""Reads of the credential state: each is answered, and each is one statement."""

import asyncio
from typing import Any, cast

import pytest

from one_runtime.connections import connections
from one_runtime.db.engine import Transaction
from tests.tokens.rotating import RotatingApplication, read_stored

READS = 300


@pytest.mark.only_database("postgresql")
async def test_a_read_that_starts_while_the_last_batch_ends_is_answered(app: RotatingApplication) -> None:
    seeded = await app.connect()

    async def read() -> None:
        for _ in range(READS):
            await read_stored(app.installation, seeded.key)

    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        for _ in range(5):
            group.create_task(read())


class Counting:
    """A transaction that counts its statements."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx
        self.statements = 0

    async def one(self, statement: Any, *kind: Any, **params: object) -> Any:
        self.statements += 1
        return await self._tx.one(statement, *kind, **params)


@pytest.mark.promise("P8")
async def test_tokens_and_their_expiry_are_read_in_one_statement(app: RotatingApplication) -> None:
    """Between two statements another process may renew: the old token would get the expiry of the new one."""
    seeded = await app.connect()
    async with app.installation.database.read() as tx:
        counting = Counting(tx)
        await connections.get_with_credential(cast("Transaction", counting), app.installation.vault, seeded.key)
    assert counting.statements == 1
