"""Another account than the connected account: the end user decides after one consent, and unused tokens are revoked."""

from typing import Any, Final

import httpx2
import pytest

from one_runtime.connecting import account_selection
from one_runtime.demo.acme import GLOBEX, INITECH
from one_runtime.tokens.revocation import revoke_due
from tests.application import ACME_KEYS
from tests.authorizations import StartedAuthorization
from tests.connecting.acme import WITH_WORKSPACES, AcmeAuthorizing

pytestmark = pytest.mark.promise("P9")

QUESTION: Final = "This is the account Initech, and Globex Corporation is connected now."
REPLACE, KEEP = account_selection.REPLACE, account_selection.KEEP


async def to_the_question(
    runtime: AcmeAuthorizing, **session: Any
) -> tuple[dict[str, Any], StartedAuthorization, httpx2.Response]:
    """Go on until the browser shows the question whether Initech replaces the connected account."""
    started = await runtime.session(**session)
    attempt = await runtime.authorize(started["session_token"])
    page = await runtime.call_back(await runtime.allow(attempt, INITECH), attempt.cookie)
    assert (page.status_code, QUESTION in page.text) == (200, True), page.text
    return started, attempt, page


async def revoke_queued(runtime: AcmeAuthorizing) -> None:
    """Send the queued revocations, as the worker does."""
    await revoke_due(runtime.application.installation)


def consents(runtime: AcmeAuthorizing) -> int:
    """Count the authorization codes that Acme exchanged."""
    return runtime.token_requests()


async def test_replacement_needs_one_consent_and_revokes_the_first_account(runtime: AcmeAuthorizing) -> None:
    first = await runtime.connect()
    session, attempt, page = await to_the_question(runtime)
    assert (await runtime.outcome(session["session_token"], attempt.authorization_id))["state"] == "waiting"
    (unchanged,) = await runtime.connections()
    assert unchanged["account"]["id"] == GLOBEX
    done = await runtime.select(page, attempt.cookie, REPLACE)
    assert done.status_code == 200, done.text
    assert consents(runtime) == 2, "one for each account"
    outcome = await runtime.outcome(session["session_token"], attempt.authorization_id)
    assert outcome["connection"]["connection_id"] == first["id"]
    (connection,) = await runtime.connections()
    assert (connection["id"], connection["account"]["id"]) == (first["id"], INITECH)
    await revoke_queued(runtime)
    assert runtime.revoke_all_grants(GLOBEX) == 0
    assert runtime.revoke_all_grants(INITECH) == 1
    assert await runtime.failed_checks(session) == 0


async def test_declined_replacement_revokes_the_other_account_at_once(runtime: AcmeAuthorizing) -> None:
    first = await runtime.connect()
    session, attempt, page = await to_the_question(runtime)
    declined = await runtime.select(page, attempt.cookie, KEEP)
    assert "The connected account stays connected." in declined.text
    assert runtime.revoke_all_grants(INITECH) == 0
    outcome = await runtime.outcome(session["session_token"], attempt.authorization_id)
    assert (outcome["state"], outcome["code"]) == ("failed", "replacement_declined")
    assert (await runtime.backend_session(session))["status"] == "pending"
    (connection,) = await runtime.connections()
    assert (connection["id"], connection["account"]["id"]) == (first["id"], GLOBEX)
    assert runtime.revoke_all_grants(GLOBEX) == 1
    assert await runtime.failed_checks(session) == 0


async def test_unanswered_question_ends_after_ten_minutes_and_revokes_the_other_account(
    runtime: AcmeAuthorizing,
) -> None:
    await runtime.connect()
    _, attempt, page = await to_the_question(runtime, expires_in=3600)
    runtime.application.clock.advance(minutes=11)
    assert (await runtime.select(page, attempt.cookie, REPLACE)).status_code == 409
    assert await account_selection.purge_due(runtime.application.installation) == 1
    assert await revoke_due(runtime.application.installation) == 1
    assert runtime.revoke_all_grants(INITECH) == 0
    assert runtime.revoke_all_grants(GLOBEX) == 1


async def test_declined_account_that_another_connection_uses_is_not_revoked(runtime: AcmeAuthorizing) -> None:
    await runtime.connect()
    await runtime.connect(INITECH, end_user_id="user_456")
    _, attempt, page = await to_the_question(runtime)
    await runtime.select(page, attempt.cookie, KEEP)
    assert runtime.revoke_all_grants(INITECH) == 2


@pytest.mark.promise("P5")
async def test_only_the_browser_of_the_callback_answers_and_only_once(runtime: AcmeAuthorizing) -> None:
    await runtime.connect()
    session, attempt, page = await to_the_question(runtime)
    refused = [
        await runtime.select(page, None, REPLACE),
        await runtime.select(page, attempt.cookie, REPLACE, headers={"sec-fetch-site": "cross-site"}),
        await runtime.select(page, attempt.cookie, REPLACE, headers={"sec-fetch-dest": "iframe"}),
    ]
    assert [response.status_code for response in refused] == [409, 403, 403]
    assert (await runtime.outcome(session["session_token"], attempt.authorization_id))["state"] == "waiting"
    assert (await runtime.select(page, attempt.cookie, KEEP)).status_code == 409
    assert (await runtime.select(page, attempt.cookie, REPLACE)).status_code == 409
    (connection,) = await runtime.connections()
    assert connection["account"]["id"] == GLOBEX


async def test_agreement_to_the_same_question_in_advance_asks_no_question(runtime: AcmeAuthorizing) -> None:
    await runtime.connect()
    question = (
        "This is the account Initech. The connected account is Globex Corporation. Confirm to replace the connected "
        "account."
    )
    agreed = await runtime.authorize((await runtime.session())["session_token"], replace_account=question)
    assert (await runtime.call_back(await runtime.allow(agreed, INITECH), agreed.cookie)).status_code == 200
    (connection,) = await runtime.connections()
    assert connection["account"]["id"] == INITECH


async def select_account(runtime: AcmeAuthorizing, number: int) -> tuple[StartedAuthorization, httpx2.Response]:
    """Authorize several accounts, and select one. Return the attempt, and the page that follows."""
    attempt = await runtime.authorize((await runtime.session())["session_token"])
    accounts = await runtime.call_back(await runtime.allow(attempt), attempt.cookie)
    return attempt, await runtime.select(accounts, attempt.cookie, number)


@pytest.mark.promise("P15")
@pytest.mark.parametrize("entry_changes", [WITH_WORKSPACES], ids=["several accounts"])
async def test_agreement_does_not_hold_for_an_account_that_was_connected_since_the_question(
    runtime: AcmeAuthorizing,
) -> None:
    async def connected() -> list[str]:
        return [connection["account"]["id"] for connection in await runtime.connections()]

    runtime.workspaces.names["east"] = "Eastwind"
    await select_account(runtime, 0)
    attempt, question = await select_account(runtime, 1)
    other_tab, other_question = await select_account(runtime, 2)
    assert (await runtime.select(other_question, other_tab.cookie, REPLACE)).status_code == 200
    again = await runtime.select(question, attempt.cookie, REPLACE)
    assert await connected() == ["east"], "south may replace north, but not east"
    assert "Globex Corporation (east) is connected now." in again.text
    assert (await runtime.select(again, attempt.cookie, REPLACE)).status_code == 200
    assert await connected() == ["south"]


@pytest.mark.promise("P15")
@pytest.mark.parametrize("agreement", ["yes", "Confirm to replace the connected account."])
async def test_agreement_without_the_question_asks_it(runtime: AcmeAuthorizing, agreement: str) -> None:
    await runtime.client.connect(key=ACME_KEYS[GLOBEX])
    token = (await runtime.session())["session_token"]
    asked = await runtime.client.type_key(token, ACME_KEYS[INITECH], replace_account=agreement)
    assert (asked.status_code, asked.json()["code"]) == (409, "account_mismatch")


@pytest.mark.parametrize("entry_changes", [WITH_WORKSPACES], ids=["several accounts"])
async def test_selected_account_is_kept_while_the_end_user_decides_about_the_replacement(
    runtime: AcmeAuthorizing,
) -> None:
    await select_account(runtime, 0)
    attempt, page = await select_account(runtime, 1)
    assert "Replace the connected account?" in page.text
    assert (await runtime.select(page, attempt.cookie, REPLACE)).status_code == 200
    (connection,) = await runtime.connections()
    assert connection["account"]["id"] == "south"


async def test_key_in_place_of_a_sign_in_revokes_the_tokens(runtime: AcmeAuthorizing) -> None:
    first = await runtime.connect()
    typed = await runtime.client.type_key((await runtime.session())["session_token"], ACME_KEYS[GLOBEX])
    assert typed.json()["connection_id"] == first["id"]
    await revoke_queued(runtime)
    assert runtime.revoke_all_grants(GLOBEX) == 0


@pytest.mark.promise("P15")
@pytest.mark.parametrize("answer", ["a connection", "another account"])
async def test_window_asks_which_of_several_connections_a_third_account_belongs_to(
    runtime: AcmeAuthorizing, answer: str
) -> None:
    typed = await runtime.client.connect(key=ACME_KEYS[GLOBEX], check=False, name="Operations <b>")
    billing = await runtime.client.connect(key=ACME_KEYS[GLOBEX] + "2", check=False, name="Billing", multiple=True)
    session = await runtime.session()
    attempt = await runtime.authorize(session["session_token"])
    page = await runtime.call_back(await runtime.allow(attempt, INITECH), attempt.cookie)
    assert "Which Acme CRM account is this?" in page.text
    assert [text in page.text for text in ("Billing", "Operations &lt;b&gt;", "Add as another account")] == [True] * 3
    assert (await runtime.outcome(session["session_token"], attempt.authorization_id))["state"] == "waiting"
    assert {row["account"]["id"] for row in await runtime.connections()} == {None}
    done = await runtime.select(page, attempt.cookie, 0 if answer == "a connection" else 2)
    assert done.status_code == 200, done.text
    outcome = await runtime.outcome(session["session_token"], attempt.authorization_id)
    connected = outcome["connection"]["connection_id"]
    assert (connected == billing["id"], connected == typed["id"]) == (answer == "a connection", False)
    accounts = {row["id"]: row["account"]["id"] for row in await runtime.connections()}
    assert accounts[typed["id"]] is None
    assert accounts[connected] == INITECH
    assert len(accounts) == (2 if answer == "a connection" else 3)
    assert await runtime.failed_checks(session) == 0
    assert consents(runtime) == 1
