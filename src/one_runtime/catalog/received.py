"""Extract and validate the values that a provider returns while an end user connects.

Some of them become part of a host that receives tokens, so each value must match the entry (P7).
"""

from one_runtime.catalog.oauth2 import OAuth2Auth, ReceivedValue, ValueSource
from one_runtime.catalog.patterns import compiled
from one_runtime.catalog.request import MAX_PARAM, look_up, text_of


class UnexpectedValue(ValueError):
    """The provider's answer lacks a required value, or contains a value that the entry does not allow.

    The message has the name of the value and never the value itself.
    """


def read_received(auth: OAuth2Auth, source: ValueSource, answer: object) -> dict[str, str]:
    """Return the received values of a source by name.

    `answer`: the callback's query, the token response, or the look-up's answer; with choices, the selected item.

    Raises:
        UnexpectedValue: a value is missing without a default, or is not allowed.
    """
    return {part.name: _value(part, answer) for part in auth.received if part.source == source}


def _value(part: ReceivedValue, answer: object) -> str:
    text = text_of(look_up(answer, part.where))
    if text is None or not text:
        if part.default is None:
            raise UnexpectedValue(f"{part.name}: the provider's {part.source} does not contain {part.where}")
        return part.default
    value = _extract(part, text)
    if value is None or len(value) > MAX_PARAM or value in (".", "..") or not _is_allowed(part, value):
        raise UnexpectedValue(f"{part.name}: the provider's {part.source} contains an unexpected {part.where}")
    return value


def _extract(part: ReceivedValue, text: str) -> str | None:
    if part.extract is None:
        return text
    match = compiled(part.extract).fullmatch(text)
    return match.group(1) if match is not None else None


def _is_allowed(part: ReceivedValue, value: str) -> bool:
    pattern = part.guard_pattern
    fits = pattern is None or compiled(pattern).fullmatch(value) is not None
    return fits and (not part.options or value in part.options)
