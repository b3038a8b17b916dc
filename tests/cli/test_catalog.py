"""`one-runtime catalog`: list, show, check, test, new, probe and export, without database and settings."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Final

import pytest
import typer

from one_runtime.catalog.entry_files import load_yaml
from one_runtime.catalog.model import Integration
from one_runtime.catalog.tools.build import HERE
from one_runtime.cli import catalog_probe, catalog_trial
from one_runtime.egress.client import Egress
from tests.billing import ENTRY, KEY
from tests.catalog.stand_in import StandIn
from tests.catalog.test_stand_in import raw_auth, values_of
from tests.command_line import Run
from tests.egress.certificates import tls_contexts
from tests.egress.network import LoopbackNetwork
from tests.egress.threaded import threaded_upstream

pytestmark = pytest.mark.slow

CLOSE = HERE / "integrations" / "close.yaml"


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Return a list for the answers to the prompts, in order."""
    lines: list[str] = []

    def prompt(text: str, *, default: object = None, hide_input: bool = False, err: bool) -> object:
        assert err, "standard output has only the result"
        prompts.append((text, hide_input))
        typed = lines.pop(0)
        return typed or default

    prompts: list[tuple[str, bool]] = []
    monkeypatch.setattr(typer, "prompt", prompt)
    yield lines
    assert lines == [], "the command used every answer"


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[StandIn]:
    """Run a stand-in for Close, built from its entry, behind the egress of the commands."""
    entry = load_yaml(CLOSE)
    stand_in = StandIn(raw_auth(entry, entry.auth[0]), values_of(entry.auth[0]))
    server, client = tls_contexts(tmp_path, "api.close.com")
    with threaded_upstream(server, stand_in.answer) as port:
        for module in (catalog_probe, catalog_trial):
            monkeypatch.setattr(
                module, "Egress", lambda **options: Egress(network=LoopbackNetwork(port, tls=client), **options)
            )
        yield stand_in


def test_list_is_filtered_by_category_and_search(bare: Run) -> None:
    lines = bare("catalog", "list").out.splitlines()
    assert len(lines) >= 600
    assert re.split("  +", lines[0]) == ["slug", "name", "category", "auth types", "verified"]
    row = ["hubspot", "HubSpot", "CRM", "api_key oauth2", "fixture documentation"]
    assert row in [re.split("  +", line) for line in lines]
    rows = bare("catalog", "list", "--category", "Recruiting", "--json").rows
    assert {row["category"] for row in rows} == {"Recruiting"}
    assert bare("catalog", "list", "--search", "quick books", "--json").rows[0]["slug"] == "quickbooks"
    (found, *_) = bare("catalog", "search", "quick books", "--json").rows
    assert (found["slug"], found["auth_types"]) == ("quickbooks", ["oauth2"])
    assert "There is no category 'Crm'. Use one of: CRM," in bare("catalog", "list", "--category", "Crm").sentence


def test_show_prints_the_complete_entry(bare: Run) -> None:
    out = bare("catalog", "show", "close").out
    for text in ("# Close", "Settings, then Developer, then API Keys", "https://api.close.com/api/v1/me/",
                 "/connect/callback/close", "PKCE"):  # fmt: skip
        assert text in out
    assert json.loads(bare("catalog", "show", "close", "--json").out)["slug"] == "close"
    assert bare("catalog", "show", str(CLOSE)).out == out
    assert "There is no integration 'hubsot'. Did you mean hubspot?" in bare("catalog", "show", "hubsot").sentence


def test_check_covers_the_whole_catalog(bare: Run) -> None:
    result = bare("catalog", "check")
    assert result.code == 0, result.out
    assert " integrations, 0 with errors." in result.out
    assert "Ways to connect: " in result.out
    assert "fixture" in result.out
    report = json.loads(bare("catalog", "check", "hubspot", "close", "--json").out)
    assert (report["integrations"], report["integrations_with_errors"], report["errors"]) == (2, 0, [])
    assert (report["auth_types"]["api_key"], sum(report["verified"].values())) == (2, 4)


def test_check_names_the_line_of_an_error(bare: Run, tmp_path: Path) -> None:
    wrong = tmp_path / "close.yaml"
    wrong.write_text(CLOSE.read_text(encoding="utf-8").replace("base_url: https", "base_url: ftp", 1), encoding="utf-8")
    result = bare("catalog", "check", str(wrong), "hubspot")
    assert result.code == 1
    assert f"{wrong}:" in result.out
    assert "2 integrations, 1 with errors." in result.out
    renamed = tmp_path / "renamed.yaml"
    renamed.write_text(CLOSE.read_text(encoding="utf-8"), encoding="utf-8")
    assert f"{renamed}: the slug must be the file's name\n" in bare("catalog", "check", str(renamed)).out
    wrong.write_text("slug: [", encoding="utf-8")
    checked = bare("catalog", "check", str(wrong), "--json")
    (error,) = json.loads(checked.out)["errors"]
    assert (checked.code, error["integration"], error["message"].startswith(f"{wrong}:")) == (1, str(wrong), True)
    assert "cannot be read" in bare("catalog", "check", str(tmp_path / "nothing.yaml")).out


def test_test_reports_the_account_of_a_key(bare: Run, provider: StandIn) -> None:
    key = provider.values["api_key"]
    result = bare("catalog", "test", "close", "--key", key)
    assert (result.code, result.err) == (0, "Sending GET https://api.close.com/api/v1/me/\n")
    assert result.out == f"Works. Account: acct-1 (acct-1) (id {provider.account()})\n"
    assert key not in result.out
    assert json.loads(bare("catalog", "test", "close", "--key", key, "--json").out) == {
        "integration_slug": "close",
        "auth_type": "api_key",
        "outcome": "accepted",
        "account": {"id": provider.account(), "label": "acct-1 (acct-1)"},
        "reason": None,
        "missing_permission": None,
    }


def test_test_reports_the_provider_reason_of_a_refused_key(bare: Run, provider: StandIn) -> None:
    assert provider.values
    result = bare("catalog", "test", "close", "--key", "another-key-0123456789")
    assert (result.code, result.out) == (1, "Refused. Reason from Close: This is not known here.\n")
    result = bare("catalog", "test", "close", "--key", "another-key-0123456789", "--json")
    refused = json.loads(result.out)
    assert (result.code, refused["outcome"], refused["account"]) == (1, "refused", None)
    assert refused["reason"] == "This is not known here."


def test_test_prompts_for_the_key(bare: Run, provider: StandIn, answers: list[str]) -> None:
    answers.append(provider.values["api_key"])
    assert bare("catalog", "test", "close").out.startswith("Works.")


@pytest.mark.parametrize(
    "words,message",
    [
        (("close", "--auth-type", "oauth2"), "that this command can test. Use one of: api_key."),
        (("gmail",), "Gmail supports only oauth2, which this command cannot test. Connect an account in the popup"),
        (("close", "--key", "short"), "does not have the expected form"),
        (("close", "--credential", "a-secret"), "A --credential must have the form name=value."),
        (("close", "--credential", "a-secret=="), "--credential must be name=value, with one of these names: api_key."),
        (("close", "--param", "x=1"), "--param must be name=value, with one of these names: none."),
        (("aircall", "--key", "a-secret"), "a single key. Use --credential for each field: username, password."),
        (("workday", "--auth-type", "basic"), "has no check"),
    ],
)  # fmt: skip
def test_untestable_input_is_refused_with_one_sentence(bare: Run, words: tuple[str, ...], message: str) -> None:
    result = bare("catalog", "test", *words)
    assert message in result.err
    assert "Traceback" not in result.err
    assert "a-secret" not in result.out + result.err
    assert result.code == 1


def test_new_writes_an_entry_with_two_open_questions(
    bare: Run, tmp_path: Path, answers: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    answers += ["example-desk", "api_key basic none oauth2 client_credentials", "Example Desk",
                "Tickets for examples.", "Support", "https://www.example.com", "https://developers.example.com",
                "https://api.example.com/", "/me"]  # fmt: skip
    assert bare("catalog", "new").line.startswith("Wrote example-desk.yaml.")
    entry: Integration = load_yaml(tmp_path / "example-desk.yaml")
    assert entry.auth_types == ("api_key", "basic", "none", "oauth2", "client_credentials")
    result = bare("catalog", "check", "example-desk.yaml")
    warning, error = result.out.splitlines()[:2]
    assert warning.startswith("example-desk.yaml: warning: oauth2: authorization.issuer is missing.")
    assert error == "example-desk.yaml:68: auth[3].pkce must not be unknown; see the provider's documentation."
    assert "1 integration, 1 with errors." in result.out
    answers.append("example-desk")
    assert "already exists" in bare("catalog", "new").sentence


def test_end_of_the_input_of_new_is_one_sentence(tmp_path: Path) -> None:
    program = Path(sys.executable).with_name("one-runtime")
    command = [str(program), "catalog", "new"]
    result = subprocess.run(command, input="x-desk\n", capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (result.returncode, result.stdout.strip()) == (1, "")
    assert result.stderr.splitlines()[-1] == "There is no answer for Auth types. The command wrote no file."
    assert list(tmp_path.iterdir()) == []


def test_invalid_answer_is_prompted_for_again(bare: Run, tmp_path: Path, answers: list[str]) -> None:
    answers += ["../My Slug", "x-y", "magic", "api_key", "Y", "no full stop", "It is Y.", "Money", "Data",
                "", "https://y.example.com", "http://y.example.com", "https://y.example.com/docs",
                "https://api.y.example.com/", "me", "/me"]  # fmt: skip
    result = bare("catalog", "new", str(tmp_path / "x-y.yaml"))
    assert result.code == 0
    lines = result.err.splitlines()
    assert [lines[0], lines[2], lines[-1]] == [
        "Slug must consist of lower-case letters, digits and single hyphens between them.",
        (
            "Purpose of the product must be one sentence that begins with a capital letter or a digit and ends in a "
            "full stop."
        ),
        'Path of a cheap request that needs a credential must begin with "/". Put query parameters under `query`.',
    ]
    assert bare("catalog", "check", str(tmp_path / "x-y.yaml")).code == 0
    answers.append("fine")
    assert "or its folder does not exist" in bare("catalog", "new", str(tmp_path / "nowhere" / "x.yaml")).sentence


class BillingApi(BaseHTTPRequestHandler):
    """The API of `tests/billing.py`, over http. It accepts every key."""

    def do_GET(self) -> None:
        body = b'{"id": "acct-1", "name": "Acme Ltd"}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def local_entry(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    """A custom integration for an API on this machine, and the port of the API."""
    with ThreadingHTTPServer(("127.0.0.1", 0), BillingApi) as api:
        Thread(target=api.serve_forever, daemon=True).start()
        path = tmp_path / "x-billing.yaml"
        path.write_text(ENTRY.replace("https://billing.acme.com", f"http://127.0.0.1:{api.server_port}"), "utf-8")
        yield path, api.server_port
        api.shutdown()


def test_check_and_test_follow_the_rules_of_the_server_for_targets(bare: Run, local_entry: tuple[Path, int]) -> None:
    path, port = local_entry
    target = f"127.0.0.1:{port}"
    checked = bare("catalog", "check", str(path))
    assert f"{path}: warning: 127.0.0.1 is not a public address (loopback)" in checked.out
    assert f'add "{target}" to ONE_RUNTIME_EGRESS_ALLOW' in checked.out
    assert (checked.code, "1 integration, 0 with errors." in checked.out) == (0, True)
    tried = bare("catalog", "test", str(path), "--key", KEY)
    assert (tried.code, tried.out.startswith("Not sent. 127.0.0.1 is not a public address (loopback)")) == (2, True)
    assert json.loads(bare("catalog", "test", str(path), "--key", KEY, "--json").out)["outcome"] == "not_sent"
    (warning,) = json.loads(bare("catalog", "check", str(path), "--json").out)["warnings"]
    assert (warning["integration"], "loopback" in warning["message"]) == (str(path), True)
    tried = bare("catalog", "test", str(path), "--key", KEY, EGRESS_ALLOW=target)
    assert (tried.code, tried.out.startswith("Works.")) == (0, True), tried.out + tried.err
    assert "warning" not in bare("catalog", "check", str(path), EGRESS_ALLOW=target).out
    strict = bare("catalog", "check", str(path), PUBLIC_URL="https://connect.example.com")
    assert (strict.code, "http is allowed only on loopback" in strict.out) == (1, True)


def test_catalog_commands_ignore_errors_in_other_settings(bare: Run) -> None:
    assert bare("catalog", "check", "close", WORKERS="many").code == 0
    assert "ONE_RUNTIME_EGRESS_ALLOW" in bare("catalog", "check", "close", EGRESS_ALLOW="no-port").sentence


def test_new_accepts_an_api_on_this_machine_for_a_custom_integration(
    bare: Run, tmp_path: Path, answers: list[str]
) -> None:
    path = tmp_path / "x-inside.yaml"
    answers += ["x-inside", "api_key", "Inside", "It runs on this machine.", "Data",
                "http://localhost:18020", "http://localhost:18020/docs",
                "http://127.0.0.1:18020/v1", "/me"]  # fmt: skip
    assert json.loads(bare("catalog", "new", str(path), "--json").out) == {
        "integration_slug": "x-inside",
        "output": str(path),
    }
    assert "1 integration, 0 with errors." in bare("catalog", "check", str(path)).out


@pytest.mark.usefixtures("provider")
def test_probe_prints_or_writes_a_table(bare: Run, tmp_path: Path) -> None:
    result = bare("catalog", "probe", "close", "zendesk")
    assert result.code == 1, "the stand-in has no token endpoint"
    assert "| close | api_key | check | refused | refused: This is not known here. | alive |" in result.out
    assert result.err == "1 alive, 1 wrong, 3 not_probed\n", "progress is printed to terminals only"
    file = tmp_path / "table.json"
    assert bare("catalog", "probe", "zendesk", "--json", "--output", str(file)).code == 0
    assert {row["verdict"] for row in json.loads(file.read_text())} == {"not_probed"}


def test_export_writes_one_document_without_logos(bare: Run, tmp_path: Path) -> None:
    document = json.loads(bare("catalog", "export").out)
    assert document["license"] == "CC0-1.0"
    hubspot = next(integration for integration in document["integrations"] if integration["slug"] == "hubspot")
    assert hubspot["auth"][0]["check"]["path"] == "/account-info/2026-03/details"
    assert "<svg" not in json.dumps(document)
    file = tmp_path / "catalog.json"
    assert bare("catalog", "export", "--output", str(file)).line.endswith(f"integrations in {file}.")
    assert json.loads(file.read_text()) == document
    report = json.loads(bare("catalog", "export", "--output", str(file), "--json").out)
    assert report == {"output": str(file), "integrations": len(document["integrations"])}
    for entry in document["integrations"]:
        Integration.model_validate({name: value for name, value in entry.items() if name != "id"})


OAUTH2: Final = """
  - type: oauth2
    client:
      where: In Acme, open Developers.
    authorization:
      url: https://login.acme.com/tenant/authorize
    pkce: required
    token:
      url: https://login.acme.com/token
    base_url: https://api.acme.com
    check:
      path: /me
      expect:
        json:
          - path: id
            exists: true
      refused:
        status: [401]
    verified:
      how: unverified
"""


def test_check_asks_for_the_issuer_of_a_file(bare: Run, tmp_path: Path) -> None:
    path = tmp_path / "x-billing.yaml"
    path.write_text(f"{ENTRY.rstrip()}{OAUTH2}", "utf-8")
    checked = bare("catalog", "check", str(path))
    assert (checked.code, "1 integration, 0 with errors." in checked.out) == (0, True), checked.out + checked.err
    assert f"{path}: warning: oauth2: authorization.issuer is missing." in checked.out
    for name in ("oauth-authorization-server", "openid-configuration"):
        assert f"https://login.acme.com/.well-known/{name}" in checked.out
    issuer = "/authorize\n      issuer: https://login.acme.com/tenant\n"
    path.write_text(path.read_text("utf-8").replace("/authorize\n", issuer), "utf-8")
    assert "warning" not in bare("catalog", "check", str(path)).out
    assert "authorization.issuer" not in bare("catalog", "check", "asana").out, "we have looked for its issuer already"
