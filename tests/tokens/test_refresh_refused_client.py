"""P8: the provider refuses the OAuth client. The owner of the client corrects it, and refreshes resume at once."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from sqlalchemy import update

from one_runtime.catalog.grants import RefreshToken
from one_runtime.catalog.loader import Catalog
from one_runtime.db.schema import credentials
from one_runtime.integrations import oauth_clients
from one_runtime.integrations.oauth_clients import NewOAuthClient
from one_runtime.oauth.errors import InvalidGrant
from one_runtime.tenancy.organizations import INSTANCE
from one_runtime.tokens.decision import CredentialRequest, Refresh
from one_runtime.tokens.recording import record_refusal
from one_runtime.tokens.refresh import ClientRefused, fresh_credentials
from one_runtime.tokens.refresh_due import refresh_due
from one_runtime.tokens.state import load_state
from tests.tokens.provider import CLIENT_ID, CLIENT_SECRET
from tests.tokens.rotating import SLUG, RotatingApplication, Seeded, connect, generation_of, read_stored, token_of
from tests.waiting import eventually

pytestmark = pytest.mark.promise("P8")

WRONG = "the-provider-replaced-this-secret"


async def register(app: RotatingApplication, secret: str, client_id: str = CLIENT_ID) -> None:
    """Register the organization's OAuth client over the API."""
    body = {"client_id": client_id, "client_secret": secret}
    answer = await app.client.send("PUT", f"/v1/integrations/{SLUG}/oauth-client", body)
    assert answer.status_code == 200, answer.text


async def call(app: RotatingApplication, seeded: Seeded) -> httpx2.Response:
    """Call the provider's API through the proxy."""
    headers = {"one-runtime-end-user": seeded.end_user_id}
    return await app.client.http.get(f"/v1/proxy/{SLUG}/me", headers=headers)


async def refused(app: RotatingApplication, **behaviour: Any) -> Seeded:
    """Return a connection with expired tokens whose last refresh failed, because the client's secret was wrong."""
    seeded = await app.connect(**behaviour)
    await register(app, WRONG)
    app.application.clock.advance(hours=2)
    with pytest.raises(ClientRefused):
        await fresh_credentials(app.installation, seeded.key)
    return seeded


async def test_a_refused_client_is_named_in_the_connection_and_in_every_answer(app: RotatingApplication) -> None:
    seeded = await refused(app)
    shown = await app.look(seeded)
    assert (shown["status"], shown["error"]["code"]) == ("active", "client_refused")
    assert f"PUT /v1/integrations/{SLUG}/oauth-client" in shown["error"]["message"]
    route = f"/v1/connections/{seeded.key.connection_id}"
    answers = [
        await call(app, seeded),
        await app.client.get(f"{route}/credentials"),
        await app.client.post(f"{route}/refresh"),
    ]
    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(409, "client_refused")] * 3
    assert {answer.json()["detail"] for answer in answers} == {shown["error"]["message"]}
    assert answers[0].headers["one-runtime-error"] == "client_refused"
    assert "Try again" not in shown["error"]["message"]
    (failed,) = await app.events("refresh_failed")
    assert failed["data"]["reason"] == "client_refused"


async def test_calls_resume_at_once_after_the_client_is_corrected(app: RotatingApplication) -> None:
    seeded = await refused(app)
    assert (await call(app, seeded)).status_code == 409
    await register(app, CLIENT_SECRET)
    answer = await call(app, seeded)
    assert (answer.status_code, answer.json()) == (200, {"id": seeded.family})
    shown = await app.look(seeded)
    assert (shown["status"], shown["error"]) == ("active", None)


async def test_the_worker_refreshes_at_once_after_the_client_is_corrected(app: RotatingApplication) -> None:
    seeded = await refused(app)
    assert await refresh_due(app.installation) == 0
    await register(app, CLIENT_SECRET)
    assert await refresh_due(app.installation) == 1
    assert app.provider.answers(seeded.family) == ["granted"]
    assert (await app.look(seeded))["error"] is None


@pytest.mark.parametrize("is_never_due", [False, True])
async def test_the_worker_refreshes_after_an_early_refusal_of_the_client(
    app: RotatingApplication, *, is_never_due: bool
) -> None:
    """An explicit request refreshes tokens long before they are due."""
    seeded = await app.connect(life=7200.0)
    due_at = (await read_stored(app.installation, seeded.key))[1].token_metadata.refresh_due_at
    assert due_at is not None
    assert due_at > app.application.clock() + timedelta(hours=1)
    if is_never_due:
        async with app.installation.database.write() as tx:
            await tx.execute(update(credentials).values(refresh_due_at=None))
    await register(app, WRONG)
    assert (await app.client.post(f"/v1/connections/{seeded.key.connection_id}/refresh")).status_code == 409
    assert (await app.look(seeded))["error"]["code"] == "client_refused"
    assert (await call(app, seeded)).status_code == 200
    assert await refresh_due(app.installation) == 0
    await register(app, CLIENT_SECRET)
    assert await refresh_due(app.installation) == 1
    assert (await app.look(seeded))["error"] is None
    assert app.provider.answers(seeded.family) == ["granted"]
    stored = (await read_stored(app.installation, seeded.key))[1]
    renewed_due_at = stored.token_metadata.refresh_due_at
    assert renewed_due_at is not None
    assert (stored.failures, renewed_due_at >= due_at) == (0, True)


async def test_the_worker_refreshes_after_a_401_with_a_refused_client(app: RotatingApplication) -> None:
    seeded = await app.connect(life=7200.0)
    await register(app, WRONG)
    usable = await fresh_credentials(app.installation, seeded.key)
    with pytest.raises(ClientRefused):
        await fresh_credentials(app.installation, seeded.key, rejected=usable.version)
    await register(app, CLIENT_SECRET)
    assert await refresh_due(app.installation) == 1
    assert (await app.look(seeded))["error"] is None


async def test_an_early_refusal_is_retried_after_ten_minutes(app: RotatingApplication) -> None:
    """The operator corrects the client at the provider, which One Runtime cannot notice."""
    seeded = await app.connect(life=7200.0, fault="invalid_client")
    assert (await app.client.post(f"/v1/connections/{seeded.key.connection_id}/refresh")).status_code == 409
    app.provider.behave(seeded.family, fault=None)
    app.application.clock.advance(minutes=11)
    assert await refresh_due(app.installation) == 1
    assert (await app.look(seeded))["error"] is None


async def test_a_corrected_client_whose_refresh_fails_locally_pauses(app: RotatingApplication) -> None:
    """The catalog no longer has the integration. Without a pause, the row would be due at each run of the worker."""
    await refused(app)
    await register(app, CLIENT_SECRET)
    process = replace(app.another_process, catalog=Catalog.of((), {}, ""))
    assert await refresh_due(process) == 1
    assert await refresh_due(process) == 0


async def test_a_refused_client_before_new_tokens_of_an_older_version_does_not_count(app: RotatingApplication) -> None:
    seeded = await refused(app)
    await register(app, CLIENT_SECRET)
    later = app.application.clock() + timedelta(minutes=10)
    async with app.installation.database.write() as tx:  # as the version before revision 0005 does
        await tx.execute(update(credentials).values(failures=0, retry_at=later))
    assert await refresh_due(app.installation) == 0
    assert (await read_stored(app.installation, seeded.key))[1].refused_client_version is None


async def test_a_pause_after_an_outage_outlasts_an_update_of_the_client(app: RotatingApplication) -> None:
    seeded = await app.connect(fault="503", retry_after="900")
    app.application.clock.advance(hours=2)
    assert await refresh_due(app.installation) == 1
    await register(app, CLIENT_SECRET)
    assert await refresh_due(app.installation) == 0
    assert app.provider.answers(seeded.family) == ["503"]


async def test_a_corrected_client_that_is_refused_again_pauses_again(app: RotatingApplication) -> None:
    seeded = await refused(app)
    await register(app, f"{WRONG}-2")
    assert await refresh_due(app.installation) == 1
    assert await refresh_due(app.installation) == 0
    assert (await call(app, seeded)).json()["code"] == "client_refused"
    assert (await read_stored(app.installation, seeded.key))[1].failures == 2


async def test_a_client_corrected_during_the_request_ends_the_pause_of_this_request(app: RotatingApplication) -> None:
    seeded = await app.connect(hold="before", fault="invalid_client")
    app.application.clock.advance(hours=2)
    flight = asyncio.create_task(fresh_credentials(app.installation, seeded.key))
    await eventually(lambda: app.provider.look(seeded.family)["waiting"] == 1)
    await register(app, CLIENT_SECRET)
    app.provider.behave(seeded.family, hold=None)
    with pytest.raises(ClientRefused):
        await flight
    app.provider.behave(seeded.family, fault=None)
    assert generation_of(token_of(await fresh_credentials(app.installation, seeded.key))) == 1


async def test_an_explicit_refresh_asks_the_provider_during_the_pause(app: RotatingApplication) -> None:
    seeded = await app.connect(fault="invalid_client")
    app.application.clock.advance(hours=2)
    with pytest.raises(ClientRefused):
        await fresh_credentials(app.installation, seeded.key)
    app.provider.behave(seeded.family, fault=None)  # the operator corrected the client at the provider
    assert (await call(app, seeded)).json()["code"] == "client_refused"
    answer = await app.client.post(f"/v1/connections/{seeded.key.connection_id}/refresh")
    assert (answer.status_code, answer.json()["error"]) == (200, None), answer.text
    assert app.provider.answers(seeded.family) == ["invalid_client", "granted"]


async def test_a_late_refusal_of_an_old_token_does_not_prolong_the_pause(app: RotatingApplication) -> None:
    """Another process has stored new tokens, and then the client was refused and corrected."""
    seeded = await refused(app)
    await register(app, CLIENT_SECRET)
    state = await load_state(app.installation, seeded.key)
    old = RefreshToken("an-old-refresh-token", "an-old-access-token")
    refusal = InvalidGrant("The provider no longer accepts this authorization.")
    current, decision = await record_refusal(app.installation, state, old, refusal, CredentialRequest())
    assert current.connection.status == "active"
    assert isinstance(decision, Refresh)


async def test_an_outage_after_the_refusal_removes_the_error(app: RotatingApplication) -> None:
    seeded = await refused(app)
    app.provider.behave(seeded.family, fault="503")
    await register(app, CLIENT_SECRET)
    answer = await call(app, seeded)
    assert (answer.status_code, answer.json()["code"]) == (502, "provider_unavailable")
    assert (await app.look(seeded))["error"] is None


async def test_tokens_that_have_not_expired_serve_while_the_client_is_refused(app: RotatingApplication) -> None:
    seeded = await app.connect(life=3600.0)
    await register(app, WRONG)
    app.application.clock.advance(seconds=3500)
    assert (await call(app, seeded)).status_code == 200
    assert (await app.look(seeded))["error"]["code"] == "client_refused"


async def test_a_refused_client_that_was_replaced_needs_the_end_user(app: RotatingApplication) -> None:
    """The organization registered another client, so the end user's next authorization uses the new client."""
    seeded = await app.connect(fault="invalid_client")
    await register(app, CLIENT_SECRET, "another-client")
    app.application.clock.advance(hours=2)
    answer = await call(app, seeded)
    assert (answer.status_code, answer.json()["code"]) == (409, "connect_required")
    shown = await app.look(seeded)
    assert (shown["status"], shown["error"]["code"]) == ("needs_reauth", "client_refused")


async def test_the_message_about_the_operators_client_names_the_operator(app: RotatingApplication) -> None:
    installation = app.installation
    entry = installation.catalog.get(SLUG)
    assert entry is not None
    async with installation.database.write() as tx:
        await oauth_clients.retire(tx, app.organization_id, SLUG, installation.clock())
        new = NewOAuthClient(CLIENT_ID, WRONG)
        client = await oauth_clients.put(tx, installation.vault, INSTANCE, entry, new, installation.clock())
    tokens = app.provider.make()[0]
    seeded = await connect(installation, app.organization_id, "user_123", tokens, client=client)
    app.application.clock.advance(hours=2)
    answer = await call(app, seeded)
    assert answer.json()["code"] == "client_refused"
    assert "The operator of One Runtime has to register the client" in answer.json()["detail"]
