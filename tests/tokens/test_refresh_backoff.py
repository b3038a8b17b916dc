"""P8: a provider's outage costs no connection. The old token is used until it expires, and requests back off."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from one_runtime.connections.credentials import ProviderUnavailable
from one_runtime.tokens.refresh import ClientRefused, fresh_credentials, refresh
from one_runtime.tokens.refresh_due import refresh_due
from tests.tokens.rotating import (
    CLOSED_PORT,
    RotatingApplication,
    catalog_at,
    generation_of,
    read_stored,
    token_of,
)

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
async def test_the_old_token_is_returned_until_it_expires(app: RotatingApplication, trouble: dict[str, Any]) -> None:
    seeded = await app.connect(life=LIFE, **trouble)
    app.application.clock.advance(seconds=LIFE - 100)
    usable = await fresh_credentials(app.installation, seeded.key)
    assert generation_of(token_of(usable)) == 0
    app.application.clock.advance(seconds=101)
    with pytest.raises(ProviderUnavailable) as refused:
        await fresh_credentials(app.installation, seeded.key)
    assert refused.value.retry_after is not None
    assert (await app.look(seeded))["status"] == "active"
    assert len(app.provider.log(seeded.family)) == 2
    app.provider.behave(seeded.family, fault=None)
    app.application.clock.advance(seconds=refused.value.retry_after + 1)
    renewed = await fresh_credentials(app.installation, seeded.key)
    assert generation_of(token_of(renewed)) == 1
    assert app.provider.accepts(token_of(renewed))


async def test_a_provider_that_is_unreachable_costs_no_connection(app: RotatingApplication) -> None:
    seeded = await app.connect()
    app.application.clock.advance(hours=2)
    catalog = catalog_at(f"http://127.0.0.1:{CLOSED_PORT}")
    with pytest.raises(ProviderUnavailable):
        await fresh_credentials(replace(app.installation, catalog=catalog), seeded.key)
    assert (await app.look(seeded))["status"] == "active"
    app.application.clock.advance(seconds=10)
    assert generation_of(token_of(await fresh_credentials(app.installation, seeded.key))) == 1


async def test_a_request_to_a_slow_provider_times_out(app: RotatingApplication) -> None:
    seeded = await app.connect(hold="before")
    app.application.clock.advance(hours=2)
    hasty = replace(app.installation, timing=replace(app.installation.timing, request=0.3))
    with pytest.raises(ProviderUnavailable):
        await fresh_credentials(hasty, seeded.key)
    assert (await read_stored(app.installation, seeded.key))[1].lease is None
    app.provider.behave(seeded.family, hold=None)


@pytest.mark.parametrize("fault", ["429", "503"])
async def test_retry_after_is_honoured_by_callers_the_api_and_the_worker(app: RotatingApplication, fault: str) -> None:
    seeded = await app.connect(fault=fault, retry_after="900")
    app.application.clock.advance(hours=2)
    with pytest.raises(ProviderUnavailable) as refused:
        await fresh_credentials(app.installation, seeded.key)
    assert refused.value.retry_after == pytest.approx(900, abs=2)
    app.provider.behave(seeded.family, fault=None)
    app.application.clock.advance(seconds=880)
    with pytest.raises(ProviderUnavailable):
        await fresh_credentials(app.another_process, seeded.key)
    answer = await app.client.get(f"/v1/connections/{seeded.key.connection_id}/credentials")
    assert (answer.status_code, answer.json()["code"]) == (502, "provider_unavailable")
    assert 15 <= int(answer.headers["retry-after"]) <= 20
    assert await refresh_due(app.installation) == 0
    assert app.provider.answers(seeded.family) == [fault]
    app.application.clock.advance(seconds=21)
    assert await refresh_due(app.installation) == 1
    assert app.provider.answers(seeded.family) == [fault, "granted"]


async def test_retry_after_of_a_day_pauses_for_an_hour(app: RotatingApplication) -> None:
    seeded = await app.connect(fault="429", retry_after="86400")
    app.application.clock.advance(hours=2)
    with pytest.raises(ProviderUnavailable) as refused:
        await fresh_credentials(app.installation, seeded.key)
    assert refused.value.retry_after == pytest.approx(3600, abs=2)
    app.provider.behave(seeded.family, fault=None)
    app.application.clock.advance(seconds=3590)
    assert await refresh_due(app.installation) == 0
    app.application.clock.advance(seconds=11)
    assert await refresh_due(app.installation) == 1
    assert app.provider.answers(seeded.family) == ["429", "granted"]


async def test_explicit_refresh_is_sent_during_the_pause_of_retry_after(app: RotatingApplication) -> None:
    seeded = await app.connect(fault="429", retry_after="900")
    app.application.clock.advance(hours=2)
    with pytest.raises(ProviderUnavailable):
        await fresh_credentials(app.installation, seeded.key)
    route = f"/v1/connections/{seeded.key.connection_id}/refresh"
    answer = await app.client.post(route)
    assert (answer.status_code, answer.json()["code"]) == (502, "provider_unavailable")
    assert 890 <= int(answer.headers["retry-after"]) <= 900, "a further failure pauses the other callers again"
    assert app.provider.answers(seeded.family) == ["429", "429"]
    app.provider.behave(seeded.family, fault=None)
    with pytest.raises(ProviderUnavailable):
        await fresh_credentials(app.installation, seeded.key)
    assert (await app.client.post(route)).status_code == 200
    assert app.provider.answers(seeded.family) == ["429", "429", "granted"]
    assert generation_of(token_of(await fresh_credentials(app.installation, seeded.key))) == 1


async def test_simultaneous_explicit_refreshes_during_a_pause_present_no_token_twice(app: RotatingApplication) -> None:
    seeded = await app.connect(fault="429", retry_after="900")
    app.application.clock.advance(hours=2)
    with pytest.raises(ProviderUnavailable):
        await fresh_credentials(app.installation, seeded.key)
    app.provider.behave(seeded.family, fault=None)
    processes = [app.installation, app.another_process]
    await asyncio.gather(*(refresh(process, seeded.key) for process in processes * 10))
    first, *others = app.provider.answers(seeded.family)
    assert (first, set(others)) == ("429", {"granted"})
    assert (await app.look(seeded))["status"] == "active"


async def test_an_outage_is_one_event_and_its_pauses_grow(app: RotatingApplication) -> None:
    seeded = await app.connect(fault="500")
    app.application.clock.advance(hours=2)
    pauses = []
    for _ in range(4):
        with pytest.raises(ProviderUnavailable) as refused:
            await fresh_credentials(app.installation, seeded.key)
        assert refused.value.retry_after is not None
        pauses.append(refused.value.retry_after)
        app.application.clock.advance(seconds=refused.value.retry_after + 1)
    # Each pause is random between a half and the whole, so that connections that failed together do not retry together.
    assert all(full // 2 <= pause <= full for pause, full in zip(pauses, [10, 20, 40, 80], strict=True)), pauses
    (failed,) = await app.events("refresh_failed")
    assert (failed["connection_id"], failed["data"]["reason"]) == (seeded.key.connection_id, "provider_trouble")
    app.provider.behave(seeded.family, fault=None)
    await fresh_credentials(app.installation, seeded.key)
    app.provider.behave(seeded.family, fault="500")
    app.application.clock.advance(hours=2)
    with pytest.raises(ProviderUnavailable):  # another outage: the pauses start from the shortest again
        await fresh_credentials(app.installation, seeded.key)
    assert len(await app.events("refresh_failed")) == 2


async def test_many_callers_during_an_outage_cause_one_request(app: RotatingApplication) -> None:
    seeded = await app.connect(fault="500")
    app.application.clock.advance(hours=2)
    calls = [fresh_credentials(app.installation, seeded.key) for _ in range(20)]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(answer, ProviderUnavailable) for answer in answers)
    assert app.provider.answers(seeded.family) == ["500"]


async def test_a_client_that_the_provider_does_not_know_leaves_the_connection_active(app: RotatingApplication) -> None:
    seeded = await app.connect(fault="invalid_client")
    app.application.clock.advance(hours=2)
    with pytest.raises(ClientRefused):
        await fresh_credentials(app.installation, seeded.key)
    _, stored = await read_stored(app.installation, seeded.key)
    assert stored.retry_at is not None
    assert (stored.retry_at - app.application.clock()).total_seconds() == pytest.approx(600, abs=2)
    assert (await app.look(seeded))["status"] == "active"
    (failed,) = await app.events("refresh_failed")
    assert failed["data"]["reason"] == "client_refused"


async def test_a_response_lost_after_rotation_ends_as_needs_reauth(app: RotatingApplication) -> None:
    seeded = await app.connect(fault="lost")
    app.application.clock.advance(hours=2)
    with pytest.raises(ProviderUnavailable):
        await fresh_credentials(app.installation, seeded.key)
    assert (await app.look(seeded))["status"] == "active"
    app.application.clock.advance(seconds=10)
    assert await refresh_due(app.installation) == 1
    shown = await app.look(seeded)
    assert (shown["status"], shown["error"]["message"]) == ("needs_reauth", "The refresh token was used before.")
    assert app.provider.answers(seeded.family) == ["granted", "reused"]
