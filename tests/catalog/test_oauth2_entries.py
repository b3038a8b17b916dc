"""OAuth 2.0 of the catalog's entries, beyond the rules of `catalog/lint.py`."""

import json
from typing import Final
from urllib.parse import parse_qsl, urlsplit

import pytest

from one_runtime.catalog.auth_types.oauth2 import OAuth2Auth
from one_runtime.catalog.grants import RefreshToken
from one_runtime.catalog.request import resolve_url
from one_runtime.catalog.response import UnexpectedValue, is_expected, is_refused
from one_runtime.integrations.availability import Availability
from one_runtime.integrations.client_hosts import secret_hosts
from one_runtime.oauth.authorization import expected_issuer
from one_runtime.oauth.client import ClientIdentity
from one_runtime.oauth.revocation import read_revocation, revocation_requests
from one_runtime.oauth.token_request import token_request
from tests.catalog.entries import ENTRIES
from tests.oauth.answers import NOW, response_with

PAIRS: Final = [(entry, auth) for entry in ENTRIES for auth in entry.auth if isinstance(auth, OAuth2Auth)]
RECEIVED: Final = {
    "confluence": {"cloud_id": "1324a887-45db-1bf4-1e99-ef0ff456d421"},
    "datadog": {"site": "us3.datadoghq.com"},
    "gong": {"host": "company-17.api"},
    "harvest": {"account_id": "1000001"},
    "mailchimp": {"dc": "us6"},
    "pipedrive": {"company_domain": "acme"},
    "salesforce": {"instance": "acme--a.sandbox.my"},
    "sharefile": {"subdomain": "mycompany", "sign_in_domain": "sharefile.com", "api_domain": "sf-api.com"},
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
    assert auth.read_received(source, auth.example_answer(source)) == RECEIVED[slug]


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
        assert "oauth2" in Availability(clients=frozenset({entry.slug})).working(entry)
        assert ("oauth2" in Availability().working(entry)) == (auth.client.owner == "customer")


@pytest.mark.promise("P7")
@pytest.mark.parametrize("end", ["com", "eu"])
def test_sharefile_is_called_at_the_control_plane_that_the_callback_names(end: str) -> None:
    auth = oauth2_of("sharefile")
    callback = {"subdomain": "acme", "appcp": f"sharefile.{end}", "apicp": f"sf-api.{end}"}
    known = auth.read_received("callback", callback)
    assert resolve_url(auth.token.url, known) == f"https://acme.sharefile.{end}/oauth/token"
    assert resolve_url(auth.base_url, known) == f"https://acme.sf-api.{end}/sf/v3"
    for name in ("appcp", "apicp"):
        with pytest.raises(UnexpectedValue):
            auth.read_received("callback", {**callback, name: "evil.example"})


@pytest.mark.promise("P7")
def test_a_client_of_one_webflow_region_is_never_sent_to_the_other() -> None:
    """Each region registers its own clients, so each region is an integration of its own."""
    assert set(secret_hosts(oauth2_of("webflow"))) == {"webflow.com", "api.webflow.com"}
    assert set(secret_hosts(oauth2_of("webflow-eu"))) == {"eu.webflow.com", "api.eu.webflow.com"}


REVOCATIONS: Final[list[tuple[str, list[str], str | None, dict[str, str]]]] = [
    ("gorgias", ["POST https://acme.gorgias.com/oauth/revoke"], "Basic", {"token": "refresh"}),
    ("posthog", ["POST https://oauth.posthog.com/oauth/revoke/"] * 2, None,
     {"token": "refresh", "client_id": "id", "client_secret": "secret"}),
    ("trustpilot", ["POST https://api.trustpilot.com/v1/oauth/oauth-business-users-for-applications/revoke"], None,
     {"token": "refresh"}),
    ("webflow", ["POST https://webflow.com/oauth/revoke_authorization"], None,
     {"access_token": "access", "client_id": "id", "client_secret": "secret"}),
    ("zendesk", ["DELETE https://acme.zendesk.com/api/v2/oauth/tokens/current.json"], "Bearer access", {}),
]  # fmt: skip
"""The revocation requests that the providers document."""


@pytest.mark.promise("P9")
@pytest.mark.parametrize("slug, urls, authorization, first_body", REVOCATIONS)
def test_tokens_are_revoked_by_the_documented_request(
    slug: str, urls: list[str], authorization: str | None, first_body: dict[str, str]
) -> None:
    client, tokens = ClientIdentity("id", "secret"), RefreshToken("refresh", "access")
    sent = revocation_requests(oauth2_of(slug), client, tokens, {"subdomain": "acme"})
    assert [f"{request.method} {request.url}" for _, request in sent] == urls
    _, request = sent[0]
    header = dict(request.headers).get("Authorization")
    assert (header or "").startswith(authorization or "")
    assert (header is None) == (authorization is None)
    body = (request.body or b"").decode()
    as_json = dict(request.headers).get("Content-Type") == "application/json"
    assert (json.loads(body) if as_json else dict(parse_qsl(body))) == first_body


def test_zendesk_refuses_to_revoke_a_token_without_the_scope_write() -> None:
    revocation = oauth2_of("zendesk").revocation
    assert revocation is not None
    client, held = ClientIdentity("id", "secret"), RefreshToken("refresh", "access")
    outcomes = {
        status: read_revocation(revocation, client, held, response_with(document, status), NOW)
        for status, document in ((204, b""), (401, {"error": "invalid_token"}), (403, {"error": "Forbidden"}))
    }
    assert (outcomes[204], outcomes[401]) == (None, None)
    refusal = outcomes[403]
    assert refusal is not None
    assert not refusal.may_pass


ISSUERS: Final = [
    ("auth0", {"domain": "acme.eu"}, "https://acme.eu.auth0.com/"),
    ("discord", {}, "https://discord.com"),
    ("docusign", {}, "https://account.docusign.com/"),
    ("github", {}, "https://github.com/login/oauth"),
    ("gitlab", {"host": "git.acme.com"}, "https://git.acme.com"),
    ("gmail", {}, "https://accounts.google.com"),
    ("keycloak", {"host": "sso.acme.com", "realm": "staff"}, "https://sso.acme.com/realms/staff"),
    ("okta", {"domain": "acme.okta"}, "https://acme.okta.com"),
    ("onelogin", {"subdomain": "acme"}, "https://acme.onelogin.com/oidc/2"),
    ("quickbooks", {}, "https://oauth.platform.intuit.com/op/v1"),
    ("salesforce", {"login_host": "acme.my"}, "https://acme.my.salesforce.com"),
]
"""The issuers in the metadata of the providers. A slash at the end matters (RFC 9207, 2.4)."""


@pytest.mark.promise("P5")
@pytest.mark.parametrize("slug, params, issuer", ISSUERS)
def test_the_issuer_is_the_one_of_the_providers_metadata(slug: str, params: dict[str, str], issuer: str) -> None:
    assert expected_issuer(oauth2_of(slug), params) == issuer


@pytest.mark.promise("P5")
def test_a_callback_without_issuer_is_refused_where_the_provider_announces_it() -> None:
    with_issuer = {entry.slug: auth.authorization for entry, auth in PAIRS if auth.authorization.issuer is not None}
    assert len(with_issuer) >= 54
    assert {slug for slug, endpoint in with_issuer.items() if endpoint.iss == "required"} == {"discord", "greenhouse"}


def test_all_entries_of_an_authorization_server_name_the_same_issuer() -> None:
    by_url: dict[str, set[str | None]] = {}
    for _, auth in PAIRS:
        if not auth.authorization.url.startswith("https://{host}"):  # any self-hosted product
            by_url.setdefault(auth.authorization.url, set()).add(auth.authorization.issuer)
    assert {url: issuers for url, issuers in by_url.items() if len(issuers) > 1} == {}


WITHOUT_PKCE: Final = {
    "amazon-selling-partner", "apollo", "aweber", "fathom", "gong", "highlevel", "ironclad", "jobber", "linkedin",
    "nylas", "pipedrive", "slack", "square", "surveymonkey", "tiktok", "tiktok-ads", "timely", "trustpilot", "typeform",
    "vercel",
}  # fmt: skip
"""Providers that document another form of PKCE, or for which other clients leave PKCE out."""


def test_pkce_is_left_out_only_for_providers_with_a_known_reason() -> None:
    """RFC 6749, 3.1: a server ignores parameters that it does not know, so PKCE breaks nothing by default."""
    assert {entry.slug for entry, auth in PAIRS if auth.pkce == "avoid"} == WITHOUT_PKCE


def test_netsuite_requires_pkce_as_the_provider_will() -> None:
    assert oauth2_of("netsuite").pkce == "required"


def test_dropbox_sign_is_asked_for_new_tokens_with_the_documented_query() -> None:
    request = token_request(
        oauth2_of("dropbox-sign"), ClientIdentity("id", "secret"), RefreshToken("old", "access"), {}
    )
    assert request.url == "https://app.hellosign.com/oauth/token?refresh="


@pytest.mark.parametrize("slug", ["facebook", "meta-ads", "whatsapp-business"])
def test_the_graph_api_is_called_in_one_version(slug: str) -> None:
    """Meta answers a version for about two years."""
    auth = oauth2_of(slug)
    urls = (auth.base_url, auth.authorization.url, *auth.token.urls())
    assert {urlsplit(url).path.split("/")[1] for url in urls} == {"v26.0"}


def test_workday_gets_the_client_in_the_header() -> None:
    """RFC 6749, 2.3.1: a server has to accept Basic, and no source shows the parameters that Workday would accept."""
    params = {"host": "wd5-services1.myworkday", "tenant": "acme"}
    request = token_request(oauth2_of("workday"), ClientIdentity("id", "secret"), RefreshToken("old", "access"), params)
    assert dict(request.headers)["Authorization"].startswith("Basic ")
    assert b"secret" not in (request.body or b"")
