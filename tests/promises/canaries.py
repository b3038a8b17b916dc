"""Canaries: generated secrets that tests search in every output, in many spellings."""

import base64
import json
import re
import secrets
from collections.abc import Iterable, Mapping
from urllib.parse import quote

from one_runtime.catalog.examples import generate_match

SHORTEST = 16
"""Minimum number of characters. A shorter secret could occur in an output by chance."""

WINDOW = 8
STEP = SHORTEST - WINDOW + 1


def fitting(pattern: str | None) -> str:
    """Return a random secret that matches an entry's pattern."""
    letters = secrets.token_hex(16)
    forms = (
        f"acme_{letters}",
        f"ntn_{letters}",
        f"lin_api_{letters}",
        f"sk_{letters}",
        f"xoxb-{letters}",
        f"{letters}-us12",
        f"AC{letters}",
        f"{letters}@example.com",
        f"{letters}@northwind",
        f"{secrets.randbelow(10**24):024}",
        letters,
    )
    for form in forms if pattern else (letters,):
        if pattern is None or re.fullmatch(pattern, form):
            return form
    value = generate_match(pattern or "", secrets.randbits(64))
    assert len(value) >= SHORTEST, f"no form of a secret fits {pattern}: add one"
    return value


def spellings(secret: bytes) -> dict[str, bytes]:
    """Return the encodings and spellings of a secret that an output can contain."""
    assert len(secret) >= SHORTEST
    texts = {
        "raw": secret,
        "hex": secret.hex().encode(),
        "HEX": secret.hex().upper().encode(),
        "every byte percent-encoded": "".join(f"%{byte:02X}" for byte in secret).encode(),
        "percent-encoded": quote(secret, safe="").encode(),
        "backwards": secret[::-1],
        "UTF-16": secret.decode("latin-1").encode("utf-16-le"),
    }
    for alignment in range(3):
        whole = base64.b64encode(b"\0" * alignment + secret).rstrip(b"=")
        # The first and last base64 characters also depend on the bytes before and after the secret.
        inner = whole[(0, 2, 3)[alignment] : len(whole) - (1 if (alignment + len(secret)) % 3 else 0)]
        texts[f"base64 at {alignment}"] = inner
        texts[f"base64url at {alignment}"] = inner.translate(bytes.maketrans(b"+/", b"-_"))
    try:
        texts["JSON"] = json.dumps(secret.decode("ascii"))[1:-1].encode()
    except UnicodeDecodeError:
        del texts["UTF-16"]
    return texts


def leaks(canaries: Mapping[str, str | bytes], places: Mapping[str, bytes]) -> list[str]:
    """Return each canary that occurs in a place, with the place and the spelling."""
    searched = [
        (name, spelling, written)
        for name, secret in canaries.items()
        for spelling, written in spellings(secret.encode() if isinstance(secret, str) else secret).items()
    ]
    # A database has megabytes, and there are thousands of spellings, so a search for each spelling would be slow. If a
    # place contains a spelling, the place has one of these windows at a multiple of STEP.
    windows = {written[at : at + WINDOW] for _, _, written in searched for at in range(STEP)}
    return [
        f"{name} in {place} ({spelling})"
        for place, content in places.items()
        if any(content[at : at + WINDOW] in windows for at in range(0, len(content), STEP))
        for name, spelling, written in searched
        if written in content
    ]


def secret_part(token: str) -> str:
    """Return the secret part of a token. One Runtime stores the other parts, because lists show them."""
    return token.rsplit("_", 1)[1]


def join_texts(texts: Iterable[str]) -> bytes:
    return "\n".join(texts).encode()
