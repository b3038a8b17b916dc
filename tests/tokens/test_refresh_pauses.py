"""P8: after a pause of the process, a token response that lies in the socket is read and stored."""

import asyncio
import threading
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from one_runtime.connections.credentials import ProviderUnavailable
from one_runtime.context import Installation
from one_runtime.errors import Unavailable
from one_runtime.tokens.refresh import fresh_credentials
from tests.tokens.renewer import Work, renewers
from tests.tokens.rotating import RotatingApplication, Seeded, generation_of, read_stored, token_of
from tests.waiting import async_attempts, eventually

pytestmark = [pytest.mark.promise("P8"), pytest.mark.slow]

LEASE = 3.0


def hurried(app: RotatingApplication) -> Installation:
    """The installation with a short lease, which a pause can outlast."""
    timing = replace(
        app.installation.timing, lease=timedelta(seconds=LEASE), answer=LEASE - 1, request=LEASE - 0.5, patience=1.0
    )
    return replace(app.installation, timing=timing)


def pause_process(seconds: float) -> None:
    """Block the event loop, as a suspended process does."""
    threading.Event().wait(seconds)


async def generations(app: RotatingApplication, seeded: list[Seeded]) -> set[int]:
    """Return the generations of the stored refresh tokens."""
    stored = [(await read_stored(app.installation, connection.key))[1] for connection in seeded]
    return {generation_of(credential.secrets["refresh_token"]) for credential in stored}


async def test_responses_that_arrived_during_a_pause_are_stored(app: RotatingApplication) -> None:
    seeded = [await app.connect(f"user_{number}", hold="after") for number in range(20)]
    installation = hurried(app)
    app.application.clock.advance(hours=2)
    calls = [asyncio.create_task(fresh_credentials(installation, connection.key)) for connection in seeded]
    await eventually(lambda: all(app.provider.look(connection.family)["waiting"] for connection in seeded))
    app.provider.behave(hold=None)  # the responses arrive while the event loop does not run
    pause_process(LEASE + 1)
    await asyncio.gather(*calls, return_exceptions=True)
    await installation.flights.land()
    assert await generations(app, seeded) == {1}
    for connection in seeded:
        assert app.provider.accepts(token_of(await fresh_credentials(installation, connection.key)))
        assert app.provider.answers(connection.family) == ["granted"]


async def test_a_response_of_a_paused_process_does_not_replace_newer_tokens(app: RotatingApplication) -> None:
    """During the pause, the end user has connected again."""
    seeded, installation = await app.connect(hold="after", account="alice"), hurried(app)
    app.application.clock.advance(hours=2)
    call = asyncio.create_task(fresh_credentials(installation, seeded.key))
    await eventually(lambda: app.provider.look(seeded.family)["waiting"] == 1)
    again = await app.connect(account="alice")
    assert again.key == seeded.key
    app.provider.behave(seeded.family, hold=None)
    pause_process(LEASE + 1)
    with suppress(ProviderUnavailable, Unavailable):
        await call
    await installation.flights.land()
    _, stored = await read_stored(app.installation, seeded.key)
    assert stored.secrets["refresh_token"].split(".")[1] == again.family
    assert app.provider.answers(seeded.family) == ["granted"]
    assert app.provider.look(again.family)["alive"] is True


@pytest.mark.timeout(120)
async def test_a_stopped_process_stores_the_responses_after_it_continues(
    app: RotatingApplication, database_url: str, tmp_path: Path
) -> None:
    """SIGSTOP of a real process: the signal also interrupts its wait for the sockets."""
    seeded = [await app.connect(f"user_{number}", life=0.0, hold="after") for number in range(20)]
    work = Work(
        database_url=database_url,
        keys=app.installation.settings.encryption_keys.get_secret_value(),
        provider_url=app.provider.url,
        log=str(tmp_path / "records.jsonl"),
        organization_id=app.organization_id,
        connections=tuple(connection.key.connection_id for connection in seeded),
        lease=20.0,
        request=5.0,
    )
    for connection in seeded:
        app.provider.behave(connection.family, life=3600.0)
    async with renewers(work, tmp_path) as started:
        process = await started.start(seed=1)
        await eventually(lambda: all(app.provider.look(connection.family)["waiting"] for connection in seeded))
        stop = asyncio.create_task(started.stop(process, 0, work.request + 2))
        await eventually(lambda: is_stopped(process))
        app.provider.behave(hold=None)
        await stop
        await eventually_stored(app, seeded)
        await started.kill(process, 0)
    for connection in seeded:
        assert app.provider.answers(connection.family) == ["granted"]


def is_stopped(process: int) -> bool:
    """Return True if a signal has stopped the process."""
    status = Path(f"/proc/{process}/stat").read_text()
    return status.rpartition(")")[2].split()[0] == "T"


async def eventually_stored(app: RotatingApplication, seeded: list[Seeded]) -> None:
    """Wait until the new refresh token of each connection is stored."""
    async for _ in async_attempts():
        if await generations(app, seeded) == {1}:
            return
