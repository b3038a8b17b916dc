"""Write the tables of the documentation that follow from the code: `python -m scripts.docs_tables`."""

import importlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias, get_args

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from one_runtime.errors import error_kinds
from one_runtime.settings import PREFIX, RELOADED, Settings
from one_runtime.tenancy.api_keys import SCOPE_TEXTS
from one_runtime.tenancy.event_types import EventType
from one_runtime.tenancy.installation_events import InstallationEventType
from scripts.generate_clients import document

DOCS: Final = Path(__file__).resolve().parent.parent / "docs"
Row: TypeAlias = tuple[str, ...]
ENTRY_POINTS: Final = ("one_runtime.serving.application", "one_runtime.dashboard.application")
"""Modules that together import every module with an error."""


class Table(NamedTuple):
    """A table that this script writes: the first table after the heading `heading` of a page."""

    page: str
    heading: str
    rows: Callable[[], Iterator[Row]]


def _settings() -> Iterator[Row]:
    for name, field in Settings.model_fields.items():
        yield f"`{PREFIX}{name.upper()}`", _type(field), _default(name, field), _meaning(name, field)


def _type(field: FieldInfo) -> str:
    if field.title:
        return field.title
    if field.annotation is SecretStr:
        return "secret"
    if field.annotation is bool:
        return "`true`, `false`"
    if field.annotation is int:
        limits = {type(limit).__name__: limit for limit in field.metadata}
        low, high = getattr(limits.get("Ge"), "ge", None), getattr(limits.get("Le"), "le", None)
        return "integer" if low is None else f"integer, {low} to {high}" if high else f"integer, at least {low}"
    return ", ".join(f"`{choice}`" for choice in get_args(field.annotation))


def _meaning(name: str, field: FieldInfo) -> str:
    return f"{field.description} [Reloaded](#reloading)." if name in RELOADED else str(field.description)


def _default(name: str, field: FieldInfo) -> str:
    value = field.default.get_secret_value() if isinstance(field.default, SecretStr) else field.default
    if name == "encryption_keys":
        return "none, required"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value}`" if value not in ("", ()) and value != frozenset() else "none"


def _event_types() -> Iterator[Row]:
    for kind in EventType:
        fields = ["[`reason`, `explanation`](#reasons)" if name == "reason" else f"`{name}`" for name in kind.sample]
        yield f"`{kind.value}`", _cell(kind.documentation), kind.data or ", ".join(fields)


def _installation_event_types() -> Iterator[Row]:
    for kind in InstallationEventType:
        yield f"`{kind.value}`", _cell(kind.documentation), kind.data


def _errors() -> Iterator[Row]:
    for entry_point in ENTRY_POINTS:
        importlib.import_module(entry_point)
    for kind in error_kinds():
        if kind.__module__.startswith("one_runtime."):  # tests define further errors
            yield f"`{kind.code}`", str(kind.status), _cell(" ".join(kind.documentation))


def _scopes() -> Iterator[Row]:
    routes: dict[str, list[str]] = {}
    for path, operations in document()["paths"].items():
        if "get" in operations:
            routes.setdefault(operations["get"].get("x-required-scope"), []).append(f"`GET {path}`")
    for scope, texts in SCOPE_TEXTS.items():
        listed = "" if scope == "read" else f". GET routes: {', '.join(routes[scope])}"
        yield f"`{scope}`", f"{_cell(texts.documentation)}{listed}"


def _cell(sentences: str) -> str:
    """Return sentences as the cell of a table: without the last period, and with a small first letter.

    The word One Runtime, and the words in capital letters, keep their first letter.
    """
    text = sentences.removesuffix(".")
    start = re.match(r"\W*(?:[A-Z][a-z]+\b(?! Runtime)|A\b)", text)
    return text if start is None else start[0].lower() + text[start.end() :]


TABLES: Final = (
    Table("settings.md", "# Settings", _settings),
    Table("api.md", "## Scopes", _scopes),
    Table("api.md", "## Errors", _errors),
    Table("events.md", "## Types", _event_types),
    Table("events.md", "## Events of the installation", _installation_event_types),
)


def rewritten(page: str, text: str) -> str:
    """Return the text of a page with its tables replaced."""
    for table in TABLES:
        if table.page == page:
            lines = text.splitlines()
            begin = next(at for at in range(lines.index(table.heading), len(lines)) if lines[at].startswith("|")) + 2
            end = next((at for at in range(begin, len(lines)) if not lines[at].startswith("|")), len(lines))
            lines[begin:end] = [f"| {' | '.join(row)} |" for row in table.rows()]
            text = "\n".join(lines) + "\n"
    return text


if __name__ == "__main__":
    for page in {table.page for table in TABLES}:
        path = DOCS / page
        path.write_text(rewritten(page, path.read_text(encoding="utf-8")), encoding="utf-8")
