"""The scripted agent of the sample product in a real browser: a missing account, a paused program, and an approval."""

import re

import pytest
from playwright.async_api import Page, expect

from tests.demo.steps import find_violations, open_settings_page, type_key
from tests.running_demo import Demo, find_popup, popups
from tests.waiting import eventually


async def follow_link(page: Page, name: str) -> Page:
    """Open the link of the agent in a second window."""
    async with page.context.expect_page() as opened:
        await page.get_by_role("link", name=name).click()
    return await opened.value


async def connect_for_agent(page: Page, demo: Demo) -> None:
    """Follow the link of the agent, and connect Acme CRM on the page of the product."""
    window = await follow_link(page, "Connect Acme CRM")
    request = window.get_by_role("region", name="A request of your agent")
    await expect(request).to_contain_text("asks you to connect Acme CRM")
    await request.get_by_role("button", name="Connect").click()
    await type_key(await find_popup(window), demo.acme_key)
    await expect(request).to_contain_text("Acme CRM is connected. The agent goes on in the other window.")
    await eventually(lambda: not popups(window))
    await window.close()


async def expect_exchange(page: Page, *lines: str) -> None:
    """Compare the listed calls of the agent, as `tool outcome`, with `lines`."""
    calls = page.locator("#exchange summary")
    for index, line in enumerate(lines):
        tool, outcome = line.split()
        await expect(calls.nth(index).locator(".method")).to_have_text(tool, timeout=20_000)
        await expect(calls.nth(index).locator(".status")).to_have_text(outcome)
    await expect(calls).to_have_count(len(lines))


@pytest.mark.slow
async def test_agent_meets_a_missing_account_and_goes_on(page: Page, demo: Demo) -> None:
    await page.set_viewport_size({"width": 1280, "height": 900})
    await open_settings_page(page, demo, "agents-read")
    await page.get_by_label("Search integrations").fill("Acme CRM")  # axe takes seconds for all cards
    says = page.locator("#agent-says")
    await page.get_by_role("button", name="Read contacts").click()
    await expect_exchange(page, "tool_search 200", "call_read connect_required")
    assert await find_violations(page) == []
    await connect_for_agent(page, demo)
    await expect_exchange(page, "tool_search 200", "call_read connect_required", "call_read 200")
    await expect(says).to_have_text(re.compile(r"Acme CRM has \d+ contacts: "))
    assert '"method": "tools/call"' in (await page.locator("#exchange .curl").first.text_content() or "")
    assert "orut_" not in (await page.content()).replace("orut_…", "")

    await page.get_by_role("button", name="Add a contact").click()
    await expect_exchange(page, "tool_search 200", "call_write approval_required")
    window = await follow_link(page, "Look at the call")
    await expect(window.get_by_text("Grace Hopper")).to_be_visible()
    await window.get_by_role("button", name=re.compile("once")).click()
    await expect(window.locator("#agent-request-text")).to_contain_text("You have approved the call.")
    await expect_exchange(page, "tool_search 200", "call_write approval_required", "call_write 200")
    await expect(says).to_have_text("Acme CRM has the new contact Grace Hopper.")


@pytest.mark.slow
async def test_program_pauses_at_a_missing_account_and_continues(page: Page, demo: Demo) -> None:
    await page.set_viewport_size({"width": 360, "height": 740})
    await open_settings_page(page, demo, "agents-program")
    await page.locator("#handle").click()
    await page.get_by_role("button", name="Run a program").click()
    await expect_exchange(page, "tool_search 200", "run_python connect_required")
    assert await page.evaluate("() => document.documentElement.scrollWidth") == 360
    await connect_for_agent(page, demo)
    await expect_exchange(page, "tool_search 200", "run_python connect_required", "run_python 200")
    await expect(page.locator("#agent-says")).to_contain_text("The program counted the contacts per company: {")
    await page.get_by_role("button", name="Create a token").click()
    token = await page.locator("#token code").first.text_content() or ""
    assert token.startswith("orut_")
    await expect(page.locator("#requests")).not_to_contain_text(token)
    await page.reload()
    assert token not in await page.content()
