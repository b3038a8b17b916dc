"""P8: 200 callers need the credentials of one connection whose token has expired; the provider gets one request."""

import asyncio
import time
from pathlib import Path

import pytest

from one_runtime.tokens.refresh import fresh_credentials
from tests.tokens.renewer import Work, renewers
from tests.tokens.rotating import RotatingApplication, generation_of, token_of

pytestmark = pytest.mark.promise("P8")

CALLERS = 200
PROCESSES = 4


async def test_200_callers_in_one_process_cause_one_request(app: RotatingApplication) -> None:
    seeded = await app.connect(before=0.05, after=0.05)
    app.application.clock.advance(hours=2)
    calls = [fresh_credentials(app.installation, seeded.key) for _ in range(CALLERS)]
    tokens = [token_of(usable) for usable in await asyncio.gather(*calls)]
    assert len(tokens) == CALLERS
    assert {generation_of(token) for token in tokens} == {1}
    assert app.provider.accepts(tokens[0])
    assert len(set(tokens)) == 1
    assert app.provider.answers(seeded.family) == ["granted"]


@pytest.mark.slow
@pytest.mark.only_database("postgresql")
async def test_200_callers_in_four_processes_cause_one_request(
    app: RotatingApplication, database_url: str, tmp_path: Path
) -> None:
    seeded = await app.connect(life=0.0, before=0.05, after=0.05)
    app.provider.behave(seeded.family, life=3600.0)
    work = Work(
        database_url=database_url,
        keys=app.installation.settings.encryption_keys.get_secret_value(),
        provider_url=app.provider.url,
        log=str(tmp_path / "records.jsonl"),
        organization_id=app.organization_id,
        connections=(seeded.key.connection_id,),
        lease=60.0,
        request=20.0,
    )
    async with renewers(work, tmp_path) as started:
        at = time.time() + 2
        processes = [await started.start("burst", callers=CALLERS // PROCESSES, at=at) for _ in range(PROCESSES)]
        assert [await started.ended(process) for process in processes] == [0] * PROCESSES, started.errors.read_text()
        tokens = [record.token for record in started.records() if record.token is not None]
    assert len(tokens) == CALLERS
    assert len(set(tokens)) == 1
    assert generation_of(tokens[0]) == 1
    assert app.provider.accepts(tokens[0])
    assert app.provider.answers(seeded.family) == ["granted"]
