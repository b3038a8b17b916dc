"""An account is missing: the agent asks the end user to connect, and the link has no power of its own."""

from typing import Any, Final

import mcp_types as types
import pytest

from one_runtime.agents import connect_requests, end_user_requests
from one_runtime.agents.end_user_requests import MAX_OPEN
from one_runtime.mcp import tools
from tests.application import PUBLIC_URL, Application, Client, started
from tests.mcp.conftest import MODERN, Agent, Agents, answering, connected, request_of, use_own_page

pytestmark = pytest.mark.slow

ME: Final = {"integration": "acme", "path": "/v1/me"}


@pytest.mark.parametrize("mode", ["auto", MODERN])
async def test_agent_with_url_elicitation_goes_on_after_the_end_user_has_connected(
    client: Client, agents: Agents, mode: str
) -> None:
    await use_own_page(client)

    async def connect(url: str) -> None:
        session = await client.session(connect_request_id=request_of(url))
        assert (await client.type_key(session["session_token"], "acme_globex0123456789")).status_code == 200

    asked = list[str]()
    async with agents.connect(mode, elicitation_callback=answering(connect, asked=asked)) as agent:
        answer = await agent.call("call_read", **ME)
    assert (answer.is_error, answer.data["data"]["plan"], len(asked)) == (False, "team", 1)
    request = await client.get(f"/v1/connect-requests/{request_of(asked[0])}")
    assert (request.json()["status"], request.json()["end_user_id"]) == ("connected", "user_123")


@pytest.mark.parametrize("mode", ["legacy", MODERN])
async def test_other_agents_receive_a_readable_text(client: Client, agents: Agents, mode: str) -> None:
    async with agents.connect(mode) as agent:
        answer = await agent.call("call_read", **ME)
        assert (answer.is_error, answer.data["code"], answer.data["integration"]) == (True, "connect_required", "acme")
        assert answer.data["connect_url"].startswith(f"{PUBLIC_URL}/connect?session_token=orcs_")
        assert answer.data["connect_url"] in answer.text
        await use_own_page(client)
        first, second = [(await agent.call("call_read", **ME)).data["connect_url"] for _ in range(2)]
        assert request_of(first) == request_of(second), "an open request is used again"
        link = (await agent.call("get_tool_connect_url", tool_name="acme.contacts_list")).data
        assert (link["connect_url"], link["request_id"], link["status"]) == (first, request_of(first), "not_connected")
    events = (await client.get("/v1/events", type="agent.connect_requested")).json()["events"]
    assert [event["data"]["connect_request_id"] for event in events] == [request_of(first)]
    assert events[0]["actor"]["type"] == "end_user_token"


async def test_end_user_who_declines_is_not_asked_again(client: Client, agents: Agents) -> None:
    await use_own_page(client)

    async def decline(url: str) -> None:
        for _ in range(2):
            declined = await client.send("DELETE", f"/v1/connect-requests/{request_of(url)}")
            assert declined.json()["status"] == "declined"

    async with agents.connect(elicitation_callback=answering(decline)) as agent:
        assert (await agent.call("call_read", **ME)).data["code"] == "connect_declined"
        assert (await agent.call("call_read", **ME)).data["code"] == "connect_declined"
        again = await agent.call("get_tool_connect_url", tool_name="acme")
        assert request_of(again.data["connect_url"])
    assert len((await client.get("/v1/events", type="agent.connect_declined")).json()["events"]) == 1

    async def look(_: str) -> None:
        pass

    for action in ("decline", "cancel"):
        async with agents.connect(end_user_id=action, elicitation_callback=answering(look, action)) as agent:
            assert (await agent.call("call_read", **ME)).data["code"] == "connect_declined", action


@pytest.mark.promise("P6")
async def test_link_opened_by_another_user_changes_nothing(application: Application, agents: Agents) -> None:
    client = agents.owner
    await use_own_page(client)
    async with agents.connect() as agent:
        request = request_of((await agent.call("call_read", **ME)).data["connect_url"])
    body = {"connect_request_id": request, "end_user_id": "mallory"}
    refused = await client.post("/v1/hosted-connection-sessions", body)
    assert (refused.status_code, refused.json()["code"]) == (409, "end_user_mismatch")
    assert (await client.get("/v1/hosted-connection-sessions")).json()["sessions"] == []
    other = application.client(await application.key(await application.organization("Southwind")))
    for method, path in (("GET", f"/v1/connect-requests/{request}"), ("DELETE", f"/v1/connect-requests/{request}")):
        assert (await other.send(method, path)).status_code == 404
    stolen = await other.post("/v1/hosted-connection-sessions", {**body, "end_user_id": "user_123"})
    assert stolen.status_code == 404
    wrong = await client.post(
        "/v1/hosted-connection-sessions", {**body, "end_user_id": "user_123", "integration_slug": "x"}
    )
    assert wrong.json()["errors"][0]["field"] == "integration_slug"
    application.clock.advance(minutes=11)
    for _ in range(2):
        late = await client.post("/v1/hosted-connection-sessions", {**body, "end_user_id": "user_123"})
        assert (late.status_code, late.json()["code"]) == (409, "connect_request_closed")
        await client.connect()  # the status is `connected` now


async def test_open_requests_of_one_agent_leave_room_for_those_of_another(
    client: Client, agents: Agents, monkeypatch: pytest.MonkeyPatch
) -> None:
    await use_own_page(client)
    monkeypatch.setattr(end_user_requests, "MAX_OPEN_OF_END_USER", MAX_OPEN + 2)
    integrations = await client.integrations()
    others = [slug for slug, entry in integrations.items() if "oauth2" not in entry["supported_auth_types"]]
    slugs = ["acme", *(slug for slug in others if slug != "acme")]
    async with agents.connect() as first, agents.connect() as second:

        async def ask(agent: Agent, number: int) -> tuple[str, str]:
            answer = await agent.call("call_write", integration=slugs[number], method="POST", path="/")
            return answer.data["code"], answer.text

        asked = [await ask(first, number) for number in range(MAX_OPEN)]
        assert {code for code, _ in asked} == {"connect_required"}
        code, text = await ask(first, MAX_OPEN)
        assert (code, f"{MAX_OPEN} open connect requests" in text) == ("rate_limited", True)
        assert [(await ask(second, MAX_OPEN + number))[0] for number in range(2)] == ["connect_required"] * 2
        code, text = await ask(second, MAX_OPEN + 2)
        assert (code, f"{MAX_OPEN + 2} open connect requests" in text) == ("rate_limited", True)
        await client.connect()  # answers the request for Acme CRM
        assert (await ask(first, MAX_OPEN + 2))[0] == "connect_required"
        assert (await ask(second, MAX_OPEN + 3))[0] == "rate_limited"


async def test_an_agent_without_a_page_cannot_use_up_the_sessions_of_its_organization(
    application: Application, agents: Agents
) -> None:
    async with agents.connect() as agent, agents.connect(end_user_id="user_456") as other:
        links = [(await agent.call("call_read", **ME)).data["connect_url"] for _ in range(MAX_OPEN)]
        for tool, arguments in (("call_read", ME), ("get_tool_connect_url", {"tool_name": "acme"})):
            refused = await agent.call(tool, **arguments)
            assert (refused.data["code"], "unopened links" in refused.text) == ("rate_limited", True), refused.text
        assert (await other.call("call_read", **ME)).data["code"] == "connect_required"
        form = {"session_token": links[0].partition("session_token=")[2], "step": "confirm"}
        headers = {"sec-fetch-site": "same-origin", "authorization": ""}
        opened = await agents.owner.http.post("/connect", data=form, headers=headers)
        assert opened.status_code == 200, opened.text
        assert (await agent.call("call_read", **ME)).data["code"] == "connect_required"
        assert (await agent.call("call_read", **ME)).data["code"] == "rate_limited"
        application.clock.advance(minutes=11)
        assert (await agent.call("call_read", **ME)).data["code"] == "connect_required"


async def test_integration_that_no_end_user_can_connect_is_refused_with_the_reason(
    client: Client, agents: Agents
) -> None:
    await client.send("PATCH", "/v1/organization", {"integrations": {"mode": "listed", "slugs": ["hubspot"]}})
    async with agents.connect() as agent:
        answer = await agent.call("call_read", **ME)
        assert "not enabled for your organization" in answer.text
        assert (await agent.call("tool_search", query="acme")).data["matches"] == []


async def test_state_of_a_request_is_bound_to_its_user_and_its_arguments(
    application: Application, agents: Agents, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tools, "CONNECT_WAIT", 0.0)
    await use_own_page(agents.owner)
    mine, other = [(await agents.token(user))["end_user_token"] for user in ("user_123", "user_456")]
    capable = {"elicitation_callback": answering(lambda _: _nothing())}
    answers = {"connect": types.ElicitResult(action="accept")}
    installation = application.installation
    async with (
        started(installation.settings, application.acme) as second,
        connected(application.app, mine, **capable) as agent,
        connected(second.app, mine, **capable) as elsewhere,
        connected(second.app, other, **capable) as stranger,
    ):
        asked = await agent.client.session.call_tool("call_read", ME, allow_input_required=True)
        assert isinstance(asked, types.InputRequiredResult)
        state = asked.request_state
        assert state is not None
        await agents.owner.connect()

        async def send(to: Any, arguments: dict[str, Any], text: str) -> Any:
            return await to.client.session.call_tool(
                "call_read", arguments, input_responses=answers, request_state=text, allow_input_required=True
            )

        answered = await send(elsewhere, ME, state)
        assert answered.structured_content["data"]["plan"] == "team"
        for to, arguments, text in (
            (stranger, ME, state),
            (elsewhere, {**ME, "path": "/v1/contacts"}, state),
            (elsewhere, ME, state[:-4] + "AAAA"),
            (elsewhere, ME, "x"),
        ):
            with pytest.raises(Exception, match="Invalid or expired requestState"):
                await send(to, arguments, text)


@pytest.mark.promise("P13")
async def test_call_that_has_waited_is_not_sent_after_its_token_is_revoked(
    application: Application, agents: Agents, monkeypatch: pytest.MonkeyPatch
) -> None:
    await use_own_page(agents.owner)
    token = await agents.token()

    async def revoke_and_connect(*_: object) -> bool:
        answer = await agents.owner.send("DELETE", f"/v1/end-user-tokens/{token['id']}")
        assert answer.status_code == 200, answer.text
        await agents.owner.connect()
        return True

    monkeypatch.setattr(connect_requests, "is_answered", revoke_and_connect)
    capable = {"elicitation_callback": answering(lambda _: _nothing())}
    async with connected(application.app, token["end_user_token"], **capable) as agent:
        answer = await agent.call("call_read", **ME)
    assert (answer.is_error, answer.data["code"]) == (True, "unauthenticated")


async def _nothing() -> None:
    pass
