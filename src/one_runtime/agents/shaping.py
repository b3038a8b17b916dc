"""Shorten a provider's answer for a language model: keep chosen fields, and limit the size.

A shortened answer says how to read the rest. An answer is data from JSON, or a text.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

DEFAULT_BYTES: Final = 16 * 1024
MAX_BYTES: Final = 256 * 1024
MIN_BYTES: Final = 256
"""Limits of the size of a shaped answer, in bytes of compact JSON."""

MAX_FIELDS: Final = 100
MAX_FIELD: Final = 200
MAX_PARTS: Final = 16
"""Maximum numbers of fields, of characters of a field, and of names in the path of a field."""

_Tree: TypeAlias = dict[str, "_Tree | None"]
"""The chosen fields by their first names. None: the whole value."""

_MAX_DEPTH: Final = 8
"""Maximum depth at which `shape` looks for the longest list."""


@dataclass(frozen=True, slots=True)
class Shaped:
    """A shortened answer.

    `truncated`: a sentence that says which part is missing, or None. `offset`: the first item or character of the next
    part, or None.
    """

    data: Any
    truncated: str | None = None
    offset: int | None = None


def size_of(data: object) -> int:
    """Return the number of bytes of the data as compact JSON."""
    return len(compact(data).encode(errors="replace"))


def compact(data: object) -> str:
    """Return the data as JSON without spaces."""
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"))


def indented(data: object, most: int) -> str:
    """Return the data as indented JSON, or a beginning of it that has more than `most` characters.

    The spaces of nested values can need much more memory than the values, and a loop over them takes seconds.
    """
    pieces, size = list[str](), 0
    for piece in json.JSONEncoder(indent=2, ensure_ascii=False).iterencode(data):
        pieces.append(piece)
        size += len(piece)
        if size > most:
            break
    return "".join(pieces)


def shape(data: object, *, fields: Sequence[str] = (), max_bytes: int = DEFAULT_BYTES, offset: int = 0) -> Shaped:
    """Return the chosen fields of the data, with at most `max_bytes` bytes.

    - `fields`: paths such as `results.id`. A path goes through lists without a sign for them. Empty: all fields.
    - `offset`: the first item of the longest list, or the first character of a text.

    If the data is too long, the longest list loses its last items. Data without a long list becomes a text that ends
    early.
    """
    if fields:
        data = _select(data, _tree(fields))
    if size_of(data) <= max_bytes and not offset:
        return Shaped(data)
    path = _longest_list(data)
    if path is not None:
        shortened = _shorten(data, path, max_bytes, offset)
        if shortened is not None:
            return shortened
    return _cut(data if isinstance(data, str) else compact(data), max_bytes, offset)


def _tree(fields: Sequence[str]) -> _Tree:
    """Return the fields as a tree, so that one walk over the data finds all of them."""
    root: _Tree = {}
    for field in fields:
        node: _Tree | None = root
        *parents, last = field.split(".")
        for name in parents:
            node = node.setdefault(name, {}) if node is not None else None
        if node is not None:
            node[last] = None
    return root


def _select(data: object, tree: _Tree) -> object:
    """Return only the parts of the data to which a path leads."""
    if isinstance(data, list):
        return [_select(item, tree) for item in data]
    if not isinstance(data, dict):
        return data
    selected = {}
    for name, value in data.items():
        if name in tree:
            below = tree[name]
            selected[name] = value if below is None else _select(value, below)
    return selected


def _longest_list(data: Any) -> tuple[str, ...] | None:
    """Return the path to the list that has most of the bytes. Return None if there is no list with several items."""
    path = list[str]()
    while isinstance(data, dict) and data and len(path) < _MAX_DEPTH:
        name = max(data, key=lambda key: size_of(data[key]))
        path.append(name)
        data = data[name]
    return tuple(path) if isinstance(data, list) and len(data) > 1 else None


def _shorten(data: Any, path: tuple[str, ...], max_bytes: int, offset: int) -> Shaped | None:
    """Return the data with as many items of the list as fit. Return None if not even one item fits."""
    items = data
    for name in path:
        items = items[name]
    left = max_bytes - size_of(_replaced(data, path, []))
    kept = []
    for item in items[offset:]:
        left -= size_of(item) + 1
        if left < 0:
            break
        kept.append(item)
    end = offset + len(kept)
    if not kept and end < len(items):
        return None
    shortened = _replaced(data, path, kept)
    if end >= len(items):
        return Shaped(shortened)
    place = ".".join(path) or "the list"
    sentence = (
        f"{place} has {len(items)} items, and this answer has the items {offset} to {end - 1}. For the next items, "
        f"repeat the call with offset {end}. To get more items at once, choose fields."
    )
    return Shaped(shortened, sentence, end)


def _replaced(data: Any, path: tuple[str, ...], items: list[Any]) -> Any:
    """Return a copy of the data in which the list at `path` has these items."""
    if not path:
        return items
    return {**data, path[0]: _replaced(data[path[0]], path[1:], items)}


def _cut(text: str, max_bytes: int, offset: int) -> Shaped:
    """Return a part of the text."""
    part = text[offset : offset + max_bytes].encode(errors="replace")[:max_bytes].decode(errors="ignore")
    end = offset + len(part)
    if end >= len(text):
        return Shaped(part)
    sentence = (
        f"The answer has {len(text)} characters, and this part ends at character {end}. For the next part, repeat the "
        f"call with offset {end}, or choose fields."
    )
    return Shaped(part, sentence, end)
