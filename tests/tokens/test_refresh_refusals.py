"""P8: `invalid_grant` counts at once, if the row still holds the token that was presented."""

import asyncio

import pytest

from one_runtime.connections import connections
from one_runtime.connections.credentials import ProviderUnavailable
from one_runtime.tenancy.events import Actor
from one_runtime.tokens.refresh import ReauthRequired, fresh_credentials, refresh, refresh_due
from one_runtime.tokens.state import UsableCredential
from tests.tokens.rotating import Seeded, There, connect, generation_of, held, token_of
from tests.waiting import eventually

pytestmark = pytest.mark.promise("P8")


async def is_refused(there: There, seeded: Seeded) -> None:
    with pytest.raises(ReauthRequired):
        await fresh_credentials(there.installation, seeded.key)


async def test_a_refusal_is_recorded_at_once_with_the_providers_message_and_an_event(there: There) -> None:
    seeded = await there.connect(fault="invalid_grant", words="The user removed the app.")
    there.application.clock.advance(hours=2)
    await is_refused(there, seeded)
    shown = await there.look(seeded)
    assert shown["status"] == "needs_reauth"
    assert (shown["error"]["code"], shown["error"]["message"]) == ("invalid_grant", "The user removed the app.")
    (event,) = await there.events("needs_reauth")
    assert (event["connection_id"], event["data"]["reason"]) == (seeded.key.connection_id, "invalid_grant")
    assert await there.events("refresh_failed") == []


async def test_a_refused_token_that_has_not_expired_is_not_returned(there: There) -> None:
    seeded = await there.connect(life=3600.0, fault="invalid_grant")
    there.application.clock.advance(seconds=3500)
    await is_refused(there, seeded)
    await is_refused(there, seeded)
    assert there.provider.answers(seeded.family) == ["invalid_grant"]


async def test_after_a_refusal_the_provider_gets_no_more_requests(there: There) -> None:
    seeded = await there.connect(fault="invalid_grant")
    there.application.clock.advance(hours=2)
    await is_refused(there, seeded)
    there.application.clock.advance(days=2)
    for _ in range(3):
        await is_refused(there, seeded)
    with pytest.raises(ReauthRequired):
        await fresh_credentials(there.another_process, seeded.key)
    read = await there.client.get(f"/v1/connections/{seeded.key.connection_id}/credentials")
    assert (read.status_code, read.json()["code"]) == (409, "needs_reauth")
    assert await refresh_due(there.installation) == 0
    assert there.provider.answers(seeded.family) == ["invalid_grant"]


async def test_many_callers_get_the_error_of_one_refusal(there: There) -> None:
    seeded = await there.connect(fault="invalid_grant", before=0.05)
    there.application.clock.advance(hours=2)
    ours = [fresh_credentials(there.installation, seeded.key) for _ in range(20)]
    another = there.another_process
    theirs = [fresh_credentials(another, seeded.key) for _ in range(20)]
    answers = await asyncio.gather(*ours, *theirs, return_exceptions=True)
    assert {type(answer) for answer in answers} == {ReauthRequired}
    assert there.provider.answers(seeded.family) == ["invalid_grant"]
    assert len(await there.events("needs_reauth")) == 1


async def test_the_api_retries_a_refused_connection_and_a_grant_makes_it_active(there: There) -> None:
    seeded = await there.connect(fault="invalid_grant")
    there.application.clock.advance(hours=2)
    await is_refused(there, seeded)
    again = await there.client.post(f"/v1/connections/{seeded.key.connection_id}/refresh")
    assert (again.status_code, again.json()["code"]) == (409, "needs_reauth")
    there.provider.behave(seeded.family, fault=None)
    answer = await there.client.post(f"/v1/connections/{seeded.key.connection_id}/refresh")
    assert answer.status_code == 200, answer.text
    assert (answer.json()["status"], answer.json()["error"]) == ("active", None)
    assert len(await there.events("recovered")) == 1
    assert len(await there.events("needs_reauth")) == 1
    assert generation_of(token_of(await fresh_credentials(there.installation, seeded.key))) == 1
    there.application.clock.advance(hours=2)
    assert await refresh_due(there.installation) == 1  # the worker sees to it again


async def test_the_workers_renewal_makes_a_connection_with_a_refused_check_active(there: There) -> None:
    seeded = await there.connect()
    async with there.installation.database.write() as tx:
        found, _ = await connections.get_with_credential(tx, there.installation.vault, seeded.key, lock=True)
        actor, now = Actor(there.organization_id, "system"), there.application.clock()
        await connections.mark_needs_reauth(tx, actor, found, "credentials_refused", "No.", now)
    await is_refused(there, seeded)
    there.application.clock.advance(hours=2)
    assert await refresh_due(there.installation) == 1
    assert (await there.look(seeded))["status"] == "active"
    assert len(await there.events("recovered")) == 1


async def reconnected_meanwhile(
    there: There, seeded: Seeded, account: str
) -> tuple["asyncio.Task[UsableCredential]", Seeded]:
    """Start a renewal that the provider holds back, and store the end user's next consent meanwhile."""
    there.application.clock.advance(hours=2)
    flight = asyncio.create_task(fresh_credentials(there.installation, seeded.key))
    await eventually(lambda: there.provider.look(seeded.family)["waiting"] == 1)
    made = there.provider.make()[0]
    made["expires_in"] += 7200  # the application's clock is that much ahead
    again = await connect(there.installation, there.organization_id, seeded.end_user_id, made, account)
    assert again.key == seeded.key
    return flight, again


async def test_a_refusal_after_the_end_user_reconnected_changes_nothing(there: There) -> None:
    seeded = await there.connect(account="alice", hold="before", fault="invalid_grant")
    flight, again = await reconnected_meanwhile(there, seeded, "alice")
    there.provider.behave(seeded.family, hold=None)
    usable = await flight
    assert there.provider.answers(seeded.family) == ["invalid_grant"]
    assert token_of(usable).split(".")[1] == again.family
    assert there.provider.is_taken(token_of(usable))
    assert (await there.look(seeded))["status"] == "active"
    assert await there.events("needs_reauth") == []


async def test_a_failure_after_the_end_user_reconnected_changes_nothing(there: There) -> None:
    seeded = await there.connect(account="alice", hold="before", fault="500")
    flight, again = await reconnected_meanwhile(there, seeded, "alice")
    there.provider.behave(seeded.family, hold=None)
    with pytest.raises(ProviderUnavailable):
        await flight
    _, stored = await held(there.installation, seeded.key)
    assert (stored.retry_at, stored.failures) == (None, 0)
    usable = await fresh_credentials(there.installation, seeded.key)
    assert token_of(usable).split(".")[1] == again.family
    assert await there.events("refresh_failed") == []


@pytest.mark.parametrize("account", ["alice", "bob"])
async def test_a_success_after_the_end_user_reconnected_changes_nothing(there: There, account: str) -> None:
    seeded = await there.connect(account="alice", hold="after")
    flight, again = await reconnected_meanwhile(there, seeded, account)
    there.provider.behave(seeded.family, hold=None)
    usable = await flight
    assert there.provider.answers(seeded.family) == ["granted"]
    assert token_of(usable).split(".")[1] == again.family
    _, stored = await held(there.installation, seeded.key)
    assert stored.secrets["refresh_token"].split(".")[1] == again.family
    assert generation_of(stored.secrets["refresh_token"]) == 0
    assert there.provider.is_taken(token_of(usable))
    there.application.clock.advance(minutes=3)
    await there.revoke_due()
    # What nobody can use any more is let go of, unless that would end the same account's new consent too.
    assert there.provider.look(seeded.family)["alive"] is (account == "alice")
    assert there.provider.look(again.family)["alive"] is True


async def test_a_success_after_another_process_was_refused_is_tried_at_once(there: There) -> None:
    """The lease expired and another process presented the same token: the provider ends the family for the reuse."""
    seeded = await there.connect(hold="after")
    there.application.clock.advance(hours=2)
    flight = asyncio.create_task(fresh_credentials(there.installation, seeded.key))
    await eventually(lambda: there.provider.look(seeded.family)["waiting"] == 1)
    there.application.clock.advance(seconds=61)
    with pytest.raises(ReauthRequired):
        await fresh_credentials(there.another_process, seeded.key)
    there.provider.behave(seeded.family, hold=None)
    with pytest.raises(ReauthRequired):
        await flight
    assert generation_of((await held(there.installation, seeded.key))[1].secrets["refresh_token"]) == 1
    assert await refresh_due(there.installation) == 1
    assert there.provider.answers(seeded.family) == ["granted", "reused", "dead"]
    assert (await there.look(seeded))["status"] == "needs_reauth"
    assert await refresh_due(there.installation) == 0


async def test_a_success_after_another_process_was_refused_wrongly_recovers(there: There) -> None:
    """A provider without reuse detection refused in between: the tokens that it granted before still work."""
    seeded = await there.connect(hold="after")
    there.application.clock.advance(hours=2)
    flight = asyncio.create_task(fresh_credentials(there.installation, seeded.key))
    await eventually(lambda: there.provider.look(seeded.family)["waiting"] == 1)
    there.application.clock.advance(seconds=61)
    there.provider.behave(seeded.family, fault="invalid_grant")
    with pytest.raises(ReauthRequired):
        await fresh_credentials(there.another_process, seeded.key)
    there.provider.behave(seeded.family, fault=None, hold=None)
    with pytest.raises(ReauthRequired):
        await flight
    assert await refresh_due(there.installation) == 1
    shown = await there.look(seeded)
    assert (shown["status"], shown["error"]) == ("active", None)
    usable = await refresh(there.installation, seeded.key)
    assert there.provider.is_taken(token_of(usable))
