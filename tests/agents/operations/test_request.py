"""The request that a function sends: encoding of each argument, and refused arguments."""

from contextlib import suppress
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from one_runtime.agents.operations.request import arguments_to_request
from one_runtime.catalog.operation import Operation
from one_runtime.errors import InvalidInput
from tests.agents.operations.synthetic import operation

GET: Final = operation(
    "crm.contacts_get",
    path="/v1/lists/{list-id}/contacts/{contact_id}",
    parameters=[
        {"name": "list_id", "wire_name": "list-id", "location": "path", "required": True, "type": "integer"},
        {"name": "contact_id", "location": "path", "required": True},
        {"name": "limit", "location": "query", "type": "integer", "default": 10},
        {"name": "ratio", "location": "query", "type": "number"},
        {"name": "archived", "location": "query", "type": "boolean"},
        {"name": "sort", "location": "query", "enum": ["name", "-created"]},
        {"name": "ids", "location": "query", "type": "array", "items": "integer"},
        {"name": "fields", "location": "query", "type": "array", "items": "string", "style": "comma"},
        {"name": "words", "location": "query", "type": "array", "style": "pipe"},
        {"name": "filter_", "wire_name": "filter", "location": "query", "type": "object"},
        {"name": "top", "wire_name": "$top", "location": "query", "type": "integer"},
        {"name": "version", "wire_name": "X-Version", "location": "header", "required": True, "default": "2026-01"},
    ],
)
CREATE: Final = operation(
    "crm.contacts_create",
    "POST",
    body=[
        {"name": "name", "location": "body", "required": True},
        {"name": "from_", "wire_name": "from", "location": "body", "type": "integer"},
        {"name": "tags", "location": "body", "type": "array", "items": "string"},
        {
            "name": "address",
            "location": "body",
            "type": "object",
            "fields": [
                {"name": "city", "location": "body", "required": True},
                {"name": "zip_code", "wire_name": "zip-code", "location": "body"},
            ],
        },
    ],
)
FORM: Final = operation(
    "pay.charges_create",
    "POST",
    body_format="form",
    body=[
        {"name": "amount", "location": "body", "type": "integer", "required": True},
        {"name": "metadata", "location": "body", "type": "object"},
        {"name": "expand", "wire_name": "expand[]", "location": "body", "type": "array"},
        {"name": "items", "location": "body", "type": "array", "items": "object"},
        {"name": "codes", "location": "body", "type": "array", "style": "brackets"},
        {"name": "live", "location": "body", "type": "boolean"},
    ],
)
WHOLE: Final = operation(
    "crm.rows_append",
    "POST",
    whole_body=True,
    body=[{"name": "rows", "location": "body", "type": "array", "items": "object", "required": True}],
)
PATHS: Final = {"list_id": 7, "contact_id": "c1"}


def refusal(called: Operation, arguments: dict[str, Any]) -> str:
    with pytest.raises(InvalidInput) as refused:
        arguments_to_request(called, arguments)
    return refused.value.detail


def query_of(arguments: dict[str, Any]) -> str:
    return arguments_to_request(GET, PATHS | arguments).query


def test_path_query_and_headers_contain_the_arguments() -> None:
    request = arguments_to_request(GET, {**PATHS, "limit": 5, "version": "2026-02"})
    assert request == ("GET", "/v1/lists/7/contacts/c1", "limit=5", None, (("X-Version", "2026-02"),))


@pytest.mark.parametrize(
    "arguments, query",
    [
        ({}, ""),
        ({"limit": None}, ""),
        ({"limit": "25"}, "limit=25"),
        ({"ratio": 1.5}, "ratio=1.5"),
        ({"ratio": 2}, "ratio=2"),
        ({"archived": False}, "archived=false"),
        ({"archived": "true"}, "archived=true"),
        ({"sort": "-created"}, "sort=-created"),
        ({"ids": [1, 2]}, "ids=1&ids=2"),
        ({"ids": []}, ""),
        ({"fields": ["a b", "c,d", "e&f"]}, "fields=a%20b,c%2Cd,e%26f"),
        ({"words": ["x", "y"]}, "words=x%7Cy"),
        ({"filter_": {"a": {"eq": "x & y"}, "b": True}}, "filter[a][eq]=x%20%26%20y&filter[b]=true"),
        ({"filter_": {"a&b=c#": 1}}, "filter[a%26b%3Dc%23]=1"),
        ({"top": 3}, "$top=3"),
    ],
)  # fmt: skip
def test_query_encodes_each_type(arguments: dict[str, Any], query: str) -> None:
    assert query_of(arguments) == query


def test_a_required_argument_with_a_default_is_sent_and_an_optional_default_is_not() -> None:
    request = arguments_to_request(GET, PATHS)
    assert (request.query, request.headers) == ("", (("X-Version", "2026-01"),))


@pytest.mark.parametrize("value", ["a/b", "a b?#", "ä%2F", "50%", "{x}", "a.b", "...", "a+b", "~me"])
def test_a_path_argument_stays_one_segment(value: str) -> None:
    path = arguments_to_request(GET, PATHS | {"contact_id": value}).path
    assert path.startswith("/v1/lists/7/contacts/")
    assert path.count("/") == 5
    assert unquote(path.rpartition("/")[2]) == value


@pytest.mark.parametrize("value", ["", ".", "..", "../x", "a/../b", "a\\..\\b", "..;x", "a/.", "x\x00", "x\r\nHost: y"])
def test_a_path_argument_cannot_be_empty_or_leave_its_segment(value: str) -> None:
    assert "contact_id must not be empty, and must not contain" in refusal(GET, PATHS | {"contact_id": value})


def test_two_path_arguments_of_one_segment_cannot_be_dots() -> None:
    parameters = [{"name": name, "location": "path", "required": True} for name in ("major", "minor")]
    versions = operation("crm.version_get", path="/v/{major}{minor}", parameters=parameters)
    assert arguments_to_request(versions, {"major": "1", "minor": ".2"}).path == "/v/1.2"
    assert "must not contain" in refusal(versions, {"major": ".", "minor": "."})


def test_a_header_cannot_contain_line_breaks() -> None:
    assert "version must be printable ASCII" in refusal(GET, PATHS | {"version": "1\r\nAuthorization: x"})


def test_json_body_has_the_names_of_the_api_and_omits_missing_fields() -> None:
    request = arguments_to_request(CREATE, {"name": "Adä", "from_": 3, "tags": [], "address": {"city": "B", "more": 1}})
    assert request.body == '{"name":"Adä","from":3,"tags":[],"address":{"city":"B","more":1}}'.encode()
    assert request.headers == (("Content-Type", "application/json"),)


def test_a_body_without_values_is_an_empty_object() -> None:
    optional = operation("crm.search", "POST", body=[{"name": "text", "location": "body"}])
    assert arguments_to_request(optional, {}).body == b"{}"
    assert arguments_to_request(operation("crm.ping", "POST"), {}).body is None


def test_a_whole_body_is_sent_without_a_name() -> None:
    assert arguments_to_request(WHOLE, {"rows": [{"a": 1}]}).body == b'[{"a":1}]'


def test_a_form_encodes_objects_and_lists_with_brackets() -> None:
    values = {
        "amount": 100,
        "metadata": {"order id": "1&2"},
        "expand": ["a", "b"],
        "items": [{"price": "p", "tags": ["x"]}],
        "codes": ["c"],
        "live": True,
    }
    request = arguments_to_request(FORM, values)
    assert request.headers == (("Content-Type", "application/x-www-form-urlencoded"),)
    assert parse_qsl((request.body or b"").decode()) == [
        ("amount", "100"),
        ("metadata[order id]", "1&2"),
        ("expand[]", "a"),
        ("expand[]", "b"),
        ("items[0][price]", "p"),
        ("items[0][tags]", "x"),
        ("codes[0]", "c"),
        ("live", "true"),
    ]


@pytest.mark.parametrize(
    "called, arguments, message",
    [
        (GET, {"list_id": 7}, "contact_id is required. crm.contacts_get takes list_id (required)"),
        (GET, PATHS | {"limitt": 1}, "limitt is not an argument. Did you mean limit? crm.contacts_get takes"),
        (GET, PATHS | {"Filter": {}}, "Did you mean filter_?"),
        (GET, PATHS | {"zzz": 1}, "zzz is not an argument. crm.contacts_get takes"),
        (GET, PATHS | {"limit": "ten"}, "limit must be a whole number"),
        (GET, PATHS | {"limit": True}, "limit must be a whole number"),
        (GET, PATHS | {"limit": 1.5}, "limit must be a whole number"),
        (GET, PATHS | {"ratio": float("nan")}, "ratio must be a number"),
        (GET, PATHS | {"archived": "yes"}, "archived must be true or false. crm.contacts_get takes"),
        (GET, PATHS | {"sort": "age"}, "sort must be one of: name, -created"),
        (GET, PATHS | {"ids": "1,2"}, "ids must be a list, not a string. Put the value in square brackets"),
        (GET, PATHS | {"ids": [1, "2"]}, "ids must contain only items of the type integer"),
        (GET, PATHS | {"filter_": [1]}, "filter_ must be a JSON object, not a list"),
        (GET, PATHS | {"contact_id": ["x"]}, "contact_id must be a string, not a list"),
        (CREATE, {"name": 5}, "name must be a string, not a number. Put the value in quotes"),
        (CREATE, {"name": "\ud800"}, "name must consist of valid JSON values"),
        (CREATE, {"name": "A", "tags": [object()]}, "tags must contain only items of the type string"),
        (CREATE, {"name": "A", "address": {}}, "address needs the member city"),
        (CREATE, {"name": "A", "address": {"city": "B", "zip-code": 1}}, "address contains an error: zip-code must"),
        (CREATE, {"name": "A", "address": {"city": "B", "more": object()}}, "address must consist of valid JSON"),
        (WHOLE, {}, "rows is required. crm.rows_append takes rows (required)."),
        (operation("crm.ping"), {"x": 1}, "x is not an argument. crm.ping takes no arguments."),
    ],
)  # fmt: skip
def test_an_invalid_argument_is_named_with_the_valid_arguments(
    called: Operation, arguments: dict[str, Any], message: str
) -> None:
    assert message in refusal(called, arguments)


def test_all_errors_are_reported_together() -> None:
    detail = refusal(GET, {"list_id": "x", "limitt": 1})
    assert "limitt is not an argument" in detail
    assert "list_id must be a whole number" in detail
    assert "contact_id is required" in detail


def test_deep_nesting_is_refused() -> None:
    deep: dict[str, Any] = {}
    for _ in range(2_000):
        deep = {"a": deep}
    assert "nested deeply" in refusal(FORM, {"amount": 1, "metadata": deep})


@pytest.mark.promise("P17")
def test_a_long_value_of_a_url_is_refused_before_it_is_encoded() -> None:
    for value in ({str(number): "x" for number in range(60_000)}, {"a": "x" * 16_000}):
        assert "filter_ must have at most 16000 characters" in refusal(GET, PATHS | {"filter_": value})
    assert len(query_of({"filter_": {"a": "x" * 15_000}})) > 15_000


TEXT: Final = st.text(max_size=8) | st.sampled_from(["..", "../x", "a/b", "\ud800", "\x00", "x\r\ny", "?#&=", "%2e%2e"])
SCALAR: Final = st.none() | st.booleans() | st.integers() | st.floats() | TEXT
VALUE: Final = SCALAR | st.lists(SCALAR, max_size=2) | st.dictionaries(TEXT, SCALAR, max_size=2)


@given(called=st.sampled_from([GET, CREATE, FORM, WHOLE]), values=st.lists(VALUE, max_size=12), text=TEXT)
def test_any_arguments_give_a_request_or_one_error(called: Operation, values: list[Any], text: str) -> None:
    names = [argument.name for argument in called.arguments]
    arguments = {"contact_id": text, "list_id": 1} | dict(zip(reversed(names), values, strict=False))
    with suppress(InvalidInput):
        request = arguments_to_request(called, arguments)
        assert request.path.isascii()
        assert not set(request.path.split("/")) & {".", ".."}
        assert request.path.count("/") == called.path.count("/")
        assert "#" not in request.query
        assert not any(character in request.path + request.query for character in " ?\r\n\x00")


@pytest.mark.promise("P17")
@pytest.mark.parametrize(
    "called, arguments",
    [
        (GET, {**PATHS, "filter_": {"a" * 900: [1] * 7_000}}),
        (GET, {**PATHS, "filter_": {"a" * 7_900: [1, 2]}}),
        (GET, {**PATHS, "filter_": {"a" * 900: [[]] * 5_000}, "fields": ["a" * 9_000]}),
        (FORM, {"amount": 1, "metadata": {"a" * 900: [1] * 9_000}}),
        (FORM, {"amount": 1, "metadata": {"a" * 500_000: [[]] * 9_000}}),
        (FORM, {"amount": 1, "metadata": {"a": "é" * 65_536}}),
        (FORM, {"amount": 1, "items": [{"a": {"b" * 200: {"c" * 200: 1}}}] * 400}),
    ],
)
def test_names_and_values_of_a_query_or_a_form_are_limited_together(
    called: Operation, arguments: dict[str, Any]
) -> None:
    assert "must have at most 1" in refusal(called, arguments)


@pytest.mark.promise("P17")
def test_an_answer_names_few_of_many_unknown_arguments() -> None:
    unknown = {f"contact_id_{number}": 1 for number in range(9_000)}
    with pytest.raises(InvalidInput) as refused:
        arguments_to_request(GET, PATHS | unknown)
    assert len(refused.value.errors) == 20
    assert len(refused.value.detail) < 2_000
