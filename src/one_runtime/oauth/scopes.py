"""Scopes: what is asked for, and what was granted (RFC 6749, 3.3)."""

import re
from collections.abc import Iterable, Mapping
from typing import Final

from one_runtime.catalog.oauth2 import ScopeList
from one_runtime.catalog.templates import fill
from one_runtime.errors import InvalidInput

_TOKEN: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,200}")
_MOST: Final = 500


def requested_scopes(scopes: ScopeList, wanted: Iterable[str] | None, known: Mapping[str, str]) -> tuple[str, ...]:
    """What to ask for, each once (RFC 6749, 3.3): what the entry always asks for, then what is wanted, or the entry's
    default where nobody says what (None).

    Raises:
        InvalidInput: a wanted scope is none, or holds the provider's separator.
    """
    asked = [fill(scope, known) for scope in scopes.always]
    if wanted is None:
        asked += [fill(scope, known) for scope in scopes.default]
    else:
        asked += [_checked(scope, scopes) for scope in wanted]
    return tuple(dict.fromkeys(scope for scope in asked if scope))


# Scopes of OpenID Connect that are granted and not told again, or told under another name (Microsoft, Google).
_UNTOLD: Final = frozenset({"openid", "profile", "email", "offline_access"})


def missing_scopes(asked: Iterable[str], granted: tuple[str, ...] | None) -> tuple[str, ...]:
    """What was asked for and not granted (RFC 6749, 3.3; 5.1: an answer that says nothing granted what was asked)."""
    if granted is None:
        return ()
    return tuple(scope for scope in asked if scope not in granted and scope not in _UNTOLD)


def parse_granted_scopes(value: object) -> tuple[str, ...] | None:
    """What a token response says was granted, as text or as a list; None where it says nothing, which means what was
    asked for (RFC 6749, 5.1). Providers separate by commas too, whatever separates in the request."""
    if isinstance(value, str):
        parts = re.split(r"[\s,]+", value)
    elif isinstance(value, list):
        parts = [part for part in value if isinstance(part, str)]
    else:
        return None
    granted = [part for part in parts if _TOKEN.fullmatch(part)]
    return tuple(dict.fromkeys(granted[:_MOST])) or None


def check_scopes(scopes: ScopeList, wanted: Iterable[str]) -> list[str]:
    """What is wrong with scopes that somebody names, a sentence each (RFC 6749, 3.3)."""
    return [
        f"{scope[:64]!r} is no scope of this provider"
        for scope in wanted
        if _TOKEN.fullmatch(scope) is None or scopes.separator in scope
    ]


def _checked(scope: str, scopes: ScopeList) -> str:
    for message in check_scopes(scopes, [scope]):
        raise InvalidInput.of("scopes", message)
    return scope
