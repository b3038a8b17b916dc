"""Tokens with the access `ask`: the end user approves each call that changes something, and the agent cannot."""

import asyncio
import json
import re
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from sqlalchemy import select

from one_runtime.agents import approvals, end_user_requests, upkeep
from one_runtime.db.schema import agent_runs, approval_requests
from one_runtime.demo.acme import GLOBEX, INITECH
from one_runtime.encryption import secret_tokens
from tests.application import ACME_KEYS, PUBLIC_URL, Application, Client, started
from tests.billing import ENTRY, KEY, PATH, SLUG, send
from tests.mcp.conftest import MODERN, PAGE, Agent, Agents, Answer, answering, connected, use_own_page

pytestmark = pytest.mark.slow

CANARY: Final = "canary-7d1e0a"
FORM: Final = {"content-type": "application/x-www-form-urlencoded", "sec-fetch-site": "same-origin"}
RETURN_URL: Final = "https://app.example.com/agents"
ADA: Final[dict[str, Any]] = {
    "integration": "acme",
    "method": "POST",
    "path": "/v1/contacts",
    "query": {"note": f"{CANARY} query"},
    "body": {"name": "Ada", "company": f"{CANARY} body"},
}
PROGRAM: Final = """
import acme
from one_runtime import call, CallRefused
refused = 0
for name in ["Ada", "Grace", "Edsger"]:
    try:
        await acme.contact_create(name=name)
    except CallRefused:
        refused += 1
[len((await acme.contacts_list())["contacts"]) > 0, refused]
"""


def contacts(application: Application, account: str = GLOBEX) -> list[str]:
    """Return the names of the contacts that agents have created at the provider."""
    names = [contact.name for contact in application.acme.acme.accounts[account].contacts.values()]
    return sorted(name for name in names if name in {"Ada", "Grace", "Edsger"})


def request_of(url: str) -> str:
    assert url.startswith(f"{PAGE}&"), url
    parameters = parse_qs(urlsplit(url).query)
    assert parameters["integration"] == ["acme"]
    return parameters["approval_request_id"][0]


async def opened(client: Client, request_id: str, end_user_id: str = "user_123", **more: str) -> httpx2.Response:
    """Open the page as the organization's backend does."""
    body = {"end_user_id": end_user_id, **more}
    return await client.post(f"/v1/approval-requests/{request_id}/open", body)


async def decide(client: Client, request_id: str, answer: str = "once", **more: str) -> httpx2.Response:
    """Open the page, and press a button as the end user does. Return the response to the button."""
    page = await opened(client, request_id, **more)
    assert page.status_code == 200, page.text
    return await press(client, page.json()["approval_url"], answer)


async def press(client: Client, approval_url: str, answer: str, **headers: str) -> httpx2.Response:
    shown = await client.http.get(approval_url, headers={"authorization": ""})
    token = re.search(r'name="approval_token" value="(\w+)"', shown.text)
    body = f"approval_token={token[1] if token else approval_url.partition('=')[2]}&answer={answer}"
    return await client.http.post("/connect/approval", content=body, headers={**FORM, "authorization": "", **headers})


async def asked(agent: Agent, **arguments: Any) -> str:
    """Send a call that the end user has to approve. Return the id of the request."""
    answer = await agent.call("call_write", **(ADA | arguments))
    assert (answer.is_error, answer.data["code"]) == (True, "approval_required"), answer.text
    assert answer.data["approval_url"] in answer.text
    return request_of(answer.data["approval_url"])


async def use_pages(client: Client) -> None:
    await use_own_page(client)
    await client.connect()
    changed = await client.send("PATCH", "/v1/organization", {"return_urls": [RETURN_URL]})
    assert changed.status_code == 200, changed.text


async def test_call_is_sent_once_after_its_approval(application: Application, client: Client, agents: Agents) -> None:
    await use_pages(client)
    for mode in ("legacy", MODERN):
        async with agents.connect(mode, access="ask") as agent:
            assert "call_write" in await agent.tools()
            read = await agent.call("call_read", integration="acme", path="/v1/me")
            assert read.data["data"]["plan"] == "team", "a call that reads needs no approval"
            before = contacts(application)
            request = await asked(agent)
            assert await asked(agent) == request, "an open request is used again"
            assert "Allowed" in (await decide(client, request)).text
            answers = await asyncio.gather(*(agent.call("call_write", **ADA) for _ in range(3)))
            assert sorted(answer.data.get("status", 0) for answer in answers) == [0, 0, 201]
            assert len(contacts(application)) == len(before) + 1
            assert await asked(agent) != request, "an approval is for one call"


async def test_approval_is_bound_to_the_exact_call_and_the_agent(
    application: Application, client: Client, agents: Agents
) -> None:
    await use_pages(client)
    second = await client.connect(key=ACME_KEYS[INITECH], multiple=True, name="second")
    first = next(
        each["id"]
        for each in (await client.get("/v1/connections", end_user_id="user_123")).json()["connections"]
        if each["id"] != second["id"]
    )
    call = {**ADA, "connection": first}
    differences: list[dict[str, Any]] = [
        {"body": {"name": "Grace"}},
        {"body": None},
        {"query": {"note": "other"}},
        {"path": "/v1/contacts/"},
        {"method": "PUT"},
        {"connection": second["id"]},
        {"idempotency_key": "k"},
        {"body_format": "form"},
    ]
    tokens = [(await agents.token(access="ask"))["end_user_token"] for _ in range(2)]
    async with connected(application.app, tokens[0]) as agent, connected(application.app, tokens[1]) as other:
        request = await asked(agent, **call)
        await decide(client, request)
        for difference in differences:
            assert await asked(agent, **call | difference) != request, difference
        assert await asked(other, **call) != request
        assert contacts(application) == []
        assert (await agent.call("call_write", **call)).data["status"] == 201
    assert contacts(application) == ["Ada"]


async def test_approval_of_all_calls_ends_after_ten_minutes(
    application: Application, client: Client, agents: Agents
) -> None:
    await use_pages(client)
    async with agents.connect(access="ask") as agent:
        await decide(client, await asked(agent), "all")
        for name in ("Grace", "Edsger"):
            answer = await agent.call("call_write", name="acme.contact_create", arguments={"name": name})
            assert answer.data["status"] == 201, answer.text
        async with agents.connect(access="ask") as other:
            await asked(other)
        second = await client.connect(key=ACME_KEYS[INITECH], multiple=True)
        await asked(agent, connection=second["id"])
        application.clock.advance(minutes=11)
        await asked(agent, connection=second["id"])
        (event,) = (await client.get("/v1/events", type="agent.write_approved")).json()["events"]
        assert event["data"]["approved_until"] is not None
    assert contacts(application) == ["Edsger", "Grace"]
    application.clock.advance(days=2)
    await upkeep.purge(application.installation)
    async with application.installation.database.read() as tx:
        assert await tx.all(select(approval_requests)) == []


async def test_refused_call_is_not_sent(application: Application, client: Client, agents: Agents) -> None:
    await use_pages(client)
    async with agents.connect(access="ask") as agent:
        back = await decide(client, await asked(agent), "refuse", return_url=f"{RETURN_URL}?chat=1")
        assert back.status_code == 303
        assert back.headers["location"].startswith(f"{RETURN_URL}?chat=1&approval_request_id=")
        assert back.headers["location"].endswith("&status=refused")
        by_backend = await asked(agent, body={"name": "Grace"})
        for _ in range(2):
            refused = await client.send("DELETE", f"/v1/approval-requests/{by_backend}")
            assert refused.json()["status"] == "refused"
        for body in (ADA["body"], {"name": "Grace"}):
            assert (await agent.call("call_write", **ADA | {"body": body})).data["code"] == "write_refused"
    assert contacts(application) == []
    events = (await client.get("/v1/events", type="agent.write_refused")).json()["events"]
    assert [event["actor"]["type"] for event in events] == ["api_key", "end_user"]


async def test_refused_call_is_not_sent_during_an_approval_of_all_calls(
    application: Application, client: Client, agents: Agents
) -> None:
    await use_pages(client)
    async with agents.connect(access="ask") as agent:
        refused, approved = await asked(agent), await asked(agent, body={"name": "Grace"})
        await decide(client, approved, "all")
        await decide(client, refused, "refuse")
        assert (await agent.call("call_write", **ADA)).data["code"] == "write_refused"
        assert (await agent.call("call_write", **ADA | {"body": {"name": "Edsger"}})).data["status"] == 201
    assert contacts(application) == ["Edsger"]


async def test_approval_is_bound_to_the_base_url(application: Application, client: Client, agents: Agents) -> None:
    await use_own_page(client)
    token = (await agents.token(access="ask"))["end_user_token"]
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": "Tide", "version": "1"},
        "security": [{}],
        "paths": {},
    }
    approved = []
    for version in ("v1", "v2"):
        servers = [{"url": f"{application.acme.url}/{version}"}]
        changed = await client.send("PUT", "/v1/custom-integrations/x-tide", document | {"servers": servers})
        assert changed.status_code in {200, 201}, changed.text
        if version == "v1":
            connection = {"integration_slug": "x-tide", "end_user_id": "user_123", "auth_type": "none"}
            assert (await client.post("/v1/connections", connection)).status_code == 201
        async with connected(application.app, token) as agent:
            answer = await agent.call("call_write", **ADA | {"integration": "x-tide", "path": "/contacts"})
        assert answer.data["code"] == "approval_required", answer.text
        approved.append(parse_qs(urlsplit(answer.data["approval_url"]).query)["approval_request_id"])
        await decide(client, approved[-1][0])
    assert approved[0] != approved[1]


@pytest.mark.promise("P13", "P15")
async def test_approval_is_bound_to_the_account_and_not_to_the_one_that_replaces_it(
    application: Application, client: Client, agents: Agents
) -> None:
    await use_pages(client)
    async with agents.connect(access="ask") as agent:
        once = await asked(agent)
        await decide(client, await asked(agent, body={"name": "Grace"}), "all")
        page = (await opened(client, once)).json()["approval_url"]
        assert "Globex Corporation" in (await client.http.get(page)).text
        session = await client.session()
        assert (await client.replace_by_key(session["session_token"], ACME_KEYS[INITECH])).status_code == 200
        assert (await client.http.get(page)).status_code == 410, "the page would name the new account"
        await press(client, page, "once")
        for call in ({}, {"body": {"name": "Grace"}}):
            await asked(agent, **call)
        assert contacts(application, INITECH) == []


@pytest.mark.promise("P6")
async def test_link_has_no_power_of_its_own(
    application: Application, client: Client, agents: Agents, monkeypatch: pytest.MonkeyPatch
) -> None:
    await use_pages(client)
    stranger = application.client(await application.key(await application.organization("Southwind")))
    reader = application.client(
        await application.key((await client.get("/v1/organization")).json()["id"], "read", "use")
    )
    async with agents.connect(access="ask") as agent:
        request = await asked(agent)
        refusals: list[tuple[Client, str, int, str]] = [
            (client, "mallory", 409, "end_user_mismatch"),
            (stranger, "user_123", 404, "not_found"),
            (reader, "user_123", 403, "insufficient_scope"),
        ]
        for caller, user, status, code in refusals:
            refused = await opened(caller, request, user)
            assert (refused.status_code, refused.json()["code"]) == (status, code)
        wrong = await opened(client, request, return_url="https://evil.example.com/")
        assert wrong.json()["errors"][0]["field"] == "return_url"
        for wrong_token in ("", request, "orap_x", "orap_" + "0" * 58):
            address = f"{PUBLIC_URL}/connect/approval?approval_token={wrong_token}"
            assert (await client.http.get(address)).status_code == 410
            assert (await press(client, address, "once")).status_code in {400, 410}
        old = (await opened(client, request)).json()["approval_url"]
        new = (await opened(client, request)).json()["approval_url"]
        assert (await client.http.get(old)).status_code == 410
        assert (await press(client, new, "once", **{"sec-fetch-site": "cross-site"})).status_code == 403
        assert (await client.http.get(new, headers={"sec-fetch-dest": "iframe"})).status_code == 403
        assert (await press(client, new, "everything")).status_code == 400
        with monkeypatch.context() as patch:
            patch.setattr(secret_tokens, "same", lambda left, right: False)
            assert (await press(client, new, "once")).status_code == 410, "the comparison decides"
        await client.http.get(new)
        page = await client.http.get(new)
        assert (page.status_code, page.headers["cache-control"]) == (200, "no-store"), "a GET changes nothing"
        assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
        assert (await client.get(f"/v1/approval-requests/{request}")).json()["status"] == "open"
        assert await asked(agent) == request
        assert (await press(client, new, "once")).status_code == 200
        for answer in ("refuse", "once"):
            assert (await press(client, new, answer)).status_code == 410, "an answer is final"
        assert (await opened(client, request)).json()["code"] == "approval_request_closed"
        late = await asked(agent, body={"name": "Grace"})
        page = await opened(client, late)
        application.clock.advance(minutes=11)
        assert (await press(client, page.json()["approval_url"], "once")).status_code == 410
        assert (await opened(client, late)).json()["code"] == "approval_request_closed"
    assert contacts(application) == []


async def test_page_shows_the_exact_call_and_only_the_page_does(
    application: Application, client: Client, agents: Agents
) -> None:
    await use_pages(client)
    body = {"name": "A\u202eda\u200b\u3164 <b>", "company": f"{CANARY} body"}
    async with agents.connect(access="ask") as agent:
        request = await asked(agent, body=body, idempotency_key="key-1")
    page = (await client.http.get((await opened(client, request)).json()["approval_url"])).text
    shown = (
        "POST</strong> 127.0.0.1:",
        "/v1/contacts",
        f"note = {CANARY} query",
        "&#34;name&#34;: &#34;A\\u202eda\\u200b\\u3164 &lt;b&gt;&#34;",
        f"{CANARY} body",
        "idempotency-key = key-1",
        "Globex Corporation",
    )
    assert [text for text in shown if text not in page] == []
    answers = [(await client.get(path)).text for path in (f"/v1/approval-requests/{request}", "/v1/events")]
    async with application.installation.database.read() as tx:
        rows = [tuple(row) for row in await tx.all(select(approval_requests))]
    assert CANARY not in "".join(answers) + repr(rows)


@pytest.mark.parametrize("base_path, shown", [("/v1", "/v1/contacts"), ("/bot{api_key}", "/…/contacts")])
async def test_page_shows_the_path_of_the_base_url_without_secrets(
    application: Application, client: Client, agents: Agents, base_path: str, shown: str
) -> None:
    await use_own_page(client)
    host = application.acme.url.removeprefix("http://")
    definition = ENTRY.replace("https://billing.acme.com/v1", f"http://{host}{base_path}")
    registered = await send(client, "PUT", f"{PATH}/{SLUG}", definition)
    assert registered.status_code == 201, registered.text
    connection = {"integration_slug": SLUG, "end_user_id": "user_123", "auth_type": "api_key", "check": False}
    assert (await client.post("/v1/connections", {**connection, "credentials": {"api_key": KEY}})).status_code == 201
    async with agents.connect(access="ask") as agent:
        answer = await agent.call("call_write", **ADA | {"integration": SLUG, "path": "/contacts"})
        (request,) = parse_qs(urlsplit(answer.data["approval_url"]).query)["approval_request_id"]
    page = (await client.http.get((await opened(client, request)).json()["approval_url"])).text
    assert f"POST</strong> {host}{shown}" in page
    assert KEY not in page


async def test_line_break_in_a_value_does_not_look_like_another_value(client: Client, agents: Agents) -> None:
    await use_pages(client)
    async with agents.connect(access="ask") as agent:
        request = await asked(agent, query={"note": "1\nto = ada"}, body_format="form", body={"amount": "2\nto = ada"})
    page = (await client.http.get((await opened(client, request)).json()["approval_url"])).text
    assert [line for line in ("note = 1\\nto = ada<", "amount = 2\\nto = ada<") if line not in page] == []


async def test_approval_is_not_possible_without_a_page_or_for_a_large_body(client: Client, agents: Agents) -> None:
    await client.connect()
    async with agents.connect(access="ask") as agent:
        without = await agent.call("call_write", **ADA)
        assert (without.data["code"], "agents.connect_url" in without.text) == ("not_allowed", True)
        await use_own_page(client)
        large = await agent.call("call_write", **ADA | {"body": {"name": "x" * approvals.MAX_BODY}})
        assert (large.data["code"], "64 kB" in large.text) == ("not_allowed", True)


async def test_open_requests_of_one_agent_leave_room_for_those_of_another(
    client: Client, agents: Agents, monkeypatch: pytest.MonkeyPatch
) -> None:
    await use_pages(client)
    monkeypatch.setattr(end_user_requests, "MAX_OPEN_OF_END_USER", end_user_requests.MAX_OPEN + 2)
    async with (
        agents.connect(access="ask") as first,
        agents.connect(access="ask") as second,
    ):
        for number in range(end_user_requests.MAX_OPEN):
            await asked(first, body={"name": str(number)})
        refused = await first.call("call_write", **ADA)
        assert (refused.data["code"], "20 open approval requests" in refused.text) == ("rate_limited", True)
        requests = [await asked(second, body={"name": name}) for name in ("Grace", "Edsger")]
        full = await second.call("call_write", **ADA)
        assert (full.data["code"], "22 open approval requests" in full.text) == ("rate_limited", True)
        await decide(client, requests[0], "refuse")
        await asked(second)
        assert (await first.call("call_write", **ADA)).data["code"] == "rate_limited"


async def test_program_goes_on_after_each_approval(application: Application, client: Client, agents: Agents) -> None:
    await use_pages(client)
    answers = iter(["once", "refuse", "once"])

    async def answer(url: str) -> None:
        await decide(client, request_of(url), next(answers))

    urls = list[str]()
    async with agents.connect(access="ask", elicitation_callback=answering(answer, asked=urls)) as agent:
        done = await agent.call("run_python", code=PROGRAM)
    assert (done.is_error, json.loads(done.data["result"]), len(set(urls))) == (False, [True, 1], 3), done.text
    assert contacts(application) == ["Ada", "Edsger"]
    async with agents.connect(access="ask", elicitation_callback=answering(_nothing, "decline")) as agent:
        done = await agent.call("run_python", code=PROGRAM)
        assert json.loads(done.data["result"]) == [True, 3], done.text
        assert (await agent.call("call_write", **ADA)).data["code"] == "write_refused"


async def _nothing(_: str) -> None:
    pass


async def test_another_process_continues_a_program_after_the_approval(
    application: Application, client: Client, agents: Agents
) -> None:
    await use_pages(client)
    token = (await agents.token(access="ask"))["end_user_token"]

    async def paused(answer: Answer) -> tuple[str, str]:
        assert answer.data["code"] == "approval_required", answer.text
        return answer.data["run_id"], request_of(answer.data["approval_url"])

    async with connected(application.app, token) as agent:
        run_id, request = await paused(await agent.call("run_python", code=PROGRAM))
        assert await paused(await agent.call("run_python", run_id=run_id)) == (run_id, request)
    await decide(client, request, "all")
    installation = application.installation
    async with started(installation.settings, application.acme) as second, connected(second.app, token) as agent:
        done = await asyncio.gather(*(agent.call("run_python", run_id=run_id) for _ in range(2)))
        assert any(answer.data.get("result") for answer in done)
    assert contacts(application) == ["Ada", "Edsger", "Grace"]
    async with installation.database.read() as tx:
        (row,) = await tx.all(select(agent_runs))
    assert row.status == "ended"


async def test_read_token_and_narrowed_organization_ask_for_nothing(
    application: Application, client: Client, agents: Agents
) -> None:
    await use_pages(client)
    async with agents.connect(access="ask") as agent:
        await decide(client, await asked(agent))
        await client.send("PATCH", "/v1/organization", {"agents": {"connect_url": PAGE, "access": "read"}})
        refused = await agent.call("call_write", **ADA)
        assert refused.data["code"] == "unknown_tool"
        program = await agent.call("run_python", code=PROGRAM.replace("acme.contact_create(name=name)", WRITE))
        assert json.loads(program.data["result"]) == [True, 3], program.text
        await client.send("PATCH", "/v1/organization", {"agents": {"connect_url": PAGE, "access": "ask"}})
    async with agents.connect(access="write") as agent:
        await asked(agent)
    assert contacts(application) == []


WRITE: Final = "call('acme', 'POST', '/v1/contacts', body={'name': name})"
