"""The integrations that lists show first: `popular.txt` has one slug per line, the best-known product first.

The first slug is the demo's provider, which is not in the built-in catalog.
"""

from importlib.resources import files
from types import MappingProxyType
from typing import Final

_SLUGS: Final = (files("one_runtime.catalog") / "popular.txt").read_text("utf-8").split()
POPULARITY: Final = MappingProxyType({slug: position for position, slug in enumerate(_SLUGS, start=1)})
"""The position of each popular integration, from 1, by slug."""
