"""Check and compile patterns: regular expressions for the server and the browser.

A pattern must match the whole text. The server uses RE2, because the time of a match grows only linearly with the
length of the text. The popup compiles `^(?:pattern)$` in JavaScript with the flag `u`. A pattern may use only syntax
that RE2 and JavaScript support. RE2 does not support lookahead and lookbehind. The server and the browser can disagree
about unusual characters, because `\\s` and `.` differ a little between RE2 and JavaScript.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final

import re2

MAX_PATTERN = 300
MAX_COUNT = 20_000  # the largest number in a count such as {2,5}
_MOST_MEMORY = 2 * 1024 * 1024  # bytes, for one compiled pattern
# With the flag `u`, JavaScript refuses unknown escapes, such as \A, \Z and \N{…}.
_ESCAPES = frozenset("dDwWsS.-/\\+*?[](){}^$|tnr")
_GROUP = "(?:"
# RE2 allows counts up to 1000. So `_split_count` replaces `x{16,1024}` by `x{16,1000}x{0,24}`.
_COUNTED = re.compile(r"(\[\^?(?:\\.|[^\]\\])+\]|\\.|[^\\()\[\]{}|*+?])\{([0-9]+)(,?)([0-9]*)\}")
_MOST_COUNTED = 1000
_OPTIONS: Final = re2.Options()
_OPTIONS.log_errors = False
_OPTIONS.max_mem = _MOST_MEMORY
_DIGITS: Final = frozenset("0123456789")
_MORE: Final = frozenset({""})
_ESCAPED: Final = {"d": _DIGITS, ".": frozenset("."), "-": frozenset("-")}
_MOST_LISTED: Final = 128
_HOST_CHARACTERS: Final = _DIGITS | frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-")
_TOKEN: Final = re.compile(
    r"\\(?P<escape>.)|\[(?P<excludes>\^?)(?P<members>(?:\\.|[^\]\\])+)\]|\{[0-9,]+\}|\(\?:|[()|*+?]|(?P<char>.)",
    re.DOTALL,
)
_CLASS_PART: Final = re.compile(r"\\(?P<escape>.)|(?P<first>.)(?:-(?P<last>[^\\]))?", re.DOTALL)
_IMPOSSIBLE_EDGES: Final = ("", ".", "-", "a.", ".a", "-a", "a-")


@lru_cache(maxsize=512)
def compiled(pattern: str) -> Any:
    """Return the compiled pattern. Classes such as `\\d` match only ASCII characters. Raises: re2.error."""
    return re2.compile(_COUNTED.sub(_split_count, pattern), _OPTIONS)


def extract(pattern: str, text: str) -> str | None:
    """Return the text that the pattern's group matches, or None if the pattern does not match the whole text."""
    match = compiled(pattern).fullmatch(text)
    return match.group(1) if match is not None else None


def _split_count(match: re.Match[str]) -> str:
    atom, low = match[1], int(match[2])
    high = low if not match[3] else int(match[4]) if match[4] else None
    parts = []
    while low > _MOST_COUNTED or (high is not None and high > _MOST_COUNTED):
        parts.append(f"{atom}{{{min(low, _MOST_COUNTED)},{_MOST_COUNTED}}}")
        low, high = max(0, low - _MOST_COUNTED), None if high is None else high - _MOST_COUNTED
    return "".join(parts) + f"{atom}{{{low},{'' if high is None else high}}}"


def check_pattern(pattern: str) -> str:
    """Return the pattern, unchanged.

    Raises:
        ValueError: the pattern is too long, does not compile, or can have another meaning in the browser.
    """
    if len(pattern) > MAX_PATTERN:
        raise ValueError(f"must be at most {MAX_PATTERN} characters")
    if pattern.startswith("^") or pattern.endswith("$"):
        raise ValueError("omit ^ and $: a pattern always matches the whole value")
    _check_portable(pattern)
    for low, high in ((int(match[2]), int(match[4] or match[2])) for match in _COUNTED.finditer(pattern)):
        if max(low, high) > MAX_COUNT or low > high:
            raise ValueError(f"in a count such as {{2,5}}, use numbers up to {MAX_COUNT}, the smaller number first")
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
                raise ValueError(
                    "a character class must not contain an unescaped [, and must not contain --, &&, || or ~~"
                )
            in_class = char != "]"
        elif char == "[":
            in_class = True
            index += 1 if pattern[index + 1 : index + 2] == "^" else 0
            if pattern[index + 1 : index + 2] == "]":
                raise ValueError("put a backslash before ] at the start of a character class")
        else:
            _check_outside_class(pattern, index)
        index += 1


def _check_escape(char: str, *, in_class: bool) -> None:
    if char not in _ESCAPES or (char == "-" and not in_class):
        raise ValueError(f"the escape \\{char} is not supported here")


def _check_outside_class(pattern: str, index: int) -> None:
    char = pattern[index]
    if char in "]}" and not (char == "}" and re.search(r"\{[0-9]+(?:,[0-9]*)?\Z", pattern[:index])):
        raise ValueError(f"put a backslash before {char}")
    if char == "{" and not re.match(r"\{[0-9]+(?:,[0-9]*)?\}", pattern[index:]):
        raise ValueError("put a backslash before {, except in a count such as {2,5}")
    if pattern.startswith("(?", index) and not pattern.startswith(_GROUP, index):
        raise ValueError("(? must begin a non-capturing group (?:…); lookahead and lookbehind are not supported")
    if char in "*+?}" and pattern[index + 1 : index + 2] == "+":
        raise ValueError("browsers do not support possessive quantifiers such as a++; remove the last +")


def check_host_pattern(pattern: str) -> None:
    """Check that a value in a host cannot contain a character that ends the host part of a URL, such as `/`.

    For example, the slash in `evil.com/` ends the host (promise P7 of docs/security.md). The pattern may accept only
    letters, digits, `.` and `-`. These characters never end the host in a URL. `templates.is_authority`
    refuses an invalid order of the characters, such as `a..b`, before each request.

    Raises:
        ValueError: the pattern accepts another character, or an invalid start or end of a host name.
    """
    for token in _TOKEN.finditer(pattern):
        accepted = _accepted_by(token)
        if not accepted <= _HOST_CHARACTERS:
            raise ValueError(
                f"a value in a host may contain only letters, digits, . and -, but {token[0]} accepts other "
                "characters: list the allowed characters, such as [a-z0-9-]"
            )
    for value in _IMPOSSIBLE_EDGES:
        if compiled(pattern).fullmatch(value):
            raise ValueError(f"the pattern must not accept {value!r} in a host: require a letter or digit at both ends")


def _accepted_by(token: re.Match[str]) -> frozenset[str]:
    """Return the characters that one token of a pattern accepts.

    If the token accepts too many characters to list, the set contains "".
    """
    if token["escape"]:
        return _ESCAPED.get(token["escape"], _MORE)
    if token["excludes"]:
        return _MORE
    if token["char"]:
        return _MORE if token["char"] == "." else frozenset(token["char"])
    accepted: set[str] = set()
    for part in _CLASS_PART.finditer(token["members"] or ""):
        if part["escape"]:
            accepted |= _ESCAPED.get(part["escape"], _MORE)
        else:
            accepted |= _range(ord(part["first"]), ord(part["last"] or part["first"]))
    return frozenset(accepted)


def _range(first: int, last: int) -> frozenset[str]:
    """Return the characters from `first` to `last`. For a long range, return a set with only ""."""
    if last - first >= _MOST_LISTED:
        return _MORE
    return frozenset(map(chr, range(first, last + 1)))


def captured_part(pattern: str) -> str:
    """Return the pattern inside the only capturing group of `pattern`.

    Raises:
        ValueError: there is no capturing group, or there are several.
    """
    if compiled(pattern).groups != 1:
        raise ValueError("must have exactly one capturing (group)")
    depth, start, outside, in_class = 0, 0, -1, False
    for index, char in _iterate_unescaped(pattern):
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


def _iterate_unescaped(pattern: str) -> Iterator[tuple[int, str]]:
    """Yield each character that is not escaped, with its index."""
    index = 0
    while index < len(pattern):
        if pattern[index] == "\\":
            index += 2
            continue
        yield index, pattern[index]
        index += 1
