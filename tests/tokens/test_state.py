"""Reads of the credential state: each is answered, and each is one statement."""

import asyncio
from dataclasses import replace
from typing import Any, cast

import pytest

from one_runtime.catalog.auth_types.oauth2 import OAuth2Auth
from one_runtime.catalog.model import Integration
from one_runtime.catalog.request import inject
from one_runtime.connections import connections
from one_runtime.db.engine import Transaction
from one_runtime.tokens.state import CredentialState
from tests.catalog.example import OAUTH2, entry_of
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


def with_regions() -> Integration:
    """Return an entry whose API has a host for each region, which the end user or the callback names."""
    regions = [{"value": region, "label": region} for region in ("us", "eu")]
    region = {"name": "region", "label": "Region", "default": "us", "options": regions}
    domain = {"name": "domain", "source": "callback", "options": ["a.example", "b.example"], "default": "a.example"}
    base_url = "https://{region}.api.{domain}"
    return entry_of({**OAUTH2, "params": [region], "received": [domain], "base_url": base_url})


@pytest.mark.parametrize(
    "stored, base_url",
    [
        ({}, "https://us.api.a.example"),
        ({"region": "eu"}, "https://eu.api.a.example"),
        ({"region": "eu", "domain": "b.example"}, "https://eu.api.b.example"),
    ],
)
async def test_a_connection_that_is_older_than_a_parameter_uses_its_default(
    app: RotatingApplication, stored: dict[str, str], base_url: str
) -> None:
    """A provider opens a region: the connections that exist belong to the first one."""
    seeded = await app.connect()
    connection, credential = await read_stored(app.installation, seeded.key)
    entry = with_regions()
    state = CredentialState.of(replace(connection, params=stored), credential, entry)
    (auth,) = entry.auth
    assert isinstance(auth, OAuth2Auth)
    assert inject(auth, state.usable.values).base_url == base_url
