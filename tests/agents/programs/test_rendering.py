"""Values as text of limited size."""

from collections import deque
from datetime import date
from typing import Any, NamedTuple

from one_runtime.agents.programs.rendering import Printed, cut, render


class Point(NamedTuple):
    x: int
    y: int


def shared(value: Any, depth: int) -> Any:
    for _ in range(depth):
        value = [value, value] if isinstance(value, list) else (value, value)
    return value


def test_values_are_json_where_possible() -> None:
    values: dict[str, Any] = {
        "": None,
        "text": "text",
        "1": 1,
        "1.5": 1.5,
        "true": True,
        "[1, null]": [1, None],
        '{"a": [1]}': {"a": [1]},
        '{"1": 2, "None": 3}': {1: 2, None: 3},
        '{"<tuple>": 1}': {(1, 2): 1},
        '[{"x": 1, "y": 2}]': [Point(1, 2)],
        "[1, 2]": deque([1, 2]),
        '"datetime.date(2026, 11, 30)"': date(2026, 11, 30),
        "\"ValueError('a')\"": ValueError("a"),
        "\"b'a'\"": b"a",
        '"<slice>"': slice([1], [2]),
    }
    assert {text: render(value, 1000) for text, value in values.items()} == {text: (text, False) for text in values}


def test_number_with_too_many_digits_is_described() -> None:
    longest, longer = 2**14_000 - 1, 2**14_000
    assert render([longest, -longest], 10_000) == (f"[{longest}, -{longest}]", False)
    assert render([longer, {-longer: True}], 1000) == ('["<int of 14001 bits>", {"<int of 14001 bits>": true}]', False)
    assert render(1 << 10**6, 1000) == ('"<int of 1000001 bits>"', False)


def test_the_work_does_not_grow_with_values_beyond_the_limit() -> None:
    for value in (shared([], 60), {"a": shared((), 60)}, [slice(shared((), 60))]):
        text, _ = render(value, 1000)
        assert len(text) <= 1000


def test_a_cut_text_keeps_the_limit_in_bytes_and_whole_characters() -> None:
    assert cut("é" * 500, 1000) == ("é" * 500, False)
    for text in ("é" * 501, "a" + "é" * 500, "😀" * 300):
        shown, was_cut = cut(text, 1000)
        assert was_cut
        assert 900 < len(shown.encode()) <= 1000
        assert shown.endswith("… [cut: the text was longer than 1000 bytes]")


def test_printed_text_beyond_the_limit_is_lost() -> None:
    printed = Printed(10)
    for _ in range(3):
        printed.write("stdout", "abc")
    assert printed.take() == "abcabcabc"
    printed.write("stdout", "abc")
    printed.write("stdout", "abc")
    assert (printed.take(), printed.take()) == ("ab", "")
