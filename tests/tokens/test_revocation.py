"""P9: the end of a connection also revokes the tokens that a reconnection or a late refresh has replaced.

Three kinds of servers: `account` shares one grant between all authorizations of an account, `token` shares nothing and
ends only the revoked token, and `family` ends an authorization with each of its tokens.
"""

import asyncio
from typing import Any, Final

import pytest
from sqlalchemy import func, select

from one_runtime.connections import connections, pending_revocations
from one_runtime.connections.credentials import TokenMetadata
from one_runtime.connections.pending_revocations import (
    RevocableTokens,
    leave_to_worker,
    queue_revocation,
    release_orphaned,
)
from one_runtime.db import schema
from one_runtime.lifecycle import required_reauth
from one_runtime.serving.periodic_tasks import PERIODIC_TASKS
from one_runtime.tenancy.events import Actor
from one_runtime.tokens import revocation
from one_runtime.tokens.refresh import fresh_credentials
from tests.application import Client
from tests.billing import ENTRY, OAUTH, PATH, SLUG, Billing
from tests.egress.upstream import answer, hang
from tests.tokens.rotating import RotatingApplication, Seeded, connect, token_of
from tests.waiting import eventually

pytestmark = pytest.mark.promise("P9")

ACCOUNT: Final = "alice"
BOTH: Final = [("access_token", "revoked"), ("refresh_token", "revoked")]
servers = pytest.mark.parametrize("revokes", ["account", "token", "family"])

Tokens = dict[str, Any]
"""A provider's response with tokens, and the name of their family."""


async def authorize(
    app: RotatingApplication, tokens: Tokens, account: str = ACCOUNT, end_user_id: str = "user_123"
) -> Seeded:
    """Store tokens as an authorization does. The end user's connection is reconnected in place."""
    return await connect(app.installation, app.organization_id, end_user_id, tokens, account)


def new_tokens(app: RotatingApplication, revokes: str, account: str, count: int = 1, **behaviour: Any) -> list[Tokens]:
    """Authorize an account at the provider. Give each test an account of its own, because all share the provider."""
    return app.provider.make(count, revokes=revokes, account=account, **behaviour)


def account_of(app: RotatingApplication) -> str:
    return f"alice of {app.organization_id}"


def works(app: RotatingApplication, *authorizations: Tokens) -> list[bool]:
    """Return for each authorization: True if its first access token or its present refresh token works."""
    return [
        app.provider.accepts(tokens["access_token"]) or app.provider.look(tokens["family"])["refreshable"]
        for tokens in authorizations
    ]


async def disconnect(app: RotatingApplication, seeded: Seeded) -> list[tuple[str, str]]:
    """Delete the connection, and return the results of the revocations."""
    answer = await app.client.send("DELETE", f"/v1/connections/{seeded.key.connection_id}")
    assert answer.status_code == 200, answer.text
    assert {result["connection_id"] for result in answer.json()["revocations"]} == {seeded.key.connection_id}
    return sorted((result["token"], result["outcome"]) for result in answer.json()["revocations"])


async def stored_revocations(app: RotatingApplication) -> int:
    async with app.installation.database.read() as tx:
        row = await tx.one(select(func.count().label("rows")).select_from(schema.revocations))
        assert row is not None
        return int(row.rows)


async def worker_revokes(app: RotatingApplication) -> int:
    """Run the worker's tasks as an hour later."""
    app.application.clock.advance(minutes=3)
    await release_orphaned(app.installation.database, app.installation.clock)
    return await app.revoke_due()


@servers
async def test_disconnecting_revokes_what_was_authorized_before_a_reconnection(
    app: RotatingApplication, revokes: str
) -> None:
    first, second = new_tokens(app, revokes, account_of(app), 2)
    seeded = await authorize(app, first)
    assert (await authorize(app, second)).key == seeded.key
    assert await worker_revokes(app) == 0
    assert works(app, first, second) == [True, True], "the reconnection must not end the new authorization"
    assert await disconnect(app, seeded) == sorted(BOTH * 2)
    assert works(app, first, second) == [False, False]
    assert await stored_revocations(app) == 0


@servers
async def test_disconnecting_revokes_the_tokens_of_a_refresh_that_ended_after_a_reconnection(
    app: RotatingApplication, revokes: str
) -> None:
    first, second = new_tokens(app, revokes, account_of(app), 2, hold="after")
    seeded = await authorize(app, first)
    app.application.clock.advance(hours=2)
    flight = asyncio.create_task(fresh_credentials(app.installation, seeded.key))
    await eventually(lambda: app.provider.look(first["family"])["waiting"] == 1)
    await authorize(app, second)
    app.provider.behave(first["family"], hold=None)
    assert token_of(await flight) == second["access_token"]
    assert await worker_revokes(app) == 0
    assert works(app, first, second) == [True, True]
    await disconnect(app, seeded)
    assert works(app, first, second) == [False, False]
    assert await stored_revocations(app) == 0


@servers
async def test_reconnection_without_an_identity_does_not_end_what_is_possibly_the_same_grant(
    app: RotatingApplication, revokes: str
) -> None:
    first, second = new_tokens(app, revokes, account_of(app), 2)
    seeded = await authorize(app, first)
    reconnected = await connect(app.installation, app.organization_id, "user_123", second, identified=False)
    assert reconnected.key == seeded.key
    assert await worker_revokes(app) == 0
    assert works(app, first, second) == [True, True]
    await disconnect(app, seeded)
    assert works(app, first, second) == [False, False]
    assert await stored_revocations(app) == 0


async def test_a_refresh_keeps_nothing(app: RotatingApplication) -> None:
    """A refresh replaces the tokens of the same authorization, which the disconnection revokes."""
    seeded = await app.connect()
    app.application.clock.advance(hours=2)
    await fresh_credentials(app.installation, seeded.key)
    assert await stored_revocations(app) == 0


async def test_tokens_that_the_connection_uses_are_not_kept(app: RotatingApplication) -> None:
    (tokens,) = new_tokens(app, "token", account_of(app))
    seeded = await authorize(app, tokens)
    await authorize(app, tokens)
    assert await stored_revocations(app) == 0
    assert await disconnect(app, seeded) == BOTH


async def test_an_access_token_that_was_replaced_beside_the_same_refresh_token_is_kept_until_it_expires(
    app: RotatingApplication,
) -> None:
    first, second = new_tokens(app, "token", account_of(app), 2)
    seeded = await authorize(app, first)
    await authorize(app, {**second, "refresh_token": first["refresh_token"]})
    assert await stored_revocations(app) == 1
    app.application.clock.advance(hours=2)
    assert await app.revoke_due() == 0
    assert await stored_revocations(app) == 0
    assert await disconnect(app, seeded) == BOTH


async def test_another_account_ends_what_was_kept_for_the_first(app: RotatingApplication) -> None:
    first, second = new_tokens(app, "token", account_of(app), 2)
    (third,) = new_tokens(app, "token", f"bob of {app.organization_id}")
    await authorize(app, first)
    await authorize(app, second)
    await authorize(app, third, account="bob")
    assert await app.revoke_due() >= 1
    await worker_revokes(app)
    assert works(app, first, second, third) == [False, False, True]


async def test_tokens_of_a_replaced_account_wait_for_the_connection_of_another_end_user(
    app: RotatingApplication,
) -> None:
    first, second, third = new_tokens(app, "account", account_of(app), 3)
    (others,) = new_tokens(app, "account", f"bob of {app.organization_id}")
    await authorize(app, first)
    await authorize(app, second)
    other = await authorize(app, third, end_user_id="user_456")
    await authorize(app, others, account="bob")
    assert await worker_revokes(app) == 0
    assert works(app, first, second, third) == [True] * 3, "the revocation would end the other connection"
    await disconnect(app, other)
    assert works(app, first, second, third, others) == [False, False, False, True]
    assert await stored_revocations(app) == 0


async def test_a_required_authorization_revokes_what_was_kept(app: RotatingApplication) -> None:
    first, second = new_tokens(app, "token", account_of(app), 2)
    seeded = await authorize(app, first)
    await authorize(app, second)
    installation = app.installation
    await required_reauth.require(
        installation.database,
        installation.vault,
        installation.catalogs,
        [seeded.key.connection_id],
        installation.clock,
        "operator",
    )
    await worker_revokes(app)
    assert works(app, first, second) == [False, False]


async def test_the_worker_revokes_what_the_previous_version_left_behind(app: RotatingApplication) -> None:
    """The previous version deletes a connection, and does not know that tokens are kept with it."""
    first, second = new_tokens(app, "token", account_of(app), 2)
    seeded = await authorize(app, first)
    await authorize(app, second)
    actor = Actor(app.organization_id, "system")
    async with app.installation.database.write() as tx:
        connection, _ = await connections.get_with_credential(tx, app.installation.vault, seeded.key)
        assert await connections.remove(tx, actor, connection, app.installation.clock())
    assert await app.revoke_due() == 0
    assert "release_kept_tokens" in {task.name for task in PERIODIC_TASKS}
    assert await worker_revokes(app) == 1
    assert works(app, first) == [False]
    assert await stored_revocations(app) == 0


async def test_tokens_kept_with_a_present_connection_are_not_released(app: RotatingApplication) -> None:
    first, second = new_tokens(app, "token", account_of(app), 2)
    await authorize(app, first)
    await authorize(app, second)
    assert await release_orphaned(app.installation.database, app.installation.clock) == 0


async def test_a_connection_keeps_a_limited_number_of_tokens_and_drops_the_oldest(
    app: RotatingApplication, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A revocation of the oldest tokens could end the grant that the connection uses."""
    first, *others = new_tokens(app, "token", account_of(app), 4)
    monkeypatch.setattr(pending_revocations, "MOST_KEPT", 2)
    seeded = await authorize(app, first)
    for tokens in others:
        await authorize(app, tokens)
    assert await stored_revocations(app) == 2
    assert await worker_revokes(app) == 0
    assert works(app, first, *others) == [True] * 4
    assert await disconnect(app, seeded) == sorted(BOTH * 3)
    assert works(app, first, *others) == [True, False, False, False]


async def test_the_worker_revokes_what_a_disconnection_has_no_time_for(
    app: RotatingApplication, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, *others = authorizations = new_tokens(app, "token", account_of(app), 4)
    monkeypatch.setattr(pending_revocations, "MOST_AT_ONCE", 1)
    seeded = await authorize(app, first)
    for tokens in others:
        await authorize(app, tokens)
    assert await disconnect(app, seeded) == sorted(BOTH * 2)
    assert works(app, *authorizations) == [True, True, False, False]
    assert await app.revoke_due() == 2
    assert works(app, *authorizations) == [False] * 4
    assert await stored_revocations(app) == 0


async def test_an_expired_access_token_beside_the_same_refresh_token_is_not_kept(app: RotatingApplication) -> None:
    first, second = new_tokens(app, "token", account_of(app), 2)
    await authorize(app, first)
    app.application.clock.advance(hours=2)
    await authorize(app, {**second, "refresh_token": first["refresh_token"]})
    assert await stored_revocations(app) == 0


async def queue_revocations(billing: Billing, entry: str, count: int) -> Client:
    """Create an organization with a custom integration, and queue revocations of tokens of end users' own clients."""
    client, installation = await billing.organization(), billing.application.installation
    registered = await client.http.put(f"{PATH}/{SLUG}", content=entry, headers={"content-type": "application/yaml"})
    assert registered.status_code == 201, registered.text
    organization_id = (await client.get("/v1/organization")).json()["id"]
    async with installation.database.write() as tx:
        integration = await installation.catalogs.require(tx, organization_id, SLUG)
        metadata = TokenMetadata(audience=integration.audience("oauth2"))
        for number in range(count):
            secrets = {"access_token": f"at-{number}", "client_id": "own", "client_secret": "own secret"}
            tokens = RevocableTokens(organization_id, f"user {number}", SLUG, "oauth2", metadata, {}, secrets)
            now = installation.clock()
            pending = await queue_revocation(tx, installation.vault, installation.catalogs, tokens, "disconnected", now)
            await leave_to_worker(tx, pending, now)
    return client


@pytest.mark.promise("P12")
async def test_hanging_provider_of_one_organization_does_not_delay_revocations_of_another(billing: Billing) -> None:
    await queue_revocations(billing, ENTRY + OAUTH, 40)
    billing.application.clock.advance(seconds=1)
    await queue_revocations(billing, ENTRY + OAUTH.replace("acme.com/revoke", "acme.com/other"), 20)
    billing.upstream.answers["/revoke"] = hang
    billing.upstream.answers["/other"] = answer(200)
    run = asyncio.create_task(revocation.revoke_due(billing.application.installation))
    try:
        await eventually(lambda: billing.reached.count("id.acme.com/other") == 20)
        assert billing.reached.count("id.acme.com/revoke") == revocation.CONCURRENT
    finally:
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)


async def test_one_run_revokes_all_tokens_of_one_organization(billing: Billing) -> None:
    await queue_revocations(billing, ENTRY + OAUTH, 3 * revocation.AT_ONCE)
    billing.upstream.answers["/revoke"] = answer(200)
    assert await revocation.revoke_due(billing.application.installation) == 3 * revocation.AT_ONCE
    assert billing.reached.count("id.acme.com/revoke") == 3 * revocation.AT_ONCE
