"""`one-runtime organizations export`: the API's objects, at one moment, without secrets unless an option says so."""

import json
import stat
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from one_runtime.cli import organization_export
from one_runtime.clock import system_clock
from one_runtime.errors import NotFound
from one_runtime.lifecycle import organization_deletion
from one_runtime.settings import Settings
from one_runtime.tenancy import end_user_tokens
from one_runtime.tenancy.agent_policy import AgentPolicy
from one_runtime.tenancy.end_user_tokens import NewToken
from one_runtime.tenancy.events import Actor
from tests.application import Application, Client, RunningAcme, started
from tests.cli.test_organizations import on
from tests.command_line import CommandResult, Run
from tests.organization_rows import OrganizationRows, fill
from tests.promises.stores import query
from tests.sealed_rows import FIRST

KINDS = {
    "organization",
    "api_key",
    "custom_integration",
    "oauth_client",
    "end_user",
    "end_user_token",
    "connection",
    "event",
    "webhook_endpoint",
    "webhook_delivery",
}
TOKENS = ("0 of Northwind", "custom of Northwind")


@pytest_asyncio.fixture
async def application(settings: Settings, acme: RunningAcme) -> AsyncIterator[Application]:
    async with started(settings, acme, worker=False) as application:
        yield application


@pytest.fixture
def run(bare: Run, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a runner of commands on a migrated database."""
    monkeypatch.setenv("ONE_RUNTIME_DATABASE_URL", database_url)
    monkeypatch.setenv("ONE_RUNTIME_ENCRYPTION_KEYS", FIRST)
    return bare


async def export(
    application: Application, organization_id: str, reader: Actor | None = None, page: int = 2
) -> dict[str, list[dict[str, Any]]]:
    """Return the lines of an export by kind, in the form of a program that reads the JSON."""
    lines: dict[str, list[dict[str, Any]]] = {}
    async for line in organization_export.export(application.installation, organization_id, reader=reader, page=page):
        read = json.loads(json.dumps(line))
        lines.setdefault(read.pop("kind"), []).append(read)
    return lines


async def listed(client: Client, path: str) -> list[dict[str, Any]]:
    """Return the objects that a route of the API lists."""
    (objects,) = [value for value in (await client.get(path)).json().values() if isinstance(value, list)]
    return objects


def without(line: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in line.items() if name not in names}


async def test_lines_are_the_objects_of_the_api(application: Application) -> None:
    northwind, _ = await fill(application.installation, "Northwind", 4)
    await fill(application.installation, "Southwind")
    await northwind.call(await northwind.connect("ada", "called"), 5)
    async with application.installation.database.write() as tx:
        for _ in range(2):
            await end_user_tokens.create(tx, northwind.actor, NewToken("ada", AgentPolicy()), system_clock())
    identifier = northwind.organization_id
    client = application.client(await application.key(identifier))
    lines = await export(application, identifier)
    assert list(lines) == [
        "export", "organization", "api_key", "custom_integration", "oauth_client", "end_user", "end_user_token",
        "connection", "event", "webhook_endpoint", "webhook_delivery", "proxy_request",
        "usage_hour", "end",
    ]  # fmt: skip
    assert lines["organization"] == [(await client.get("/v1/organization")).json()]
    assert lines["end_user"] == await listed(client, "/v1/end-users")
    assert lines["end_user_token"] == await listed(client, "/v1/end-user-tokens")
    assert lines["connection"] == await listed(client, "/v1/connections")
    assert [without(line, "organization_id") for line in lines["event"]] == await listed(client, "/v1/events")
    calls = [without(line, "organization_id") for line in lines["proxy_request"]]
    assert calls == await listed(client, "/v1/proxy-requests")
    assert lines["oauth_client"] == await listed(client, "/v1/oauth-clients")
    customs = await listed(client, "/v1/custom-integrations")
    assert [{**custom, **line} for custom, line in zip(customs, lines["custom_integration"], strict=True)] == customs
    assert [line["name"] for line in lines["api_key"]] == ["backend", "test"]
    (header,), (end,) = lines["export"], lines["end"]
    assert (header["format"], header["organization_id"], header["with_credentials"]) == (1, identifier, False)
    assert end == {"counts": {kind: len(lines[kind]) for kind in lines if kind not in {"export", "end"}}}
    assert len(lines["connection"]) == 6
    assert len(lines["proxy_request"]) == 6


async def test_export_shows_one_moment_although_servers_write(application: Application) -> None:
    northwind, _ = await fill(application.installation, "Northwind", 3)
    identifier = northwind.organization_id
    before = await export(application, identifier)
    lines = []
    async for line in organization_export.export(application.installation, identifier, page=1):
        lines.append(line)
        if line["kind"] == "organization":
            await northwind.connect("new", "new token")
            query(application.installation, "DELETE FROM connections WHERE end_user_id = 'user_1'")
            query(application.installation, "UPDATE end_users SET name = 'changed'")
    assert lines[-1] == {"kind": "end", **before["end"][0]}
    assert [line["id"] for line in lines if line["kind"] == "connection"] == [row["id"] for row in before["connection"]]
    assert {line["name"] for line in lines if line["kind"] == "end_user"} == {None}
    assert (await export(application, identifier))["end_user"][0]["name"] == "changed"


@pytest.mark.promise("P11")
async def test_secrets_are_exported_only_with_the_option_and_each_read_is_an_event(application: Application) -> None:
    northwind, tokens = await fill(application.installation, "Northwind")
    identifier = northwind.organization_id
    query(application.installation, """UPDATE connections SET params = '{"received": "of a token response"}'""")
    plain = json.dumps(await export(application, identifier))
    assert "of a token response" not in plain
    assert not [token for token in tokens if f'"{token}"' in plain]
    assert '"secret"' not in plain
    query(application.installation, "UPDATE connections SET status = 'needs_reauth' WHERE end_user_id = 'user_0'")
    lines = await export(application, identifier, Actor(identifier, "system", "alice"))
    assert {line["end_user_id"]: line["credentials"] for line in lines["connection"]} == {
        "ada": {"access_token": "custom of Northwind"},
        "user_0": None,
    }
    client = application.client(await application.key(identifier))
    read = [event for event in await listed(client, "/v1/events") if event["type"] == "connection.credentials_read"]
    assert [(event["actor"], event["end_user_id"]) for event in read] == [({"type": "system", "id": "alice"}, "ada")]
    assert "connection.credentials_read" not in json.dumps(lines["event"]), "the export shows an earlier moment"


async def test_deleted_and_unknown_organizations_are_not_exported(application: Application) -> None:
    northwind, _ = await fill(application.installation, "Northwind")
    await organization_deletion.begin(application.installation, northwind.organization_id, "alice")
    for identifier in (northwind.organization_id, "nothing"):
        with pytest.raises(NotFound):
            await export(application, identifier)


def seed(database_url: str) -> OrganizationRows:
    async def insert(installation: Any) -> OrganizationRows:
        return (await fill(installation, "Northwind"))[0]

    return on(database_url, insert)


def kinds(result: CommandResult) -> set[str]:
    return {json.loads(line)["kind"] for line in result.out.splitlines()}


def test_command_writes_standard_output_or_a_private_file(run: Run, database_url: str, tmp_path: Path) -> None:
    identifier, output = seed(database_url).organization_id, tmp_path / "northwind.jsonl"
    printed = run("organizations", "export", identifier)
    assert (printed.code, printed.err) == (0, "")
    assert kinds(printed) == {*KINDS, "export", "proxy_request", "usage_hour", "end"}
    summary = json.loads(run("organizations", "export", identifier, "--output", str(output), "--json").out)
    assert stat.S_IMODE(output.stat().st_mode) == 0o600
    lines = [json.loads(line) for line in output.read_text().splitlines()]
    assert summary == {"output": str(output), "lines": lines[-1]["counts"]}
    assert [line["kind"] for line in lines] == [json.loads(line)["kind"] for line in printed.out.splitlines()]
    assert "cannot be created" in run("organizations", "export", identifier, "--output", str(output)).sentence
    other = tmp_path / "other.jsonl"
    assert "There is no organization" in run("organizations", "export", "nothing", "--output", str(other)).sentence
    assert not other.exists()
    table = run("organizations", "export", identifier, "--output", str(other)).out.splitlines()
    assert table[0].split() == ["kind", "lines"]
    assert ["connection", "2"] in [line.split() for line in table]


@pytest.mark.promise("P11")
def test_credentials_are_refused_to_a_terminal_and_audited_with_the_operator(
    run: Run, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    identifier = seed(database_url).organization_id
    words = ("organizations", "export", identifier, "--with-credentials")
    with monkeypatch.context() as terminal:
        terminal.setattr(type(sys.stdout), "isatty", lambda _: True)
        assert "A terminal must not show credentials." in run(*words).sentence
    exported = run(*words, OPERATOR="alice")
    for token in TOKENS:
        assert f'"{token}"' in exported.out
    events = run("events", "list", "--type", "connection.credentials_read", "--json").rows
    assert [event["actor"] for event in events] == [{"type": "system", "id": "alice"}] * 2


async def test_webhooks_are_exported_without_secrets(application: Application) -> None:
    organization = await application.organization()
    client = application.client(await application.key(organization))
    path = "/v1/webhook-endpoints"
    created = [
        (await client.post(path, {"url": "https://app.example.com/hook?token=hidden", "event_types": ["*"]})).json(),
        (await client.post(path, {"kind": "pull", "event_types": ["connection.*"]})).json(),
    ]
    rotated = (await client.post(f"{path}/{created[0]['id']}/rotate-secret")).json()
    for number in range(3):
        await client.connect(f"user_{number}")
    lines = await export(application, organization)
    exported = [without(line, "organization_id", "endpoint_kind") for line in lines["webhook_endpoint"]]
    assert exported == [without(line, "kind") for line in await listed(client, path)]
    assert [line["endpoint_kind"] for line in lines["webhook_endpoint"]] == ["push", "pull"]
    deliveries = lines["webhook_delivery"]
    for endpoint in created:
        mine = [line for line in deliveries if line["webhook_endpoint_id"] == endpoint["id"]]
        api = await listed(client, f"{path}/{endpoint['id']}/deliveries")
        assert [without(line, "webhook_endpoint_id", "attempts") for line in mine] == api
    text = json.dumps(lines)
    secrets = (*(endpoint["secret"] for endpoint in created), rotated["secret"], "hidden", "whsec_")
    assert not [secret for secret in secrets if secret in text]
