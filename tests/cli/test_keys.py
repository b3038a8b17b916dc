"""`one-runtime keys`: output, refusals, interrupted resealing (P3)."""

import asyncio
import io
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import psycopg
import pytest

from one_runtime.clock import system_clock
from one_runtime.db.engine import Database
from one_runtime.jobs import instances
from tests import sealed_rows
from tests.command_line import Run
from tests.fork_server import ForkedProcess
from tests.sealed_rows import FIRST, ID, SECOND, ring
from tests.waiting import async_attempts, attempts

pytestmark = pytest.mark.promise("P3")

T = TypeVar("T")

VAULT = ring(FIRST, SECOND)


@pytest.fixture
def run(bare: Run, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a runner of commands with a ring of two keys."""
    monkeypatch.setenv("ONE_RUNTIME_DATABASE_URL", database_url)
    monkeypatch.setenv("ONE_RUNTIME_ENCRYPTION_KEYS", f"{FIRST},{SECOND}")
    return bare


def on(database_url: str, work: Callable[[Database], Awaitable[T]]) -> T:
    """Run a coroutine function on the database with a registered ring."""

    async def do() -> T:
        async with sealed_rows.opened(database_url) as database:
            await sealed_rows.register(database, VAULT)
            return await work(database)

    return asyncio.run(do())


def seed(database_url: str, rows: int) -> sealed_rows.Contents:
    return on(database_url, lambda database: sealed_rows.seed(database, VAULT, rows))


def contents(database_url: str, *keys: str) -> sealed_rows.Contents:
    return on(database_url, lambda database: sealed_rows.contents(database, ring(*keys)))


def test_key_is_rotated_with_the_documented_commands(run: Run, database_url: str) -> None:
    values = seed(database_url, 12)
    first, second = run("keys", "list", "--json").rows
    assert (first["id"], first["state"], first["rows"]) == (ID[FIRST], "active", 14)
    assert (second["id"], second["state"], second["rows"]) == (ID[SECOND], "ready", 0)
    assert f"{ID[SECOND]} is the active key" in run("keys", "activate", ID[SECOND][:8]).line
    assert "14 rows are encrypted with" in run("keys", "disable", ID[FIRST]).sentence
    assert run("keys", "reseal", "--batch", "5").line == "14 rows resealed, 0 left."
    assert json.loads(run("keys", "reseal", "--json").line) == {
        "resealed": 0,
        "left": 0,
        "interrupted": False,
        "broken": [],
    }
    assert f"{ID[FIRST]} is disabled" in run("keys", "disable", ID[FIRST]).line
    assert [(row["state"], row["rows"]) for row in run("keys", "list", "--json").rows] == [
        ("disabled", 0),
        ("active", 14),
    ]
    assert "is the active key" in run("keys", "disable", ID[SECOND]).sentence
    assert contents(database_url, SECOND) == values


def test_keys_are_listed_with_their_servers_and_without_secrets(run: Run, database_url: str) -> None:
    async def serve(database: Database) -> None:
        for vault in (VAULT, ring(FIRST)):
            async with database.write() as tx:
                await instances.heartbeat(tx, instances.this_process(vault.key_ids, system_clock()), system_clock)

    on(database_url, serve)
    titles, first, second = (re.split("  +", line) for line in run("keys", "list").out.splitlines())
    assert titles[:5] == ["id", "state", "in this ring", "rows", "servers with the key"]
    assert first[:5] == [ID[FIRST], "active", "yes", "0", "2 of 2"]
    assert second[1:5] == ["ready", "yes", "0", "1 of 2"]
    assert (first[6].startswith("20"), second[6:]) == (True, ["-", "-"])
    lacking = run("keys", "list", ENCRYPTION_KEYS=SECOND)
    assert re.search(rf"^{ID[FIRST]}  active  no ", lacking.out, re.MULTILINE)
    for key in (FIRST, SECOND):
        assert key not in lacking.out + run("keys", "list", "--json").out
    assert run("keys", "list", "--json").rows[0].keys() == {
        "id", "state", "in_ring", "required", "rows", "held_by", "servers", "added_at", "activated_at", "disabled_at",
    }  # fmt: skip


def test_activation_is_refused_with_one_sentence_or_forced(run: Run, database_url: str) -> None:
    async def serve(database: Database) -> None:
        async with database.write() as tx:
            await instances.heartbeat(tx, instances.this_process(ring(FIRST).key_ids, system_clock()), system_clock)

    on(database_url, serve)
    assert "1 running server does not have the key" in run("keys", "activate", ID[SECOND]).sentence
    assert "is the active key" in run("keys", "activate", ID[SECOND], "--force").line
    assert json.loads(run("keys", "activate", ID[FIRST], "--json").out) == {"id": ID[FIRST], "state": "active"}
    assert json.loads(run("keys", "disable", ID[SECOND], "--json").out) == {"id": ID[SECOND], "state": "disabled"}
    assert "is not in ONE_RUNTIME_ENCRYPTION_KEYS here" in run("keys", "activate", "0" * 32).sentence
    assert "is not known" in run("keys", "disable", "0" * 32).sentence
    assert "No encryption key is set" in run("keys", "list", ENCRYPTION_KEYS="").sentence


def test_unreadable_rows_are_reported_and_fail_the_command(run: Run, database_url: str) -> None:
    values = seed(database_url, 3)
    (_, broken), *_ = sorted(values)

    async def break_row(database: Database) -> None:
        async with database.write() as tx:
            await sealed_rows.spoil(tx, broken)

    on(database_url, break_row)
    run("keys", "activate", ID[SECOND])
    result = run("keys", "reseal", "--json")
    assert (result.code, result.err) == (1, "")
    report = json.loads(result.out)
    assert (report["resealed"], report["left"]) == (3, 1)
    assert [(row["table"], row["id"]) for row in report["broken"]] == [("credentials", broken)]
    again = run("keys", "reseal")
    assert (again.code, again.out) == (1, "0 rows resealed, 1 left.\n")
    assert f"credentials {broken} cannot be decrypted" in again.err


def test_lost_key_is_abandoned_after_a_confirmation(
    run: Run, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seed(database_url, 3)
    monkeypatch.setattr(sys, "stdin", io.StringIO("n\n"))
    refused = run("keys", "abandon", ID[FIRST], ENCRYPTION_KEYS=SECOND)
    assert (refused.code, refused.out.strip()) == (1, "")
    assert f"Only the key {ID[FIRST]} can decrypt the values of 4 rows." in refused.err
    done = run("keys", "abandon", ID[FIRST][:8], "--yes", ENCRYPTION_KEYS=SECOND)
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [
        "credentials: 3 rows",
        "unredeemed_connections: 1 row",
        "consents: 0 rows",
        "revocations: 0 rows",
        "idempotency_keys: 0 rows",
        "webhook_secrets: 0 rows",
        "agent_runs: 0 rows",
        "approval_requests: 0 rows",
        "totp_secrets: 0 rows",
        f"{ID[FIRST]} is disabled. {ID[SECOND]} is the active key.",
    ]
    assert "No encryption key is set" in run("keys", "abandon", ID[FIRST], "--yes", ENCRYPTION_KEYS="").sentence


@contextmanager
def resealing(database_url: str) -> Iterator["subprocess.Popen[str]"]:
    """Run `keys reseal` as a process with one row per step."""
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        "ONE_RUNTIME_DATABASE_URL": database_url,
        "ONE_RUNTIME_ENCRYPTION_KEYS": f"{FIRST},{SECOND}",
    }
    words = [sys.executable, "-m", "one_runtime", "keys", "reseal", "--batch", "1"]
    with ForkedProcess(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        yield process


async def wait_for_first_rows(database: Database) -> None:
    """Return when the first rows are resealed."""
    async for _ in async_attempts(30):
        if ID[SECOND] in await sealed_rows.used_keys(database):
            return


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_resealing_finishes_its_step_and_continues_on_the_next_run(
    run: Run, database_url: str, number: signal.Signals
) -> None:
    values = seed(database_url, 400)
    run("keys", "activate", ID[SECOND])
    with resealing(database_url) as process:
        on(database_url, wait_for_first_rows)
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert err.splitlines()[-1] == "Stopped. Run the command again to continue."
    resealed, _, remaining = re.sub(r" rows? resealed, ", " ", out).partition(" ")
    assert int(resealed) > 0
    assert int(remaining.split(" ", maxsplit=1)[0]) == len(values) - int(resealed)
    result = run("keys", "reseal")  # standard error has a line of progress after two seconds
    assert (result.code, result.out) == (0, f"{len(values) - int(resealed)} rows resealed, 0 left.\n")
    assert contents(database_url, SECOND) == values


@pytest.mark.slow
def test_resealing_ignores_sighup(run: Run, database_url: str) -> None:
    values = seed(database_url, 400)
    run("keys", "activate", ID[SECOND])
    with resealing(database_url) as process:
        on(database_url, wait_for_first_rows)
        process.send_signal(signal.SIGHUP)
        out, _ = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, f"{len(values)} rows resealed, 0 left.\n")


@pytest.mark.slow
@pytest.mark.only_database("postgresql")
def test_second_signal_ends_the_command_while_the_database_is_blocked(run: Run, database_url: str) -> None:
    values = seed(database_url, 3)
    run("keys", "activate", ID[SECOND])
    waiting = "SELECT 1 FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid))"
    with resealing(database_url) as process, psycopg.connect(database_url) as holding:
        holding.execute("LOCK TABLE key_ring IN ACCESS EXCLUSIVE MODE")
        for _ in attempts(30):
            if holding.execute(waiting).fetchone():
                break
        for _ in attempts(20):  # after one signal the command waits for 30 seconds and retries
            process.send_signal(signal.SIGINT)
            if process.poll() is not None:
                break
        out, err = process.communicate()
    assert (process.returncode, out, err) == (-signal.SIGINT, "", "")
    assert contents(database_url, FIRST, SECOND) == values
