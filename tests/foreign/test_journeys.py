"""OAuth connections in a real Chromium: from a customer's page of another origin to an account in use and back."""

from typing import Any

import pytest
from playwright.async_api import Frame, Page, expect

from tests.foreign.consent import consent, deny
from tests.foreign.person import ALICE, BOB, Person
from tests.foreign.served import END_USER, Served
from tests.foreign.windows import (
    BOTH,
    OTHER_VENDORS,
    allow_in_window,
    continue_button,
    each,
    in_soak,
    open_provider_window,
    open_sign_in,
)
from tests.journeys.steps import button, expect_closed, heading, list_row, open_popup, outcome
from tests.waiting import eventually

pytestmark = pytest.mark.foreign

WAITING = "Continue in the other window"
CLOSED = "Has the other window closed?"


async def connect(page: Page, runtime: Served, person: Person = ALICE, **more: str) -> dict[str, Any]:
    """Return the outcome of the page's promise for a person who consents."""
    session = await runtime.session(**more)
    frame = await open_sign_in(page, runtime, session)
    await allow_in_window(frame, runtime.provider, person)
    result = await outcome(page)
    assert result["status"] == (await runtime.state(session))["status"] == "connected"
    await expect_closed(page)
    await eventually(lambda: len(page.context.pages) == 1)
    return result


@each(*BOTH, "google", "slack", *in_soak(*OTHER_VENDORS))
async def test_accounts_of_two_people_are_connected_used_refreshed_and_disconnected(
    page: Page, runtime: Served
) -> None:
    result = await connect(page, runtime)
    await connect(page, runtime, BOB, end_user_id="user_456")
    (alices,), (bobs,) = await runtime.connections(), await runtime.connections("user_456")
    named = (result["connectionId"], result["integrationSlug"], result["connectionName"])
    assert named == (alices["id"], runtime.slug, alices["name"])
    assert await runtime.status() == await runtime.status("user_456") == "connected"
    first = await runtime.token(alices["id"])
    runtime.clock.advance(hours=2)
    second = await runtime.token(alices["id"])
    assert (first != second) == (runtime.provider.auth.refresh != "none")
    async with runtime.asking() as plain:
        for token, person in ((second, ALICE), (await runtime.token(bobs["id"]), BOB)):
            assert person.name in ((await plain.whoami(token)).account_label or "")
        disconnected = await runtime.disconnect()
        assert disconnected["status"] == "disconnected"
        if runtime.provider.auth.revocation is not None:
            assert {revocation["outcome"] for revocation in disconnected["revocations"]} == {"revoked"}
            assert (await plain.whoami(second)).refused
    assert [await runtime.status(), await runtime.status("user_456")] == ["not_connected", "connected"]


@each("oidc", *in_soak("django"))
async def test_denial_shows_the_form_with_the_reason_and_can_be_retried(page: Page, runtime: Served) -> None:
    session = await runtime.session()
    frame = await open_sign_in(page, runtime, session)
    await deny(await open_provider_window(frame, runtime.provider), runtime.provider, ALICE)
    alert = frame.get_by_role("alert")
    await expect(alert).to_contain_text("Access wasn’t allowed. If that was a mistake, try again.")
    await expect(alert).to_be_focused()
    await eventually(lambda: len(page.context.pages) == 1)  # the provider's window has closed itself
    state = await runtime.state(session)
    assert (state["status"], state["last_error"]["code"]) == ("pending", "consent_denied")
    await allow_in_window(frame, runtime.provider, ALICE)
    assert (await outcome(page))["status"] == "connected"


@each("django")
async def test_provider_with_cross_origin_opener_policy_can_be_connected(page: Page, runtime: Served) -> None:
    frame = await open_sign_in(page, runtime, await runtime.session())
    async with page.context.expect_event("response", lambda response: "/login/" in response.url) as answering:
        window = await open_provider_window(frame, runtime.provider)
    answer = await answering.value
    assert await answer.header_value("cross-origin-opener-policy") == "same-origin"
    await consent(window, runtime.provider, ALICE)
    assert (await outcome(page))["status"] == "connected"


@each("oidc")
async def test_closed_window_can_be_opened_again(page: Page, runtime: Served) -> None:
    frame = await open_sign_in(page, runtime, await runtime.session())
    await (await open_provider_window(frame, runtime.provider)).close()
    await expect(heading(frame)).to_have_text(CLOSED)
    await consent(await open_provider_window(frame, runtime.provider, "Open the window again"), runtime.provider, ALICE)
    assert (await outcome(page))["status"] == "connected"


@each("oidc")
async def test_replaced_window_connects_nothing_and_changes_nothing(page: Page, runtime: Served) -> None:
    frame = await open_sign_in(page, runtime, await runtime.session())
    first = await open_provider_window(frame, runtime.provider)
    second = await open_provider_window(frame, runtime.provider, "Open the window again")
    await consent(first, runtime.provider, BOB)
    await expect(heading(first)).to_have_text("Start again from the app")
    await expect(heading(frame)).to_have_text(WAITING)
    await second.reload()
    await consent(second, runtime.provider, ALICE)
    assert (await outcome(page))["status"] == "connected"
    (connection,) = await runtime.connections()
    assert connection["account"]["label"] == ALICE.email


@each("oidc")
async def test_leaving_while_waiting_cancels_and_a_later_callback_connects_nothing(page: Page, runtime: Served) -> None:
    session = await runtime.session()
    frame = await open_sign_in(page, runtime, session)
    window = await open_provider_window(frame, runtime.provider)
    await button(frame, "Cancel and close").click()
    await button(frame, "Leave").click()
    assert (await outcome(page))["status"] == "cancelled"
    assert (await runtime.state(session))["status"] == "cancelled"
    await consent(window, runtime.provider, ALICE)
    await expect(heading(window)).to_have_text("Nothing was connected")
    await expect(window.get_by_text("This was cancelled.")).to_be_visible()
    assert await runtime.connections() == []


@each("oidc")
async def test_going_back_while_waiting_shows_the_working_form(page: Page, runtime: Served) -> None:
    frame = await open_popup(page, runtime.site, (await runtime.session(integration_slug=None))["session_token"])
    await frame.get_by_role("button", name="Show all").click()
    await list_row(frame, runtime.name).click()
    await open_provider_window(frame, runtime.provider)
    await button(frame, "Back").click()
    await expect(button(frame, continue_button(runtime.provider))).to_be_focused()
    await allow_in_window(frame, runtime.provider, ALICE)
    assert (await outcome(page))["status"] == "connected"


async def answer_in_window(frame: Frame, runtime: Served, answer: str) -> None:
    """Allow access to Bob's account in the provider's window, and answer the question about the replacement there."""
    window = await open_provider_window(frame, runtime.provider)
    await consent(window, runtime.provider, BOB)
    await expect(heading(window)).to_have_text("Replace the connected account?")
    await window.get_by_role("button", name=answer).click()


@each("oidc", *in_soak("django", "google"))
async def test_another_account_replaces_the_first_only_after_the_end_user_agreed(page: Page, runtime: Served) -> None:
    before = await connect(page, runtime)
    frame = await open_sign_in(page, runtime, await runtime.session())
    await answer_in_window(frame, runtime, "Keep the current one")
    await expect(frame.get_by_role("alert")).to_contain_text("The connected account stays connected.")
    (unchanged,) = await runtime.connections()
    assert ALICE.name in unchanged["account"]["label"]
    await answer_in_window(frame, runtime, "Replace it")
    result = await outcome(page)
    assert (result["status"], result["connectionId"]) == ("connected", before["connectionId"])
    (connection,) = await runtime.connections()
    async with runtime.asking() as plain:
        assert BOB.name in ((await plain.whoami(await runtime.token(connection["id"]))).account_label or "")


@each("oidc")
async def test_abandoned_authorization_ends_by_itself_and_can_be_retried(page: Page, runtime: Served) -> None:
    frame = await open_sign_in(page, runtime, await runtime.session())
    window = await open_provider_window(frame, runtime.provider)
    runtime.clock.advance(minutes=11)
    await expect(frame.get_by_role("alert")).to_contain_text("This took a little too long. Try again.")
    await consent(window, runtime.provider, ALICE)
    await expect(heading(window)).to_have_text("Start again from the app")
    assert await runtime.connections() == []
    await allow_in_window(frame, runtime.provider, ALICE)
    assert (await outcome(page))["status"] == "connected"


@each("oidc")
async def test_session_that_expires_while_waiting_shows_its_end(page: Page, runtime: Served) -> None:
    frame = await open_sign_in(page, runtime, await runtime.session())
    await open_provider_window(frame, runtime.provider)
    runtime.clock.advance(minutes=61)
    await expect(heading(frame)).to_have_text("This took a little too long")
    await button(frame, "Close").last.click()
    result = await outcome(page)
    assert (result["status"], result["error"]["code"]) == ("error", "session_expired")


@each("oidc")
async def test_the_keyboard_alone_connects(page: Page, runtime: Served) -> None:
    frame = await open_sign_in(page, runtime, await runtime.session(end_user_id=END_USER))
    await expect(button(frame, continue_button(runtime.provider))).to_be_focused()
    async with page.context.expect_page() as opening:
        await page.keyboard.press("Enter")
    window = await opening.value
    await window.wait_for_url(f"{runtime.provider.url}/**")
    await expect(heading(frame)).to_be_focused()
    await window.close()
    await expect(heading(frame)).to_have_text(CLOSED)
    await expect(heading(frame)).to_be_focused()
    await page.keyboard.press("Tab")
    await expect(button(frame, "Open the window again")).to_be_focused()
    async with page.context.expect_page() as opening:
        await page.keyboard.press("Space")
    window = await opening.value
    await window.get_by_label("Username").focus()
    for typed in (ALICE.name, ALICE.password):
        await window.keyboard.insert_text(typed)
        await window.keyboard.press("Tab")
    await window.keyboard.press("Enter")
    await window.get_by_role("button", name="Allow").focus()
    await window.keyboard.press("Enter")
    assert (await outcome(page))["status"] == "connected"
    await expect_closed(page)
    await expect(page.get_by_role("button", name="Connect")).to_be_focused()
