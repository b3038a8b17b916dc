"""Find the parameters and headers that turn a request that reads into one that writes."""

import json
import time
from itertools import product
from urllib.parse import quote

import pytest

from one_runtime.agents.hidden_writes import hides_write

QUERIES = [
    "_method=DELETE",
    "_METHOD=delete",
    ".method=DELETE",
    "+_method=DELETE",
    "%20_method=DELETE",
    "%20%20.method=DELETE",
    "+.method=DELETE",
    "%09_method=DELETE",
    "_method%00x=DELETE",
    "%5fmethod=DELETE",
    "%255fmethod=DELETE",
    "_m%65thod=DELETE",
    "%u005fmethod=DELETE",
    "_method[]=DELETE",
    "_method%5B%5D=DELETE",
    "_method[0]=DELETE",
    "_method[a][b]=DELETE",
    "[method=DELETE",
    "%5bmethod=DELETE",
    "a=1&_method=DELETE",
    "a=1;_method=DELETE",
    "a=1%3b&;+_method=DELETE",
    "_method",
    "_method=",
    "_method=GET%00DELETE",
    "method=POST",
    "method=delete",
    "METHOD=Patch",
    "method[]=PUT",
    "method=%20POST",
    "method=%44ELETE",
    "method=%2544ELETE",
    "method=%252544ELETE",
    "m%2565thod=%2544ELETE",
    "method=%u0044ELETE",
    "method=MKCOL",
    "method=proppatch",
    "method=Move",
    "method=VERSION-CONTROL",
    "method=PURGE",
    "method%00=POST",
    "m%u0065thod=DELETE",
    "%EF%BC%BFmethod=DELETE",
    "_%EF%BD%8Dethod=DELETE",
    "data[_method]=DELETE",
    "ps_method=DELETE",
    "ps.method=DELETE",
    "$httpMethod=DELETE",
    "%24httpMethod=DELETE",
    "httpMethod=DELETE",
    "http_method=DELETE",
    "http-method=DELETE",
    "_httpMethod=DELETE",
    "$method=DELETE",
    "opt_method=DELETE",
    "opt.method=DELETE",
    "x-http-method-override=DELETE",
    "X_HTTP_METHOD_OVERRIDE=DELETE",
    "x-http-method=DELETE",
    "x-method-override=DELETE",
    "X.Method.Override=DELETE",
    "_methodOverride=DELETE",
    "request_method=DELETE",
]


@pytest.mark.promise("P13")
@pytest.mark.parametrize("query", QUERIES)
def test_parameter_that_replaces_the_method_is_found(query: str) -> None:
    assert hides_write(query, (), None)
    assert hides_write("", (), query.encode())


@pytest.mark.promise("P13")
@pytest.mark.parametrize(
    "body",
    [
        '{"_method": "DELETE"}',
        '{"_Method": null}',
        '{" _method": "DELETE"}',
        '{"\\u005fmethod": "DELETE"}',
        '{"_method\\u0000": "DELETE"}',
        '{"method": "DELETE", "method": "GET"}',
        '{"method": ["PUT"]}',
        '{"X-HTTP-Method-Override": "PUT"}',
    ],
)
def test_member_of_a_json_object_that_replaces_the_method_is_found(body: str) -> None:
    assert hides_write("", (), body.encode())
    assert not hides_write("", (), json.dumps([json.loads(body)]).encode())


MUTATIONS = [
    "mutation { deleteUser(id: 1) { id } }",
    "mutation($id: ID!) {\n  deleteUser(id: $id) { id }\n}",
    "# query\n,\ufeff mutation Delete @live { deleteUser(id: 1) { id } }",
    "query Read { me { id } } mutation Delete { deleteUser(id: 1) { id } }",
    "fragment F on User { id }\rmutation{deleteUser(id:1){...F}}",
]


@pytest.mark.promise("P13")
@pytest.mark.parametrize("document", MUTATIONS)
def test_mutation_of_graphql_is_found(document: str) -> None:
    encoded = quote(document)
    for query in (f"query={encoded}", f"a=1&QUERY={encoded}", f"%71uery={encoded}", f"query={quote(encoded)}"):
        assert hides_write(query, (), None), query
    assert hides_write(f"%2571uery={encoded}&operationName=Delete", (), None)
    assert hides_write("", (), json.dumps({"query": document}).encode())


@pytest.mark.parametrize(
    "text",
    [
        "query { mutations { id } mutationCount }",
        "{ __schema { mutationType { name } } }",
        "BRCA1 mutation",
        '{"match": {"title": "mutation"}}',
        '[{"text": "mutation"}]',
    ],
)
def test_queries_without_a_mutation_pass(text: str) -> None:
    assert not hides_write(f"query={quote(text)}&text={quote(MUTATIONS[0])}", (), None)
    assert not hides_write("", (), json.dumps({"query": text, "variables": {"query": MUTATIONS[0]}}).encode())


@pytest.mark.promise("P13")
@pytest.mark.parametrize("name", ["X-HTTP-Method-Override", "x-http-method", "X-Method-Override", "X_HTTP_METHOD"])
def test_header_that_replaces_the_method_is_found(name: str) -> None:
    assert hides_write("", ((name, "DELETE"),), None)


@pytest.mark.parametrize(
    "query",
    [
        "",
        "limit=10&fields=id,name",
        "method=user.getInfo",
        "method=card",
        "method=movement",
        "method=linked.list",
        "method=search",
        "payment_method=card_post",
        "shipping_methods[]=post",
        "q=_method%3DDELETE",
        "methodology=POST",
        "filter[method]=GET",
        "verb=run",
    ],
)
def test_ordinary_parameters_pass(query: str) -> None:
    assert not hides_write(query, (("accept", "application/json"),), None)
    assert not hides_write("", (), b'{"jsonrpc": "2.0", "method": "call", "params": {"_method": 1}}')


MARKS = "\u0300\u0316"
"""Combining marks in the wrong order. The time to sort them grows with the square of their number."""


@pytest.mark.promise("P17")
@pytest.mark.parametrize(
    "name,value",
    [
        ("amethod" + MARKS * 7_900, "a"),
        ("method", "a" + MARKS * 7_900),
        ("method", "a" + MARKS * 250_000),
        ("amethod", "a" + MARKS * 250_000),
        ("a" + MARKS * 250_000, "a"),
        ("query", "mutation " * 110_000),
        ("query", "mutation {" + "%41" * 330_000),
        ("query", "{" + " " * 990_000 + "mutation"),
    ],
)
def test_long_names_and_values_take_little_time(name: str, value: str) -> None:
    body, begun = json.dumps({name: value}, ensure_ascii=False).encode(), time.thread_time()
    hides_write("", ((name, value),), body)
    assert time.thread_time() - begun < 0.2  # sorting the marks of the shortest of them takes 0.7 s


@pytest.mark.promise("P17")
def test_many_unusual_names_take_little_time_and_count_as_a_replaced_method() -> None:
    names, begun = [f"{number}{MARKS * 90}" for number in range(2_000)], time.thread_time()
    assert hides_write("", (), json.dumps(dict.fromkeys(names), ensure_ascii=False).encode())
    assert not hides_write("", (), json.dumps(dict.fromkeys(names[:80]), ensure_ascii=False).encode())
    assert time.thread_time() - begun < 0.2


@pytest.mark.promise("P17")
def test_many_values_of_a_method_take_little_time_and_count_as_a_replaced_method() -> None:
    names = ["".join(letters) for letters in product("mM", "eE", "tT", "hH", "oO", "dD")]
    body, begun = json.dumps(dict.fromkeys(names, MARKS * 7_900), ensure_ascii=False).encode(), time.thread_time()
    assert hides_write("", (), body)
    assert time.thread_time() - begun < 0.2  # comparing all of them takes half a second


@pytest.mark.parametrize("prefix", [" ", "[", "]", ".", "%20", "[]", "\u3000"])
def test_a_long_prefix_hides_no_name(prefix: str) -> None:
    for count in (1, 300):
        assert hides_write(f"{prefix * count}_method=DELETE", (), None), count
    assert hides_write("", (), json.dumps({"method": " " * 300 + "DELETE"}).encode())
    assert hides_write("", (), json.dumps({"method": "x" * 20_000}).encode())
