"""PKCE (RFC 7636): verifiers and challenges."""

import re

import pytest

from one_runtime.oauth.pkce import code_challenge, new_code_verifier
from tests.catalog.example import oauth2


def test_challenge_matches_rfc_7636_appendix_b() -> None:
    verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    assert code_challenge(verifier) == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def test_verifiers_are_long_enough_and_unique() -> None:
    verifiers = {new_code_verifier() for _ in range(100)}
    assert len(verifiers) == 100
    assert all(re.fullmatch(r"[A-Za-z0-9._~-]{43,128}", verifier) for verifier in verifiers)
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{43}", code_challenge(verifier)) for verifier in verifiers)


@pytest.mark.parametrize("verifier", ["", "v" * 42, "v" * 129, "v" * 42 + "+", "v" * 43 + "\n", "é" * 43])
def test_invalid_verifier_has_no_challenge(verifier: str) -> None:
    with pytest.raises(ValueError, match="43 to 128"):
        code_challenge(verifier)


@pytest.mark.parametrize(
    "pkce,wanted",
    [("required", True), ("supported", True), ("tolerated", True), ("unknown", True), ("avoid", False)],
)
def test_provider_gets_a_challenge_unless_its_entry_avoids_pkce(pkce: str, wanted: bool) -> None:
    assert oauth2(pkce=pkce).uses_pkce is wanted
