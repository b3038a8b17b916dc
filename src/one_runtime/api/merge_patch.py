"""Apply a JSON Merge Patch (RFC 7396). Every PATCH route of the API changes its resource with this function."""

from collections.abc import Mapping
from typing import Any


def merge_patch(target: object, patch: Mapping[str, Any]) -> dict[str, Any]:
    """Return the target with the changes of the patch.

    An omitted member keeps its value, null removes the member, an object is merged, and any other value replaces the
    present value.
    """
    merged = dict(target) if isinstance(target, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, Mapping):
            merged[name] = merge_patch(merged.get(name), value)
        else:
            merged[name] = value
    return merged
