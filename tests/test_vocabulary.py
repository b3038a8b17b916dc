"""The HTTP API, the clients, the popup, events and the command line use the names in docs/vocabulary.md."""

import inspect
import json
import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from functools import cache
from operator import attrgetter
from pathlib import Path
from typing import Any, Final, get_args, get_type_hints

import pytest
import typer
from pydantic import SecretStr

import one_runtime_client
from one_runtime import cli
from one_runtime.encryption.vault import new_key
from one_runtime.errors import error_kinds
from one_runtime.serving.application import create_app
from one_runtime.settings import Settings
from one_runtime.tenancy import events
from one_runtime.tenancy.event_types import TYPES
from one_runtime_client import OneRuntime, errors
from one_runtime_client.resources.proxy import Proxy
from scripts.generate_clients import outdated
from tests.clients.python_callers import ROUTES
from tests.documentation import ROOT, page, pages

pytestmark = pytest.mark.docs

VOCABULARY: Final = page("docs/vocabulary.md")
JAVASCRIPT: Final = ROOT / "clients" / "js" / "src"
POPUP: Final = (ROOT / "src" / "one_runtime" / "connect" / "static" / "connect.d.ts").read_text("utf-8")
NOT_PUBLIC_NAMES: Final = {"options", "key", "input", "milliseconds", "response", "proxy", "request"}
"""Names in TypeScript files that no caller writes, such as positional arguments, and two members of the client."""
PROXY_METHODS: Final = ("request", "stream", "get", "head", "post", "put", "patch", "delete")
CHECKED_FOR_RETIRED_NAMES: Final = (
    "clients",
    "docs/snippets",
    "src/one_runtime/connect/static",
    "src/one_runtime/demo/sample_product",
)
_CODE: Final = re.compile(r"`([^`]+)`")
_TYPESCRIPT_NAME: Final = re.compile(r"(?:^|[{;,(])\s*(?:readonly )?(\w+)\??:", re.MULTILINE)
_OPERATION: Final = re.compile(r'(\w+): \{\s*method: "(\w+)",\s*path: "([^"]+)"')
_RESOURCE: Final = re.compile(r"""resource<.+>\((?:"(\w+)")?\)\(\{(.*?)^\}\);""", re.MULTILINE | re.DOTALL)
_EXPORT: Final = re.compile(r'^export (?:type )?(\*|\{.*?\}) from "\./(.*?)\.js";$', re.MULTILINE | re.DOTALL)
_DECLARATION: Final = re.compile(r"^export (?:interface (\w+).*?^\}|type (\w+) .*?;$)", re.MULTILINE | re.DOTALL)
_CLASS: Final = re.compile(r"^export class (\w+).*?(?:\{\}$|^\})", re.MULTILINE | re.DOTALL)
_PROPERTY: Final = re.compile(r"^  readonly \w+:(?:[^;{]|\{[^}]*\})*;$", re.MULTILINE)


def words(cell: str) -> list[str]:
    """Return the names in backquotes of a table cell."""
    return _CODE.findall(cell)


def column(heading: str, place: int = 1) -> set[str]:
    """Return the names in one column of a table on the page."""
    return {name for row in VOCABULARY.table(heading) for name in words(row[place])}


@cache
def document() -> dict[str, Any]:
    built: dict[str, Any] = create_app(Settings(encryption_keys=SecretStr(new_key()))).app.openapi()
    return built


def operations() -> Iterator[tuple[str, dict[str, Any]]]:
    """Return the operations by name, such as `GET /v1/integrations`."""
    for path, methods in document()["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def parameters() -> Iterator[dict[str, Any]]:
    for _, operation in operations():
        yield from operation.get("parameters", ())


def properties() -> Iterator[tuple[str, dict[str, Any]]]:
    for schema in document()["components"]["schemas"].values():
        yield from schema.get("properties", {}).items()


def snake_case(name: str) -> str:
    """Return `endUserId` as `end_user_id`."""
    return re.sub(r"[A-Z]", lambda letter: f"_{letter[0].lower()}", name)


def camel_case(name: str) -> str:
    """Return `end_user_id` as `endUserId`, like the JavaScript client."""
    return re.sub(r"_([a-z0-9])", lambda letter: letter[1].upper(), name)


def without_comments(types: str) -> str:
    """Return a TypeScript file without comments."""
    return re.sub(r"/\*.*?\*/|//[^\n]*", "", types, flags=re.DOTALL)


@cache
def javascript_types() -> str:
    """Return the types that the JavaScript client exports: interfaces, aliases, and the properties of classes."""
    declared: list[str] = []
    for exported, path in exports_of(JAVASCRIPT / "index.ts"):
        source = without_comments(path.read_text("utf-8"))
        declarations = [(match[1] or match[2], match[0]) for match in _DECLARATION.finditer(source)]
        declarations += [(match[1], properties_of_class(match)) for match in _CLASS.finditer(source)]
        declared += [text for name, text in declarations if exported == "*" or name in re.findall(r"\w+", exported)]
    return "\n".join(declared)


def exports_of(index: Path) -> Iterator[tuple[str, Path]]:
    """Yield the exported names and the file of each export, also of the files from which an index exports all."""
    for exported, path in _EXPORT.findall(index.read_text("utf-8")):
        file = index.parent / f"{path}.ts"
        yield from exports_of(file) if file.name == "index.ts" else [(exported, file)]


def properties_of_class(declaration: re.Match[str]) -> str:
    """Return the declaration of a class with only its public properties."""
    return "\n".join([f"export class {declaration[1]} {{", *_PROPERTY.findall(declaration[0]), "}"])


def typescript_names(types: str) -> set[str]:
    """Return the properties and arguments in a TypeScript file, with the API's spelling."""
    declared = {snake_case(name) for name in _TYPESCRIPT_NAME.findall(without_comments(types))}
    return declared - {name for method in ROUTES for name in method.split(".")} - NOT_PUBLIC_NAMES


def http_names() -> set[str]:
    """Return the properties and parameters of the OpenAPI document. Omit headers."""
    return {name for name, _ in properties()} | {
        parameter["name"] for parameter in parameters() if parameter["in"] != "header"
    }


def python_names() -> set[str]:
    """Return the arguments of the Python client's methods, and the attributes of the methods' results."""
    with OneRuntime("http://127.0.0.1", "oru_key") as client:
        methods = [attrgetter(name)(client) for name in ROUTES]
        methods += [getattr(client.proxy, name) for name in PROXY_METHODS]
    called = [OneRuntime, errors.OneRuntimeError, *methods]
    names = {name for method in called for name in inspect.signature(method).parameters}
    classes = client_classes().values()
    return names | {field.name for cls in classes for field in fields(cls)}


def client_classes() -> dict[str, type]:
    """Return the dataclasses that the Python client exports. They are the classes of results."""
    exported = vars(one_runtime_client)
    classes = {name: value for name, value in exported.items() if isinstance(value, type) and is_dataclass(value)}
    return {name: value for name, value in classes.items() if name not in {"Page", "RawResponse"}}


def references(node: Any) -> set[str]:
    """Return the schemas to which a part of the OpenAPI document refers, directly or through other schemas."""
    named = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(node)))
    schemas = document()["components"]["schemas"]
    return named.union(*(references(schemas[name]) for name in named))


def event_names() -> set[str]:
    """Return the keys of events' data, as listed in docs/events.md."""
    rows = [line.strip("|").split(" | ") for line in page("docs/events.md").prose.splitlines() if line.startswith("|")]
    cells = [row[2] for row in rows if {*words(row[0])} & {*TYPES}]
    return {name for cell in cells for name in words(re.split(r":|such as", cell)[0])}


def values(node: Any) -> set[str]:
    """Return the values that a schema enumerates."""
    if isinstance(node, list):
        return {value for inner in node for value in values(inner)}
    if not isinstance(node, dict):
        return set()
    own = {*node.get("enum", ()), *([node["const"]] if "const" in node else [])}
    return own | {value for inner in node.values() for value in values(inner)}


def listed_values() -> dict[str, set[str]]:
    """Return the values of each field on the page. Omit the popup's message, because its values are not in the API."""
    listed: dict[str, set[str]] = {}
    for field, cell in VOCABULARY.table("Values"):
        if "popup" not in field:
            listed.setdefault(words(field)[0], set()).update(words(cell))
    return listed


def test_operation_id_and_method_of_both_clients_have_the_same_verb() -> None:
    ids = {name: operation["operationId"] for name, operation in operations()}
    methods = {route: name for name, route in ROUTES.items()}
    for route, method in methods.items():
        verb, noun = ids[route].partition("_")[0], method.rpartition(".")[2]
        assert verb == noun or (verb in {"get", "list"} and noun in ids[route]), f"{route}: {ids[route]}, {method}"
        prescribed = {"PUT": "replace", "PATCH": "update"}.get(route.partition(" ")[0], verb)
        assert verb == prescribed, f"{route}: {ids[route]}"
    of_proxy = {name.removeprefix("proxy_") for name in ids.values() if name.startswith("proxy_")}
    assert of_proxy - {"options"} <= vars(Proxy).keys()


@pytest.mark.slow
def test_generated_parts_of_the_clients_follow_the_openapi_document() -> None:
    assert [*outdated()] == [], "run: .venv/bin/python -m scripts.generate_clients"


def test_both_clients_have_the_same_methods() -> None:
    tables = [
        table
        for path in (JAVASCRIPT / "resources").glob("*.ts")
        for table in _RESOURCE.findall(path.read_text("utf-8"))
    ]
    javascript = {
        f"{noun}.{verb}" if noun else verb: f"{method} {path}"
        for noun, operations in tables
        for verb, method, path in _OPERATION.findall(operations)
    }
    assert javascript == {camel_case(name): route for name, route in ROUTES.items()}


def test_page_lists_exactly_the_public_names() -> None:
    of_types = typescript_names(javascript_types()) | typescript_names(POPUP)
    assert http_names() | python_names() | of_types | event_names() == column("Names")


def test_every_header_is_on_the_page() -> None:
    of_requests = {parameter["name"] for parameter in parameters() if parameter["in"] == "header"}
    assert of_requests | document()["components"]["headers"].keys() == column("Headers", 0)


def test_every_class_of_an_answer_has_the_same_name_and_fields_in_both_clients() -> None:
    schemas = document()["components"]["schemas"]
    returned = references([operation["responses"] for _, operation in operations()]) - {"Problem", "Health"}
    answers = {name for name in returned if not name.endswith(("Page", "List"))}
    classes = client_classes()
    assert classes.keys() == answers
    for name in answers:
        expected = set(schemas[name]["properties"])
        assert {field.name for field in fields(classes[name])} == expected, name
        assert typescript_fields(name) == expected, name


def typescript_fields(name: str) -> set[str]:
    """Return the properties of an exported interface or class and of its parent, with the API's spelling."""
    declaration = rf"^export (?:interface|class) {name}(?: extends (\w+))? \{{(.*?)^\}}"
    declared = re.search(declaration, javascript_types(), re.MULTILINE | re.DOTALL)
    assert declared is not None, f"the client does not export {name}"
    own = re.findall(r"^  (?:readonly )?(\w+)\??:", declared[2], re.MULTILINE)
    return {snake_case(field) for field in own} | (typescript_fields(declared[1]) if declared[1] else set())


def test_every_class_of_a_request_body_in_javascript_has_the_name_of_openapi() -> None:
    exported = re.findall(r"^export interface (New\w+|\w+Update) ", javascript_types(), re.MULTILINE)
    assert {*exported} <= document()["components"]["schemas"].keys()
    assert len(exported) >= 5


def test_page_lists_exactly_the_values_of_the_api() -> None:
    listed = listed_values()
    enumerated: dict[str, set[str]] = {"type": {*get_args(events.ActorType)}}
    described = [
        *properties(),
        *((parameter["name"], parameter["schema"]) for parameter in parameters() if parameter["in"] == "query"),
    ]
    for name, schema in described:
        if found := values(schema):
            enumerated.setdefault(name, set()).update(found)
    listed["category"] = enumerated["category"]  # the page only links to the categories and event types
    enumerated["type"] -= {*TYPES}
    assert enumerated == listed


def test_the_types_of_both_clients_have_the_values_of_the_page() -> None:
    listed = {value for each in listed_values().values() for value in each}
    hints = [get_type_hints(kind) for kind in client_classes().values()]
    assert {value for types in hints for kind in types.values() for value in literals(kind)} <= listed
    assert set(re.findall(r'(?<!\[)"(\w+)"', javascript_types())) <= listed


def literals(kind: Any) -> set[str]:
    """Return the values of a `Literal` type, even if it is inside another type."""
    return {
        value
        for argument in get_args(kind)
        for value in ({argument} if isinstance(argument, str) else literals(argument))
    }


def test_both_clients_raise_the_class_of_the_page() -> None:
    rows = [(words(kind)[0], words(statuses), words(codes)) for kind, statuses, codes in VOCABULARY.table("Errors")]
    of_status = {status: kind for kind, statuses, _ in rows for status in statuses}
    of_code = {code: kind for kind, _, codes in rows for code in codes}
    own = {
        "connection_failed": "ConnectionFailed",
        "timeout": "ConnectionFailed",
        "unexpected_answer": "OneRuntimeError",
        "webhook_not_verified": "WebhookVerificationError",
    }
    python = {code: kind.__name__ for code, kind in errors.CLASS_OF_CODE.items()}
    assert of_code == python | own
    assert of_status == {str(status): kind.__name__ for status, kind in errors.CLASS_OF_STATUS.items()}
    source = (JAVASCRIPT / "errors.ts").read_text("utf-8")
    for name, listed in (("CLASS_OF_CODE", python), ("CLASS_OF_STATUS", of_status)):
        table = source.partition(f"const {name}")[2].partition("]);")[0]
        assert dict(re.findall(r'\["?(\w+)"?, (\w+)\]', table)) == listed


def test_every_error_of_the_server_has_a_class_unless_a_program_cannot_handle_it() -> None:
    plain = {kind.status for kind in error_kinds() if errors.class_of(kind.code, kind.status) is errors.OneRuntimeError}
    assert plain <= {405, 408, 413, 415, 501}


def test_the_command_line_has_the_nouns_and_verbs_of_the_page() -> None:
    groups: dict[str, Any] = vars(typer.main.get_command(cli.app))["commands"]
    for noun, verbs in VOCABULARY.table("Command line"):
        assert groups[words(noun)[0]].commands.keys() == set(words(verbs))


def test_no_retired_name_is_used() -> None:
    texts = {
        document.name: document.text
        for document in pages()
        if document != VOCABULARY and "decisions" not in document.name
    }
    texts["openapi.json"] = json.dumps(document())
    for folder in CHECKED_FOR_RETIRED_NAMES:
        texts |= {path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for path in sources(ROOT / folder)}
    for name in column("Retired names", 0):
        camel = camel_case(name)
        pattern = re.compile(rf"(?<![\w/]){re.escape(name)}(?![\w-])|(?<!\w){re.escape(camel)}(?![\w-])")
        # `in` is faster than the pattern, and almost no text contains a retired name.
        containing = {where: text for where, text in texts.items() if name in text or camel in text}
        assert [where for where, text in containing.items() if pattern.search(text)] == [], name


def sources(folder: Path) -> Iterator[Path]:
    """Return the hand-written files of a folder."""
    built = {"node_modules", "dist"}
    kinds = {".py", ".js", ".mjs", ".ts", ".md", ".html", ".yaml", ".json"}
    return (path for path in folder.rglob("*") if path.suffix in kinds and not built & {*path.parts})
