"""The search for functions: ranking, connected integrations, several sources, and hostile queries."""

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from one_runtime.agents.operations.index import IndexedIntegration, OperationIndex
from one_runtime.agents.operations.search import search
from tests.agents.operations.synthetic import many_operations, operation

CRM: Final = IndexedIntegration(
    "hubspot",
    "hubspot hub spot crm",
    [
        operation("hubspot.contacts_list", summary="List contacts, newest first."),
        operation("hubspot.contacts_create", "POST", "/v3/contacts", summary="Create a contact."),
        operation("hubspot.contacts_archive_old", "DELETE", summary="Archive a contact.", deprecated=True),
        operation("hubspot.deals_create", "POST", summary="Create a deal and its associations."),
        operation("hubspot.feedback_get", summary="Get a réponse to a survey."),
    ],
)
CHAT: Final = IndexedIntegration(
    "slack",
    "slack",
    [
        operation("slack.chat_post_message", "POST", "/chat.postMessage", summary="Send a message to a channel."),
        operation("slack.users_list", path="/users.list", summary="List users of the workspace."),
    ],
)
OTHER: Final = IndexedIntegration(
    "pipe-drive",
    "pipedrive pipe drive",
    [
        operation("pipe-drive.persons_create", "POST", summary="Create a person, also called a contact."),
        operation("pipe-drive.contacts_list", summary="List contacts, newest first."),
        operation("pipe-drive.messages_send", "POST", summary="Send a message to a person."),
    ],
)
INDEX: Final = OperationIndex.in_memory([CRM, CHAT, OTHER])


def names(query: str, connected: set[str] = frozenset(), slugs: set[str] | None = None, limit: int = 8) -> list[str]:  # type: ignore[assignment] # an empty default
    return [match.operation.full_name for match in search([INDEX], query, slugs, connected, limit)]


@pytest.mark.parametrize(
    "query, first",
    [
        ("list contacts", "hubspot.contacts_list"),
        ("contacts_list", "hubspot.contacts_list"),
        ("hubspot.contacts_create", "hubspot.contacts_create"),
        ("Please add a new contact to HubSpot", "hubspot.contacts_create"),
        ("contact creation pipedrive", "pipe-drive.persons_create"),
        ("hubspot contacts", "hubspot.contacts_list"),
        ("cont list pipedrive", "pipe-drive.contacts_list"),
        ("posting messages on slack", "slack.chat_post_message"),
        ("slack message", "slack.chat_post_message"),
        ("chat.postMessage", "slack.chat_post_message"),
        ("CREATING DEALS", "hubspot.deals_create"),
        ("survey reponse", "hubspot.feedback_get"),
        ("users in the workspace", "slack.users_list"),
        ("show all hubspot contacts", "hubspot.contacts_list"),
        ("find contacts in hubspot", "hubspot.contacts_list"),
        ("publish a message to a channel", "slack.chat_post_message"),
        ("v3", "hubspot.contacts_create"),
    ],
)
def test_typical_queries_find_the_intended_function_first(query: str, first: str) -> None:
    assert names(query)[:1] == [first]


def test_connected_integrations_come_first() -> None:
    assert names("list contacts")[0] == "hubspot.contacts_list"
    assert names("list contacts", {"pipe-drive"})[0] == "pipe-drive.contacts_list"
    matches = search([INDEX], "list contacts", None, {"pipe-drive"}, 2)
    assert [match.connected for match in matches] == [True, False]


def test_an_integration_that_the_query_names_comes_before_a_connected_one() -> None:
    assert names("slack send message to channel", {"pipe-drive"})[0] == "slack.chat_post_message"


def test_functions_of_a_named_integration_are_found_although_their_verb_is_another_word() -> None:
    assert names("send a reponse to a hubspot survey message", limit=1) == ["hubspot.feedback_get"]


def test_only_the_given_integrations_are_searched() -> None:
    assert {name.partition(".")[0] for name in names("create contact message", slugs={"slack"})} == {"slack"}
    assert names("list contacts", {"hubspot"}, {"pipe-drive"})[0] == "pipe-drive.contacts_list"
    assert names("list contacts", slugs=set()) == []
    assert names("list contacts", slugs={"unknown"}) == []


def test_a_large_set_of_integrations_is_searched_like_a_small_one() -> None:
    many = {f"none-{number}" for number in range(100)}
    indexed = [IndexedIntegration(slug, slug, many_operations(slug, 3, seed)) for seed, slug in enumerate(sorted(many))]
    index = OperationIndex.in_memory([CRM, *indexed, OTHER])
    matches = search([index], "list contacts", many | {"pipe-drive"}, set(), 50)
    assert matches[0].operation.full_name == "pipe-drive.contacts_list"
    assert "hubspot" not in {match.operation.integration_slug for match in matches}


def test_a_deprecated_function_comes_last() -> None:
    found = names("archive contact")
    assert found[-1] == "hubspot.contacts_archive_old"


def test_limit_bounds_the_matches() -> None:
    assert len(names("list create send contact message", limit=3)) == 3


def test_the_first_source_decides_for_equal_names_and_for_equal_paths() -> None:
    documents = IndexedIntegration(
        "hubspot",
        "hubspot",
        [
            operation("hubspot.contacts_list", path="/other", summary="List contacts of a document."),
            operation("hubspot.post_v3_contacts", "POST", "/v3/contacts", summary="Create contacts."),
            operation("hubspot.contacts_merge", "POST", summary="Merge contacts."),
        ],
    )
    second = OperationIndex.in_memory([documents])
    found = [match.operation for match in search([INDEX, second], "hubspot contacts", {"hubspot"}, set(), 20)]
    assert {operation.name for operation in found} >= {"contacts_list", "contacts_create", "contacts_merge"}
    assert next(operation for operation in found if operation.name == "contacts_list").path == "/contacts_list"
    assert "post_v3_contacts" not in {operation.name for operation in found}


def test_a_small_source_competes_with_a_large_one() -> None:
    large = OperationIndex.in_memory([IndexedIntegration("big", "big", many_operations("big", 2_000, 7))])
    small = OperationIndex.in_memory(
        [IndexedIntegration("x-acme", "acme", [operation("x-acme.invoices_void", "POST", summary="Void an invoice.")])]
    )
    assert search([large, small], "void invoice", None, set(), 5)[0].operation.full_name == "x-acme.invoices_void"


HOSTILE: Final = [
    "", "   ", '"', '""', '"unclosed', "a OR", "NEAR(a b", "NEAR/3", "NOT", "AND AND", "-", "*", "a*", "^list",
    "name:x",
    "{name}: x", "slug : s", "'; DROP TABLE words; --", "\x00", "list\x00contacts", "\ud800",
    "list \udfff", "ß", "İstanbul",
    "列出 联系人", "🙂🙂", "e\u0301\u0301", "ﬁle", "Ⅷ", "²", "x" * 10_000, "list contacts " * 1_000, "(" * 500,
    "+-/\\|&%$#@!",
]  # fmt: skip


@pytest.mark.parametrize("query", HOSTILE)
def test_no_query_is_a_syntax_error(query: str) -> None:
    assert isinstance(names(query), list)


@given(st.text(st.characters(codec=None), max_size=200))
def test_any_text_is_a_valid_query(query: str) -> None:
    assert len(names(query, {"slack"}, {"slack", "hubspot"})) <= 8


def test_get_and_of_integration_return_whole_operations() -> None:
    assert INDEX.get("slack", "users_list") == CHAT.operations[1]
    assert INDEX.get("slack", "contacts_list") is None
    assert INDEX.of_integration("hubspot") == CRM.operations
    assert INDEX.of_integration("none") == []
    assert INDEX.counts == {"hubspot": 5, "slack": 2, "pipe-drive": 3}
