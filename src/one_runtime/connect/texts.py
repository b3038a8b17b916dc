"""Load the popup's texts from `texts.json`. To translate the popup, translate the file `texts.json`."""

import json
from collections.abc import Mapping
from importlib import resources
from types import MappingProxyType
from typing import Final

from one_runtime.validation.names import REORDERING

TEXTS: Final[Mapping[str, str]] = MappingProxyType(
    json.loads((resources.files("one_runtime.connect") / "texts.json").read_text(encoding="utf-8"))
)


_LONGEST: Final = 80
"""Characters of a name. A longer name would push buttons and warnings off the screen."""


def text(key: str, **values: str) -> str:
    """Return the text with this key. Replace each `{name}` in the text by its value."""
    template = TEXTS[key]
    return template.format_map({name: shown(value) for name, value in values.items()}) if values else template


def shown(name: str) -> str:
    """Return a name without characters that reorder the text around it. Shorten a long name (as dom.js does)."""
    name = REORDERING.sub("", str(name))
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"


def failure(code: str, otherwise: str, **names: str) -> str:
    """Return the text for the code of a failed authorization, or `otherwise` if there is no text for the code."""
    key = f"failed.{code}"
    return text(key, **names) if key in TEXTS else otherwise


def with_prefix(*prefixes: str) -> dict[str, str]:
    """Return the texts whose keys start with one of `prefixes`."""
    return {key: value for key, value in TEXTS.items() if key.startswith(prefixes)}
