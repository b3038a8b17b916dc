"""Patterns that mean the same in Python and in the browser, matched whole. No I/O.

Python matches with `fullmatch` and ASCII classes; the popup compiles `^(?:pattern)$` with the flag `u`. So a
pattern may use only what both read alike.
"""

import re
from collections.abc import Iterator
from functools import lru_cache

MAX_PATTERN = 300
# JavaScript's flag `u` refuses an escape it does not know; Python's own (\A, \Z, \N{…}) mean nothing there.
_ESCAPES = frozenset("dDwWsS.-/\\+*?[](){}^$|tnr")
_GROUPS = ("(?:", "(?=", "(?!")
# What would carry a value out of one host label into another part of the URL, or to a raw address.
_LEAVES_HOST = ("/", "\\", "@", ":", "?", "#", "%", " ", "\n", "\x00", "[", "]", "..", "é", "{", "}", ",", ";")
_SEEDS = ("a", "acme", "us1", "a1.b2", "datadoghq.com")


@lru_cache(maxsize=4096)
def compiled(pattern: str) -> re.Pattern[str]:
    """The pattern, ready for `fullmatch`."""
    return re.compile(pattern, re.ASCII)


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
    try:
        compiled(pattern)
    except re.error as error:
        raise ValueError(f"does not compile: {error}") from error
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
    if pattern.startswith("(?", index) and not pattern.startswith(_GROUPS, index):
        raise ValueError("of the groups with (? only (?: and (?= and (?! are read alike everywhere")
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
