"""Each vocabulary is declared in one file. No other file of the package lists three or more of its values."""

import ast
import importlib
import re
from collections.abc import Iterator
from functools import cache
from typing import Final, get_args

import pytest

from one_runtime.catalog.auth_types import AUTH_TYPES
from one_runtime.errors import error_kinds
from one_runtime.tenancy import api_keys
from one_runtime.tenancy.event_types import TYPES
from one_runtime.tenancy.events import ACTORS, ActorType
from one_runtime.tenancy.installation_events import InstallationEventType
from scripts.docs_tables import ENTRY_POINTS
from tests.documentation import ROOT
from tests.source_files import nodes, python_files

PACKAGE: Final = ROOT / "src" / "one_runtime"
DECLARATIONS: Final = {
    "event types": "tenancy/event_types.py",
    "types of installation events": "tenancy/installation_events.py",
    "error codes": "errors.py",  # and each class of an error, which lists no other code
    "scopes": "tenancy/api_keys.py",
    "actors": "tenancy/events.py",
    "auth types": "catalog/auth_types/__init__.py",
    "labels of auth types": "catalog/auth_types/__init__.py",
}
OTHER_MEANING: Final = {
    ("error codes", "explanations/event_reasons.py"): "reasons of events, some with the name of an error",
    ("error codes", "explanations/webhook_errors.py"): "errors of deliveries, with the names of the errors of egress",
    ("error codes", "connect/static/connect.d.ts"): "codes of the popup's messages, documented in docs/popup.md",
    ("error codes", "connect/static/popup.js"): "the screens that the popup shows for some errors",
    ("scopes", "tenancy/roles.py"): "permissions of members, some with the name of a scope",
}
"""Files that list such words for a reason, by vocabulary."""


@cache
def vocabularies() -> dict[str, frozenset[str]]:
    for entry_point in ENTRY_POINTS:
        importlib.import_module(entry_point)
    own_errors = [kind for kind in error_kinds() if kind.__module__.startswith("one_runtime.")]
    values = (
        TYPES,
        [kind.value for kind in InstallationEventType],
        [kind.code for kind in own_errors],
        api_keys.SCOPES,
        ACTORS,
        tuple(AUTH_TYPES),
        tuple(kind.title for kind in AUTH_TYPES.values()),
    )
    return {name: frozenset(listed) for name, listed in zip(DECLARATIONS, values, strict=True)}


def literals(*expressions: ast.AST | None) -> set[str]:
    return {each.value for each in expressions if isinstance(each, ast.Constant) and isinstance(each.value, str)}


def listed_together(node: ast.AST) -> set[str]:
    """Return the texts that stand in one list, set, tuple or dictionary, or that one call receives."""
    match node:
        case ast.List() | ast.Tuple() | ast.Set():
            return literals(*node.elts)
        case ast.Dict():
            return literals(*node.keys) | literals(*node.values)
        case ast.Call():
            return literals(*node.args, *(keyword.value for keyword in node.keywords))
    return set()


def lists() -> Iterator[tuple[str, set[str]]]:
    """Yield the lists of texts in each file of the package. A file that is no Python file counts as one list.

    The names of event types are unmistakable, because they contain a dot. So all of them in a file count as one list.
    """
    for path in python_files("src/one_runtime"):
        file = path.relative_to(PACKAGE).as_posix()
        yield file, {text for text in literals(*nodes(path)) if "." in text}
        for node in nodes(path):
            yield file, listed_together(node)
    for path in PACKAGE.rglob("*"):
        if path.suffix in {".html", ".js", ".ts", ".txt"}:
            yield path.relative_to(PACKAGE).as_posix(), set(re.findall(r"[\"'`>]([\w.:]+)[\"'`<]", path.read_text()))


@cache
def listing() -> dict[str, frozenset[str]]:
    """Return the Python and other files that list three or more values of each vocabulary."""
    files: dict[str, set[str]] = {name: set() for name in DECLARATIONS}
    for file, texts in lists():
        for name, values in vocabularies().items():
            if len(texts & values) >= 3:
                files[name].add(file)
    return {name: frozenset(found) for name, found in files.items()}


@pytest.mark.parametrize("name", DECLARATIONS)
def test_no_other_file_lists_the_values_of_a_vocabulary(name: str) -> None:
    assert [file for file in sorted(listing()[name] - {DECLARATIONS[name]}) if (name, file) not in OTHER_MEANING] == []


def test_every_exception_is_necessary() -> None:
    assert [each for each in OTHER_MEANING if each[1] not in listing()[each[0]]] == []


def test_texts_exist_for_every_actor_and_scope() -> None:
    assert {*ACTORS} == {*get_args(ActorType)}
    assert get_args(api_keys.KeyScope) == api_keys.SCOPES


def test_auth_types_have_one_spelling_for_end_users_and_for_the_team() -> None:
    texts = (PACKAGE / "connect" / "languages" / "en.json").read_text("utf-8")
    assert f'"choice.basic": "{AUTH_TYPES["basic"].title}"' in texts
