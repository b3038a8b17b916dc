"""Generate example values from the patterns of a catalog entry, so that the linter can test the entry."""

import re
from collections.abc import Iterable
from functools import lru_cache
from importlib import import_module
from itertools import islice
from random import Random
from typing import Any, Final

from one_runtime.catalog.parts import CredentialField, Param
from one_runtime.catalog.patterns import compiled

# Type checkers do not know these private modules of Python, so `import_module` imports both modules by name.
_codes: Final[Any] = import_module("re._constants")
_parser: Final[Any] = import_module("re._parser")

ACCESS_TOKEN: Final = "example-access-token"

_PREFERRED: Final = "a1bcdef0234567890ghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_.@"
_CATEGORIES: Final[dict[Any, str]] = {
    _codes.CATEGORY_DIGIT: r"\d", _codes.CATEGORY_WORD: r"\w", _codes.CATEGORY_SPACE: r"\s",
    _codes.CATEGORY_NOT_DIGIT: r"\D", _codes.CATEGORY_NOT_WORD: r"\W", _codes.CATEGORY_NOT_SPACE: r"\S",
}  # fmt: skip
_ALL: Final = "".join(map(chr, range(33, 127)))
_MAX_CHARACTERS: Final = 2_000  # longer examples would make the linter slow


def generate_param(part: Param) -> str:
    """Return an example value of a parameter.

    Return the first of these values that exists: the default, the first option, a placeholder that matches the pattern,
    a value generated from the pattern.
    """
    if part.default is not None:
        return part.default
    if part.options:
        return part.options[0].value
    if part.placeholder and part.pattern and compiled(part.pattern).fullmatch(part.placeholder):
        return part.placeholder
    return generate_match(part.pattern or "")


def generate_field(part: CredentialField, variant: int = 0) -> str:
    """Return an example value of a credential field. Another `variant` gives another value."""
    return generate_match(part.pattern, variant) if part.pattern is not None else f"a1b2c3d4e5f6g7h{variant}"


def put(document: object, path: str, value: object) -> object:
    """Return a copy of the JSON document with the value at the path. Add missing objects and lists."""
    step, _, rest = path.partition(".")
    if not step:
        return value
    if step.isdigit():
        items = list(document) if isinstance(document, list) else []
        items += [None] * (int(step) + 1 - len(items))
        items[int(step)] = put(items[int(step)], rest, value)
        return items
    members = dict(document) if isinstance(document, dict) else {}
    return {**members, step: put(members.get(step), rest, value)}


def generate_match(pattern: str, variant: int = 0) -> str:
    """Return a text that matches the whole pattern.

    Raises:
        ValueError: the search found no text that matches the pattern.
    """
    parsed = _parser.parse(pattern)
    for attempt in range(8):
        pieces = _pieces(parsed, attempt, Random(variant) if variant else None)
        text = "".join(islice(pieces, _MAX_CHARACTERS))
        if compiled(pattern).fullmatch(text):
            return text
    raise ValueError(f"no example was found for the pattern {pattern}")


def requires_fixed_end(pattern: str) -> bool:
    """Return True if all values of a host's pattern end in a listed label, such as `okta` in `acme.okta`.

    The function changes and extends the last label of an example. The result is True if the pattern accepts none of
    these values.
    """
    try:
        example = generate_match(pattern)
    except ValueError:
        return False
    last = range(example.rfind(".") + 1, len(example))
    changed = [example[:at] + char + example[at + 1 :] for at in last for char in "0ax" if char != example[at]]
    return not any(compiled(pattern).fullmatch(value) for value in (*changed, f"{example}x", f"{example}.x"))


def _pieces(parsed: Iterable[Any], variant: int, chance: Random | None) -> Iterable[str]:
    for place, (code, argument) in enumerate(parsed):
        if code is _codes.LITERAL:
            yield chr(argument)
        elif code in (_codes.IN, _codes.ANY, _codes.NOT_LITERAL):
            yield _pick(code, argument, place + variant, chance)
        elif code is _codes.SUBPATTERN:
            yield from _pieces(argument[-1], variant, chance)
        elif code is _codes.BRANCH:
            yield from _pieces(argument[1][variant % len(argument[1])], variant, chance)
        elif code in (_codes.MAX_REPEAT, _codes.MIN_REPEAT):
            least, most, repeated = argument
            times = max(least, min(most, 1 if least == 0 and variant % 2 else least))
            for repetition in range(times):
                yield from _pieces(repeated, variant + repetition, chance)


def _pick(code: object, argument: Any, position: int, chance: Random | None) -> str:
    if code is not _codes.IN:
        ordered = [char for char in _PREFERRED if code is _codes.ANY or ord(char) != argument]
        return chance.choice(ordered) if chance else ordered[position % 7]
    ordered = _candidates(tuple(argument))
    if not ordered:
        raise ValueError("each class of a pattern must contain a printable ASCII character")
    return chance.choice(ordered) if chance else ordered[position % min(len(ordered), 7)]


@lru_cache(maxsize=1024)
def _candidates(items: tuple[tuple[Any, Any], ...]) -> list[str]:
    """Return the characters of a class such as `[a-z]` that are also in `_PREFERRED`.

    If no character of the class is in `_PREFERRED`, return all characters of the class.
    """
    negated = items[0][0] is _codes.NEGATE
    named = {char for item in items for char in _ALL + " " if _contains(item, char)}
    allowed = set(_ALL) - named if negated else named
    return [char for char in _PREFERRED if char in allowed] or sorted(allowed)


def _contains(item: tuple[Any, Any], char: str) -> bool:
    code, argument = item
    if code is _codes.LITERAL:
        return bool(ord(char) == argument)
    if code is _codes.RANGE:
        return bool(argument[0] <= ord(char) <= argument[1])
    return code is _codes.CATEGORY and re.fullmatch(_CATEGORIES[argument], char, re.ASCII) is not None
