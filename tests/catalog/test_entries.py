"""Every entry of the catalog keeps the contract, and sends what its provider documents."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from one_runtime.catalog.build import COMPILED, HERE, compile_catalog, read_entries
from one_runtime.catalog.loader import load_yaml
from one_runtime.catalog.model import Auth, Integration
from one_runtime.catalog.parts import Param
from one_runtime.catalog.patterns import compiled
from one_runtime.catalog.request import Values, build_check, clean_values, inject, read_check
from one_runtime.catalog.templates import names_in
from one_runtime.errors import FieldError, InvalidInput
from tests.catalog.javascript import compile_all

ENTRIES = read_entries(HERE / "integrations")
TYPED = ("api_key", "basic", "none")
"""Auth types whose credential the end user types, or that have none; test_oauth2_entries.py has the rest."""
PAIRS = [
    pytest.param(entry, auth, id=f"{entry.slug}-{auth.type}")
    for entry in ENTRIES
    for auth in entry.auth
    if auth.type in TYPED
]
CHECKED = [pair for pair in PAIRS if pair.values[1].check is not None]  # type: ignore[union-attr]
HOSTS = [
    pytest.param(auth, part, id=f"{entry.slug}-{auth.type}-{part.name}")
    for entry in ENTRIES
    for auth in entry.auth
    for part in auth.params
    if not part.options and any(part.name in names_in(url.authority) for url in auth.urls())
]
"""Parameters that people type and that become part of a host."""
FIXTURES = sorted((Path(__file__).parent / "fixtures").glob("*.json"))
ACME = HERE.parent / "demo" / "acme.yaml"


def example_values(auth: Auth) -> Values:
    """Values in the entry's form, without looking at its patterns' meaning."""
    params = {part.name: part.default or part.placeholder or "A1b2C3d4E5f6G7h8" for part in auth.params}
    samples = ["0" * 32 + "-us21", "lin_api_" + "a1" * 20, "xoxb-" + "1" * 20, "ntn_" + "a" * 40, "AC" + "0" * 32]
    samples += ["pat-na1-" + "a" * 32, "a@example.com", "a@acme", "a" * 32]
    credentials = {
        part.name: next(one for one in samples if part.pattern is None or compiled(part.pattern).fullmatch(one))
        for part in auth.fields
    }
    return clean_values(auth, params, credentials)


def test_there_are_about_sixty_integrations_and_hubspot_is_one() -> None:
    assert len(ENTRIES) >= 58
    assert "hubspot" in [entry.slug for entry in ENTRIES]


def test_at_least_fifteen_entries_are_held_to_the_request_that_their_provider_documents() -> None:
    held = {json.loads(path.read_text(encoding="utf-8"))["slug"] for path in FIXTURES}
    assert held <= {entry.slug for entry in ENTRIES}
    assert len(held) >= 15


def test_the_compiled_catalog_is_not_stale() -> None:
    assert COMPILED.read_text(encoding="utf-8") == compile_catalog(), "run: python -m one_runtime.catalog.build"


@pytest.mark.parametrize("entry,auth", PAIRS)
def test_templates_resolve_to_https_urls_of_the_providers_host(entry: Integration, auth: Auth) -> None:
    values = example_values(auth)
    injection = inject(auth, values)
    request = build_check(auth, values) if auth.check is not None else None
    for url in (injection.base_url, *([request.url] if request else [])):
        assert re.match(r"https://[a-z0-9.-]+(?:/|\Z)", url)
        assert "{" not in url
    headers = (*injection.headers, *(request.headers if request else ()))
    assert all("{" not in value and "\n" not in value for _, value in headers)


def test_all_but_workday_can_be_checked() -> None:
    assert [pair.id for pair in PAIRS if pair not in CHECKED] == ["workday-basic"]


@pytest.mark.parametrize("auth,part", HOSTS)
def test_an_address_pasted_from_the_browser_is_taken_for_its_host(auth: Auth, part: Param) -> None:
    assert part.placeholder, "the error for another value shows it"
    assert "lower" in part.transform
    example, values = part.placeholder + (part.suffix or ""), example_values(auth)
    for pasted in (f"https://{example}/home/a?b=c#d", f"HTTP://{example.upper()}", f" {example}/ ", part.placeholder):
        typed = clean_values(auth, {**values.params, part.name: pasted}, values.credentials)
        assert typed.params[part.name] == part.placeholder


@pytest.mark.parametrize("auth,part", HOSTS)
def test_a_host_of_another_form_is_answered_with_an_example(auth: Auth, part: Param) -> None:
    values = example_values(auth)
    with pytest.raises(InvalidInput) as error:
        clean_values(auth, {**values.params, part.name: "https://who@127.0.0.1:80/"}, values.credentials)
    assert error.value.errors == (
        FieldError(
            f"params.{part.name}",
            f"{part.label} does not have the expected form, such as {part.placeholder}{part.suffix or ''}",
        ),
    )


@pytest.mark.parametrize("entry,auth", PAIRS)
def test_no_address_of_an_entry_is_plain_http(entry: Integration, auth: Auth) -> None:
    assert "http://" not in (HERE / "integrations" / f"{entry.slug}.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize("entry,auth", PAIRS)
def test_every_key_and_password_has_a_check_and_says_where_to_find_it(entry: Integration, auth: Auth) -> None:
    assert auth.check is not None or auth.check_missing
    for field in auth.fields:
        assert field.where.endswith(".")
        assert field.pattern, "the popup tells a wrong paste at once"


@pytest.mark.parametrize("entry,auth", PAIRS)
def test_defaults_fit_the_patterns_and_the_options(entry: Integration, auth: Auth) -> None:
    for param in auth.params:
        if param.default is not None:
            assert param.pattern is None or compiled(param.pattern).fullmatch(param.default)
            assert not param.options or param.default in [option.value for option in param.options]


@pytest.mark.parametrize("entry,auth", PAIRS)
def test_a_verified_entry_says_how_and_when(entry: Integration, auth: Auth) -> None:
    assert (auth.verified.how == "unverified") == (auth.verified.date is None)


@pytest.mark.parametrize("status", [500, 502, 503, 429])
@pytest.mark.parametrize("entry,auth", CHECKED)
def test_an_outage_is_never_read_as_a_refusal(entry: Integration, auth: Auth, status: int) -> None:
    for body in (b"", b"<html>Bad gateway</html>", b"{}", b"null", b"[]"):
        verdict = read_check(auth, status, (), body)
        assert (verdict.ok, verdict.refused) == (False, False)


@pytest.mark.parametrize("entry,auth", CHECKED)
def test_a_body_that_is_not_what_was_promised_is_no_success(entry: Integration, auth: Auth) -> None:
    for body in (b"", b"<html>Welcome</html>", b"null", b'"ok"', b"[1]", b"\xff\xfe", b"[" * 100_000):
        verdict = read_check(auth, 200, (), body)
        assert (verdict.ok, verdict.refused) == (False, False)


def test_patterns_compile_in_javascript_with_the_flag_u() -> None:
    auths = [auth for entry in ENTRIES for auth in entry.auth]
    patterns = [part.pattern for auth in auths for part in auth.params]
    patterns += [part.pattern for auth in auths for part in auth.fields]
    compile_all([one for one in patterns if one])


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
def test_the_check_is_the_documented_request_and_its_answers_are_read_right(path: Path) -> None:
    fixture: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    entry = next(one for one in ENTRIES if one.slug == fixture["slug"])
    auth = entry.auth_of(fixture["auth_type"])
    assert auth is not None
    assert auth.verified.how == "documentation"
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
    assert dict(request.headers)["Authorization"].startswith("lin_api_")
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
