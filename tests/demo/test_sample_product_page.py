"""The sample product in a real browser, against the demo: connect, look, disconnect, by mouse and by keyboard."""

from playwright.async_api import Page, expect

from tests.demo.steps import card, connect, find_violations, open_settings_page
from tests.running_demo import Demo, find_popup, popups
from tests.waiting import eventually


async def test_card_shows_connect_and_disconnect_without_a_reload(page: Page, demo: Demo) -> None:
    await open_settings_page(page, demo, "page-connects")
    await expect(page.locator("#nothing-connected")).to_be_visible()
    await page.evaluate("() => { document.documentElement.dataset.sameDocument = 'yes'; }")
    await connect(page, demo.acme_key)
    await expect(card(page)).to_contain_text("Globex Corporation")
    await expect(page.get_by_role("status")).to_have_text("Acme CRM is connected.")
    await expect(card(page).get_by_role("button", name="Disconnect Acme CRM")).to_be_focused()

    await card(page).get_by_role("button", name="Disconnect").click()
    await page.keyboard.press("Escape")
    await expect(card(page)).to_contain_text("Globex Corporation")
    await card(page).get_by_role("button", name="Disconnect").click()
    await page.get_by_role("dialog").get_by_role("button", name="Disconnect").click()
    await expect(page.locator("#available").get_by_role("heading", name="Acme CRM")).to_be_visible()
    await expect(card(page).get_by_role("button", name="Connect Acme CRM", exact=True)).to_be_focused()
    await expect(page.locator("html")).to_have_attribute("data-same-document", "yes")
    for kind in ("created", "deleted"):
        event = page.locator(".received", has_text="page-connects, acme").filter(has_text=f"connection.{kind}")
        await expect(event.locator(".sentence")).to_contain_text("page-connects, acme: ")


async def test_message_of_the_page_covers_no_card(page: Page, demo: Demo) -> None:
    """The message lies in the bar at the top or at the bottom, also for the longest names."""
    await open_settings_page(page, demo, "page-covers")
    toast = page.locator("#toast")
    for width, bar in ((1280, ".top"), (1100, ".top"), (768, "#panel"), (360, "#panel")):
        await page.set_viewport_size({"width": width, "height": 800})
        await toast.evaluate(
            """(toast) => {
              toast.style.transition = "none";
              toast.textContent = "Google Analytics Admin is connected.";
              toast.classList.add("shown");
            }"""
        )
        inner, outer = await toast.bounding_box(), await page.locator(bar).bounding_box()
        assert inner is not None
        assert outer is not None
        assert outer["y"] <= inner["y"], width
        assert inner["y"] + inner["height"] <= outer["y"] + outer["height"], width
        assert inner["x"] >= 0, width
        assert inner["x"] + inner["width"] <= width, width
        if bar == ".top":
            brand, who = [await page.locator(each).bounding_box() for each in (".brand", ".who")]
            assert brand is not None
            assert who is not None
            assert brand["x"] + brand["width"] <= inner["x"], width
            assert inner["x"] + inner["width"] <= who["x"], width


async def test_each_end_user_has_own_connections(page: Page, demo: Demo) -> None:
    await open_settings_page(page, demo, "page-first")
    await connect(page, demo.acme_keys["acc_initech"])
    await expect(card(page)).to_contain_text("Initech")
    await page.get_by_label("End user", exact=True).select_option("another")
    await page.get_by_label("Identifier of the end user").fill("page-second")
    await page.keyboard.press("Enter")
    await expect(page.locator("#nothing-connected")).to_be_visible()
    await page.reload()
    await expect(page.get_by_label("End user", exact=True)).to_have_value("page-second")


async def test_escape_in_the_popup_changes_nothing_and_returns_the_focus(page: Page, demo: Demo) -> None:
    await open_settings_page(page, demo, "page-escapes")
    await card(page).get_by_role("button", name="Connect Acme CRM", exact=True).click()
    frame = await find_popup(page)
    await expect(frame.get_by_role("button", name="API key")).to_be_visible()
    await page.keyboard.press("Escape")
    await eventually(lambda: not popups(page))
    await expect(page.locator("#notice")).to_be_hidden()
    await expect(card(page).get_by_role("button", name="Connect Acme CRM", exact=True)).to_be_focused()


async def test_search_and_category_filter_the_list_and_report_no_match(page: Page, demo: Demo) -> None:
    await open_settings_page(page, demo, "page-searches")
    await page.get_by_label("Search integrations").fill("acme c")
    await expect(page.locator(".card")).to_have_count(1)
    await page.get_by_label("Category").select_option("Support")
    await expect(page.locator("#no-match")).to_be_visible()
    await page.get_by_role("button", name="Show all integrations").click()
    await expect(card(page)).to_be_visible()


async def test_every_request_is_listed_as_curl_without_the_key(page: Page, demo: Demo) -> None:
    await open_settings_page(page, demo, "page-lists")
    await connect(page, demo.acme_key)
    requests = page.locator(".request")
    await expect(requests).to_have_count(3)
    await expect(requests.nth(1).locator(".target")).to_have_text("/v1/hosted-connection-sessions")
    await expect(requests.first.locator(".curl")).to_contain_text("Bearer $ONE_RUNTIME_API_KEY")
    assert demo.api_key not in await page.content()


async def test_the_page_has_no_accessibility_violation_in_any_state(page: Page, demo: Demo) -> None:
    for scheme, width in (("light", 1280), ("dark", 320)):
        await page.emulate_media(color_scheme="dark" if scheme == "dark" else "light", reduced_motion="reduce")
        await page.set_viewport_size({"width": width, "height": 800})
        await open_settings_page(page, demo, f"page-axe-{scheme}")
        if scheme == "light":  # axe takes seconds for all cards
            assert await find_violations(page) == []
        await page.get_by_label("Search integrations").fill("Acme CRM")
        assert await find_violations(page) == []
        await connect(page, demo.acme_key)
        assert await find_violations(page) == []
        await card(page).get_by_role("button", name="Disconnect").click()
        assert await find_violations(page) == []
        await page.keyboard.press("Escape")
        await page.get_by_label("Search integrations").fill("nothing like this")
        assert await find_violations(page) == []
        if width == 320:
            await page.locator("#handle").click()
            assert await find_violations(page) == []


async def test_page_fits_a_small_phone(page: Page, demo: Demo) -> None:
    await page.set_viewport_size({"width": 320, "height": 700})
    await open_settings_page(page, demo, "page-narrow")
    await connect(page, demo.acme_key)
    assert await page.evaluate("() => document.documentElement.scrollWidth") == 320


async def test_error_of_the_backend_is_shown_with_a_retry(page: Page, demo: Demo) -> None:
    await page.route("**/api/integrations*", lambda route: route.abort())
    await page.goto(demo.product)
    await expect(page.get_by_role("alert")).to_contain_text("does not answer")
    assert await find_violations(page) == []
    await page.unroute("**/api/integrations*")
    await page.get_by_role("button", name="Try again").click()
    await expect(card(page)).to_be_visible()


async def test_popular_integrations_come_first_and_the_rest_on_demand(page: Page, demo: Demo) -> None:
    await open_settings_page(page, demo, "page-popular")
    names = page.locator("#available h3")
    await expect(names.first).to_have_text("Acme CRM")
    first = await names.all_text_contents()
    assert {"HubSpot", "GitHub", "Notion"} <= set(first)
    assert len(first) < 50
    await page.get_by_label("Search integrations").fill("15five")  # a search finds every integration
    await expect(names).to_have_text(["15Five"])
    await page.get_by_label("Search integrations").fill("")
    await page.get_by_role("button", name="Show all").click()
    await expect(page.get_by_role("button", name="Show all")).to_be_hidden()
    assert await names.count() > 300
    await expect(page.locator("#available .card").nth(len(first)).get_by_role("button")).to_be_focused()
