"""P8: on an unconfirmed copy of the database, no refresh token and no revocation leaves the server (D2)."""

import pytest

from one_runtime.jobs import liveness
from one_runtime.jobs.liveness import UnconfirmedCopy
from one_runtime.jobs.recheck_queue import RecheckRequest
from one_runtime.lifecycle.recheck import recheck_queued
from one_runtime.tokens.refresh import fresh_credentials
from one_runtime.tokens.refresh_due import refresh_due
from tests.tokens.rotating import SLUG, RotatingApplication, read_stored, token_of

pytestmark = pytest.mark.promise("P8")


async def become_a_copy(app: RotatingApplication) -> None:
    """Hold the database back. The process notices this at its check-in."""
    async with app.installation.database.write() as tx:
        await liveness.hold(tx)
    await check_in(app)


async def confirm(app: RotatingApplication) -> None:
    location = await app.installation.database.location(create=True)
    async with app.installation.database.write() as tx:
        await liveness.confirm(tx, location, app.installation.clock())
    await check_in(app)


async def check_in(app: RotatingApplication) -> None:
    await app.installation.liveness.check_in(app.installation.database, app.installation.clock())


async def test_copy_refreshes_nothing_until_it_is_confirmed(app: RotatingApplication) -> None:
    seeded = await app.connect()
    before = await read_stored(app.installation, seeded.key)
    await become_a_copy(app)
    app.application.clock.advance(hours=2)
    assert await refresh_due(app.installation) == 0
    with pytest.raises(UnconfirmedCopy):
        await fresh_credentials(app.installation, seeded.key)
    for action in ("refresh", "check"):
        answer = await app.client.post(f"/v1/connections/{seeded.key.connection_id}/{action}")
        assert (answer.status_code, answer.json()["code"]) == (409, "unconfirmed_copy"), action
        assert "one-runtime installation confirm" in answer.json()["detail"]
    answer = await app.client.http.get(f"/v1/proxy/{SLUG}/me", headers={"One-Runtime-End-User": seeded.end_user_id})
    assert (answer.status_code, answer.headers["one-runtime-error"]) == (409, "unconfirmed_copy")
    assert app.provider.answers(seeded.family) == []
    assert await read_stored(app.installation, seeded.key) == before
    await confirm(app)
    assert await refresh_due(app.installation) == 1
    assert app.provider.answers(seeded.family) == ["granted"]


async def test_copy_uses_a_token_that_is_due_and_has_not_expired(app: RotatingApplication) -> None:
    seeded = await app.connect(life=3600.0)
    token = token_of(await fresh_credentials(app.installation, seeded.key))
    await become_a_copy(app)
    app.application.clock.advance(minutes=58)
    assert token_of(await fresh_credentials(app.installation, seeded.key)) == token
    assert app.provider.answers(seeded.family) == []


async def test_copy_keeps_revocations_until_it_is_confirmed(app: RotatingApplication) -> None:
    seeded = await app.connect()
    await become_a_copy(app)
    answer = await app.client.send("DELETE", f"/v1/connections/{seeded.key.connection_id}")
    reasons = {token["reason"] for token in answer.json()["revocations"]}
    assert len(reasons) == 1
    assert "one-runtime installation confirm" in str(reasons)
    app.application.clock.advance(minutes=3)
    assert await app.revoke_due() == 0
    assert app.provider.look(seeded.family)["alive"] is True
    await confirm(app)
    assert await app.revoke_due() == 1
    assert app.provider.look(seeded.family)["alive"] is False


async def test_copy_rechecks_no_connection(app: RotatingApplication) -> None:
    seeded = await app.connect()
    await become_a_copy(app)
    app.installation.rechecks.enqueue(RecheckRequest(app.organization_id, seeded.key.connection_id, SLUG))
    assert await recheck_queued(app.installation) == 0
    await confirm(app)
    assert await recheck_queued(app.installation) == 1
