"""OAuth 2.0 of the catalog's entries, beyond the rules of `catalog/lint.py`."""

from typing import Final

import pytest

from one_runtime.catalog.lint import build_example_answer
from one_runtime.catalog.oauth2 import OAuth2Auth
from one_runtime.catalog.response import is_expected, is_refused, read_received
from one_runtime.integrations.availability import available_auth_types
from tests.catalog.entries import ENTRIES

PAIRS: Final = [(entry, auth) for entry in ENTRIES for auth in entry.auth if isinstance(auth, OAuth2Auth)]
RECEIVED: Final = {
    "confluence": {"cloud_id": "1324a887-45db-1bf4-1e99-ef0ff456d421"},
    "datadog": {"site": "us3.datadoghq.com"},
    "gong": {"host": "company-17.api"},
    "harvest": {"account_id": "1000001"},
    "mailchimp": {"dc": "us6"},
    "pipedrive": {"company_domain": "acme"},
    "salesforce": {"instance": "acme--a.sandbox.my"},
    "stripe": {"account": "acct_1032D82eZvKYlo2C"},
    "zoom": {"api_host": "api-us"},
}
"""The stored values for the examples of some entries."""


def oauth2_of(slug: str) -> OAuth2Auth:
    return next(auth for entry, auth in PAIRS if entry.slug == slug)


def test_half_of_the_entries_have_oauth2_and_many_of_them_are_verified() -> None:
    assert len(PAIRS) >= 280
    assert sum(auth.verified.how == "documentation" for _, auth in PAIRS) >= 50


@pytest.mark.parametrize("slug", RECEIVED)
def test_received_values_are_extracted_as_the_entry_defines(slug: str) -> None:
    auth = oauth2_of(slug)
    (source,) = {part.source for part in auth.received}
    assert read_received(auth, source, build_example_answer(auth, source)) == RECEIVED[slug]


def test_slack_reports_a_failed_revocation_and_an_invalid_token_with_http_200() -> None:
    auth = oauth2_of("slack")
    assert auth.revocation is not None
    expect, gone = auth.revocation.expect, auth.revocation.gone
    assert is_expected(expect, 200, {"ok": True, "revoked": True})
    for error, dead in (("token_revoked", True), ("internal_error", False)):
        answer = {"ok": False, "error": error}
        assert not is_expected(expect, 200, answer)
        assert is_refused(gone, 200, answer) is dead


def test_oauth2_is_available_with_a_registered_client_or_a_client_of_the_customer() -> None:
    for entry, auth in PAIRS:
        assert "oauth2" in available_auth_types(entry, {entry.slug})
        assert ("oauth2" in available_auth_types(entry, ())) == (auth.client.owner == "customer")
