"""`one-runtime organizations delete`: the confirmation, the output, and a killed run."""

import asyncio
import io
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

from one_runtime.catalog.loader import load_catalog
from one_runtime.clock import system_clock
from one_runtime.context import Installation
from one_runtime.db.ids import new_id
from one_runtime.egress.client import Egress
from one_runtime.settings import Settings
from tests import sealed_rows
from tests.command_line import Run
from tests.fork_server import ForkedProcess
from tests.organization_rows import OrganizationRows, count_rows, fill, queued_tokens
from tests.sealed_rows import FIRST, ring
from tests.waiting import async_attempts

pytestmark = pytest.mark.promise("P9")

T = TypeVar("T")


@pytest.fixture
def run(bare: Run, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a runner of commands on a migrated database."""
    monkeypatch.setenv("ONE_RUNTIME_DATABASE_URL", database_url)
    monkeypatch.setenv("ONE_RUNTIME_ENCRYPTION_KEYS", FIRST)
    return bare


def on(database_url: str, work: Callable[[Installation], Awaitable[T]]) -> T:
    """Run a coroutine function with an installation on the database."""

    async def do() -> T:
        vault = ring(FIRST)
        async with sealed_rows.opened(database_url) as database:
            await sealed_rows.register(database, vault)
            return await work(Installation(Settings(), database, load_catalog(), vault, Egress(), system_clock))

    return asyncio.run(do())


def test_organization_is_deleted_after_its_name_is_typed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    identifier = run("organizations", "create", "Northwind").line
    key = run("api-keys", "create", identifier).line
    monkeypatch.setattr(sys, "stdin", io.StringIO("northwind\n"))
    refused = run("organizations", "delete", identifier)
    assert (refused.code, refused.out.strip()) == (1, "")
    assert "deletes all data of Northwind" in refused.err
    assert refused.err.splitlines()[-1].endswith("This is not the organization's name. Nothing was deleted.")
    monkeypatch.setattr(sys, "stdin", io.StringIO("Northwind\n"))
    done = run("organizations", "delete", identifier)
    assert done.code == 0
    assert re.sub(" +", " ", done.out.strip()).splitlines() == [
        "api_keys 1",
        "events 1",
        f"The organization {identifier} (Northwind) is deleted.",
    ]
    assert run("organizations", "list", "--json").rows == []
    assert key[:12] not in run("api-keys", "list").out
    for unknown in (identifier, new_id(), "nothing"):
        assert "one-runtime organizations list" in run("organizations", "delete", unknown, "--yes").sentence


def test_deletion_is_reported_as_json_and_in_the_events_of_the_installation(run: Run, database_url: str) -> None:
    async def seed(installation: Installation) -> tuple[str, int]:
        rows, tokens = await fill(installation, "Northwind")
        return rows.organization_id, len(tokens)

    identifier, pending = on(database_url, seed)
    result = json.loads(run("organizations", "delete", identifier, "--yes", "--json", OPERATOR="alice").out)
    rows = result.pop("rows")
    assert result == {
        "organization_id": identifier,
        "display_name": "Northwind",
        "pending_revocations": pending,
        "complete": False,
    }
    assert (rows["connections"], rows["end_users"], rows["api_keys"]) == (2, 4, 1)
    (event,) = run("installation", "events", "--json").rows
    assert (event["type"], event["operator"]) == ("organization.deleted", "alice")
    assert event["data"] == {"organization_id": identifier, "display_name": "Northwind"}
    again = run("organizations", "delete", identifier)
    assert again.out.startswith(f"The data of the organization {identifier} is deleted. {pending} pending revocations")
    for command in (("api-keys", "create"), ("organizations", "set")):
        assert "There is no organization" in run(*command, identifier).sentence


@pytest.mark.slow
def test_killed_deletion_is_completed_by_the_next_run(run: Run, database_url: str) -> None:
    async def seed(installation: Installation) -> tuple[OrganizationRows, set[str]]:
        return await fill(installation, "Northwind", 100)

    northwind, tokens = on(database_url, seed)
    identifier = northwind.organization_id

    async def wait_for_first_rows(installation: Installation) -> None:
        async for _ in async_attempts():
            if (await count_rows(installation, identifier)).get("hosted_connection_sessions", 0) < 100:
                return

    environment = {name: value for name, value in os.environ.items() if name.startswith(("ONE_RUNTIME_", "P"))}
    words = [sys.executable, "-m", "one_runtime", "organizations", "delete", identifier, "--yes", "--batch", "1"]
    with ForkedProcess(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        on(database_url, wait_for_first_rows)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert identifier not in run("api-keys", "list").out
    assert on(database_url, lambda installation: count_rows(installation, identifier))["connections"] > 0
    assert json.loads(run("organizations", "delete", identifier, "--json").out)["pending_revocations"] == len(tokens)
    assert on(database_url, lambda installation: queued_tokens(installation, identifier)) == sorted(tokens)
    left = on(database_url, lambda installation: count_rows(installation, identifier))
    assert left.keys() == {"revocations", "oauth_clients", "custom_integrations"}
