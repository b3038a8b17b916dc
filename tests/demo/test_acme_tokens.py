"""The life of Acme's tokens: they expire, are refreshed and rotated, are revoked, and allow what was allowed only."""

import asyncio
from typing import Any

import httpx2
import pytest

from one_runtime.demo.acme import GLOBEX, INITECH, Acme
from tests.demo.acme_app import ACME, ALL, CALLBACK, App, MovedClock, callback_params, refusal


async def test_access_token_expires_after_a_minute(app: App, acme_clock: MovedClock) -> None:
    tokens = await app.tokens()
    acme_clock.advance(59)
    assert await app.state_of(tokens["access_token"]) == "works"
    acme_clock.advance(1)
    answer = await app.call(tokens["access_token"])
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "token_expired")
    assert answer.headers["www-authenticate"].startswith('Bearer error="invalid_token", error_description="')


async def test_lifetime_of_access_tokens_can_be_set(app: App, acme_clock: MovedClock) -> None:
    keys = {account.id: account.key for account in app.acme.accounts.values()}
    acme = Acme(keys, access_token_seconds=7, clock=acme_clock)
    client_id, client_secret = acme.register_client(CALLBACK)
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(acme.app), base_url=ACME) as http:
        tokens = await App(acme, http, client_id, client_secret).tokens()
        assert tokens["expires_in"] == 7
        acme_clock.advance(7)
        assert await App(acme, http, client_id, client_secret).state_of(tokens["access_token"]) == "token_expired"


async def test_refresh_returns_both_tokens_for_the_same_account(app: App, acme_clock: MovedClock) -> None:
    old = await app.tokens(account=INITECH)
    acme_clock.advance(3_600)
    new = (await app.refresh(old["refresh_token"])).json()
    assert {new["access_token"], new["refresh_token"]}.isdisjoint({old["access_token"], old["refresh_token"]})
    assert (new["scope"], new["expires_in"]) == (ALL, 60)
    assert (await app.call(new["access_token"])).json()["account"]["id"] == INITECH
    assert (await app.refresh(new["refresh_token"])).status_code == 200


async def test_second_use_of_a_refresh_token_revokes_its_family(app: App) -> None:
    other = await app.tokens()
    first = await app.tokens()
    second = (await app.refresh(first["refresh_token"])).json()
    assert refusal(await app.refresh(first["refresh_token"])) == (400, "invalid_grant")
    assert refusal(await app.refresh(second["refresh_token"])) == (400, "invalid_grant")
    assert await app.state_of(second["access_token"]) == "token_revoked"
    assert await app.state_of(other["access_token"]) == "works", "another grant of the same account stays"


async def test_concurrent_refreshes_have_one_winner_and_revoke_the_family(app: App) -> None:
    app.acme.faults.token_delay = 0.01
    token = (await app.tokens())["refresh_token"]
    answers = await asyncio.gather(app.refresh(token), app.refresh(token))
    assert sorted(answer.status_code for answer in answers) == [200, 400]
    (winner,) = [answer.json() for answer in answers if answer.status_code == 200]
    assert await app.state_of(winner["access_token"]) == "token_revoked"


async def test_refresh_token_of_another_app_is_refused_and_stays_valid(app: App) -> None:
    tokens, thief = await app.tokens(), app.acme.register_client(CALLBACK)
    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    assert refusal(await app.token(form, auth=thief)) == (400, "invalid_grant")
    assert (await app.refresh(tokens["refresh_token"])).status_code == 200


@pytest.mark.parametrize("token", ["", "acmert_nobodys"])
async def test_refresh_with_an_invalid_token_is_refused(app: App, token: str) -> None:
    assert refusal(await app.refresh(token)) == (400, "invalid_grant" if token else "invalid_request")


async def test_refresh_may_request_fewer_scopes_and_the_grant_keeps_all(app: App) -> None:
    tokens = await app.tokens()
    narrow = (await app.refresh(tokens["refresh_token"], scope="account:read")).json()
    assert narrow["scope"] == "account:read"
    assert (await app.call(narrow["access_token"], path="/v1/contacts")).status_code == 403
    assert (await app.refresh(narrow["refresh_token"])).json()["scope"] == ALL


@pytest.mark.parametrize("scope", ["contacts:write", "contacts:burn"])
async def test_refresh_with_more_scopes_is_refused_and_the_token_stays_valid(app: App, scope: str) -> None:
    tokens = await app.tokens(scope="account:read contacts:read")
    assert refusal(await app.refresh(tokens["refresh_token"], scope=scope)) == (400, "invalid_scope")
    assert (await app.refresh(tokens["refresh_token"])).status_code == 200


async def test_revoking_a_refresh_token_revokes_its_family(app: App) -> None:
    first = await app.tokens()
    second = (await app.refresh(first["refresh_token"])).json()
    assert (await app.revoke(first["refresh_token"])).status_code == 200, "a used one is of the family too"
    assert [await app.state_of(issued["access_token"]) for issued in (first, second)] == ["token_revoked"] * 2
    assert refusal(await app.refresh(second["refresh_token"])) == (400, "invalid_grant")


async def test_revoking_an_access_token_revokes_it_alone(app: App) -> None:
    tokens = await app.tokens()
    assert (await app.revoke(tokens["access_token"])).status_code == 200
    assert await app.state_of(tokens["access_token"]) == "token_revoked"
    assert (await app.refresh(tokens["refresh_token"])).status_code == 200


async def test_revoking_an_unknown_or_foreign_token_does_nothing(app: App) -> None:
    tokens, thief = await app.tokens(), app.acme.register_client(CALLBACK)
    assert (await app.revoke("nobodys")).status_code == 200
    for token in (tokens["access_token"], tokens["refresh_token"]):
        assert (await app.revoke(token, auth=thief)).status_code == 200
    assert await app.state_of(tokens["access_token"]) == "works"
    assert (await app.refresh(tokens["refresh_token"])).status_code == 200


async def test_revocation_without_a_token_is_refused(app: App) -> None:
    assert refusal(await app.revoke("")) == (400, "invalid_request")


CALLS: list[tuple[str, str, dict[str, Any] | None, str]] = [
    ("GET", "/v1/me", None, "account:read"),
    ("GET", "/v1/contacts", None, "contacts:read"),
    ("GET", "/v1/contacts/{id}", None, "contacts:read"),
    ("POST", "/v1/contacts", {"name": "Mei Tan"}, "contacts:write"),
    ("PATCH", "/v1/contacts/{id}", {"name": "Mei Tan"}, "contacts:write"),
    ("DELETE", "/v1/contacts/{id}", None, "contacts:write"),
]


@pytest.mark.parametrize("method, path, body, scope", CALLS)
async def test_token_permits_only_its_scopes(
    app: App, method: str, path: str, body: dict[str, Any] | None, scope: str
) -> None:
    account = app.acme.accounts[GLOBEX]
    path = path.format(id=next(iter(account.contacts)))
    others = tuple(item for item in ALL.split() if item != scope)
    without = app.acme.grants.start(GLOBEX, app.id, others).access_token
    refused = await app.call(without, method, path, json=body)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "insufficient_scope")
    assert refused.headers["www-authenticate"] == f'Bearer error="insufficient_scope", scope="{scope}"'
    allowed = app.acme.grants.start(GLOBEX, app.id, (scope,)).access_token
    assert (await app.call(allowed, method, path, json=body)).is_success


async def test_unknown_token_is_invalid(app: App) -> None:
    assert await app.state_of("acmeat_of_before_the_restart") == "invalid_token"


async def test_refresh_token_is_not_accepted_by_the_api(app: App) -> None:
    assert await app.state_of((await app.tokens())["refresh_token"]) == "invalid_key"


async def test_api_key_permits_everything_and_its_revocation_keeps_tokens(app: App) -> None:
    account = app.acme.accounts[GLOBEX]
    assert (await app.call(account.key, "POST", "/v1/contacts", json={"name": "Mei Tan"})).status_code == 201
    app.acme.revoke(account.key)
    assert await app.state_of(account.key) == "key_revoked"
    assert await app.state_of((await app.tokens())["access_token"]) == "works"


async def test_grant_can_be_created_without_the_pages(app: App) -> None:
    issued = app.acme.grants.start(INITECH, app.id, ("account:read",))
    assert (await app.call(issued.access_token)).json()["account"]["id"] == INITECH
    assert (await app.refresh(issued.refresh_token)).json()["scope"] == "account:read"


async def test_fault_denies_one_consent_whatever_is_pressed(app: App) -> None:
    app.acme.faults.deny_next_consent = True
    assert callback_params(await app.answer("allow"))["error"] == "access_denied"
    assert "code" in callback_params(await app.answer("allow"))


async def test_slow_token_endpoint_answers_after_its_delay(app: App) -> None:
    loop = asyncio.get_running_loop()
    app.acme.faults.token_delay = 0.2
    code, before = await app.code(), loop.time()
    assert (await app.redeem(code)).status_code == 200
    assert loop.time() - before >= 0.2


async def test_token_endpoint_that_is_down_spends_no_code_or_token(app: App) -> None:
    tokens = await app.tokens()
    app.acme.faults.token_status = 500
    assert (await app.refresh(tokens["refresh_token"])).status_code == 500
    app.acme.faults.token_status = None
    assert (await app.refresh(tokens["refresh_token"])).status_code == 200


async def test_fault_refuses_one_refresh(app: App) -> None:
    tokens = await app.tokens()
    app.acme.faults.refuse_next_refresh = True
    assert refusal(await app.refresh(tokens["refresh_token"])) == (400, "invalid_grant")
    assert (await app.refresh(tokens["refresh_token"])).status_code == 200


async def test_fault_omits_the_error_codes_of_refusals(app: App) -> None:
    tokens = await app.tokens()
    app.acme.faults.omit_error_codes = True
    unknown = await app.refresh("unknown")
    wrong = await app.token({"grant_type": "refresh_token"}, auth=(app.id, "wrong"))
    assert [(answer.status_code, answer.content) for answer in (unknown, wrong)] == [(400, b""), (401, b"")]
    assert [entry.outcome for entry in app.acme.log[-2:]] == ["invalid_grant", "invalid_client"]
    assert (await app.refresh(tokens["refresh_token"])).status_code == 200


async def test_fault_revokes_every_token_of_an_account(app: App) -> None:
    first, second, other = await app.tokens(), await app.tokens(), await app.tokens(account=INITECH)
    assert app.acme.grants.revoke_account(GLOBEX) == 2
    states = [await app.state_of(issued["access_token"]) for issued in (first, second, other)]
    assert states == ["token_revoked", "token_revoked", "works"]
    assert refusal(await app.refresh(first["refresh_token"])) == (400, "invalid_grant")
    assert app.acme.grants.revoke_account(GLOBEX) == 0
