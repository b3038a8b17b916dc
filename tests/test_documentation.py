"""The documentation agrees with the code: it is complete, all names in it exist, and no link is broken."""

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import httpx2
import pytest
import typer
from pydantic import SecretStr
from starlette.routing import Route

from one_runtime import cli
from one_runtime.api.application import SPECS
from one_runtime.db import schema
from one_runtime.encryption.vault import new_key
from one_runtime.explanations.webhook_errors import DELIVERY_ERRORS
from one_runtime.serving.application import create_app
from one_runtime.settings import FROM_FILES, PREFIX, Settings
from one_runtime.tenancy.event_types import TYPES, EventType
from one_runtime.tenancy.installation_events import InstallationEventType
from scripts import docs_tables
from tests.documentation import ROOT, Page, page, pages
from tests.in_one_test import in_one_test
from tests.ports import free_port
from tests.running_demo import Demo, running_demo

pytestmark = pytest.mark.docs

PAGES: Final = pages()
CUSTOMERS_NAMES: Final = {"ONE_RUNTIME_URL", "ONE_RUNTIME_API_KEY", "ONE_RUNTIME_WEBHOOK_SECRET"}
EVENT: Final = re.compile(r"\b(?:connection|hosted_connection_session|end_user|api_key|organization)\.[a-z_]+\b")
ROUTE: Final = re.compile(r"(?:\b(GET|POST|PUT|PATCH|DELETE) )?(/v1/[\w{}./-]*[\w}])")
PACKAGE: Final = ROOT / "src" / "one_runtime"
DECISIONS: Final = sorted((ROOT / "docs" / "decisions").glob("*.md"))


def code(cell: str) -> str:
    """Return the text between the backquotes of a table cell."""
    return cell.strip("`")


@cache
def served() -> tuple[dict[str, Any], set[str]]:
    """Return the OpenAPI document and the paths of all routes."""
    app = create_app(Settings(encryption_keys=SecretStr(new_key()))).app
    return app.openapi(), {route.path for route in app.routes if isinstance(route, Route)}


def operations() -> dict[str, dict[str, Any]]:
    """Return the operations by name, such as `GET /v1/integrations`."""
    paths: dict[str, dict[str, Any]] = served()[0]["paths"]
    return {
        f"{method.upper()} {path}": operation
        for path, methods in paths.items()
        for method, operation in methods.items()
    }


def inputs_of(operation: dict[str, Any]) -> set[str]:
    """Return the names of an operation's query parameters and body fields."""
    names = {parameter["name"] for parameter in operation.get("parameters", ()) if parameter["in"] == "query"}
    if "application/json" in operation.get("requestBody", {}).get("content", ()):
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        if "$ref" in schema:
            schema = served()[0]["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        names |= set(schema["properties"])
    return names


@cache
def commands() -> dict[str, set[str]]:
    """Return the options of each command, by name, such as `organizations create`."""

    def walk(command: Any, words: tuple[str, ...]) -> Iterator[tuple[str, set[str]]]:
        for name, inner in getattr(command, "commands", {}).items():
            yield from walk(inner, (*words, name))
        if not hasattr(command, "commands"):
            options = [option.opts for option in command.params if option.param_type_name == "option"]
            yield " ".join(words), {name for names in options for name in names}

    return dict(walk(typer.main.get_command(cli.app), ()))


@in_one_test(docs_tables.TABLES, name=lambda table: f"{table.page}: {table.heading}")
def test_every_table_that_follows_from_the_code_is_generated(table: docs_tables.Table) -> None:
    text = page(f"docs/{table.page}").text
    assert text == docs_tables.rewritten(table.page, text), "run `python -m scripts.docs_tables`"
    rows = list(table.rows())
    assert [row[0] for row in rows if f"| {row[0]} |" not in text] == []
    assert [row for row in rows if not all(row)] == [], "a cell is empty"


def test_page_of_settings_marks_each_setting_that_can_be_in_a_file() -> None:
    """The page says: each setting of the type `secret`, and each reloaded setting."""
    rows = page("docs/settings.md").table("Settings", 1)
    marked = {code(name) for name, kind, _, meaning in rows if kind == "secret" or "[Reloaded](#reloading)" in meaning}
    assert marked == {f"{PREFIX}{name.upper()}" for name in FROM_FILES}


@in_one_test(PAGES, name=lambda document: document.name)
def test_every_named_setting_exists(document: Page) -> None:
    known = {PREFIX + name.upper() for name in Settings.model_fields} | CUSTOMERS_NAMES
    known |= {f"{PREFIX}{name.upper()}_FILE" for name in FROM_FILES}
    assert set(re.findall(r"\bONE_RUNTIME_[A-Z_]*[A-Z]\b", document.text)) <= known


def test_every_route_is_documented_with_its_scope() -> None:
    documented = {}
    for title, text in page("docs/api.md").sections(3).items():
        match = re.match(r"\s*(?:No scope\.|Any scope\.|Scope `([a-z:]+)`\.)", text)
        assert match is not None, f"{title}: say its scope first"
        documented[title] = match[1]
    assert documented == {name: operation.get("x-required-scope") for name, operation in operations().items()}


def test_page_lists_the_routes_that_accept_an_idempotency_key() -> None:
    section = page("docs/api.md").sections(2)["Repeating requests"]
    listed = re.findall(r"^- `([A-Z]+ /v1/[^`]+)`$", section, re.MULTILINE)
    assert sorted(listed) == sorted(spec.name for spec in SPECS if spec.idempotent)


@pytest.mark.parametrize("client", ["python", "js"])
def test_readme_of_each_client_names_the_lists_with_pages(client: str) -> None:
    sources = (ROOT / "clients" / "python" / "src" / "one_runtime_client" / "resources").glob("*.py")
    nouns = {source.stem for source in sources if "self._pages(" in source.read_text("utf-8")}
    names = {
        f"{noun if client == 'python' else re.sub(r'_(.)', lambda match: match[1].upper(), noun)}.list"
        for noun in nouns
    }
    (sentence,) = re.findall(r"Lists[^`]*(.*?) return a list with pages", page(f"clients/{client}/README.md").text)
    assert set(re.findall(r"`([^`]+)`", sentence)) == names


@in_one_test(sorted(operations()), name=str)
def test_every_parameter_and_field_of_a_route_is_documented(name: str) -> None:
    text = page("docs/api.md").sections(3)[name]
    assert {field for field in inputs_of(operations()[name]) if f"`{field}`" not in text} == set()


@pytest.mark.parametrize("schema", ["Connection", "CreatedSession", "Disconnection", "EndUser"])
def test_every_field_of_a_response_is_documented(schema: str) -> None:
    fields = served()[0]["components"]["schemas"][schema]["properties"]
    text = page("docs/api.md").text
    assert {field for field in fields if f"`{field}`" not in text and f'"{field}"' not in text} == set()


def test_every_route_outside_the_openapi_document_is_named() -> None:
    document, paths = served()
    all_text = "\n".join(document.text for document in PAGES)
    hidden = {path.partition("{")[0] for path in paths - {path.replace(":path", "") for path in document["paths"]}}
    assert {path for path in hidden if path not in all_text} <= {"/docs/assets/", "/v1/end-users/"}


@in_one_test(PAGES, name=lambda document: document.name)
def test_every_named_route_exists(document: Page) -> None:
    if document.name in {"docs/acme.md", "docs/adding-an-integration.md"}:  # their paths belong to providers
        return
    known = {
        (method, re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path).replace(r"\{path\}", ".+"))))
        for method, path in (
            name.split(" ") for name in (*operations(), "POST /v1/mcp", "POST /v1/mcp/{organization_id}")
        )
    }
    unknown = [
        match
        for match in ROUTE.findall(document.text)
        if not any(match[0] in {"", method} and path.fullmatch(match[1]) for method, path in known)
        and match not in {("", "/v1/catalog"), ("", "/v1/contacts")}  # a common prefix, and a path of Acme CRM
    ]
    assert unknown == []


_LINK: Final = re.compile(r"\[([^\]]+)\]\([^)]*\)")


def sentences(cell: str) -> str:
    """Return the text of a table's cell as sentences, without links."""
    text = _LINK.sub(r"\1", cell).removesuffix(".")
    return f"{text[0].upper()}{text[1:]}."


def test_tables_of_reasons_have_the_explanations_of_events_and_deliveries() -> None:
    tables = {
        **{("docs/events.md", f"Reasons of `{kind}`", 3): kind.reasons for kind in EventType if kind.reasons},
        ("docs/webhooks.md", "Disabled endpoints", 2): EventType.WEBHOOK_ENDPOINT_DISABLED.reasons,
        ("docs/webhooks.md", "Read the deliveries", 2): DELIVERY_ERRORS,
    }
    del tables["docs/events.md", "Reasons of `webhook_endpoint.disabled`", 3]
    for (name, title, level), explanations in tables.items():
        rows = [row for row in page(name).table(title, level) if row[0].startswith("`")]
        documented = {code(row[0]): (sentences(row[1]), sentences(row[2])) for row in rows}
        assert documented == {reason: tuple(explanation) for reason, explanation in explanations.items()}, title


def test_every_table_is_listed_with_its_readable_data() -> None:
    rows = page("docs/security.md").table("What a database dump reveals")
    assert sorted(code(row[0]) for row in rows) == sorted(schema.metadata.tables)


@in_one_test(PAGES, name=lambda document: document.name)
def test_every_named_event_type_exists(document: Page) -> None:
    if document.name == "docs/vocabulary.md":  # this page also names methods of clients: see tests/test_vocabulary.py
        return
    known = {*TYPES, *(kind.value for kind in InstallationEventType)}
    assert set(EVENT.findall(document.text)) <= known


def test_every_error_code_of_the_popup_is_documented_and_typed() -> None:
    static = files("one_runtime.connect") / "static"
    scripts = [(static / name).read_text("utf-8") for name in ("popup.js", "connect.js")]
    codes = {name for script in scripts for name in re.findall(r'\bcode: "(\w+)"', script)}
    typed = set(re.findall(r'^ +\| "(\w+)"$', (static / "connect.d.ts").read_text("utf-8"), re.MULTILINE))
    documented = {code(row[0]) for row in page("docs/popup.md").table("The outcome")}
    assert {"documented": documented, "typed": typed} == {"documented": codes, "typed": codes}


def test_every_command_is_documented_with_its_options() -> None:
    documented = {
        title.removeprefix("one-runtime "): set(re.findall(r"^- `(--[a-z-]+)`", text, re.MULTILINE))
        for title, text in page("docs/cli.md").sections(2).items()
    }
    assert documented == commands()


@in_one_test(PAGES, name=lambda document: document.name)
def test_every_named_command_exists(document: Page) -> None:
    groups = {name.split(" ")[0] for name in commands() if " " in name}
    named = [words.split(" ") for words in re.findall(r"\bone-runtime ([a-z][a-z -]*)", document.text)]
    unknown = [words for words in named if " ".join(words[: 1 + (words[0] in groups)]).strip() not in commands()]
    assert unknown == []


@in_one_test(PAGES, name=lambda document: document.name)
def test_every_named_make_target_exists(document: Page) -> None:
    words = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    assert set(re.findall(r"(?:`|^)(?:PYTHON=\S+ )?make ([a-z-]+)", document.text, re.MULTILINE)) <= words


@in_one_test(PAGES, name=lambda document: document.name)
def test_no_link_or_image_is_broken(document: Page) -> None:
    broken = []
    for link in document.links:
        if re.match(r"[a-z]+:", link):
            continue
        name, _, fragment = link.partition("#")
        target = (document.path.parent / name).resolve() if name else document.path
        if not target.is_file() or (fragment and fragment not in page(str(target.relative_to(ROOT))).anchors):
            broken.append(link)
    assert broken == []


@in_one_test(PAGES, name=lambda document: document.name)
def test_no_page_has_an_unresolved_merge_conflict(document: Page) -> None:
    assert re.findall(r"^(?:<{7} .*|={7}|>{7} .*)$", document.text, re.MULTILINE) == []


@in_one_test(PAGES, name=lambda document: document.name)
def test_every_json_example_is_valid(document: Page) -> None:
    for example in document.code("json"):
        json.loads(example)


@pytest.mark.parametrize("language, name", [("python", "django_urls.py"), ("js", "express.mjs"), ("html", "page.html")])
def test_the_readme_quotes_the_snippets_that_run(language: str, name: str) -> None:
    assert page("README.md").code(language) == [(ROOT / "docs" / "snippets" / name).read_text("utf-8")]


def test_the_quick_starts_of_agents_quote_the_snippets_that_run() -> None:
    quick_starts = page("docs/agent-quick-starts.md")
    snippets = {path.read_text("utf-8") for path in (ROOT / "docs" / "snippets").glob("agent_*")}
    assert {*quick_starts.code("python"), *quick_starts.code("js")} == snippets


def test_every_decision_is_listed_with_its_number_and_title() -> None:
    listed = re.findall(r"^- \[(.+)\]\((decisions/\S+)\)$", page("docs/README.md").text, re.MULTILINE)
    titles = [(path.read_text("utf-8").partition("\n")[0], path) for path in DECISIONS]
    assert listed == [(title.removeprefix("# "), f"decisions/{path.name}") for title, path in titles]
    assert all(title.startswith(f"# {int(path.name[:4])}. ") for title, path in titles)


@in_one_test(DECISIONS, name=lambda path: path.name)
def test_every_decision_has_the_four_parts(path: Path) -> None:
    parts = re.findall(r"^\*\*(\w+)\.\*\*", path.read_text("utf-8"), re.MULTILINE)
    assert parts == ["Context", "Decision", "Consequences", "Alternatives"]


def test_the_architecture_diagram_lists_the_layers_of_the_import_contract() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    layers = [re.findall(r"\w+", layer) for layer in contracts[0]["layers"]]
    (diagram,) = page("docs/architecture.md").code("text")
    columns = [line[2:].split("   ")[0].split() for line in diagram.splitlines()[1:] if re.match(r"  \w", line)]
    positions = {name: row for row, names in enumerate(columns) for name in names}
    present = {path.stem for path in PACKAGE.iterdir()} & {name for layer in layers for name in layer}
    assert present <= set(positions) <= {name for layer in layers for name in layer}
    rows = [[positions[name] for name in layer if name in positions] for layer in layers]
    assert all(max(upper) < min(lower) for upper, lower in pairwise(filter(None, rows)))


def test_every_module_named_on_the_architecture_page_exists() -> None:
    named = re.findall(r"`([a-z_]+(?:/[a-z_]+)*)`", page("docs/architecture.md").prose)
    beside = {"clients", "tests", "benchmarks", "deploy", "scripts"}
    missing = {name for name in named if not (PACKAGE / name).is_dir() and not (PACKAGE / f"{name}.py").is_file()}
    assert missing == beside


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with running_demo(tmp_path_factory.mktemp("demo"), free_port(4)) as demo:
        yield demo


def run_in_shell(script: str, folder: Path, **more: str) -> str:
    """Run lines of a page in a shell in this folder. Return the output."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environ = {"PATH": path, "HOME": str(folder), **more}
    command = ["bash", "-euo", "pipefail", "-c", script]
    return subprocess.run(command, cwd=folder, env=environ, check=True, stdout=subprocess.PIPE, text=True).stdout


def send_like_curl(words: list[str]) -> httpx2.Response:
    """Send the request that curl would send for these arguments."""
    headers, body, url, rest = {}, None, "", iter(words)
    for word in rest:
        if word == "-H":
            name, _, value = next(rest).partition(": ")
            headers[name] = value
        elif word == "-d":
            body = next(rest)
        else:
            assert not word.startswith("-"), f"this test does not know curl's {word}"
            url = word
    return httpx2.request("GET" if body is None else "POST", url, headers=headers, content=body)


def connect_acme(demo: Demo) -> None:
    """Connect Acme CRM, as a reader does in the sample product."""
    connection = {"integration_slug": "acme", "end_user_id": "user_123", "auth_type": "api_key"}
    body = {**connection, "credentials": {"api_key": demo.acme_key}}
    headers = {"Authorization": f"Bearer {demo.api_key}"}
    assert httpx2.post(f"{demo.url}/v1/connections", json=body, headers=headers).status_code in {200, 201}


@pytest.mark.slow
def test_curl_lines_work_as_pasted(demo: Demo, tmp_path: Path) -> None:
    """A shell runs the lines. In this shell, `curl` is a function that prints its arguments."""
    (tmp_path / ".one-runtime-demo").symlink_to(demo.data)
    connect_acme(demo)
    blocks = [block for block in page("docs/getting-started.md").code("bash") if "curl " in block]
    pasted = "\n".join(blocks).replace("http://127.0.0.1:8000", demo.url)
    output = run_in_shell(
        f"curl() {{ printf '%s\\0' \"$@\" ''; }}\n{pasted}", tmp_path, ONE_RUNTIME_API_KEY=demo.api_key
    ).removesuffix("\0")
    requests = [request.split("\0") for request in output.removesuffix("\0").split("\0\0")]
    assert len(requests) == pasted.count("curl ")
    responses = [send_like_curl(request) for request in requests]
    assert [response.status_code for response in responses] == [200] * len(requests), [
        response.text for response in responses
    ]


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_the_commands_of_getting_started_make_an_api_key(tmp_path: Path) -> None:
    (block,) = [block for block in page("docs/getting-started.md").code("bash") if "one-runtime" in block]
    output = run_in_shell(f'{block}\nprintf "key %s" "$ONE_RUNTIME_API_KEY"', tmp_path)
    assert re.search(r"key oru_\w{58}$", output)
    assert (tmp_path / "encryption-keys").stat().st_mode & 0o077 == 0
