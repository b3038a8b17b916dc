"""The pages of agents: tokens, approvals and paused programs."""

import re

from tests.billing import register
from tests.dashboard.team import Team, text_of
from tests.mcp.conftest import Agents, connected, use_own_page

WRITE = {"integration": "acme", "method": "POST", "path": "/v1/contacts", "body": {"name": "canary-body"}}
PROGRAM = "from one_runtime import call\n(await call('acme', 'GET', '/v1/me')).status\n"


async def test_tokens_are_listed_with_their_limits_and_revoked_at_once(team: Team) -> None:
    agents, browser = Agents(team.application, team.api), await team.browser("developer")
    token = await agents.token("user_1", name="Assistant", access="read", integrations=["acme"])
    other = await agents.token("user_2", name="Other agent")
    page = await browser.get("agents")
    shown = text_of(page)
    for text in ("Assistant", "Only reads, only acme", "Other agent", "Reads and writes", "Never", "user_1"):
        assert text in shown, text
    assert f"/v1/mcp/{team.organization_id}" in shown
    for secret in (token["end_user_token"], other["end_user_token"]):
        assert secret not in page.text
    filtered = text_of(await browser.get("agents", end_user_id="user_2"))
    assert ("Other agent" in filtered, "Assistant" in filtered) == (True, False)
    assert "no token of this end user" in text_of(await browser.get("agents", end_user_id="user_9"))

    support = await team.browser("support")
    assert "Assistant" in text_of(await support.get("agents"))
    assert "Revoke" not in text_of(await support.get("agents"))
    path = f"agents/tokens/{token['id']}/revoke"
    assert (await support.post(path)).status_code == 403
    async with connected(team.application.app, token["end_user_token"]) as agent:
        assert "call_read" in await agent.tools()
        assert "The token is revoked" in text_of(await browser.submit(path))
    assert (await team.api.get(f"/v1/end-user-tokens/{token['id']}")).json()["revoked_at"] is not None
    assert (await browser.post(path)).status_code == 303, "a second revocation changes nothing"
    southwind = await team.application.organization("Southwind")
    stranger = await team.browser("owner", southwind)
    assert (await stranger.post(f"agents/tokens/{other['id']}/revoke")).status_code == 404
    assert "Assistant" not in text_of(await stranger.get("agents"))


async def test_expired_tokens_are_shown_as_expired_and_have_no_button(team: Team) -> None:
    await Agents(team.application, team.api).token("user_1", expires_in=60)
    browser = await team.browser("owner")
    assert "Active" in text_of(await browser.get("agents"))
    team.application.clock.advance(minutes=2)
    shown = text_of(await browser.get("agents"))
    assert ("Expired" in shown, "Revoke" in shown) == (True, False)


async def test_approvals_show_the_call_but_not_its_body(team: Team) -> None:
    await use_own_page(team.api)
    await team.api.connect()
    browser = await team.browser("support")
    assert "No agent has asked for an approval" in text_of(await browser.get("agents/approvals"))
    async with Agents(team.application, team.api).connect(access="ask") as agent:
        await agent.call("call_write", **WRITE)
    page = await browser.get("agents/approvals")
    assert "POST 127.0.0.1" in text_of(page)
    assert "/v1/contacts" in text_of(page)
    assert "Waiting" in text_of(page)
    assert "canary-body" not in page.text
    team.application.clock.advance(minutes=11)
    assert "Expired" in text_of(await browser.get("agents/approvals"))
    stranger = await team.browser("owner", await team.application.organization("Southwind"))
    assert "/v1/contacts" not in text_of(await stranger.get("agents/approvals"))


async def test_paused_program_shows_what_it_waits_for(team: Team) -> None:
    await use_own_page(team.api)
    browser = await team.browser("support")
    async with Agents(team.application, team.api).connect() as agent:
        answer = await agent.call("run_python", code=PROGRAM)
    run_id = answer.data["run_id"]
    shown = text_of(await browser.get("agents/programs"))
    for text in (run_id, "user_123", "an account of acme", "Waiting"):
        assert text in shown, text
    stranger = await team.browser("owner", await team.application.organization("Southwind"))
    assert run_id not in text_of(await stranger.get("agents/programs"))
    team.application.clock.advance(hours=25)
    later = await team.browser("support")
    assert "No program waits" in text_of(await later.get("agents/programs"))


async def test_long_lists_have_pages(team: Team) -> None:
    agents = Agents(team.application, team.api)
    for number in range(52):
        await agents.token(f"user_{number}", name=f"agent-{number:02}")
    browser = await team.browser("support")
    first = await browser.get("agents")
    assert ("agent-51" in first.text, "agent-01" in first.text) == (True, False)
    older = first.text.partition('rel="next"')[0].rpartition('href="')[2].partition('"')[0]
    second = await browser.get(older.replace("&amp;", "&"))
    assert ("agent-51" in second.text, "agent-01" in second.text, "Newest" in second.text) == (False, True, True)


async def test_runs_show_a_program_as_one_item_with_its_calls(team: Team) -> None:
    await use_own_page(team.api)
    await team.api.connect("user_1")
    browser = await team.browser("support")
    assert "No agent has made a call" in text_of(await browser.get("agents/runs"))
    async with Agents(team.application, team.api).connect(end_user_id="user_1") as agent:
        await agent.call("call_read", integration="acme", path="/v1/contacts/missing")
        run_id = (await agent.call("run_python", code=PROGRAM.replace("status", "status, 1") + PROGRAM)).data["run_id"]
    await team.application.app.services.request_log.flush()
    page = await browser.get("agents/runs")
    shown = text_of(page)
    assert "Program GET /v1/me · acme user_1 No failed call 2" in shown
    assert "GET /v1/contacts/missing acme user_1 The call failed 1" in shown
    run = text_of(await browser.get(f"agents/runs/{run_id}"))
    assert f"Run id {run_id}" in run
    assert run.count("GET /v1/me 200 acme") == 2
    assert "Calls 2 " in run
    for filters, expected in (
        ({"end_user": "user_1"}, True),
        ({"end_user": "user_2"}, False),
        ({"outcome": "failed"}, False),
    ):
        assert ("Program" in text_of(await browser.get("agents/runs", **filters)).partition("Last call")[2]) == expected
    assert (await browser.get("agents/runs", outcome="nonsense")).status_code == 422
    stranger = await team.browser("owner", await team.application.organization("Southwind"))
    assert (await stranger.get(f"agents/runs/{run_id}")).status_code == 404
    assert "/v1/me" not in text_of(await stranger.get("agents/runs"))
    assert re.search(r'/requests/[0-9a-f-]{36}"><code>GET /v1/contacts/missing', page.text), "a single call has no run"


async def test_run_of_a_paused_program_says_what_it_waits_for(team: Team) -> None:
    await use_own_page(team.api)
    await team.api.connect("user_123")
    browser = await team.browser("support")
    slack = PROGRAM + PROGRAM.replace("acme", "x-billing")
    await register(team.api)
    async with Agents(team.application, team.api).connect() as agent:
        waiting = (await agent.call("run_python", code=PROGRAM.replace("acme", "x-billing"))).data["run_id"]
        begun = (await agent.call("run_python", code=slack)).data["run_id"]
    await team.application.app.services.request_log.flush()
    page = text_of(await browser.get(f"agents/runs/{waiting}"))
    assert "The program has made no call yet" in page
    assert "Waits for an account of x-billing, until" in page
    page = text_of(await browser.get(f"agents/runs/{begun}"))
    assert "Waits for the end user" in page
    assert "GET /v1/me 200 acme" in page
    assert "Program GET /v1/me · acme user_123 Waits for the end user 1" in text_of(await browser.get("agents/runs"))
