"""The request log in the dashboard: filters, pages, the live list, and one call."""

import shlex
from dataclasses import replace
from typing import Any, Final

import pytest
from playwright.async_api import Page

from one_runtime.dashboard import requests
from one_runtime.dashboard.requests import OUTCOME_TEXTS, as_curl, badge_of
from one_runtime.db.ids import new_id
from one_runtime.proxy.request_log import OUTCOMES, LoggedRequest
from tests.dashboard.served import ServedTeam
from tests.dashboard.team import Team, TeamBrowser, text_of
from tests.proxy.test_usage import call
from tests.waiting import eventually

PUBLIC_URL: Final = "https://one-runtime.example.com"


async def add_call(team: Team, path: str, **values: Any) -> LoggedRequest:
    log, now = team.application.app.services.request_log, team.application.clock()
    entry = replace(call(team.organization_id, at=now), id=new_id(), path=path, **values)
    log.note(entry)
    await log.flush()
    return entry


async def paths(browser: TeamBrowser, **filters: str) -> list[str]:
    """Return the paths of the listed calls."""
    page = await browser.get("requests", **filters)
    assert page.status_code == 200
    return [
        part.partition("<")[0].split()[1]
        for part in page.text.split("<a id=")[1:]
        for part in [part.split("<code>")[1]]
    ]


async def test_calls_are_listed_and_filtered(team: Team) -> None:
    browser, connection_id = await team.browser("support"), new_id()
    assert "No calls yet" in text_of(await browser.get("requests"))
    await add_call(team, "/ok", connection_id=connection_id)
    await add_call(team, "/moved", status=302)
    await add_call(team, "/missing", status=404, integration_slug="slack")
    await add_call(team, "/crashed", status=503)
    await add_call(team, "/broken", status=200, error="upstream_protocol_error")
    await add_call(team, "/left", status=0)
    assert await paths(browser) == ["/left", "/broken", "/crashed", "/missing", "/moved", "/ok"]
    for filters, expected in (
        ({"outcome": "failed"}, ["/broken", "/crashed", "/missing"]),
        ({"outcome": "2xx"}, ["/broken", "/ok"]),
        ({"outcome": "3xx"}, ["/moved"]),
        ({"outcome": "4xx"}, ["/missing"]),
        ({"outcome": "5xx"}, ["/crashed"]),
        ({"outcome": "cancelled"}, ["/left"]),
        ({"error": "upstream_protocol_error"}, ["/broken"]),
        ({"integration": "slack"}, ["/missing"]),
        ({"integration": "slack", "outcome": "2xx"}, []),
        ({"connection": connection_id}, ["/ok"]),
        ({"end_user": "nobody"}, []),
        ({"since": "2020-01-01T00:00", "until": "2020-01-02T00:00"}, []),
        ({"since": "2020-01-01T00:00:30"}, ["/left", "/broken", "/crashed", "/missing", "/moved", "/ok"]),
    ):
        assert await paths(browser, **filters) == expected, filters
    page = await browser.get("requests", outcome="4xx")
    assert '<option value="4xx" selected>' in page.text
    assert '<option value="slack">' in page.text, "the integrations of the shown calls are suggested"
    assert '<option value="slack">' in (await browser.get("requests", until="2020-01-02T00:00")).text, "of all calls"
    assert "No call matches" in text_of(await browser.get("requests", end_user="nobody"))
    assert tuple(OUTCOME_TEXTS) == OUTCOMES


@pytest.mark.parametrize(
    "name, value",
    [
        ("outcome", "9xx"),
        ("connection", "abc"),
        ("since", "yesterday"),
        ("until", "2026-13-01T00:00"),
    ],
)
async def test_invalid_filter_is_explained_beside_its_field(team: Team, name: str, value: str) -> None:
    page = await (await team.browser("support")).get("requests", **{name: value})
    assert page.status_code == 422
    assert f'id="e-{name}"' in page.text
    assert "must " in text_of(page)


async def test_pages_follow_each_other_without_gaps(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    browser = await team.browser("support")
    for number in range(5):
        await add_call(team, f"/{number}", status=200 if number else 404)
    monkeypatch.setattr(requests, "PAGE_SIZE", 2)
    found, path = [], "requests"
    while path:
        page = await browser.get(path)
        found += [number for number in "43210" if f"GET /{number}<" in page.text]
        path = (
            page.text.partition('rel="next"')[0].rpartition('href="')[2].rstrip('" ')
            if 'rel="next"' in page.text
            else ""
        )
    assert found == list("43210")
    monkeypatch.setattr(requests, "SCANNED", 3)
    page = await browser.get("requests", outcome="4xx")
    assert "The search compared 3 calls. Older calls can match." in text_of(page)
    assert 'rel="next"' in page.text


async def test_htmx_receives_only_the_list(team: Team) -> None:
    browser = await team.browser("support")
    await add_call(team, "/ok")
    page = await browser.http.get(browser.address("requests") + "?live=1", headers={"hx-request": "true"})
    assert page.text.lstrip().startswith('<div id="calls"')
    assert 'hx-trigger="every 3s"' in page.text
    assert "GET /ok" in page.text
    assert "every 3s" not in (await browser.get("requests")).text
    assert "every 3s" not in (await browser.get("requests", live="1", before=new_id())).text


async def test_live_list_does_not_prolong_the_session(team: Team) -> None:
    browser = await team.browser("support")
    address = browser.address("requests") + "?live=1"
    for _ in range(3):
        team.application.clock.advance(hours=3)
        assert "No calls yet" in (await browser.http.get(address, headers={"hx-request": "true"})).text
    team.application.clock.advance(hours=4)
    answer = await browser.http.get(address, headers={"hx-request": "true"})
    assert answer.headers["hx-redirect"].startswith(f"/sign-in?next=/o/{team.organization_id}/requests")
    assert answer.text == ""
    assert (await browser.http.get(address)).status_code == 303


async def test_one_call_has_its_ids_and_a_command_without_a_key(team: Team) -> None:
    browser = await team.browser("support")
    entry = await add_call(team, "/contacts/7", status=504, error="upstream_timeout", request_id=new_id())
    page = await browser.get(f"requests/{entry.id}")
    text = text_of(page)
    assert page.status_code == 200
    for expected in (entry.id, entry.request_id, entry.connection_id, "504", "upstream_timeout"):
        assert str(expected) in text
    assert "Authorization: Bearer $ONE_RUNTIME_API_KEY" in text
    assert "oru_" not in page.text


@pytest.mark.promise("P1")
async def test_calls_of_another_organization_are_not_found(team: Team) -> None:
    other = await team.application.organization("Southwind Traders")
    entry = await add_call(team, "/ok")
    browser = await team.browser("owner", other)
    assert await paths(browser) == []
    assert (await browser.get(f"requests/{entry.id}")).status_code == 404
    assert (await browser.get("requests/nonsense")).status_code == 404


@pytest.mark.parametrize(
    "path, url",
    [
        ("/contacts/7", "/contacts/7"),
        ("contacts", "/contacts"),
        ("/it's/$(rm -rf)/`x`/é/a%2Fb", "/it's/$(rm%20-rf)/%60x%60/%C3%A9/a%2Fb"),
        ("/a\nb", "/a%0Ab"),
    ],
)
def test_command_quotes_the_path_for_the_shell(path: str, url: str) -> None:
    command = as_curl(PUBLIC_URL, call(path=path, method="PATCH", connection_id="c"))
    words = shlex.split(command.replace("\\\n", ""))
    assert words[:5] == ["curl", "--request", "PATCH", "--url", f"{PUBLIC_URL}/v1/proxy/hubspot{url}"]
    assert words[5:] == [
        "--header", "Authorization: Bearer $ONE_RUNTIME_API_KEY", "--header", "One-Runtime-Connection: c",
    ]  # fmt: skip


def test_badge_shows_the_outcome() -> None:
    cases = ((200, None), (404, None), (200, "x"), (0, None), (0, "x"))
    assert [badge_of(call(status=status, error=error)) for status, error in cases] == [
        ("200", "good"), ("404", "bad"), ("200", "bad"), ("Cancelled", "wait"), ("No response", "bad"),
    ]  # fmt: skip


async def test_live_list_shows_new_calls_pauses_in_a_hidden_tab_and_stops(page: Page, served_team: ServedTeam) -> None:
    await served_team.sign_in(page.context)
    asked = list[str]()
    page.on("request", lambda request: asked.append(request.url) if "live=1" in request.url else None)
    await page.goto(f"{served_team.url}/o/{served_team.organization_id}/requests")
    await page.get_by_role("link", name="Live", exact=True).click()
    await page.clock.install()
    await page.reload()
    # The clock also runs by itself, so a slow step can bring one more request. Count from the begin of each state.
    before = len(asked)
    await page.clock.run_for(3100)
    await eventually(lambda: len(asked) > before)
    focused = page.locator("#calls tbody a").first
    await focused.focus()
    name = await focused.get_attribute("id")
    before = len(asked)
    await page.clock.run_for(3000)
    await eventually(lambda: len(asked) > before)
    assert await page.evaluate("document.activeElement.id") == name, "the focus stays on the same call"
    await page.evaluate("Object.defineProperty(document, 'hidden', {get: () => true, configurable: true})")
    before = len(asked)
    await page.clock.run_for(9000)
    assert len(asked) == before, "a hidden tab asks for nothing"
    await page.evaluate("delete document.hidden")
    await page.clock.run_for(3000)
    await eventually(lambda: len(asked) > before)
    await page.get_by_role("link", name="Stop").click()
    before = len(asked)
    await page.clock.run_for(9000)
    assert len(asked) == before, "a stopped list asks for nothing"
