"""`one-runtime webhooks`: manage the endpoints of all organizations on the database."""

import asyncio
import json

import pytest

from one_runtime.clock import system_clock
from one_runtime.db.ids import new_id
from one_runtime.tenancy import events
from one_runtime.tenancy.event_types import EventType
from one_runtime.tenancy.events import Actor, Subject
from tests import sealed_rows
from tests.command_line import Run
from tests.sealed_rows import FIRST
from tests.webhooks.receiver import receiving, with_status

URL = "https://app.example.com/hook"


@pytest.fixture
def run(bare: Run, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a runner of commands on a migrated database."""
    monkeypatch.setenv("ONE_RUNTIME_DATABASE_URL", database_url)
    monkeypatch.setenv("ONE_RUNTIME_ENCRYPTION_KEYS", FIRST)
    monkeypatch.setenv("ONE_RUNTIME_OPERATOR", "ada")
    return bare


def record_event(database_url: str, organization: str) -> None:
    async def record() -> None:
        async with sealed_rows.opened(database_url) as database, database.write() as tx:
            await events.record(
                tx, Actor(organization, "system"), EventType.END_USER_UPDATED, system_clock(), Subject()
            )

    asyncio.run(record())


def test_endpoints_are_managed(run: Run, database_url: str) -> None:
    first, second = (run("organizations", "create", name).line for name in ("Northwind", "Globex"))
    created = json.loads(
        run("webhooks", "create", first, "--url", f"{URL}?token=hidden", "--type", "end_user.*", "--json").out
    )
    pull = json.loads(run("webhooks", "create", second, "--description", "warehouse", "--json").out)
    assert created["secret"].startswith("whsec_")
    assert (created["url"], pull["kind"], pull["event_types"]) == (URL, "pull", ["*"])
    endpoint = created["id"]
    record_event(database_url, first)
    rows = run("webhooks", "list", "--json").rows
    assert [(row["id"], row["pending_deliveries"]) for row in rows] == [(endpoint, 1), (pull["id"], 0)]
    assert [row["id"] for row in run("webhooks", "list", "--organization", second, "--json").rows] == [pull["id"]]
    assert "warehouse" in run("webhooks", "show", pull["id"]).out
    updated = run("webhooks", "update", endpoint, "--status", "paused", "--type", "connection.deleted", "--json")
    changed = json.loads(updated.out)
    assert (changed["status"], changed["event_types"]) == ("paused", ["connection.deleted"])
    rotated = run("webhooks", "rotate-secret", endpoint).line
    assert rotated.startswith("whsec_")
    assert rotated != created["secret"]
    assert "Deleted" in run("webhooks", "delete", pull["id"]).out
    assert [row["id"] for row in run("webhooks", "list", "--json").rows] == [endpoint]
    log = run("events", "list", "--actor", "ada", "--json").out
    kinds = [row["type"] for row in json.loads(log)]
    assert kinds == [f"webhook_endpoint.{verb}" for verb in ("deleted", "updated", "updated", "created", "created")]
    assert not [text for text in (created["secret"], rotated, "hidden") if text in log + run("webhooks", "list").out]


def test_deliveries_are_listed_and_repeated(run: Run, database_url: str) -> None:
    organization = run("organizations", "create", "Northwind").line
    endpoint = json.loads(run("webhooks", "create", organization, "--url", URL, "--json").out)["id"]
    for _ in range(2):
        record_event(database_url, organization)
    newest, oldest = run("webhooks", "deliveries", endpoint, "--json").rows
    assert newest["event_id"] > oldest["event_id"]
    page = run("webhooks", "deliveries", endpoint, "--limit", "1", "--status", "pending")
    assert f"--cursor {newest['event_id']}" in page.err
    assert "end_user.updated" in page.out
    shown = json.loads(run("webhooks", "deliveries", endpoint, "--event", oldest["event_id"], "--json").out)
    assert shown == {**oldest, "attempts": []}
    assert "pending" in run("webhooks", "deliveries", endpoint, "--event", oldest["event_id"]).out
    assert json.loads(run("webhooks", "retry", endpoint, oldest["event_id"], "--json").out)["status"] == "pending"
    assert run("webhooks", "replay", endpoint, "--since", "1h").line == "Queued 0 deliveries."
    missing = run("webhooks", "create", organization, "--json").out
    replayed = run("webhooks", "replay", json.loads(missing)["id"], "--since", "1h", "--status", "missing", "--json")
    assert json.loads(replayed.out) == {"queued_deliveries": 3}  # with the creation of the other endpoint
    run("webhooks", "update", endpoint, "--status", "paused")
    assert "paused" in run("webhooks", "replay", endpoint, "--since", "1h").sentence


async def test_a_test_message_is_sent_and_its_answer_decides(run: Run) -> None:
    async with receiving() as receiver:
        allowed = f"127.0.0.1:{receiver.port}"

        async def call(*words: str) -> tuple[int, str]:
            result = await asyncio.to_thread(run, "webhooks", *words, "--json", EGRESS_ALLOW=allowed)
            return result.code, result.out

        organization = (await asyncio.to_thread(run, "organizations", "create", "Northwind")).line
        _, created = await call("create", organization, "--url", receiver.url())
        endpoint = json.loads(created)
        code, answer = await call("test", endpoint["id"], "--type", "connection.needs_reauth")
        assert (code, json.loads(answer)["http_status"]) == (0, 204)
        (await receiver.wait_for("connection.needs_reauth")).verify(endpoint["secret"])
        receiver.answers["/hook"] = with_status(500)
        code, answer = await call("test", endpoint["id"])
        assert (code, json.loads(answer)["response_excerpt"]) == (1, "answer 500")


def test_wrong_values_are_explained(run: Run) -> None:
    organization = run("organizations", "create", "Northwind").line
    pull = json.loads(run("webhooks", "create", organization, "--json").out)["id"]
    for verb in ("show", "delete", "rotate-secret", "deliveries", "test"):
        for identifier in (new_id(), "nothing"):
            assert "one-runtime webhooks list" in run("webhooks", verb, identifier).sentence
    assert "must be an https URL" in run("webhooks", "create", organization, "--url", "http://example.com/").sentence
    assert "--type" in run("webhooks", "create", organization, "--type", "connection").sentence
    assert "has no URL" in run("webhooks", "update", pull, "--url", URL).sentence
    assert "has no URL" in run("webhooks", "test", pull).sentence
    assert "is not one of 'active', 'paused'" in run("webhooks", "update", pull, "--status", "disabled").usage_error
    assert "one-runtime organizations list" in run("webhooks", "create", new_id()).sentence
