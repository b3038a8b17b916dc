"""The settings page of docs/popup.md: a template of Django with the routes of the Python client, in a browser."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from django.http import HttpRequest, HttpResponse  # type: ignore[import-untyped]
from django.template import Context, Engine  # type: ignore[import-untyped]
from django.urls import include, path  # type: ignore[import-untyped]
from playwright.async_api import Page, expect

from one_runtime.db.ids import new_id
from one_runtime_client import OneRuntime
from one_runtime_client.django import SignedInUser, connect_urls
from tests.application import running
from tests.clients.django_site import django_site
from tests.documentation import page as documentation
from tests.ports import free_port
from tests.running_demo import Demo, find_popup

pytestmark = [pytest.mark.docs, pytest.mark.slow]

TEMPLATE: Final = Path(__file__).resolve().parents[2] / "docs" / "snippets" / "settings_page_django.html"


@dataclass(frozen=True, slots=True)
class Product:
    """A product in Django, and the user who is signed in. An empty text means that nobody is signed in."""

    origin: str
    signed_in: list[str]


@asynccontextmanager
async def product_of(demo: Demo) -> AsyncIterator[Product]:
    """Serve the template and the routes, as a reader of the page does. A fixture would use another event loop."""
    port, signed_in = free_port(), [f"django-{new_id()}"]
    origin = f"http://127.0.0.1:{port}"

    def show(_: HttpRequest) -> Any:
        template = Engine().from_string(TEMPLATE.read_text("utf-8"))
        return HttpResponse(template.render(Context({"one_runtime_url": demo.url})))

    def user(_: HttpRequest) -> SignedInUser | None:
        return SignedInUser(signed_in[0]) if signed_in[0] else None

    with OneRuntime(demo.url, demo.api_key) as client:
        routes = connect_urls(client, user, session={"allowed_origins": [origin]})
        site = django_site([path("settings", show), path("api/one-runtime/", include(routes))])
        async with running(site, port, lifespan="off"):
            yield Product(origin, signed_in)


async def test_template_connects_and_disconnects_an_account(page: Page, demo: Demo) -> None:
    async with product_of(demo) as product:
        await page.goto(f"{product.origin}/settings")
        await page.get_by_role("button", name="Connect Acme CRM", exact=True).click()
        frame = await find_popup(page)
        await frame.get_by_role("button", name="API key").click()
        await frame.get_by_label("API key", exact=True).fill(demo.acme_key)
        await frame.get_by_role("button", name="Connect Acme CRM").click()
        await expect(page.locator("#message")).to_have_text("Connected Globex Corporation.")
        await page.get_by_role("button", name="Disconnect Acme CRM").click()
        await expect(page.get_by_role("button", name="Connect Acme CRM", exact=True)).to_be_visible()
        product.signed_in[0] = ""
        await page.reload()
        await expect(page.locator("#message")).to_have_text("Sign in first.")


def test_page_of_the_popup_shows_the_template_unchanged() -> None:
    assert TEMPLATE.read_text("utf-8") in documentation("docs/popup.md").code("html")
