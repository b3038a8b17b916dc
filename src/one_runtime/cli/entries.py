"""Read and check the entries (descriptions of integrations) that the commands of `one-runtime catalog` name."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from one_runtime.catalog import lint
from one_runtime.catalog.custom import load_file
from one_runtime.catalog.entry_files import located, read_file
from one_runtime.catalog.lint import complaints, placed_complaints
from one_runtime.catalog.loader import Catalog, CatalogError, load_catalog
from one_runtime.catalog.model import CustomIntegration, Integration
from one_runtime.catalog.source import Complaint
from one_runtime.catalog.targets import refused_targets
from one_runtime.cli.partial_settings import allows_http, load_egress_allow
from one_runtime.errors import NotFound


class EntryMessage(NamedTuple):
    """An error or a warning. `integration`: the slug or the file that the caller named."""

    integration: str
    message: str


@dataclass(frozen=True, slots=True)
class CheckedEntries:
    """The result of a check of entries. `count`: the number of all entries. `entries`: the entries that can be read."""

    count: int
    entries: list[Integration]
    errors: list[EntryMessage]
    warnings: list[EntryMessage]


def read_entry(catalog: Catalog, name: str) -> Integration:
    """Return the integration with the slug `name`. If `name` is the path of a file, read the integration from the file.

    Raises: NotFound, CatalogError.
    """
    if _is_file(name):
        return load_file(Path(name), allow_http=allows_http())
    return find_entry(catalog, name)


def find_entry(catalog: Catalog, name: str) -> Integration:
    """Return the integration with the slug `name`. Raises: NotFound."""
    integration = catalog.get(name)
    if integration is None:
        near = catalog.similar(name)
        raise NotFound(f"There is no integration {name!r}." + (f" Did you mean {' or '.join(near)}?" if near else ""))
    return integration


def check_entries(names: Sequence[str]) -> CheckedEntries:
    """Check the entries with these names, or the whole catalog. Raises: NotFound, ConfigurationError."""
    catalog, allow = load_catalog(), load_egress_allow()
    names = names or [entry.slug for entry in catalog.integrations]
    result = CheckedEntries(len(names), [], [], [])
    for name in names:
        try:
            entry = read_entry(catalog, name)
            errors = list(_lint(name, entry))
        except CatalogError as error:
            errors = error.detail.splitlines()
        else:
            result.entries.append(entry)
            messages = [*refused_targets(entry, allow), *(lint.warnings(entry) if _is_file(name) else ())]
            result.warnings.extend(EntryMessage(name, message) for message in messages)
        result.errors.extend(EntryMessage(name, message) for message in errors)
    return result


def _is_file(name: str) -> bool:
    return name.endswith((".yaml", ".yml", ".json"))


def _lint(name: str, integration: Integration) -> Iterator[str]:
    """Yield a message for each error of an entry.

    The format of the entry (keys and types) is already validated. The message for an entry from a file names the file
    and the line number.
    """
    if not _is_file(name):
        yield from (f"{name}: {complaint}" for complaint in complaints(integration))
        return
    path = Path(name)
    if isinstance(integration, CustomIntegration):  # `load_file` has already linted a custom integration
        return
    source = read_file(path)
    for place, message in placed_complaints(integration):
        yield located(path, Complaint(source.line(place), place, message))
    if path.stem != integration.slug:
        yield f"{path}: the slug must be the file's name"
