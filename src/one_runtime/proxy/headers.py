"""Choose the headers that a provider receives from the caller, and those that the caller receives from the provider."""

import re
import string
from collections.abc import Callable, Iterable
from typing import Final

from one_runtime.catalog.auth import AuthBase
from one_runtime.catalog.request import Injection
from one_runtime.egress.errors import RequestRefused
from one_runtime.egress.header_names import HOP_BY_HOP
from one_runtime.egress.hop import USER_AGENT
from one_runtime.egress.response import StreamedResponse

_TO_KEY: Final = bytes.maketrans(b"_" + string.ascii_uppercase.encode(), b"-" + string.ascii_lowercase.encode())
_HOP_BY_HOP: Final = frozenset(name.encode() for name in HOP_BY_HOP)
_WITHOUT_BODY: Final = frozenset({204, 304})
_REDIRECTS: Final = range(300, 400)
_UPSTREAM_REQUEST_ID: Final = b"one-runtime-upstream-request-id"

# Headers for One Runtime itself, and headers of proxies between the caller and One Runtime. The provider receives
# another `content-length`, which One Runtime sets.
_NOT_FORWARDED: Final = frozenset(
    {b"authorization", b"content-length", b"expect", b"forwarded", b"host", b"via", b"x-real-ip"}
)
# `sec-fetch-` describes the call to One Runtime (Fetch Metadata). The `fetch` of Node adds such headers.
_NOT_FORWARDED_PREFIXES: Final = (b"one-runtime-", b"x-forwarded-", b"sec-fetch-")
_USER_AGENTS_OF_CLIENTS: Final = (b"one-runtime-python/", b"one-runtime-js/")
"""The clients of One Runtime name themselves, but the provider's caller is the server."""
_TRACE: Final = frozenset({b"traceparent", b"tracestate", b"baggage"})

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


def forwarded_headers(
    auth: AuthBase, injection: Injection, headers: Iterable[tuple[bytes, bytes]], length: int | None, *, trace: bool
) -> list[tuple[str, str]]:
    """Return the headers to forward: the caller's `headers` and the integration's headers.

    The header with the credential replaces the caller's header of the same name. The caller's header replaces the
    integration's constant header of the same name.

    `length`: the length of a streamed body in bytes, or None. `trace`: True to forward the caller's trace headers.
    """
    injected = _header_keys(name for name, _ in injection.headers)
    defaults = _header_keys(auth.headers) - _header_keys(auth.send.headers)
    dropped = hop_by_hop(headers) | _NOT_FORWARDED | (injected - defaults)
    if not trace:
        dropped |= _TRACE
    forwarded: list[tuple[str, str]] = []
    present: set[bytes] = set()
    for raw_name, raw_value in headers:
        key = header_key(raw_name)
        if key in dropped or key.startswith(_NOT_FORWARDED_PREFIXES):
            continue
        if key == b"user-agent" and raw_value.startswith(_USER_AGENTS_OF_CLIENTS):
            continue
        if key == b"accept-language" and raw_value == b"*":  # from Node; as no header (RFC 9110 section 12.5.4)
            continue
        name = raw_name.decode("latin-1")
        try:
            forwarded.append((name, raw_value.decode()))
        except UnicodeDecodeError as error:
            raise RequestRefused(f"The value of the header {name} must be ASCII or UTF-8.") from error
        present.add(key)
    if length is not None:
        forwarded.append(("Content-Length", str(length)))
    if b"user-agent" not in injected | present:
        forwarded.append(("User-Agent", USER_AGENT))
    return [*forwarded, *(header for header in injection.headers if header_key(header[0].encode()) not in present)]


def _header_keys(names: Iterable[str]) -> set[bytes]:
    return {header_key(name.encode()) for name in names}


def returned_headers(
    response: StreamedResponse, redirect: Callable[[bytes], bytes | None]
) -> list[tuple[bytes, bytes]]:
    """Return the provider's headers for the caller. Rename `Request-Id`, because One Runtime sends its own value.

    `redirect`: returns the `Location` of a redirect for the caller, or None to leave the header out.
    """
    dropped = hop_by_hop(response.headers) | _NOT_RETURNED
    if response.status in _WITHOUT_BODY:  # with a Content-Length, some callers would wait for a body
        dropped |= {b"content-length"}
    headers: list[tuple[bytes, bytes]] = []
    caching: dict[bytes, list[str]] = {name: [] for name in _CACHING}
    for name, value in response.headers:
        key = header_key(name)
        if key == b"request-id":
            headers.append((_UPSTREAM_REQUEST_ID, value))
        elif key == b"location" and response.status in _REDIRECTS:
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
