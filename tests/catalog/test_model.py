"""Validation of an entry."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydantic import ValidationError

from one_runtime.catalog.model import Integration, dump
from one_runtime.catalog.parts import EntryPart
from tests.catalog.example import API_KEY, OAUTH2, SUBDOMAIN, api_key, entry_of

HOST = {"base_url": "https://{subdomain}.example.com"}


def refused(match: str, *auth: dict[str, Any], **changes: Any) -> None:
    with pytest.raises(ValidationError, match=match):
        entry_of(*auth, **changes)


def test_the_example_is_accepted_and_survives_a_round_trip() -> None:
    entry = entry_of(API_KEY)
    assert Integration.model_validate(dump(entry)) == entry
    assert entry.auth_types == ("api_key",)


def test_the_id_is_the_same_on_every_installation() -> None:
    assert entry_of(API_KEY, slug="hubspot").id == "4989eaeb-5947-5065-81c6-de3b60c10b7d"


def test_unknown_keys_are_refused_at_every_level() -> None:
    refused("Extra inputs", API_KEY, colour="red")
    refused("Extra inputs", {**API_KEY, "colour": "red"})
    refused("Extra inputs", {**API_KEY, "check": {"path": "/me", "follow": True}})


def test_a_template_with_an_undeclared_name_is_refused() -> None:
    refused("{shop} is used, so it must be declared", {**API_KEY, "base_url": "https://{shop}.example.com"})
    refused("{token} is used, so it must be declared", {**API_KEY, "send": {"headers": {"X": "{api_key}{token}"}}})
    refused("brace", {**API_KEY, "send": {"headers": {"X": "{Api Key}"}}})


def test_an_unused_declaration_is_refused() -> None:
    refused("subdomain is declared but not used", {**API_KEY, "params": [SUBDOMAIN]})


@pytest.mark.parametrize(
    "url", ["http://api.example.com", "http://127.0.0.1:80", "//api.example.com", "api.example.com"]
)
def test_only_https_is_accepted(url: str) -> None:
    refused("https", {**API_KEY, "base_url": url})


def test_http_on_loopback_is_accepted_if_allowed() -> None:
    def read(url: str) -> Integration:
        data = {**dump(entry_of(API_KEY)), "auth": [{**API_KEY, "base_url": url}]}
        return Integration.model_validate(data, context={"allow_http": True})

    assert read("http://127.0.0.1:8082").auth[0].base_url == "http://127.0.0.1:8082"
    for url in ("http://example.com", "http://10.0.0.1", "http://127.0.0.1.evil.com"):
        with pytest.raises(ValidationError):
            read(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://user:pass@api.example.com",
        "https://API.example.com",
        "https://api.example.com?x=1",
        "https://api.example.com#x",
        "https://api.exam ple.com",
        "https://-a.example.com",
    ],
)
def test_an_address_has_no_user_query_fragment_or_odd_host(url: str) -> None:
    refused("base_url", {**API_KEY, "base_url": url})


@pytest.mark.parametrize(
    "link",
    [
        "javascript:alert(1)",
        "data:text/html,x",
        "https://a.b/{x}",
        "https://a.b/<x>",
        "https://a.b/\u202e",
        "ftp://a.b",
    ],
)
def test_links_must_be_https_addresses(link: str) -> None:
    refused("website", API_KEY, website=link)
    field = {**API_KEY["fields"][0], "where_url": link}
    refused("where_url", {**API_KEY, "fields": [field]})


def test_get_can_write_has_a_reason_a_source_and_a_date() -> None:
    fact = {"reason": "A GET sends.", "source": "https://example.com/docs", "date": "2026-12-02"}
    assert entry_of(API_KEY, get_can_write=fact).get_can_write is not None
    for name in fact:
        refused(f"get_can_write.{name}", API_KEY, get_can_write={**fact, name: None})
    refused("get_can_write.source", API_KEY, get_can_write={**fact, "source": "http://example.com"})


def test_an_auth_type_may_occur_once_only() -> None:
    refused("must contain each auth type only once", API_KEY, API_KEY)


def test_oauth2_is_the_definition_of_that_auth_type_or_none() -> None:
    both = entry_of(API_KEY, OAUTH2)
    assert both.oauth2 is both.auth[1]
    assert entry_of(API_KEY).oauth2 is None


def test_an_integration_without_an_auth_type_is_refused() -> None:
    refused("at least one auth type")


def test_a_key_has_a_check_or_a_reason_and_not_both() -> None:
    without = {key: value for key, value in API_KEY.items() if key not in ("check", "identity")}
    refused("add a check", without)
    assert entry_of({**without, "check_missing": "The API has no read call."}).auth[0].check is None
    refused("declare either check or check_missing", {**API_KEY, "check_missing": "No reason."})


def test_a_pattern_that_lets_a_value_leave_the_host_is_refused() -> None:
    for pattern in ("[^/]+", ".+", "[a-z.]+@?", "[a-z]*", "[a-z-]+", "\\S+", "[a-z0-9.:]+"):
        refused("letters, digits|must not accept", {**API_KEY, **HOST, "params": [{**SUBDOMAIN, "pattern": pattern}]})
    assert api_key(**HOST, params=[SUBDOMAIN]).params[0].name == "subdomain"


def test_a_param_without_pattern_and_options_is_refused() -> None:
    bare = {key: value for key, value in SUBDOMAIN.items() if key != "pattern"}
    refused("a pattern or options are required", {**API_KEY, **HOST, "params": [bare]})


@pytest.mark.promise("P7")
@pytest.mark.parametrize("host", ["{host}:8443", "{host}example.com", "{host}-api.com", "{host}com", "{host}.com"])
def test_a_host_without_a_fixed_domain_at_its_end_needs_the_quirk_self_hosted(host: str) -> None:
    own = {**API_KEY, "base_url": f"https://{host}/api", "params": [{**SUBDOMAIN, "name": "host"}]}
    refused("the host must end in a domain of the provider", own)
    entry_of({**own, "quirks": ["self_hosted"]})


@pytest.mark.parametrize("host", ["{host}.example.com", "{host}.example.com:8443", "{host}-api.example.com"])
def test_a_host_with_a_fixed_domain_at_its_end_needs_no_quirk(host: str) -> None:
    entry_of({**API_KEY, "base_url": f"https://{host}/api", "params": [{**SUBDOMAIN, "name": "host"}]})


@pytest.mark.promise("P7")
def test_a_pattern_can_fix_the_domain_at_the_end_of_a_host() -> None:
    def entry(pattern: str) -> dict[str, Any]:
        host = {**SUBDOMAIN, "name": "host", "pattern": pattern}
        return {**API_KEY, "base_url": "https://{host}.com/api", "params": [host]}

    entry_of(entry("[a-z0-9]+\\.(?:acme|acmecloud)"))
    for open_pattern in ("[a-z0-9]+\\.[a-z]{4}", "[a-z0-9]{20}", "[a-z0-9]+\\.acme[a-z]?"):
        refused("the host must end in a domain of the provider", entry(open_pattern))


def test_a_host_that_ends_in_a_value_needs_options_or_the_quirk_self_hosted() -> None:
    domain = {**SUBDOMAIN, "name": "domain", "pattern": "[a-z0-9]+(?:\\.[a-z0-9]+){1,5}"}
    own = {**API_KEY, "base_url": "https://{domain}/api", "params": [domain]}
    refused("add self_hosted", own)
    entry_of({**own, "quirks": ["self_hosted"]})
    for spelling in ("self-hosted", "Self hosted.", "SELF_HOSTED", "selfhosted"):
        refused("write self_hosted instead of", {**own, "quirks": [spelling]})
    options = [{"value": "example.com", "label": "US"}, {"value": "example.eu", "label": "EU"}]
    listed = {"name": "domain", "label": "Region", "options": options, "default": "example.com"}
    entry_of({**own, "params": [listed]})
    listed["options"] = [{"value": "example.com/", "label": "US"}]
    listed["default"] = "example.com/"
    refused("must be valid in a host name", {**own, "params": [listed]})


def test_a_credential_in_a_host_is_refused() -> None:
    refused("must not be part of a host", {**API_KEY, "base_url": "https://{api_key}.example.com"})


def test_a_default_that_does_not_match_is_refused() -> None:
    refused("must match the pattern", {**API_KEY, **HOST, "params": [{**SUBDOMAIN, "default": "A B"}]})
    region = {"name": "subdomain", "label": "R", "options": [{"value": "us", "label": "US"}], "default": "eu"}
    refused("must be one of the options", {**API_KEY, **HOST, "params": [region]})


@pytest.mark.parametrize(
    "description",
    ["no capital.", "No full stop", "Two\nlines.", "A" * 89 + ".", ""],
)
def test_a_description_is_one_short_sentence(description: str) -> None:
    refused("description", API_KEY, description=description)


def test_basic_has_a_user_name_and_a_password() -> None:
    refused(
        "username and password",
        {**API_KEY, "type": "basic", "send": {"basic": {"username": "{api_key}", "password": "x"}}},
    )


def test_none_has_no_fields() -> None:
    refused("must be empty for the auth type none", {**API_KEY, "type": "none"})


def test_headers_can_hold_no_line_break() -> None:
    refused("headers", {**API_KEY, "headers": {"X": "a\r\nb"}})
    refused("headers", {**API_KEY, "headers": {"X: y": "a"}})
    refused("control character", {**API_KEY, "send": {"headers": {"X": "{api_key}\r\nY: z"}}})


CONTROL_CHARACTERS = ("\r\n", "\x00", "\x1b", "\x7f", "\x85")


@pytest.mark.parametrize("char", CONTROL_CHARACTERS, ids=ascii)
@pytest.mark.parametrize(
    "change",
    [
        lambda char: {"base_url": f"https://api.example.com/{char}X: y"},
        lambda char: {"more_base_urls": [f"https://api.example.com/a{char}"]},
        lambda char: {"check": {"url": f"https://api.example.com/me{char}"}},
        lambda char: {"check": {"path": f"/me{char}"}},
        lambda char: {"check": {"path": "/me", "query": {f"a{char}": "b"}}},
        lambda char: {"check": {"path": "/me", "method": "POST", "form": {"a": f"b{char}"}}},
        lambda char: {"check": {"path": "/me", "expect": {"json": [{"path": "id", "one_of": [f"a{char}"]}]}}},
        lambda char: {"send": {"query": {f"key{char}": "{api_key}"}}},
        lambda char: {"identity": {"id": "id", "label": f"{{name}}{char}"}},
        lambda char: {"fields": [{**API_KEY["fields"][0], "placeholder": f"a{char}b"}]},
        lambda char: {"fields": [{**API_KEY["fields"][0], "pattern": f"[a-z{char}]+"}]},
        lambda char: {"fields": [{**API_KEY["fields"][0], "label": f"API{char}key"}]},
        lambda char: {**HOST, "params": [{**SUBDOMAIN, "placeholder": f"a{char}b"}]},
        lambda char: {**HOST, "params": [{**SUBDOMAIN, "pattern": None, "options": [{"value": char, "label": "A"}]}]},
    ],
)
def test_no_text_of_an_entry_contains_a_control_character(change: Callable[[str], dict[str, Any]], char: str) -> None:
    refused(r"control characters|String should match pattern", {**API_KEY, **change(char)})


@pytest.mark.parametrize("char", CONTROL_CHARACTERS, ids=ascii)
def test_no_address_of_oauth_contains_a_control_character(char: str) -> None:
    for part in ("authorization", "token"):
        refused("control characters", {**OAUTH2, part: {"url": f"https://login.example.com/{char}X: y"}})


def test_the_json_body_of_a_check_may_contain_line_breaks() -> None:
    check = {"path": "/graphql", "method": "POST", "json": {"query": "{\n  me\n}"}}
    assert entry_of({**API_KEY, "check": check}).auth[0].check is not None


def test_a_verified_entry_has_a_date_and_an_unverified_one_has_none() -> None:
    refused(
        "date: omit date with how: unverified, and add date with every other value",
        {**API_KEY, "verified": {"how": "documentation"}},
    )
    refused(
        "date: omit date with how: unverified, and add date with every other value",
        {**API_KEY, "verified": {"how": "unverified", "date": "2026-11-25"}},
    )


def test_a_condition_has_exactly_one_rule() -> None:
    for rule in ({"path": "a"}, {"path": "a", "equals": 1, "exists": True}):
        refused("exactly one of", {**API_KEY, "check": {"path": "/me", "expect": {"json": [rule]}}})


def parts(base: type[EntryPart] = EntryPart) -> Iterator[type[EntryPart]]:
    for part in base.__subclasses__():
        yield part
        yield from parts(part)


def test_defaults_are_valid_although_pydantic_does_not_validate_them() -> None:
    defaults = [field.default for part in parts() for field in part.model_fields.values()]
    checked = [default for default in defaults if isinstance(default, EntryPart)]
    assert len(checked) > 10
    for default in checked:
        assert type(default).model_validate(default.model_dump(by_alias=True, exclude_unset=True)) == default


def test_import_builds_no_validators_which_most_commands_do_not_need() -> None:
    script = """
from one_runtime.catalog.loader import CompiledCatalog
from one_runtime.catalog.model import Integration
from one_runtime.catalog.parts import EntryPart
def parts(base):
    yield base
    for part in base.__subclasses__():
        yield from parts(part)
print([part.__name__ for part in (CompiledCatalog, *parts(EntryPart)) if part.__pydantic_complete__])
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"
