"""`one-runtime sessions`: find, show and cancel hosted connection sessions."""

import asyncio
import json
from dataclasses import replace
from datetime import timedelta

import pytest

from one_runtime.clock import system_clock
from one_runtime.connecting.sessions import ConnectSession, insert_session
from one_runtime.db.ids import new_id
from one_runtime.tenancy import end_users
from one_runtime.tenancy.end_users import EndUser
from tests import sealed_rows
from tests.command_line import Run
from tests.sealed_rows import FIRST


@pytest.fixture
def run(bare: Run, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a runner of commands on a migrated database."""
    monkeypatch.setenv("ONE_RUNTIME_DATABASE_URL", database_url)
    monkeypatch.setenv("ONE_RUNTIME_ENCRYPTION_KEYS", FIRST)
    return bare


def store(database_url: str, *stored: ConnectSession) -> list[str]:
    """Store sessions. Return their tokens."""

    async def do() -> list[str]:
        async with sealed_rows.opened(database_url) as database, database.write() as tx:
            for session in stored:
                end_user = EndUser(session.end_user_id, None, None, session.created_at, session.created_at)
                await end_users.ensure(tx, session.organization_id, end_user)
            return [(await insert_session(tx, session)).secret for session in stored]

    return asyncio.run(do())


def session_of(organization: str, end_user: str, slug: str | None = "hubspot") -> ConnectSession:
    now = system_clock()
    return ConnectSession(
        id=new_id(), organization_id=organization, end_user_id=end_user, integration_slug=slug, mode="embed",
        auth_type=None, scopes=(), target_connection_id=None, multiple=False, suggested_connection_name=None,
        allowed_origins=(), metadata={"plan": "pro"}, return_url=None, created_at=now, updated_at=now,
        expires_at=now + timedelta(minutes=10),
    )  # fmt: skip


def test_sessions_are_filtered_over_all_organizations(run: Run, database_url: str) -> None:
    first, second = (run("organizations", "create", name).line for name in ("Northwind", "Globex"))
    pending = session_of(first, "ada")
    expired = replace(session_of(first, "grace", "slack"), expires_at=system_clock() - timedelta(seconds=1))
    failed = replace(session_of(second, "ada", None), status="failed", last_error={"code": "x", "message": "No"})
    unredeemed = replace(session_of(second, "eve"), status="unredeemed", mode="redirect")
    tokens = store(database_url, pending, expired, failed, unredeemed)

    def listed(*words: str) -> list[str]:
        return [row["id"] for row in run("sessions", "list", *words, "--json").rows]

    assert listed() == [unredeemed.id, failed.id, expired.id, pending.id]
    assert listed("--organization", first) == [expired.id, pending.id]
    assert listed("--end-user", "ada") == [failed.id, pending.id]
    assert listed("--integration", "slack") == [expired.id]
    assert listed("--status", "pending") == [unredeemed.id, pending.id]
    assert listed("--status", "expired") == [expired.id]
    assert listed("--status", "failed", "--since", "1h") == [failed.id]
    assert run("sessions", "list", "--until", "1h", "--json").out == "[]\n"
    page = run("sessions", "list", "--limit", "3")
    assert f"--cursor {expired.id}" in page.err
    assert listed("--cursor", expired.id) == [pending.id]
    titles, *rows = page.out.splitlines()
    assert titles.split()[:3] == ["id", "created", "organization"]
    assert "code=x message=No" in rows[1]
    shown = run("sessions", "show", failed.id, "--json").out
    assert json.loads(shown)["last_error"] == {"code": "x", "message": "No"}
    assert json.loads(shown)["metadata"] == {"plan": "pro"}
    assert not any(token in shown + page.out for token in tokens)


def test_session_is_cancelled_once(run: Run, database_url: str) -> None:
    session = session_of(run("organizations", "create", "Northwind").line, "ada")
    store(database_url, session)
    assert json.loads(run("sessions", "cancel", session.id, "--json").out)["status"] == "cancelled"
    assert "cancelled" in run("sessions", "cancel", session.id).out
    assert run("sessions", "list", "--status", "pending", "--json").out == "[]\n"


def test_unknown_session_and_organization_are_refused(run: Run) -> None:
    for verb in ("show", "cancel"):
        for identifier in (new_id(), "nothing"):
            assert "one-runtime sessions list" in run("sessions", verb, identifier).sentence
    assert "one-runtime organizations list" in run("sessions", "list", "--organization", "x").sentence
    assert "'--cursor': must be an id" in run("sessions", "list", "--cursor", "x").usage_error
