"""Steps of a sign-in that have begun in a browser."""

import asyncio

from one_runtime.team.sign_in import steps
from one_runtime.team.sign_in.steps import LIFETIME, SignInStep
from tests.application import Application

STEP = SignInStep(None, {"challenge": "c"})


async def begin(application: Application) -> str:
    async with application.installation.database.write() as tx:
        return (await steps.begin(tx, "passkey", STEP, application.clock())).secret


async def consume(application: Application, token: str, kind: steps.StepKind = "passkey") -> SignInStep | None:
    async with application.installation.database.write() as tx:
        return await steps.consume(tx, kind, token, application.clock())


async def test_step_works_once_and_only_for_its_kind(application: Application) -> None:
    token = await begin(application)
    other = await begin(application)
    assert await consume(application, token, "oidc") is None
    assert await consume(application, "orss_nonsense") is None
    results = await asyncio.gather(*(consume(application, token) for _ in range(3)))
    assert sorted(results, key=lambda step: step is None) == [STEP, None, None]
    assert await consume(application, other) == STEP


async def test_expired_step_is_refused_and_purged(application: Application) -> None:
    expired = await begin(application)
    application.clock.advance(seconds=LIFETIME.total_seconds())
    fresh = await begin(application)
    assert await consume(application, expired) is None
    assert await steps.purge(application.installation) == 1
    assert await consume(application, fresh) == STEP
