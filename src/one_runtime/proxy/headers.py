"""Decide which headers of a provider's response the caller receives, and compare the names of headers.

Most HTTP clients follow redirects by themselves. They resolve a relative `Location` with the URL of the call, which is
a URL of One Runtime, and send the API key again because the host is the same, with method and body. A provider could
so send requests of its choice to the API. So the caller receives only the `Location` that `returned_location` allows.
"""

import re
import string
from collections.abc import Callable, Iterable
from typing import Final

from one_runtime.egress.errors import TargetRefused
from one_runtime.egress.header_names import HOP_BY_HOP
from one_runtime.egress.hop import resolve_location
from one_runtime.egress.provider_text import contains_secret
from one_runtime.egress.response import Relayed
from one_runtime.egress.target import Target, parse

_TO_KEY: Final = bytes.maketrans(b"_" + string.ascii_uppercase.encode(), b"-" + string.ascii_lowercase.encode())
_HOP_BY_HOP: Final = frozenset(name.encode() for name in HOP_BY_HOP)
_WITHOUT_BODY: Final = frozenset({204, 304})
_REDIRECTS: Final = range(300, 400)
_UPSTREAM_REQUEST_ID: Final = b"one-runtime-upstream-request-id"

# The caller does not receive these headers of the provider:
# - `alt-svc` and `strict-transport-security` are about the provider's host. One Runtime sends its own `date`.
# - A browser would apply headers such as `set-cookie` to One Runtime's origin. The popup has this origin too.
# - A reverse proxy or a CDN in front of One Runtime would obey headers such as `x-sendfile` and `surrogate-control`.
#   With `x-reproxy-url` or `fly-replay` it would send a request to another server, with
#   `x-envoy-immediate-health-check-fail` it would take this server for broken.
_NOT_RETURNED: Final = frozenset(
    {
        b"date",
        b"alt-svc",
        b"strict-transport-security",
        b"set-cookie",
        b"set-cookie2",
        b"clear-site-data",
        b"content-security-policy",
        b"content-security-policy-report-only",
        b"nel",
        b"refresh",
        b"report-to",
        b"reporting-endpoints",
        b"surrogate-control",
        b"edge-control",
    }
)
_NOT_RETURNED_PREFIXES: Final = (
    b"one-runtime-",
    b"access-control-",
    b"endpoint-load-metrics",
    b"fly-replay",
    b"x-accel-",
    b"x-envoy-",
    b"x-lighttpd-",
    b"x-litespeed-",
    b"x-reproxy-",
    b"x-sendfile",
)
_NOT_RETURNED_SUFFIX: Final = b"cdn-cache-control"
"""The end of `CDN-Cache-Control` and of the variants for one CDN, such as `Vercel-CDN-Cache-Control` (RFC 9213)."""

_CACHING: Final = (b"cache-control", b"vary")
# The directives that a private cache can follow. `public`, `s-maxage` and `proxy-revalidate` are for shared caches.
_FOR_PRIVATE_CACHES: Final = re.compile(
    r'(?:(?:max-age|stale-while-revalidate|stale-if-error)="?[0-9]+"?|no-cache|no-store|no-transform|must-revalidate|'
    r"immutable)"
)
_SELECTING: Final = "Authorization, One-Runtime-End-User, One-Runtime-Connection, One-Runtime-Base-Url"
"""Request headers that select the account at the provider. The URL of a call does not name the account."""


def header_key(name: bytes) -> bytes:
    """Return a header's name for comparisons: in lower case, with `-` instead of `_`.

    Many servers treat `X_Key` and `X-Key` as the same header (RFC 3875 section 4.1.18). So a caller's `X_Key` could
    replace the credential's `X-Key`.
    """
    return name.translate(_TO_KEY)


def hop_by_hop(headers: Iterable[tuple[bytes, bytes]]) -> frozenset[bytes]:
    """Return the names of hop-by-hop headers, and the names that `Connection` lists (RFC 9110 section 7.6.1)."""
    names = _HOP_BY_HOP
    for name, value in headers:
        if name.lower() == b"connection":
            names = names.union(header_key(option.strip()) for option in value.split(b","))
    return names


def returned_headers(relayed: Relayed, redirect: Callable[[bytes], bytes | None]) -> list[tuple[bytes, bytes]]:
    """Return the provider's headers for the caller. Rename `Request-Id`, because One Runtime sends its own value.

    `redirect`: returns the `Location` of a redirect for the caller, or None to leave the header out.
    """
    dropped = hop_by_hop(relayed.headers) | _NOT_RETURNED
    if relayed.status in _WITHOUT_BODY:  # with a Content-Length, some callers would wait for a body
        dropped |= {b"content-length"}
    headers: list[tuple[bytes, bytes]] = []
    caching: dict[bytes, list[str]] = {name: [] for name in _CACHING}
    for name, value in relayed.headers:
        key = header_key(name)
        if key == b"request-id":
            headers.append((_UPSTREAM_REQUEST_ID, value))
        elif key == b"location" and relayed.status in _REDIRECTS:
            location = redirect(value)
            if location is not None:
                headers.append((name, location))
        elif key in caching:
            caching[key].append(value.decode("latin-1"))
        elif key not in dropped and not _is_for_others(key):
            headers.append((name, value))
    cache_control = _private(",".join(caching[b"cache-control"]))
    return [
        *headers,
        (b"cache-control", cache_control.encode("latin-1")),
        (b"vary", ", ".join([*caching[b"vary"], _SELECTING]).encode("latin-1")),
    ]


def _is_for_others(key: bytes) -> bool:
    return key.startswith(_NOT_RETURNED_PREFIXES) or key.endswith(_NOT_RETURNED_SUFFIX)


def _private(provided: str) -> str:
    """Return the provider's `Cache-Control` for private caches only.

    A shared cache in front of One Runtime, such as a CDN, would give the answer for one end user to another, because
    all have the same URL. With `public`, `s-maxage` or `must-revalidate`, it may store even the response to a request
    with `Authorization` (RFC 9111 section 3.5).
    """
    directives = (directive.strip().lower() for directive in provided.split(","))
    # The directive `no-cache="set-cookie"` concerns one header only. Some caches apply it to the whole response.
    kept = ("no-cache" if directive.startswith("no-cache=") else directive for directive in directives)
    return ", ".join(["private", *dict.fromkeys(each for each in kept if _FOR_PRIVATE_CACHES.fullmatch(each))])


def returned_location(location: str, url: str, own_urls: Iterable[str], secrets: Iterable[str]) -> str | None:
    """Return the absolute URL to which a provider redirects.

    Return None if the URL is invalid, leads to One Runtime itself, or would show the caller a part of the credential.

    Args:
        location: the provider's `Location`.
        url: the URL of the request to the provider, without a credential in the query.
        own_urls: the URLs under which a caller can reach One Runtime.
        secrets: the secrets of the connection. Some providers expect the credential in the path.
    """
    try:
        absolute = resolve_location(url, location)
        server = _server(parse(absolute))
    except (TargetRefused, ValueError):
        return None
    if server in {_server(own) for own in map(_parsed, own_urls) if own is not None}:
        return None
    if contains_secret(absolute, secrets) and not contains_secret(location, secrets):
        return None
    return absolute


def _parsed(url: str) -> Target | None:
    try:
        return parse(url)
    except TargetRefused:
        return None


def _server(target: Target) -> tuple[str, int]:
    """Return host and port. The two default ports count as one, because the header `Host` does not name the scheme."""
    return target.host, 80 if target.port == 443 else target.port
