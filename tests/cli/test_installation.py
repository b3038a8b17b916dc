"""`one-runtime installation`: the state of the database, the confirmation of a copy, and holding a copy back."""

import asyncio
import io
import json

import pytest

from one_runtime.clock import system_clock
from one_runtime.jobs.liveness import Liveness
from tests import sealed_rows
from tests.command_line import Run

pytestmark = pytest.mark.slow


@pytest.fixture
def run(bare: Run, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a runner of commands on a migrated database."""
    monkeypatch.setenv("ONE_RUNTIME_DATABASE_URL", database_url)
    return bare


def check_in(database_url: str) -> bool:
    """Do the check-in of a server. Return True if the database is live."""

    async def check_in() -> bool:
        async with sealed_rows.opened(database_url) as database:
            server = Liveness()
            await server.check_in(database, system_clock())
            return server.is_live

    return asyncio.run(check_in())


def test_copy_is_live_after_its_confirmation(run: Run, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_in(database_url)
    assert '"live": true' in run("installation", "show", "--json").out
    assert "live database" in run("installation", "confirm").line
    assert "`one-runtime installation confirm`" in run("installation", "hold").line
    assert not check_in(database_url)
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    refused = run("installation", "confirm")
    assert refused.code == 1
    assert "A server last used the live database at" in refused.out
    assert "Stop all servers of the original database first." in refused.out
    assert not check_in(database_url)
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    assert run("installation", "confirm").code == 0
    assert check_in(database_url)


def test_state_is_shown_as_text_and_json(run: Run, database_url: str) -> None:
    check_in(database_url)
    run("installation", "hold")
    shown = run("installation", "show").out
    assert "This database is an unconfirmed copy." in shown
    assert "No connection has a refresh token" in shown
    state = json.loads(run("installation", "show", "--json").out)
    assert state.keys() == {"id", "live", "live_at", "rotating_connections"}
    assert (state["live"], state["rotating_connections"]) == (False, [])


def test_confirmation_without_a_question(run: Run, database_url: str) -> None:
    held = json.loads(run("installation", "hold", "--json").out)
    assert held["live"] is False
    confirmed = run("installation", "confirm", "--yes", "--json")
    assert json.loads(confirmed.out) == {"id": held["id"], "live": True, "changed": True}
    assert "No connection has a refresh token" in confirmed.err
    assert check_in(database_url)
    again = run("installation", "confirm", "--json")
    assert (json.loads(again.out)["changed"], again.err) == (False, "")
