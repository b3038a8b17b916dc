"""`one-runtime members`: invite, list, change, remove and sign out the members of teams."""

import json
import re
from pathlib import Path

import pytest

from one_runtime.clock import system_clock
from one_runtime.db.engine import Transaction
from one_runtime.db.ids import new_id
from one_runtime.team import dashboard_sessions, invitations
from tests.cli.test_events import on
from tests.command_line import CommandResult, Run

ADA = "ada@example.com"
DASHBOARD = "https://one-runtime.internal.example"


@pytest.fixture
def run(bare: Run, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a runner of commands on a migrated database."""
    monkeypatch.setenv("ONE_RUNTIME_DATABASE_URL", database_url)
    monkeypatch.setenv("ONE_RUNTIME_OPERATOR", "grace")
    monkeypatch.setenv("ONE_RUNTIME_DASHBOARD_URL", DASHBOARD)
    monkeypatch.setenv("ONE_RUNTIME_DASHBOARD_LISTEN", "127.0.0.1:8003")
    return bare


def accept(database_url: str, url: str, sessions: int = 0) -> str:
    """Open a link, and sign in some times. Return the id of the member."""

    async def do(tx: Transaction) -> str:
        member = await invitations.accept(tx, url.rpartition("=")[2], system_clock())
        for _ in range(sessions):
            await dashboard_sessions.create(tx, member.member_id, "link", system_clock(), address=None, user_agent=None)
        return member.member_id

    return on(database_url, do)


def test_invited_person_becomes_a_member_whom_commands_change_and_remove(run: Run, database_url: str) -> None:
    organization = run("organizations", "create", "Northwind").line
    invited = run("members", "invite", " Ada@Example.com", "--role", "owner")
    (link,) = invited.out.splitlines()
    assert link.startswith(f"{DASHBOARD}/invitation?token=orui_")
    assert (invited.code, run("members", "list").out) == (0, "")
    assert re.fullmatch(r"The link works once, until \d{4}-.*Z\.\n", invited.err)
    ada = accept(database_url, link, sessions=2)
    (row,) = run("members", "list", "--json").rows
    assert re.fullmatch(r"\d{4}-.*Z", row.pop("created_at"))
    about = {"member_id": ada, "organization_id": organization, "email": ADA, "name": None}
    assert row == {**about, "role": "owner"}
    assert run("members", "sign-out", "ADA@example.com").line == f"Ended 2 sessions of {ADA}."
    assert json.loads(run("members", "sign-out", ADA, "--json").out) == {"email": ADA, "ended_sessions": 0}
    assert "is the only owner" in run("members", "remove", ADA).sentence
    assert "is the only owner" in run("members", "set-role", ADA, "admin").sentence
    second = json.loads(run("members", "invite", "mary@example.com", "--role", "owner", "--json").out)
    mary = accept(database_url, second["url"])
    assert run("members", "set-role", ADA, "admin").line == f"{ADA} now has the role admin."
    assert json.loads(run("members", "remove", ADA, "--json").out)["role"] == "admin"
    assert [row["email"] for row in run("members", "list", "--json").rows] == ["mary@example.com"]
    assert "does not have this member" in run("members", "remove", ADA).sentence
    events = run("events", "list", "--json").rows
    assert [(event["type"], event["actor"]["id"]) for event in reversed(events)] == [
        ("member.invited", "grace"),
        ("member.joined", ada),
        ("member.invited", "grace"),
        ("member.joined", mary),
        ("member.updated", "grace"),
        ("member.removed", "grace"),
    ]
    of_installation = run("installation", "events", "--json").rows
    assert [row["data"] for row in of_installation if row["type"] == "member.signed_out"] == [
        {"member_id": ada, "email": ADA}
    ] * 2


def test_organization_can_be_omitted_only_if_there_is_exactly_one(run: Run, database_url: str) -> None:
    assert "one-runtime organizations create" in run("members", "list").sentence
    northwind, southwind = (run("organizations", "create", name).line for name in ("Northwind", "Southwind"))

    def commands(*more: str) -> list[CommandResult]:
        return [
            run("members", "invite", ADA, "--role", "developer", *more),
            run("members", "list", *more),
            run("members", "set-role", "mary@example.com", "support", *more),
            run("members", "remove", "mary@example.com", *more),
        ]

    words = ("mary@example.com", "--role", "admin", "--organization", southwind, "--json")
    invited = json.loads(run("members", "invite", *words).out)
    accept(database_url, invited["url"])
    assert invited["organization_id"] == southwind
    for result in commands():
        assert result.sentence.startswith("There are 2 organizations. Add --organization with the id")
    for unknown in (new_id(), "nothing"):
        for result in commands("--organization", unknown):
            assert "one-runtime organizations list" in result.sentence
    assert run("members", "list", "--organization", northwind, "--json").rows == []
    assert [result.code for result in commands("--organization", southwind)] == [0, 0, 0, 0]


def test_invitation_without_a_dashboard_is_refused(run: Run) -> None:
    run("organizations", "create", "Northwind")
    refused = run("members", "invite", ADA, "--role", "owner", DASHBOARD_URL="", DASHBOARD_LISTEN="")
    assert "set ONE_RUNTIME_DASHBOARD_URL and ONE_RUNTIME_DASHBOARD_LISTEN" in refused.sentence
    assert "`--dashboard-url http://localhost:8003`" in refused.sentence
    assert run("events", "list").out == ""


def test_invalid_address_role_and_unknown_member_are_refused(run: Run) -> None:
    run("organizations", "create", "Northwind")
    assert "must be an e-mail address" in run("members", "invite", "ada", "--role", "owner").sentence
    assert (
        "is not one of 'support', 'developer', 'admin', 'owner'"
        in run("members", "invite", ADA, "--role", "root").usage_error
    )
    assert "Missing option '--role'." in run("members", "invite", ADA).err
    for words in (("set-role", ADA, "admin"), ("remove", ADA), ("sign-out", ADA)):
        assert "`one-runtime members list`" in run("members", *words).sentence


def test_link_for_a_member_warns_that_it_deletes_the_sign_in_methods(run: Run, database_url: str) -> None:
    run("organizations", "create", "Northwind")
    first = run("members", "invite", ADA, "--role", "owner")
    assert "Warning" not in first.err
    accept(database_url, first.out.strip())
    for more in ((), ("--json",)):
        again = run("members", "invite", ADA, "--role", "owner", *more)
        assert again.code == 0
        assert f"Warning: {ADA} is a member already. Unless the browser is signed in as this member, the" in again.err
        assert "link deletes the passkeys, the password and the sessions of the member." in again.err


def test_option_replaces_the_settings_of_the_dashboard(run: Run) -> None:
    run("organizations", "create", "Northwind")
    unset = {"DASHBOARD_URL": "", "DASHBOARD_LISTEN": ""}
    words = ("members", "invite", ADA, "--role", "owner", "--dashboard-url")
    assert run(*words, "http://localhost:8003/", **unset).out.startswith("http://localhost:8003/invitation?token=")
    assert run(*words, "localhost:8003", **unset).sentence.startswith("--dashboard-url must be an origin such as")


def test_command_beside_the_data_of_the_demo_names_them(
    bare: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ONE_RUNTIME_DATABASE_URL", raising=False)
    assert ".one-runtime-demo" not in bare("members", "list").sentence
    (tmp_path / ".one-runtime-demo").mkdir()
    (tmp_path / ".one-runtime-demo" / "one-runtime.db").touch()
    for words in (("members", "list"), ("members", "remove", ADA), ("api-keys", "list")):
        assert bare(*words).sentence.endswith(
            "To use the demo's data, set ONE_RUNTIME_DATABASE_URL=sqlite:///.one-runtime-demo/one-runtime.db."
        )
