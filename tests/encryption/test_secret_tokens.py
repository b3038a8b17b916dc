"""`secret_tokens.py`: the format of tokens, their checksum, and their hashes (P2)."""

import re
import string

import pytest

from one_runtime.encryption import secret_tokens

pytestmark = pytest.mark.promise("P2")

KINDS = (secret_tokens.API_KEY, secret_tokens.SESSION)


@pytest.mark.parametrize("kind", KINDS)
def test_token_has_a_kind_a_prefix_and_a_secret_of_256_bits(kind: str) -> None:
    token = secret_tokens.make(kind)
    match = re.fullmatch(rf"({kind}_[0-9A-Za-z]{{8}})_([0-9A-Za-z]{{43}})([0-9A-Za-z]{{6}})", token.secret)
    assert match
    assert token.prefix == match[1]
    assert len(string.ascii_letters + string.digits) ** 43 > 2**256
    assert secret_tokens.recognize(kind, token.secret)


def test_tokens_share_no_part() -> None:
    tokens = [secret_tokens.make(secret_tokens.API_KEY) for _ in range(200)]
    for parts in (
        {token.secret for token in tokens},
        {token.prefix for token in tokens},
        {token.hash for token in tokens},
    ):
        assert len(parts) == len(tokens)


def test_token_of_another_kind_is_not_recognized() -> None:
    assert not secret_tokens.recognize(secret_tokens.API_KEY, secret_tokens.make(secret_tokens.SESSION).secret)
    assert not secret_tokens.recognize(secret_tokens.SESSION, secret_tokens.make(secret_tokens.API_KEY).secret)


def test_changed_token_is_not_recognized() -> None:
    secret = secret_tokens.make(secret_tokens.API_KEY).secret
    for place, char in enumerate(secret):
        other = "a" if char != "a" else "b"
        assert not secret_tokens.recognize(secret_tokens.API_KEY, secret[:place] + other + secret[place + 1 :]), place
    for junk in ("", "oru_", secret[:-1], secret + "0", secret.upper(), f" {secret}", secret[:-1] + "é", "é" * 62):
        assert not secret_tokens.recognize(secret_tokens.API_KEY, junk), junk


def test_hash_of_a_token_is_its_digest() -> None:
    token = secret_tokens.make(secret_tokens.API_KEY)
    assert token.hash == secret_tokens.digest(token.secret)
    assert len(token.hash) == 32
    assert secret_tokens.same(token.hash, secret_tokens.digest(token.secret))
    assert not secret_tokens.same(token.hash, secret_tokens.digest(token.secret + "x"))


@pytest.mark.promise("P11")
def test_repr_of_a_token_has_only_its_prefix() -> None:
    token = secret_tokens.make(secret_tokens.SESSION)
    assert repr(token) == str(token) == f"SecretToken({token.prefix}_***)"
    assert token.secret[len(token.prefix) + 1 :] not in f"{token!r}{token}"
