"""Every entry's OAuth 2.0 keeps the contract: nothing is sent, everything resolves, no value leaves its host."""

import re
from collections.abc import Iterator

import pytest

from one_runtime.catalog.build import HERE, read_entries
from one_runtime.catalog.model import Integration
from one_runtime.catalog.oauth2 import ClientCredentialsAuth, OAuth2Auth
from one_runtime.catalog.patterns import compiled
from one_runtime.catalog.received import UnexpectedValue, receive
from one_runtime.catalog.request import (
    Values,
    build_check,
    clean_values,
    inject,
    is_expected,
    is_refused,
    read_check,
    resolve_url,
)
from one_runtime.catalog.templates import fill, names_in
from one_runtime.integrations import working_auth_types
from tests.catalog.javascript import compile_all

ENTRIES = read_entries(HERE / "integrations")
PAIRS = [
    pytest.param(entry, auth, id=entry.slug) for entry in ENTRIES for auth in entry.auth if isinstance(auth, OAuth2Auth)
]
CLIENT_CREDENTIALS = [
    pytest.param(entry, auth, id=entry.slug)
    for entry in ENTRIES
    for auth in entry.auth
    if isinstance(auth, ClientCredentialsAuth)
]

SITE = "1324a887-45db-1bf4-1e99-ef0ff456d421"
# What each provider answers, in the form that its documentation shows, and what is kept of it.
ANSWERS: dict[str, tuple[dict[str, object], dict[str, str]]] = {
    "confluence": ({"id": SITE, "name": "Site"}, {"cloud_id": SITE}),
    "datadog": ({"code": "c", "domain": "us3.datadoghq.com"}, {"site": "us3.datadoghq.com"}),
    "gong": ({"api_base_url_for_customer": "https://company-17.api.gong.io"}, {"host": "company-17.api"}),
    "harvest": ({"id": 1000001, "name": "Client", "product": "harvest"}, {"account_id": "1000001"}),
    "jira": ({"id": SITE, "name": "Site"}, {"cloud_id": SITE}),
    "mailchimp": ({"dc": "us6", "api_endpoint": "https://us6.api.mailchimp.com"}, {"dc": "us6"}),
    "pipedrive": ({"api_domain": "https://acme.pipedrive.com"}, {"company_domain": "acme"}),
    "salesforce": ({"instance_url": "https://acme--a.sandbox.my.salesforce.com"}, {"instance": "acme--a.sandbox.my"}),
    "stripe": ({"stripe_user_id": "acct_1032D82eZvKYlo2C", "livemode": False}, {"account": "acct_1032D82eZvKYlo2C"}),
    "zoom": ({"api_url": "https://api-us.zoom.us"}, {"api_host": "api-us"}),
}
STRANGERS = (
    "https://evil.com", "https://evil.com/{}", "https://evil.com#{}", "https://evil.com?{}", "https://evil.com\\{}",
    "https://x@evil.com/{}", "{}@evil.com", "{}.evil.com", "{}:80@evil.com", "http://evil.com/{}", "evil.com/{}",
    "//evil.com/{}", "https://127.0.0.1/{}", "{}\n.evil.com", "..", "",
)  # fmt: skip


def values_of(entry: Integration, auth: OAuth2Auth | ClientCredentialsAuth) -> Values:
    """Values in the entry's form: defaults, options, or a plain word; and what the provider answers."""
    params = {
        part.name: part.default or (part.options[0].value if part.options else part.placeholder or "A1b2C3d4E5f6G7h8")
        for part in auth.params
    }
    typed = {field.name: "a1" * 20 for field in auth.fields}
    if isinstance(auth, ClientCredentialsAuth):
        return clean_values(auth, params, typed)
    clean = clean_values(auth, params, typed).params
    return Values({**clean, **(ANSWERS[entry.slug][1] if auth.received else {})}, {"access_token": "secret-token"})


def urls_of(auth: OAuth2Auth, known: dict[str, str]) -> Iterator[str]:
    """Every address of the flow, filled."""
    yield resolve_url(auth.authorization.url, known)
    yield from (resolve_url(url, known) for url in auth.token.urls())
    if auth.revocation is not None:
        yield resolve_url(auth.revocation.url, known)
    if auth.lookup is not None and auth.lookup.url is not None:
        yield resolve_url(auth.lookup.url, known)


def test_most_entries_have_it_and_their_providers_documentation_was_read_for_many() -> None:
    auths = [pair.values[1] for pair in PAIRS]
    assert len(auths) >= 40
    assert sum(isinstance(auth, OAuth2Auth) and auth.verified.how == "documentation" for auth in auths) >= 15


@pytest.mark.parametrize("entry,auth", PAIRS)
def test_every_address_resolves_to_https_and_holds_no_secret(entry: Integration, auth: OAuth2Auth) -> None:
    values = values_of(entry, auth)
    known = {**values.params, **values.credentials, "client_id": "client"}
    for url in (*urls_of(auth, known), inject(auth, values).base_url):
        assert re.fullmatch(r"https://[a-z0-9.-]+(?:/[^{}?#]*)?", url)
        assert "secret-token" not in url


@pytest.mark.parametrize("entry,auth", PAIRS)
def test_parameters_and_scopes_resolve(entry: Integration, auth: OAuth2Auth) -> None:
    values = values_of(entry, auth)
    known = {**values.params, **values.credentials, "client_id": "client"}
    exchange = auth.token.exchange.params if auth.token.exchange is not None else {}
    revocation = auth.revocation.params if auth.revocation is not None else {}
    for params in (
        auth.authorization.params,
        auth.token.params,
        auth.token.refresh_params,
        auth.token.query,
        exchange,
        revocation,
    ):
        assert all(fill(template, known) for template in params.values())
    for scopes in [auth.scopes, *([auth.more_scopes] if auth.more_scopes is not None else [])]:
        wanted = [fill(scope, known) for scope in scopes.templates()]
        assert all(scope and scopes.separator not in scope for scope in wanted)
        assert len(set(wanted)) == len(wanted)


@pytest.mark.parametrize("entry,auth", PAIRS)
def test_the_token_goes_along_and_into_no_address(entry: Integration, auth: OAuth2Auth) -> None:
    injection = inject(auth, values_of(entry, auth))
    sent = [value for _, value in injection.headers if "secret-token" in value]
    assert len(sent) == 1
    assert injection.query == ()


@pytest.mark.parametrize("entry,auth", PAIRS)
def test_a_check_resolves_and_an_outage_is_never_a_refusal(entry: Integration, auth: OAuth2Auth) -> None:
    if auth.check is None:
        assert auth.identity is None or all(name.startswith("params.") for name in [auth.identity.id])
        return
    request = build_check(auth, values_of(entry, auth))
    assert re.match(r"https://[a-z0-9.-]+/", request.url)
    assert "{" not in request.url
    for status in (500, 502, 503, 429):
        verdict = read_check(auth, status, (), b"{}")
        assert (verdict.ok, verdict.refused) == (False, False)


@pytest.mark.parametrize("entry,auth", PAIRS)
def test_what_the_flow_must_know_is_decided(entry: Integration, auth: OAuth2Auth) -> None:
    assert auth.pkce != "unknown"
    assert auth.client.where, f"{entry.slug}: where is a client registered?"
    assert auth.client.where.endswith(".")
    assert auth.token.auth in ("basic", "post", "either"), "a client here always has a secret"
    if auth.revocation is not None:
        assert auth.refresh != "none" or "refresh_token" not in auth.revocation.tokens
        says_gone = bool(auth.revocation.gone.status or auth.revocation.gone.json_body)
        assert says_gone or auth.revocation.auth != "bearer", "a dead token cannot prove itself"


@pytest.mark.parametrize("entry,auth", PAIRS)
def test_defaults_of_received_values_fit(entry: Integration, auth: OAuth2Auth) -> None:
    assert bool(auth.received) == (entry.slug in ANSWERS), "each entry with received values has its answer above"
    if not auth.received:
        return
    answer, kept = ANSWERS[entry.slug]
    (source,) = {part.source for part in auth.received}
    assert receive(auth, source, answer) == kept


@pytest.mark.promise("P7")
@pytest.mark.parametrize("entry,auth", [pair for pair in PAIRS if pair.values[1].received])  # type: ignore[union-attr]
def test_no_answer_sends_a_token_to_a_stranger(entry: Integration, auth: OAuth2Auth) -> None:
    answer, kept = ANSWERS[entry.slug]
    in_hosts = {name for url in auth.urls() for name in names_in(url.authority)}
    for part in auth.received:
        for stranger in STRANGERS:
            told = {**answer, part.where: stranger.format(answer[part.where])}
            try:
                received = receive(auth, part.source, told)
            except UnexpectedValue:
                continue
            assert part.name not in in_hosts or received == {part.name: part.default}
    assert kept


def test_slack_says_with_http_200_that_a_token_was_not_revoked_or_was_dead_already() -> None:
    auth = next(pair.values[1] for pair in PAIRS if pair.id == "slack")
    assert isinstance(auth, OAuth2Auth)
    assert auth.revocation is not None
    expect, gone = auth.revocation.expect, auth.revocation.gone
    assert is_expected(expect, 200, {"ok": True, "revoked": True})
    for error, dead in (("token_revoked", True), ("internal_error", False)):
        answer = {"ok": False, "error": error}
        assert not is_expected(expect, 200, answer)
        assert is_refused(gone, 200, answer) is dead


def test_patterns_compile_in_javascript_too() -> None:
    auths = [pair.values[1] for pair in PAIRS]
    compile_all(
        [part.pattern for auth in auths if isinstance(auth, OAuth2Auth) for part in auth.params if part.pattern]
    )


def test_received_patterns_are_matched_whole() -> None:
    for pair in PAIRS:
        auth = pair.values[1]
        assert isinstance(auth, OAuth2Auth)
        for part in auth.received:
            pattern = part.guard_pattern
            assert pattern is None or not compiled(pattern).fullmatch("a b")


def test_oauth2_connects_where_there_is_a_client_or_each_customer_brings_one() -> None:
    for entry in ENTRIES:
        auth = entry.auth_of("oauth2")
        if isinstance(auth, OAuth2Auth):
            assert "oauth2" in working_auth_types(entry, {entry.slug})
            assert ("oauth2" in working_auth_types(entry, ())) == (auth.client.owner == "customer")


@pytest.mark.parametrize("entry,auth", CLIENT_CREDENTIALS)
def test_client_credentials_resolve(entry: Integration, auth: ClientCredentialsAuth) -> None:
    values = values_of(entry, auth)
    known = {**values.params, **values.credentials, "access_token": "secret-token"}
    for url in (*auth.token.urls(), auth.base_url):
        assert re.fullmatch(r"https://[a-z0-9.-]+(?:/[^{}?#]*)?", resolve_url(url, known))
    assert all(fill(template, known) for template in auth.token.params.values())
