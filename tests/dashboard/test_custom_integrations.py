"""The editor of custom integrations: errors by line, the review, and the effects on connections and clients."""

import re
from typing import Any, Final

import httpx2
import pytest

from one_runtime.catalog.custom import as_yaml, read_custom, written
from one_runtime.dashboard.form_bodies import MAX_TEXT
from one_runtime.settings import Settings
from tests.application import RunningAcme, settings_for
from tests.billing import ENTRY, OAUTH, SLUG, SVG, Billing, connect, register, with_client
from tests.dashboard.team import Team, TeamBrowser, text_of

OPENAPI: Final = """\
openapi: 3.1.0
info:
  title: Invoices API
  summary: Invoices of the billing service.
  version: "1"
servers:
  - url: https://billing.acme.com/v1
paths:
  /invoices:
    get:
      operationId: list_invoices
      summary: List invoices
      responses: {"200": {"description": ok}}
components:
  securitySchemes:
    key: {type: http, scheme: bearer}
security:
  - key: []
"""

BILLS: Final = """\
  /bills:
    get:
      operationId: list_bills
      summary: List bills
      responses: {"200": {"description": ok}}
"""


@pytest.fixture
def settings(database_url: str, acme: RunningAcme) -> Settings:
    """The settings of `Billing`, with the dashboard."""
    return settings_for(database_url, acme, dashboard_listen="127.0.0.1:8003")


async def review(browser: TeamBrowser, path: str, text: str) -> dict[str, str]:
    """Send a document for its review, and return the form that saves the document."""
    answer = await browser.post(path, {"document": text, "step": "review"})
    [digest] = re.findall(r'name="reviewed" value="(\w+)"', answer.text)
    return {"document": text, "step": "save", "reviewed": digest}


async def save(browser: TeamBrowser, path: str, text: str) -> httpx2.Response:
    """Review and save a document."""
    return await browser.submit(path, await review(browser, path, text))


async def upload(browser: TeamBrowser, path: str, name: str, content: bytes) -> httpx2.Response:
    return await browser.http.post(
        browser.address(path),
        data={"document": "", "step": "review"},
        files={"file": (name, content)},
        headers={"sec-fetch-site": "same-origin"},
    )


async def team_of(billing: Billing) -> Team:
    """Return the team of a new organization in an installation whose provider is `Billing`."""
    organization_id = await billing.application.organization()
    return Team(
        billing.application, organization_id, billing.application.client(await billing.application.key(organization_id))
    )


async def definition(team: Team, slug: str = SLUG) -> dict[str, Any]:
    answer = await team.api.get(f"/v1/custom-integrations/{slug}")
    return dict(answer.json()["definition"]) if answer.status_code == 200 else {}


async def test_new_integration_is_reviewed_and_created(team: Team) -> None:
    browser = await team.browser("developer")
    assert "There is no custom integration yet" in text_of(await browser.get("custom-integrations"))
    assert "slug: x-acme-billing" in (await browser.get("custom-integrations/new")).text
    shown = await browser.post("custom-integrations/new", {"document": ENTRY.replace("\n", "\r\n"), "step": "review"})
    text = text_of(shown)
    assert shown.status_code == 200
    assert "This is the definition that One Runtime will store." in text
    assert "1 + added slug: x-billing" in text
    form = await review(browser, "custom-integrations/new", ENTRY)
    assert form["reviewed"] in shown.text, "browsers send line breaks as CRLF"
    assert await definition(team) == {}, "a review stores nothing"
    created = await save(browser, "custom-integrations/new", ENTRY)
    assert str(created.url).endswith("/integrations/x-billing?done=created")
    assert "The integration is created." in text_of(created)
    listed = text_of(await browser.get("custom-integrations"))
    assert "Billing Accounting x-billing Enabled API key" in listed
    again = await browser.post("custom-integrations/new", form)
    assert again.status_code == 409
    assert "x-billing exists already" in text_of(again)
    first_look = await browser.post("custom-integrations/new", {"document": ENTRY})
    assert "x-billing exists already" in text_of(first_look)


async def test_text_that_was_not_reviewed_is_not_saved(team: Team) -> None:
    browser = await team.browser("developer")
    form = await review(browser, "custom-integrations/new", ENTRY)
    answer = await browser.post("custom-integrations/new", {**form, "document": ENTRY + "# more\n"})
    assert answer.status_code == 200
    assert "Review" in text_of(answer)
    assert await definition(team) == {}


async def test_definition_that_another_member_changed_is_reviewed_again(team: Team) -> None:
    await register(team.api)
    browser, path = await team.browser("developer"), f"custom-integrations/{SLUG}"
    form = await review(browser, path, as_stored(ENTRY).replace("Invoices of", "Bills of"))
    team.application.clock.advance(seconds=1)
    await register(team.api, ENTRY.replace("Invoices of", "Receipts of"))
    answer = await browser.post(path, form)
    assert answer.status_code == 200
    assert "removed description: Receipts of" in text_of(answer)
    assert (await definition(team))["description"].startswith("Receipts of")


async def test_errors_name_the_line(team: Team) -> None:
    browser = await team.browser("developer")
    wrong = ENTRY.replace("path: /me", "path: me").replace("category: Accounting", "category: Money")
    answer = await browser.post("custom-integrations/new", {"document": wrong})
    text = text_of(answer)
    assert answer.status_code == 422
    assert "The document has 2 errors." in text
    assert "Line 4: category must be" in text
    assert "Line 19: check.path must begin with" in text
    assert "<code>path: me</code>" in answer.text
    broken = text_of(await browser.post("custom-integrations/new", {"document": "slug: x-a\n name: [a, b\n"}))
    assert "Line 2:" in broken
    as_json = text_of(await browser.post("custom-integrations/new", {"document": '{"slug": "x-a",\n"name": }'}))
    assert "Line 2: this is not valid JSON" in as_json
    for nothing in ({}, {"document": "  \n"}):
        empty = await browser.post("custom-integrations/new", nothing)
        assert (empty.status_code, "is required. Paste a definition" in text_of(empty)) == (422, True)


async def test_document_is_escaped_everywhere(team: Team) -> None:
    browser = await team.browser("developer")
    attack = ENTRY.replace("label: API key", 'label: "<script>alert(1)</script>"')
    for answer in (
        await browser.post("custom-integrations/new", {"document": attack}),
        await save(browser, "custom-integrations/new", attack),
        await browser.get("custom-integrations/x-billing"),
    ):
        assert "&lt;script&gt;alert(1)" in answer.text
        assert "<script>alert" not in answer.text


async def test_change_shows_the_difference_and_warns_before_end_users_must_connect_again(billing: Billing) -> None:
    team = await team_of(billing)
    await with_client(team.api)
    await connect(team.api)
    browser = await team.browser("developer")
    text = as_stored(ENTRY + OAUTH)
    moved = text.replace("https://billing.acme.com/v1", "https://elsewhere.acme.com/v1").replace(
        "https://id.acme.com/token", "https://id2.acme.com/token"
    )
    shown = text_of(await browser.post(f"custom-integrations/{SLUG}", {"document": moved}))
    assert "End users have to connect again." in shown
    assert "(API key, OAuth). 1 connection uses this integration." in shown
    assert "One Runtime will delete the OAuth client." in shown
    assert "− removed base_url: https://billing.acme.com/v1" in shown
    assert "+ added base_url: https://elsewhere.acme.com/v1" in shown
    assert (await team.api.get("/v1/connections")).json()["connections"][0]["status"] == "active"
    saved = text_of(await save(browser, f"custom-integrations/{SLUG}", moved))
    assert "End users have to connect again" in saved
    assert "One Runtime deleted the OAuth client." in saved
    assert (await team.api.get("/v1/connections")).json()["connections"][0]["status"] == "needs_reauth"
    harmless = moved.replace("Invoices of", "Bills of")
    shown = text_of(await browser.post(f"custom-integrations/{SLUG}", {"document": harmless}))
    assert "connect again" not in shown
    saved = text_of(await save(browser, f"custom-integrations/{SLUG}", harmless))
    assert "The definition is saved. " in saved
    assert (await definition(team))["description"].startswith("Bills of")
    same = text_of(await browser.post(f"custom-integrations/{SLUG}", {"document": harmless}))
    assert "The document changes nothing." in same


async def test_another_slug_cannot_replace_this_integration(team: Team) -> None:
    await register(team.api)
    browser = await team.browser("developer")
    other = await browser.post(f"custom-integrations/{SLUG}", {"document": ENTRY.replace("x-billing", "x-other")})
    assert other.status_code == 422
    assert "must be x-billing" in text_of(other)
    assert (await browser.get("custom-integrations/x-other")).status_code == 404
    assert (await browser.get("custom-integrations/hubspot")).status_code == 404


async def test_openapi_document_is_uploaded_and_keeps_its_functions(team: Team) -> None:
    browser = await team.browser("developer")
    uploaded = await upload(browser, "custom-integrations/new", "api.yaml", OPENAPI.encode())
    assert uploaded.status_code == 200, text_of(uploaded)
    assert "added slug: x-invoices-api" in text_of(uploaded)
    created = await save(browser, "custom-integrations/new", OPENAPI)
    assert "The integration is created." in text_of(created)
    stored = await definition(team, "x-invoices-api")
    text = as_yaml(stored)
    edited = text_of(await browser.post("custom-integrations/x-invoices-api", {"document": text}))
    assert "Agents lose the functions of this integration." in edited
    more = OPENAPI.replace("  /invoices:\n", BILLS + "  /invoices:\n")
    functions = await browser.post("custom-integrations/x-invoices-api", {"document": more})
    assert "The functions for agents change." in text_of(functions)
    assert 'value="save"' in functions.text
    for name, content, problem in (
        ("latin.yaml", "name: Zoë".encode("latin-1"), "must be a text file in UTF-8"),
        ("large.yaml", b"#" * (MAX_TEXT + 1), "is too large: a file can have at most 1 MB"),
    ):
        answer = await upload(browser, "custom-integrations/new", name, content)
        assert (answer.status_code, problem in text_of(answer)) == (422, True), name


async def test_deletion_needs_a_choice_if_there_are_connections(billing: Billing) -> None:
    team = await team_of(billing)
    await register(team.api)
    await connect(team.api)
    browser = await team.browser("developer")
    refused = await browser.post(f"custom-integrations/{SLUG}/delete")
    assert refused.status_code == 409
    assert "also choose to delete its connections" in text_of(refused)
    assert await definition(team) != {}
    deleted = await browser.submit(f"custom-integrations/{SLUG}/delete", {"delete_connections": "yes"})
    assert "The integration is deleted." in text_of(deleted)
    assert await definition(team) == {}
    assert (await team.api.get("/v1/connections")).json()["connections"] == []
    assert (await browser.post(f"custom-integrations/{SLUG}/delete")).status_code == 404


async def test_support_reads_the_definition_without_a_form(team: Team) -> None:
    await register(team.api, ENTRY + f"logo: '{SVG}'\n")
    page = await (await team.browser("support")).get(f"custom-integrations/{SLUG}")
    assert "base_url: https://billing.acme.com/v1" in page.text
    assert "<textarea" not in page.text
    assert "/logos/" in page.text


def as_stored(text: str) -> str:
    """Return the text that the editor shows after the document was stored."""
    entry = read_custom(text, "yaml")
    return as_yaml(written(entry.integration, entry.logo))
