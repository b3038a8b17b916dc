"""The other ways to connect in a real browser, against the demo: from the list, by redirect and back, by a link."""

import re

import pytest
from playwright.async_api import Browser, BrowserContext, Page, expect

from tests.demo.steps import card, find_violations, open_settings_page, type_key
from tests.running_demo import Demo, find_popup, popups
from tests.waiting import eventually


async def choose(page: Page, way: str) -> None:
    await page.get_by_role("radio", name=way).check()


async def start_redirect(page: Page, demo: Demo) -> None:
    """Connect Acme CRM in this window, up to One Runtime's choice between two auth types."""
    await choose(page, "In this window")
    await card(page).get_by_role("button", name="Connect Acme CRM", exact=True).click()
    await expect(page.get_by_role("button", name="API key")).to_be_visible()
    assert page.url.startswith(f"{demo.url}/connect")


async def test_integration_selected_in_the_list_is_connected(page: Page, demo: Demo) -> None:
    await open_settings_page(page, demo, "ways-lists")
    await page.get_by_role("button", name="Browse all integrations").click()
    frame = await find_popup(page)
    await frame.get_by_role("button", name=re.compile("^Acme CRM")).click()
    await type_key(frame, demo.acme_key)
    await expect(page.locator("#connected").get_by_role("heading", name="Acme CRM")).to_be_visible()
    await expect(page.locator("#toast")).to_have_text("Acme CRM is connected.")
    await eventually(lambda: not popups(page))
    await expect(page.get_by_role("button", name="Browse all integrations")).to_be_focused()


async def test_redirect_goes_to_one_runtime_and_returns_connected(page: Page, demo: Demo) -> None:
    await open_settings_page(page, demo, "ways-returns")
    await start_redirect(page, demo)
    await type_key(page, demo.acme_key)
    await expect(card(page)).to_contain_text("Globex Corporation")
    await expect(page.locator("#toast")).to_have_text("Acme CRM is connected.")
    assert page.url == f"{demo.product}/"
    methods = page.locator(".request .target")
    await expect(methods).to_have_count(4)  # newest first: list, redeem, session, list
    await expect(methods.nth(1)).to_have_text(re.compile("/redeem$"))
    assert "orcc_" not in (await page.content()).replace("orcc_…", "")
    await page.reload()
    await expect(card(page)).to_contain_text("Globex Corporation")
    await expect(page.get_by_role("radio", name="In this window")).to_be_checked()


async def test_cancelled_redirect_returns_and_shows_it(page: Page, demo: Demo) -> None:
    await open_settings_page(page, demo, "ways-cancels")
    await start_redirect(page, demo)
    await page.get_by_role("button", name=re.compile("^Cancel")).click()
    await expect(page.locator("#toast")).to_have_text("Cancelled. Nothing was connected.")
    await expect(page.locator("#nothing-connected")).to_be_visible()


@pytest.mark.promise("P6")
async def test_redirect_that_returns_to_another_user_connects_nothing(
    page: Page, browser_context: BrowserContext, demo: Demo
) -> None:
    await open_settings_page(page, demo, "ways-first")
    await start_redirect(page, demo)
    other = await browser_context.new_page()
    await open_settings_page(other, demo, "ways-second")
    await type_key(page, demo.acme_key)
    await expect(page.get_by_role("alert")).to_contain_text(
        "Another user started this connection, but ways-second is signed in here"
    )
    await expect(page.locator("#nothing-connected")).to_be_visible()
    assert await find_violations(page) == []
    await open_settings_page(page, demo, "ways-first")
    await expect(page.locator("#nothing-connected")).to_be_visible()


async def test_link_works_in_another_browser_after_confirmation(page: Page, browser: Browser, demo: Demo) -> None:
    await open_settings_page(page, demo, "user_456")
    await choose(page, "By a link")
    await card(page).get_by_role("button", name="Connect Acme CRM", exact=True).click()
    dialog = page.get_by_role("dialog", name="A link for Tomás Reyes")
    await expect(dialog).to_contain_text(re.compile(r"It works once, until \d{1,2}:\d\d"))
    await expect(dialog.get_by_role("button", name="Copy link")).to_be_focused()
    link = await dialog.get_by_label("The link").input_value()
    await dialog.get_by_role("button", name="Check status").click()
    await expect(page.locator(".request .status").first).to_have_text("200")
    await expect(dialog.get_by_role("status")).to_have_text("Not used yet.")
    elsewhere = await browser.new_context()
    other_page = await elsewhere.new_page()
    await other_page.goto(link)
    await expect(other_page.get_by_text("Tomás Reyes").first).to_be_visible()
    await expect(other_page.get_by_role("button", name="API key")).to_have_count(0)
    await other_page.get_by_role("button", name="I expected this, go on").click()
    await type_key(other_page, demo.acme_keys["acc_initech"])
    await expect(other_page.get_by_role("heading", name="Connected")).to_be_visible()
    await elsewhere.close()
    await dialog.get_by_role("button", name="Check status").click()
    await expect(dialog.get_by_role("status")).to_have_text("It was used: Initech is connected.")
    await dialog.get_by_role("button", name="Done").click()
    await expect(card(page)).to_contain_text("Initech")


async def test_link_can_be_copied(page: Page, browser_context: BrowserContext, demo: Demo) -> None:
    await browser_context.grant_permissions(["clipboard-read", "clipboard-write"], origin=demo.product)
    await open_settings_page(page, demo, "ways-copies")
    await choose(page, "By a link")
    await page.get_by_role("button", name="Browse all integrations").click()
    await page.get_by_role("button", name="Copy link").click()
    await expect(page.get_by_role("button", name="Copied")).to_be_visible()
    copied = await page.evaluate("() => navigator.clipboard.readText()")
    assert copied == await page.get_by_label("The link").input_value()
    assert copied.startswith(f"{demo.url}/connect?session_token=")


async def test_mode_is_selected_with_the_keyboard_and_explained(page: Page, demo: Demo) -> None:
    await open_settings_page(page, demo, "ways-keyboard")
    panel = page.get_by_role("complementary", name="Behind this page")
    await panel.get_by_role("radio", name="In a popup").focus()
    await page.keyboard.press("ArrowRight")
    await page.keyboard.press("ArrowRight")
    await expect(page.get_by_role("radio", name="By a link")).to_be_checked()
    await expect(panel.get_by_role("group", name="How the buttons of this page connect")).to_be_visible()
    await expect(page.locator("#way-hint")).to_contain_text("a link to send")
    await page.get_by_role("button", name="Browse all integrations").press("Enter")
    await expect(page.get_by_role("dialog")).to_contain_text("an account that they choose")
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("button", name="Browse all integrations")).to_be_focused()


async def test_another_window_of_the_browser_follows_the_signed_in_user(
    page: Page, browser_context: BrowserContext, demo: Demo
) -> None:
    other = await browser_context.new_page()
    await open_settings_page(other, demo, "ways-one")
    await open_settings_page(page, demo, "ways-one")
    await page.get_by_label("End user", exact=True).select_option("user_123")
    await expect(other.get_by_label("End user", exact=True)).to_have_value("user_123")


async def test_link_and_modes_have_no_accessibility_violation_and_fit(page: Page, demo: Demo) -> None:
    for scheme, width in (("light", 900), ("dark", 320)):
        await page.emulate_media(color_scheme="dark" if scheme == "dark" else "light", reduced_motion="reduce")
        await page.set_viewport_size({"width": width, "height": 800})
        await open_settings_page(page, demo, f"ways-axe-{scheme}")
        await page.get_by_label("Search integrations").fill("Acme CRM")  # axe takes seconds for all cards
        await page.get_by_role("button", name="Behind this page").click()
        await choose(page, "By a link")
        assert await find_violations(page) == []
        await page.keyboard.press("Escape")
        await page.get_by_role("button", name="Browse all integrations").click()
        await expect(page.get_by_role("dialog")).to_be_visible()
        assert await find_violations(page) == []
        assert await page.evaluate("() => document.documentElement.scrollWidth") == width
