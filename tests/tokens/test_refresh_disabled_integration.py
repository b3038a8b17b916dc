"""A disabled integration: no token is sent to its provider except for a revocation, and nothing is lost."""

import pytest

from one_runtime.catalog.disabled_integrations import IntegrationDisabled
from one_runtime.tokens.refresh import fresh_credentials, held_credentials, refresh_in_background
from one_runtime.tokens.refresh_due import refresh_due
from tests.disabling import disable, enable
from tests.tokens.rotating import SLUG, RotatingApplication, read_stored


async def test_due_tokens_wait_until_the_integration_is_enabled(app: RotatingApplication) -> None:
    seeded = await app.connect()
    before = await read_stored(app.installation, seeded.key)
    await disable(app.installation, SLUG)
    app.application.clock.advance(hours=2)
    assert await refresh_due(app.installation) == 0
    for use in (fresh_credentials, held_credentials, refresh_in_background):
        with pytest.raises(IntegrationDisabled):
            await use(app.installation, seeded.key)
    assert app.provider.answers(seeded.family) == []
    assert await read_stored(app.installation, seeded.key) == before, "no failure and no pause is stored"
    await enable(app.installation, SLUG)
    assert await refresh_due(app.installation) == 1
    assert app.provider.answers(seeded.family) == ["granted"]


@pytest.mark.promise("P9")
async def test_deleted_connection_of_a_disabled_integration_is_revoked(app: RotatingApplication) -> None:
    seeded = await app.connect()
    await disable(app.installation, SLUG)
    answer = await app.client.send("DELETE", f"/v1/connections/{seeded.key.connection_id}")
    assert {token["outcome"] for token in answer.json()["revocations"]} == {"revoked"}
    assert app.provider.look(seeded.family)["alive"] is False


async def test_refreshes_grow_slowly_after_the_integration_is_enabled(app: RotatingApplication) -> None:
    await app.connect()
    await disable(app.installation, SLUG)
    app.application.clock.advance(hours=2)
    await refresh_due(app.installation)
    limited = [host for _, host in app.installation.token_hosts._hosts.items() if host._recovering_since is not None]
    assert limited == []
    await enable(app.installation, SLUG)
    assert await refresh_due(app.installation) == 1
    (host,) = app.installation.token_hosts._hosts.values()
    assert host._recovering_since is not None
    assert app.installation.disabled.take_resumed() == set()
