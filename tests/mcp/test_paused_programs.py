"""A program that waits for its end user: any process continues it, within the present policy, and only once."""

import asyncio
from typing import Any, Final

import pytest
from sqlalchemy import select

from one_runtime.agents import paused_runs, upkeep
from one_runtime.agents.paused_runs import MAX_RUNS
from one_runtime.db.schema import agent_runs
from one_runtime.demo.acme import GLOBEX
from tests.application import Application, Client, started
from tests.mcp.conftest import Agent, Agents, answering, connected, message, request_of, use_own_page

pytestmark = pytest.mark.slow

CANARY: Final = "canary-5f3b9c"
WRITE: Final = """
from one_runtime import call
made = await call('acme', 'POST', '/v1/contacts', body={'name': 'Ada'})
print(made.status)
made.status
"""
TWO_WRITES: Final = f"""
import acme, asyncio
from one_runtime import call, ConnectRequired
secret = "{CANARY}"
await acme.contact_create(name="Before")
try:
    await call('hubspot', 'GET', '/crm/v3/objects/contacts')
except ConnectRequired:
    print("without HubSpot")
await acme.contact_create(name="After")
await asyncio.sleep(0.2)
secret[:6]
"""


def contacts(application: Application) -> list[str]:
    """Return the names of the contacts that programs have created at the provider."""
    known = {"Ada", "Before", "After"}
    account = application.acme.acme.accounts[GLOBEX]
    return sorted(contact.name for contact in account.contacts.values() if contact.name in known)


async def rows(application: Application) -> list[Any]:
    async with application.installation.database.read() as tx:
        return await tx.all(select(agent_runs))


async def paused(agent: Agent, code: str = WRITE) -> str:
    """Run a program until its pause. Return the id of the run."""
    answer = await agent.call("run_python", code=code)
    assert answer.data["code"] == "connect_required", answer.text
    run_id: str = answer.data["run_id"]
    assert f"call run_python with run_id '{run_id}'" in answer.text
    return run_id


async def test_program_goes_on_after_the_end_user_has_connected(
    application: Application, client: Client, agents: Agents
) -> None:
    await use_own_page(client)

    async def connect(url: str) -> None:
        session = await client.session(connect_request_id=request_of(url))
        assert (await client.type_key(session["session_token"], "acme_globex0123456789")).status_code == 200

    asked = list[str]()
    async with agents.connect(elicitation_callback=answering(connect, asked=asked)) as agent:
        answer = await agent.call("run_python", code=WRITE)
    assert (answer.is_error, answer.data["result"], answer.data["stdout"], len(asked)) == (False, "201", "201\n", 1)
    assert contacts(application) == ["Ada"]
    assert [call["status"] for call in answer.data["calls"]] == [201]


async def test_another_process_continues_a_program_once(application: Application, agents: Agents) -> None:
    installation = application.installation
    token = (await agents.token())["end_user_token"]
    async with connected(application.app, token) as agent:
        run_id = await paused(agent)
        again = await agent.call("run_python", run_id=run_id)
        assert (again.data["code"], again.data["run_id"]) == ("connect_required", run_id)
    await agents.owner.connect()
    async with started(installation.settings, application.acme) as second, connected(second.app, token) as agent:
        answers = await asyncio.gather(*(agent.call("run_python", run_id=run_id) for _ in range(2)))
        later = await agent.call("run_python", run_id=run_id)
    results = [answer.data["result"] for answer in answers if not answer.is_error]
    assert set(results) == {"201"}, [answer.text for answer in answers]
    assert {answer.data["code"] for answer in answers if answer.is_error} <= {"program_running"}
    assert later.data["result"] == "201", "the answer is repeated, but not the program"
    assert contacts(application) == ["Ada"]


async def test_program_learns_that_the_end_user_declined(
    application: Application, client: Client, agents: Agents
) -> None:
    await use_own_page(client)
    await client.connect()

    async def decline(url: str) -> None:
        request = request_of(url, "hubspot")
        assert (await client.send("DELETE", f"/v1/connect-requests/{request}")).json()["status"] == "declined"

    async def look(_: str) -> None:
        pass

    for step, action in ((look, "decline"), (decline, "accept"), (look, "accept")):
        async with agents.connect(elicitation_callback=answering(step, action)) as agent:
            answer = await agent.call("run_python", code=TWO_WRITES)
        assert (answer.is_error, answer.data["stdout"]) == (False, "without HubSpot\n"), answer.text
        assert [call["status"] for call in answer.data["calls"] if call["integration"] == "acme"] == [201, 201]
    assert contacts(application) == sorted(["After", "Before"] * 3)


async def test_state_is_sealed_and_other_callers_cannot_use_it(application: Application, agents: Agents) -> None:
    client = agents.owner
    await client.connect()
    token, same = [(await agents.token())["end_user_token"] for _ in range(2)]
    other_user = (await agents.token("user_456"))["end_user_token"]
    stranger = application.client(await application.key(await application.organization("Southwind")))
    other_organization = (await Agents(application, stranger).token())["end_user_token"]
    async with connected(application.app, token) as agent:
        run_id = await paused(agent, TWO_WRITES)
    (row,) = await rows(application)
    assert CANARY not in repr(tuple(row)), "the row contains no data of the program"
    (waiting,) = row.waiting_for
    assert (waiting["kind"], waiting["integration"]) == ("connect", "hubspot")
    for wrong in (same, other_user, other_organization):
        async with connected(application.app, wrong) as agent:
            for unknown in (run_id, "x", row.organization_id):
                refused = await agent.call("run_python", run_id=unknown)
                assert refused.data["code"] == "not_found", refused.text
    assert [tuple(each) for each in await rows(application)] == [tuple(row)], "nothing has changed"


async def test_policy_at_the_time_of_the_continuation_applies(
    application: Application, client: Client, agents: Agents
) -> None:
    code = "import acme\nfrom one_runtime import CallRefused\ntry:\n    await acme.contact_create(name='Ada')\n"
    code += "    done = 'written'\nexcept CallRefused as error:\n    done = str(error)\ndone"
    narrowed: list[tuple[dict[str, Any], str]] = [
        ({"access": "read"}, "may only read"),
        ({"integrations": ["hubspot"]}, "may not use"),
        ({"methods": ["GET"]}, "may not send POST"),
        ({"hosts": ["api.example.com"]}, "may not send requests to"),
    ]
    token = await agents.token()
    async with connected(application.app, token["end_user_token"]) as agent:
        run_ids = [await paused(agent, code) for _ in range(len(narrowed) + 1)]
        await client.connect()
        for (policy, reason), run_id in zip(narrowed, run_ids, strict=False):
            whole = {"access": "write", "integrations": None, "methods": None, "hosts": None}
            changed = await client.send("PATCH", "/v1/organization", {"agents": whole | policy})
            assert changed.status_code == 200, changed.text
            answer = await agent.call("run_python", run_id=run_id)
            assert reason in answer.data["result"], (policy, answer.text)
        assert contacts(application) == []
        await client.send("DELETE", f"/v1/end-user-tokens/{token['id']}")
        body, headers = message("tools/call", name="run_python", arguments={"run_id": run_ids[-1]})
        headers["authorization"] = f"Bearer {token['end_user_token']}"
        revoked = await application.client().http.post("/v1/mcp", content=body, headers=headers)
        assert revoked.status_code == 401
    assert contacts(application) == []


async def test_interrupted_program_says_what_it_has_written_and_does_not_run_again(
    application: Application, client: Client, agents: Agents, monkeypatch: pytest.MonkeyPatch
) -> None:
    await use_own_page(client)
    await client.connect()

    token = (await agents.token())["end_user_token"]
    async with connected(application.app, token) as agent:
        run_id = await paused(agent, TWO_WRITES)
        (request,) = (await client.get("/v1/events", type="agent.connect_requested")).json()["events"]
        await client.send("DELETE", f"/v1/connect-requests/{request['data']['connect_request_id']}")
        with monkeypatch.context() as patch:
            patch.setattr(paused_runs, "end", failing)
            with pytest.raises(Exception, match="nternal"):
                await agent.call("run_python", run_id=run_id)
        assert contacts(application) == ["After", "Before"]
        running = await agent.call("run_python", run_id=run_id)
        assert running.data["code"] == "program_running", running.text
        application.clock.advance(minutes=3)
        for _ in range(2):
            ended = await agent.call("run_python", run_id=run_id)
            assert ended.data["code"] == "program_interrupted"
            assert "POST acme /v1/contacts (201); POST acme /v1/contacts (no response known)" in ended.text, ended.text
    assert contacts(application) == ["After", "Before"]
    await upkeep.purge(application.installation)
    assert len(await rows(application)) == 1
    application.clock.advance(days=2)
    await upkeep.purge(application.installation)
    assert await rows(application) == []


async def failing(*_: Any) -> None:
    """Stand for a crash: fail before the outcome is stored."""
    raise RuntimeError("crash")


async def test_end_user_who_is_deleted_takes_the_program_along(
    application: Application, client: Client, agents: Agents
) -> None:
    async with agents.connect() as agent:
        await paused(agent)
        assert (await client.send("DELETE", "/v1/end-users/user_123")).status_code == 200
    assert await rows(application) == []


async def test_number_of_paused_programs_is_limited(application: Application, agents: Agents) -> None:
    await use_own_page(agents.owner)
    async with agents.connect() as agent:
        run_ids = [await paused(agent) for _ in range(MAX_RUNS + 1)]
        assert sorted(row.id for row in await rows(application)) == run_ids[1:]
        large = (
            f"from one_runtime import call\ndata = '{'x' * 30_000}' * 100\nawait call('acme', 'GET', '/v1/me')\ndata"
        )
        answer = await agent.call("run_python", code=large)
        assert (answer.data["code"], "limit for a pause" in answer.text) == ("program_limit", True), answer.text
        application.clock.advance(hours=25)
        await upkeep.purge(application.installation)
    assert await rows(application) == []
