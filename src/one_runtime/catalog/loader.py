"""Reads the catalog: the one precompiled file at the start, or a single YAML file. Read-only from then on."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Final, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from one_runtime.catalog.logos import UnsafeLogo, clean_svg, logo_hash
from one_runtime.catalog.model import Integration, dump
from one_runtime.errors import ConfigurationError, NotFound

T = TypeVar("T")

MAX_CHARACTERS = 256 * 1024
_MOST_COMPLAINTS = 20
_WORDS: Final = {
    "extra_forbidden": "there is no such key here",
    "missing": "is missing",
    "string_type": "has to be a text; put it in quotes: '{api_key}', '2026-10-01'",
    "tuple_type": "has to be a list, such as [401]",
    "model_type": "has to have keys of its own below it",
}
_FORMS: Final = {
    "slug": "has lower-case letters and digits, with single hyphens between them",
    "description": "one sentence that begins with a capital or a digit and ends in a full stop",
    "path": "begins with a slash; what goes behind a question mark stands under query",
}


class CatalogError(ConfigurationError):
    """An entry or the compiled catalog cannot be used; the detail names the file and the place."""


class CompiledCatalog(BaseModel):
    """The precompiled file, `catalog.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    revision: str
    integrations: tuple[Integration, ...]
    logos: dict[str, str]


@dataclass(frozen=True, slots=True)
class Catalog:
    """Every integration that this process knows, ordered by name without regard to case."""

    revision: str
    integrations: tuple[Integration, ...]
    _logos: Mapping[str, bytes] = field(repr=False)
    _by_slug: Mapping[str, Integration] = field(repr=False)
    _hashes: Mapping[str, str] = field(repr=False)

    @classmethod
    def of(cls, integrations: tuple[Integration, ...], logos: Mapping[str, bytes], revision: str) -> "Catalog":
        """The catalog of these integrations, each with its logo."""
        ordered = tuple(sorted(integrations, key=lambda entry: (entry.name.casefold(), entry.slug)))
        return cls(
            revision=revision,
            integrations=ordered,
            _logos=MappingProxyType(dict(logos)),
            _by_slug=MappingProxyType({entry.slug: entry for entry in ordered}),
            _hashes=MappingProxyType({slug: logo_hash(svg) for slug, svg in logos.items()}),
        )

    def get(self, slug: str) -> Integration | None:
        """The integration of that slug."""
        return self._by_slug.get(slug)

    def logo(self, slug: str) -> bytes:
        """The integration's logo, an SVG.

        Raises:
            NotFound: no such integration.
        """
        return _of(self._logos, slug)

    def logo_hash(self, slug: str) -> str:
        """32 hex digits that change when the logo does.

        Raises:
            NotFound: no such integration.
        """
        return _of(self._hashes, slug)

    def with_extra(self, integration: Integration, svg: str | bytes) -> "Catalog":
        """This catalog with one more integration (or another one of that slug), and a revision of its own.

        Raises:
            CatalogError: the SVG is not safe to show.
        """
        text = svg.decode() if isinstance(svg, bytes) else svg
        try:
            logo = clean_svg(text).encode()
        except UnsafeLogo as error:
            raise CatalogError(f"The logo of {integration.slug} cannot be used: {error}.") from error
        others = tuple(entry for entry in self.integrations if entry.slug != integration.slug)
        revision = digest([self.revision, dump(integration), logo.decode()])
        return Catalog.of((*others, integration), {**self._logos, integration.slug: logo}, revision)


def _of(values: Mapping[str, T], slug: str) -> T:
    if slug not in values:
        raise NotFound(f"There is no integration {slug!r}.")
    return values[slug]


def digest(data: object) -> str:
    """SHA-256, in hex, over the data as canonical JSON."""
    text = json.dumps(data, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def load_catalog() -> Catalog:
    """The built-in catalog, from the file that `python -m one_runtime.catalog.build` writes.

    Raises:
        CatalogError: the file is missing or was written by another version.
    """
    try:
        data = files("one_runtime.catalog").joinpath("catalog.json").read_bytes()
        compiled = CompiledCatalog.model_validate_json(data, context={"trusted": True})
    except (OSError, ValidationError) as error:
        raise CatalogError("catalog.json cannot be read. Run: python -m one_runtime.catalog.build") from error
    logos = {slug: svg.encode() for slug, svg in compiled.logos.items()}
    return Catalog.of(compiled.integrations, logos, compiled.revision)


def load_yaml(path: Path, *, allow_http: bool = False, replace: Mapping[str, str] | None = None) -> Integration:
    """One entry, checked in full.

    `replace` puts a value in place of `{name}` in the text before it is read, and `allow_http` lets http on
    loopback pass: both are for the demo's own provider.

    Raises:
        CatalogError: names the file, the line and what is wrong.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise CatalogError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise CatalogError(f"{path}: cannot be read: it is not UTF-8") from error
    if len(text) > MAX_CHARACTERS:
        raise CatalogError(f"{path}: longer than {MAX_CHARACTERS:,} characters, and no entry is")
    for name, value in (replace or {}).items():
        text = text.replace(f"{{{name}}}", value)
    try:
        root = yaml.compose(text, Loader=yaml.CSafeLoader)
        _check_nodes(root, set())
        data = yaml.load(text, Loader=yaml.CSafeLoader)
        return Integration.model_validate(data, context={"allow_http": allow_http})
    except yaml.YAMLError as error:
        raise CatalogError(_place(path, error)) from error
    except ValidationError as error:
        complaints = [
            _complaint(path, root, one["loc"], _in_our_words(one)) for one in error.errors()[:_MOST_COMPLAINTS]
        ]
        raise CatalogError("\n".join(complaints)) from error
    except ValueError as error:  # a tag or a date that is none
        raise CatalogError(f"{path}: {error}") from error


def _place(path: Path, error: yaml.YAMLError) -> str:
    """The file, the line and what is wrong there."""
    mark = error.problem_mark or error.context_mark if isinstance(error, yaml.MarkedYAMLError) else None
    problem = error.problem or error.context if isinstance(error, yaml.MarkedYAMLError) else str(error)
    return f"{path}:{mark.line + 1}: {problem}" if mark is not None else f"{path}: {problem}"


def _check_nodes(node: yaml.Node | None, seen: set[int]) -> None:
    """Of two equal keys YAML takes the second silently; here that is an error, and so are aliases.

    Raises:
        yaml.YAMLError: with the place.
    """
    if node is None or isinstance(node, yaml.ScalarNode):
        return
    if id(node) in seen:
        raise yaml.constructor.ConstructorError(None, None, "aliases are not used here", node.start_mark)
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        keys: set[object] = set()
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "a key is one word", key.start_mark)
            if key.value in keys:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value} is there twice", key.start_mark)
            keys.add(key.value)
            _check_nodes(value, seen)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _check_nodes(item, seen)


def _complaint(path: Path, root: yaml.Node | None, loc: tuple[int | str, ...], message: str) -> str:
    place = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in loc).removeprefix(".")
    return f"{path}:{_line(root, loc)}: {place or 'entry'}: {message.removeprefix('Value error, ')}"


def _in_our_words(error: ErrorDetails) -> str:
    """What is wrong, for whoever writes YAML and has never heard of our model."""
    if error["type"] == "string_pattern_mismatch":
        return _FORMS.get(str(error["loc"][-1]), error["msg"])
    return _WORDS.get(error["type"], error["msg"])


def _line(root: yaml.Node | None, loc: tuple[int | str, ...]) -> int:
    """The line of the innermost part of `loc` that the file has."""
    node, line = root, 1
    for step in loc:
        if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
        elif isinstance(node, yaml.MappingNode):
            pair = next((pair for pair in node.value if pair[0].value == step), None)
            if pair is None:
                continue
            line, node = pair[0].start_mark.line + 1, pair[1]
            continue
        else:
            continue
        line = node.start_mark.line + 1
    return line
