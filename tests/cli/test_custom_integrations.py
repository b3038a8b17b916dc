"""`one-runtime custom-integrations`, and the commands that use the credential of a connection at a provider."""

import asyncio
import io
import json
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TypeVar

import pytest

from one_runtime.catalog.loader import load_catalog
from one_runtime.catalog.organization_catalogs import OrganizationCatalogs
from one_runtime.clock import system_clock
from one_runtime.connections import connections
from one_runtime.connections.connections import NewConnection
from one_runtime.connections.credentials import ProviderAccount, TokenMetadata
from one_runtime.db.engine import Database
from one_runtime.tenancy import end_users
from one_runtime.tenancy.end_users import EndUser
from one_runtime.tenancy.events import Actor
from tests import sealed_rows
from tests.billing import ENTRY, KEY, SLUG
from tests.command_line import Run
from tests.sealed_rows import FIRST, ring

pytestmark = pytest.mark.slow

T = TypeVar("T")


@dataclass
class Provider:
    """A provider on loopback. `status`: the status of its answers."""

    port: int
    status: int = 200


@pytest.fixture
def provider() -> Iterator[Provider]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps({"id": "a_1", "name": "Acme\x1b[2J"}).encode()
            self.send_response(running.status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Write nothing to standard error."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        running = Provider(server.server_port)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield running
        server.shutdown()
        thread.join()


@pytest.fixture
def run(bare: Run, database_url: str, provider: Provider, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a runner of commands on a migrated database. The commands may connect to the provider."""
    monkeypatch.setenv("ONE_RUNTIME_DATABASE_URL", database_url)
    monkeypatch.setenv("ONE_RUNTIME_ENCRYPTION_KEYS", FIRST)
    monkeypatch.setenv("ONE_RUNTIME_EGRESS_ALLOW", f"127.0.0.1:{provider.port}")
    monkeypatch.setenv("ONE_RUNTIME_OPERATOR", "ada")
    return bare


@pytest.fixture
def file(tmp_path: Path, provider: Provider) -> Path:
    path = tmp_path / "x-billing.yaml"
    path.write_text(ENTRY.replace("https://billing.acme.com/", f"http://127.0.0.1:{provider.port}/"))
    return path


def on(database_url: str, work: Callable[[Database], Awaitable[T]]) -> T:
    async def do() -> T:
        async with sealed_rows.opened(database_url) as database:
            return await work(database)

    return asyncio.run(do())


async def connect(database: Database, organization: str, end_user: str) -> str:
    """Connect an account of the provider, and return the connection's id."""
    actor, now = Actor(organization, "system"), system_clock()
    account = ProviderAccount("a_1", "Acme")
    catalogs = OrganizationCatalogs(load_catalog())
    async with database.write() as tx:
        integration = await catalogs.get(tx, organization, SLUG)
        assert integration is not None
        tokens = TokenMetadata(audience=integration.audience("api_key"))
        new = NewConnection(
            end_user, SLUG, "api_key", None, {}, {"api_key": KEY}, account, {}, multiple=True, token_metadata=tokens
        )
        await end_users.ensure(tx, organization, EndUser(end_user, "Ada", "ada@example.com", now, now))
        stored, _ = await connections.create_or_replace(tx, ring(FIRST), catalogs, actor, new, now)
    return stored.id


def event_types(run: Run, connection: str) -> list[tuple[str, str]]:
    """Return type and actor of the events of a connection, newest first."""
    return [
        (row["type"], row["actor"]["id"]) for row in run("events", "list", "--connection", connection, "--json").rows
    ]


def test_custom_integration_is_created_shown_replaced_and_deleted(run: Run, file: Path) -> None:
    organization = run("organizations", "create", "Northwind").line
    words = ("--organization", organization)
    assert run("custom-integrations", "set", str(file), *words).line == "Created x-billing."
    (row,) = run("custom-integrations", "list", *words, "--json").rows
    assert (row["slug"], row["supported_auth_types"], row["enabled"]) == (SLUG, ["api_key"], True)
    titles, cells = run("custom-integrations", "list", *words).out.splitlines()
    assert (titles.split()[0], cells.split()[:2]) == ("slug", [SLUG, "Billing"])
    assert "In Billing, open Settings" in run("custom-integrations", "show", SLUG, *words).out
    shown = json.loads(run("custom-integrations", "show", SLUG.upper(), *words, "--json").out)
    assert shown["definition"]["auth"][0]["check"]["path"] == "/me"
    file.write_text(file.read_text().replace("name: Billing", "name: Invoices"))
    replaced = json.loads(run("custom-integrations", "set", str(file), *words, "--json").out)
    assert (replaced["name"], replaced["warnings"], replaced["invalidated_connections"]) == ("Invoices", [], 0)
    file.write_text(file.read_text().replace("path: /me", "path: me"))
    refused = run("custom-integrations", "set", str(file), *words)
    assert (refused.code, "x-billing.yaml:19: check.path must begin with" in refused.err) == (1, True)
    assert run("custom-integrations", "delete", SLUG, *words).line == "Deleted x-billing."
    assert run("custom-integrations", "list", *words, "--json").rows == []
    events = run("events", "list", "--organization", organization, "--json").rows
    assert [(event["type"], event["actor"]["id"]) for event in events] == [
        ("custom_integration.deleted", "ada"),
        ("custom_integration.updated", "ada"),
        ("custom_integration.created", "ada"),
    ]


def test_wrong_organization_and_slug_of_a_custom_integration_are_refused(run: Run, file: Path) -> None:
    for words in (("list",), ("show", SLUG), ("set", str(file)), ("delete", SLUG)):
        assert "one-runtime organizations list" in run("custom-integrations", *words, "--organization", "x").sentence
        assert run("custom-integrations", *words).code == 2, "the option is required"
    organization = run("organizations", "create", "Northwind").line
    for verb in ("show", "delete"):
        assert "x-nothing" in run("custom-integrations", verb, "x-nothing", "--organization", organization).sentence
    missing = run("custom-integrations", "set", "/nowhere/x.yaml", "--organization", organization).sentence
    assert "/nowhere/x.yaml" in missing


def test_connection_is_checked_refreshed_and_deleted(
    run: Run, database_url: str, provider: Provider, file: Path
) -> None:
    organization = run("organizations", "create", "Northwind").line
    run("custom-integrations", "set", str(file), "--organization", organization)
    identifier = on(database_url, lambda database: connect(database, organization, "user_123"))
    assert run("connections", "check", identifier).line == "Outcome: accepted. The connection is active."
    assert run("connections", "refresh", identifier).line == f"The connection {identifier} is active."
    provider.status = 401
    refused = run("connections", "check", identifier, "--json")
    assert (refused.code, json.loads(refused.out)["outcome"], json.loads(refused.out)["status"]) == (
        1,
        "refused",
        "needs_reauth",
    )
    provider.status = 200
    assert json.loads(run("connections", "check", identifier, "--json").out)["working"] is True
    assert [
        row["token_expires_at"] for row in [json.loads(run("connections", "refresh", identifier, "--json").out)]
    ] == [None]
    in_use = run("custom-integrations", "delete", SLUG, "--organization", organization).sentence
    assert in_use.endswith("Delete the connections first, or add --delete-connections.")
    deleted = json.loads(run("connections", "delete", identifier, "--json").out)
    assert (deleted["id"], [result["outcome"] for result in deleted["revocations"]]) == (identifier, ["not_supported"])
    assert event_types(run, identifier)[:3] == [
        ("connection.deleted", "ada"),
        ("connection.recovered", "ada"),
        ("connection.needs_reauth", "ada"),
    ]
    for verb in ("check", "refresh", "delete"):
        assert "one-runtime connections list" in run("connections", verb, identifier).sentence


def test_end_user_is_listed_shown_and_deleted(run: Run, database_url: str, file: Path) -> None:
    organization = run("organizations", "create", "Northwind").line
    words = ("--organization", organization)
    run("custom-integrations", "set", str(file), *words)
    identifier = on(database_url, lambda database: connect(database, organization, "user/1"))
    on(database_url, lambda database: connect(database, organization, "user/2"))
    first = run("end-users", "list", *words, "--limit", "1", "--json")
    assert [row["end_user_id"] for row in json.loads(first.out)] == ["user/1"]
    assert "--cursor user/1" in first.err
    (second,) = run("end-users", "list", *words, "--cursor", "user/1", "--json").rows
    assert (second["end_user_id"], second["name"], second["metadata"]) == ("user/2", "Ada", {})
    assert run("end-users", "list", *words, "--email", "grace@example.com", "--json").out == "[]\n"
    shown = json.loads(run("end-users", "show", "user/1", *words, "--json").out)
    assert [connection["id"] for connection in shown["connections"]] == [identifier]
    assert identifier in run("end-users", "show", "user/1", *words).out
    deleted = json.loads(run("end-users", "delete", "user/1", *words, "--yes", "--json").out)
    assert (deleted["deleted_connections"], deleted["revocations"][0]["connection_id"]) == (1, identifier)
    assert run("end-users", "delete", "user/2", *words, "--yes").out.endswith(
        "Deleted the end user user/2 with 1 connection.\n"
    )
    newest, oldest = run("events", "list", *words, "--type", "end_user.deleted", "--json").rows
    assert (newest["end_user_id"], oldest["end_user_id"], newest["actor"]["id"]) == (None, None, "ada")
    for verb in ("show", "delete"):
        assert (
            "has no end user 'user/1'. `one-runtime end-users list" in run("end-users", verb, "user/1", *words).sentence
        )
        assert "one-runtime organizations list" in run("end-users", verb, "user/1", "--organization", "x").sentence
    removed = run("custom-integrations", "delete", SLUG, *words, "--delete-connections", "--json").out
    assert json.loads(removed) == {"integration_slug": SLUG, "organization_id": organization}
    for options in ((), ("--delete-connections",)):
        refused = run("custom-integrations", "delete", SLUG, *words, *options).sentence
        assert "`one-runtime custom-integrations list --organization" in refused
    assert "has no custom integration 'x-no'." in run("custom-integrations", "show", "x-no", *words).sentence


def test_end_user_is_kept_without_confirmation(
    run: Run, database_url: str, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    organization = run("organizations", "create", "Northwind").line
    words = ("--organization", organization)
    run("custom-integrations", "set", str(file), *words)
    on(database_url, lambda database: connect(database, organization, "user_1"))
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    refused = run("end-users", "delete", "user_1", *words)
    assert (refused.code, "Delete all data of the end user user_1?" in refused.err) == (1, True)
    assert len(run("end-users", "list", *words, "--json").rows) == 1
