"""`one-runtime tools`: fetch a vendor's OpenAPI document, list, check and remove its functions."""

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from one_runtime.agents.operations.data import read_folder
from tests.command_line import Run

FILE: Final = "one-runtime-tools.db"
DOCUMENT: Final[dict[str, Any]] = {
    "openapi": "3.0.3",
    "info": {"title": "HubSpot", "version": "1"},
    "servers": [{"url": "https://api.hubapi.com"}],
    "paths": {
        "/crm/v9/widgets": {"get": {"operationId": "listWidgets", "summary": "List\x1b[31m widgets."}},
        "/crm/v9/widgets/{id}": {"post": {"operationId": "renameWidget"}},
        "/upload": {"post": {"requestBody": {"required": True, "content": {"image/png": {}}}}},
    },
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(folder: Path, text: str, name: str = "api.json") -> str:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_a_fetched_document_is_listed_checked_and_removed(bare: Run, folder: Path) -> None:
    file = write(folder, json.dumps(DOCUMENT))
    fetched = bare("tools", "fetch", "hubspot", "--file", file)
    assert fetched.out == "hubspot: 2 functions in one-runtime-tools.db.\n"
    assert fetched.err == "Left out 1: the body is neither JSON nor a form.\n"
    again = json.loads(bare("tools", "fetch", "hubspot", "--file", file, "--json").out)
    assert (again["functions"], again["changed"], again["base_url"]) == (2, False, "https://api.hubapi.com")
    assert again["left_out"] == {"the body is neither JSON nor a form": 1}
    rows = [row for row in bare("tools", "list", "--json").rows if row["source"] == file]
    assert [(row["integration_slug"], row["functions"]) for row in rows] == [("hubspot", 2)]
    functions = {row["name"]: row for row in bare("tools", "list", "hubspot", "--json").rows}
    assert functions["list_widgets"]["access"] == "read"
    assert functions["list_widgets"]["description"] == "List [31m widgets."
    assert functions["rename_widget"]["path"] == "/crm/v9/widgets/{id}"
    assert bare("tools", "check").line == f"Checked 1 of the integrations in {FILE}. Problems: 0."
    assert bare("tools", "remove", "hubspot").line == "Removed the functions of hubspot."
    assert bare("tools", "remove", "hubspot").sentence.startswith("one-runtime-tools.db has no functions of 'hubspot'.")


@pytest.fixture
def vendor() -> Iterator[str]:
    """Serve the document at /api.json, and a redirect to the document at /latest. Return the origin."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response({"/api.json": 200, "/latest": 302}.get(self.path, 404))
            self.send_header("Location", "/api.json")
            self.end_headers()
            self.wfile.write(json.dumps(DOCUMENT).encode())

        def log_message(self, *_: object) -> None:
            """Write nothing to standard error."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_document_is_downloaded_from_an_allowed_address(bare: Run, vendor: str) -> None:
    fetched = bare("tools", "fetch", "hubspot", "--url", f"http://{vendor}/latest", "--json", EGRESS_ALLOW=vendor)
    assert json.loads(fetched.out)["source"] == f"http://{vendor}/latest"
    missing = bare("tools", "fetch", "hubspot", "--url", f"http://{vendor}/none", EGRESS_ALLOW=vendor).sentence
    assert missing == "The document cannot be downloaded: the server answered with the status 404."


def test_check_counts_functions_that_own_data_replaces(bare: Run, folder: Path) -> None:
    own = next(operation for operation in read_folder()["hubspot"] if operation.method == "GET")
    paths = {own.path: {"get": {"operationId": "x"}, "put": {"operationId": "y"}}}
    bare("tools", "fetch", "hubspot", "--file", write(folder, json.dumps(DOCUMENT | {"paths": paths})))
    checked = bare("tools", "check")
    assert (checked.code, checked.err) == (0, "hubspot: functions that One Runtime's own data replaces: 1.\n")


def test_the_file_is_the_one_of_the_setting(bare: Run, folder: Path) -> None:
    fetched = bare("tools", "fetch", "hubspot", "--file", write(folder, yaml.safe_dump(DOCUMENT), "api.yaml"),
                   TOOLS_FILE=str(folder / "other.db"))  # fmt: skip
    assert fetched.out == f"hubspot: 2 functions in {folder / 'other.db'}.\n"
    assert not (folder / "one-runtime-tools.db").exists()


def test_check_reports_an_unknown_integration_and_a_changed_base_url(bare: Run, folder: Path) -> None:
    bare("tools", "fetch", "hubspot", "--file", write(folder, json.dumps(DOCUMENT)))
    bare(
        "tools",
        "fetch",
        "slack",
        "--file",
        write(folder, json.dumps(DOCUMENT)),
        "--server-url",
        "https://slack.com/api",
    )
    with closing(sqlite3.connect(folder / "one-runtime-tools.db")) as connection:
        connection.execute("UPDATE integrations SET slug = 'gone' WHERE slug = 'slack'")
        connection.execute(
            "UPDATE integrations SET details = '{\"base_url\": \"https://old.example\"}' WHERE slug = 'hubspot'"
        )
        connection.commit()
    checked = bare("tools", "check")
    assert checked.code == 1
    assert checked.out.splitlines() == [
        "hubspot: The base URL was https://old.example, and is now https://api.hubapi.com. Fetch the document again.",
        "gone: The catalog has no integration with this slug. Remove the functions.",
        f"Checked 2 of the integrations in {FILE}. Problems: 2.",
    ]
    assert [
        problem["integration_slug"] for problem in json.loads(bare("tools", "check", "--json").out)["problems"]
    ] == [
        "hubspot",
        "gone",
    ]
    assert bare("tools", "check", "slack").sentence.startswith("one-runtime-tools.db has no functions of 'slack'.")


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"servers": [{"url": "https://api.stripe.com"}]}, "is for https://api.stripe.com. Requests to hubspot begin"),
        ({"servers": [{"url": "/v1"}]}, "The document is for /v1. Requests to hubspot begin with https://api.hubapi.com."),
        ({"paths": {}}, "The document has no operation that One Runtime can call: it has no paths."),
        ({"openapi": None, "swagger": "2.0", "host": "x.example", "basePath": "/v2"}, "is for https://x.example/v2."),
    ],
)  # fmt: skip
def test_a_document_of_another_api_is_refused(bare: Run, folder: Path, changes: dict[str, Any], message: str) -> None:
    document = {key: value for key, value in (DOCUMENT | changes).items() if value is not None}
    assert message in bare("tools", "fetch", "hubspot", "--file", write(folder, json.dumps(document))).sentence
    assert not (folder / "one-runtime-tools.db").exists()


@pytest.mark.parametrize(
    "text, message",
    [
        ("{", "The document is not valid JSON or YAML."),
        ("a: [", "The document is not valid JSON or YAML."),
        ("[" * 100_000, "The document is not valid JSON or YAML."),
        ("{}", "The document is not an OpenAPI document: it has no key openapi or swagger."),
        ("5", "The document is not an OpenAPI document: it has no key openapi or swagger."),
    ],
)
def test_another_file_is_refused(bare: Run, folder: Path, text: str, message: str) -> None:
    assert bare("tools", "fetch", "hubspot", "--file", write(folder, text)).sentence == message


@pytest.mark.parametrize(
    "words, message",
    [
        (("hubspot",), "Give either --url or --file."),
        (("hubspott", "--file", "x"), "There is no integration 'hubspott'. Did you mean hubspot"),
        (("hubspot", "--file", "missing.json"), "missing.json cannot be used: No such file or directory."),
        (("hubspot", "--url", "http://127.0.0.1:9/api.json"), "The document cannot be downloaded: "),
        (("hubspot", "--url", "file:///etc/passwd"), "The document cannot be downloaded: "),
    ],
)
def test_wrong_options_are_one_sentence(bare: Run, words: tuple[str, ...], message: str) -> None:
    assert bare("tools", "fetch", *words).sentence.startswith(message)


def test_an_integration_without_functions_is_named(bare: Run) -> None:
    assert bare("tools", "list", "front").sentence.startswith("front has no functions.")
