"""Patterns mean the same in Python and in the browser."""

import pytest

from one_runtime.catalog.patterns import check_pattern
from tests.catalog.javascript import compile_all

PORTABLE = [
    "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?",
    r"xox[a-z](?:\.xox[a-z])?-[A-Za-z0-9-]{10,500}",
    r"[^\s/]+",
    r"\d{3}-\w+",
    r"(?=.{3,9})[a-z.]+",
    r"[\[\]\\-]+",
    "a|b",
]
ONLY_PYTHON = [
    r"(?P<name>a)",
    r"(?i)a",
    r"a\Z",
    r"\Aa",
    r"a++",
    r"a{2}+",
    r"(?>a)",
    r"(?#why)a",
    r"a\-b",
    "a{",
    "a]",
    "a}",
    "[[a]]",
    "[]a]",
    r"\_",
    r"\x41",
    "^a$",
    "(",
    "a\\",
    "a" * 301,
]


@pytest.mark.parametrize("pattern", PORTABLE)
def test_what_both_read_alike_is_accepted(pattern: str) -> None:
    assert check_pattern(pattern) == pattern


@pytest.mark.parametrize("pattern", ONLY_PYTHON)
def test_what_the_browser_would_read_otherwise_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        check_pattern(pattern)


def test_the_browsers_engine_takes_every_accepted_pattern() -> None:
    compile_all(PORTABLE)
