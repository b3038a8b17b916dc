"""Editors, type checkers and `help` show the methods of the Python client with their arguments and answers."""

import inspect
import json
import pydoc
import subprocess
import sys
from operator import attrgetter
from pathlib import Path
from typing import Final, get_type_hints

import jedi
import pytest

from one_runtime_client import AsyncOneRuntime, OneRuntime
from tests.clients.python_callers import ROUTES
from tests.foreign.process import node

ROOT: Final = Path(__file__).resolve().parent.parent.parent
SOURCE: Final = ROOT / "clients" / "python" / "src"
PROXY: Final = tuple(
    f"proxy.{method}" for method in ("request", "stream", "get", "head", "post", "put", "patch", "delete")
)
OPTIONS: Final = {"timeout", "headers"}


def test_every_method_of_both_clients_has_a_docstring_of_its_own_and_the_same_arguments() -> None:
    with OneRuntime("http://127.0.0.1", "oru_key") as client:
        methods = {name: attrgetter(name)(client) for name in (*ROUTES, *PROXY)}
    waiting = AsyncOneRuntime("http://127.0.0.1", "oru_key")
    docstrings = {inspect.getdoc(method) for method in methods.values()}
    assert len(docstrings - {None}) == len(methods)
    for name, method in methods.items():
        signature, other = inspect.signature(method), inspect.signature(attrgetter(name)(waiting))
        assert list(signature.parameters) == list(other.parameters), name
        assert signature.parameters.keys() >= OPTIONS, name
        assert get_type_hints(method)["return"] is not inspect.Signature.empty
        documented = (inspect.getdoc(method) or "").partition("Args:\n")[2].partition("\n\n")[0]
        assert all(f"\n    {option}: " in f"\n{documented}" for option in OPTIONS), name
        assert "\nRaises:\n" in (inspect.getdoc(method) or ""), name


def test_raw_methods_show_the_arguments_and_the_docstring_of_the_method() -> None:
    with OneRuntime("http://127.0.0.1", "oru_key") as client:
        method, raw = client.sessions.create, client.sessions.with_raw_response.create
        assert list(inspect.signature(raw).parameters) == list(inspect.signature(method).parameters)
        assert inspect.getdoc(raw) == inspect.getdoc(method)
        assert "RawResponse" in str(inspect.signature(raw))


def test_help_and_the_errors_of_wrong_calls_name_the_method() -> None:
    text = pydoc.plain(pydoc.render_doc(OneRuntime))
    for line in (
        "disconnect(",
        "connections",
        "Connected accounts of end users",
        "sessions",
        "close(self)",
        "http_client:",
    ):
        assert line in text
    with OneRuntime("http://127.0.0.1", "oru_key") as client:
        shown = pydoc.plain(pydoc.render_doc(client.integrations.list))
        assert "end_user_id: str" in shown
        assert "functools" not in shown
        with pytest.raises(TypeError, match=r"disconnect\(\) takes 1 positional argument"):
            client.disconnect("acme", "user_123")  # type: ignore[call-arg]
        with pytest.raises(ValueError, match=r"status must be one of: active, needs_reauth\."):
            client.connections.list(status="nope")  # type: ignore[arg-type]


@pytest.mark.slow
def test_jedi_completes_methods_arguments_and_fields_of_answers() -> None:
    program = "from one_runtime_client import OneRuntime\nclient = OneRuntime()\n"
    project = jedi.Project(ROOT, added_sys_path=[str(SOURCE)])

    def script(line: str) -> jedi.Script:
        return jedi.Script(program + line, project=project)

    (signature,) = script("client.sessions.create(").get_signatures()
    assert {"end_user_id", "allowed_origins", "idempotency_key"} <= {param.name for param in signature.params}
    assert "Create a session" in signature.docstring()
    (called,) = script("client.proxy.get(").get_signatures()
    assert "connection_id" in {param.name for param in called.params}
    names = {completion.name for completion in script("client.sessions.get('id').").complete()}
    assert {"status", "connection", "last_error"} <= names


@pytest.mark.foreign
@pytest.mark.soak  # mypy checks the same file in each run
def test_pyright_finds_the_mistakes_of_a_program_and_no_others(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_bytes(Path(__file__).with_name("typical_use.py").read_bytes())
    settings = {
        "include": [program.name],
        "extraPaths": [str(SOURCE)],
        "typeCheckingMode": "strict",
        "reportUnnecessaryTypeIgnoreComment": "error",
        "enableTypeIgnoreComments": False,
        "reportPrivateUsage": "none",
        "pythonVersion": "3.11",
    }
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings))
    pyright = node("node_modules/pyright/index.js", "--project", str(tmp_path), "--pythonpath", sys.executable)
    process = subprocess.run([*pyright, "--outputjson"], capture_output=True, text=True, check=False)
    report = json.loads(process.stdout)
    assert report["generalDiagnostics"] == []
    assert report["summary"]["filesAnalyzed"] == 1
