"""ID tokens: only a token of this provider, for this client and this sign-in, is valid."""

import base64
import datetime as dt
import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from one_runtime.oauth.errors import OAuthError
from one_runtime.oauth.id_token import ExpectedIdToken, IdTokenRefused, UnknownSigningKey, read_keys, verify_id_token
from one_runtime.oauth.openid import ProviderDocumentInvalid
from tests.oauth.answers import NOW, response_with
from tests.openid_provider import SigningKey

ISSUER = "https://login.example.com"
EXPECTED = ExpectedIdToken(ISSUER, "dashboard", "the-nonce", "the-access-token")
KEY = SigningKey.new()
AT = int(NOW.timestamp())
CLAIMS: dict[str, Any] = {
    "iss": ISSUER, "sub": "00u1", "aud": "dashboard", "exp": AT + 300, "iat": AT, "nonce": "the-nonce",
}  # fmt: skip


def with_claims(**changes: Any) -> dict[str, Any]:
    return {name: value for name, value in {**CLAIMS, **changes}.items() if value is not None}


def verify(token: str, *keys: Mapping[str, object], now: dt.datetime = NOW) -> dict[str, object]:
    return verify_id_token(token, keys or (KEY.jwk,), EXPECTED, now)


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "EdDSA"])
def test_valid_token_is_accepted_with_each_algorithm(algorithm: str) -> None:
    key = SigningKey.new(algorithm, "key-9")
    digest = (hashlib.sha512 if algorithm == "EdDSA" else hashlib.sha256)(b"the-access-token").digest()
    at_hash = base64.urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=").decode()
    claims = with_claims(at_hash=at_hash)
    assert verify(key.sign(claims), KEY.jwk, key.jwk) == claims
    with pytest.raises(IdTokenRefused, match="at_hash"):
        verify(key.sign(with_claims(at_hash=at_hash[::-1])), KEY.jwk, key.jwk)


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": ["dashboard"]},
        {"aud": ["other", "dashboard"], "azp": "dashboard"},
        {"exp": AT - 59},
        {"iat": AT + 59, "nbf": AT + 59},
        {"exp": AT + 0.5},
        {"auth_time": AT - 3600, "exp": 253_402_300_799},
    ],
)
def test_unusual_claims_are_accepted(changes: dict[str, Any]) -> None:
    assert verify(KEY.sign(with_claims(**changes)))["sub"] == "00u1"


@pytest.mark.parametrize(
    "changes, problem",
    [
        ({"iss": f"{ISSUER}/"}, "another issuer"),
        ({"iss": None}, "another issuer"),
        ({"aud": "other"}, "its aud differs"),
        ({"aud": None}, "its aud differs"),
        ({"aud": "dashboard-2"}, "its aud differs"),
        ({"aud": ["other", "dashboard"]}, "its azp differs"),
        ({"azp": "other"}, "its azp differs"),
        ({"sub": None}, "subject"),
        ({"sub": ""}, "subject"),
        ({"sub": "x" * 256}, "subject"),
        ({"exp": AT - 60}, "expired"),
        ({"exp": None}, "the time exp"),
        ({"exp": str(AT + 300)}, "the time exp"),
        *(
            ({name: value}, f"the time {name}")
            for name in ("exp", "iat", "nbf", "auth_time")
            for value in (
                float("nan"),
                float("inf"),
                float("-inf"),
                -1,
                -1e300,
                1e300,
                10**400,
                253_402_300_800,
                str(AT),
                True,
                False,
                [AT],
                {"at": AT},
            )
        ),
        ({"iat": AT + 61}, "not valid yet"),
        ({"iat": None}, "the time iat"),
        ({"nbf": AT + 61}, "not valid yet"),
        ({"nonce": "another-nonce"}, "nonce"),
        ({"nonce": None}, "nonce"),
        ({"nonce": ["the-nonce"]}, "nonce"),
        ({"at_hash": "wrong"}, "at_hash"),
    ],
)
def test_token_with_a_wrong_claim_is_refused(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(IdTokenRefused, match=problem):
        verify(KEY.sign(with_claims(**changes)))


def encoded(part: object) -> str:
    data = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def with_hmac(secret: bytes, **header: Any) -> str:
    """Return a token with the algorithm HS256. PyJWT refuses to make such a token with a public key."""
    signed = f"{encoded({'alg': 'HS256', 'kid': KEY.kid, **header})}.{encoded(CLAIMS)}"
    return f"{signed}.{encoded(hmac.digest(secret, signed.encode(), 'sha256'))}"


PUBLIC_PEM = KEY.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
OTHER = SigningKey("key-1", "RS256", rsa.generate_private_key(65537, 2048))
SHORT = SigningKey("short", "RS256", rsa.generate_private_key(65537, 1024))
NONE = f"{encoded({'alg': 'none', 'kid': KEY.kid})}.{encoded(CLAIMS)}"
VALID = KEY.sign(CLAIMS)


@pytest.mark.parametrize(
    "token, problem",
    [
        (f"{NONE}.", "another algorithm"),
        (f"{NONE}.{VALID.rpartition('.')[2]}", "another algorithm"),
        (with_hmac(PUBLIC_PEM), "another algorithm"),
        (with_hmac(b"secret"), "another algorithm"),
        (with_hmac(b"secret", alg=None), "another algorithm"),
        (jwt.encode(CLAIMS, KEY.private, "RS512", headers={"kid": KEY.kid}), "another algorithm"),
        (OTHER.sign(CLAIMS), "signature"),
        (VALID[:-8] + "AAAAAAAA", "signature"),
        (KEY.sign(CLAIMS, kid="key-2"), "not in the provider's key set"),
        (SigningKey("key-1", "ES256", SigningKey.new("ES256").private).sign(CLAIMS), "not in the provider's key set"),
        (KEY.sign(CLAIMS, crit=["b64"], b64=True), "malformed"),
        ("nonsense", "malformed"),
        ("a.b", "malformed"),
        ("", "malformed"),
        ("é.é.é", "malformed"),
        ("x" * 70_000, "too long"),
        (jwt.PyJWS().encode(b"[]", KEY.private, "RS256", headers={"kid": KEY.kid}), "not a JSON object"),
        (jwt.PyJWS().encode(b"{", KEY.private, "RS256", headers={"kid": KEY.kid}), "not a JSON object"),
    ],
)
def test_token_with_another_signature_is_refused(token: str, problem: str) -> None:
    with pytest.raises(IdTokenRefused, match=problem):
        verify(token)


@pytest.mark.parametrize(
    "change",
    [{"use": "enc"}, {"alg": "RS512"}, {"kty": "oct", "k": "AAAA"}, {"kid": "key-2"}],
)
def test_key_with_another_purpose_verifies_nothing(change: dict[str, str]) -> None:
    with pytest.raises(UnknownSigningKey):
        verify(VALID, {**KEY.jwk, **change})


def test_key_with_another_curve_verifies_nothing() -> None:
    key = SigningKey.new("ES256")
    assert verify(key.sign(CLAIMS), key.jwk)
    with pytest.raises(UnknownSigningKey):
        verify(key.sign(CLAIMS), {**key.jwk, "crv": "P-384"})


def test_token_without_a_key_id_needs_a_set_with_one_fitting_key() -> None:
    token = jwt.encode(CLAIMS, KEY.private, "RS256")
    assert verify(token, KEY.jwk, SigningKey.new("ES256").jwk)["sub"] == "00u1"
    with pytest.raises(UnknownSigningKey):
        verify(token, KEY.jwk, OTHER.jwk)


def test_malformed_and_short_keys_verify_nothing() -> None:
    for key in ({**KEY.jwk, "n": "?"}, {"kty": "RSA", "kid": "key-1"}, {**KEY.jwk, "n": 5}):
        with pytest.raises(IdTokenRefused, match="malformed"):
            verify(VALID, key)
    with pytest.warns(jwt.InsecureKeyLengthWarning):
        token = SHORT.sign(CLAIMS)
    with pytest.raises(IdTokenRefused, match="malformed"):
        verify(token, SHORT.jwk)


def test_key_set_is_a_list_of_objects() -> None:
    assert read_keys(response_with({"keys": [KEY.jwk, "nonsense", 1]})) == (KEY.jwk,)
    for response in (response_with({}), response_with([]), response_with(b"<html>"), response_with({"keys": []}, 500)):
        with pytest.raises(ProviderDocumentInvalid):
            read_keys(response)


def test_errors_contain_no_part_of_the_token() -> None:
    for token in (VALID[:-8] + "AAAAAAAA", KEY.sign(with_claims(nonce="private-nonce"))):
        with pytest.raises(OAuthError) as refused:
            verify(token)
        assert "private-nonce" not in str(refused.value)
        assert token not in str(refused.value)
    assert "the-" not in repr(EXPECTED)
