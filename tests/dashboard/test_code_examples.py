"""Code of the playground: each value is quoted, and the code runs against a server."""

import ast
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Final

import httpx2
import pytest

from one_runtime.dashboard.code_examples import CodeExample, CodeExamples
from tests.documentation import ROOT
from tests.running_demo import Demo

HOSTILE: Final = "o'Hara \"; rm -rf / $(id) `id` \\ </code>\n{x}"


EXAMPLES: Final = CodeExamples("https://connect.example.com")


def test_code_quotes_every_value() -> None:
    shown = [
        EXAMPLES.list_integrations(HOSTILE, {"search": HOSTILE}),
        EXAMPLES.create_session({"end_user_id": HOSTILE, "allowed_origins": [HOSTILE]}),
        EXAMPLES.call_provider(HOSTILE, "acme", "POST", "/a?b=%20", HOSTILE),
    ]
    for curl, python, javascript in shown:
        assert not curl.install
        for example, readme in ((python, "clients/python"), (javascript, "clients/js")):
            assert f"./{readme}" in example.install
            documented = (ROOT / readme / "README.md").read_text()
            assert example.install.replace("./clients/js", "../one-runtime/clients/js") in documented
        words = shlex.split(curl.code)
        assert words[0] == "curl"
        assert "id" not in words
        literals = [node.value for node in ast.walk(ast.parse(python.code)) if isinstance(node, ast.Constant)]
        assert HOSTILE in literals
        assert json.dumps(HOSTILE) in javascript.code
    command = shlex.split(shown[2][0].code)
    assert command[command.index("--data-raw") + 1] == HOSTILE
    assert f"One-Runtime-End-User: {HOSTILE}" in command
    session = shlex.split(shown[1][0].code)
    sent = json.loads(session[session.index("--data-raw") + 1])
    assert sent == {"end_user_id": HOSTILE, "allowed_origins": [HOSTILE]}


@pytest.mark.slow
def test_code_runs(demo: Demo, tmp_path: Path) -> None:
    end_user, headers = "o'hara?&", {"authorization": f"Bearer {demo.api_key}"}
    connection = {
        "integration_slug": "acme",
        "end_user_id": end_user,
        "auth_type": "api_key",
        "credentials": {"api_key": demo.acme_key},
    }
    httpx2.post(f"{demo.url}/v1/connections", json=connection, headers=headers).raise_for_status()
    examples = CodeExamples(demo.url)
    contact = json.dumps({"name": "Zoë ‘O’Hara", "email": "zoe@example.com"})
    listed = examples.list_integrations(end_user, {"status": "connected", "logo": "none"})
    cases: tuple[tuple[list[CodeExample], str, str], ...] = (
        (listed, '"slug": "acme"', "acme connected"),
        (examples.create_session({"end_user_id": end_user, "mode": "link"}), "orcs_", "/connect?session_token=orcs_"),
        (examples.call_provider(end_user, "acme", "GET", "/v1/contacts?limit=1", ""), '"contacts"', '"contacts"'),
        (examples.call_provider(end_user, "acme", "POST", "/v1/contacts", contact), "Zoë", "Zoë"),
    )
    environ = {**os.environ, "ONE_RUNTIME_API_KEY": demo.api_key, "PYTHONPATH": os.pathsep.join(sys.path)}
    for (curl, python, _), of_curl, of_python in cases:
        for command, expected in (
            (["bash", "-c", curl.code], of_curl),
            ([sys.executable, "-c", python.code], of_python),
        ):
            done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
            assert expected in done.stdout, (command, done.stdout, done.stderr)


@pytest.mark.foreign
def test_javascript_can_be_parsed(tmp_path: Path) -> None:
    requests = (
        EXAMPLES.list_integrations(HOSTILE, {}),
        EXAMPLES.create_session({"end_user_id": HOSTILE}),
        EXAMPLES.call_provider(HOSTILE, "acme", "PUT", "/", HOSTILE),
    )
    for number, (_, _, javascript) in enumerate(requests):
        script = tmp_path / f"{number}.mjs"
        script.write_text(javascript.code, encoding="utf-8")
        subprocess.run(["node", "--check", str(script)], check=True)
