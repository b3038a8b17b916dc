"""Every entry of the catalog keeps the contract, and sends what its provider documents."""

import json
from pathlib import Path
from typing import Any, Final

import pytest

from one_runtime.catalog.lint import complaints, example_values
from one_runtime.catalog.loader import load_yaml
from one_runtime.catalog.model import Integration
from one_runtime.catalog.request import build_check, clean_values, inject, read_check
from one_runtime.catalog.tools.build import COMPILED, HERE, compile_catalog
from tests.catalog.entries import ENTRIES
from tests.catalog.javascript import compile_all

FIXTURES: Final = sorted((Path(__file__).parent / "fixtures").glob("*.json"))
ACME: Final = HERE.parent / "demo" / "acme.yaml"


def test_the_compiled_catalog_is_not_stale() -> None:
    assert COMPILED.read_text(encoding="utf-8") == compile_catalog(), "run: python -m one_runtime.catalog.tools.build"


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.slug)
def test_nothing_is_wrong_with_an_entry(entry: Integration) -> None:
    assert list(complaints(entry)) == []


def test_no_name_and_no_description_stands_there_twice() -> None:
    for texts in ([entry.name.casefold() for entry in ENTRIES], [entry.description for entry in ENTRIES]):
        assert sorted({text for text in texts if texts.count(text) > 1}) == []


def test_no_address_of_an_entry_is_plain_http() -> None:
    assert [one.stem for one in (HERE / "integrations").glob("*.yaml") if "http://" in one.read_text("utf-8")] == []


def test_nine_in_ten_keys_and_passwords_are_checked() -> None:
    typed = [(entry.slug, auth) for entry in ENTRIES for auth in entry.auth if auth.type in ("api_key", "basic")]
    unchecked = [slug for slug, auth in typed if auth.check is None]
    assert len(unchecked) <= len(typed) / 10, unchecked


def test_patterns_compile_in_javascript_with_the_flag_u() -> None:
    auths = [auth for entry in ENTRIES for auth in entry.auth]
    patterns = [part.pattern for auth in auths for part in auth.params]
    patterns += [part.pattern for auth in auths for part in auth.fields]
    compile_all([one for one in patterns if one])


def test_at_least_sixty_auth_types_are_held_to_the_request_that_their_provider_documents() -> None:
    told = [json.loads(path.read_text(encoding="utf-8")) for path in FIXTURES]
    held = {(one["slug"], one["auth_type"]) for one in told}
    assert len(held) >= 60
    said = {(one.slug, auth.type) for one in ENTRIES for auth in one.auth if auth.verified.how == "fixture"}
    assert held == said


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
def test_the_check_is_the_documented_request_and_its_answers_are_read_right(path: Path) -> None:
    fixture: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    entry = next(one for one in ENTRIES if one.slug == fixture["slug"])
    auth = entry.auth_of(fixture["auth_type"])
    assert auth is not None
    assert all(link.startswith("https://") for link in fixture["source"])
    values = clean_values(auth, fixture["params"], fixture["credentials"])
    request, documented = build_check(auth, values), fixture["request"]
    assert request.method == documented["method"]
    assert request.url == documented["url"]
    assert dict(request.headers) == {"Accept": "application/json", **documented["headers"]}
    assert (request.body.decode() if request.body is not None else None) == documented["body"]
    for answer in fixture["answers"]:
        body = b"" if answer["body"] is None else json.dumps(answer["body"]).encode()
        verdict = read_check(auth, answer["status"], (), body, values)
        assert {key: getattr(verdict, key) for key in answer["verdict"]} == answer["verdict"]


def test_linear_is_checked_with_a_graphql_body_and_no_bearer() -> None:
    auth = next(entry for entry in ENTRIES if entry.slug == "linear").auth[0]
    request = build_check(auth, example_values(auth))
    assert request.method == "POST"
    assert dict(request.headers)["Content-Type"] == "application/json"
    assert dict(request.headers)["Authorization"] == example_values(auth).credentials["api_key"]
    assert json.loads(request.body or b"")["query"].startswith("{ viewer {")


def test_a_mailchimp_key_says_which_data_centre_it_belongs_to() -> None:
    auth = next(entry for entry in ENTRIES if entry.slug == "mailchimp").auth[0]
    values = clean_values(auth, {}, {"api_key": "0123456789abcdef0123456789abcdef-us21"})
    assert inject(auth, values).base_url == "https://us21.api.mailchimp.com/3.0"
    assert values.params == {}


def test_trello_sends_both_keys_in_the_query() -> None:
    auth = next(entry for entry in ENTRIES if entry.slug == "trello").auth[0]
    injection = inject(auth, clean_values(auth, {}, {"api_key": "a" * 32, "token": "B" * 64}))
    assert injection.query == (("key", "a" * 32), ("token", "B" * 64))
    assert injection.headers == ()


def test_acme_is_read_with_its_address_and_http_on_loopback_only_where_allowed() -> None:
    acme = load_yaml(ACME, allow_http=True, replace={"acme_url": "http://127.0.0.1:8082"})
    auth = acme.auth[0]
    request = build_check(auth, clean_values(auth, {}, {"api_key": "acme_north_0001"}))
    assert request.url == "http://127.0.0.1:8082/v1/me"
    assert ("Authorization", "Bearer acme_north_0001") in request.headers
