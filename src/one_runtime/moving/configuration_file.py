"""Read and write the file with an organization's configuration.

A file serves several installations or organizations, such as staging and production. What differs between them stands
in the file as a reference: `{env: NAME}` for an environment variable, or `{file: PATH}` for a file. So the file has no
secret, and belongs in a repository.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import yaml

from one_runtime.catalog.source import EntrySource, SourceError
from one_runtime.catalog.yaml_loader import EntryDumper
from one_runtime.errors import FieldError, InvalidInput

VERSION: Final = 1
"""The version of the format."""

Document: TypeAlias = dict[str, Any]
Environment: TypeAlias = Mapping[str, str]

_REFERENCES: Final = frozenset({"env", "file"})


@dataclass(frozen=True, slots=True)
class Configuration:
    """The sections of a file, with resolved references. A section that is not in the file is None.

    - `organization`: settings, as in `PATCH /v1/organization`.
    - `custom_integrations`: definitions, by slug.
    - `oauth_clients`: OAuth clients, as in `PUT /v1/integrations/{slug}/oauth-client`, by the slug of the integration.
    - `webhook_endpoints`: endpoints, as in `POST /v1/webhook-endpoints`.
    """

    organization: Document | None = None
    custom_integrations: dict[str, Document] | None = None
    oauth_clients: dict[str, Document] | None = None
    webhook_endpoints: list[Document] | None = None


SECTIONS: Final = tuple(Configuration.__dataclass_fields__)


def parse(text: str, environment: Environment, folder: Path) -> Configuration:
    """Parse a file. `folder`: the folder for the relative paths of references.

    Raises: InvalidInput with each error, such as an unknown section or a missing variable.
    """
    try:
        document = EntrySource.read(text).data
    except SourceError as error:
        raise InvalidInput("\n".join(complaint.sentence for complaint in error.complaints)) from error
    if not isinstance(document, dict) or document.get("version") != VERSION:
        raise InvalidInput(f"The file must begin with `version: {VERSION}`.")
    unknown = document.keys() - {"version", *SECTIONS}
    if unknown:
        raise InvalidInput(f"Unknown sections: {', '.join(sorted(unknown))}. A file can have: {', '.join(SECTIONS)}.")
    errors = list[FieldError]()
    sections = {name: _section(name, document[name], errors) for name in SECTIONS if document.get(name) is not None}
    references = _References(environment, folder)
    # A definition is the text of an integration, in which `env` and `file` have no meaning.
    resolved = {
        name: value if name == "custom_integrations" else references.resolve(value, name)
        for name, value in sections.items()
    }
    errors += references.errors
    if errors:
        raise InvalidInput("\n".join(error.sentence for error in errors))
    return Configuration(**resolved)


def to_yaml(configuration: Configuration) -> str:
    """Return the text of a file."""
    return yaml.dump(_document(configuration), Dumper=EntryDumper, sort_keys=False, allow_unicode=True, width=1000)


def to_json(configuration: Configuration) -> str:
    """Return the text of a file as JSON, which `parse` reads too."""
    return json.dumps(_document(configuration), indent=2, ensure_ascii=False) + "\n"


def _document(configuration: Configuration) -> Document:
    sections = {name: getattr(configuration, name) for name in SECTIONS}
    return {"version": VERSION, **{name: section for name, section in sections.items() if section}}


def _section(name: str, value: object, errors: list[FieldError]) -> Any:
    """Check the form of a section. The server checks its content."""
    if name == "organization":
        return _require(name, value, dict, errors)
    if name == "webhook_endpoints":
        items = _require(name, value, list, errors)
        return [_require(f"{name}[{index}]", item, dict, errors) for index, item in enumerate(items)]
    items = _require(name, value, dict, errors)
    return {slug.strip().lower(): _require(f"{name}.{slug}", item, dict, errors) for slug, item in items.items()}


def _require(place: str, value: object, kind: type[Any], errors: list[FieldError]) -> Any:
    if isinstance(value, kind):
        return value
    errors.append(FieldError(place, "must have keys and values" if kind is dict else "must be a list"))
    return kind()


class _References:
    """Replaces the references of a document. `errors`: the references that cannot be replaced."""

    def __init__(self, environment: Environment, folder: Path) -> None:
        self._environment, self._folder = environment, folder
        self.errors = list[FieldError]()

    def resolve(self, value: Any, place: str) -> Any:
        """Return the value with the text of each reference. `place`: the place of the value in the file."""
        if isinstance(value, list):
            return [self.resolve(item, f"{place}[{index}]") for index, item in enumerate(value)]
        if not isinstance(value, dict):
            return value
        if len(value) == 1 and value.keys() <= _REFERENCES:
            ((kind, name),) = value.items()
            read: Callable[[str, str], str] = self._read_variable if kind == "env" else self._read_file
            return read(str(name), place)
        return {key: self.resolve(item, f"{place}.{key}") for key, item in value.items()}

    def _read_variable(self, name: str, place: str) -> str:
        value = self._environment.get(name, "")
        if not value.strip():
            self.errors.append(FieldError(place, f"is a reference to the variable {name}, which is not set"))
        return value.strip()

    def _read_file(self, path: str, place: str) -> str:
        try:
            text = (self._folder / path).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            self.errors.append(FieldError(place, f"is a reference to the file {path}, which cannot be read: {reason}"))
            return ""
        if not text:
            self.errors.append(FieldError(place, f"is a reference to the file {path}, which is empty"))
        return text
