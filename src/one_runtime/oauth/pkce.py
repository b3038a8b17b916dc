"""Create the values of PKCE (Proof Key for Code Exchange, RFC 7636).

PKCE binds the token request to the authorization request.
"""

import base64
import hashlib
import re
import secrets
from typing import Final

METHOD: Final = "S256"
_VERIFIER: Final = re.compile(r"[A-Za-z0-9._~-]{43,128}")  # RFC 7636, 4.1


def new_code_verifier() -> str:
    """Return a random code verifier of 256 bits, encoded in 43 characters (RFC 7636, 4.1)."""
    return secrets.token_urlsafe(32)


def code_challenge(verifier: str) -> str:
    """Return the S256 code challenge (RFC 7636, 4.2).

    Raises:
        ValueError: the verifier is not valid.
    """
    if _VERIFIER.fullmatch(verifier) is None:
        raise ValueError("a code verifier must have 43 to 128 characters of A-Z, a-z, 0-9 and -._~")
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode("ascii")).digest()).rstrip(b"=").decode("ascii")
