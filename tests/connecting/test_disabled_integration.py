"""The operator disables an integration while an end user connects an account with OAuth."""

import pytest

from tests.connecting.acme import SLUG, WITH_WORKSPACES, AcmeAuthorizing
from tests.disabling import disable, enable

UNAVAILABLE = "Acme CRM can’t be connected at the moment. Try again later."


@pytest.fixture
def entry_changes() -> dict[str, str]:
    return WITH_WORKSPACES


async def test_callback_of_a_disabled_integration_exchanges_no_code(runtime: AcmeAuthorizing) -> None:
    session = await runtime.session()
    token = session["session_token"]
    attempt = await runtime.authorize(token)
    callback = await runtime.allow(attempt)
    await disable(runtime.application.installation, SLUG, "breach")
    page = await runtime.call_back(callback, attempt.cookie)
    assert UNAVAILABLE in page.text
    assert "breach" not in page.text
    assert runtime.token_requests() == 0
    outcome = await runtime.outcome(token, attempt.authorization_id)
    assert (outcome["state"], outcome["code"]) == ("failed", "integration_disabled")
    read = await runtime.backend_session(session)
    assert (read["status"], read["last_error"]["code"]) == ("pending", "integration_disabled")
    assert await runtime.failed_checks(session) == 0


async def test_ticket_works_after_the_integration_is_enabled(runtime: AcmeAuthorizing) -> None:
    token = (await runtime.session())["session_token"]
    ticket = (await runtime.prepare(token)).json()["ticket"]
    await disable(runtime.application.installation, SLUG)
    for refused in (await runtime.start(ticket), await runtime.prepare(token)):
        assert (refused.status_code, refused.json()["code"]) == (422, "integration_disabled")
        assert refused.json()["detail"] == "Acme CRM is not available at the moment. Try again later."
    await enable(runtime.application.installation, SLUG)
    assert (await runtime.start(ticket)).status_code == 200


@pytest.mark.promise("P9")
async def test_tokens_that_wait_for_an_answer_are_revoked(runtime: AcmeAuthorizing) -> None:
    attempt = await runtime.authorize((await runtime.session())["session_token"])
    page = await runtime.call_back(await runtime.allow(attempt), attempt.cookie)
    await disable(runtime.application.installation, SLUG)
    answered = await runtime.select(page, attempt.cookie)
    assert UNAVAILABLE in answered.text
    assert await runtime.connections() == []
    assert runtime.revoke_all_grants() == 0, "no grant is in force"
