"""A drill under load: a restored copy is served beside production, while callers use production."""

from pathlib import Path

import pytest

from one_runtime.demo.acme import GLOBEX
from tests.application import ACME_KEYS
from tests.figures import Figures
from tests.operating.backups import client
from tests.operating.callers import Callers
from tests.operating.load import all_connections
from tests.operating.production import acme_with_lasting_tokens, in_production
from tests.operating.test_drill import refresh, until_worker_has_refreshed
from tests.promises.serving import serving

pytestmark = [pytest.mark.soak, pytest.mark.timeout(600)]

GRANTS = 200


async def test_restored_copy_takes_no_connection_from_production_under_load(
    database_url: str, database_kind: str, tmp_path: Path, request: pytest.FixtureRequest, figures: Figures
) -> None:
    drill = tmp_path / "drill"
    drill.mkdir()
    async with acme_with_lasting_tokens() as acme, in_production(database_url, acme, tmp_path, GRANTS) as production:
        callers = Callers(lambda: client(production.served, production.api_key), 2, "acme", ACME_KEYS[GLOBEX], "load")
        async with callers.running():
            await callers.more()
            restored = await production.restore(tmp_path, database_kind, request)
            async with serving(restored, drill) as copy:
                await until_worker_has_refreshed(copy)
                during = [await refresh(production.http, connection_id) for connection_id in production.rotated]
            after = [await refresh(production.http, connection_id) for connection_id in production.rotated]
            await callers.more()
        assert during == after == [(200, None)] * GRANTS
        assert callers.failures() == []
        states = {connection["id"]: connection["status"] for connection in await all_connections(production.http)}
    assert {production.kept, *production.rotated, *callers.acknowledged} <= states.keys()
    assert set(states.values()) == {"active"}
    figures(
        f"{database_kind}: 0 of {len(states)} connections lost in production; {2 * GRANTS} refreshes that replaced "
        f"the refresh token; {callers.summary()}"
    )
