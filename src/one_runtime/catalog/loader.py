"""Load the built-in catalog from `catalog.json`, or one entry (the description of an integration) from a file."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Self, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from one_runtime.catalog.logos import UnsafeLogo, clean_svg, logo_hash
from one_runtime.catalog.model import CustomIntegration, Integration, dump
from one_runtime.catalog.source import Complaint, EntrySource, SourceError
from one_runtime.errors import ConfigurationError, NotFound

T = TypeVar("T")

MAX_CHARACTERS = 1024 * 1024
_BUILD = "To build it, run: python -m one_runtime.catalog.tools.build"


class CatalogError(ConfigurationError):
    """An entry, a logo or `catalog.json` is not valid. The message names the file or the integration."""

    @classmethod
    def of(cls, path: Path, error: SourceError) -> Self:
        """Return one error for a file. Each line of the message describes one complaint."""
        return cls("\n".join(located(path, complaint) for complaint in error.complaints))


class CompiledCatalog(BaseModel):
    """The content of `catalog.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    revision: str
    integrations: tuple[Integration, ...]
    logos: dict[str, str]


@dataclass(frozen=True, slots=True, eq=False)
class Catalog:
    """A read-only list of integrations, ordered by name. The order ignores case.

    `revision`: a text that changes whenever the content of the catalog changes.
    """

    revision: str
    integrations: tuple[Integration, ...]
    _logos: Mapping[str, bytes] = field(repr=False)
    _by_slug: Mapping[str, Integration] = field(repr=False)
    _hashes: Mapping[str, str] = field(repr=False)

    @classmethod
    def of(cls, integrations: tuple[Integration, ...], logos: Mapping[str, bytes], revision: str) -> "Catalog":
        """Return a catalog of these integrations, each with its logo."""
        ordered = tuple(sorted(integrations, key=_sort_key))
        return cls(
            revision=revision,
            integrations=ordered,
            _logos=MappingProxyType(dict(logos)),
            _by_slug=MappingProxyType({entry.slug: entry for entry in ordered}),
            _hashes=MappingProxyType({slug: logo_hash(svg) for slug, svg in logos.items()}),
        )

    def get(self, slug: str) -> Integration | None:
        """Return the integration with this slug, or None."""
        return self._by_slug.get(slug)

    def logo(self, slug: str) -> bytes:
        """Return the integration's logo, an SVG.

        Raises:
            NotFound: the catalog has no integration with this slug.
        """
        return _require_entry(self._logos, slug)

    def logo_hash(self, slug: str) -> str:
        """Return the hash of the integration's logo, in hex.

        Raises:
            NotFound: the catalog has no integration with this slug.
        """
        return _require_entry(self._hashes, slug)

    def beside(self, own: tuple[CustomIntegration, ...], revision: str) -> "Catalog":
        """Return a new catalog with this catalog's integrations and an organization's custom integrations.

        The new catalog stores no logos of custom integrations, because each `CustomIntegration` contains its logo.
        """
        ordered = tuple(sorted((*self.integrations, *own), key=_sort_key))
        revision = digest([self.revision, revision])
        return Catalog(revision, ordered, self._logos, {entry.slug: entry for entry in ordered}, self._hashes)

    def with_extra(self, integration: Integration, svg: str) -> "Catalog":
        """Return a new catalog, in which an integration is added or replaced.

        Raises:
            CatalogError: the SVG is not safe to display.
        """
        try:
            logo = clean_svg(svg).encode()
        except UnsafeLogo as error:
            raise CatalogError(f"The logo of {integration.slug} is not valid: {error}.") from error
        others = tuple(entry for entry in self.integrations if entry.slug != integration.slug)
        revision = digest([self.revision, dump(integration), logo.decode()])
        return Catalog.of((*others, integration), {**self._logos, integration.slug: logo}, revision)


def _sort_key(entry: Integration) -> tuple[str, str]:
    return entry.name.casefold(), entry.slug


def _require_entry(values: Mapping[str, T], slug: str) -> T:
    if slug not in values:
        raise NotFound(f"There is no integration {slug!r}.")
    return values[slug]


def digest(data: object) -> str:
    """Return the SHA-256 of the data as canonical JSON, in hex."""
    text = json.dumps(data, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


@cache
def load_catalog() -> Catalog:
    """Return the built-in catalog, from the file that `python -m one_runtime.catalog.tools.build` writes.

    A process reads the file once.

    Raises:
        CatalogError: the file is missing, or another version of One Runtime wrote the file.
    """
    try:
        data = files("one_runtime.catalog").joinpath("catalog.json").read_bytes()
        compiled = CompiledCatalog.model_validate_json(data, context={"trusted": True})
    except FileNotFoundError as error:
        raise CatalogError(f"catalog.json is missing. {_BUILD}") from error
    except (OSError, ValidationError) as error:
        raise CatalogError(f"Another version of One Runtime wrote catalog.json. {_BUILD}") from error
    logos = {slug: svg.encode() for slug, svg in compiled.logos.items()}
    return Catalog.of(compiled.integrations, logos, compiled.revision)


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
        raise CatalogError.of(path, error) from error


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
