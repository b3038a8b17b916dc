"""Values of a connection that the API shows."""

from typing import Any

import pytest

from one_runtime.catalog.public_values import NO_VALUES, PublicValues, public_values
from tests.catalog.example import API_KEY, OAUTH2, SUBDOMAIN, entry_of

AT_SUBDOMAIN: dict[str, Any] = {"params": [SUBDOMAIN], "base_url": "https://{subdomain}.example.com/v1"}
DERIVED: dict[str, Any] = {
    "base_url": "https://{dc}.example.com",
    "derived": [{"name": "dc", "field": "api_key", "pattern": "[a-z]+-([a-z]{2})"}],
}


def test_params_and_the_base_url_are_public() -> None:
    shown = public_values(entry_of({**API_KEY, **AT_SUBDOMAIN}), "api_key", {"subdomain": "acme"})
    assert shown == PublicValues({"subdomain": "acme"}, "https://acme.example.com/v1")


def test_a_connection_that_is_older_than_a_parameter_has_its_default() -> None:
    region = {"name": "region", "label": "Region", "default": "us", "options": [{"value": "us", "label": "US"}]}
    entry = entry_of({**API_KEY, "params": [region], "base_url": "https://{region}.example.com"})
    assert public_values(entry, "api_key", {}) == PublicValues({"region": "us"}, "https://us.example.com")


def test_received_values_are_public() -> None:
    received = [{"name": "site", "source": "callback", "pattern": "[a-z]{1,20}"}]
    oauth = {**OAUTH2, "received": received, "base_url": "https://{site}.example.com"}
    assert public_values(entry_of(oauth), "oauth2", {"site": "acme"}).base_url == "https://acme.example.com"


@pytest.mark.promise("P11")
def test_only_received_values_in_the_base_url_are_public() -> None:
    """A received value can be a secret: the `state` of an authorization, or a token of an account."""
    parts = {"site": "callback", "state": "callback", "account_token": "lookup"}
    received = [{"name": name, "source": source, "pattern": "[a-z]{1,20}"} for name, source in parts.items()]
    token = {**OAUTH2["token"], "params": {"state": "{state}"}}
    send = {"headers": {"Authorization": "Bearer {access_token}", "X-Account": "{account_token}"}}
    lookup = {"path": "/accounts"}
    changes = {"received": received, "base_url": "https://{site}.example.com/{region}", "token": token, "send": send}
    region = {"name": "region", "label": "Region", "pattern": "[a-z]{2}"}
    entry = entry_of({**OAUTH2, **changes, "lookup": lookup, "params": [region]})
    stored = {"site": "acme", "state": "random", "account_token": "secret", "region": "eu"}
    assert public_values(entry, "oauth2", stored) == PublicValues(
        {"site": "acme", "region": "eu"}, "https://acme.example.com/eu"
    )


@pytest.mark.promise("P11")
def test_a_param_that_became_a_credential_field_is_omitted() -> None:
    field = {"name": "subdomain", "label": "Key", "where": "There."}
    entry = entry_of({**API_KEY, "fields": [field], "send": {"headers": {"X-Key": "{subdomain}"}}})
    assert public_values(entry, "api_key", {"subdomain": "acme", "old": "x"}) == PublicValues(
        {}, "https://api.example.com"
    )


@pytest.mark.promise("P11")
@pytest.mark.parametrize("changes", [{"base_url": "https://api.example.com/bot{api_key}"}, DERIVED])
def test_a_base_url_with_a_part_of_the_credential_is_omitted(changes: dict[str, Any]) -> None:
    assert public_values(entry_of({**API_KEY, **changes}), "api_key", {"api_key": "k"}) == NO_VALUES


def test_a_stored_value_that_no_longer_fits_gives_no_base_url() -> None:
    shown = public_values(entry_of({**API_KEY, **AT_SUBDOMAIN}), "api_key", {"subdomain": "evil.com/"})
    assert shown == PublicValues({"subdomain": "evil.com/"}, None)


def test_an_integration_or_auth_type_that_no_longer_exists_gives_no_values() -> None:
    assert public_values(None, "api_key", {"a": "b"}) == NO_VALUES
    assert public_values(entry_of(API_KEY), "basic", {"a": "b"}) == NO_VALUES
