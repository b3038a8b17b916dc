"""Operations of OpenAPI documents: names, arguments, access, and documents that try to harm."""

import json
import time
from typing import Any, Final

import pytest

from one_runtime.catalog.openapi_operations import ApiAddress, CompiledOperations, compile_operations
from one_runtime.catalog.openapi_words import plain_text
from one_runtime.catalog.operation import Operation

URL: Final = "https://api.acme.example/v1"
CONTACT: Final = {
    "type": "object",
    "required": ["email"],
    "properties": {
        "id": {"type": "string", "readOnly": True},
        "name": {"type": "string", "description": "Full name."},
        "email": {"type": "string"},
        "owner": {"$ref": "#/components/schemas/Contact"},
        "from": {"type": ["string", "null"], "enum": ["web", None]},
        "tags": {"type": "array", "items": {"type": "string"}},
    },
}


def compiled(paths: dict[str, Any], url: str = URL, base_url: str = URL, **more: Any) -> CompiledOperations:
    document = {"openapi": "3.1.0", "paths": paths, **more}
    return compile_operations(document, "x-acme", ApiAddress(url, base_url), len(json.dumps(document)))


def only(definition: dict[str, Any], path: str = "/contacts", method: str = "get", **more: Any) -> Operation:
    (operation,) = compiled({path: {method: definition}}, **more).operations
    return operation


def in_body(schema: dict[str, Any], media: str = "application/json", **more: Any) -> Operation:
    return only({"requestBody": {"content": {media: {"schema": schema, **more}}}}, method="post")


def in_query(**parameter: Any) -> str:
    """Return type, items, style and enum of a query parameter as a text."""
    (argument,) = only({"parameters": [{"name": "q", "in": "query", **parameter}]}).parameters
    return f"{argument.type} {argument.items} {argument.style} {list(argument.enum)}"


def test_an_operation_has_typed_arguments_of_all_places() -> None:
    parameters = [
        {"$ref": "#/components/parameters/Size"},
        {"name": "X-Version", "in": "header", "required": True, "schema": {"type": "string", "default": "2026-01"}},
        {"name": "contact-id", "in": "path", "required": True, "schema": {"type": "integer"}, "description": "The id."},
        {"name": "session", "in": "cookie", "schema": {"type": "string"}},
    ]
    found = only(
        {
            "operationId": "updateContactByID",
            "summary": "Change **one** contact. It can take a while.",
            "parameters": parameters,
            "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Contact"}}}},
            "responses": {
                "200": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Contact"}}}}
            },
            "security": [{"oauth": ["contacts.write"]}],
            "externalDocs": {"url": "https://docs.acme.example/contacts"},
            "deprecated": True,
        },
        "/contacts/{contact-id}",
        "put",
        components={
            "parameters": {"Size": {"name": "page[size]", "in": "query", "schema": {"type": "integer", "default": 10}}},
            "schemas": {"Contact": CONTACT},
        },
    )
    assert found.full_name == "x-acme.update_contact_by_id"
    assert (found.method, found.path, found.access) == ("PUT", "/contacts/{contact-id}", "write")
    assert found.summary == "Change one contact."
    shown = [(argument.name, argument.sent_name, argument.location, argument.type) for argument in found.parameters]
    assert shown == [
        ("contact_id", "contact-id", "path", "integer"),
        ("page_size", "page[size]", "query", "integer"),
        ("X_Version", "X-Version", "header", "string"),
    ]
    assert [argument.required for argument in found.parameters] == [True, False, True]
    assert (found.parameters[0].description, found.parameters[1].default) == ("The id.", 10)
    assert [field.name for field in found.body] == ["email", "name", "owner", "from_", "tags"]
    assert found.body[3].enum == ("web",)
    owner = found.body[2]
    assert [field.name for field in owner.fields] == ["email", "name", "owner", "from_", "tags"]
    assert [field.fields for field in owner.fields] == [()] * 5
    assert found.returns == "An object with id, name, email, owner, from, tags."
    assert (found.scopes, found.documentation, found.deprecated) == (
        ("contacts.write",),
        "https://docs.acme.example/contacts",
        True,
    )


@pytest.mark.parametrize(
    "operation_id, method, path, name",
    [
        ("listContacts", "get", "/x", "list_contacts"),
        ("repos/list-for-org", "get", "/x", "repos_list_for_org"),
        ("Contacts_GetByID", "get", "/x", "contacts_get_by_id"),
        (None, "get", "/crm/v3/objects/contacts/{id}", "get_objects_contacts"),
        (None, "post", "/{tenant}", "post"),
        ("1st", "get", "/contacts/{id}", "get_contacts"),
        ("class", "get", "/contacts", "get_contacts"),
        ("x" * 65, "delete", "/contacts", "delete_contacts"),
        ("列出", "get", "/contacts", "get_contacts"),
        (None, "get", f"/{'a' * 70}/b", f"get_{'a' * 60}"),
    ],
)
def test_name_is_the_operation_id_or_the_end_of_the_path(
    operation_id: str | None, method: str, path: str, name: str
) -> None:
    assert only({"operationId": operation_id}, path, method).name == name


def test_names_are_unique() -> None:
    paths = {f"/{letter}/contacts": {"get": {"operationId": "list"}} for letter in "abc"}
    assert [operation.name for operation in compiled(paths).operations] == ["list", "list_2", "list_3"]


@pytest.mark.parametrize(
    "method, path, definition, access",
    [
        ("get", "/contacts", {}, "read"),
        ("head", "/contacts", {}, "read"),
        ("post", "/contacts", {}, "write"),
        ("post", "/contacts/search", {}, "read"),
        ("post", "/contacts:lookup", {}, "read"),
        ("post", "/contacts.list", {}, "read"),
        ("post", "/contacts/search/{id}", {}, "write"),
        ("post", "/mailing-list", {}, "write"),
        ("post", "/contacts/list", {"operationId": "createContactList"}, "write"),
        ("post", "/contacts/list", {"summary": "Add contacts to the list."}, "write"),
        ("post", "/database/query", {}, "write"),
        ("put", "/contacts/search", {}, "write"),
        ("post", "/contacts", {"x-one-runtime-access": "read"}, "read"),
        ("post", "/contacts/search", {"x-one-runtime-access": "write"}, "write"),
        ("delete", "/contacts", {"x-one-runtime-access": "read"}, "write"),
    ],
)
def test_access_is_write_unless_the_document_clearly_reads(
    method: str, path: str, definition: dict[str, Any], access: str
) -> None:
    assert only(definition, path, method).access == access


@pytest.mark.parametrize(
    "parameter, expected",
    [
        ({"schema": {"type": "string"}}, "string None repeat []"),
        ({"schema": {"type": "string", "enum": ["a", "b"]}}, "string None repeat ['a', 'b']"),
        ({"schema": {"type": "string", "enum": [str(number) for number in range(60)]}}, "string None repeat []"),
        ({"schema": {"const": "a", "type": "string"}}, "string None repeat ['a']"),
        ({"schema": {"type": "array", "items": {"type": "integer"}}}, "array integer repeat []"),
        ({"schema": {"type": "array"}, "explode": False}, "array None comma []"),
        ({"schema": {"type": "array"}, "style": "pipeDelimited"}, "array None pipe []"),
        ({"schema": {"type": "object"}, "style": "deepObject"}, "object None brackets []"),
        ({"content": {"application/json": {"schema": {"type": "object"}}}}, "object None repeat []"),
        ({"schema": {"anyOf": [{"type": "integer"}, {"type": "null"}]}}, "integer None repeat []"),
        ({"schema": {"oneOf": [{"type": "integer"}, {"type": "string"}]}}, "any None repeat []"),
        ({"schema": {"oneOf": [{"type": "string", "format": "a"}, {"type": "string"}]}}, "string None repeat []"),
        ({"schema": {"allOf": [{"type": "string"}, {"enum": ["a"]}]}}, "string None repeat ['a']"),
        ({"schema": {"type": ["integer", "null"]}}, "integer None repeat []"),
        ({"schema": {"type": "unknown"}}, "any None repeat []"),
        ({}, "any None repeat []"),
    ],
)
def test_schema_of_a_parameter_becomes_a_type(parameter: dict[str, Any], expected: str) -> None:
    assert in_query(**parameter) == expected


def test_body_without_named_fields_is_one_argument() -> None:
    for schema, kind in (({"type": "array", "items": {"type": "object"}}, "array"), ({"oneOf": [{}, {}]}, "any")):
        found = in_body(schema)
        assert (found.whole_body, found.body[0].name, found.body[0].type) == (True, "body", kind)


def test_form_body_has_fields_with_styles() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "array"}, "b": {"type": "array"}}}
    found = in_body(schema, "application/x-www-form-urlencoded", encoding={"b": {"style": "deepObject"}})
    assert (found.body_format, [field.style for field in found.body]) == ("form", ["repeat", "brackets"])


def test_swagger_2_is_read_too() -> None:
    document = {
        "swagger": "2.0",
        "paths": {
            "/contacts": {
                "get": {"parameters": [{"name": "ids", "in": "query", "type": "array", "items": {"type": "integer"}}]},
                "post": {"parameters": [{"name": "it", "in": "body", "schema": {"$ref": "#/definitions/Contact"}}]},
                "put": {"parameters": [{"name": "name", "in": "formData", "type": "string", "required": True}]},
            }
        },
        "definitions": {"Contact": CONTACT},
    }
    read, create, replace = compile_operations(document, "x-acme", ApiAddress(URL, URL), 2_000).operations
    assert (read.parameters[0].type, read.parameters[0].style, read.parameters[0].items) == (
        "array",
        "comma",
        "integer",
    )
    assert [field.name for field in create.body] == ["email", "name", "owner", "from_", "tags"]
    assert (replace.body_format, replace.body[0].required) == ("form", True)


@pytest.mark.parametrize(
    "url, base_url, path, expected",
    [
        (URL, URL, "/contacts", "/contacts"),
        (f"{URL}/", URL, "contacts", "/contacts"),
        (URL, "https://api.acme.example", "/contacts", "/v1/contacts"),
        ("https://api.acme.example", URL, "/v1/contacts", "/contacts"),
        ("https://api.acme.example", URL, "/v10/contacts", None),
        ("https://api.acme.example", URL, "/contacts", None),
        ("https://{region}.acme.example/v1", "https://{region}.acme.example", "/ä b", "/v1/%C3%A4%20b"),
    ],
)
def test_paths_are_relative_to_the_base_url(url: str, base_url: str, path: str, expected: str | None) -> None:
    found = compiled({path: {"get": {}}}, url, base_url)
    left_out = {"the path is not below the base URL of the integration": 1}
    assert [operation.path for operation in found.operations] == ([] if expected is None else [expected])
    assert found.skipped == (left_out if expected is None else {})


def test_other_servers_of_a_path_count_only_on_the_same_host() -> None:
    paths = {
        "/a": {"servers": [{"url": "https://api.acme.example/v1/beta"}], "get": {}},
        "/b": {"get": {"servers": [{"url": "/v1/files"}]}},
        "/c": {"get": {"servers": [{"url": "https://upload.acme.example/v1"}]}},
    }
    found = compiled(paths)
    assert [operation.path for operation in found.operations] == ["/beta/a", "/files/b"]
    assert found.skipped == {"the path is not below the base URL of the integration": 1}


@pytest.mark.parametrize(
    "path, definition, reason",
    [
        ("/a?b=c", {}, "the path contains a query or a fragment"),
        ("/#Action", {}, "the path contains a query or a fragment"),
        ("/a/../b", {}, "the path or an argument is not valid"),
        ("/a/{b", {}, "the path or an argument is not valid"),
        ("/a/{b}/{b}", {}, "the path or an argument is not valid"),
        (f"/{'a' * 1_001}", {}, "the path is not below the base URL of the integration"),
        (
            "/upload",
            {"requestBody": {"required": True, "content": {"multipart/form-data": {}}}},
            "the body is neither JSON nor a form",
        ),
    ],
)
def test_an_operation_that_cannot_be_called_is_left_out(path: str, definition: dict[str, Any], reason: str) -> None:
    found = compiled({path: {"post": definition}, "/ok": {"get": {}}})
    assert [operation.path for operation in found.operations] == ["/ok"]
    assert found.skipped == {reason: 1}


def test_headers_that_change_the_request_are_no_arguments() -> None:
    names = ("Authorization", "Host", "X-HTTP-Method-Override", "One-Runtime-Connection", "Cookie", "Bad Name", "X-Ok")
    parameters = [{"name": name, "in": "header", "schema": {"type": "string"}} for name in names]
    assert [argument.sent_name for argument in only({"parameters": parameters}).parameters] == ["X-Ok"]


def test_undeclared_placeholders_are_arguments_and_unused_parameters_are_not() -> None:
    found = only({"parameters": [{"name": "other", "in": "path"}]}, "/contacts/{class}")
    assert [(argument.name, argument.sent_name) for argument in found.parameters] == [("class_", "class")]


@pytest.mark.parametrize(
    "text, plain",
    [
        ("List [contacts](https://x.example) of `you`. More.", "List contacts of you."),
        ("A\x1b[31m red\x00 text\r\nline", "A [31m red text line"),
        ("in\u200bvis\u202eible \U000e0041\U000e0042\ufe0ftext\ud800", "invisible text"),
        ("<b>Bold</b> text", "Bold text"),
        ("連絡先の一覧", "連絡先の一覧"),
        ("word " * 100, f"{'word ' * 38}word…"),
        ("x" * 500, f"{'x' * 199}…"),
        (None, ""),
        (5, ""),
    ],
)
def test_texts_are_short_and_visible(text: object, plain: str) -> None:
    assert plain_text(text, 200) == plain


def test_a_document_has_at_most_2000_operations() -> None:
    paths: dict[str, Any] = {f"/{number}": {"get": {}} for number in range(2_010)}
    found = compiled(paths)
    assert len(found.operations) == 2_000
    assert found.skipped == {"the document has too many operations": 10}


def references(to: str, count: int) -> dict[str, Any]:
    return {f"p{number}": {"$ref": f"#/components/schemas/{to}"} for number in range(count)}


HOSTILE: Final[dict[str, dict[str, Any]]] = {
    "cycle": {"A": {"$ref": "#/components/schemas/B"}, "B": {"$ref": "#/components/schemas/A"}},
    "cycle of allOf": {"A": {"allOf": [{"$ref": "#/components/schemas/A"}] * 20}},
    "cycle of properties": {"A": {"properties": references("A", 100)}},
    "wide tree": {
        "A": {"properties": references("B", 200)},
        "B": {"allOf": [{"$ref": "#/components/schemas/C"}] * 50},
        "C": {"allOf": [{"$ref": "#/components/schemas/D"}] * 50},
        "D": {"properties": references("A", 100)},
    },
    "long references": {"A": {"properties": {str(number): {"$ref": "#" + "/a" * 200} for number in range(20)}}},
    "remote": {"A": {"$ref": "https://evil.example/schema.json"}},
    "wrong kinds": {"A": {"properties": [1], "required": 5, "allOf": {}, "oneOf": "x", "enum": {}, "type": {}}},
}


@pytest.mark.parametrize("schemas", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_document_takes_little_time_and_gives_a_small_result(schemas: dict[str, Any]) -> None:
    body = {"requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/A"}}}}}
    paths = {f"/{number}": {"post": body} for number in range(150)}
    started = time.thread_time()
    found = compiled(paths, components={"schemas": schemas})
    assert time.thread_time() - started < 2
    assert (
        sum(len(operation.model_dump_json(exclude_defaults=True)) for operation in found.operations) < 4 * 1024 * 1024
    )
    assert len(found.operations) + sum(found.skipped.values()) == 150


@pytest.mark.parametrize("paths", [None, [], "x", {"/a": 1}, {"/a": {"get": []}}, {"/a": {"parameters": 1, "get": {}}}])
def test_paths_of_a_wrong_kind_are_ignored(paths: Any) -> None:
    assert len(compiled(paths).operations) <= 1
