"""Tokens that open several accounts: the browser of the callback selects one of them (P5, P9)."""

from typing import Any

import httpx2
import pytest

from one_runtime.connecting import account_selection
from one_runtime.tokens.revocation import revoke_due
from tests.authorizations import StartedAuthorization
from tests.connecting.acme import WITH_WORKSPACES, AcmeAuthorizing, is_untouched

pytestmark = [
    pytest.mark.promise("P5"),
    pytest.mark.parametrize("entry_changes", [WITH_WORKSPACES], ids=["several accounts"]),
]


async def to_the_selection(
    runtime: AcmeAuthorizing, end_user_id: str = "user_123"
) -> tuple[dict[str, Any], StartedAuthorization, httpx2.Response]:
    """Go on until the browser shows the accounts to select from."""
    session = await runtime.session(end_user_id, expires_in=3600)
    attempt = await runtime.authorize(session["session_token"])
    page = await runtime.call_back(await runtime.allow(attempt), attempt.cookie)
    assert (page.status_code, "Which Acme CRM account?" in page.text) == (200, True)
    return session, attempt, page


async def test_the_selected_account_is_connected(runtime: AcmeAuthorizing) -> None:
    session, attempt, page = await to_the_selection(runtime)
    assert "Southwind &lt;b&gt;" in page.text
    assert f"{attempt.cookie};" in page.headers["set-cookie"], "the browser keeps its cookie"
    assert (await runtime.outcome(session["session_token"], attempt.authorization_id))["state"] == "waiting"
    assert await runtime.connections() == []
    done = await runtime.select(page, attempt.cookie, 1)
    assert (done.status_code, "Max-Age=0" in done.headers["set-cookie"]) == (200, True)
    (connection,) = await runtime.connections()
    assert connection["account"]["id"] == "south"
    assert (await runtime.outcome(session["session_token"], attempt.authorization_id))["state"] == "connected"


async def test_only_the_browser_of_the_callback_selects_an_account_and_only_once(runtime: AcmeAuthorizing) -> None:
    session, attempt, page = await to_the_selection(runtime)
    _, other, _ = await to_the_selection(runtime, "mallory")
    name, stolen = attempt.cookie.partition("=")[0], other.cookie.partition("=")[2]
    refused = [
        await runtime.select(page, None),
        await runtime.select(page, f"{name}={stolen}"),
        await runtime.select(page, attempt.cookie, headers={"sec-fetch-site": "cross-site"}),
        await runtime.select(page, attempt.cookie, headers={"sec-fetch-dest": "iframe"}),
        await runtime.select(page, attempt.cookie, -1),
    ]
    assert [response.status_code for response in refused] == [409, 409, 403, 403, 400]
    assert await is_untouched(runtime, session["session_token"], attempt)
    assert (await runtime.select(page, attempt.cookie, 0)).status_code == 200
    assert (await runtime.select(page, attempt.cookie, 1)).status_code == 409
    (connection,) = await runtime.connections()
    assert connection["account"]["id"] == "north"


@pytest.mark.promise("P9")
async def test_tokens_of_a_selection_that_is_not_made_are_revoked(runtime: AcmeAuthorizing) -> None:
    session, attempt, page = await to_the_selection(runtime)
    runtime.application.clock.advance(minutes=11)
    assert (await runtime.select(page, attempt.cookie)).status_code == 409
    assert (await runtime.outcome(session["session_token"], attempt.authorization_id))["state"] == "failed"
    assert await account_selection.purge_due(runtime.application.installation) == 1
    assert await revoke_due(runtime.application.installation) == 1, "a slow provider delays no other purge"
    assert runtime.revoke_all_grants() == 0


@pytest.mark.promise("P9")
async def test_tokens_are_revoked_if_the_session_ends_before_the_selection(runtime: AcmeAuthorizing) -> None:
    session, attempt, page = await to_the_selection(runtime)
    assert (await runtime.client.popup("/cancel", session["session_token"])).status_code == 204
    refused = await runtime.select(page, attempt.cookie)
    assert "This was cancelled." in refused.text
    assert await runtime.connections() == []
    assert runtime.revoke_all_grants() == 0


async def test_a_selection_refunds_no_failed_attempt(runtime: AcmeAuthorizing) -> None:
    session = await runtime.session()
    token = session["session_token"]
    guess = await runtime.authorize(token)
    await runtime.call_back({"state": guess.query["state"], "code": "guess", "iss": runtime.acme.url}, guess.cookie)
    assert await runtime.failed_checks(session) == 1
    attempt = await runtime.authorize(token)
    page = await runtime.call_back(await runtime.allow(attempt), attempt.cookie)
    runtime.acme.acme.fail_with(500)
    await runtime.select(page, attempt.cookie)
    assert await runtime.failed_checks(session) == 1
