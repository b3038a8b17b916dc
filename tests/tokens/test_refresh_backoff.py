"""P8: a provider's outage costs no connection. The old token is used until it expires, and requests back off."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from one_runtime.connections.credentials import ProviderUnavailable
from one_runtime.tokens.refresh import fresh_credentials, refresh_due
from tests.tokens.rotating import There, catalog_at, generation_of, held, token_of

pytestmark = pytest.mark.promise("P8")

LIFE = 3600.0
TROUBLES: list[dict[str, Any]] = [
    {"fault": "500"},
    {"fault": "503"},
    {"fault": "429"},
    {"fault": "malformed"},
    {"fault": "closed"},
]


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: trouble["fault"])
async def test_the_old_token_is_returned_until_it_expires(there: There, trouble: dict[str, Any]) -> None:
    seeded = await there.connect(life=LIFE, **trouble)
    there.application.clock.advance(seconds=LIFE - 100)
    usable = await fresh_credentials(there.installation, seeded.key)
    assert generation_of(token_of(usable)) == 0
    there.application.clock.advance(seconds=101)
    with pytest.raises(ProviderUnavailable) as refused:
        await fresh_credentials(there.installation, seeded.key)
    assert refused.value.retry_after is not None
    assert (await there.look(seeded))["status"] == "active"
    assert len(there.provider.log(seeded.family)) == 2
    there.provider.behave(seeded.family, fault=None)
    there.application.clock.advance(seconds=refused.value.retry_after + 1)
    renewed = await fresh_credentials(there.installation, seeded.key)
    assert generation_of(token_of(renewed)) == 1
    assert there.provider.is_taken(token_of(renewed))


async def test_a_provider_that_is_unreachable_costs_no_connection(there: There) -> None:
    seeded = await there.connect()
    there.application.clock.advance(hours=2)
    catalog = catalog_at("http://127.0.0.1:1")
    with pytest.raises(ProviderUnavailable):
        await fresh_credentials(replace(there.installation, catalog=catalog), seeded.key)
    assert (await there.look(seeded))["status"] == "active"
    there.application.clock.advance(seconds=10)
    assert generation_of(token_of(await fresh_credentials(there.installation, seeded.key))) == 1


async def test_a_request_to_a_slow_provider_times_out(there: There) -> None:
    seeded = await there.connect(hold="before")
    there.application.clock.advance(hours=2)
    hasty = replace(there.installation, timing=replace(there.installation.timing, request=0.3))
    with pytest.raises(ProviderUnavailable):
        await fresh_credentials(hasty, seeded.key)
    assert (await held(there.installation, seeded.key))[1].lease is None
    there.provider.behave(seeded.family, hold=None)


@pytest.mark.parametrize("fault", ["429", "503"])
async def test_retry_after_is_honoured_by_callers_the_api_and_the_worker(there: There, fault: str) -> None:
    seeded = await there.connect(fault=fault, retry_after="900")
    there.application.clock.advance(hours=2)
    with pytest.raises(ProviderUnavailable) as refused:
        await fresh_credentials(there.installation, seeded.key)
    assert refused.value.retry_after == pytest.approx(900, abs=2)
    there.provider.behave(seeded.family, fault=None)
    there.application.clock.advance(seconds=880)
    with pytest.raises(ProviderUnavailable):
        await fresh_credentials(there.another_process, seeded.key)
    answer = await there.client.post(f"/v1/connections/{seeded.key.connection_id}/refresh")
    assert (answer.status_code, answer.json()["code"]) == (502, "provider_unavailable")
    assert 15 <= int(answer.headers["retry-after"]) <= 20
    assert await refresh_due(there.installation) == 0
    assert there.provider.answers(seeded.family) == [fault]
    there.application.clock.advance(seconds=21)
    assert await refresh_due(there.installation) == 1
    assert there.provider.answers(seeded.family) == [fault, "granted"]


async def test_an_outage_is_one_event_and_its_pauses_grow(there: There) -> None:
    seeded = await there.connect(fault="500")
    there.application.clock.advance(hours=2)
    pauses = []
    for _ in range(4):
        with pytest.raises(ProviderUnavailable) as refused:
            await fresh_credentials(there.installation, seeded.key)
        assert refused.value.retry_after is not None
        pauses.append(refused.value.retry_after)
        there.application.clock.advance(seconds=refused.value.retry_after + 1)
    assert pauses == [5, 10, 20, 40]
    (failed,) = await there.events("refresh_failed")
    assert (failed["connection_id"], failed["data"]["reason"]) == (seeded.key.connection_id, "provider_trouble")
    there.provider.behave(seeded.family, fault=None)
    await fresh_credentials(there.installation, seeded.key)
    there.provider.behave(seeded.family, fault="500")
    there.application.clock.advance(hours=2)
    with pytest.raises(ProviderUnavailable):  # another time of trouble, and the pauses begin anew
        await fresh_credentials(there.installation, seeded.key)
    assert len(await there.events("refresh_failed")) == 2


async def test_many_callers_during_an_outage_cause_one_request(there: There) -> None:
    seeded = await there.connect(fault="500")
    there.application.clock.advance(hours=2)
    calls = [fresh_credentials(there.installation, seeded.key) for _ in range(20)]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(answer, ProviderUnavailable) for answer in answers)
    assert there.provider.answers(seeded.family) == ["500"]


async def test_a_client_that_the_provider_does_not_know_leaves_the_connection_active(there: There) -> None:
    seeded = await there.connect(fault="invalid_client")
    there.application.clock.advance(hours=2)
    with pytest.raises(ProviderUnavailable) as refused:
        await fresh_credentials(there.installation, seeded.key)
    assert refused.value.retry_after == pytest.approx(600, abs=2)
    assert (await there.look(seeded))["status"] == "active"
    (failed,) = await there.events("refresh_failed")
    assert failed["data"]["reason"] == "client_refused"


async def test_a_response_lost_after_rotation_ends_as_needs_reauth(there: There) -> None:
    seeded = await there.connect(fault="lost")
    there.application.clock.advance(hours=2)
    with pytest.raises(ProviderUnavailable):
        await fresh_credentials(there.installation, seeded.key)
    assert (await there.look(seeded))["status"] == "active"
    there.application.clock.advance(seconds=10)
    assert await refresh_due(there.installation) == 1
    shown = await there.look(seeded)
    assert (shown["status"], shown["error"]["message"]) == ("needs_reauth", "The refresh token was used before.")
    assert there.provider.answers(seeded.family) == ["granted", "reused"]
