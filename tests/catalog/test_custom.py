"""Custom entries: their limits, and the changes that change the audience of credentials."""

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
import yaml

from one_runtime.catalog.custom import MAX_BYTES, as_yaml, read_custom
from one_runtime.catalog.loader import load_catalog
from one_runtime.catalog.model import CustomIntegration, dump
from one_runtime.catalog.source import MAX_COMPLAINTS, EntrySource, SourceError, UnreadableSource
from tests.billing import ENTRY, OAUTH

WHOLE = ENTRY + OAUTH


def audiences(text: str) -> dict[str, str | None]:
    integration = read_custom(text, "yaml").integration
    return {kind: integration.audience(kind) for kind in ("api_key", "oauth2", "none")}


def complaint(text: str, syntax: Any = "yaml") -> tuple[int | None, str]:
    with pytest.raises(SourceError) as refused:
        read_custom(text, syntax)
    (error,) = refused.value.complaints
    return error.line, error.message


def test_few_of_many_errors_are_located() -> None:
    """The search for the line of an error takes longer the more keys a text has."""
    source = EntrySource.read(ENTRY + "".join(f"unknown_{number}: 1\n" for number in range(100)))
    with pytest.raises(SourceError) as refused:
        source.integration(CustomIntegration)
    assert len(refused.value.complaints) == MAX_COMPLAINTS


def put(text: str, key: str, value: str) -> str:
    """Insert a line before a key of the first auth type."""
    return text.replace(f"    {key}:", f"    {value}\n    {key}:", 1)


SITE = "params: [{name: site, label: Site, placeholder: billing, pattern: '[a-z]{1,20}', transform: [lower]}]"
DERIVED = "derived: [{name: site, field: api_key, pattern: 'bk_([a-z0-9]+)'}]"
BY_SITE = ENTRY.replace("https://billing.acme.com", "https://{site}.acme.com")


@pytest.mark.parametrize(
    "before, after",
    [
        (ENTRY, ENTRY.replace("billing.acme.com", "elsewhere.acme.com")),
        (ENTRY, ENTRY.replace("Authorization: Bearer {api_key}", "X-Key: '{api_key}'")),
        (ENTRY, ENTRY.replace("      path: /me", "      url: https://elsewhere.acme.com/me")),
        (ENTRY, ENTRY.replace("      path: /me", "      path: /me\n      query: {leak: '{api_key}'}")),
        (ENTRY, ENTRY.replace("      path: /me", "      path: /keys/{api_key}")),
        (put(BY_SITE, "base_url", SITE), put(BY_SITE, "base_url", DERIVED)),
        (ENTRY, ENTRY.replace("com/v1", "com/v1/{api_key}")),
        (ENTRY, put(ENTRY, "base_url", "more_base_urls: ['https://billing.acme.com/{api_key}']")),
    ],
    ids=[
        "host",
        "header",
        "check's host",
        "check's query",
        "check's path",
        "what a part of the host is",
        "API's path",
        "path of a further base URL",
    ],
)
def test_a_change_of_where_a_key_goes_changes_the_audience(before: str, after: str) -> None:
    assert audiences(before)["api_key"] != audiences(after)["api_key"]


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("id.acme.com/token", "id2.acme.com/token"),
        lambda text: text.replace("id.acme.com/revoke", "id2.acme.com/revoke"),
        lambda text: text.replace("    pkce:", "    send: {headers: {X-Token: '{access_token}'}}\n    pkce:"),
    ],
    ids=["tokens", "revocation", "header"],
)
def test_a_change_of_where_tokens_go_changes_only_the_audience_of_tokens(change: Callable[[str], str]) -> None:
    before, after = audiences(WHOLE), audiences(change(WHOLE))
    assert before["oauth2"] != after["oauth2"]
    assert before["api_key"] == after["api_key"]


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("Invoices of", "Bills of"),
        lambda text: text.replace("com/v1", "com/v2"),
        lambda text: text.replace("path: /me", "path: /whoami"),
        lambda text: text.replace("default: [read]", "default: [read, write]"),
        lambda text: text.replace("{16}", "{16,32}"),
        lambda text: text.replace("https://id.acme.com/token", "https://id.acme.com/oauth/token"),
        lambda text: text.replace("id.acme.com/authorize", "id2.acme.com/authorize"),
    ],
    ids=["words", "version", "check", "scopes", "pattern", "token's path", "consent page"],
)
def test_changes_that_keep_the_destination_keep_the_audience(change: Callable[[str], str]) -> None:
    assert audiences(change(WHOLE)) == audiences(WHOLE)
    assert audiences(WHOLE)["none"] is None


def test_an_entry_above_the_size_limit_is_refused() -> None:
    entry = yaml.safe_load(ENTRY)
    entry["auth"][0]["check"] = {**entry["auth"][0]["check"], "method": "POST", "json": "x" * MAX_BYTES}
    assert complaint(json.dumps(entry), "json") == (None, "must be at most 64 kB as JSON")
    many = [{"name": f"f{number}", "label": "F", "where": "There.", "pattern": "a"} for number in range(33)]
    entry = yaml.safe_load(ENTRY)
    entry["auth"][0]["fields"] = many
    assert "at most 32 items" in complaint(yaml.safe_dump(entry))[1]


@pytest.mark.parametrize("text", ["a: &a [1]\nb: *a", "a: &a xx\nb: *a", "a: &a xx\nb: [*a, *a]"])
def test_a_text_that_expands_to_a_long_one_is_refused(text: str) -> None:
    assert complaint(text)[1].startswith(("YAML aliases", "b must appear only once", "is not a key"))


def _document(**parts: Any) -> str:
    document = {"openapi": "3.1.0", "info": {"title": "Billing"}, "servers": [{"url": "https://billing.acme.com"}]}
    return json.dumps({**document, **parts})


def _references(count: int) -> dict[str, dict[str, str]]:
    chain = {f"a{number}": {"$ref": f"#/components/securitySchemes/a{number + 1}"} for number in range(count)}
    return {**chain, f"a{count}": {"type": "http", "scheme": "basic"}}


@pytest.mark.parametrize(
    "text, value",
    [
        ("12", 12),
        ("-0", 0),
        ("+7", 7),
        ("0777", 777),
        ("0o17", 15),
        ("0x1F", 31),
        ("12:30", "12:30"),
        ("1:30.5", "1:30.5"),
        ("0b11", "0b11"),
        ("1_000", "1_000"),
        ("1.5", 1.5),
        ("'12'", "12"),
    ],
)
def test_integers_are_those_of_yaml_1_2(text: str, value: object) -> None:
    read = EntrySource.read(f"a: {text}").data
    assert read == {"a": value}
    assert type(read["a"]) is type(value)


def test_keys_in_yaml_are_texts_as_in_json() -> None:
    assert EntrySource.read("200: a\ntrue: b\nnull: c\n<<: {5: d}").data == {
        "5": "d",
        "200": "a",
        "true": "b",
        "null": "c",
    }


@pytest.mark.parametrize("text", ["a: " + "1" * 301, "a: 0x" + "f" * 300, "a: !!float " + "1" * 301])
def test_a_number_has_at_most_300_characters(text: str) -> None:
    assert "a number must have at most 300 characters" in complaint(text)[1]


def test_references_to_a_scheme_are_limited() -> None:
    for count, message in ((11, "at most 10 references"), (100, "at most 100 schemes")):
        assert message in complaint(_document(components={"securitySchemes": _references(count)}), "json")[1]
    assert read_custom(_document(components={"securitySchemes": _references(10)}), "json").integration.auth


def test_pattern_without_printable_ascii_characters_is_refused() -> None:
    message = complaint(ENTRY.replace("bk_[a-z0-9]{16}", "'[^ -~]{5}'"))[1]
    assert message.endswith("each class of a pattern must contain a printable ASCII character")


def test_a_list_position_has_at_most_two_digits() -> None:
    text = WHOLE.replace(
        "    pkce:", "    received: [{name: r, source: token_response, path: '99999999', pattern: a}]\n    pkce:"
    )
    with pytest.raises(SourceError):
        read_custom(text, "yaml")


@pytest.mark.parametrize("syntax", ["yaml", "json"])
def test_a_document_that_is_nested_too_deeply_is_refused(syntax: Any) -> None:
    assert complaint("[" * 70 + "]" * 70, syntax)[1] == "must be nested at most 64 levels deep"


def test_errors_in_json_have_the_right_line_whatever_characters_precede_it() -> None:
    entry = {**yaml.safe_load(ENTRY), "category": "Money"}
    text = json.dumps({"description": "🧾 \ud83e", **entry}, indent=1).replace(
        '"description": "\\ud83e', '"x": "\\ud83e', 1
    )
    with pytest.raises(SourceError) as refused:
        read_custom(text, "json")
    lines = {error.place: error.line for error in refused.value.complaints}
    assert lines[("category",)] == text[: text.index("Money")].count("\n") + 1
    assert complaint('{"slug": 1, "slug": 2}', "json") == (None, "slug must appear only once")
    assert complaint("1" * 5000, "json")[1] == "a number is too long, or the document is nested too deeply"


@pytest.mark.parametrize(
    "text",
    [
        "a: !!int ''",
        "a: !!int '-'",
        "a: !!float ''",
        "a: !!bool x",
        "a: !!timestamp x",
        "a: 2026-13-01",
        "a: !x y",
        "? [a]\n: b",
    ],
)
def test_yaml_values_that_cannot_be_constructed_are_refused_in_one_sentence(text: str) -> None:
    with pytest.raises(SourceError) as refused:
        read_custom(text, "yaml")
    assert refused.value.complaints[0].message


@pytest.mark.parametrize(
    "text", ["", "a: .inf", "- 1", "5", "null", "'x'", "a: 2026-01-01\nslug: [x]", "1: 2", "true: 3"]
)
def test_a_document_that_is_not_an_entry_is_refused(text: str) -> None:
    with pytest.raises(SourceError):
        read_custom(text, "yaml")


def test_invalid_yaml_has_an_error_of_its_own() -> None:
    with pytest.raises(UnreadableSource):
        read_custom("a: [", "yaml")
    with pytest.raises(UnreadableSource):
        read_custom("{", "json")


@pytest.mark.parametrize(
    "part",
    [
        {"servers": {"a": 1}},
        {"servers": [None, {"url": "https://b.acme.com/{v}", "variables": {"v": {"default": 2}}}]},
        {"servers": ["x", {"url": "https://[x"}]},
        {"servers": [{"url": "https://{r}.acme.com", "variables": {"r": {"enum": [1, {"a": 2}], "default": 1}}}]},
        {"servers": [{"url": "https://{r}.acme.com", "variables": {"r": {"enum": []}}}]},
        {"servers": [{"url": "https://ﬁ.acme.com"}]},
        {"security": [None]},
        {"security": [{1: []}]},
        {"security": {"a": 1}},
        {"security": [{"K": 5}]},
        {"components": 7},
        {"components": {"securitySchemes": [1]}},
        {"components": {"securitySchemes": {"K": None}}},
        {"components": {"securitySchemes": {1: {"type": "apiKey", "in": ["header"], "name": 5}}}},
        {"components": {"securitySchemes": {"K": {"type": ["http"], "scheme": 5}}}},
        {"components": {"securitySchemes": {"O": {"type": "oauth2", "flows": []}}}},
        {"components": {"securitySchemes": {"O": {"type": "oauth2", "flows": {1: 2, "implicit": 3}}}}},
        {"info": []},
        {"info": {"title": 5}},
        {"info": {"title": "A", "summary": "[" * 40_000}},
        {"info": {"title": "A", "description": ["x"], "contact": "y"}},
        {"x-check": 5},
        {"x-identity": []},
        {"x-category": {"a": 1}},
        {"x-logo": {"url": 5}},
        {"openapi": None},
        {"openapi": 3.1},
    ],
)
def test_any_openapi_document_is_imported_or_refused(part: dict[str, Any]) -> None:
    document: dict[Any, Any] = {
        "openapi": "3.1.0",
        "info": {"title": "Billing"},
        "servers": [{"url": "https://billing.acme.com"}],
        "components": {"securitySchemes": {"K": {"type": "apiKey", "in": "header", "name": "X-Key"}}},
        **part,
    }
    with suppress(SourceError):
        assert read_custom(yaml.safe_dump(document, allow_unicode=True), "yaml").integration.auth


WORDS = ("yes", "no", "null", "~", "1_000", "0x1F", "0o17", "017", "089", "1e3", "1.", ".5", "+1", "-0", "2026-10-01")
MARKS = ("=", "<<", "*a", "&a", "!a", "%a", "@a", "- a", "a: b", "a #b", " a ", "", "\u2028x", "'", '"', "a\nb\n", "\\")


@pytest.mark.parametrize("text", [*WORDS, *MARKS])
def test_yaml_of_an_entry_has_the_same_texts_when_it_is_read(text: str) -> None:
    entry = {"name": text, text: [text, {"label": text}]}
    assert EntrySource.read(as_yaml(entry)).data == entry


def test_yaml_of_an_entry_registers_the_same_entry() -> None:
    for integration in load_catalog().integrations[::20]:
        entry = dump(integration)
        assert EntrySource.read(as_yaml(entry)).data == entry, integration.slug
