"""Load the popup's texts from `texts.json`. To translate the popup, translate the file `texts.json`."""

import json
from collections.abc import Mapping
from importlib import resources
from types import MappingProxyType
from typing import Final

TEXTS: Final[Mapping[str, str]] = MappingProxyType(
    json.loads((resources.files("one_runtime.connect") / "texts.json").read_text(encoding="utf-8"))
)


def text(key: str, **values: str) -> str:
    """Return the text with this key. Replace each `{name}` in the text by its value."""
    template = TEXTS[key]
    return template.format_map(values) if values else template


def failure(code: str, otherwise: str, **names: str) -> str:
    """Return the text for the code of a failed authorization, or `otherwise` if there is no text for the code."""
    key = f"failed.{code}"
    return text(key, **names) if key in TEXTS else otherwise


def with_prefix(*prefixes: str) -> dict[str, str]:
    """Return the texts whose keys start with one of `prefixes`."""
    return {key: value for key, value in TEXTS.items() if key.startswith(prefixes)}
