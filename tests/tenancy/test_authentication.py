"""API keys of requests: parsing, principals, scopes and the rate limit."""

from collections.abc import Callable
from typing import Any

import pytest

from one_runtime.encryption import secret_tokens
from one_runtime.errors import InsufficientScope, RateLimited, Unauthenticated
from one_runtime.tenancy import api_keys
from one_runtime.tenancy.authentication import (
    Authenticator,
    PresentedKey,
    Principal,
    RateLimit,
    bearer_token,
    client_address,
    read_principal,
)
from one_runtime.tenancy.events import Actor
from tests.application import Application


def request(token: str, address: str = "192.0.2.7") -> dict[str, Any]:
    """An ASGI scope."""
    return {"headers": [(b"authorization", f"Bearer {token}".encode())], "client": (address, 50_000)}


@pytest.mark.parametrize(
    "header, token",
    [
        (b"Bearer oru_x", "oru_x"),
        (b"bearer oru_x", "oru_x"),
        (b"Bearer  oru_x ", "oru_x"),
        (b"Bearer \xe9", "é"),
        (b"Bearer", None),
        (b"Bearer ", None),
        (b"Beareroru_x", None),
        (b"Basic oru_x", None),
        (b"oru_x", None),
        (b"", None),
    ],
)
def test_bearer_token_is_parsed_as_rfc_6750_says(header: bytes, token: str | None) -> None:
    assert bearer_token([(b"accept", b"*/*"), (b"authorization", header)]) == token


def test_request_without_an_authorization_header_has_no_token() -> None:
    assert bearer_token([(b"x-authorization", b"Bearer oru_x")]) is None


def test_address_is_that_of_the_connection() -> None:
    assert client_address({"client": ("192.0.2.7", 50_000)}) == "192.0.2.7"
    assert client_address({"client": None}) is None, "a Unix socket has no address"


async def test_principal_is_the_key_with_its_scopes_and_the_address(application: Application) -> None:
    organization = await application.organization()
    token = await application.key(organization, "read", "credentials:read")
    principal = await Authenticator(0).authenticate(application.installation.database, request(token))
    async with application.installation.database.read() as tx:
        (key,) = await api_keys.list_all(tx, organization)
    assert principal == Principal(organization, key.id, ("read", "credentials:read"), "192.0.2.7")
    assert principal.actor == Actor(organization, "api_key", key.id, "192.0.2.7")


@pytest.mark.promise("P2")
async def test_revoked_key_and_unknown_key_have_no_principal(application: Application) -> None:
    organization = await application.organization()
    revoked = await application.key(organization)
    async with application.installation.database.write() as tx:
        (key,) = await api_keys.list_all(tx, organization)
        await api_keys.revoke(tx, key.id, application.clock())
    for token in (revoked, secret_tokens.make(secret_tokens.API_KEY).secret):
        presented = PresentedKey.recognize(token)
        assert presented is not None
        async with application.installation.database.read() as tx:
            with pytest.raises(Unauthenticated):
                await read_principal(tx, presented)


def test_token_with_a_wrong_checksum_or_of_another_kind_is_refused_before_the_database_is_read() -> None:
    key, session = (secret_tokens.make(kind).secret for kind in (secret_tokens.API_KEY, secret_tokens.SESSION))
    for token in ("oru_junk", key[:-1] + "~", session):
        assert PresentedKey.recognize(token) is None
        with pytest.raises(Unauthenticated):
            Authenticator(0).present(request(token))


def test_missing_scope_is_named_with_the_scopes_that_the_key_has() -> None:
    principal = Principal("organization", "key", ("read", "connect"))
    principal.require("connect")
    with pytest.raises(InsufficientScope) as refused:
        principal.require("admin")
    assert "'admin'" in refused.value.detail
    assert "read, connect" in refused.value.detail


def test_requests_over_the_rate_are_refused_with_the_seconds_to_wait() -> None:
    authenticator = Authenticator(60)
    key, other = (request(secret_tokens.make(secret_tokens.API_KEY).secret) for _ in range(2))
    for _ in range(10):
        authenticator.present(key)
    with pytest.raises(RateLimited) as refused:
        authenticator.present(key)
    assert 1 <= refused.value.retry_after <= 2
    authenticator.present(other)


def test_tokens_that_no_key_of_an_organization_has_are_counted_too() -> None:
    authenticator = Authenticator(6)
    unknown = request(secret_tokens.make(secret_tokens.API_KEY).secret)
    authenticator.present(unknown)
    with pytest.raises(RateLimited):
        authenticator.present(unknown)


def test_token_with_a_wrong_checksum_takes_no_bucket() -> None:
    authenticator = Authenticator(6)
    authenticator._rate_limit = RateLimit(6, capacity=5)
    unknown = request(secret_tokens.make(secret_tokens.API_KEY).secret)
    authenticator.present(unknown)
    for number in range(20):
        with pytest.raises(Unauthenticated):
            authenticator.present(request(f"oru_junk{number}"))
    with pytest.raises(RateLimited):
        authenticator.present(unknown)


@pytest.mark.parametrize(
    "make_junk",
    [
        pytest.param(lambda: f"oru_{secret_tokens.make(secret_tokens.API_KEY).prefix}", id="wrong checksum"),
        pytest.param(lambda: secret_tokens.make(secret_tokens.API_KEY).secret, id="correct checksum"),
    ],
)
async def test_junk_tokens_do_not_displace_the_bucket_of_a_key(
    application: Application, make_junk: Callable[[], str]
) -> None:
    authenticator = Authenticator(6)
    authenticator._rate_limit = RateLimit(6, capacity=5)
    key = request(await application.key(await application.organization()))
    await authenticator.authenticate(application.installation.database, key)
    for _ in range(20):
        with pytest.raises(Unauthenticated):
            await authenticator.authenticate(application.installation.database, request(make_junk()))
    with pytest.raises(RateLimited):
        await authenticator.authenticate(application.installation.database, key)


def test_junk_tokens_during_the_verification_of_a_key_do_not_reset_its_bucket() -> None:
    rate_limit = RateLimit(6, capacity=2)
    rate_limit.take(b"key")
    rate_limit.take(b"junk")
    rate_limit.take(b"more junk")
    rate_limit.confirm(b"key")
    with pytest.raises(RateLimited):
        rate_limit.take(b"key")


def test_confirmed_key_keeps_the_level_of_its_bucket() -> None:
    rate_limit = RateLimit(12)
    rate_limit.take(b"key")
    rate_limit.confirm(b"key")
    rate_limit.take(b"key")
    rate_limit.confirm(b"key")
    with pytest.raises(RateLimited):
        rate_limit.take(b"key")


@pytest.mark.parametrize("confirmed", [False, True])
def test_the_least_recently_used_bucket_is_dropped_when_there_are_too_many(confirmed: bool) -> None:
    rate_limit = RateLimit(6, capacity=2)

    def take(key_hash: bytes) -> None:
        rate_limit.take(key_hash)
        if confirmed:
            rate_limit.confirm(key_hash)

    take(b"first")
    take(b"second")
    take(b"third")
    take(b"first")
    with pytest.raises(RateLimited):
        take(b"third")


def test_no_limit_is_set_by_zero() -> None:
    authenticator = Authenticator(0)
    key = request(secret_tokens.make(secret_tokens.API_KEY).secret)
    for _ in range(1000):
        authenticator.present(key)
