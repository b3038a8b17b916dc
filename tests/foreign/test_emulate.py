"""npm's emulate behaves as six vendors do, so that other tests can rely on it; its limits are documented here.

It proves, by vendor: where tokens stand in the answer (Slack nests the person's, GitHub answers as a form), errors with
HTTP 200 (GitHub, Slack), comma-separated scopes and a second scope parameter, PKCE where it is checked, rotation
(Linear, Microsoft, Okta) and a refresh answer without a refresh token (Google), tokens that never expire (GitHub,
Slack), revocation (all but those two).

Its page is a list of people without a password, a consent or a way to deny. Access tokens do not expire, whatever
`expires_in` says, so flows move the clock. Reuse of a refresh token ends nothing else. Okta and Linear refuse a revoked
access token. Google and Microsoft answer it with an empty account, which their entries count as refused, as GitHub does
after the person has revoked the token on its page of authorized apps.
"""

from collections.abc import AsyncIterator, Mapping

import pytest
import pytest_asyncio

from tests.foreign.person import ALICE, BOB, PEOPLE, Person
from tests.foreign.plain_client import PlainClient, Refusal, granted
from tests.foreign.providers import VENDORS, Provider
from tests.foreign.visitor import Stuck, Visitor

pytestmark = pytest.mark.foreign

WITH_REFRESH = ("google", "linear", "microsoft", "okta")
ROTATING = ("linear", "microsoft", "okta")
WITH_PKCE = WITH_REFRESH
INVALID_GRANT = Refusal("invalid_grant", 400)
REFUSES_CODE = {"github": Refusal("bad_verification_code", 200), "slack": Refusal("invalid_code", 200)}
REFUSES_CLIENT = {
    "github": Refusal("incorrect_client_credentials", 200),
    "linear": Refusal("invalid_client", 400),
    "slack": Refusal("invalid_client_id", 200),
}


@pytest_asyncio.fixture
async def plain(emulated: Mapping[str, Provider], request: pytest.FixtureRequest) -> AsyncIterator[PlainClient]:
    vendor: str = request.param
    redirect_uri = f"http://127.0.0.1:8000/connect/callback/emulated-{vendor}"
    provider = emulated[vendor]
    async with PlainClient(provider, provider.register_client(redirect_uri)) as plain:
        yield plain


def each(*vendors: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("plain", vendors, indirect=True)


def vendor_of(plain: PlainClient) -> str:
    return plain.provider.entry.slug.removeprefix("emulated-")


@each(*VENDORS)
@pytest.mark.parametrize("person", PEOPLE, ids=lambda person: person.name)
async def test_tokens_name_the_person_who_allowed_access(plain: PlainClient, person: Person) -> None:
    tokens = await plain.connect(person)
    who = await plain.whoami(tokens.access_token)
    assert (who.ok, who.account_id is not None) == (True, True)
    assert person.name in (who.account_label or "")
    assert (tokens.refresh_token is not None) == (vendor_of(plain) in WITH_REFRESH)
    assert tokens.expires_in == (3600 if vendor_of(plain) in WITH_REFRESH else None)


@each(*VENDORS)
async def test_two_people_are_two_accounts(plain: PlainClient) -> None:
    accounts = [(await plain.whoami((await plain.connect(person)).access_token)).account_id for person in PEOPLE]
    assert len(set(accounts)) == 2


@each(*VENDORS)
async def test_a_code_works_once(plain: PlainClient) -> None:
    attempt = plain.attempt()
    async with Visitor() as visitor:
        callback = await visitor.consent(attempt.url, ALICE)
    granted(await plain.exchange(callback["code"], attempt.verifier))
    again = await plain.exchange(callback["code"], attempt.verifier)
    assert again == REFUSES_CODE.get(vendor_of(plain), INVALID_GRANT)


@each(*VENDORS)
async def test_client_secret_is_required(plain: PlainClient) -> None:
    attempt = plain.attempt()
    async with Visitor() as visitor:
        callback = await visitor.consent(attempt.url, ALICE)
    plain.client = type(plain.client)(plain.client.client_id, "a-wrong-secret", plain.client.redirect_uri)
    refusal = REFUSES_CLIENT.get(vendor_of(plain), Refusal("invalid_client", 401))
    assert await plain.exchange(callback["code"], attempt.verifier) == refusal


@each(*VENDORS)
async def test_unregistered_redirect_uri_is_refused(plain: PlainClient) -> None:
    elsewhere = plain.attempt(redirect_uri="http://127.0.0.1:8000/connect/callback/another")
    async with Visitor() as visitor:
        with pytest.raises(Stuck, match="redirect_uri"):
            await visitor.consent(elsewhere.url, ALICE)


@each(*WITH_PKCE)
async def test_verifier_of_another_attempt_is_refused(plain: PlainClient) -> None:
    async with Visitor() as visitor:
        callback = await visitor.consent(plain.attempt().url, ALICE)
    assert await plain.exchange(callback["code"], "of-another-attempt" * 4) == INVALID_GRANT


@each(*VENDORS)
async def test_response_has_the_granted_scopes(plain: PlainClient) -> None:
    scopes = plain.provider.auth.scopes
    requested = {*scopes.always, *scopes.default}
    granted_scopes = ((await plain.connect(ALICE)).scope or "").replace(",", " ").split()
    assert set(granted_scopes) == requested


@each(*ROTATING)
async def test_a_refresh_token_works_once_and_its_reuse_ends_nothing_else(plain: PlainClient) -> None:
    first = await plain.connect(BOB)
    second = granted(await plain.refresh(first.refresh_token))
    assert BOB.name in ((await plain.whoami(second.access_token)).account_label or "")
    assert await plain.refresh(first.refresh_token) == INVALID_GRANT
    granted(await plain.refresh(second.refresh_token))


@each("google")
async def test_google_keeps_the_refresh_token_and_omits_it_from_refresh_responses(plain: PlainClient) -> None:
    first = await plain.connect(BOB)
    for _ in range(2):
        fresh = granted(await plain.refresh(first.refresh_token))
        assert fresh.refresh_token is None
        assert (await plain.whoami(fresh.access_token)).account_label == BOB.email


@each(*WITH_REFRESH)
async def test_revoked_token_is_refused(plain: PlainClient) -> None:
    tokens, other = await plain.connect(ALICE), await plain.connect(BOB)
    await plain.revoke(tokens.refresh_token, "refresh_token")
    assert await plain.refresh(tokens.refresh_token) == INVALID_GRANT
    assert (await plain.whoami(tokens.access_token)).ok, "it is revoked by itself only"
    await plain.revoke(tokens.access_token, "access_token")
    assert (await plain.whoami(tokens.access_token)).refused
    assert (await plain.whoami(other.access_token)).ok


@each("github")
async def test_github_token_can_be_revoked_by_the_person(plain: PlainClient) -> None:
    attempt = plain.attempt()
    async with Visitor() as visitor:
        callback = await visitor.consent(attempt.url, ALICE)
        tokens = granted(await plain.exchange(callback["code"], attempt.verifier))
        apps = f"{plain.provider.url}/settings/connections/applications/{plain.client.client_id}"
        assert (await visitor.http.post(f"{apps}/revoke")).status_code == 302
    assert (await plain.whoami(tokens.access_token)).refused
