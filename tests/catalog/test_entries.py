"""Every entry of the catalog is valid, and sends the requests that its provider documents."""

import json
from pathlib import Path
from typing import Any, Final

import pytest

from one_runtime.catalog.auth_types import AuthType
from one_runtime.catalog.entry_files import load_yaml
from one_runtime.catalog.examples import generate_field
from one_runtime.catalog.lint import complaints, example_values
from one_runtime.catalog.model import Integration
from one_runtime.catalog.request import build_check, clean_values, inject
from one_runtime.catalog.response import is_refused, read_check
from one_runtime.catalog.tools.build import COMPILED, HERE, compile_catalog
from one_runtime.catalog.tools.sheet import sheet
from one_runtime.errors import InvalidInput
from tests.catalog.entries import ENTRIES
from tests.catalog.javascript import compile_all
from tests.in_one_test import in_one_test

FIXTURES: Final = sorted((Path(__file__).parent / "fixtures").glob("*.json"))
ACME: Final = HERE.parent / "demo" / "acme.yaml"


@pytest.mark.slow
def test_the_compiled_catalog_is_not_stale() -> None:
    assert COMPILED.read_text(encoding="utf-8") == compile_catalog(), "run: python -m one_runtime.catalog.tools.build"


@in_one_test(ENTRIES, name=lambda entry: entry.slug)
def test_every_entry_passes_the_lint(entry: Integration) -> None:
    assert list(complaints(entry)) == []


def test_names_and_descriptions_are_unique() -> None:
    for texts in ([entry.name.casefold() for entry in ENTRIES], [entry.description for entry in ENTRIES]):
        assert sorted({text for text in texts if texts.count(text) > 1}) == []


def test_no_address_of_an_entry_is_plain_http() -> None:
    assert [path.stem for path in (HERE / "integrations").glob("*.yaml") if "http://" in path.read_text("utf-8")] == []


def test_nine_in_ten_keys_and_passwords_have_a_check() -> None:
    typed = [(entry.slug, auth) for entry in ENTRIES for auth in entry.auth if auth.type in ("api_key", "basic")]
    unchecked = [slug for slug, auth in typed if auth.check is None]
    assert len(unchecked) <= len(typed) / 10, unchecked


def test_patterns_compile_in_javascript_with_the_flag_u() -> None:
    auths = [auth for entry in ENTRIES for auth in entry.auth]
    patterns = [part.pattern for auth in auths for part in auth.params]
    patterns += [part.pattern for auth in auths for part in auth.fields]
    compile_all([pattern for pattern in patterns if pattern])


def test_at_least_sixty_auth_types_have_a_fixture_from_the_providers_documentation() -> None:
    fixtures = [json.loads(path.read_text(encoding="utf-8")) for path in FIXTURES]
    with_fixture = {(item["slug"], item["auth_type"]) for item in fixtures}
    assert len(with_fixture) >= 60
    declared = {(item.slug, auth.type) for item in ENTRIES for auth in item.auth if auth.verified.how == "fixture"}
    assert with_fixture == declared


@in_one_test(FIXTURES, name=lambda path: path.stem)
def test_the_check_sends_the_documented_request_and_evaluates_the_documented_answers(path: Path) -> None:
    fixture: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    entry = next(candidate for candidate in ENTRIES if candidate.slug == fixture["slug"])
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


STEPS: Final = [
    ("calendly", "It needs the scope users:read"),
    ("bugsnag", "app.insighthub.smartbear.com"),
    ("bugsnag", "then Personal auth tokens"),
    ("constant-contact", "Rotating Refresh Tokens"),
    ("everhour", "The API Token is below Application Access"),
    ("getty-images", "Ask the representative of Getty Images"),
    ("hubspot", "go to Development, then Keys, then Service keys"),
    ("jobber", "answered for up to 18"),
    ("perplexity", "https://console.perplexity.ai"),
    ("reddit", "Responsible Builder Policy"),
    ("split", "In Harness, open your profile"),
    ("statuspage", "Only an account owner can create a key"),
    ("surveysparrow", "private app"),
    ("weights-and-biases", "choose Create new API key"),
    ("wistia", "Read all data"),
    ("zendesk", "then OAuth clients, and add a client"),
    ("zoom", "user:read:user:admin"),
]
"""The entry's words for a step that the provider added or changed in 2025 or 2026."""


@pytest.mark.parametrize("slug, step", STEPS)
def test_the_sheet_names_the_providers_current_steps(slug: str, step: str) -> None:
    assert step in sheet(next(entry for entry in ENTRIES if entry.slug == slug))


REGIONS: Final = [
    ("agentmail", "https://api.agentmail.to/v0", {"host": "api.agentmail.eu"}, "https://api.agentmail.eu/v0"),
    ("bugsnag", "https://api.bugsnag.com", {"host": "api.insighthub.smartbear.com"},
     "https://api.insighthub.smartbear.com"),
    ("knack", "https://api.knack.com/v1", {"server": "eu-api"}, "https://eu-api.knack.com/v1"),
    ("webflow", "https://api.webflow.com/v2", {"host": "api.eu.webflow.com"}, "https://api.eu.webflow.com/v2"),
]  # fmt: skip
"""An entry for keys, its base URL without a choice, a choice, and the base URL with the choice."""


@pytest.mark.parametrize("slug, default, choice, chosen", REGIONS)
def test_a_key_is_sent_to_the_region_that_the_end_user_selects(
    slug: str, default: str, choice: dict[str, str], chosen: str
) -> None:
    auth = next(entry for entry in ENTRIES if entry.slug == slug).auth_of("api_key")
    assert auth is not None
    credentials = {field.name: generate_field(field) for field in auth.fields}
    for params, base_url in (({}, default), (choice, chosen)):
        assert inject(auth, clean_values(auth, params, credentials)).base_url == base_url
    with pytest.raises(InvalidInput, match="must be one of the options"):
        clean_values(auth, dict.fromkeys(choice, "evil.example"), credentials)


def test_the_catalog_has_no_entry_for_a_product_that_the_gaps_page_lists() -> None:
    page = (Path(__file__).parents[2] / "docs" / "catalog-gaps.md").read_text(encoding="utf-8")
    missing = page.partition("## Products without an entry")[2].partition("## ")[0]
    products = {line.split("|")[1].strip() for line in missing.splitlines() if line.startswith("| ")} - {"product"}
    assert "Drift" in products
    assert products & {entry.name for entry in ENTRIES} == set()


def test_a_valid_calendly_token_without_a_scope_is_not_refused() -> None:
    for auth in next(entry for entry in ENTRIES if entry.slug == "calendly").auth:
        assert auth.check is not None
        assert not is_refused(auth.check.refused, 403, {"title": "Permission Denied"})
        assert is_refused(auth.check.refused, 401, {"title": "Unauthenticated"})


PERMISSIONS: Final = [
    ("ashby", "api_key", 403, {"errors": ["missing_endpoint_permission"]}, "API Keys (read)"),
    ("auth0", "client_credentials", 403, {"errorCode": "insufficient_scope"}, "read:clients"),
    ("calendly", "oauth2", 403, {"title": "Permission Denied"}, "users:read"),
    ("figma", "api_key", 403, {"err": "Invalid scope(s): files:read."}, "current_user:read"),
    ("resend", "api_key", 401, {"name": "restricted_api_key"}, "Full access"),
    ("slack", "oauth2", 200, {"ok": False, "error": "missing_scope"}, None),
    ("zoom", "client_credentials", 400, {"code": 4711, "message": "Invalid access token."}, "user:read:user:admin"),
]
"""An answer to a valid credential without a permission, and the permission that the entry names."""


@pytest.mark.parametrize("slug, auth_type, status, body, permission", PERMISSIONS)
def test_an_answer_to_a_valid_credential_without_a_permission_is_not_a_refusal(
    slug: str, auth_type: AuthType, status: int, body: dict[str, Any], permission: str | None
) -> None:
    auth = next(entry for entry in ENTRIES if entry.slug == slug).auth_of(auth_type)
    assert auth is not None
    assert auth.check is not None
    assert read_check(auth, status, (), json.dumps(body).encode(), example_values(auth)).outcome == "permission_missing"
    assert auth.check.permission_missing.permission == permission


REFUSED_WITH_403: Final = ("activecampaign", "agentmail", "datadog", "deepl", "everhour", "figma", "paddle", "vercel")
"""Providers whose documentation says that an invalid credential gets 403."""


@pytest.mark.parametrize("slug", REFUSED_WITH_403)
def test_a_dead_key_of_a_provider_that_answers_403_is_refused(slug: str) -> None:
    auth = next(entry for entry in ENTRIES if entry.slug == slug).auth_of("api_key")
    assert auth is not None
    assert read_check(auth, 403, (), b"{}", example_values(auth)).outcome == "refused"


def test_an_unverified_entry_for_keys_says_what_a_403_means() -> None:
    # Nobody has compared these entries with the provider's documentation. By the default of `refused`, a dead key could
    # stay connected. Tokens of OAuth need no such rule, because their refresh shows a dead grant.
    silent = [
        (entry.slug, auth.type)
        for entry in ENTRIES
        for auth in entry.auth
        if auth.type in {"api_key", "basic"} and auth.verified.how == "unverified" and auth.check is not None
        if "status" not in auth.check.refused.model_fields_set
    ]
    assert silent == []


def test_the_check_of_linear_has_a_graphql_body_and_no_bearer() -> None:
    auth = next(entry for entry in ENTRIES if entry.slug == "linear").auth[0]
    request = build_check(auth, example_values(auth))
    assert request.method == "POST"
    assert dict(request.headers)["Content-Type"] == "application/json"
    assert dict(request.headers)["Authorization"] == example_values(auth).credentials["api_key"]
    assert json.loads(request.body or b"")["query"].startswith("{ viewer {")


def test_the_data_centre_is_derived_from_a_mailchimp_key() -> None:
    auth = next(entry for entry in ENTRIES if entry.slug == "mailchimp").auth[0]
    values = clean_values(auth, {}, {"api_key": "0123456789abcdef0123456789abcdef-us21"})
    assert inject(auth, values).base_url == "https://us21.api.mailchimp.com/3.0"
    assert values.params == {}


def test_trello_sends_both_keys_in_the_query() -> None:
    auth = next(entry for entry in ENTRIES if entry.slug == "trello").auth[0]
    injection = inject(auth, clean_values(auth, {}, {"api_key": "a" * 32, "token": "B" * 64}))
    assert injection.query == (("key", "a" * 32), ("token", "B" * 64))
    assert injection.headers == ()


def test_acme_is_loaded_with_its_address_and_http_on_loopback_only_if_allowed() -> None:
    acme = load_yaml(ACME, allow_http=True, replace={"acme_url": "http://127.0.0.1:8082"})
    auth = acme.auth[0]
    request = build_check(auth, clean_values(auth, {}, {"api_key": "acme_north_0001"}))
    assert request.url == "http://127.0.0.1:8082/v1/me"
    assert ("Authorization", "Bearer acme_north_0001") in request.headers


@pytest.mark.promise("P13")
def test_entries_say_at_which_providers_a_get_can_write() -> None:
    facts = {entry.slug for entry in ENTRIES if entry.get_can_write is not None}
    known = "slack telegram vk apify facebook instagram threads whatsapp-business meta-ads wordpress woocommerce"
    assert {*known.split(), "prestashop", "infobip", "matomo", "sms77"} <= facts
    assert "hubspot" not in facts
