"""Bodies of providers as data, whatever their JSON contains."""

import gzip
import json
from typing import Any

import pytest

from one_runtime.agents.response_bodies import MAX_DEPTH, MAX_RESPONSE, MAX_VALUES, indented, shortened, whole
from one_runtime.validation.json_values import has_more_values

JSON: dict[str, Any] = {"encoding": "", "content_type": "application/json", "secrets": ["canary"]}
ALL: dict[str, Any] = {"fields": [], "max_bytes": 256 * 1024, "offset": 0}


def nested(depth: int) -> bytes:
    return b'{"a":' * (depth - 1) + b"[]" + b"}" * (depth - 1)


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 900, 5000, 300_000])
def test_deeply_nested_json_is_read_as_text(depth: int) -> None:
    facts, data = shortened(nested(depth), **JSON, **ALL)
    text = json.loads(data)
    assert isinstance(text, str)
    assert nested(depth).decode().startswith(text)
    assert (facts["offset"] is None) == (len(text) == len(nested(depth)))
    assert json.loads(shortened(nested(depth), **JSON, **{**ALL, "fields": ["a.a"]})[1]) == text
    assert indented(nested(depth), **JSON, most=50)[1] == nested(depth)[:50]


def test_nested_json_is_read_as_data() -> None:
    _, data = shortened(nested(MAX_DEPTH), **JSON, **ALL)
    assert json.loads(data) == json.loads(nested(MAX_DEPTH))
    shallow = b"[" + b'{"a":1},' * 200_000 + b"{}]"
    facts, data = shortened(shallow, **JSON, **ALL)
    assert json.loads(data)[0] == {"a": 1}
    assert facts["truncated"].startswith("the list has 200001 items")


@pytest.mark.promise("P17")
@pytest.mark.parametrize("item", ["[]", "{}", "0", '{"a":[[[[]]]]}'])
def test_answers_have_few_values_and_the_next_offset_returns_the_rest(item: str) -> None:
    count, items = 60_000, list[Any]()
    body = f"[{','.join([item] * count)}]".encode()
    offset: int | None = 0
    while offset is not None:
        facts, data = shortened(body, **JSON, **{**ALL, "offset": offset})
        offset = facts["offset"]
        assert (facts["truncated"] is None) == (offset is None)
        assert not has_more_values(data, MAX_VALUES)
        items += json.loads(data)
        assert offset in {len(items), None}
    assert items == [json.loads(item)] * count


def test_answers_without_a_list_have_few_values_too() -> None:
    body = json.dumps({f"name {number}": 0 for number in range(30_000)}).encode()
    facts, data = shortened(body, **JSON, **{**ALL, "max_bytes": 2 * ALL["max_bytes"]})
    assert facts["truncated"].startswith("The answer has")
    assert json.loads(data).startswith('{"name 0":0,')


def test_half_of_a_character_becomes_a_question_mark() -> None:
    assert shortened(b'{"\\ud800": "\\udfff \\ud83d\\ude00"}', **JSON, **ALL)[1] == '{"?":"? 😀"}'.encode()
    assert indented(b'["\\ud800"]', **JSON, most=100)[1] == b'[\n  "?"\n]'
    assert json.loads(shortened(b'"' + b"\\ud800" * 1000 + b'"', **JSON, **{**ALL, "max_bytes": 300})[1]) == "?" * 300


@pytest.mark.parametrize(
    "body, kind, value",
    [
        (b"", "application/json", None),
        (b"plain", "text/plain", "plain"),
        (b"{broken", "application/json", "{broken"),
        (b'{"a": "canary"}', "text/plain", {"a": "…"}),
        (b"\0\1", "image/png", {"binary": True, "content_type": "image/png", "bytes": 2}),
        (b"9" * 5000, "application/json", "9" * 5000),
    ],
)
def test_bodies_become_data(body: bytes, kind: str, value: object) -> None:
    arguments = {**JSON, "content_type": kind}
    assert json.loads(shortened(body, **arguments, **ALL)[1]) == value
    assert json.loads(shortened(gzip.compress(body), **{**arguments, "encoding": "gzip"}, **ALL)[1]) == value
    expected = (
        "" if value is None else value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
    )
    assert indented(body, **arguments, most=10_000)[1].decode() == expected


def test_a_program_gets_text_unchanged_and_binary_data_described() -> None:
    assert whole(b'{"a":  "canary"}', **JSON) == ({}, '{"a":  "…"}'.encode())
    assert json.loads(whole(b"\xff", **JSON)[1]) == {"binary": True, "content_type": "application/json", "bytes": 1}


def test_a_body_that_is_too_large_or_has_an_unknown_encoding_is_refused() -> None:
    bomb = gzip.compress(b"a" * (MAX_RESPONSE + 1))
    for read in (whole, shortened, indented):
        more = {whole: {}, shortened: ALL, indented: {"most": 10}}[read]
        assert read(bomb, **{**JSON, "encoding": "gzip"}, **more) == ({"is_refused": True}, b"")
        assert read(b"a", **{**JSON, "encoding": "br"}, **more) == ({"is_refused": True}, b"")


def test_a_long_text_for_a_person_is_cut() -> None:
    facts, text = indented(b"a" * 1000, **JSON, most=100)
    assert (facts["truncated"], text) == ("The text is longer.", b"a" * 100)
    facts, text = indented(b"[" * 100 + b"0," * 900_000 + b"0" + b"]" * 100, **JSON, most=20_000)
    assert facts["truncated"] == "The text is longer."
    assert text.decode() == json.dumps(json.loads(b"[" * 100 + b"0," * 99 + b"0" + b"]" * 100), indent=2)[:20_000]
