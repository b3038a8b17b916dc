"""A drill under load: a restored copy is served beside production, while callers use production."""

import asyncio
from pathlib import Path

import pytest

from one_runtime.demo.acme import GLOBEX
from one_runtime.encryption.vault import new_key
from tests.application import ACME_KEYS
from tests.figures import Figures
from tests.operating.backups import back_up_as_documented, client, restore_as_documented, with_acme
from tests.operating.callers import Callers
from tests.operating.load import all_connections
from tests.operating.test_drill import (
    acme_with_lasting_tokens,
    connect,
    make_due,
    refresh,
    register_client,
    until_worker_has_refreshed,
)
from tests.promises.serving import make_key, serving

pytestmark = [pytest.mark.soak, pytest.mark.timeout(600)]

GRANTS = 200


async def test_restored_copy_takes_no_connection_from_production_under_load(
    database_url: str, database_kind: str, tmp_path: Path, request: pytest.FixtureRequest, figures: Figures
) -> None:
    keys, api_key = new_key(), await make_key(database_url)
    drill = tmp_path / "drill"
    drill.mkdir()
    async with acme_with_lasting_tokens() as acme:
        production = with_acme(database_url, acme, keys)
        async with serving(production, tmp_path) as served, client(served, api_key) as http:
            client_id = await register_client(http, acme.acme)
            kept, *rotated = [await connect(http, acme.acme, client_id, number) for number in range(GRANTS + 1)]
            callers = Callers(lambda: client(served, api_key), 2, "acme", ACME_KEYS[GLOBEX], "load")
            async with callers.running():
                await callers.more()
                restored = with_acme(
                    await asyncio.to_thread(
                        restore_as_documented, await back_up_as_documented(served, tmp_path), database_kind, request
                    ),
                    acme,
                    keys,
                )
                await make_due(restored.database_url, except_for=kept)
                async with serving(restored, drill) as copy:
                    await until_worker_has_refreshed(copy)
                    during = [await refresh(http, connection_id) for connection_id in rotated]
                after = [await refresh(http, connection_id) for connection_id in rotated]
                await callers.more()
            assert during == after == [(200, None)] * GRANTS
            assert callers.failures() == []
            states = {connection["id"]: connection["status"] for connection in await all_connections(http)}
    assert {kept, *rotated, *callers.acknowledged} <= states.keys()
    assert set(states.values()) == {"active"}
    figures(
        f"{database_kind}: 0 of {len(states)} connections lost in production; {2 * GRANTS} refreshes that replaced "
        f"the refresh token; {callers.summary()}"
    )
