"""Every string that the popup shows, from one file: `texts.json`. Translating the popup is translating that file."""

import json
from collections.abc import Mapping
from importlib import resources
from types import MappingProxyType
from typing import Final

TEXTS: Final[Mapping[str, str]] = MappingProxyType(
    json.loads((resources.files("one_runtime.connect") / "texts.json").read_text(encoding="utf-8"))
)


def text(key: str, **values: str) -> str:
    """The text under `key` with `{name}` filled in. Filled-in values are not looked into again."""
    template = TEXTS[key]
    return template.format_map(values) if values else template


def failure(code: str, otherwise: str, **names: str) -> str:
    """Why a consent led nowhere, in our own words for what is known; `otherwise` for everything else."""
    key = f"failed.{code}"
    return text(key, **names) if key in TEXTS else otherwise


def with_prefix(*prefixes: str) -> dict[str, str]:
    """The texts whose keys start with one of `prefixes`."""
    return {key: value for key, value in TEXTS.items() if key.startswith(prefixes)}
