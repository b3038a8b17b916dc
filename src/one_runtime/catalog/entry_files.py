"""Load an entry (the description of an integration) from a file. `loader` loads the built-in catalog."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from one_runtime.catalog.loader import CatalogError
from one_runtime.catalog.model import Integration
from one_runtime.catalog.source import Complaint, EntrySource, SourceError

MAX_CHARACTERS: Final = 1024 * 1024


def load_yaml(path: Path, *, allow_http: bool = False, replace: Mapping[str, str] | None = None) -> Integration:
    """Return the validated entry of a YAML file.

    `replace`: values by name. Each value replaces `{name}` in the text before the parsing. `allow_http`: allow http
    URLs on loopback. Only the entry of the demo's provider needs these two arguments.

    Raises:
        CatalogError: the entry is not valid. The error names the file and the line.
    """
    try:
        return read_file(path, replace).integration(Integration, allow_http=allow_http)
    except SourceError as error:
        raise file_error(path, error) from error


def read_file(path: Path, replace: Mapping[str, str] | None = None) -> EntrySource:
    """Parse a file as JSON if the suffix is `.json`, and otherwise as YAML. `load_yaml` explains `replace`.

    Raises:
        CatalogError: the file cannot be read.
        SourceError: the text cannot be parsed.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise CatalogError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise CatalogError(f"{path}: must be UTF-8") from error
    if len(text) > MAX_CHARACTERS:
        raise CatalogError(f"{path}: must be at most {MAX_CHARACTERS:,} characters")
    for name, value in (replace or {}).items():
        text = text.replace(f"{{{name}}}", value)
    return EntrySource.read(text, "json" if path.suffix == ".json" else "yaml")


def located(path: Path, complaint: Complaint) -> str:
    """Format a complaint as `file:line: message`, which editors recognize."""
    return f"{path}{f':{complaint.line}' if complaint.line is not None else ''}: {complaint.statement}"


def file_error(path: Path, error: SourceError) -> CatalogError:
    """Return one error for a file. Each line of the message describes one complaint."""
    return CatalogError("\n".join(located(path, complaint) for complaint in error.complaints))
