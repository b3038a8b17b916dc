"""Shortened answers: chosen fields, limits of size, and continuation. No part of an answer is lost."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from one_runtime.agents.shaping import MAX_FIELD, MAX_FIELDS, MAX_PARTS, shape, size_of

ROWS: list[dict[str, Any]] = [
    {"id": number, "name": "é" * 20, "owner": {"id": 1, "mail": "a@example.com"}} for number in range(50)
]

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=8) | st.dictionaries(st.text(max_size=5), inner, max_size=5),
    max_leaves=40,
)


def test_small_answer_is_unchanged() -> None:
    samples: list[Any] = [None, 3, "text", [], {"a": [1, 2]}]
    for data in samples:
        assert shape(data) == shape(data, max_bytes=256)
        assert (shape(data).data, shape(data).truncated, shape(data).offset) == (data, None, None)


def test_fields_keep_only_the_named_paths() -> None:
    table: list[tuple[list[str], Any]] = [
        (["id"], [{"id": 0}, {"id": 1}]),
        (
            ["owner.mail", "id"],
            [{"id": 0, "owner": {"mail": "a@example.com"}}, {"id": 1, "owner": {"mail": "a@example.com"}}],
        ),
        (["owner"], [{"owner": ROWS[0]["owner"]}, {"owner": ROWS[1]["owner"]}]),
        (["none"], [{}, {}]),
    ]
    for fields, expected in table:
        assert shape(ROWS[:2], fields=fields).data == expected, fields
    nested = {"results": ROWS[:1], "paging": {"next": {"after": "x"}}}
    chosen = shape(nested, fields=["results.id", "paging.next.after"]).data
    assert chosen == {"results": [{"id": 0}], "paging": {"next": {"after": "x"}}}


def test_a_field_and_its_parent_keep_the_whole_parent() -> None:
    row = ROWS[:1]
    for fields in (["owner", "owner.mail"], ["owner.mail", "owner"], ["owner.mail.a.b", "owner"]):
        assert shape(row, fields=fields).data == [{"owner": ROWS[0]["owner"]}], fields
    mail = {"mail": "a@example.com"}
    assert shape(row, fields=["owner.mail.a", "owner.mail", "id.."]).data == [{"id": 0, "owner": mail}]


def used_seconds(function: Callable[[], object]) -> float:
    """Return the CPU time of a call, the smaller one of three."""

    def used() -> float:
        start = time.thread_time()
        function()
        return time.thread_time() - start

    return min(used() for _ in range(3))


@pytest.mark.promise("P17")
def test_the_cost_does_not_grow_with_the_fields() -> None:
    """With a list of the remaining names for each object and field, the longest fields need 400 times the time."""
    objects = [{"a": 1} for _ in range(50_000)]
    longest = [".".join(["a", str(number), *["x" * 8] * (MAX_PARTS - 2)])[:MAX_FIELD] for number in range(MAX_FIELDS)]
    assert max(map(len, longest)) > 100
    few = used_seconds(lambda: shape(objects, fields=["a"]))
    many = used_seconds(lambda: shape(objects, fields=longest))
    assert many < 3 * few


@pytest.mark.parametrize("data", [ROWS, {"results": ROWS, "paging": {"next": "x"}}, {"a": {"b": ROWS}, "c": 1}])
def test_list_is_read_in_parts(data: Any) -> None:
    ids, offset = list[int](), 0
    for _ in range(len(ROWS)):
        part = shape(data, max_bytes=1000, offset=offset)
        assert size_of(part.data) <= 1000
        rows = part.data
        while isinstance(rows, dict):
            rows = rows.get("results") or rows.get("a") or rows["b"]
        ids += [row["id"] for row in rows]
        if part.offset is None:
            break
        assert f"offset {part.offset}" in str(part.truncated)
        offset = part.offset
    assert ids == [row["id"] for row in ROWS]


@given(data=JSON, max_bytes=st.integers(256, 400))
@settings(max_examples=100)
def test_no_answer_is_too_long_and_every_answer_ends(data: Any, max_bytes: int) -> None:
    offset = 0
    for _ in range(200):
        part = shape(data, max_bytes=max_bytes, offset=offset)
        assert size_of(part.data) <= 2 * max_bytes  # a text of JSON is quoted again
        if part.offset is None:
            return
        assert part.offset > offset
        offset = part.offset
    pytest.fail("the parts do not end")


def test_long_text_is_read_in_parts() -> None:
    text, offset, read = "é" * 1000, 0, ""
    while True:
        part = shape(text, max_bytes=300, offset=offset)
        read += part.data
        if part.offset is None:
            break
        offset = part.offset
    assert read == text
