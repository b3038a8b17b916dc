"""Accessibility of the top-level pages: axe finds nothing, and every page fits on a small phone."""

from collections.abc import Awaitable, Callable

import pytest
from playwright.async_api import Browser, Page, ViewportSize, expect

from tests.journeys.backend import Backend
from tests.journeys.steps import WRONG_KEY, find_violations, heading
from tests.journeys.test_window import CONFIRM, confirmed, paste

Reach = Callable[[Page, Backend], Awaitable[object]]

# Finds controls that are smaller than a finger (WCAG 2.2, 2.5.5).
TOO_SMALL = """() => [...document.querySelectorAll("button, a, input:not([type=hidden]), select, summary")]
  .filter((node) => node.checkVisibility())
  .filter((node) => Math.min(node.offsetWidth, node.offsetHeight) < 44)
  .map((node) => node.outerHTML)"""


async def confirmation(page: Page, backend: Backend) -> None:
    session = await backend.window(mode="link", end_user_name="Ada Lovelace", end_user_email="ada@example.com")
    await page.goto(session["connect_url"])
    await expect(page.get_by_role("button", name=CONFIRM)).to_be_visible()


async def confirmation_of_anything(page: Page, backend: Backend) -> None:
    await page.goto((await backend.window(None, mode="link"))["connect_url"])


async def form(page: Page, backend: Backend) -> None:
    await page.goto((await backend.window(end_user_name="Ada Lovelace"))["connect_url"])
    await page.get_by_text("Where do I find this?").click()


async def picks(page: Page, backend: Backend) -> None:
    await page.goto((await backend.window(None, end_user_name="Ada Lovelace"))["connect_url"])
    await expect(page.get_by_label("Search", exact=True)).to_be_focused()


async def nothing_found(page: Page, backend: Backend) -> None:
    await picks(page, backend)
    await page.get_by_label("Search", exact=True).fill("nothing like it")
    await expect(page.get_by_text("Nothing matches")).to_be_visible()


async def choice(page: Page, backend: Backend) -> None:
    await confirmed(page, backend, "customer-io")


async def refused(page: Page, backend: Backend) -> None:
    await confirmed(page, backend)
    await paste(page, WRONG_KEY)
    await expect(page.get_by_role("alert")).to_be_visible()


async def wrong_field(page: Page, backend: Backend) -> None:
    await confirmed(page, backend, "zendesk", suggested_connection_name="Ours")
    await page.get_by_label("Subdomain").fill("-acme-")
    await page.get_by_label("Email").fill("ada@example.com")
    await page.get_by_label("API token", exact=True).fill("t" * 40)
    await page.get_by_role("button", name="Connect Zendesk").click()
    await expect(page.locator(".field-error:visible")).to_have_count(1)


async def another_account(page: Page, backend: Backend) -> None:
    await backend.type_key(await backend.token(), backend.demo.acme_keys["acc_initech"])
    await confirmed(page, backend)
    await paste(page, backend.demo.acme_key)
    await expect(heading(page)).to_have_text("Replace the connected account?")


async def several_accounts(page: Page, backend: Backend) -> None:
    await backend.add_unknown_accounts("Operations", "Billing <b>")
    await confirmed(page, backend)
    await paste(page, backend.demo.acme_key)
    await expect(heading(page)).to_have_text("Which Acme CRM account is this?")


async def connected(page: Page, backend: Backend) -> None:
    await confirmed(page, backend)
    await paste(page, backend.demo.acme_key)
    await expect(heading(page)).to_have_text("Connected")


async def over(page: Page, backend: Backend) -> None:
    session = await backend.window()
    await backend.expire(session)
    await page.goto(session["connect_url"])


async def reloaded(page: Page, backend: Backend) -> None:
    session = await backend.window()
    await page.goto(f"{backend.demo.url}/connect?session={session['id']}")
    await expect(heading(page)).to_have_text("Open this from Fernhill again")


REACHED: list[Reach] = [
    confirmation, confirmation_of_anything, form, picks, nothing_found, choice, refused, wrong_field, another_account,
    several_accounts, connected, over, reloaded,
]  # fmt: skip


@pytest.mark.timeout(180)  # axe examines 60 rows four times
@pytest.mark.parametrize("reach", REACHED)
async def test_axe_finds_nothing_and_nothing_is_wider_than_a_small_phone(
    page: Page, backend: Backend, reach: Reach
) -> None:
    backend.register(backend.site.return_url)
    await reach(page, backend)
    assert await find_violations(page, page) == []
    await page.set_viewport_size({"width": 320, "height": 568})
    assert await page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize(
    "reach", [confirmation, picks, nothing_found, form, refused, wrong_field, several_accounts, over]
)
async def test_controls_are_a_finger_wide_on_a_phone(browser: Browser, backend: Backend, reach: Reach) -> None:
    backend.register(backend.site.return_url)
    phone = ViewportSize(width=390, height=844)
    async with await browser.new_context(viewport=phone, has_touch=True, is_mobile=True) as context:
        page = await context.new_page()
        await reach(page, backend)
        assert await page.evaluate(TOO_SMALL) == []
