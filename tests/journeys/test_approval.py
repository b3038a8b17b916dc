"""An end user approves or refuses the exact call of an agent, with and without JavaScript."""

import re
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.async_api import Page, expect

from tests.browser import PageProblems
from tests.journeys.backend import Backend
from tests.journeys.steps import heading
from tests.mcp.conftest import call_at
from tests.running_demo import Demo

CALL: Final[dict[str, Any]] = {
    "integration": "acme",
    "method": "POST",
    "path": "/v1/contacts",
    "query": {"source": "chat & mail"},
    "body": {"name": "Ada Lovelace", "email": "ada@example.com", "company": "Analytical Engines"},
    "idempotency_key": "invite-ada-1",
}


@pytest.fixture
def page_of_agents(backend: Backend, demo: Demo) -> Iterator[str]:
    """The organization's page that the links of agents open. Afterwards, the links open the sample product again."""
    backend.use_page_of_agents("https://app.example.com/agents")
    yield "https://app.example.com/agents"
    backend.use_page_of_agents(f"{demo.product}/agents")


async def token_of(backend: Backend, demo: Demo) -> str:
    """Connect Acme, and create a token that asks for each change."""
    body = {"integration_slug": "acme", "end_user_id": backend.end_user_id, "auth_type": "api_key"}
    connected = await backend.http.post("/v1/connections", json={**body, "credentials": {"api_key": demo.acme_key}})
    assert connected.status_code == 201, connected.text
    new = {"end_user_id": backend.end_user_id, "access": "ask"}
    created = await backend.http.post("/v1/end-user-tokens", json=new)
    token: str = created.json()["end_user_token"]
    return token


async def opened(backend: Backend, token: str, page_of_agents: str, **more: str) -> str:
    """Let the agent ask, and open the page as the organization's backend does. Return the address of the page."""
    asked = await call_at(backend.demo.url, token, "call_write", **CALL)
    assert asked.data["approval_url"].startswith(page_of_agents), asked.text
    (request,) = parse_qs(urlsplit(asked.data["approval_url"]).query)["approval_request_id"]
    answer = await backend.http.post(
        f"/v1/approval-requests/{request}/open", json={"end_user_id": backend.end_user_id, **more}
    )
    url: str = answer.json()["approval_url"]
    return url


async def test_end_user_approves_the_call_that_the_page_shows(
    window: Page, demo: Demo, backend: Backend, page_of_agents: str, page_problems: PageProblems
) -> None:
    token = await token_of(backend, demo)
    url = await opened(backend, token, page_of_agents)
    await window.goto(url)
    await expect(heading(window)).to_have_text("Allow a change at Acme CRM?")
    shown = await window.locator(".call").inner_text()
    for text in ("POST", "/v1/contacts", "source = chat & mail", '"name": "Ada Lovelace"', "invite-ada-1"):
        assert text in shown, text
    await window.get_by_role("button", name="Allow this once", exact=True).click()
    await expect(window.get_by_role("heading", name="Allowed")).to_be_visible()
    assert "orap_" not in window.url
    assert (await call_at(demo.url, token, "call_write", **CALL)).data["status"] == 201
    await window.goto(url)
    await expect(window.get_by_role("heading", name="There is nothing to decide here")).to_be_visible()
    page_problems.clear()  # Chromium reports the status 410
    again = await opened(backend, token, page_of_agents, return_url=backend.site.return_url)
    await window.goto(again)
    await window.get_by_role("button", name="Refuse", exact=True).click()
    await expect(window).to_have_url(re.compile("approval_request_id=.*&status=refused"))
    assert (await call_at(demo.url, token, "call_write", **CALL)).data["code"] == "write_refused"
