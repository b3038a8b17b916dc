"""Expand and check the event types of a webhook endpoint, such as `connection.*`."""

from collections.abc import Iterable
from typing import Final

from one_runtime.errors import FieldError, InvalidInput
from one_runtime.tenancy.event_deliveries import ALL_TYPES
from one_runtime.tenancy.events import TYPES


def expand(patterns: Iterable[str], field: str = "event_types") -> list[str]:
    """Return the event types for the patterns of a request, in the order of `TYPES`.

    `connection.*` stands for the present types that begin with `connection.`. So a later version of One Runtime, which
    adds a type, does not send an unexpected type. `*` stays `*`, and includes later types.

    `field`: the name of the field in the request, for errors. Raises: InvalidInput if a pattern matches no type.
    """
    chosen, errors = set[str](), list[FieldError]()
    for index, pattern in enumerate(patterns):
        if pattern == ALL_TYPES:
            return [ALL_TYPES]
        prefix = pattern[:-1] if pattern.endswith(".*") else None
        matching = [kind for kind in TYPES if kind == pattern or (prefix and kind.startswith(prefix))]
        chosen.update(matching)
        if not matching:
            errors.append(FieldError(f"{field}[{index}]", f"is not an event type. {_advice(pattern)}"))
    if errors:
        raise InvalidInput.of_all(errors)
    return [kind for kind in TYPES if kind in chosen]


_GROUPS: Final = tuple(dict.fromkeys(f"{kind.partition('.')[0]}.*" for kind in TYPES))


def _advice(pattern: str) -> str:
    """Return the types of the group to which an unknown type belongs, or else the groups of all types."""
    group = f"{pattern.partition('.')[0]}.*"
    if group not in _GROUPS:
        return f"Send a type such as {TYPES[0]}, * for all types, or one of these groups: {', '.join(_GROUPS)}"
    return f"The types of {group} are: {', '.join(kind for kind in TYPES if kind.startswith(group[:-1]))}"
