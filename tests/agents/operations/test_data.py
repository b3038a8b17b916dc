"""One Runtime's own operations: every packaged file, and the errors that a file can have."""

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from one_runtime.agents.operations.data import FOLDER, read_data, read_folder
from one_runtime.agents.operations.library import OperationLibrary
from one_runtime.agents.operations.request import arguments_to_request
from one_runtime.catalog.loader import CatalogError, load_catalog
from one_runtime.catalog.operation import Argument, Operation
from one_runtime.demo.acme_entry import acme_operations
from one_runtime.errors import InvalidInput

VALID: Final = """
documentation: https://developers.example.com/reference
operations:
  contacts_list:
    summary: List contacts, newest first.
    method: GET
    path: /v1/lists/{list_id}/contacts
    parameters:
      limit: {in: query, type: integer, default: 10, description: At most 100.}
      list_id: {in: path, description: Id of the list.}
      ids: {in: query, name: "filter[ids]", type: array, items: integer, style: comma}
  contacts_search:
    summary: Search contacts.
    method: POST
    path: /v1/contacts/search
    access: read
    body:
      filter: {type: object, required: true, fields: {email: {type: string, required: true}}}
    returns: An object with `results`.
    scopes: [contacts.read]
    documentation: https://developers.example.com/search
"""
_EXAMPLES: Final[Mapping[str, object]] = {"string": "text", "integer": 1, "number": 1.5, "boolean": True, "array": [1]}


def example_of(argument: Argument) -> object:
    """Return a valid value."""
    if argument.enum:
        return [argument.enum[0]] if argument.type == "array" else argument.enum[0]
    if argument.type == "array":
        return [_EXAMPLES.get(argument.items or "string", {})]
    if argument.type == "object":
        return {field.sent_name: example_of(field) for field in argument.fields}
    return _EXAMPLES[argument.type]


@pytest.fixture(scope="module")
def library() -> Iterator[OperationLibrary]:
    library = OperationLibrary(load_catalog(), (read_folder,))
    yield library
    library.close()


def write(folder: Path, text: str) -> Path:
    path = folder / "hubspot.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@cache
def packaged() -> list[Operation]:
    data = {**read_folder(), **acme_operations("http://127.0.0.1:8002")}
    return [operation for operations in data.values() for operation in operations]


def test_every_packaged_file_is_valid_and_names_an_integration_of_the_catalog() -> None:
    slugs = set(read_folder())
    assert slugs == {path.stem for path in FOLDER.glob("*")}
    assert [slug for slug in slugs if load_catalog().get(slug) is None] == []


def test_every_packaged_operation_accepts_examples_of_all_arguments() -> None:
    for operation in packaged():
        values = {argument.name: example_of(argument) for argument in operation.arguments}
        request = arguments_to_request(operation, values)
        assert request.path.startswith("/"), operation.full_name
        assert (request.body is not None) == bool(operation.body), operation.full_name
        required = {argument.name: values[argument.name] for argument in operation.arguments if argument.required}
        assert arguments_to_request(operation, required).method == operation.method


def test_a_file_becomes_operations_with_path_parameters_first(tmp_path: Path) -> None:
    contacts_list, contacts_search = read_data(write(tmp_path, VALID))
    assert contacts_list.full_name == "hubspot.contacts_list"
    assert [argument.name for argument in contacts_list.parameters] == ["list_id", "limit", "ids"]
    assert contacts_list.parameters[0].required
    assert contacts_list.parameters[2].sent_name == "filter[ids]"
    assert (contacts_list.access, contacts_search.access, contacts_list.source) == ("read", "read", "builtin")
    assert contacts_list.documentation == "https://developers.example.com/reference"
    assert contacts_search.documentation == "https://developers.example.com/search"
    assert [field.name for field in contacts_search.body[0].fields] == ["email"]


@pytest.mark.parametrize(
    "old, new, message",
    [
        ("method: GET", "method: FETCH", "hubspot.yaml:6: operations.contacts_list.method must be one of"),
        ("limit: {in: query", "limit: {in: cookie", "operations.contacts_list.parameters.limit.location must be one"),
        ("{in: path, ", "{in: query, ", "hubspot.yaml:4: operations.contacts_list.path must have the path parameters"),
        ("list_id: {in", "list_ids: {in", "as placeholders, which are: list_ids"),
        ("contacts_search:", "contacts_list:", "contacts_list must appear only once"),
        ("contacts_search:", "contactsSearch:", "operations.contactsSearch.name must begin with a lower-case letter"),
        ("contacts_search:", "import:", "operations.import.name must not be import, a keyword"),
        ("limit: {in", "from: {in", "parameters.from.name must not be from, a keyword"),
        ("limit: {in", "page-size: {in", "parameters.page-size.name must be a Python identifier"),
        ("style: comma", "style: commas", "parameters.ids.style must be one of"),
        ("type: integer, default", "type: int, default", "parameters.limit.type must be one of"),
        ("access: read", "source: openapi", "source is not a key of an operation"),
        ("access: read", "access: maybe", "access must be one of"),
        ("default: 10", "defaults: 10", "parameters.limit.defaults is not a key of this part of the definition"),
        ("filter: {type", "filter: {in: body, type", "body.filter.in is not a key of an argument"),
        ("items: integer", "items: integers", "parameters.ids.items must be one of"),
        ("List contacts, newest first.", "List contacts", "must be one plain sentence of at most 120 characters"),
        ("List contacts, newest first.", f"L{'o' * 120}.", "must be one plain sentence of at most 120 characters"),
        ("List contacts, newest first.", '"List **contacts**."', "must be one plain sentence"),
        ("returns: An object", f"returns: {'o' * 200}", "returns must be at most 200 characters"),
        ("https://developers.example.com/search", "ftp://example.com", "contacts_search.documentation must be an"),
        ("path: /v1/contacts/search", "path: v1/contacts", "contacts_search.path"),
        ("path: /v1/contacts/search", "path: /v1/contacts?x=1", "contacts_search.path"),
        ("path: /v1/contacts/search", "path: /v1/../contacts", "contacts_search.path must not contain the segments"),
        ("documentation: https://developers.example.com/reference\n", "", "must have exactly the keys"),
    ],
)  # fmt: skip
def test_an_error_in_a_file_names_the_place(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in VALID
    with pytest.raises(CatalogError) as refused:
        read_data(write(tmp_path, VALID.replace(old, new)))
    assert message in refused.value.detail


def test_all_errors_of_a_file_are_reported_together(tmp_path: Path) -> None:
    text = VALID.replace("method: GET", "method: FETCH").replace("access: read", "access: maybe")
    with pytest.raises(CatalogError) as refused:
        read_data(write(tmp_path, text))
    assert [line.partition(" must")[0] for line in refused.value.detail.splitlines()] == [
        f"{tmp_path / 'hubspot.yaml'}:6: operations.contacts_list.method",
        f"{tmp_path / 'hubspot.yaml'}:16: operations.contacts_search.access",
    ]


def test_a_read_with_the_path_of_a_write_has_a_fixed_document() -> None:
    """A caller who may only read must not be able to send a mutation to a GraphQL API."""
    writes = {(item.integration_slug, item.method, item.path) for item in packaged() if item.access == "write"}
    reads = (item for item in packaged() if item.access == "read")
    checked = set[str]()
    for item in reads:
        if (item.integration_slug, item.method, item.path) in writes:
            (document,) = (argument for argument in item.body if argument.name == "query")
            assert (document.required, document.enum) == (True, (document.default,)), item.full_name
            assert str(document.default).startswith("query "), item.full_name
            with pytest.raises(InvalidInput, match="query must be"):
                arguments_to_request(item, {"query": "mutation { issueDelete }", "variables": {}})
            checked.add(item.integration_slug)
    assert checked == {"linear", "monday", "shopify"}


def test_the_summary_of_a_deleting_operation_says_what_happens() -> None:
    verbs = {"Archive", "Cancel", "Delete", "Remove"}
    assert {item.summary.partition(" ")[0] for item in packaged() if item.method == "DELETE"} <= verbs


@pytest.mark.parametrize(
    "question, name",
    [
        ("send a message to a channel", "slack.messages_send"),
        ("unread emails", "gmail.messages_list"),
        ("send an email", "sendgrid.emails_send"),
        ("create a calendar event", "google-calendar.events_create"),
        ("search contacts by email", "hubspot.contacts_search"),
        ("merge a pull request", "github.pull_requests_merge"),
        ("refund a payment", "stripe.refunds_create"),
        ("vacation of employees", "bamboohr.absences_list"),
        ("append rows to a spreadsheet", "google-sheets.values_append"),
        ("schedule a meeting", "zoom.meetings_create"),
        ("query records with SOQL", "salesforce.records_query"),
        ("export a document as PDF", "google-drive.files_export"),
        ("assign a ticket", "zendesk.tickets_update"),
        ("profit and loss", "xero.profit_and_loss_get"),
    ],
)
async def test_a_common_question_finds_the_operation(library: OperationLibrary, question: str, name: str) -> None:
    matches = await library.search(question, None, set(), 5)
    assert name in {match.operation.full_name for match in matches}
