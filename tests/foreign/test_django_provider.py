"""django-oauth-toolkit behaves as documented, so that other tests can rely on it.

It proves: PKCE is required; a confidential client by Basic; tokens die after their seconds; a rotated refresh token
that is used again ends its whole family, and so does revoking the refresh token; client credentials; a consent that is
denied; pages with `Cross-Origin-Opener-Policy: same-origin`. It sends no `iss`.
"""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from tests.foreign.person import ALICE, BOB, PEOPLE, Person
from tests.foreign.plain_client import PlainClient, Refusal, granted
from tests.foreign.providers import ACCESS_TOKEN_SECONDS, Provider, running_django
from tests.foreign.visitor import Stuck, Visitor
from tests.waiting import async_attempts, eventually

pytestmark = pytest.mark.foreign

REDIRECT_URI = "http://127.0.0.1:8000/connect/callback/django-provider"
INVALID_GRANT = Refusal("invalid_grant", 400)


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    """Run a provider whose tokens outlive every test, so that no refusal is due to expiry."""
    with running_django(tmp_path_factory.mktemp("django"), access_token_seconds=600) as provider:
        yield provider


@pytest_asyncio.fixture
async def plain(provider: Provider) -> AsyncIterator[PlainClient]:
    async with PlainClient(provider, provider.register_client(REDIRECT_URI)) as plain:
        yield plain


@pytest.mark.parametrize("person", PEOPLE, ids=lambda person: person.name)
async def test_tokens_name_the_person_who_allowed_access(plain: PlainClient, person: Person) -> None:
    tokens = await plain.connect(person)
    who = await plain.whoami(tokens.access_token)
    assert (who.ok, who.account_label) == (True, person.email)
    assert (tokens.expires_in, tokens.scope) == (600, "read write")


async def test_each_authorization_requires_a_log_in(plain: PlainClient) -> None:
    async with Visitor() as visitor:
        for person in (ALICE, BOB):
            attempt = plain.attempt()
            callback = await visitor.consent(attempt.url, person)
            tokens = granted(await plain.exchange(callback["code"], attempt.verifier))
            assert (await plain.whoami(tokens.access_token)).account_label == person.email


async def test_pages_send_cross_origin_opener_policy(plain: PlainClient) -> None:
    async with Visitor() as visitor:
        callback = await visitor.consent(plain.attempt().url, ALICE)
    assert [page.headers["cross-origin-opener-policy"] for page in visitor.pages] == ["same-origin", "same-origin"]
    assert "iss" not in callback


async def test_denial_returns_an_error_to_the_client(plain: PlainClient) -> None:
    attempt = plain.attempt()
    async with Visitor() as visitor:
        assert await visitor.deny(attempt.url, ALICE) == {"error": "access_denied", "state": attempt.state}


async def test_authorization_without_pkce_is_refused(plain: PlainClient) -> None:
    async with Visitor() as visitor:
        attempt = plain.attempt(code_challenge="", code_challenge_method="")
        assert (await visitor.consent(attempt.url, ALICE))["error"] == "invalid_request"
        attempt = plain.attempt()
        callback = await visitor.consent(attempt.url, ALICE)
    assert await plain.exchange(callback["code"], "of-another-attempt" * 4) == INVALID_GRANT


async def test_a_code_works_once(plain: PlainClient) -> None:
    attempt = plain.attempt()
    async with Visitor() as visitor:
        callback = await visitor.consent(attempt.url, ALICE)
    granted(await plain.exchange(callback["code"], attempt.verifier))
    assert await plain.exchange(callback["code"], attempt.verifier) == INVALID_GRANT


async def test_unregistered_redirect_uri_is_refused(plain: PlainClient) -> None:
    elsewhere = plain.attempt(redirect_uri="http://127.0.0.1:8000/connect/callback/another")
    async with Visitor() as visitor:
        with pytest.raises(Stuck, match="Mismatching redirect URI"):
            await visitor.consent(elsewhere.url, ALICE)


async def test_access_token_expires_and_a_refresh_returns_another(django_provider: Provider) -> None:
    async with PlainClient(django_provider, django_provider.register_client(REDIRECT_URI)) as plain:
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


async def test_a_revoked_access_token_is_refused(plain: PlainClient) -> None:
    tokens = await plain.connect(ALICE)
    await plain.revoke(tokens.access_token, "access_token")
    assert (await plain.whoami(tokens.access_token)).refused


async def test_another_client_cannot_use_the_refresh_token(plain: PlainClient, provider: Provider) -> None:
    other = provider.register_client(REDIRECT_URI)
    tokens = await plain.connect(ALICE)
    async with PlainClient(provider, other) as thief:
        assert await thief.refresh(tokens.refresh_token) == INVALID_GRANT
    granted(await plain.refresh(tokens.refresh_token))


async def test_client_credentials_return_a_token(provider: Provider) -> None:
    async with PlainClient(provider, provider.register_service()) as service:
        tokens = granted(await service.client_credentials("read"))
        assert (await service.whoami(tokens.access_token)).account_id == "the-client-itself"
    assert (tokens.refresh_token, tokens.expires_in) == (None, 600)


async def test_each_token_request_is_logged(plain: PlainClient, provider: Provider) -> None:
    answered = '"POST /o/token/ HTTP/1.1" 400'
    before = provider.process.log().count(answered)
    assert await plain.refresh("none-of-theirs") == INVALID_GRANT
    await eventually(lambda: provider.process.log().count(answered) == before + 1)
