"""Branding of the popup and of the pages at top level, in the browser."""

import base64
from collections.abc import Iterator

import pytest
from playwright.async_api import Page, expect

from one_runtime.tenancy.branding import DEFAULT_BRANDING, Branding
from tests.journeys.backend import Backend
from tests.journeys.site import Site
from tests.journeys.steps import find_violations, heading, key_field, open_popup


def square(color: str) -> str:
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8"><path fill="{color}" d="M0 0h8v8H0z"/></svg>'
    return f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"


LOGO, LOGO_DARK = square("#2450c4"), square("#9db8ff")
BRAND = Branding("#8b0000", "#ffd400", "none", "auto", LOGO_DARK, hide_powered_by=True)
# The colors have the lowest accepted contrast to the background of the popup.
EXTREMES = {
    "grey": Branding("#909090", "#6a6a6a", "none"),
    "yellow": Branding("#aa8d00", "#ffff00", "large", logo_dark_url=LOGO_DARK),
    "blue": Branding("#0000ff", None, "small", "dark"),
}
CENTRED = """(image) => {
  const [inner, outer] = [image, image.closest(".tile")].map((node) => node.getBoundingClientRect());
  return Math.abs(inner.top - outer.top - (outer.bottom - inner.bottom)) < 1;
}"""
POWERED_BY = "Powered by One Runtime"


@pytest.fixture
def branded(backend: Backend) -> Iterator[Backend]:
    backend.brand(BRAND, LOGO)
    yield backend
    backend.brand(DEFAULT_BRANDING)


async def test_window_without_and_with_scripts_has_the_branding(window: Page, branded: Backend) -> None:
    await window.emulate_media(color_scheme="light")
    await window.goto((await branded.window(mode="link"))["connect_url"])
    button, card = window.locator(".primary"), window.locator(".card")
    await expect(button).to_have_css("background-color", "rgb(139, 0, 0)")
    await expect(button).to_have_css("color", "rgb(255, 255, 255)")
    await expect(button).to_have_css("border-radius", "0px")
    await expect(card).to_have_css("border-radius", "0px")
    await expect(window.get_by_text(POWERED_BY)).to_have_count(0)
    logo = window.locator(".tile-organization img")
    assert await logo.evaluate("(image) => image.currentSrc") == LOGO
    await window.emulate_media(color_scheme="dark")
    await expect(button).to_have_css("background-color", "rgb(255, 212, 0)")
    await expect(button).to_have_css("color", "rgb(0, 0, 0)")
    await expect(logo).to_have_js_property("currentSrc", LOGO_DARK)
    assert await logo.evaluate(CENTRED)
    await window.emulate_media(color_scheme="light", contrast="more")
    await expect(button).to_have_css("background-color", "rgb(25, 26, 28)")


async def test_popup_and_the_panel_around_it_have_the_branding(page: Page, site: Site, branded: Backend) -> None:
    branded.brand(Branding("#8b0000", "#ffd400", "large", "light", LOGO_DARK), LOGO)
    open_roots = """() => {
      const attach = Element.prototype.attachShadow;
      Element.prototype.attachShadow = function () { return attach.call(this, { mode: "open" }); };
    }"""
    await page.add_init_script(f"({open_roots})()")
    await page.emulate_media(color_scheme="dark")
    frame = await open_popup(page, site, await branded.token())
    await expect(frame.locator(".primary")).to_have_css("background-color", "rgb(139, 0, 0)")
    await expect(frame.locator(".card")).to_have_css("background-color", "rgb(255, 255, 255)")
    await expect(frame.get_by_text(POWERED_BY)).to_be_visible()
    assert await frame.locator(".tile-organization img").evaluate("(image) => image.currentSrc") == LOGO
    panel = page.locator("dialog .panel")
    await expect(panel).to_have_css("background-color", "rgb(255, 255, 255)")
    await expect(panel).to_have_css("border-top-left-radius", "32px")
    await expect(frame.get_by_text(POWERED_BY)).to_be_in_viewport(ratio=1)


async def test_window_of_an_authorization_has_the_branding(page: Page, branded: Backend) -> None:
    theme = "8b0000-ffd400-none-dark-unnamed"
    await page.emulate_media(color_scheme="light")
    for query, background in (
        (f"?theme={theme}", "rgb(24, 25, 27)"),
        ("?theme=8b0000%22", "rgb(255, 255, 255)"),
        ("", "rgb(255, 255, 255)"),
    ):
        await page.goto(f"{branded.demo.url}/connect/authorization{query}")
        await expect(page.locator(".card")).to_have_css("background-color", background)


@pytest.mark.slow
@pytest.mark.parametrize("name", EXTREMES)
async def test_axe_finds_nothing_with_extreme_colors(page: Page, site: Site, branded: Backend, name: str) -> None:
    branded.brand(EXTREMES[name], LOGO)
    await page.goto((await branded.window(mode="link"))["connect_url"])
    await expect(heading(page)).to_be_visible()
    assert await find_violations(page, page) == []
    frame = await open_popup(page, site, await branded.token())
    await frame.get_by_text("Where do I find this?").click()
    await key_field(frame).fill("acme_shown")
    assert await find_violations(page, frame) == []
