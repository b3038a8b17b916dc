"""Accessibility of the popup: no findings of axe in any state, use by keyboard, few clicks, small screens."""

from collections.abc import Awaitable, Callable
from functools import partial

import pytest
from playwright.async_api import Browser, Frame, Page, Route, expect

from tests.journeys.backend import Backend
from tests.journeys.site import Site
from tests.journeys.steps import (
    WRONG_KEY,
    button,
    click,
    expect_closed,
    find_violations,
    heading,
    key_field,
    open_popup,
    outcome,
    submit_key,
    visit,
    wait_until_settled,
)
from tests.journeys.test_endings import ENDINGS, Ending
from tests.running_demo import Demo, find_popup
from tests.waiting import async_attempts, eventually

Reach = Callable[[Page, Site, Backend], Awaitable[Frame]]


async def form(page: Page, site: Site, backend: Backend) -> Frame:
    frame = await open_popup(
        page, site, await backend.token(end_user_name="Ada Lovelace", end_user_email="ada@example.com")
    )
    await frame.get_by_text("Where do I find this?").click()
    await key_field(frame).fill("acme_shown")
    await click(frame, "Show API key")
    return frame


async def refused(page: Page, site: Site, backend: Backend) -> Frame:
    frame = await open_popup(page, site, await backend.token())
    await submit_key(frame, WRONG_KEY)
    await expect(frame.get_by_role("alert")).to_be_visible()
    return frame


async def missing(page: Page, site: Site, backend: Backend) -> Frame:
    frame = await open_popup(page, site, await backend.token("datadog", suggested_connection_name="Ours"))
    await frame.get_by_label("API key", exact=True).press("Enter")
    await expect(frame.locator(".field-error:visible")).to_have_count(2)
    return frame


async def working(page: Page, site: Site, backend: Backend) -> Frame:
    frame = await open_popup(page, site, await backend.token())
    await page.route("**/connect/session/connect", lambda route: None)
    await submit_key(frame, WRONG_KEY)
    await expect(button(frame, "Checking with Acme CRM…")).to_be_visible()
    return frame


async def choice(page: Page, site: Site, backend: Backend) -> Frame:
    return await open_popup(page, site, await backend.token("customer-io"))


async def parameters(page: Page, site: Site, backend: Backend) -> Frame:
    return await open_popup(page, site, await backend.token("zendesk"))


async def password(page: Page, site: Site, backend: Backend) -> Frame:
    return await open_popup(page, site, await backend.token("twilio"))


async def another_account(page: Page, site: Site, backend: Backend) -> Frame:
    await backend.type_key(await backend.token(), backend.demo.acme_keys["acc_initech"])
    frame = await open_popup(page, site, await backend.token())
    await submit_key(frame, backend.demo.acme_keys["acc_globex"])
    await expect(heading(frame)).to_have_text("Replace the connected account?")
    return frame


async def several_accounts(page: Page, site: Site, backend: Backend) -> Frame:
    await backend.add_unknown_accounts("Operations", "Billing <b>")
    frame = await open_popup(page, site, await backend.token())
    await submit_key(frame, backend.demo.acme_key)
    await expect(heading(frame)).to_have_text("Which Acme CRM account is this?")
    return frame


async def connected(page: Page, site: Site, backend: Backend) -> Frame:
    frame = await open_popup(page, site, await backend.token(), "/embedder")  # this page keeps the success mark
    await submit_key(frame, backend.demo.acme_key)
    await expect(heading(frame)).to_have_text("Connected")
    return frame


async def unreachable(page: Page, site: Site, backend: Backend) -> Frame:
    await page.route("**/connect/session", lambda route: route.abort())
    return await open_popup(page, site, await backend.token())


async def loading(page: Page, site: Site, backend: Backend) -> Frame:
    await page.route("**/connect/session", lambda route: None)
    await visit(page, site, await backend.token())
    await page.get_by_role("button", name="Connect").click()
    return await find_popup(page)


REACHED: list[Reach] = [
    form, refused, missing, working, choice, parameters, password, another_account, several_accounts, connected,
    unreachable, loading,
]  # fmt: skip


@pytest.mark.parametrize("reach", REACHED)
async def test_axe_finds_nothing_in_the_popup(page: Page, site: Site, backend: Backend, reach: Reach) -> None:
    frame = await reach(page, site, backend)
    assert await find_violations(page, frame) == []


@pytest.mark.parametrize("make", [make for make, _, _ in ENDINGS])
async def test_axe_finds_nothing_in_the_page_of_an_ended_session(
    page: Page, site: Site, backend: Backend, make: Ending
) -> None:
    frame = await open_popup(page, site, await make(backend))
    assert await find_violations(page, frame) == []


async def test_axe_finds_nothing_at_top_level_and_in_the_page_around_the_popup(
    page: Page, site: Site, backend: Backend
) -> None:
    session = await backend.session()
    await page.goto(session["connect_url"])
    await expect(heading(page)).to_be_visible()
    assert await find_violations(page, page) == []
    await open_popup(page, site, session["session_token"])
    assert await find_violations(page, page) == []


async def test_popup_has_edges_in_forced_colors(page: Page, site: Site, backend: Backend) -> None:
    open_roots = """() => {
      const attach = Element.prototype.attachShadow;
      Element.prototype.attachShadow = function () { return attach.call(this, { mode: "open" }); };
    }"""
    await page.add_init_script(f"({open_roots})()")
    await page.emulate_media(forced_colors="active")
    frame = await open_popup(page, site, await backend.token("datadog"))
    edges = """(selector) => [...document.querySelectorAll(selector)].map((node) => {
      const { borderTopWidth, borderTopColor, outlineWidth, outlineStyle, backgroundColor } = getComputedStyle(node);
      const border = borderTopWidth !== "0px" && borderTopColor !== backgroundColor;
      return border || (outlineStyle !== "none" && outlineWidth !== "0px");
    })"""
    panel = page.locator("dialog .panel")
    await expect(panel).to_have_css("border-top-width", "2px")
    for selector, count in ((".control", 3), (".primary", 1), (".tile", 2)):
        assert await frame.evaluate(edges, selector) == [True] * count, selector


async def test_popup_shows_name_and_address_of_the_user_each_for_itself(
    page: Page, site: Site, backend: Backend
) -> None:
    """The order of an Arabic name does not move the address, and a long name does not hide the address."""
    for name, shown in (("محمد", "محمد"), ("Ada " * 60, f"{'Ada ' * 19}Ada…")):
        frame = await open_popup(page, site, await backend.token(end_user_name=name, end_user_email="a@example.com"))
        await expect(frame.locator(".person bdi")).to_have_text([shown, "a@example.com"])


async def test_keyboard_alone_connects_and_the_focus_returns(
    page: Page, demo: Demo, site: Site, backend: Backend
) -> None:
    await visit(page, site, await backend.token())
    await expect(page.get_by_role("button", name="Connect")).to_be_enabled()
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    frame = await find_popup(page)
    await expect(key_field(frame)).to_be_focused()
    async for _ in async_attempts():  # the frame's process receives keyboard input a moment later
        await page.keyboard.insert_text(WRONG_KEY)
        if await key_field(frame).input_value():
            break
    await page.keyboard.press("Enter")
    await expect(frame.get_by_role("alert")).to_be_focused()
    await page.keyboard.press("Tab")
    await expect(key_field(frame)).to_be_focused()
    await page.keyboard.press("Control+A")
    await page.keyboard.insert_text(demo.acme_key)
    for name in ("Show API key", None, "Connect Acme CRM"):
        await page.keyboard.press("Tab")
        if name is not None:
            await expect(button(frame, name)).to_be_focused()
    await page.keyboard.press("Space")
    assert (await outcome(page))["status"] == "connected"
    await expect(heading(frame)).to_be_focused()
    await expect_closed(page)
    await expect(page.get_by_role("button", name="Connect")).to_be_focused()


async def test_focus_stays_inside_the_popup(page: Page, site: Site, backend: Backend) -> None:
    frame = await open_popup(page, site, await backend.token())
    await expect(key_field(frame)).to_be_focused()
    for _ in range(12):
        await page.keyboard.press("Tab")
        assert await page.evaluate("() => document.activeElement.id") != "connect"
    stolen = "() => { document.getElementById('connect').focus(); return document.activeElement.id === 'connect'; }"
    assert not await page.evaluate(stolen)


async def test_auth_type_is_selected_by_keyboard_and_can_be_changed(page: Page, site: Site, backend: Backend) -> None:
    frame = await open_popup(page, site, await backend.token("customer-io"))
    await expect(heading(frame)).to_be_focused()
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await expect(frame.get_by_label("App API key", exact=True)).to_be_focused()
    await button(frame, "Back").focus()
    await page.keyboard.press("Enter")
    await expect(frame.get_by_role("heading", name="How would you like to connect?")).to_be_visible()


async def test_key_is_connected_with_two_clicks(page: Page, demo: Demo, site: Site, backend: Backend) -> None:
    presses: list[str] = []

    def note(where: str) -> None:
        presses.append(where)

    await page.expose_function("pressed", note)
    await page.add_init_script("addEventListener('pointerdown', () => pressed(location.pathname), true)")
    frame = await open_popup(page, site, await backend.token())
    await expect(key_field(frame)).to_be_focused()  # a person can paste a key without a click
    await page.keyboard.insert_text(demo.acme_key)
    await click(frame, "Connect Acme CRM")
    assert (await outcome(page))["status"] == "connected"
    assert presses == ["/", "/connect"]


async def test_nothing_is_wider_than_a_small_phones_screen(page: Page, site: Site, backend: Backend) -> None:
    await page.set_viewport_size({"width": 320, "height": 568})
    wide = "() => document.documentElement.scrollWidth > innerWidth"
    for slug in ("acme", "customer-io", "datadog", "zendesk"):
        frame = await open_popup(page, site, await backend.token(slug))
        await eventually(partial(frame.evaluate, "() => innerWidth === 320"))
        assert not await frame.evaluate(wide)
        assert not await page.evaluate(wide)


async def test_no_field_is_focused_on_devices_without_a_mouse(browser: Browser, site: Site, backend: Backend) -> None:
    phone = await browser.new_context(is_mobile=True, has_touch=True, viewport={"width": 390, "height": 760})
    async with phone:
        frame = await open_popup(await phone.new_page(), site, await backend.token())
        await expect(heading(frame)).to_be_focused()


async def test_hint_of_a_popup_that_does_not_load_can_be_closed(page: Page, site: Site, backend: Backend) -> None:
    async def never(route: Route) -> None:
        """Do not answer the request."""

    await page.clock.install()
    await page.route("**/connect?*", never)
    await visit(page, site, await backend.token())
    await page.get_by_role("button", name="Connect").click()
    await eventually(lambda: page.evaluate("() => document.documentElement.style.overflow === 'hidden'"))
    await page.clock.fast_forward(10_000)
    assert await find_violations(page, page) == []
    await page.keyboard.press("Enter")
    assert (await outcome(page))["error"]["code"] == "load_failed"


async def test_the_popup_is_as_high_as_its_content(page: Page, site: Site, backend: Backend) -> None:
    frame = await open_popup(page, site, await backend.token())
    await wait_until_settled(frame)
    await frame.get_by_text("Where do I find this?").click()
    await wait_until_settled(frame)
    assert await frame.evaluate("() => document.documentElement.scrollHeight <= innerHeight")
