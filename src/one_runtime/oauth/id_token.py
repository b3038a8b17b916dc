"""Verify the ID token of an OpenID provider (OpenID Connect Core 1.0, section 3.1.3.7). Only this module uses PyJWT."""

import base64
import datetime as dt
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import jwt

from one_runtime.catalog.response import MISSING, parse_json
from one_runtime.egress.response import Response
from one_runtime.oauth.errors import OAuthError
from one_runtime.oauth.openid import ProviderDocumentInvalid, read_document, read_numeric_date

LEEWAY: Final = dt.timedelta(seconds=60)
"""Maximum difference between the clocks of One Runtime and of the provider."""

# The type and the curve of the key that each algorithm needs. So no public key can verify an HMAC, and `none` is no
# algorithm (RFC 8725, sections 3.1 and 3.2).
_ALGORITHMS: Final[Mapping[str, tuple[str, str | None]]] = {
    "RS256": ("RSA", None),
    "PS256": ("RSA", None),
    "ES256": ("EC", "P-256"),
    "EdDSA": ("OKP", "Ed25519"),
}
_SIGNATURES: Final = jwt.PyJWS(list(_ALGORITHMS), options={"enforce_minimum_key_length": True})
_MAX_TOKEN: Final = 64 * 1024
_MAX_KEYS: Final = 100
_MAX_SUBJECT: Final = 255  # OpenID Connect Core 1.0, section 2


class IdTokenRefused(OAuthError):
    """The ID token is not valid. The message says why, and contains no part of the token."""

    code = "id_token_refused"


class UnknownSigningKey(IdTokenRefused):
    """The provider's keys do not contain the key of the ID token. The provider has possibly changed its keys."""


@dataclass(frozen=True, slots=True)
class ExpectedIdToken:
    """The values that an ID token must have. `access_token`: the access token of the same response."""

    issuer: str
    client_id: str
    nonce: str
    access_token: str = field(repr=False)

    def __repr__(self) -> str:
        return f"ExpectedIdToken({self.issuer!r})"


def read_keys(response: Response) -> tuple[Mapping[str, object], ...]:
    """Return the provider's public keys (RFC 7517, section 5). Raises: ProviderDocumentInvalid."""
    keys = read_document(response, "The key set of the OpenID provider").get("keys")
    if not isinstance(keys, list):
        raise ProviderDocumentInvalid("The key set of the OpenID provider has no list of keys.")
    return tuple(key for key in keys[:_MAX_KEYS] if isinstance(key, dict))


def verify_id_token(
    token: str, keys: Sequence[Mapping[str, object]], expected: ExpectedIdToken, now: dt.datetime
) -> dict[str, object]:
    """Return the claims of an ID token after all checks.

    Raises:
        UnknownSigningKey: the token names a key that is not in `keys`.
        IdTokenRefused: the token is not valid.
    """
    algorithm, payload = _verify_signature(token, keys)
    claims = parse_json(payload)
    if claims is MISSING or not isinstance(claims, dict):
        raise IdTokenRefused("The claims of the ID token are not a JSON object.")
    _check_parties(claims, expected)
    _check_times(claims, now)
    nonce = claims.get("nonce")
    if not isinstance(nonce, str) or not _is_same(nonce, expected.nonce):
        raise IdTokenRefused("The ID token belongs to another sign-in: its nonce differs.")
    if "at_hash" in claims and not _is_same(str(claims["at_hash"]), _half_hash(expected.access_token, algorithm)):
        raise IdTokenRefused("The ID token belongs to another access token: its at_hash differs.")
    return claims


def _verify_signature(token: str, keys: Sequence[Mapping[str, object]]) -> tuple[str, bytes]:
    """Return the algorithm and the payload of a token with a valid signature. Raises: IdTokenRefused."""
    if len(token) > _MAX_TOKEN:
        raise IdTokenRefused("The ID token is too long.")
    try:
        header = jwt.get_unverified_header(token)
        algorithm = header.get("alg")
        if not isinstance(algorithm, str) or algorithm not in _ALGORITHMS:
            allowed = ", ".join(_ALGORITHMS)
            raise IdTokenRefused(f"The ID token has another algorithm than {allowed}. Change the provider's settings.")
        key = jwt.PyJWK(dict(_find_key(keys, header.get("kid"), algorithm)), algorithm)
        payload: bytes = _SIGNATURES.decode_complete(token, key, [algorithm])["payload"]
    except jwt.InvalidSignatureError as error:
        raise IdTokenRefused("The signature of the ID token is wrong.") from error
    except jwt.PyJWTError as error:
        raise IdTokenRefused("The ID token or its key is malformed.") from error
    return algorithm, payload


def _find_key(keys: Sequence[Mapping[str, object]], kid: object, algorithm: str) -> Mapping[str, object]:
    """Return the key with this id that fits the algorithm. A token without a key id needs a set with one such key.

    Raises: UnknownSigningKey.
    """
    kind, curve = _ALGORITHMS[algorithm]
    fitting = [
        key
        for key in keys
        if key.get("kty") == kind
        and key.get("crv") == curve
        and key.get("use", "sig") == "sig"
        and key.get("alg", algorithm) == algorithm
        and (kid is None or key.get("kid") == kid)
    ]
    if len(fitting) != 1:
        raise UnknownSigningKey("The key of the ID token is not in the provider's key set.")
    return fitting[0]


def _check_parties(claims: Mapping[str, object], expected: ExpectedIdToken) -> None:
    """Check the issuer, the subject and the recipients of a token. Raises: IdTokenRefused."""
    subject, audience = claims.get("sub"), claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    if claims.get("iss") != expected.issuer:
        raise IdTokenRefused("The ID token comes from another issuer.")
    if not isinstance(subject, str) or not 0 < len(subject) <= _MAX_SUBJECT:
        raise IdTokenRefused(f"The ID token needs a subject of at most {_MAX_SUBJECT} characters.")
    if expected.client_id not in audiences:
        raise IdTokenRefused("The ID token belongs to another client: its aud differs.")
    if claims.get("azp", None if len(audiences) > 1 else expected.client_id) != expected.client_id:
        raise IdTokenRefused("The ID token belongs to another client: its azp differs.")


def _check_times(claims: Mapping[str, object], now: dt.datetime) -> None:
    """Check the times of a token, in seconds since 1970. Raises: IdTokenRefused."""
    leeway, seconds = LEEWAY.total_seconds(), now.timestamp()
    if seconds >= _time(claims, "exp") + leeway:
        raise IdTokenRefused("The ID token has expired. Check the clock of this server.")
    if max(_time(claims, "iat"), _time(claims, "nbf") if "nbf" in claims else 0) > seconds + leeway:
        raise IdTokenRefused("The ID token is not valid yet. Check the clock of this server.")
    if claims.get("auth_time") is not None:
        _time(claims, "auth_time")


def _time(claims: Mapping[str, object], name: str) -> float:
    seconds = read_numeric_date(claims.get(name))
    if seconds is None:
        raise IdTokenRefused(f"The ID token needs the time {name}, in seconds since 1970.")
    return seconds


def _half_hash(access_token: str, algorithm: str) -> str:
    """Return the left half of the token's hash (OpenID Connect Core 1.0, section 3.1.3.6). Ed25519 uses SHA-512."""
    hashed = (hashlib.sha512 if algorithm == "EdDSA" else hashlib.sha256)(access_token.encode()).digest()
    return base64.urlsafe_b64encode(hashed[: len(hashed) // 2]).rstrip(b"=").decode()


def _is_same(left: str, right: str) -> bool:
    return hmac.compare_digest(left.encode("utf-8", "surrogatepass"), right.encode("utf-8", "surrogatepass"))
