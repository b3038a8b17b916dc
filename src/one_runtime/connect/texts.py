"""Select the texts of the pages for end users by the language of a request.

A language is one file of the folder `languages`, named by its language tag (RFC 5646), such as `pt-BR.json`. A text
that a language lacks is English.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from types import MappingProxyType
from typing import Final, Self

from markupsafe import Markup, escape

from one_runtime.validation.names import REORDERING

_LONGEST: Final = 80
"""Characters of a name. A longer name would push buttons and warnings off the screen."""
_MOST_RANGES: Final = 20
"""Number of language ranges of a header that count. Browsers send fewer than ten."""
_RANGE: Final = re.compile(r"([A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*)\s*(?:;\s*q\s*=\s*([01](?:\.[0-9]{0,3})?))?")


@dataclass(frozen=True, slots=True)
class Texts:
    """The texts of one language, by key. `language`: its language tag. `direction`: `ltr` or `rtl`."""

    language: str
    direction: str
    _texts: Mapping[str, str]

    @classmethod
    def of(cls, language: str, translated: Mapping[str, str], english: Mapping[str, str]) -> Self:
        """Return the texts of a language. English texts stand for those that the language lacks."""
        texts = {**english, **translated}
        return cls(language, texts.pop("direction"), MappingProxyType(texts))

    def __getitem__(self, key: str) -> str:
        return self._texts[key]

    def __contains__(self, key: object) -> bool:
        return key in self._texts

    def text(self, key: str, **values: str) -> str:
        """Return the text with this key. Replace each `{name}` in the text by its value."""
        shown_values = {name: shown(value) for name, value in values.items()}
        return self[key].format_map(shown_values) if values else self[key]

    def rich(self, key: str, **names: str) -> Markup:
        """Return the text with this key as HTML. Replace each `{name}` by its value in <strong>."""
        strong = {name: Markup("<strong><bdi>{}</bdi></strong>").format(shown(value)) for name, value in names.items()}
        return escape(self[key]).format(**strong)

    def named(self, key: str, **names: str) -> Markup:
        """Return the text with this key as HTML. Replace each `{name}` by its value in <bdi>, which isolates it."""
        isolated = {name: Markup("<bdi>{}</bdi>").format(shown(value)) for name, value in names.items()}
        return escape(self[key]).format(**isolated)

    def starting_with(self, *prefixes: str) -> dict[str, str]:
        """Return the texts whose keys start with one of `prefixes`."""
        return {key: value for key, value in self._texts.items() if key.startswith(prefixes)}


def shown(name: str) -> str:
    """Return a name without characters that reorder the text around it. Shorten a long name (as dom.js does)."""
    name = REORDERING.sub("", str(name))
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"


def _load() -> dict[str, Texts]:
    folder = resources.files("one_runtime.connect") / "languages"
    files = {
        file.name.removesuffix(".json"): json.loads(file.read_text(encoding="utf-8"))
        for file in folder.iterdir()
        if file.name.endswith(".json")
    }
    return {language: Texts.of(language, files[language], files["en"]) for language in sorted(files)}


LANGUAGES: Final = _load()
"""The texts by language tag. Tests add languages of their own."""
ENGLISH: Final = LANGUAGES["en"]


def select_texts(locale: str | None, accept_language: str = "") -> Texts:
    """Return the texts for a session's `locale` and the header `Accept-Language` of a browser.

    The locale comes first, then what the browser prefers, then English. Of a language range such as `de-AT`, a shorter
    form counts too (lookup, RFC 4647 section 3.4), and any form of the same language counts more than the next range.
    """
    for language_range in [locale or "", *_accepted(accept_language)]:
        texts = _look_up(language_range.lower())
        if texts is not None:
            return texts
    return ENGLISH


def _accepted(header: str) -> list[str]:
    """Return the language ranges of a header, the preferred one first (RFC 9110 section 12.5.4)."""
    weights: dict[str, float] = {}
    for part in header.split(",", _MOST_RANGES)[:_MOST_RANGES]:
        match = _RANGE.fullmatch(part.strip())
        if match is not None:
            weights.setdefault(match[1], float(match[2] or 1))
    return sorted((name for name, weight in weights.items() if weight > 0), key=lambda name: -weights[name])


def _look_up(language_range: str) -> Texts | None:
    known = {tag.lower(): texts for tag, texts in LANGUAGES.items()}
    subtags = language_range.split("-")
    for length in range(len(subtags), 0, -1):
        texts = known.get("-".join(subtags[:length]))
        if texts is not None:
            return texts
    return next((texts for tag, texts in known.items() if tag.split("-")[0] == subtags[0]), None)
