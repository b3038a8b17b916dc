"""P8: a server without the active key sends no refresh token, because it could not store the new tokens."""

import asyncio

import pytest

from one_runtime.encryption import key_rotation
from one_runtime.encryption.vault import KeyNotInRing
from one_runtime.lifecycle import disconnect
from one_runtime.tenancy.events import Actor
from one_runtime.tokens.refresh import fresh_credentials, refresh
from one_runtime.tokens.refresh_due import refresh_due
from one_runtime.tokens.state import UsableCredential
from tests.missing_key import activate_first, activate_last, add_key, count_rows, reseal, server_with
from tests.telemetry.test_metrics import Growth
from tests.tokens.rotating import SLUG, RotatingApplication, Seeded, generation_of, read_stored, token_of
from tests.waiting import eventually

pytestmark = pytest.mark.promise("P8")


async def test_a_server_without_the_active_key_sends_no_refresh_token(app: RotatingApplication) -> None:
    seeded = await app.connect()
    app.application.clock.advance(hours=2)
    before = await read_stored(app.installation, seeded.key)
    _, both = add_key(app.installation)
    await activate_last(app.installation, both)
    assert await refresh_due(app.installation) == 0
    for call in (fresh_credentials, refresh):
        with pytest.raises(KeyNotInRing):
            await call(app.installation, seeded.key)
    answer = await app.client.post(f"/v1/connections/{seeded.key.connection_id}/refresh")
    assert (answer.status_code, answer.json()["code"]) == (503, "key_not_in_ring")
    answer = await app.client.http.get(f"/v1/proxy/{SLUG}/me", headers={"One-Runtime-End-User": seeded.end_user_id})
    assert (answer.status_code, answer.headers["one-runtime-error"]) == (503, "key_not_in_ring")
    assert app.provider.answers(seeded.family) == []
    assert await read_stored(app.installation, seeded.key) == before
    assert await refresh_due(server_with(app.installation, both)) == 1
    assert app.provider.answers(seeded.family) == ["granted"]


async def test_a_token_that_is_due_and_has_not_expired_is_used_without_the_active_key(app: RotatingApplication) -> None:
    seeded = await app.connect(life=3600.0)
    token = token_of(await fresh_credentials(app.installation, seeded.key))
    await activate_last(app.installation, add_key(app.installation)[1])
    app.application.clock.advance(minutes=58)
    assert token_of(await fresh_credentials(app.installation, seeded.key)) == token
    assert app.provider.answers(seeded.family) == []


async def test_credentials_under_a_key_of_other_servers_stay_due_for_them(app: RotatingApplication) -> None:
    """The operator has activated a key, and then the old key again. Some rows are under the newer key."""
    _, both = add_key(app.installation)
    seeded = await app.connect()
    await activate_last(app.installation, both)
    await reseal(app.installation, both)
    await activate_first(app.installation, both)
    app.application.clock.advance(hours=2)
    assert await refresh_due(app.installation) == 0
    other = server_with(app.installation, both)
    _, stored = await read_stored(other, seeded.key)
    assert (stored.lease, stored.retry_at) == (None, None)
    assert await refresh_due(other) == 1
    assert app.provider.answers(seeded.family) == ["granted"]


async def start_held_refresh(app: RotatingApplication) -> "tuple[Seeded, asyncio.Task[UsableCredential]]":
    """Start a refresh whose tokens have rotated and whose response the provider holds back."""
    seeded = await app.connect(hold="after")
    app.application.clock.advance(hours=2)
    flight = asyncio.create_task(fresh_credentials(app.installation, seeded.key))
    await eventually(lambda: app.provider.look(seeded.family)["waiting"] == 1)
    return seeded, flight


@pytest.mark.parametrize("resealed", [False, True])
async def test_tokens_are_stored_when_a_key_that_this_server_lacks_was_activated_during_the_refresh(
    app: RotatingApplication, resealed: bool
) -> None:
    seeded, flight = await start_held_refresh(app)
    _, both = add_key(app.installation)
    newer = await activate_last(app.installation, both)
    if resealed:
        await reseal(app.installation, both)
    app.provider.behave(seeded.family, hold=None)
    usable = await flight
    assert app.provider.accepts(token_of(usable))
    _, stored = await read_stored(app.installation, seeded.key)  # under the key that this server has
    assert generation_of(stored.secrets["refresh_token"]) == 1
    await reseal(app.installation, both)
    assert await count_rows(app.installation, app.installation.vault.key_ids[0]) == 0
    assert await count_rows(app.installation, newer) > 0
    app.application.clock.advance(hours=2)
    other = server_with(app.installation, both)
    assert app.provider.accepts(token_of(await fresh_credentials(other, seeded.key)))
    assert app.provider.answers(seeded.family) == ["granted", "granted"]


async def test_new_tokens_of_a_deleted_connection_are_revoked_when_the_active_key_is_missing(
    app: RotatingApplication,
) -> None:
    seeded, flight = await start_held_refresh(app)
    _, both = add_key(app.installation)
    await activate_last(app.installation, both)
    answer = await app.client.send("DELETE", f"/v1/connections/{seeded.key.connection_id}")
    assert answer.status_code == 503  # this server cannot queue the revocation of the stored tokens
    other = server_with(app.installation, both)
    await disconnect.delete_connection(other, Actor(app.organization_id, "system"), seeded.key.connection_id)
    app.provider.behave(seeded.family, hold=None)
    await asyncio.wait([flight])
    app.application.clock.advance(minutes=3)
    assert await app.revoke_due() == 1
    assert app.provider.look(seeded.family)["alive"] is False


async def test_tokens_stay_in_memory_while_every_key_of_this_server_is_disabled(app: RotatingApplication) -> None:
    seeded, flight = await start_held_refresh(app)
    _, both = add_key(app.installation)
    await activate_last(app.installation, both)
    await reseal(app.installation, both)
    old = app.installation.vault.key_ids[0]
    async with app.installation.database.write() as tx:
        await key_rotation.disable(tx, old, app.application.clock())
    failed = Growth("one_runtime_vault_failures_total", code="key_not_in_ring")
    app.provider.behave(seeded.family, hold=None)
    await eventually(lambda: failed() >= 2)  # two attempts to store the tokens
    await activate_first(app.installation, both)
    assert app.provider.accepts(token_of(await flight))
    _, stored = await read_stored(app.installation, seeded.key)
    assert generation_of(stored.secrets["refresh_token"]) == 1
