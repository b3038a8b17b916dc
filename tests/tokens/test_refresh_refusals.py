"""P8: `invalid_grant` counts at once, if the row still holds the token that was presented."""

import asyncio

import pytest

from one_runtime.connections import connections
from one_runtime.connections.credentials import ProviderUnavailable
from one_runtime.tenancy.events import Actor
from one_runtime.tokens.refresh import ReauthRequired, fresh_credentials, refresh
from one_runtime.tokens.refresh_due import refresh_due
from one_runtime.tokens.state import UsableCredential
from tests.tokens.rotating import RotatingApplication, Seeded, connect, generation_of, read_stored, token_of
from tests.waiting import eventually

pytestmark = pytest.mark.promise("P8")


async def is_refused(app: RotatingApplication, seeded: Seeded) -> None:
    with pytest.raises(ReauthRequired):
        await fresh_credentials(app.installation, seeded.key)


async def test_a_refusal_is_recorded_at_once_with_the_providers_message_and_an_event(app: RotatingApplication) -> None:
    seeded = await app.connect(fault="invalid_grant", words="The user removed the app.")
    app.application.clock.advance(hours=2)
    await is_refused(app, seeded)
    shown = await app.look(seeded)
    assert shown["status"] == "needs_reauth"
    assert (shown["error"]["code"], shown["error"]["message"]) == ("invalid_grant", "The user removed the app.")
    (event,) = await app.events("needs_reauth")
    assert (event["connection_id"], event["data"]["reason"]) == (seeded.key.connection_id, "invalid_grant")
    assert await app.events("refresh_failed") == []


async def test_a_refused_token_that_has_not_expired_is_not_returned(app: RotatingApplication) -> None:
    seeded = await app.connect(life=3600.0, fault="invalid_grant")
    app.application.clock.advance(seconds=3500)
    await is_refused(app, seeded)
    await is_refused(app, seeded)
    assert app.provider.answers(seeded.family) == ["invalid_grant"]


async def test_after_a_refusal_the_provider_gets_no_more_requests(app: RotatingApplication) -> None:
    seeded = await app.connect(fault="invalid_grant")
    app.application.clock.advance(hours=2)
    await is_refused(app, seeded)
    app.application.clock.advance(days=2)
    for _ in range(3):
        await is_refused(app, seeded)
    with pytest.raises(ReauthRequired):
        await fresh_credentials(app.another_process, seeded.key)
    read = await app.client.get(f"/v1/connections/{seeded.key.connection_id}/credentials")
    assert (read.status_code, read.json()["code"]) == (409, "needs_reauth")
    assert await refresh_due(app.installation) == 0
    assert app.provider.answers(seeded.family) == ["invalid_grant"]


async def test_many_callers_get_the_error_of_one_refusal(app: RotatingApplication) -> None:
    seeded = await app.connect(fault="invalid_grant", before=0.05)
    app.application.clock.advance(hours=2)
    ours = [fresh_credentials(app.installation, seeded.key) for _ in range(20)]
    another = app.another_process
    theirs = [fresh_credentials(another, seeded.key) for _ in range(20)]
    answers = await asyncio.gather(*ours, *theirs, return_exceptions=True)
    assert {type(answer) for answer in answers} == {ReauthRequired}
    assert app.provider.answers(seeded.family) == ["invalid_grant"]
    assert len(await app.events("needs_reauth")) == 1


async def test_the_api_retries_a_refused_connection_and_a_grant_makes_it_active(app: RotatingApplication) -> None:
    seeded = await app.connect(fault="invalid_grant")
    app.application.clock.advance(hours=2)
    await is_refused(app, seeded)
    again = await app.client.post(f"/v1/connections/{seeded.key.connection_id}/refresh")
    assert (again.status_code, again.json()["code"]) == (409, "needs_reauth")
    app.provider.behave(seeded.family, fault=None)
    answer = await app.client.post(f"/v1/connections/{seeded.key.connection_id}/refresh")
    assert answer.status_code == 200, answer.text
    assert (answer.json()["status"], answer.json()["error"]) == ("active", None)
    assert len(await app.events("recovered")) == 1
    assert len(await app.events("needs_reauth")) == 1
    assert generation_of(token_of(await fresh_credentials(app.installation, seeded.key))) == 1
    app.application.clock.advance(hours=2)
    assert await refresh_due(app.installation) == 1  # the worker renews it again


async def test_the_workers_renewal_makes_a_connection_with_a_refused_check_active(app: RotatingApplication) -> None:
    seeded = await app.connect()
    async with app.installation.database.write() as tx:
        connection, _ = await connections.get_with_credential(tx, app.installation.vault, seeded.key, lock=True)
        actor, now = Actor(app.organization_id, "system"), app.application.clock()
        await connections.mark_needs_reauth(tx, actor, connection, "credentials_refused", "No.", now)
    await is_refused(app, seeded)
    app.application.clock.advance(hours=2)
    assert await refresh_due(app.installation) == 1
    assert (await app.look(seeded))["status"] == "active"
    assert len(await app.events("recovered")) == 1


async def reconnected_meanwhile(
    app: RotatingApplication, seeded: Seeded, account: str
) -> tuple["asyncio.Task[UsableCredential]", Seeded]:
    """Start a renewal that the provider holds back, and store the end user's new authorization meanwhile."""
    app.application.clock.advance(hours=2)
    flight = asyncio.create_task(fresh_credentials(app.installation, seeded.key))
    await eventually(lambda: app.provider.look(seeded.family)["waiting"] == 1)
    tokens = app.provider.make()[0]
    tokens["expires_in"] += 7200  # the application's clock is that much ahead
    again = await connect(app.installation, app.organization_id, seeded.end_user_id, tokens, account)
    assert again.key == seeded.key
    return flight, again


async def test_a_refusal_after_the_end_user_reconnected_changes_nothing(app: RotatingApplication) -> None:
    seeded = await app.connect(account="alice", hold="before", fault="invalid_grant")
    flight, again = await reconnected_meanwhile(app, seeded, "alice")
    app.provider.behave(seeded.family, hold=None)
    usable = await flight
    assert app.provider.answers(seeded.family) == ["invalid_grant"]
    assert token_of(usable).split(".")[1] == again.family
    assert app.provider.accepts(token_of(usable))
    assert (await app.look(seeded))["status"] == "active"
    assert await app.events("needs_reauth") == []


async def test_a_failure_after_the_end_user_reconnected_changes_nothing(app: RotatingApplication) -> None:
    seeded = await app.connect(account="alice", hold="before", fault="500")
    flight, again = await reconnected_meanwhile(app, seeded, "alice")
    app.provider.behave(seeded.family, hold=None)
    with pytest.raises(ProviderUnavailable):
        await flight
    _, stored = await read_stored(app.installation, seeded.key)
    assert (stored.retry_at, stored.failures) == (None, 0)
    usable = await fresh_credentials(app.installation, seeded.key)
    assert token_of(usable).split(".")[1] == again.family
    assert await app.events("refresh_failed") == []


@pytest.mark.parametrize("account", ["alice", "bob"])
async def test_a_success_after_the_end_user_reconnected_changes_nothing(app: RotatingApplication, account: str) -> None:
    seeded = await app.connect(account="alice", hold="after")
    flight, again = await reconnected_meanwhile(app, seeded, account)
    app.provider.behave(seeded.family, hold=None)
    usable = await flight
    assert app.provider.answers(seeded.family) == ["granted"]
    assert token_of(usable).split(".")[1] == again.family
    _, stored = await read_stored(app.installation, seeded.key)
    assert stored.secrets["refresh_token"].split(".")[1] == again.family
    assert generation_of(stored.secrets["refresh_token"]) == 0
    assert app.provider.accepts(token_of(usable))
    app.application.clock.advance(minutes=3)
    await app.revoke_due()
    # Tokens that are no longer used are revoked, unless that would end the new grant of the same account too.
    assert app.provider.look(seeded.family)["alive"] is (account == "alice")
    assert app.provider.look(again.family)["alive"] is True


async def test_success_after_a_refusal_of_another_process_is_retried_at_once(app: RotatingApplication) -> None:
    """The lease expired and another process presented the same token: the provider ends the family for the reuse."""
    seeded = await app.connect(hold="after")
    app.application.clock.advance(hours=2)
    flight = asyncio.create_task(fresh_credentials(app.installation, seeded.key))
    await eventually(lambda: app.provider.look(seeded.family)["waiting"] == 1)
    app.application.clock.advance(seconds=61)
    with pytest.raises(ReauthRequired):
        await fresh_credentials(app.another_process, seeded.key)
    app.provider.behave(seeded.family, hold=None)
    with pytest.raises(ReauthRequired):
        await flight
    assert generation_of((await read_stored(app.installation, seeded.key))[1].secrets["refresh_token"]) == 1
    assert await refresh_due(app.installation) == 1
    assert app.provider.answers(seeded.family) == ["granted", "reused", "dead"]
    assert (await app.look(seeded))["status"] == "needs_reauth"
    assert await refresh_due(app.installation) == 0


async def test_success_after_a_wrong_refusal_of_another_process_recovers(app: RotatingApplication) -> None:
    """A provider without reuse detection refused in between: the tokens that it granted before still work."""
    seeded = await app.connect(hold="after")
    app.application.clock.advance(hours=2)
    flight = asyncio.create_task(fresh_credentials(app.installation, seeded.key))
    await eventually(lambda: app.provider.look(seeded.family)["waiting"] == 1)
    app.application.clock.advance(seconds=61)
    app.provider.behave(seeded.family, fault="invalid_grant")
    with pytest.raises(ReauthRequired):
        await fresh_credentials(app.another_process, seeded.key)
    app.provider.behave(seeded.family, fault=None, hold=None)
    with pytest.raises(ReauthRequired):
        await flight
    assert await refresh_due(app.installation) == 1
    shown = await app.look(seeded)
    assert (shown["status"], shown["error"]) == ("active", None)
    usable = await refresh(app.installation, seeded.key)
    assert app.provider.accepts(token_of(usable))
