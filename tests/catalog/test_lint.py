"""Each rule of the lint reports its error: a valid entry is made invalid in one part."""

from copy import deepcopy
from typing import Any, Final

import pytest

from one_runtime.catalog.lint import complaints
from one_runtime.catalog.model import Integration
from tests.catalog.example import API_KEY, ENTRY, OAUTH2, SUBDOMAIN

HOST: Final[dict[str, Any]] = {**SUBDOMAIN, "placeholder": "acme"}
FIELD: Final[dict[str, Any]] = {**API_KEY["fields"][0], "pattern": "[a-z0-9]{8,64}"}
CHECK: Final[dict[str, Any]] = {**API_KEY["check"], "expect": {"json": [{"path": "account.id", "exists": True}]}}
KEY: Final[dict[str, Any]] = {**API_KEY, "fields": [FIELD], "check": CHECK}
HOSTED: Final[dict[str, Any]] = {**KEY, "params": [HOST], "base_url": "https://{subdomain}.example.com"}
CLIENT: Final[dict[str, Any]] = {
    "type": "client_credentials",
    "fields": [{**FIELD, "name": name, "label": name} for name in ("client_id", "client_secret")],
    "token": OAUTH2["token"],
    **{name: OAUTH2[name] for name in ("base_url", "check", "verified")},
}
RECEIVED: Final[dict[str, Any]] = {
    "name": "shard",
    "source": "token_response",
    "path": "api.url",
    "extract": r"https://([a-z0-9]{1,20})\.example\.com",
    "example": "https://eu1.example.com",
}
SHARDED: Final[dict[str, Any]] = {**OAUTH2, "received": [RECEIVED], "base_url": "https://{shard}.example.com"}
REVOCATION: Final[dict[str, Any]] = {"url": "https://login.example.com/revoke"}


def complaints_about(*auths: dict[str, Any], **changes: Any) -> list[str]:
    entry = Integration.model_validate({**ENTRY, "auth": [deepcopy(item) for item in auths], **changes})
    return list(complaints(entry))


def changed(auth: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {**auth, **changes}


@pytest.mark.parametrize(
    "auths", [(KEY, OAUTH2, CLIENT), (HOSTED,), (SHARDED,), (changed(OAUTH2, revocation=REVOCATION),)]
)
def test_a_valid_entry_has_no_complaints(auths: tuple[dict[str, Any], ...]) -> None:
    assert complaints_about(*auths) == []


@pytest.mark.parametrize(
    "auth,words",
    [
        (changed(KEY, fields=[{**FIELD, "where": "In the settings"}]), "api_key.where: must be a sentence"),
        (changed(KEY, fields=[{**FIELD, "help": "Ask for it"}]), "api_key.help: must be a sentence"),
        (changed(KEY, fields=[{name: FIELD[name] for name in ("name", "label", "where")}]), "a pattern is required"),
        (changed(KEY, check=API_KEY["check"]), "requires a condition"),
        (changed(KEY, check={**CHECK, "expect": {"json": [{"path": "$", "type": "object"}]}}), "accepts any object"),
        (changed(KEY, check={**CHECK, "refused": {"status": [429]}}), "an outage (HTTP 429) must be neither"),
        (changed(KEY, check={**CHECK, "expect": {"json": [{"path": "a", "exists": False}]}}), "must be neither"),
        (changed(HOSTED, params=[SUBDOMAIN]), "a value in a host requires a placeholder"),
        (changed(HOSTED, params=[{**HOST, "transform": []}]), "transform: must contain lower"),
        (changed(HOSTED, params=[{**HOST, "help": "The first part"}]), "subdomain.help: must be a sentence"),
        (changed(HOSTED, params=[{**HOST, "placeholder": "a.b"}]), "must be accepted"),
        (changed(OAUTH2, pkce="unknown"), "pkce: must not be unknown"),
        (changed(OAUTH2, client={}), "client.where"),
        (changed(OAUTH2, client={"where": "In the portal"}), "client.where"),
        (changed(OAUTH2, token={**OAUTH2["token"], "auth": "none"}), "token.auth: must not be none"),
        (changed(OAUTH2, scopes={"default": ["a", "a"]}), "scopes: list each scope once"),
        (changed(OAUTH2, scopes={"default": ["a,b"], "separator": ","}), "without the separator"),
        (changed(OAUTH2, refresh="none", revocation=REVOCATION), "must not contain refresh_token"),
        (changed(OAUTH2, revocation={**REVOCATION, "auth": "bearer"}), "revocation.gone"),
        (changed(SHARDED, received=[{**RECEIVED, "example": "https://eu1.example.org"}]), "each example, default"),
        (changed(SHARDED, received=[{**RECEIVED, "example": None}]), "requires an example"),
        (changed(SHARDED, received=[{**RECEIVED, "extract": r"https://([a-z0-9]{1,20})\..*"}]), "must refuse 'https://"),
    ],
)  # fmt: skip
def test_each_error_has_its_complaint(auth: dict[str, Any], words: str) -> None:
    reported = complaints_about(auth)
    assert any(words in complaint for complaint in reported), reported
    assert all(complaint.startswith(f"{auth['type']}: ") for complaint in reported)


@pytest.mark.parametrize(
    "name", ["Host", "content-length", "Transfer-Encoding", "Connection", "Expect", "Proxy-Authorization"]
)
def test_header_that_no_request_may_set_has_a_complaint(name: str) -> None:
    headers = {name: "x"}
    for auth in (
        changed(KEY, headers=headers),
        changed(KEY, send={"headers": {**KEY["send"]["headers"], name: "{api_key}"}}),
        changed(KEY, check={**CHECK, "headers": headers}),
        changed(OAUTH2, token={**OAUTH2["token"], "headers": headers}),
        changed(OAUTH2, revocation={**REVOCATION, "headers": headers}),
    ):
        (complaint,) = complaints_about(auth)
        assert f"the header {name.lower()} must be omitted" in complaint


@pytest.mark.parametrize("host", ["169.254.169.254", "localhost", "127.0.0.1"])
def test_an_unintended_address_has_a_complaint(host: str) -> None:
    assert any(
        "base_url must be an https URL" in item
        for item in complaints_about(changed(KEY, base_url=f"https://{host}/latest"))
    )


def test_an_alias_equal_to_the_name_has_a_complaint() -> None:
    assert complaints_about(KEY, aliases=["other word"]) == []
    for aliases in (["example"], ["one", "one"]):
        assert complaints_about(KEY, aliases=aliases) == [
            "aliases: list each alias once, and omit each alias that equals the name or the slug"
        ]
