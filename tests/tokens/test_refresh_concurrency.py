"""P8: 200 callers need the credentials of one connection whose token has expired; the provider gets one request."""

import asyncio
import time
from pathlib import Path

import pytest

from one_runtime.tokens.refresh import fresh_credentials
from tests.tokens.renewer import Work, renewers
from tests.tokens.rotating import There, generation_of, token_of

pytestmark = pytest.mark.promise("P8")

CALLERS = 200
PROCESSES = 4


async def test_200_callers_in_one_process_cause_one_request(there: There) -> None:
    seeded = await there.connect(before=0.05, after=0.05)
    there.application.clock.advance(hours=2)
    calls = [fresh_credentials(there.installation, seeded.key) for _ in range(CALLERS)]
    given = [token_of(usable) for usable in await asyncio.gather(*calls)]
    assert len(given) == CALLERS
    assert {generation_of(token) for token in given} == {1}
    assert there.provider.is_taken(given[0])
    assert len(set(given)) == 1
    assert there.provider.answers(seeded.family) == ["granted"]


@pytest.mark.slow
@pytest.mark.only_database("postgresql")
async def test_200_callers_in_four_processes_cause_one_request(there: There, database_url: str, tmp_path: Path) -> None:
    seeded = await there.connect(life=0.0, before=0.05, after=0.05)
    there.provider.behave(seeded.family, life=3600.0)
    work = Work(
        database_url=database_url,
        keys=there.installation.settings.encryption_keys.get_secret_value(),
        provider_url=there.provider.url,
        log=str(tmp_path / "given.jsonl"),
        organization_id=there.organization_id,
        connections=(seeded.key.connection_id,),
        lease=60.0,
        request=20.0,
    )
    async with renewers(work, tmp_path) as started:
        at = time.time() + 2
        processes = [await started.start("burst", callers=CALLERS // PROCESSES, at=at) for _ in range(PROCESSES)]
        assert [await started.ended(one) for one in processes] == [0] * PROCESSES, started.errors.read_text()
        given = [one.token for one in started.given() if one.token is not None]
    assert len(given) == CALLERS
    assert len(set(given)) == 1
    assert generation_of(given[0]) == 1
    assert there.provider.is_taken(given[0])
    assert there.provider.answers(seeded.family) == ["granted"]
