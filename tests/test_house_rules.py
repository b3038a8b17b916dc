"""Rules that no linter checks: sizes, names, tests of promises, no fixed waits, a current lock file."""

import ast
import re
import tomllib
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Final

import grimp
import pytest

from scripts.client_generator import javascript, python
from tests.source_files import nodes, parsed, python_files

ROOT: Final = Path(__file__).resolve().parent.parent
MOST_LINES_OF_A_FUNCTION: Final = 60
FOLDERS: Final = ("src", "clients", "tests", "scripts", "benchmarks")
FORBIDDEN_NAMES: Final = {
    "utils",
    "util",
    "helpers",
    "helper",
    "common",
    "manager",
    "managers",
    "shared",
    "core",
    "base",
}
PACKAGE: Final = ROOT / "src" / "one_runtime"
MOST_FLOORS: Final = 14
CROSSING_FOLDERS: Final = {"clients", "deploy", "foreign", "journeys", "operating", "promises"}
"""Folders with tests of several domains."""
GENERATED: Final = {ROOT / "clients" / "python" / "src" / "one_runtime_client" / name for name in python.FOLDERS}
"""The docstring of a generated method describes all arguments, so the method is long."""
MAY_SLEEP: Final = ROOT / "tests" / "waiting.py"
PROMISE: Final = re.compile(r"\*\*(P\d+)\*\*")

Function = ast.FunctionDef | ast.AsyncFunctionDef


def shown(path: Path, node: ast.AST | None = None) -> str:
    line = f":{node.lineno}" if isinstance(node, ast.stmt | ast.expr) else ""
    return f"{path.relative_to(ROOT)}{line}"


def functions(path: Path) -> Iterator[Function]:
    return (node for node in nodes(path) if isinstance(node, Function))


def promises_of_tests() -> dict[str, list[str]]:
    """Return every promise ID in `pytest.mark.promise(…)`, with the places of the mark."""
    places: dict[str, list[str]] = {}
    for path in python_files("tests"):
        for node in nodes(path):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr == "promise"  # a fast check before the slow `unparse`
                and ast.unparse(node.func) == "pytest.mark.promise"
            ):
                for argument in node.args:
                    assert isinstance(argument, ast.Constant), f"{shown(path, node)}: write the promise's ID out"
                    places.setdefault(str(argument.value), []).append(shown(path, node))
    return places


def is_fixed_wait(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Call)
        and getattr(node.func, "attr", getattr(node.func, "id", "")) in {"sleep", "wait_for_timeout"}
        and ast.unparse(node.func) in {"time.sleep", "asyncio.sleep", "anyio.sleep", "sleep", "page.wait_for_timeout"}
        and not (node.args and isinstance(node.args[0], ast.Constant) and node.args[0].value == 0)
    )


def test_root_of_the_package_has_at_most_8_python_files() -> None:
    assert len(list(PACKAGE.glob("*.py"))) <= 8


@pytest.fixture(scope="module")
def imports() -> dict[str, set[str]]:
    """The real imports between the folders and root files of the package, without those for types only."""
    graph = grimp.build_graph("one_runtime", exclude_type_checking_imports=True, cache_dir=None)
    folders: dict[str, set[str]] = {}
    for module in graph.modules - {"one_runtime", "one_runtime.__main__"}:
        imported = {name.split(".")[1] for name in graph.find_modules_directly_imported_by(module) if "." in name}
        folders.setdefault(module.split(".")[1], set()).update(imported)
    return {name: imported - {name} for name, imported in folders.items()}


def test_real_imports_have_at_most_14_floors_and_no_circle(imports: dict[str, set[str]]) -> None:
    sorter = TopologicalSorter(imports)
    floors: dict[str, int] = {}
    for name in sorter.static_order():  # raises CycleError
        floors[name] = 1 + max((floors[below] for below in imports[name]), default=0)
    assert max(floors.values()) <= MOST_FLOORS, floors


def test_import_contract_has_each_folder_on_a_floor(imports: dict[str, set[str]]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (contract,) = (
        contract for contract in project["tool"]["importlinter"]["contracts"] if contract["type"] == "layers"
    )
    assert len(contract["layers"]) <= MOST_FLOORS
    assert not any(":" in layer for layer in contract["layers"]), "folders of one floor do not import each other"
    assert {name for layer in contract["layers"] for name in re.findall(r"\w+", layer)} == set(imports)


def test_no_circle_of_modules() -> None:
    graph = grimp.build_graph("one_runtime", exclude_type_checking_imports=True, cache_dir=None)
    TopologicalSorter({name: graph.find_modules_directly_imported_by(name) for name in graph.modules}).prepare()


def test_no_class_name_occurs_twice_in_the_package() -> None:
    places: dict[str, list[str]] = {}
    for path in python_files("src"):
        for node in parsed(path).body:
            if isinstance(node, ast.ClassDef):
                places.setdefault(node.name, []).append(shown(path, node))
    assert {name: where for name, where in places.items() if len(where) > 1} == {}


def test_folders_of_tests_mirror_the_folders_of_the_package() -> None:
    folders = {folder.name for folder in (ROOT / "tests").iterdir() if list(folder.glob("*.py"))}
    mirrored = {folder.name for folder in PACKAGE.iterdir() if (folder / "__init__.py").exists()}
    assert folders - mirrored <= CROSSING_FOLDERS


def test_no_function_is_longer_than_60_lines_unless_it_is_generated() -> None:
    long = [
        f"{shown(path, node)} {node.name}: {node.end_lineno - node.lineno + 1} lines"
        for path in python_files(*FOLDERS)
        if path.parent not in GENERATED
        for node in functions(path)
        if node.end_lineno is not None and node.end_lineno - node.lineno >= MOST_LINES_OF_A_FUNCTION
    ]
    assert long == []


def test_generated_folders_of_the_clients_are_marked_for_reviews() -> None:
    lines = (ROOT / ".gitattributes").read_text(encoding="utf-8").splitlines()
    marked = {line.split()[0] for line in lines if line.endswith(" linguist-generated")}
    assert {f"{path.relative_to(ROOT)}/**" for path in (*GENERATED, javascript.FOLDER)} <= marked


def test_no_module_has_a_meaningless_name() -> None:
    named = [shown(path) for path in python_files(*FOLDERS) if {path.stem, path.parent.name} & FORBIDDEN_NAMES]
    assert named == []


def test_every_module_has_a_docstring_of_one_line_first() -> None:
    silent = [
        shown(path)
        for path in python_files(*FOLDERS)
        if path.stat().st_size and not (ast.get_docstring(parsed(path)) or "").splitlines()[:1]
    ]
    assert silent == []


def test_no_test_waits_for_a_fixed_time() -> None:
    waits = [
        shown(path, node)
        for path in python_files("tests")
        if path != MAY_SLEEP
        for node in nodes(path)
        if is_fixed_wait(node)
    ]
    assert waits == [], "poll with a deadline instead: tests/waiting.py"


def test_no_test_is_skipped_or_expected_to_fail() -> None:
    markers = {
        "pytest.skip",
        "pytest.xfail",
        "pytest.importorskip",
        "pytest.mark.skip",
        "pytest.mark.skipif",
        "pytest.mark.xfail",
    }
    names = {marker.rpartition(".")[2] for marker in markers}  # a fast check before the slow `unparse`
    places = [
        shown(path, node)
        for path in python_files("tests")
        for node in nodes(path)
        if isinstance(node, ast.Attribute) and node.attr in names and ast.unparse(node) in markers
    ]
    assert places == []


@pytest.mark.docs
def test_every_promise_has_a_test_and_every_tested_promise_is_documented() -> None:
    promises = set(PROMISE.findall((ROOT / "docs" / "security.md").read_text(encoding="utf-8")))
    tested = promises_of_tests()
    assert promises, "docs/security.md makes no promise: write them as **P1**"
    assert {"without a test": sorted(promises - tested.keys())} == {"without a test": []}
    assert {name: where for name, where in tested.items() if name not in promises} == {}


def test_the_lock_file_matches_the_dependencies() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    lock = tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))
    (locked,) = (package["metadata"] for package in lock["package"] if package["name"] == project["project"]["name"])
    extras = [name for group in project["project"]["optional-dependencies"].values() for name in group]
    requirements = [*project["project"]["dependencies"], *extras]
    assert names_of(requirements) == {entry["name"] for entry in locked["requires-dist"]}
    assert names_of(project["dependency-groups"]["dev"]) == {entry["name"] for entry in locked["requires-dev"]["dev"]}


def names_of(requirements: list[str]) -> set[str]:
    return {re.split(r"[^\w.-]", requirement, maxsplit=1)[0].lower().replace(".", "-") for requirement in requirements}
