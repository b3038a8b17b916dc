"""The overview: numbers, plots, what needs attention, and the first steps of a new organization."""

import re
from dataclasses import replace
from typing import Any

from one_runtime.dashboard.overview import bounded
from one_runtime.db.ids import new_id
from one_runtime.reports.overview import BoundedCount
from tests.dashboard.team import Team, TeamBrowser, text_of
from tests.promises.stores import query
from tests.proxy.test_usage import call


async def add_calls(team: Team, number: int, **values: Any) -> None:
    """Log calls of the present hour."""
    log, now = team.application.app.services.request_log, team.application.clock()
    for _ in range(number):
        log.note(replace(call(team.organization_id, at=now), id=new_id(), **values))
    await log.flush()


async def done_steps(browser: TeamBrowser) -> list[str]:
    """Return the first steps that the overview shows as done."""
    return re.findall(r'<li class="done">\s*<p><strong><a[^>]*>(.*?)</a>', (await browser.get()).text)


async def test_first_steps_stay_until_people_have_done_all_of_them(team: Team) -> None:
    owner, support = await team.browser(), await team.browser("support")
    text = text_of(await owner.get())
    assert "Nothing needs attention now." in text
    assert text.count("No calls in the last 24 hours.") == 2
    assert text_of(await support.get()).count("Your role does not allow this step.") == 4
    assert (
        f'href="/o/{team.organization_id}/integrations?show=ready">Connect a test account</a>'
        in (await owner.get()).text
    )
    assert await done_steps(owner) == [], "the operator's system created the key of the fixture"
    await owner.submit("integrations/hubspot/disable")
    await owner.post("api-keys", {"name": "Backend", "scopes": ["read"]})
    assert await done_steps(owner) == ["Choose the integrations", "Create an API key"]
    connection = await team.api.connect("user_1")
    assert (await owner.post("end-users/user_1/link")).status_code == 200
    assert (await done_steps(owner))[2:] == ["Connect a test account"], "this link connects a new account"
    assert (await owner.post(f"connections/{connection['id']}/link")).status_code == 200
    assert (await done_steps(owner))[3:] == ["Create a reconnect link"]
    await team.api.send("DELETE", f"/v1/connections/{connection['id']}")
    assert len(await done_steps(owner)) == 4
    await owner.post("members/invitations", {"email": "mary@example.com", "role": "support"})
    assert "First steps" not in text_of(await owner.get())


async def test_first_steps_are_hidden_by_a_member_and_after_thirty_days(team: Team) -> None:
    owner, support = await team.browser(), await team.browser("support")
    other = await team.application.organization("Southwind Traders")
    assert "First steps" not in text_of(await support.submit("first-steps/hide"))
    assert "First steps" in text_of(await owner.get())
    in_both = await team.browser("owner", other)
    assert "First steps" not in text_of(await in_both.submit("first-steps/hide"))
    query(team.application.installation, "UPDATE organizations SET created_at = '2026-01-01T00:00:00.000Z'")
    assert "First steps" not in text_of(await owner.get())


async def test_overview_shows_numbers_plots_and_links_to_what_is_broken(team: Team) -> None:
    connection = await team.api.connect("user_1")
    await team.api.connect("user_2")
    await team.api.session("user_1", end_user_name="Ada Lovelace", end_user_email="ada@lovelace.example")
    error = '{"code": "invalid_grant", "message": "<b>revoked</b>", "at": "2026-11-30T00:00:00Z"}'
    query(
        team.application.installation,
        f"UPDATE connections SET status = 'needs_reauth', error = '{error}' WHERE id = '{connection['id']}'",
    )
    await add_calls(team, 30, integration_slug="hubspot")
    await add_calls(team, 10, integration_slug="hubspot", status=500, duration_ms=1500)
    page = await (await team.browser("support")).get()
    text = text_of(page)
    assert page.status_code == 200
    assert "40 10 failed (25 %)" in text
    assert "Connected end users 1" in text
    assert "Connections to repair 1" in text
    assert "Ada Lovelace has to connect Acme CRM again" in text
    assert "25 % of the calls to HubSpot failed" in text
    assert f'href="/o/{team.organization_id}/connections/{connection["id"]}"' in page.text
    assert f'href="/o/{team.organization_id}/requests?integration=hubspot&amp;outcome=failed"' in page.text
    assert page.text.count("<figure") == 3
    assert page.text.count('class="plot-failed"') == 2 + 2  # a bar for the hour and for the day, and two legends
    assert "The longest call took 1.5 s" in page.text
    assert "<b>revoked" not in page.text


async def test_another_organization_has_its_own_numbers(team: Team) -> None:
    await team.api.connect("user_1")
    await add_calls(team, 3)
    other = await team.application.organization("Southwind Traders")
    text = text_of(await (await team.browser("owner", other)).get())
    assert "Connected end users 0" in text
    assert "No calls in the last 24 hours." in text


def test_count_that_ended_at_a_maximum_has_a_plus() -> None:
    assert bounded(BoundedCount(10_000, False)) == "10,000+"
    assert bounded(BoundedCount(1_234, True)) == "1,234"
