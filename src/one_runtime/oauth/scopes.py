"""Choose the scopes to request, and read the scopes that the provider granted (RFC 6749, 3.3)."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Final

from one_runtime.catalog.auth_types.oauth2 import OAuth2Auth
from one_runtime.catalog.oauth2 import ScopeList
from one_runtime.catalog.templates import fill
from one_runtime.errors import InvalidInput

_TOKEN: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,200}")
_MAX_SCOPES: Final = 500


def requested_scopes(
    scopes: ScopeList, names: Collection[str] | None, known: Mapping[str, str] | None
) -> tuple[str, ...]:
    """Return the scopes to request, without duplicates.

    The first scopes are `scopes.always`. The next scopes are `names`, or the default scopes if `names` is None.
    `known`: the values for templates. None keeps the templates, for a list without an end user.
    """
    templates = (*scopes.always, *(scopes.default if names is None else ()))
    requested = [scope if known is None else fill(scope, known) for scope in templates]
    return tuple(dict.fromkeys(scope for scope in (*requested, *(names or ())) if scope))


def scope_lists(auth: OAuth2Auth, names: Collection[str] | None) -> Iterator[tuple[ScopeList, Collection[str] | None]]:
    """Yield the lists of scopes of an authorization request, each with the scopes that replace its default scopes."""
    yield auth.scopes, names
    if auth.more_scopes is not None:
        yield auth.more_scopes, None


def scope_param(scopes: ScopeList, names: Collection[str] | None, known: Mapping[str, str]) -> dict[str, str]:
    """Return the scope parameter of a request, or an empty dictionary if there is no scope.

    Raises:
        InvalidInput: a scope is not valid, or contains the provider's separator.
    """
    for message in check_scopes(scopes, names or ()):
        raise InvalidInput.of("scopes", message)
    requested = requested_scopes(scopes, names, known)
    return {scopes.param: scopes.separator.join(requested)} if requested else {}


# OpenID Connect scopes. Microsoft and Google grant these scopes, but omit or rename some of them in the response.
_OFFLINE_ACCESS: Final = "offline_access"
_UNLISTED: Final = frozenset({"openid", "profile", "email", _OFFLINE_ACCESS})


def missing_scopes(
    requested: Iterable[str], granted: tuple[str, ...] | None, *, lacks_refresh_token: bool = False
) -> tuple[str, ...]:
    """Return the requested scopes that the provider did not grant.

    `granted`: None if the response names no scopes. The provider then granted all requested scopes (RFC 6749, 5.1).
    `lacks_refresh_token`: True if the access token expires and no refresh token came with it. This is how a provider
    refuses `offline_access` (OpenID Connect Core 1.0, 11), whatever its response lists.
    """
    requested = tuple(requested)
    missing = set() if granted is None else {*requested} - {*granted} - _UNLISTED
    missing |= {_OFFLINE_ACCESS} if lacks_refresh_token else set()
    return tuple(scope for scope in requested if scope in missing)


def parse_granted_scopes(value: object) -> tuple[str, ...] | None:
    """Parse the scopes of a token response: a text or a list. Return None if the response names no scopes.

    Some providers separate scopes by commas in the response, but by spaces in the request.
    """
    if isinstance(value, str):
        parts = re.split(r"[\s,]+", value)
    elif isinstance(value, list):
        parts = [part for part in value if isinstance(part, str)]
    else:
        return None
    granted = [part for part in parts if _TOKEN.fullmatch(part)]
    return tuple(dict.fromkeys(granted[:_MAX_SCOPES])) or None


def check_scopes(scopes: ScopeList, names: Iterable[str]) -> list[str]:
    """Return an error message for each scope that is not valid (RFC 6749, 3.3)."""
    return [
        f"{scope[:64]!r} is not a valid scope: use printable ASCII without spaces, quotes or this provider's separator"
        for scope in names
        if _TOKEN.fullmatch(scope) is None or scopes.separator in scope
    ]
