"""Cleaned values, and requests built from them."""

import pytest

from one_runtime.catalog.request import ConnectionValues, build_check, clean_values, inject
from one_runtime.errors import InvalidInput
from tests.catalog.example import API_KEY, SUBDOMAIN, api_key, entry_of

SECRET = "s3cr3t-Value"


def messages(error: pytest.ExceptionInfo[InvalidInput]) -> dict[str, str]:
    return {one.field: one.message for one in error.value.errors}


def test_values_are_trimmed_and_invisible_characters_are_removed() -> None:
    values = clean_values(api_key(), {}, {"api_key": f"\ufeff  {SECRET}\u200b\n"})
    assert values.credentials == {"api_key": SECRET}


def test_all_invalid_fields_are_in_one_error() -> None:
    auth = api_key(params=[SUBDOMAIN], base_url="https://{subdomain}.example.com")
    with pytest.raises(InvalidInput) as error:
        clean_values(auth, {"subdomain": "a.b", "colour": "red"}, {"token": "x"})
    assert set(messages(error)) == {
        "params.subdomain",
        "params.colour",
        "credentials.api_key",
        "credentials.token",
    }


@pytest.mark.parametrize(
    "raw", ["Acme", "acme.example.com", "https://ACME.example.com/", "http://acme.example.com/x?y"]
)
def test_a_pasted_address_is_reduced_to_the_requested_part(raw: str) -> None:
    auth = api_key(params=[SUBDOMAIN], base_url="https://{subdomain}.example.com")
    assert clean_values(auth, {"subdomain": raw}, {"api_key": "k"}).params == {"subdomain": "acme"}


def test_a_pasted_address_is_reduced_to_its_host() -> None:
    host = {**SUBDOMAIN, "name": "host", "pattern": r"[a-z0-9-]+(?:\.[a-z0-9-]+)+", "suffix": None}
    auth = api_key(params=[host], base_url="https://{host}", quirks=["self_hosted"])
    for raw in ("git.example.com", "https://git.example.com", "HTTPS://Git.example.com/a/b?c#d", "git.example.com#d"):
        assert clean_values(auth, {"host": raw}, {"api_key": "k"}).params == {"host": "git.example.com"}
    for raw in (
        "https://me@git.example.com",
        "git.example.com:8443",
        "https://git.example.com\\x",
        "ftp://git.example.com",
    ):
        with pytest.raises(InvalidInput):
            clean_values(auth, {"host": raw}, {"api_key": "k"})


def test_values_outside_a_host_are_unchanged() -> None:
    account = {"name": "account", "label": "Account", "pattern": ".{1,40}"}
    auth = api_key(params=[account], base_url="https://api.example.com/{account}")
    assert clean_values(auth, {"account": "https://a/b#c"}, {"api_key": "k"}).params == {"account": "https://a/b#c"}


def test_the_error_for_a_value_of_another_form_has_an_example() -> None:
    fields = [{**API_KEY["fields"][0], "placeholder": "key_…", "pattern": "key_[a-z]+"}]
    auth = api_key(
        params=[{**SUBDOMAIN, "placeholder": "acme"}], base_url="https://{subdomain}.example.com", fields=fields
    )
    with pytest.raises(InvalidInput) as error:
        clean_values(auth, {"subdomain": "a.b"}, {"api_key": "x"})
    assert messages(error) == {
        "params.subdomain": "Subdomain does not have the expected form, such as acme or acme.example.com",
        "credentials.api_key": "API key does not have the expected form, such as key_…",
    }


@pytest.mark.parametrize(
    "raw",
    [
        "evil.com/",
        "evil.com#",
        "evil.com?",
        "a@evil",
        "evil.com:80",
        "acme.example.com.evil.com",
        "https://evil.com/.example.com",
        "https://evil.com\\.example.com",
        "127.0.0.1",
        "a\nb",
        "..",
        "-a",
        "a%2eb",
        "ａcme",
        "é",
    ],
)
def test_a_value_that_would_change_the_host_is_refused(raw: str) -> None:
    auth = api_key(params=[SUBDOMAIN], base_url="https://{subdomain}.example.com")
    with pytest.raises(InvalidInput) as error:
        clean_values(auth, {"subdomain": raw}, {"api_key": "k"})
    assert "params.subdomain" in messages(error)


def test_a_stored_value_that_no_longer_fits_the_host_is_refused_at_use() -> None:
    auth = api_key(params=[SUBDOMAIN], base_url="https://{subdomain}.example.com")
    for bad in ("evil.com/", "a@b", "127.0.0.1:80/x"):
        with pytest.raises(InvalidInput):
            inject(auth, ConnectionValues({"subdomain": bad}, {"api_key": "k"}))


@pytest.mark.parametrize("raw", ["a\r\nX: y", "a\x00b", "a\tb", "käse", "“quoted”"])
def test_a_value_that_could_end_a_header_is_refused(raw: str) -> None:
    with pytest.raises(InvalidInput):
        clean_values(api_key(), {}, {"api_key": raw})
    with pytest.raises(InvalidInput):
        build_check(api_key(), ConnectionValues({}, {"api_key": raw}))


def test_values_in_a_path_and_in_a_query_are_percent_encoded() -> None:
    auth = api_key(send={"query": {"key": "{api_key}"}}, check={"path": "/accounts/{api_key}/me"})
    request = build_check(auth, ConnectionValues({}, {"api_key": "a/b?c&d e"}))
    assert request.url == "https://api.example.com/accounts/a%2Fb%3Fc%26d%20e/me?key=a%2Fb%3Fc%26d%20e"


@pytest.mark.parametrize(
    "value",
    [".", "..", "../x", "a/../b", "a/..", "a\\..\\b", "..;x", "%2e%2e", "..%2Fx", "a%2f..", "%252e%252e", "..?x"],
)
def test_dots_as_a_path_segment_are_refused(value: str) -> None:
    auth = api_key(check={"path": "/accounts/{api_key}/me"})
    with pytest.raises(InvalidInput) as error:
        clean_values(auth, {}, {"api_key": value})
    assert "credentials.api_key" in messages(error)


@pytest.mark.parametrize("value", ["a..b", "...", "a.b/c", "..a", "a;..", "1.0/2"])
def test_dots_within_a_path_segment_are_allowed(value: str) -> None:
    auth = api_key(check={"path": "/accounts/{api_key}/me"})
    assert clean_values(auth, {}, {"api_key": value}).credentials == {"api_key": value}


def test_a_header_with_an_empty_optional_field_is_omitted() -> None:
    fields = [*API_KEY["fields"], {"name": "extra", "label": "Extra", "where": "There.", "optional": True}]
    auth = api_key(fields=fields, send={"headers": {"Authorization": "Bearer {api_key}", "X-Extra": "{extra}"}})
    values = clean_values(auth, {}, {"api_key": "k", "extra": " "})
    assert inject(auth, values).headers == (("Authorization", "Bearer k"),)


def test_a_colon_in_a_basic_user_name_is_refused() -> None:
    auth = entry_of(
        {
            **API_KEY,
            "type": "basic",
            "send": {"basic": {"username": "{username}", "password": "{password}"}},
            "fields": [{"name": name, "label": name, "where": "There."} for name in ("username", "password")],
        }
    ).auth[0]
    with pytest.raises(InvalidInput):
        clean_values(auth, {}, {"username": "a:b", "password": "c"})
    values = clean_values(auth, {}, {"username": "ü", "password": "p:q"})
    assert inject(auth, values).headers == (("Authorization", "Basic w7w6cDpx"),)


def test_a_value_that_is_too_long_is_refused() -> None:
    with pytest.raises(InvalidInput):
        clean_values(api_key(), {}, {"api_key": "a" * 8193})


def test_no_repr_shows_a_secret() -> None:
    auth = api_key(send={"query": {"key": "{api_key}"}, "headers": {"X-Key": "{api_key}"}})
    values = clean_values(auth, {}, {"api_key": SECRET})
    shown = repr((values, build_check(auth, values), inject(auth, values)))
    assert SECRET not in shown


def test_building_a_check_for_an_auth_type_without_one_is_an_error() -> None:
    auth = entry_of({"type": "none", "base_url": "https://api.example.com", "verified": {"how": "unverified"}}).auth[0]
    assert clean_values(auth, {}, {}) == ConnectionValues({}, {})
    with pytest.raises(ValueError, match="no check"):
        build_check(auth, ConnectionValues({}, {}))
