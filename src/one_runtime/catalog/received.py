"""Values that a provider says while somebody connects: taken from its answer, checked, kept with the connection. Pure.

Some of them become part of a host that tokens are sent to, so none is believed before it fits the entry (P7).
"""

from one_runtime.catalog.oauth2 import OAuth2Auth, Received, Source
from one_runtime.catalog.patterns import compiled
from one_runtime.catalog.request import MAX_PARAM, look_up, text_of


class UnexpectedValue(ValueError):
    """The provider's answer lacks a value that the entry needs, or holds one that the entry does not allow. The
    message names the value and never repeats it."""


def receive(auth: OAuth2Auth, source: Source, answer: object) -> dict[str, str]:
    """The values of that source, by name: from the callback's query, the token response, or the look-up's answer (of
    a look-up with choices: from the chosen item).

    Raises:
        UnexpectedValue: one is missing without a default, or does not fit.
    """
    return {part.name: _value(part, answer) for part in auth.received if part.source == source}


def _value(part: Received, answer: object) -> str:
    found = text_of(look_up(answer, part.where))
    if found is None or not found:
        if part.default is None:
            raise UnexpectedValue(f"{part.name}: the provider's {part.source} does not contain {part.where}")
        return part.default
    value = _extracted(part, found)
    if value is None or len(value) > MAX_PARAM or value in (".", "..") or not _allowed(part, value):
        raise UnexpectedValue(f"{part.name}: the provider's {part.source} contains an unexpected {part.where}")
    return value


def _extracted(part: Received, found: str) -> str | None:
    if part.extract is None:
        return found
    match = compiled(part.extract).fullmatch(found)
    return match.group(1) if match is not None else None


def _allowed(part: Received, value: str) -> bool:
    pattern = part.guard_pattern
    fits = pattern is None or compiled(pattern).fullmatch(value) is not None
    return fits and (not part.options or value in part.options)
