"""The OpenAPI document and the API reference, which anybody can open."""

import json
from functools import partial
from typing import Final, Literal

import pytest
from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped]
from playwright.async_api import Page
from starlette.types import Message

from tests.application import Application
from tests.dashboard.served import ServedTeam
from tests.waiting import eventually

_BACKGROUND: Final = "() => getComputedStyle(document.documentElement).backgroundColor"
_HAS_SCHEME: Final = "(dark) => document.documentElement.classList.contains('dark-mode') === dark"
_CONTRAST: Final = {"runOnly": {"type": "rule", "values": ["color-contrast"]}}
_TEXTS: Final = ".info, .filter-container, .opblock-tag, .opblock-summary-description, .renderedMarkdown"
"""The texts of the page. Swagger UI's own buttons have too little contrast."""


async def test_openapi_document_is_converted_to_json_only_once(application: Application) -> None:
    bodies = list[bytes]()

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            bodies.append(message["body"])

    request = {
        "type": "http", "http_version": "1.1", "method": "GET", "path": "/openapi.json", "query_string": b"",
        "raw_path": b"/openapi.json", "root_path": "", "scheme": "http", "server": ("localhost", 80),
        "client": ("127.0.0.1", 1), "headers": [(b"host", b"localhost")],
    }  # fmt: skip
    for _ in range(2):
        await application.app(dict(request), receive, send)
    first, second = bodies
    assert first is second
    assert json.loads(first)["info"]["title"] == "One Runtime API"


async def served_icon(page: Page) -> str:
    """Return the media type of the page's icon."""
    address = await page.locator("link[rel=icon]").get_attribute("href")
    assert address is not None
    response = await page.request.get(f"{page.url.partition('/docs')[0]}{address}")
    assert response.status == 200
    return response.headers["content-type"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_pages_follow_the_color_scheme(
    page: Page, served_team: ServedTeam, scheme: Literal["light", "dark"]
) -> None:
    url = served_team.team.application.installation.settings.public_url
    await page.emulate_media(color_scheme=scheme)
    await page.goto(f"{url}/docs")
    await page.locator(".opblock-summary").first.click()
    await page.locator(".opblock-body .renderedMarkdown").first.wait_for()
    assert await served_icon(page) == "image/svg+xml"
    assert await page.evaluate(_BACKGROUND) == ("rgb(28, 32, 34)" if scheme == "dark" else "rgba(0, 0, 0, 0)")
    await page.evaluate(Axe().axe_script)
    findings = await page.evaluate("([texts, options]) => axe.run(texts, options)", [_TEXTS, _CONTRAST])
    assert [node["html"] for violation in findings["violations"] for node in violation["nodes"]] == []
    await page.emulate_media(color_scheme="light" if scheme == "dark" else "dark")
    await eventually(partial(page.evaluate, _HAS_SCHEME, scheme == "light"))
    await page.goto(f"{url}/docs/errors")
    assert await served_icon(page) == "image/svg+xml"
