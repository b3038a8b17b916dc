"""Load the built-in catalog from `catalog.json`. An entry of the catalog describes one integration."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib.resources import files
from types import MappingProxyType
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from one_runtime.catalog.logos import UnsafeLogo, clean_svg, logo_hash
from one_runtime.catalog.model import CustomIntegration, Integration, dump
from one_runtime.errors import ConfigurationError, NotFound
from one_runtime.validation.names import similar_names

T = TypeVar("T")

_BUILD: Final = "To build it, run: python -m one_runtime.catalog.tools.build"
_OUTDATED: Final = f"Another version of One Runtime wrote catalog.json. {_BUILD}"


class CatalogError(ConfigurationError):
    """An entry, a logo or `catalog.json` is not valid. The message names the file or the integration."""


class CompiledCatalog(BaseModel):
    """The content of `catalog.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    revision: str
    integrations: tuple[dict[str, Any], ...]
    """The definitions of the entries. `_CompiledEntries` validates each definition at its first use."""
    logos: dict[str, str]


class _CompiledEntries(Mapping[str, Integration]):
    """Entries by slug. Each entry is validated at its first use, because most commands use one entry or none."""

    def __init__(self, definitions: Iterable[dict[str, Any]]) -> None:
        self._entries: dict[str, Integration | dict[str, Any]] = {entry["slug"]: entry for entry in definitions}

    def __getitem__(self, slug: str) -> Integration:
        entry = self._entries[slug]
        if isinstance(entry, dict):
            entry = self._entries[slug] = _validated(entry)
        return entry

    def __contains__(self, slug: object) -> bool:
        return slug in self._entries  # the method of the parent class would validate the entry

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)


@dataclass(frozen=True, eq=False)
class Catalog:
    """A read-only list of integrations, ordered by name. The order ignores case.

    `revision`: a text that changes whenever the content of the catalog changes.
    """

    revision: str
    _by_slug: Mapping[str, Integration] = field(repr=False)
    _logos: Mapping[str, bytes] = field(repr=False)
    _hashes: Mapping[str, str] = field(repr=False)

    @classmethod
    def of(cls, integrations: tuple[Integration, ...], logos: Mapping[str, bytes], revision: str) -> "Catalog":
        """Return a catalog of these integrations, each with its logo."""
        return cls._with_logos({entry.slug: entry for entry in integrations}, logos, revision)

    @classmethod
    def of_compiled(cls, compiled: CompiledCatalog) -> "Catalog":
        """Return the catalog of `catalog.json`. The catalog validates each entry at its first use."""
        logos = {slug: svg.encode() for slug, svg in compiled.logos.items()}
        return cls._with_logos(_CompiledEntries(compiled.integrations), logos, compiled.revision)

    @classmethod
    def _with_logos(cls, entries: Mapping[str, Integration], logos: Mapping[str, bytes], revision: str) -> "Catalog":
        hashes = {slug: logo_hash(svg) for slug, svg in logos.items()}
        return cls(revision, entries, MappingProxyType(dict(logos)), MappingProxyType(hashes))

    @cached_property
    def integrations(self) -> tuple[Integration, ...]:
        """Return all integrations.

        Raises:
            CatalogError: another version of One Runtime wrote `catalog.json`.
        """
        return tuple(sorted(self._by_slug.values(), key=_sort_key))

    def get(self, slug: str) -> Integration | None:
        """Return the integration with this slug, or None. Raises: the same error as `integrations`."""
        return self._by_slug.get(slug)

    def __contains__(self, slug: str) -> bool:
        """Return True if the catalog has an integration with this slug. Unlike `get`, do not validate the entry."""
        return slug in self._by_slug

    def similar(self, slug: str) -> list[str]:
        """Return up to three slugs that are similar to a mistyped slug, the most similar first."""
        return similar_names(slug.lower(), self._by_slug, 3, 0.8)

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
        entries = {entry.slug: entry for entry in (*self.integrations, *own)}
        return Catalog(digest([self.revision, revision]), entries, self._logos, self._hashes)

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


def _validated(definition: dict[str, Any]) -> Integration:
    try:
        return Integration.model_validate(definition, context={"trusted": True})
    except ValidationError as error:
        raise CatalogError(_OUTDATED) from error


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
        return Catalog.of_compiled(CompiledCatalog.model_validate_json(data))
    except FileNotFoundError as error:
        raise CatalogError(f"catalog.json is missing. {_BUILD}") from error
    except (OSError, ValidationError, KeyError) as error:
        raise CatalogError(_OUTDATED) from error
