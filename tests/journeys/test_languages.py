"""Pages in the language of a request. A made-up language shows which words of a page do not come from its texts."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Final

import httpx2
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Frame, Page, expect

from tests import pseudo_language
from tests.browser import PageProblems, new_window, type_text
from tests.journeys.backend import Backend
from tests.journeys.site import Site, running_site
from tests.journeys.steps import WRONG_KEY, find_violations, heading, visit
from tests.ports import free_port
from tests.running_demo import Demo, find_popup, running_demo

# The attributes that a person sees, or hears from a screen reader.
SHOWN: Final = """() => [document.title, document.body.innerText,
  ...[...document.querySelectorAll("[aria-label], [placeholder], [title], [alt]")]
    .filter((node) => node.checkVisibility())
    .flatMap((node) => ["aria-label", "placeholder", "title", "alt"].map((name) => node.getAttribute(name) ?? "")),
].join("\\n")"""
# Texts of the catalog and of the provider, which have no translation.
GUIDANCE: Final = """() => [...document.querySelectorAll(
  "label, .help:not(.again), .where-body p, blockquote, .row-help, .suffix, option:not([value='']), [placeholder]")]
  .flatMap((node) => [node.innerText, node.getAttribute("placeholder") ?? ""]).join("\\n").split("\\n")"""
NAMES: Final = ("Acme CRM", "Customer.io", "Zendesk", "Datadog", "Fernhill", "Ada Lovelace", "ada@example.com", "Ours",
         "App API key", "Track API key", "Globex Corporation")  # fmt: skip

Reach = Callable[[Page, Site, Backend], Awaitable[Frame | Page]]


@pytest.fixture(scope="module")
def translated_demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Demo, Site]]:
    """A demo with a made-up language, and a customer's site for this demo."""
    folder: Path = tmp_path_factory.mktemp("language")
    with running_demo(folder, free_port(4), ("tests.pseudo_language",)) as demo, running_site(demo.url) as site:
        yield demo, site


@pytest_asyncio.fixture(loop_scope="session")
async def translated(translated_demo: tuple[Demo, Site], request: pytest.FixtureRequest) -> AsyncIterator[Backend]:
    demo, site = translated_demo
    async with httpx2.AsyncClient(base_url=demo.url, headers={"authorization": f"Bearer {demo.api_key}"}) as http:
        backend = Backend(demo, site, request.node.name, http)
        backend.register(site.return_url)
        yield backend


async def popup(page: Page, site: Site, backend: Backend, slug: str | None = "acme", **more: object) -> Frame:
    await visit(page, site, await backend.token(slug, **more))
    await page.get_by_role("button", name="Connect", exact=True).click()
    frame = await find_popup(page)
    await expect(heading(frame)).to_be_visible()
    return frame


async def submit(page: Page | Frame, key: str) -> None:
    await type_text(page.locator("form input.masked"), key)
    await page.locator("form button.primary").click()


async def form(page: Page, site: Site, backend: Backend) -> Frame:
    return await popup(page, site, backend, end_user_name="Ada Lovelace", end_user_email="ada@example.com")


async def empty_fields(page: Page, site: Site, backend: Backend) -> Frame:
    frame = await popup(page, site, backend, "datadog", suggested_connection_name="Ours")
    await frame.locator("form button.primary").click()
    await expect(frame.locator(".field-error:visible")).to_have_count(2)
    return frame


async def refused(page: Page, site: Site, backend: Backend) -> Frame:
    frame = await popup(page, site, backend)
    await submit(frame, WRONG_KEY)
    await expect(frame.get_by_role("alert")).to_be_visible()
    return frame


async def auth_types(page: Page, site: Site, backend: Backend) -> Frame:
    return await popup(page, site, backend, "customer-io")


async def question(page: Page, site: Site, backend: Backend) -> Frame:
    await backend.type_key(await backend.token(), backend.demo.acme_keys["acc_initech"])
    frame = await popup(page, site, backend)
    await submit(frame, backend.demo.acme_keys["acc_globex"])
    await expect(frame.locator(".notice")).to_be_visible()
    return frame


async def connected(page: Page, site: Site, backend: Backend) -> Frame:
    frame = await popup(page, site, backend)
    await submit(frame, backend.demo.acme_key)
    await expect(frame.locator(".done")).to_be_visible()
    return frame


async def leaving(page: Page, site: Site, backend: Backend) -> Frame:
    frame = await popup(page, site, backend)
    await type_text(frame.locator("form input.masked"), "a")
    await frame.locator(".bar-button.close").click()
    await expect(frame.locator(".notice")).to_be_visible()
    return frame


async def unreachable(page: Page, site: Site, backend: Backend) -> Frame:
    await page.route("**/connect/session", lambda route: route.abort())
    return await popup(page, site, backend)


async def link(page: Page, site: Site, backend: Backend) -> Page:
    session = await backend.window(mode="link", end_user_name="Ada Lovelace", locale=pseudo_language.TAG)
    await page.goto(session["connect_url"])
    await expect(heading(page)).to_be_visible()
    return page


async def page_form(page: Page, site: Site, backend: Backend) -> Page:
    await link(page, site, backend)
    await page.locator(".actions button.primary").click()
    await expect(page.locator("form.credentials")).to_be_visible()
    return page


async def page_refusal(page: Page, site: Site, backend: Backend) -> Page:
    await page_form(page, site, backend)
    await submit(page, WRONG_KEY)
    await expect(page.get_by_role("alert")).to_be_visible()
    return page


async def page_end(page: Page, site: Site, backend: Backend) -> Page:
    await page_form(page, site, backend)
    await submit(page, backend.demo.acme_key)
    await expect(page.locator(".done")).to_be_visible()
    return page


async def unknown_link(page: Page, site: Site, backend: Backend) -> Page:
    await page.goto(f"{backend.demo.url}/connect?session_token=orcs_unknown")
    return page


SCREENS: Final[tuple[Reach, ...]] = (
    form, empty_fields, refused, auth_types, question, connected, leaving, unreachable, link, page_form, page_refusal,
    page_end, unknown_link,
)  # fmt: skip


@pytest.mark.parametrize("reach", SCREENS, ids=lambda reach: reach.__name__)
async def test_every_word_of_a_screen_is_in_the_language_of_the_session(
    browser: Browser, page_problems: PageProblems, translated: Backend, reach: Reach
) -> None:
    async with new_window(browser, page_problems, locale=pseudo_language.TAG) as page:
        shown = await reach(page, translated.site, translated)
        assert await shown.evaluate("[document.documentElement.lang, document.documentElement.dir]") == [
            pseudo_language.TAG,
            "rtl",
        ]
        text = pseudo_language.without_translated(await shown.evaluate(SHOWN))
        known = [*NAMES, *filter(None, await shown.evaluate(GUIDANCE))]
        for name in sorted(known, key=len, reverse=True):
            text = text.replace(name, "")
        assert [line for line in text.split("\n") if any(character.isalpha() for character in line)] == []
        assert await find_violations(page, shown) == []
