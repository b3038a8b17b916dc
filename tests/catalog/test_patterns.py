"""Patterns have the same meaning in Python and in the browser."""

import string
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from one_runtime.catalog.patterns import check_host_pattern, check_pattern, compiled
from tests.catalog.javascript import compile_all

PORTABLE = [
    "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?",
    r"xox[a-z](?:\.xox[a-z])?-[A-Za-z0-9-]{10,500}",
    r"[^\s/]+",
    r"\d{3}-\w+",
    "[a-z]{16,4096}",
    r"\.{3,1024}[\d\-]{1001}",
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
    r"(?=.{3,9})[a-z.]+",  # looking ahead takes more than one pass
    r"(?!pk_)[a-z_]+",
    r"(a)\1",
    "a{1,20001}",
    "(?:a{1000}){1000}",
]


@pytest.mark.parametrize("pattern", PORTABLE)
def test_patterns_with_the_same_meaning_in_both_engines_are_accepted(pattern: str) -> None:
    assert check_pattern(pattern) == pattern


@pytest.mark.parametrize("pattern", ONLY_PYTHON)
def test_patterns_with_another_meaning_in_the_browser_are_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        check_pattern(pattern)


def test_the_engine_of_browsers_compiles_every_accepted_pattern() -> None:
    compile_all(PORTABLE)


@pytest.mark.parametrize(
    "pattern, fewest, most", [("a{2,4096}", 2, 4096), (r"[\d\]]{1000}", 1000, 1000), ("é{3,}", 3, None)]
)
def test_counts_above_a_thousand_are_exact(pattern: str, fewest: int, most: int | None) -> None:
    unit = pattern.partition("{")[0].replace(r"[\d\]]", "]")
    matches = compiled(check_pattern(pattern)).fullmatch
    assert not matches(unit * (fewest - 1))
    assert matches(unit * fewest)
    assert matches(unit * (most or 9_000))
    assert most is None or not matches(unit * (most + 1))


def test_no_pattern_backtracks_exponentially() -> None:
    for pattern in ("(a+)+", "(?:a|a)*b", "(?:a*)*c", ".*.*.*.*.*=.*"):
        assert not compiled(check_pattern(pattern)).fullmatch("a" * 20_000 + "!")


@pytest.mark.promise("P7")
@pytest.mark.parametrize(
    "pattern",
    ["tenant-.*", ".{30,60}", "[^a]+", "[a-z_]+", r"\w+", r"\S+x", "a|b/c", "[!-~]+", "[--9]a", "é", r"a\/b", "[a^]x"],
)
def test_a_host_pattern_that_accepts_other_characters_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="letters, digits"):
        check_host_pattern(pattern)


@pytest.mark.parametrize("pattern", ["[a-z0-9-]*", r"[a-z\d.-]+", "(?:a|)", "[.]?x?"])
def test_a_host_pattern_that_accepts_an_invalid_start_or_end_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="must not accept"):
        check_host_pattern(pattern)


@pytest.mark.parametrize(
    "pattern", ["[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", r"[a-z]+(?:\.[a-z]+)*", r"us\d{1,3}|eu", "[a-zA-Z0-9]+"]
)
def test_a_pattern_of_host_labels_is_accepted(pattern: str) -> None:
    check_host_pattern(pattern)


SAFE = st.sampled_from([*"az09-", "[a-z]", "[a-z0-9-]", "[A-Z.]", r"[\d.-]", r"\d", r"\."])
RISKY = st.sampled_from(
    [
        *"/@:_ é.",
        "[+--]",
        "[--9]",
        "[a-z/]",
        r"[\w-]",
        r"[\s]",
        "[^/]",
        "[^a]",
        "[A-z]",
        "[!-~]",
        r"\w",
        r"\S",
        r"\/",
        r"\n",
        r"\?",
    ]
)
COUNTED = st.builds("{}{}".format, SAFE | SAFE | SAFE | RISKY, st.sampled_from(["", "*", "+", "?", "{2}", "{1,3}"]))
PATTERNS = st.recursive(
    COUNTED,
    lambda inner: st.builds("{}{}".format, inner, inner) | st.builds("(?:{}|{})".format, inner, inner),
    max_leaves=5,
)
HOST_CHARACTERS = frozenset(string.ascii_letters + string.digits + ".-")


@pytest.mark.promise("P7")
@given(PATTERNS, st.data())
def test_no_accepted_host_pattern_matches_a_character_that_ends_a_host(pattern: str, data: st.DataObject) -> None:
    try:
        check_host_pattern(check_pattern(f"[a-z]{pattern}[0-9]"))
    except ValueError:
        return
    value = data.draw(st.from_regex(f"(?a:{pattern})", fullmatch=True))
    assert set(value) <= HOST_CHARACTERS


def test_a_host_pattern_with_long_ranges_is_refused_without_a_list_of_their_characters() -> None:
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="letters, digits"):
            check_host_pattern("[" + "\x01-\U0010ffff" * 70 + "]")
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
