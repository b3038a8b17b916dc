"""Load One Runtime's own operations from the YAML files in the folder `data`, one file for each integration.

The texts in these files are One Runtime's own.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from one_runtime.catalog.entry_files import file_error, read_file
from one_runtime.catalog.operation import READ_METHODS, Operation
from one_runtime.catalog.source import Complaint, EntrySource, SourceError, messages_of
from one_runtime.catalog.templates import check_link
from one_runtime.validation.descriptions import Place

FOLDER: Final = Path(__file__).parent / "data"
MAX_SUMMARY: Final = 120

# One plain sentence, without markup and invisible characters.
_SENTENCE: Final = re.compile(r"[A-Z0-9][^\x00-\x1f\x7f-\x9f<>*#\u200b-\u200f\u202a-\u202e\u2060-\u2069]*\.")
_KEYS: Final = frozenset(
    {
        "summary",
        "method",
        "path",
        "access",
        "parameters",
        "body",
        "body_format",
        "returns",
        "documentation",
        "scopes",
        "deprecated",
    }
)
_GROUPS: Final = ("parameters", "body")


def read_folder(folder: Path = FOLDER) -> dict[str, tuple[Operation, ...]]:
    """Return the operations of each file of a folder, by the slug of the integration.

    Raises:
        CatalogError: a file is not valid. The error names the file, and each complaint names a line.
    """
    return {path.stem: read_data(path) for path in sorted(folder.glob("*.yaml"))}


def read_data(
    path: Path, slug: str | None = None, *, allow_http: bool = False, replace: Mapping[str, str] | None = None
) -> tuple[Operation, ...]:
    """Return the operations of a file, in the order of the file.

    `slug`: the slug of the integration, or None for the name of the file. `allow_http` and `replace` are as in
    `catalog.entry_files.load_yaml`.

    Raises: CatalogError.
    """
    try:
        source = read_file(path, replace)
        complaints: list[Complaint] = []
        operations = tuple(_operations(source, slug or path.stem, complaints, allow_http=allow_http))
    except SourceError as error:
        raise file_error(path, error) from error
    if complaints:
        raise file_error(path, SourceError(complaints))
    return operations


def _operations(
    source: EntrySource, slug: str, complaints: list[Complaint], *, allow_http: bool
) -> Iterator[Operation]:
    """Yield the valid operations, and collect a complaint for each error. Raises: SourceError."""
    data = source.data if isinstance(source.data, Mapping) else {}
    operations = data.get("operations")
    if set(data) != {"documentation", "operations"} or not isinstance(operations, Mapping) or not operations:
        source.refuse((), "must have exactly the keys documentation and operations, and at least one operation")
    for name, definition in operations.items():
        place = ("operations", name)
        try:
            values = {"documentation": data["documentation"], **_mapping(source, definition, place)}
            operation = _operation(source, place, values, slug)
            _require_text(source, operation, place, allow_http=allow_http)
        except SourceError as error:
            complaints += error.complaints
        else:
            yield operation


def _operation(source: EntrySource, place: Place, definition: Mapping[str, Any], slug: str) -> Operation:
    """Raises: SourceError."""
    for key in definition.keys() - _KEYS:
        source.refuse((*place, key), f"is not a key of an operation. The keys are: {', '.join(sorted(_KEYS))}")
    groups = {group: _arguments(source, definition.get(group, {}), (*place, group)) for group in _GROUPS}
    access = "read" if definition.get("method") in READ_METHODS else "write"
    own = {"integration_slug": slug, "name": place[-1], "source": "builtin"}
    try:
        return Operation.model_validate({"access": access, **definition, **groups, **own})
    except ValidationError as error:
        raise SourceError(
            Complaint(source.line(at), at, message)
            for detail in error.errors(include_url=False, include_input=False)
            for at in [(*place, *_named(detail["loc"], groups))]
            for message in messages_of(detail)
        ) from error


def _require_text(source: EntrySource, operation: Operation, place: Place, *, allow_http: bool) -> None:
    """Raises: SourceError."""
    if len(operation.summary) > MAX_SUMMARY or not _SENTENCE.fullmatch(operation.summary):
        source.refuse(
            (*place, "summary"),
            f"must be one plain sentence of at most {MAX_SUMMARY} characters, with a capital letter and a full stop",
        )
    try:
        check_link(operation.documentation, allow_http=allow_http)
    except ValueError as error:
        source.refuse((*place, "documentation"), str(error))


def _arguments(source: EntrySource, definitions: object, place: Place) -> list[dict[str, Any]]:
    """Return the arguments of a group (`parameters`, `body` or `fields`) as plain data, path parameters first.

    Raises: SourceError.
    """
    in_body = place[2] == "body"
    arguments = []
    for name, definition in _mapping(source, definitions, place).items():
        at = (*place, name)
        values = dict(_mapping(source, definition, at))
        for key in values.keys() & ({"location", "wire_name"} | ({"in"} if in_body else set())):
            source.refuse((*at, key), "is not a key of an argument")
        values["location"] = "body" if in_body else values.pop("in", None)
        values["wire_name"] = values.pop("name", "")
        if values["location"] == "path":
            values["required"] = True
        if "fields" in values:
            values["fields"] = _arguments(source, values["fields"], (*at, "fields"))
        arguments.append({**values, "name": name})
    return sorted(arguments, key=lambda argument: argument["location"] != "path")


def _named(location: Place, groups: Mapping[str, list[dict[str, Any]]]) -> Place:
    """Replace the position of an argument by its name."""
    match location:
        case (str(group), int(position), *rest) if group in groups:
            return (group, groups[group][position]["name"], *rest)
    return location


def _mapping(source: EntrySource, value: object, place: Place) -> Mapping[str, Any]:
    """Raises: SourceError."""
    if not isinstance(value, Mapping):
        source.refuse(place, "must be a mapping of keys to values")
    return value
