"""List the hosts that may receive the secret or the fields of an OAuth client (promise P7 of docs/security.md)."""

from collections.abc import Iterable
from itertools import product
from math import prod
from typing import Final

from one_runtime.catalog.auth_types.oauth2 import OAuth2Auth
from one_runtime.catalog.model import CUSTOM
from one_runtime.catalog.templates import fill, names_in

MAX_HOSTS: Final = 100
"""Maximum number of hosts for which an OAuth client can be registered."""


def names_hosts(slug: str, auth: OAuth2Auth) -> bool:
    """Return True if a client for this integration must list the hosts that may receive the secret and the fields.

    In a built-in integration, the provider owns the constant end of a host, such as `.example.com`. The client must
    list the hosts only if the end of a host can have any value. In a custom integration, the end of a host can belong
    to anyone. The client must list the hosts if any part of a host can have any value. The client must also list the
    hosts if the integration has more than `MAX_HOSTS` hosts.
    """
    return not can_list_hosts(auth) if slug.startswith(CUSTOM) else auth.names_hosts


def can_list_hosts(auth: OAuth2Auth) -> bool:
    """Return True if the entry itself limits the hosts to at most `MAX_HOSTS`.

    Return False if a part of a host can have any value.
    """
    options = [_options(auth, names_in(url.authority)) for url in auth.client_urls]
    has_open_hosts = any(not values for of_url in options for values in of_url)
    return not has_open_hosts and sum(prod(map(len, of_url)) for of_url in options) <= MAX_HOSTS


def secret_hosts(auth: OAuth2Auth) -> tuple[str, ...]:
    """Return the hosts that may receive the secret or a field. Omit each host with a part that can have any value."""
    return tuple(dict.fromkeys(host for url in auth.client_urls for host in _expand_host(auth, url.authority)))


def _options(auth: OAuth2Auth, names: Iterable[str]) -> list[tuple[str, ...]]:
    guards = (auth.host_guard(name) for name in names)
    return [guard.options if guard is not None else () for guard in guards]


def _expand_host(auth: OAuth2Auth, authority: str) -> list[str]:
    names = names_in(authority)
    combinations = product(*_options(auth, names))
    return [fill(authority, dict(zip(names, values, strict=True))) or "" for values in combinations]
