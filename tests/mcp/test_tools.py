"""The tools of agents: what they answer, what they refuse, and whose accounts they use."""

import json
from typing import Any, Final

import pytest

from one_runtime.demo.acme import GLOBEX, INITECH
from one_runtime.mcp.tools import TOOLS
from tests import disabling
from tests.application import ACME_KEYS, Application, Client
from tests.documentation import page
from tests.mcp.conftest import MODERN, Agent, Agents, connected

pytestmark = pytest.mark.slow

ME: Final = {"integration": "acme", "path": "/v1/me"}
CONTACT: Final = {"integration": "acme", "path": "/v1/contacts", "method": "POST", "body": {"name": "Ada"}}


@pytest.mark.parametrize("mode", ["auto", "legacy", MODERN])
async def test_agent_finds_an_integration_and_calls_it(client: Client, agents: Agents, mode: str) -> None:
    await client.connect(name="Sales")
    async with agents.connect(mode) as agent:
        matches = (await agent.call("tool_search", query="acme")).data["matches"]
        assert {"name": "acme", "integration": "acme", "connected": True}.items() <= matches[-1].items()
        described = (await agent.call("tool_help", name="acme")).data
        assert described["accounts"][0]["label"] == "Globex Corporation"
        read = await agent.call("call_read", **ME)
        assert (read.is_error, read.data["status"], read.data["data"]["plan"]) == (False, 200, "team")
        assert read.data["connection"]["label"] == "Globex Corporation"
        written = await agent.call("call_write", **CONTACT)
        assert (written.data["status"], written.data["data"]["name"]) == (201, "Ada")
        (listed,) = (await agent.call("list_connections")).data["integrations"]
        assert (listed["slug"], listed["status"]) == ("acme", "connected")
        missing = await agent.call("call_read", integration="acme", path="/v1/contacts/none")
        assert (missing.is_error, missing.data["status"]) == (True, 404)


async def test_agent_finds_a_function_and_calls_it(client: Client, agents: Agents) -> None:
    await client.connect()
    async with agents.connect() as agent:
        match = (await agent.call("tool_search", query="create a contact")).data["matches"][0]
        assert (match["name"], match["access"], match["connected"]) == ("acme.contact_create", "write", True)
        assert match["signature"].startswith("name: string")
        described = (await agent.call("tool_help", name=match["name"])).data
        assert (described["method"], described["path"], described["source"]) == ("POST", "/v1/contacts", "builtin")
        assert {"name": "name", "location": "body", "required": True}.items() <= described["parameters"][0].items()
        written = await agent.call("call_write", name=match["name"], arguments={"name": "Ada", "company": "Analytical"})
        assert (written.data["status"], written.data["data"]["company"]) == (201, "Analytical")
        key = written.data["data"]["id"]
        read = await agent.call("call_read", name="acme.contact_get", arguments={"contact_id": key})
        assert read.data["data"]["name"] == "Ada"
        for tool, arguments, text in (
            ("call_read", {"name": match["name"], "arguments": {"name": "x"}}, "Call it with call_write"),
            ("call_write", {"name": match["name"], "arguments": {"nam": "x"}}, "name"),
            ("call_write", {"name": match["name"], "arguments": {"name": "x"}, "idempotency_key": "a\nb"}, "ASCII"),
            ("call_write", {"name": "acme.contact_creat", "arguments": {}}, "Did you mean acme.contact_create"),
            ("call_read", {"name": "acme.contacts_list", "path": "/v1/me"}, "must be left out beside name"),
            ("call_read", {"name": "acme.contact_get", "arguments": {"contact_id": "../me"}}, "acme.contact_get"),
        ):
            answer = await agent.call(tool, **arguments)
            assert (answer.is_error, text in answer.text) == (True, True), (arguments, answer.text)
    async with agents.connect(access="read") as reader:
        names = [match["name"] for match in (await reader.call("tool_search", query="acme contacts")).data["matches"]]
        assert "acme.contacts_list" in names
        assert match["name"] not in names


async def test_agent_that_reads_learns_that_functions_are_left_out(client: Client, agents: Agents) -> None:
    await client.connect()
    async with agents.connect(access="read") as reader, agents.connect() as writer:
        found = (await reader.call("tool_search", query="create a contact", integration="acme")).data
        assert "acme.contact_create" not in {match["name"] for match in found["matches"]}
        assert "This agent may only read." in found["hint"]
        described = (await reader.call("tool_help", name="acme.contact_create")).data
        assert "This agent may only read." in described["usage"]
        integration = (await reader.call("tool_help", name="acme")).data
        assert "This agent may only read." in integration["usage"]
        names = [function.partition(":")[0] for function in integration["functions"]]
        assert ("contacts_list" in names, "contact_create" in names) == (True, False)
        for arguments in ({"query": "create a contact"}, {"query": "acme"}):
            assert "call_write" not in (await reader.call("tool_search", **arguments)).text
        assert "call_write" not in str((described, integration))
        assert "hint" not in (await reader.call("tool_search", query="acme account", limit=1, integration="acme")).data
        assert "hint" not in (await writer.call("tool_search", query="create a contact")).data
        nothing = (await reader.call("tool_search", query="qqqq", integration="acme", limit=1)).data
        assert "hint" not in nothing
        unknown = (await reader.call("tool_search", query="qqqqxyz")).data
        assert unknown["hint"].startswith("Nothing matches.")


async def test_functions_of_an_own_integration_are_found_by_its_organization_only(
    application: Application, client: Client, agents: Agents
) -> None:
    url = f"http://127.0.0.1:{application.acme.port}"
    document = {
        "openapi": "3.1.0",
        "info": {"title": "Tide", "version": "1"},
        "servers": [{"url": url}],
        "security": [{}],
        "paths": {
            "/v1/me": {"get": {"operationId": "readTide", "summary": "Read the tide of a port.", "responses": {}}}
        },
    }
    created = await client.send("PUT", "/v1/custom-integrations/x-tide", document)
    assert created.status_code in {200, 201}, created.text
    other = Agents(application, application.client(await application.key(await application.organization("Southwind"))))
    async with agents.connect() as agent, other.connect() as stranger:
        match = (await agent.call("tool_search", query="tide of a port")).data["matches"][0]
        assert (match["name"], match["source"]) == ("x-tide.read_tide", "openapi")
        assert "tide" not in (await stranger.call("tool_search", query="tide of a port")).text.lower()


async def test_agent_neither_finds_nor_calls_a_disabled_integration(
    application: Application, client: Client, agents: Agents
) -> None:
    await client.connect()
    async with agents.connect() as agent:
        await disabling.disable(application.installation, "acme", "breach")
        for tool, arguments in (("call_read", ME), ("call_write", CONTACT)):
            assert (await agent.call(tool, **arguments)).data["code"] == "integration_disabled", tool
        matches = (await agent.call("tool_search", query="acme")).data["matches"]
        assert "acme" not in {match["integration"] for match in matches}
        await disabling.enable(application.installation, "acme")
        assert (await agent.call("call_read", **ME)).data["status"] == 200


@pytest.mark.promise("P13")
async def test_get_that_can_write_is_refused(agents: Agents) -> None:
    async with agents.connect(access="read") as reader, agents.connect() as writer:
        for path in ("/chat.postMessage", "/chat.meMessage", "/conversations.list"):
            for agent in (reader, writer):
                refused = await agent.call("call_read", integration="slack", path=path)
                assert refused.data["code"] == "not_allowed", path
                assert "a GET can change something" in refused.text
        function = await reader.call("call_read", name="slack.channels_list", arguments={})
        assert function.data["code"] == "connect_required"
        assert "call_read takes only functions" in (await reader.call("tool_help", name="slack")).text


@pytest.mark.promise("P13")
async def test_get_to_a_path_counts_as_a_change_where_a_get_can_write(
    application: Application, client: Client, agents: Agents
) -> None:
    fact = {"reason": "Everything is a GET.", "source": "https://tide.example.com/docs", "date": "2026-12-02"}
    entry = {
        "slug": "x-tide",
        "name": "Tide",
        "description": "Tides of ports.",
        "category": "Other",
        "website": "https://tide.example.com",
        "docs": "https://tide.example.com/docs",
        "get_can_write": fact,
        "auth": [{"type": "none", "base_url": application.acme.url, "verified": {"how": "unverified"}}],
    }
    created = await client.send("PUT", "/v1/custom-integrations/x-tide", entry)
    assert created.status_code == 201, created.text
    await client.post("/v1/connections", {"integration_slug": "x-tide", "end_user_id": "user_123", "auth_type": "none"})
    program = "from one_runtime import call\n(await call('x-tide', 'GET', '/v1/me')).status"
    for access in ("read", "ask"):  # no page of the product for approvals
        async with agents.connect(access=access) as agent:
            for method in ("GET", "HEAD"):
                ran = await agent.call("run_python", code=program.replace("GET", method))
                assert "not_allowed" in ran.text, (access, method, ran.text)
            read = await agent.call("call_read", integration="x-tide", path="/v1/me")
            assert read.data["code"] == "not_allowed", access
    async with agents.connect() as agent:
        assert "401 from GET" in (await agent.call("run_python", code=program)).text  # Acme CRM wants a key


async def test_errors_say_what_is_possible(client: Client, agents: Agents) -> None:
    await client.connect()
    table: list[tuple[str, dict[str, Any], str]] = [
        ("call_read", {"integration": "acme", "pth": "/v1/me"}, "The arguments of this tool are: name, arguments,"),
        ("call_read", {"path": "/v1/me"}, "name is required, or integration and path"),
        ("call_read", {"integration": "acmee", "path": "/v1/me"}, "There is no integration 'acmee'"),
        ("call_read", {"integration": "acme", "path": "v1/me"}, "begin with a slash"),
        ("call_read", {"integration": "acme", "path": "https://evil.example/v1/me"}, "below the base URL"),
        ("call_read", {"integration": "acme", "path": "/../admin"}, 'must not contain the segment ".."'),
        ("call_read", {**ME, "connection": "other"}, "must be the id or the label of one of these connections"),
        ("call_read", {**ME, "integration": "a\x00"}, "NUL"),
        ("call_write", {**ME}, "method is required"),
        ("call_write", {**CONTACT, "body_format": "form", "body": "x"}, "must be an object"),
        ("call_write", {**CONTACT, "idempotency_key": "a\nb"}, "printable ASCII"),
        ("tool_help", {"name": "acmee.contacts"}, "There is no integration 'acmee'"),
        ("tool_search", {"query": "x", "limit": 100}, "must be at most 20"),
        ("no_tool", {}, "The tools are: tool_search, tool_help"),
    ]
    async with agents.connect() as agent:
        for tool, arguments, text in table:
            answer = await agent.call(tool, **arguments)
            assert (answer.is_error, text in answer.text) == (True, True), (tool, arguments, answer.text)


@pytest.mark.promise("P1")
async def test_agent_uses_only_the_connections_of_its_end_user(application: Application, agents: Agents) -> None:
    await agents.owner.connect("user_123", ACME_KEYS[GLOBEX])
    other = application.client(await application.key(await application.organization("Southwind")))
    foreign = await other.connect("user_123", ACME_KEYS[INITECH])
    neighbor = await agents.owner.connect("user_456", ACME_KEYS[INITECH])
    foreign_token = await Agents(application, other).token("user_789")
    async with agents.connect() as agent:
        assert (await agent.call("call_read", **ME)).data["data"]["account"]["id"] == GLOBEX
        for connection in (foreign, neighbor):
            for name in ("id", "name"):
                refused = await agent.call("call_read", **ME, connection=connection[name])
                assert refused.is_error or refused.data["data"]["account"]["id"] == GLOBEX
        for answer in (await agent.call("list_connections"), await agent.call("tool_help", name="acme")):
            assert "Globex" in answer.text
            assert "Initech" not in answer.text
        assert foreign_token["id"] not in (await agent.call("list_connections")).text
    for user in ("user_789", "unknown"):
        async with agents.connect(end_user_id=user) as stranger:
            assert (await stranger.call("list_connections")).data == {"integrations": []}
            assert (await stranger.call("call_read", **ME)).data["code"] == "connect_required"


@pytest.mark.promise("P13")
async def test_token_that_reads_cannot_write(client: Client, agents: Agents) -> None:
    await client.connect()
    before = len((await contacts(agents)).data["data"]["contacts"])
    for access, code in (("read", "unknown_tool"), ("ask", "not_allowed")):  # no page of the product for approvals
        async with agents.connect(access=access) as agent:
            tools = await agent.tools()
            refused = await agent.call("call_write", **CONTACT)
            for query in ({"_method": "POST"}, {"X-HTTP-Method-Override": "DELETE"}, {"$httpMethod": ["POST"]}):
                answer = await agent.call("call_read", **ME, query=query)
                assert (answer.is_error, answer.data["code"]) == (True, "not_allowed"), query
            answer = await agent.call("call_read", integration="acme", path="/v1/me?_METHOD=DELETE")
            assert answer.data["code"] == "not_allowed"
        assert refused.data["code"] == code
        assert ("call_write" in tools) is (access == "ask")
    assert len((await contacts(agents)).data["data"]["contacts"]) == before


@pytest.mark.promise("P13")
async def test_function_that_reads_with_a_post_cannot_replace_the_method(
    application: Application, client: Client, agents: Agents
) -> None:
    values = {"type": "object", "additionalProperties": True, "properties": {"_method": {"type": "string"}}}
    read = {"x-one-runtime-access": "read", "responses": {}}
    header = {"name": "X-HTTP-Method-Override", "in": "header", "schema": {"type": "string"}}
    document = {
        "openapi": "3.1.0",
        "info": {"title": "Tide", "version": "1"},
        "servers": [{"url": application.acme.url}],
        "security": [{}],
        "paths": {
            f"/{kind}": {"post": {**read, "operationId": kind, "requestBody": {"content": {media: {"schema": values}}}}}
            for kind, media in (("json_read", "application/json"), ("form_read", "application/x-www-form-urlencoded"))
        }
        | {"/header": {"get": {"operationId": "header_read", "parameters": [header], "responses": {}}}},
    }
    created = await client.send("PUT", "/v1/custom-integrations/x-tide", document)
    assert created.status_code == 201, created.text
    await client.post("/v1/connections", {"integration_slug": "x-tide", "end_user_id": "user_123", "auth_type": "none"})
    async with agents.connect(access="read") as agent:
        for name in ("json_read", "form_read"):
            answer = await agent.call("call_read", name=f"x-tide.{name}", arguments={"_method": "DELETE"})
            assert answer.data["code"] == "not_allowed", (name, answer.text)
        answer = await agent.call("call_read", integration="acme", path="/v1/me?a=1;_method=DELETE")
        assert answer.data["code"] == "not_allowed"
        described = await agent.call("tool_help", name="x-tide.header_read")
        assert described.data["parameters"] == []


async def contacts(agents: Agents) -> Any:
    async with agents.connect() as agent:
        return await agent.call("call_read", integration="acme", path="/v1/contacts")


async def test_policies_of_the_token_and_of_the_organization_both_apply(client: Client, agents: Agents) -> None:
    await client.connect()
    table: list[tuple[dict[str, Any], dict[str, Any], bool]] = [
        ({}, {}, True),
        ({"integrations": ["hubspot"]}, {}, False),
        ({"integrations": []}, {}, False),
        ({"hosts": ["api.acme.example"]}, {}, False),
        ({"hosts": ["127.0.0.1"]}, {}, True),
        ({"methods": ["GET"]}, {}, False),
        ({}, {"integrations": ["hubspot"]}, False),
        ({"integrations": ["acme"]}, {"integrations": ["acme", "hubspot"], "methods": ["POST"]}, True),
        ({}, {"access": "read"}, False),
        ({"methods": ["POST", "GET"]}, {"methods": ["GET"]}, False),
    ]
    for of_token, of_organization, allowed in table:
        await client.send("PATCH", "/v1/organization", {"agents": None})
        changed = await client.send("PATCH", "/v1/organization", {"agents": of_organization})
        assert changed.status_code == 200, changed.text
        async with agents.connect(**of_token) as agent:
            answer = await agent.call("call_write", **CONTACT)
        assert answer.is_error is not allowed, (of_token, of_organization, answer.text)
        assert allowed or answer.data["code"] in {"not_allowed", "unknown_tool"}, answer.text


async def test_agent_names_one_of_several_accounts(client: Client, agents: Agents) -> None:
    first = await client.connect("user_123", ACME_KEYS[GLOBEX])
    second = await client.connect("user_123", ACME_KEYS[INITECH], multiple=True)
    async with agents.connect() as agent:
        refused = await agent.call("call_read", **ME)
        assert refused.data["code"] == "several_connections"
        assert all(each["id"] in refused.text for each in (first, second))
        for name, key in ((GLOBEX, first["id"]), (INITECH, second["id"]), (INITECH, second["account"]["label"])):
            answer = await agent.call("call_read", **ME, connection=key)
            assert answer.data["data"]["account"]["id"] == name


@pytest.mark.promise("P15")
async def test_agent_uses_the_default_account_and_sees_which_one_it_is(client: Client, agents: Agents) -> None:
    first = await client.connect("user_123", ACME_KEYS[GLOBEX])
    await client.connect("user_123", ACME_KEYS[INITECH], multiple=True)
    await client.send("PATCH", f"/v1/connections/{first['id']}", {"is_default": True})
    program = "from one_runtime import connections\n[each.get('is_default', False) for each in await connections()]"
    async with agents.connect() as agent:
        listed = (await agent.call("list_connections")).data["integrations"]
        assert [one["id"] for each in listed for one in each["accounts"] if one.get("is_default")] == [first["id"]]
        assert (await agent.call("call_read", **ME)).data["code"] == "several_connections"
        await client.send("PATCH", "/v1/organization", {"several_connections": "use_default"})
        answer = await agent.call("call_read", **ME)
        assert answer.data["data"]["account"]["id"] == GLOBEX
        shown = await agent.call("run_python", code=program)
        assert json.loads(shown.data["result"]) == [False, True]


async def test_long_answers_are_read_in_parts(client: Client, agents: Agents) -> None:
    await client.connect()
    async with agents.connect() as agent:
        for number in range(40):
            await agent.call("call_write", **{**CONTACT, "body": {"name": f"Contact {number}", "company": "x" * 50}})
        whole = (await agent.call("call_read", integration="acme", path="/v1/contacts")).data["data"]["contacts"]
        names, offset = list[str](), 0
        while True:
            part = await agent.call(
                "call_read",
                integration="acme",
                path="/v1/contacts",
                max_bytes=1000,
                offset=offset,
                fields=["contacts.name"],
            )
            assert len(part.text) < 1500
            names += [contact["name"] for contact in part.data["data"]["contacts"]]
            if "offset" not in part.data:
                break
            offset = part.data["offset"]
        assert names == [contact["name"] for contact in whole]


async def test_fields_have_limits(client: Client, agents: Agents) -> None:
    await client.connect()
    limits = {
        ".".join("a" * 17): "fields[0] must have at most 16 names, such as results.id.",
        "a" * 201: "fields[0] must be at most 200 characters.",
    }
    async with agents.connect() as agent:
        for field, words in limits.items():
            refused = await agent.call("call_read", **ME, fields=[field])
            assert refused.data["code"] == "invalid_input"
            assert words in refused.data["message"]
        assert not (await agent.call("call_read", **ME, fields=[".".join("a" * 16), "a" * 200])).is_error


async def test_calls_are_in_the_request_log(application: Application, client: Client, agents: Agents) -> None:
    await client.connect()
    token = await agents.token()
    async with agents.connect() as agent:
        await agent.call("call_read", **ME, query={"secret": "canary"})
    await application.app.services.request_log.flush()
    (logged,) = (await client.get("/v1/proxy-requests")).json()["proxy_requests"]
    assert (logged["path"], logged["api_key_id"]) == ("/v1/me", None)
    (used,) = [
        one for one in (await client.get("/v1/end-user-tokens")).json()["end_user_tokens"] if one["last_used_at"]
    ]
    assert (logged["end_user_token_id"], used["id"] != token["id"]) == (used["id"], True)
    filtered = await client.get("/v1/proxy-requests", end_user_token_id=token["id"])
    assert filtered.json()["proxy_requests"] == []


async def test_connection_that_needs_a_new_authorization_asks_to_connect(client: Client, agents: Agents) -> None:
    connection = await client.connect()
    application = agents.application
    account = next(iter(application.acme.acme.accounts.values()))
    account.revoked = True
    await client.post(f"/v1/connections/{connection['id']}/check")
    async with agents.connect() as agent:
        (listed,) = (await agent.call("list_connections", status="needs_reauth")).data["integrations"]
        assert listed["reason"]
        assert (await agent.call("call_read", **ME)).data["code"] == "connect_required"


async def run_every_tool(agent: Agent) -> list[str]:
    """Call each tool, and return the texts of the answers."""
    calls: list[tuple[str, dict[str, Any]]] = [
        ("tool_search", {"query": "acme"}),
        ("tool_help", {"name": "acme"}),
        ("list_connections", {}),
        ("call_read", ME),
        ("call_write", CONTACT),
        ("run_python", {"code": "import acme\nawait acme.account_get()"}),
        ("get_tool_connect_url", {"tool_name": "acme"}),
    ]
    assert [name for name, _ in calls] == await agent.tools()
    return [(await agent.call(name, **arguments)).text for name, arguments in calls]


@pytest.mark.promise("P11")
async def test_no_answer_and_no_log_contains_a_credential_or_the_token(
    client: Client, agents: Agents, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    await client.connect("user_123", ACME_KEYS[GLOBEX])
    token = (await agents.token())["end_user_token"]
    async with connected(agents.application.app, token) as agent:
        texts = await run_every_tool(agent)
    events = (await client.get("/v1/events")).text
    everything = "\n".join([*texts, events, caplog.text, *capfd.readouterr()])
    assert ACME_KEYS[GLOBEX] not in everything
    assert token not in everything


@pytest.mark.docs
def test_every_tool_is_documented() -> None:
    rows = page("docs/agents.md").table("Tools")
    assert [row[0].strip("`") for row in rows] == [tool.name for tool in TOOLS]
