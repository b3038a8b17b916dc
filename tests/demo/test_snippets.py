"""The code of the README is two files that run: a customer's backend and page, to a connected account."""

import asyncio
import importlib.util
import json
from collections.abc import AsyncIterator
from pathlib import Path
from types import ModuleType

import pytest
from playwright.async_api import Page, Route, expect

from tests.demo.conftest import Demo, opened_popup

SNIPPETS = Path(__file__).resolve().parents[2] / "docs" / "snippets"
END_USER = "user_of_the_readme"


@pytest.fixture
async def backend(demo: Demo, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ModuleType]:
    monkeypatch.setenv("ONE_RUNTIME_URL", demo.url)
    monkeypatch.setenv("ONE_RUNTIME_API_KEY", demo.api_key)
    spec = importlib.util.spec_from_file_location("backend_of_the_readme", SNIPPETS / "backend.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    module.api.close()


@pytest.mark.docs
async def test_the_code_of_the_readme_connects_an_account(page: Page, demo: Demo, backend: ModuleType) -> None:
    """The page is served under the playground's origin, which the demo's organization allows."""
    html = (SNIPPETS / "page.html").read_text("utf-8").replace("http://127.0.0.1:8000", demo.url)

    async def send_session(route: Route) -> None:
        session = await asyncio.to_thread(backend.create_session, END_USER, "acme")
        await route.fulfill(body=json.dumps(session), content_type="application/json")

    await page.route(f"{demo.playground}/settings", lambda route: route.fulfill(body=html, content_type="text/html"))
    await page.route(f"{demo.playground}/sessions/acme", send_session)
    await page.goto(f"{demo.playground}/settings")
    await page.get_by_role("button", name="Connect Acme CRM").click()
    frame = await opened_popup(page)
    await frame.get_by_label("API key", exact=True).fill(demo.acme_key)
    await frame.get_by_role("button", name="Connect Acme CRM").click()
    await expect(page.locator("#connect")).to_contain_text("is connected")
    listed = await asyncio.to_thread(backend.list_integrations, END_USER)
    assert [one["slug"] for one in listed["integrations"] if one["status"] == "connected"] == ["acme"]


@pytest.mark.docs
def test_the_code_of_the_readme_is_about_twelve_lines() -> None:
    backend = (SNIPPETS / "backend.py").read_text("utf-8").splitlines()
    code = [line for line in backend if line and not line.startswith(('"""', "import ", ")"))]
    script = (SNIPPETS / "page.html").read_text("utf-8").partition('<script type="module">')[2].splitlines()
    assert len(code) + len([line for line in script if line.strip() and "</script>" not in line]) <= 16
