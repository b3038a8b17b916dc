"""The operator requires a new authorization: no call, check or refresh uses the connection until then."""

from collections.abc import Sequence

import pytest

from one_runtime.lifecycle import required_reauth
from one_runtime.lifecycle.required_reauth import ReauthScope
from one_runtime.tokens.refresh import ReauthRequired
from tests.tokens.rotating import RotatingApplication, Seeded, connect, read_stored
from tests.tokens.test_refresh_races import start_renewal


async def require(app: RotatingApplication, *seeded: Seeded) -> int:
    ids: Sequence[str] = [each.key.connection_id for each in seeded]
    installation = app.installation
    return await required_reauth.require(
        installation.database, installation.vault, installation.catalogs, ids, installation.clock, "ada"
    )


async def test_no_call_check_or_refresh_uses_the_connection_until_a_new_authorization(app: RotatingApplication) -> None:
    seeded = await app.connect()
    path = f"/v1/connections/{seeded.key.connection_id}"
    assert await require(app, seeded) == 1
    call = await app.client.http.get("/v1/proxy/rotating/me", headers={"One-Runtime-End-User": "user_123"})
    refused = [call, await app.client.post(f"{path}/refresh"), await app.client.get(f"{path}/credentials")]
    assert [answer.status_code for answer in refused] == [409, 409, 409]
    assert all("The operator of One Runtime requires" in answer.json()["detail"] for answer in refused)
    checked = (await app.client.post(f"{path}/check")).json()
    assert checked["outcome"] == "refused"
    assert checked["connection"]["error"]["code"] == "required_by_operator"
    assert [event["data"]["reason"] for event in await app.events("needs_reauth")] == ["required_by_operator"]
    assert await app.revoke_due() == 1
    assert app.provider.look(seeded.family)["alive"] is False
    assert await require(app, seeded) == 0
    again = await connect(app.installation, app.organization_id, "user_123", app.provider.make()[0])
    assert again.key == seeded.key
    assert (await app.look(again))["status"] == "active"
    answer = await app.client.http.get("/v1/proxy/rotating/me", headers={"One-Runtime-End-User": "user_123"})
    assert answer.status_code == 200


async def test_refresh_in_progress_does_not_make_the_connection_active(app: RotatingApplication) -> None:
    seeded = await app.connect(hold="after")
    flight = await start_renewal(app, seeded)
    assert await require(app, seeded) == 1
    app.provider.behave(seeded.family, hold=None)
    with pytest.raises(ReauthRequired, match="operator"):
        await flight
    connection, stored = await read_stored(app.installation, seeded.key)
    assert (connection.status, stored.secrets) == ("needs_reauth", {})
    app.application.clock.advance(minutes=3)
    assert await app.revoke_due() == 2  # the tokens from before the refresh, and the new tokens
    assert app.provider.look(seeded.family)["alive"] is False


async def test_grant_of_another_connection_is_revoked_only_with_its_last_connection(app: RotatingApplication) -> None:
    first = await app.connect("ada", account="shared")
    second = await app.connect("grace", account="shared")
    assert await require(app, first) == 1
    assert await app.revoke_due() == 0
    assert (await app.look(second))["status"] == "active"
    installation = app.installation
    changed = await required_reauth.require_all(
        installation.database,
        installation.vault,
        installation.catalogs,
        ReauthScope(app.organization_id, "rotating"),
        installation.clock,
        "ada",
    )
    assert (changed, await app.revoke_due()) == (1, 2)
    assert [app.provider.look(each.family)["alive"] for each in (first, second)] == [False] * 2
    assert [(await app.look(each))["status"] for each in (first, second)] == ["needs_reauth"] * 2


async def test_reason_of_a_broken_connection_is_replaced(app: RotatingApplication) -> None:
    seeded = await app.connect(fault="invalid_grant")
    assert (await app.client.post(f"/v1/connections/{seeded.key.connection_id}/refresh")).status_code == 409
    assert (await app.look(seeded))["error"]["code"] == "invalid_grant"
    assert await require(app, seeded) == 1
    assert (await app.look(seeded))["error"]["code"] == "required_by_operator"
