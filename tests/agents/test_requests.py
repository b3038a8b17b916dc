"""Requests of agents: encoded paths, queries and bodies."""

from typing import Any

import pytest

from one_runtime.agents.requests import compose
from one_runtime.errors import InvalidInput


@pytest.mark.parametrize(
    "path, query, expected",
    [
        ("/v1/users", {}, ("/v1/users", "")),
        ("/v1/users?a=1", {"b": [1, "x y"]}, ("/v1/users", "a=1&b=1&b=x%20y")),
        ("/a b/é/%2F/{id}", {}, ("/a%20b/%C3%A9/%2F/%7Bid%7D", "")),
        ("/v1", {"filter": {"a": [1]}, "none": None, "yes": True}, ("/v1", "filter=%7B%22a%22%3A%5B1%5D%7D&yes=true")),
        ("/v1", {"a&b": "c=d"}, ("/v1", "a%26b=c%3Dd")),
        ("/v1\r\nHost: x", {}, ("/v1%0D%0AHost:%20x", "")),
    ],
)
def test_paths_and_queries_are_encoded(path: str, query: dict[str, Any], expected: tuple[str, str]) -> None:
    composed = compose(path, query)
    assert (composed.path, composed.query) == expected


def test_bodies_have_the_format_that_the_agent_names() -> None:
    table: list[tuple[object, Any, bytes, str]] = [
        ({"a": [1]}, "json", b'{"a":[1]}', "application/json"),
        ("\ud800", "json", b'"\\ud800"', "application/json"),
        ({"a": ["x y", 2]}, "form", b"a=x+y&a=2", "application/x-www-form-urlencoded"),
        ("é", "text", "é".encode(), "text/plain; charset=utf-8"),
    ]
    for body, body_format, encoded, content_type in table:
        composed = compose("/", {}, body, body_format)
        assert (composed.body, dict(composed.headers)["content-type"]) == (encoded, content_type)
    assert compose("/", {}).headers == ()
    assert compose("/", {}, None, "json", "key-1").headers == (("idempotency-key", "key-1"),)


@pytest.mark.parametrize("path", ["v1", "https://evil.example/", "/https://evil.example", "/a#b", ""])
def test_paths_that_are_not_below_the_base_url_are_refused(path: str) -> None:
    with pytest.raises(InvalidInput):
        compose(path, {})


@pytest.mark.promise("P17")
@pytest.mark.parametrize(
    "query", [{str(number): "x" for number in range(60_000)}, {"a": ["x"] * 60_000}, {"a": "é" * 16_001}]
)
def test_a_long_query_is_refused_before_it_is_encoded(query: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match="query must have at most 16000 bytes"):
        compose("/v1", query)
    assert len(compose("/v1", {"a": "x" * 15_990}).query) == 15_992


@pytest.mark.promise("P17")
@pytest.mark.parametrize("path", ["/v1?" + "a&" * 128_000, "/v1?" + "%41&" * 64_000, "/" + "é" * 16_000])
def test_a_long_path_is_refused_before_it_is_encoded(path: str) -> None:
    with pytest.raises(InvalidInput, match="path must have at most 16000 characters"):
        compose(path, {})
    assert len(compose("/v1?" + "a" * 15_996, {}).query) == 15_996


@pytest.mark.promise("P17")
@pytest.mark.parametrize(
    "body", [{"a" * 500_000: [1] * 300}, {"é" * 65_536: 1}, {"a": "x" * 131_072}, {"a": [{"b": "x" * 70_000}] * 2}]
)
def test_a_large_form_is_refused_before_its_names_are_repeated(body: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match="body must have at most 128 kB if body_format is form"):
        compose("/v1", {}, body, "form")
    assert len(compose("/v1", {}, {"a": "x" * 131_000}, "form").body or b"") == 131_002
