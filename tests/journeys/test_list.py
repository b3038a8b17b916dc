"""The popup of a session without an integration: a list of 600 integrations with a search.

`python -m benchmarks.popup` measures how fast the list appears, and how fast it reacts to a key press.
"""

import asyncio
import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import pytest
from playwright.async_api import Error, Frame, Page, Route, expect

from tests.browser import type_text
from tests.journeys.backend import Backend
from tests.journeys.site import Site
from tests.journeys.steps import (
    button,
    expect_closed,
    find_violations,
    heading,
    key_field,
    list_row,
    open_popup,
    outcome,
    visit,
    wait_until_settled,
)
from tests.journeys.test_window import confirmed, search_for
from tests.running_demo import find_popup
from tests.waiting import async_attempts, eventually

HEIGHT_OF_A_ROW: Final = 60


async def list_in(page: Page, large: Backend) -> Frame:
    frame = await open_popup(page, large.site, await large.token(None))
    await expect(heading(frame)).to_have_text("What would you like to connect to Fernhill?")
    return frame


def hits_of(frame: Frame, least: int, most: int) -> Callable[[], Any]:
    """Return a condition: the list has more than `least` and less than `most` rows."""

    async def counted() -> bool:
        return least < await frame.locator(".picks li").count() < most

    return counted


@pytest.mark.firefox_soak
async def test_six_hundred_integrations_are_listed_and_each_key_narrows_the_list(page: Page, large: Backend) -> None:
    frame = await list_in(page, large)
    rows, search = frame.locator(".picks li"), frame.get_by_label("Search", exact=True)
    await expect(rows).to_have_count(601)
    await search.press_sequentially("h")
    await eventually(hits_of(frame, 1, 601))
    await search.press_sequentially("arbormetrics")
    await expect(rows).to_have_text([re.compile("Harbor Metrics")])


async def test_rows_stay_until_the_server_has_answered_the_last_query(page: Page, large: Backend) -> None:
    frame = await list_in(page, large)
    rows, search = frame.locator(".picks li"), frame.get_by_label("Search", exact=True)
    released = asyncio.Event()

    async def hold_first(route: Route) -> None:
        if (route.request.post_data_json or {})["query"] == "harbor":
            await released.wait()
        with suppress(Error):  # the page has aborted the request
            await route.continue_()

    await page.route("**/connect/session/search", hold_first)
    async with page.expect_request("**/connect/session/search"):
        await search.fill("harbor")
    assert await rows.count() == 601
    await search.fill("acme crm")
    await expect(rows).to_have_text([re.compile("Acme CRM")])
    released.set()
    await search.fill("acme")
    await expect(rows).to_have_text([re.compile("Acme CRM")])


async def test_enter_opens_the_best_match_of_the_text_whose_answer_is_pending(page: Page, large: Backend) -> None:
    frame = await list_in(page, large)
    search = frame.get_by_label("Search", exact=True)
    released = asyncio.Event()

    async def hold(route: Route) -> None:
        await released.wait()
        await route.continue_()

    await page.route("**/connect/session/search", hold)
    async with page.expect_request("**/connect/session/search"):
        await search.fill("acme crm")
    await search.press("Enter")
    released.set()
    await expect(heading(frame)).to_contain_text("Acme CRM")


async def test_search_without_a_network_says_so_and_works_again_later(page: Page, large: Backend) -> None:
    frame = await list_in(page, large)
    search = frame.get_by_label("Search", exact=True)
    await page.route("**/connect/session/search", lambda route: route.abort("internetdisconnected"))
    await search.fill("acme crm")
    await expect(frame.locator(".empty")).to_contain_text("The network connection was lost.")
    await page.unroute("**/connect/session/search")
    await search.fill("acme")
    await expect(frame.locator(".picks li")).to_have_text([re.compile("Acme CRM")])


async def test_logos_far_down_are_not_loaded(page: Page, large: Backend) -> None:
    requested: set[str] = set()
    page.on("request", lambda request: requested.add(request.url) if "/logos/" in request.url else None)
    frame = await list_in(page, large)
    await eventually(lambda: requested)
    await wait_until_settled(frame)
    assert len(requested) < 100


async def test_list_works_by_keyboard_alone(page: Page, large: Backend) -> None:
    await visit(page, large.site, await large.token(None))
    await expect(page.get_by_role("button", name="Connect")).to_be_enabled()
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    frame = await find_popup(page)
    search = frame.get_by_label("Search", exact=True)
    await expect(search).to_be_focused()
    async for _ in async_attempts():  # the frame's process receives keyboard input a moment later
        await page.keyboard.insert_text("acme")
        if await search.input_value():
            break
    await expect(frame.get_by_role("status")).to_have_text("1 result")
    await page.keyboard.press("ArrowDown")
    await expect(frame.get_by_role("button", name="Acme CRM")).to_be_focused()
    await page.keyboard.press("ArrowUp")
    await expect(search).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(heading(frame)).to_be_focused()
    for name in ("Sign in", "API key"):
        await page.keyboard.press("Tab")
        await expect(frame.get_by_role("button", name=name)).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(key_field(frame)).to_be_focused()
    await page.keyboard.insert_text(large.demo.acme_key)
    await page.keyboard.press("Enter")
    assert (await outcome(page))["integrationSlug"] == "acme"
    assert await large.status() == "connected"


async def test_arrow_keys_move_between_rows(page: Page, large: Backend) -> None:
    frame = await list_in(page, large)
    await frame.get_by_label("Search", exact=True).press("ArrowDown")
    await expect(list_row(frame, "Acme CRM")).to_be_focused()
    for name in ("Amber Base", "Amber Books", "Amber Cast"):
        await frame.locator("button:focus").press("ArrowDown")
        await expect(list_row(frame, name)).to_be_focused()
    await frame.locator("button:focus").press("ArrowUp")
    await expect(list_row(frame, "Amber Books")).to_be_focused()


async def test_going_back_restores_search_scroll_position_and_row(page: Page, large: Backend) -> None:
    frame = await list_in(page, large)
    await type_text(frame.get_by_label("Search", exact=True), "track")
    await eventually(hits_of(frame, 20, 200))
    row = frame.locator(".picks li button").nth(17)
    await row.evaluate("(row) => row.scrollIntoView({block: 'center'})")  # so the click does not scroll
    name = await row.locator(".row-title").text_content() or ""
    await wait_until_settled(frame)  # otherwise Playwright would repeat the click and scroll
    before = await frame.locator(".picks").evaluate("(list) => list.scrollTop")
    await row.click()
    await expect(heading(frame)).to_contain_text(name)
    await button(frame, "Back").click()
    await expect(frame.get_by_label("Search", exact=True)).to_have_value("track")
    await expect(row).to_be_focused()
    await expect(row).to_be_in_viewport()
    now = await frame.locator(".picks").evaluate("(list) => list.scrollTop")
    assert abs(now - before) < HEIGHT_OF_A_ROW / 4


async def test_better_matches_come_first_and_accents_do_not_matter(page: Page, large: Backend) -> None:
    frame = await list_in(page, large)
    titles = frame.locator(".picks .row-title")
    await type_text(frame.get_by_label("Search", exact=True), "flow")
    await expect(titles.first).to_have_text(re.compile("^[A-Z][a-z]+ Flow$"))
    await type_text(frame.get_by_label("Search", exact=True), "pine")
    await expect(titles.first).to_have_text(re.compile("^Pine "))
    await type_text(frame.get_by_label("Search", exact=True), "ACME crm")
    await expect(titles).to_have_text(["Acme CRM"])


async def test_category_filters_the_list_and_no_match_shows_an_empty_state(page: Page, large: Backend) -> None:
    frame = await list_in(page, large)
    await frame.get_by_label("Category").select_option("Payments")
    await eventually(hits_of(frame, 20, 40))
    await type_text(frame.get_by_label("Search", exact=True), "nothing like it")
    await expect(frame.get_by_text("Nothing matches “nothing like it”.")).to_be_visible()
    await expect(frame.get_by_role("status")).to_have_text("0 results")
    await button(frame, "Show everything").click()
    await expect(frame.locator(".picks li")).to_have_count(601)
    await expect(frame.get_by_label("Search", exact=True)).to_be_focused()
    await expect(frame.get_by_label("Category")).to_have_value("")


async def test_escape_clears_the_search_before_it_closes_the_popup(page: Page, large: Backend) -> None:
    frame = await list_in(page, large)
    search = frame.get_by_label("Search", exact=True)
    await search.fill("harbor")
    await eventually(hits_of(frame, 0, 100))
    await search.press("Escape")
    await expect(search).to_have_value("")
    await expect(frame.locator(".picks li")).to_have_count(601)
    await search.press("Escape")
    assert (await outcome(page))["status"] == "cancelled"


async def test_connected_integrations_are_marked(page: Page, large: Backend) -> None:
    assert (await large.type_key(await large.token(), large.demo.acme_key)).status_code == 200
    frame = await list_in(page, large)
    await expect(frame.locator(".mark")).to_have_count(1)
    await expect(list_row(frame, "Acme CRM")).to_contain_text("Connected")


async def test_integration_that_fails_to_load_can_be_retried(page: Page, large: Backend) -> None:
    frame = await list_in(page, large)
    await page.route("**/connect/session", lambda route: route.abort("internetdisconnected"))
    await list_row(frame, "Acme CRM").click()
    await expect(heading(frame)).to_have_text("We can’t be reached")
    await button(frame, "Back").click()
    await list_row(frame, "Acme CRM").click()
    await expect(heading(frame)).to_have_text("We can’t be reached")
    await page.unroute("**/connect/session")
    await wait_until_settled(frame)
    await button(frame, "Try again").click()
    await expect(frame.get_by_role("button", name="API key")).to_be_visible()
    await button(frame, "Cancel and close").click()
    await expect_closed(page)


async def test_axe_finds_nothing_in_the_list(page: Page, large: Backend) -> None:
    frame = await list_in(page, large)
    await type_text(frame.get_by_label("Search", exact=True), "track")
    assert await find_violations(page, frame) == []
    await type_text(frame.get_by_label("Search", exact=True), "nothing like it")
    assert await find_violations(page, frame) == []


async def test_six_hundred_integrations_are_listed_at_top_level(window: Page, large: Backend) -> None:
    await confirmed(window, large, None)
    assert await window.locator(".picks li").count() == 601
    await search_for(window, "harbormetrics")
    await expect(window.locator(".picks li:visible")).to_have_count(1)


async def test_each_key_narrows_the_list_at_top_level(page: Page, large: Backend) -> None:
    await confirmed(page, large, None)
    await page.get_by_label("Search", exact=True).press_sequentially("harbormetrics")
    await expect(page.locator(".picks li:visible")).to_have_count(1)


async def test_popular_integrations_come_first_and_the_rest_on_demand(page: Page, site: Site, backend: Backend) -> None:
    await backend.type_key(await backend.token(), backend.demo.acme_key)
    frame = await open_popup(page, site, await backend.token(None))
    rows, titles = frame.locator(".picks li button.row"), frame.locator(".picks .row-title")
    first = await titles.all_text_contents()
    assert first[0] == "Acme CRM"  # connected
    assert {"HubSpot", "GitHub", "Notion"} <= set(first)
    assert len(first) < 50
    search = frame.get_by_label("Search", exact=True)
    await wait_until_settled(frame)
    before = await search.bounding_box()
    await search.fill("15five")  # a search finds every integration
    await expect(titles).to_have_text(["15Five"])
    await wait_until_settled(frame)
    assert await search.bounding_box() == before  # the list keeps its height
    await search.fill("")
    await frame.get_by_role("button", name="Show all").click()
    await expect(rows.nth(len(first))).to_be_focused()
    assert await rows.count() > 300


async def test_popular_integrations_come_first_at_top_level(window: Page, backend: Backend) -> None:
    await confirmed(window, backend, None)
    titles = window.locator(".picks li:visible .row-title")
    await expect(titles.first).to_have_text("Acme CRM")
    assert "HubSpot" in (await titles.all_text_contents())[:8]
