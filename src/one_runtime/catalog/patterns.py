"""Patterns that mean the same here and in the browser, matched whole. No I/O.

Here they run on RE2, in time that grows with the text and never faster, whoever wrote the pattern; the popup compiles
`^(?:pattern)$` with the flag `u`. So a pattern may use only what both read alike, and looks neither ahead nor back.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final

import re2

MAX_PATTERN = 300
MAX_COUNT = 20_000  # no field takes more characters
_MOST_MEMORY = 2 * 1024 * 1024  # of one compiled pattern
# JavaScript's flag `u` refuses an escape it does not know; Python's own (\A, \Z, \N{…}) mean nothing there.
_ESCAPES = frozenset("dDwWsS.-/\\+*?[](){}^$|tnr")
_GROUP = "(?:"
# RE2 counts to 1000 and no further; `x{16,1024}` is `x{16,1000}x{0,24}`.
_COUNTED = re.compile(r"(\[\^?(?:\\.|[^\]\\])+\]|\\.|[^\\()\[\]{}|*+?])\{([0-9]+)(,?)([0-9]*)\}")
_MOST_COUNTED = 1000
_OPTIONS: Final = re2.Options()
_OPTIONS.log_errors = False
_OPTIONS.max_mem = _MOST_MEMORY
# What would carry a value out of one host label into another part of the URL, or to a raw address.
_LEAVES_HOST = ("/", "\\", "@", ":", "?", "#", "%", " ", "\n", "\x00", "[", "]", "..", "é", "{", "}", ",", ";")
_SEEDS = ("a", "acme", "us1", "a1.b2", "datadoghq.com")


@lru_cache(maxsize=512)
def compiled(pattern: str) -> Any:
    """The pattern, ready for `fullmatch`; classes such as `\\d` are ASCII's. Raises: re2.error."""
    return re2.compile(_COUNTED.sub(_in_thousands, pattern), _OPTIONS)


def _in_thousands(match: re.Match[str]) -> str:
    atom, low = match[1], int(match[2])
    high = low if not match[3] else int(match[4]) if match[4] else None
    parts = []
    while low > _MOST_COUNTED or (high is not None and high > _MOST_COUNTED):
        parts.append(f"{atom}{{{min(low, _MOST_COUNTED)},{_MOST_COUNTED}}}")
        low, high = max(0, low - _MOST_COUNTED), None if high is None else high - _MOST_COUNTED
    return "".join(parts) + f"{atom}{{{low},{'' if high is None else high}}}"


def check_pattern(pattern: str) -> str:
    """The pattern, unchanged.

    Raises:
        ValueError: it does not compile, or the browser would read it otherwise.
    """
    if len(pattern) > MAX_PATTERN:
        raise ValueError(f"longer than {MAX_PATTERN} characters")
    if pattern.startswith("^") or pattern.endswith("$"):
        raise ValueError("leave out ^ and $: a pattern is always matched whole")
    _check_portable(pattern)
    for low, high in ((int(found[2]), int(found[4] or found[2])) for found in _COUNTED.finditer(pattern)):
        if max(low, high) > MAX_COUNT or low > high:
            raise ValueError(f"counts to {MAX_COUNT} at the most, and not backwards")
    try:
        compiled(pattern)
    except re2.error as error:
        reason = error.args[0].decode() if error.args and isinstance(error.args[0], bytes) else error
        raise ValueError(f"does not compile: {reason}") from error
    return pattern


def _check_portable(pattern: str) -> None:
    in_class = False
    index = 0
    while index < len(pattern):
        char = pattern[index]
        if char == "\\":
            _check_escape(pattern[index + 1 : index + 2], in_class=in_class)
            index += 2
            continue
        if in_class:
            if char == "[" or pattern.startswith(("--", "&&", "||", "~~"), index):
                raise ValueError("escape [ within a character class, and double no -, &, | or ~ there")
            in_class = char != "]"
        elif char == "[":
            in_class = True
            index += 1 if pattern[index + 1 : index + 2] == "^" else 0
            if pattern[index + 1 : index + 2] == "]":
                raise ValueError("escape ] at the start of a character class")
        else:
            _check_outside_class(pattern, index)
        index += 1


def _check_escape(char: str, *, in_class: bool) -> None:
    if char not in _ESCAPES or (char == "-" and not in_class):
        raise ValueError(f"the browser does not know the escape \\{char} here")


def _check_outside_class(pattern: str, index: int) -> None:
    char = pattern[index]
    if char in "]}" and not (char == "}" and re.search(r"\{[0-9]+(?:,[0-9]*)?\Z", pattern[:index])):
        raise ValueError(f"escape {char}")
    if char == "{" and not re.match(r"\{[0-9]+(?:,[0-9]*)?\}", pattern[index:]):
        raise ValueError("escape { where it is no {count}")
    if pattern.startswith("(?", index) and not pattern.startswith(_GROUP, index):
        raise ValueError("of the groups with (? only (?: is read alike everywhere; look neither ahead nor back")
    if char in "*+?}" and pattern[index + 1 : index + 2] == "+":
        raise ValueError("possessive quantifiers are Python's own")


def check_host_pattern(pattern: str) -> None:
    """Refuses a pattern that would let a value leave the host it is put into (this is the guard against SSRF).

    Raises:
        ValueError: with an example that the pattern takes and must not.
    """
    for seed in _SEEDS:
        for bad in _LEAVES_HOST:
            for value in (seed + bad, bad + seed, seed + bad + seed):
                if compiled(pattern).fullmatch(value):
                    raise ValueError(f"a value that forms the host could be {value!r}")
    for value in ("", ".", "-", "a.", ".a", "-a", "a-"):
        if compiled(pattern).fullmatch(value):
            raise ValueError(f"a value that forms the host could be {value!r}")


def captured_part(pattern: str) -> str:
    """The pattern inside the one capturing group of `pattern`.

    Raises:
        ValueError: none, or several.
    """
    if compiled(pattern).groups != 1:
        raise ValueError("needs exactly one (group)")
    depth, start, outside, in_class = 0, 0, -1, False
    for index, char in _significant(pattern):
        if in_class:
            in_class = char != "]"
        elif char == "[":
            in_class = True
        elif char == "(":
            if pattern[index + 1] != "?":
                start, outside = index + 1, depth
            depth += 1
        elif char == ")":
            depth -= 1
            if depth == outside:
                break
    return pattern[start:index]


def _significant(pattern: str) -> Iterator[tuple[int, str]]:
    """Each character that is not escaped, with its place."""
    index = 0
    while index < len(pattern):
        if pattern[index] == "\\":
            index += 2
            continue
        yield index, pattern[index]
        index += 1
