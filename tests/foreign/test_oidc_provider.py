"""npm's oidc-provider, a certified OpenID Provider, behaves as documented, so that other tests can rely on it.

It proves: `iss` in every callback (RFC 9207); PKCE is required; a confidential client by Basic; no refresh token
without `offline_access` and `prompt=consent`; tokens die after their seconds; a rotated refresh token that is used
again ends the whole grant, access tokens included, and so does revoking either token; a consent that is denied.
"""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.foreign.person import ALICE, BOB, PEOPLE, Person
from tests.foreign.plain_client import PlainClient, Refusal, granted
from tests.foreign.providers import ACCESS_TOKEN_SECONDS, Provider, running_oidc
from tests.foreign.visitor import Stuck, Visitor
from tests.waiting import async_attempts, eventually

pytestmark = pytest.mark.foreign

REDIRECT_URI = "http://127.0.0.1:8000/connect/callback/oidc-provider"
INVALID_GRANT = Refusal("invalid_grant", 400)


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    """Run a provider whose tokens outlive every test, so that no refusal is due to expiry."""
    with running_oidc(tmp_path_factory.mktemp("oidc"), access_token_seconds=600) as provider:
        yield provider


@pytest_asyncio.fixture
async def plain(provider: Provider) -> AsyncIterator[PlainClient]:
    async with PlainClient(provider, provider.register_client(REDIRECT_URI)) as plain:
        yield plain


@pytest.mark.parametrize("person", PEOPLE, ids=lambda person: person.name)
async def test_tokens_name_the_person_who_allowed_access(plain: PlainClient, person: Person) -> None:
    tokens = await plain.connect(person)
    who = await plain.whoami(tokens.access_token)
    assert (who.ok, who.account_id, who.account_label) == (True, person.name, person.email)
    assert tokens.expires_in == 600
    assert set((tokens.scope or "").split()) == {"openid", "offline_access", "profile", "email"}


async def test_each_authorization_requires_a_log_in(plain: PlainClient) -> None:
    async with Visitor() as visitor:
        for person in (ALICE, BOB):
            attempt = plain.attempt()
            callback = await visitor.consent(attempt.url, person)
            tokens = granted(await plain.exchange(callback["code"], attempt.verifier))
            assert (await plain.whoami(tokens.access_token)).account_label == person.email


async def test_every_callback_names_the_issuer(plain: PlainClient, provider: Provider) -> None:
    for decide in (Visitor.consent, Visitor.deny):
        async with Visitor() as visitor:
            assert (await decide(visitor, plain.attempt().url, ALICE))["iss"] == provider.url


async def test_second_server_has_another_issuer(provider: Provider, tmp_path: Path) -> None:
    with running_oidc(tmp_path) as second:
        async with PlainClient(second, second.register_client(REDIRECT_URI)) as plain, Visitor() as visitor:
            callback = await visitor.consent(plain.attempt().url, ALICE)
    assert callback["iss"] == second.url != provider.url


async def test_denial_returns_an_error_to_the_client(plain: PlainClient) -> None:
    attempt = plain.attempt()
    async with Visitor() as visitor:
        callback = await visitor.deny(attempt.url, ALICE)
    assert (callback["error"], callback["state"]) == ("access_denied", attempt.state)
    assert callback["error_description"] == "The person said no."


async def test_authorization_without_pkce_is_refused(plain: PlainClient) -> None:
    async with Visitor() as visitor:
        attempt = plain.attempt(code_challenge="", code_challenge_method="")
        assert (await visitor.consent(attempt.url, ALICE))["error"] == "invalid_request"
        attempt = plain.attempt()
        callback = await visitor.consent(attempt.url, ALICE)
    assert await plain.exchange(callback["code"], "of-another-attempt" * 4) == INVALID_GRANT


async def test_reuse_of_a_code_ends_the_grant_of_its_first_use(plain: PlainClient) -> None:
    attempt = plain.attempt()
    async with Visitor() as visitor:
        callback = await visitor.consent(attempt.url, ALICE)
    tokens = granted(await plain.exchange(callback["code"], attempt.verifier))
    assert await plain.exchange(callback["code"], attempt.verifier) == INVALID_GRANT
    assert (await plain.whoami(tokens.access_token)).refused


async def test_unregistered_redirect_uri_is_refused(plain: PlainClient) -> None:
    elsewhere = plain.attempt(redirect_uri="http://127.0.0.1:8000/connect/callback/another")
    async with Visitor() as visitor:
        with pytest.raises(Stuck, match="redirect_uri"):
            await visitor.consent(elsewhere.url, ALICE)


async def test_refresh_token_requires_offline_access_and_prompt_consent(plain: PlainClient) -> None:
    for params in ({"prompt": "login"}, {"scope": "openid email"}):
        attempt = plain.attempt(**params)
        async with Visitor() as visitor:
            callback = await visitor.consent(attempt.url, ALICE)
        assert granted(await plain.exchange(callback["code"], attempt.verifier)).refresh_token is None


async def test_access_token_expires_and_a_refresh_returns_another(oidc_provider: Provider) -> None:
    async with PlainClient(oidc_provider, oidc_provider.register_client(REDIRECT_URI)) as plain:
        tokens = await plain.connect(ALICE)
        assert tokens.expires_in == ACCESS_TOKEN_SECONDS
        async for _ in async_attempts(ACCESS_TOKEN_SECONDS + 10):
            if (await plain.whoami(tokens.access_token)).refused:
                break
        fresh = granted(await plain.refresh(tokens.refresh_token))
        assert (await plain.whoami(fresh.access_token)).account_label == ALICE.email


async def test_reuse_of_a_refresh_token_ends_its_family(plain: PlainClient) -> None:
    first = await plain.connect(ALICE)
    second = granted(await plain.refresh(first.refresh_token))
    assert second.refresh_token != first.refresh_token
    assert await plain.refresh(first.refresh_token) == INVALID_GRANT
    assert await plain.refresh(second.refresh_token) == INVALID_GRANT
    assert (await plain.whoami(second.access_token)).refused


async def test_revoking_the_refresh_token_revokes_the_access_token(plain: PlainClient) -> None:
    tokens, other = await plain.connect(ALICE), await plain.connect(BOB)
    await plain.revoke(tokens.refresh_token, "refresh_token")
    assert await plain.refresh(tokens.refresh_token) == INVALID_GRANT
    assert (await plain.whoami(tokens.access_token)).refused
    granted(await plain.refresh(other.refresh_token))


async def test_revoking_the_access_token_revokes_the_refresh_token(plain: PlainClient) -> None:
    tokens = await plain.connect(ALICE)
    await plain.revoke(tokens.access_token, "access_token")
    assert (await plain.whoami(tokens.access_token)).refused
    assert await plain.refresh(tokens.refresh_token) == INVALID_GRANT


async def test_another_client_cannot_use_the_refresh_token(plain: PlainClient, provider: Provider) -> None:
    tokens = await plain.connect(ALICE)
    async with PlainClient(provider, provider.register_client(REDIRECT_URI)) as thief:
        assert await thief.refresh(tokens.refresh_token) == INVALID_GRANT
    granted(await plain.refresh(tokens.refresh_token))


async def test_each_token_request_is_logged(plain: PlainClient, provider: Provider) -> None:
    answered = '"POST /token" 400'
    before = provider.process.log().count(answered)
    assert await plain.refresh("none-of-theirs") == INVALID_GRANT
    await eventually(lambda: provider.process.log().count(answered) == before + 1)
