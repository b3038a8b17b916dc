"""Call a provider for an end user: add the credential to the caller's request, and stream the response back.

This module sends a request again in two cases:

- The provider answered 401, and One Runtime has refreshed the credential. A provider that answers 401 has not acted on
  the request (RFC 9110 section 15.5.2).
- The caller asked for retries.
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Final
from urllib.parse import quote, unquote_plus, urlsplit

from one_runtime.catalog.auth import AuthBase
from one_runtime.catalog.request import ConnectionValues, Injection, inject, resolve_url
from one_runtime.catalog.response import secret_values
from one_runtime.connections.connections import Connection
from one_runtime.connections.credentials import ProviderUnavailable
from one_runtime.context import Installation
from one_runtime.egress.errors import RequestRefused, TargetRefused, UpstreamTimeout, UpstreamUnreachable
from one_runtime.egress.hop import USER_AGENT, Body
from one_runtime.egress.limits import Limits
from one_runtime.egress.response import Relayed
from one_runtime.egress.retry_after import parse_retry_after
from one_runtime.errors import Conflict, InvalidInput, NotAllowed
from one_runtime.jobs.recheck_queue import RecheckRequest
from one_runtime.proxy import refusal
from one_runtime.proxy.concurrency import CallRecord
from one_runtime.proxy.headers import header_key, hop_by_hop, returned_headers, returned_location
from one_runtime.proxy.lookup import ConnectRequired
from one_runtime.tokens.refresh import ReauthRequired, ensure_fresh
from one_runtime.tokens.state import CredentialState, UsableCredential

MAX_ATTEMPTS: Final = 3
MAX_WAIT: Final = 30.0
"""Maximum number of seconds to wait before another attempt.

If the provider requests a longer wait, the caller receives the provider's response.
"""

_RETRYABLE: Final = frozenset({429, 502, 503, 504})
_IDEMPOTENT: Final = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS"})
_FIRST_WAIT: Final = 0.5
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
# The segment `..`, in each form that a server could decode:
# - Some servers decode twice, so that `%252e` becomes a dot.
# - Some servers treat a backslash as a slash.
# - Some servers remove the text after `;` in a segment.
# - For some servers, a path ends at an encoded `?`, `#` or NUL.
_DOT: Final = r"(?:\.|%(?:25)*2e)"
_SLASH: Final = r"(?:[/\\]|%(?:25)*(?:2f|5c))"
_DOT_SEGMENT: Final = re.compile(rf"{_SLASH}{_DOT}{{2}}(?:{_SLASH}|[;?#]|%(?:25)*(?:3b|3f|23|00)|\Z)", re.IGNORECASE)


class CredentialsRefreshedRetry(Conflict):
    """One Runtime refreshed a credential that the provider had refused. The caller must send the request again."""

    code = "credentials_refreshed_retry"
    documentation = (
        (
            "The provider refused the credential of a proxy call. One Runtime has refreshed the credential, but does "
            "not have the body of your request any more."
        ),
        "Send the request again.",
    )


@dataclass(frozen=True, slots=True)
class ProxyRequest:
    """The caller's request. `path`, `query` and `headers` are the caller's texts without changes.

    - `length`: the length of a streamed body in bytes, or None if the length is unknown.
    - `replayable`: True if One Runtime can send the body again.
    - `retry`: True if the caller asked for retries.
    - `trace`: True to forward the caller's trace headers.
    - `hosts`: the host names to which the request can go, or None for all hosts of the integration.
    """

    method: str
    path: str
    query: str
    headers: tuple[tuple[bytes, bytes], ...] = field(repr=False)
    body: Body | None = field(repr=False, default=None)
    length: int | None = None
    replayable: bool = True
    base_url: str | None = None
    retry: bool = False
    trace: bool = False
    limits: Limits = field(default_factory=Limits)
    hosts: frozenset[str] | None = None


@asynccontextmanager
async def call(
    installation: Installation, state: CredentialState, request: ProxyRequest, record: CallRecord
) -> AsyncIterator[Relayed]:
    """Send the request and yield the provider's response, with the headers that One Runtime adds.

    The caller reads the body inside the `async with` block. `call` updates `record`.

    Raises:
        ConnectRequired, CredentialsRefreshedRetry, InvalidInput: see the classes.
        EgressError: the request failed. `call` can also raise this error while the caller reads the body.
        The exceptions of `ensure_fresh`, except ReauthRequired.
    """
    _require_path_below_base_url(state.auth, request.path)
    credential = await _require_fresh(installation, state)
    refreshed = False
    while True:
        record.attempts += 1
        relayed, sent_at = None, time.perf_counter()
        try:
            async with _sent(installation, credential, request) as relayed:
                seconds = time.perf_counter() - sent_at
                connection = credential.connection
                if (
                    relayed.status == 401
                    and not refreshed
                    and not installation.rechecks.was_refreshed(connection.id, credential.version)
                ):
                    refreshed = True
                    newer = await _refresh(installation, state, credential)
                    if newer is not None:
                        if not request.replayable:
                            raise CredentialsRefreshedRetry(
                                "One Runtime has refreshed the credential. Send the request again."
                            )
                        credential = newer
                        continue
                wait = _retry_delay(relayed, request, record.attempts, installation.clock())
                if wait is None:
                    # After a response such as 401, a recheck finds out if the credential still works.
                    body = refusal.watch(credential.auth, relayed, partial(_enqueue_recheck, installation, connection))
                    record.status, record.upstream_seconds = relayed.status, seconds
                    added = (
                        (b"one-runtime-connection", connection.id.encode()),
                        (b"one-runtime-attempts", b"%d" % record.attempts),
                        (b"one-runtime-upstream-time", b"%.1f" % (seconds * 1000)),
                    )
                    location = partial(_location, installation, credential, request)
                    headers = (*returned_headers(relayed, location), *added)
                    yield Relayed(relayed.status, headers, body, _secrets_of(credential))
                    return
        except (UpstreamUnreachable, UpstreamTimeout):
            if relayed is not None or not _may_repeat(request, record.attempts):
                raise
            wait = _FIRST_WAIT * 2 ** (record.attempts - 1)
        await asyncio.sleep(wait)


def _enqueue_recheck(installation: Installation, connection: Connection) -> None:
    recheck = RecheckRequest(connection.organization_id, connection.id, connection.integration_slug)
    installation.rechecks.enqueue(recheck)


async def _require_fresh(
    installation: Installation, state: CredentialState, rejected: int | None = None
) -> UsableCredential:
    try:
        return await ensure_fresh(installation, state, rejected=rejected)
    except ReauthRequired as error:
        raise ConnectRequired(error.detail) from error


def _sent(
    installation: Installation, credential: UsableCredential, request: ProxyRequest
) -> AbstractAsyncContextManager[Relayed]:
    """Return a context manager that sends the request once and returns the response.

    Raises: ConnectRequired; InvalidInput; RequestRefused.
    """
    if credential.integration is None or credential.auth is None:
        raise ConnectRequired("The integration of this connection no longer exists.")
    injection = inject(credential.auth, credential.values)
    base_url = _base_url(credential.auth, credential.values, injection, request)
    _require_host(base_url, request.hosts)
    return installation.relay.for_tenant(credential.connection.organization_id).relay(
        request.method,
        base_url + request.path + _query(injection, request.query),
        headers=_request_headers(credential.auth, injection, request),
        body=request.body,
        limits=request.limits,
        integration=credential.integration.slug,
    )


def _location(
    installation: Installation, credential: UsableCredential, request: ProxyRequest, location: bytes
) -> bytes | None:
    """Return the `Location` of a redirect for the caller, or None if the caller must not receive it."""
    if credential.auth is None:
        return None
    base_url = _base_url(credential.auth, credential.values, inject(credential.auth, credential.values), request)
    url = base_url + request.path + (f"?{request.query}" if request.query else "")
    hosts = [value.decode("latin-1") for name, value in request.headers if name.lower() == b"host"]
    own_urls = [installation.settings.public_url, *(f"http://{host}/" for host in hosts)]
    returned = returned_location(location.decode("latin-1"), url, own_urls, _secrets_of(credential))
    return returned.encode("latin-1") if returned is not None else None


def _secrets_of(credential: UsableCredential) -> tuple[str, ...]:
    return secret_values(credential.auth, credential.values) if credential.auth is not None else ()


async def _refresh(
    installation: Installation, state: CredentialState, credential: UsableCredential
) -> UsableCredential | None:
    """Refresh a credential that the provider refused. Return the newer credential.

    Return None if there is no newer credential. Raises: the exceptions of `_require_fresh`.
    """
    try:
        newer = await _require_fresh(installation, state, credential.version)
    except (ProviderUnavailable, TargetRefused):  # the caller gets the provider's 401
        return None
    if newer.version == credential.version:
        return None
    installation.rechecks.mark_refreshed(newer.connection.id, newer.version)
    return newer


def _may_repeat(request: ProxyRequest, attempts: int) -> bool:
    return request.retry and request.replayable and request.method.upper() in _IDEMPOTENT and attempts < MAX_ATTEMPTS


def _retry_delay(relayed: Relayed, request: ProxyRequest, attempts: int, now: datetime) -> float | None:
    """Return the seconds until the next attempt. Return None if the caller receives this response."""
    if relayed.status not in _RETRYABLE or not _may_repeat(request, attempts):
        return None
    requested = _requested_delay(relayed.headers, now)
    wait = requested if requested is not None else _FIRST_WAIT * 2 ** (attempts - 1)
    return wait if wait <= MAX_WAIT else None


def _requested_delay(headers: Iterable[tuple[bytes, bytes]], now: datetime) -> float | None:
    """Return the delay from a header such as `Retry-After`. Return None if no header contains a delay."""
    values = {name.lower(): value for name, value in headers}
    for name in (b"retry-after", b"ratelimit-reset", b"x-ratelimit-reset", b"x-rate-limit-reset"):
        delay = parse_retry_after(values.get(name, b"").decode("latin-1"), now)
        if delay is not None:
            return delay
    return None


def _base_url(auth: AuthBase, values: ConnectionValues, injection: Injection, request: ProxyRequest) -> str:
    """Return the base URL that the caller requests. By default, return the integration's first base URL.

    Raises: InvalidInput if the integration does not list the requested URL (promise P7 of docs/security.md).
    """
    if request.base_url is None:
        return injection.base_url
    known, templates = {**values.params, **values.credentials}, (auth.base_url, *auth.more_base_urls)
    base_url = request.base_url.rstrip("/")
    if base_url not in {resolve_url(url, known) for url in templates}:
        allowed = ", ".join(templates)  # the templates without values, because a value can be the API key
        raise InvalidInput.of("One-Runtime-Base-Url", f"must be a base URL of this integration: {allowed}")
    return base_url


def _require_host(base_url: str, hosts: frozenset[str] | None) -> None:
    """Raises: NotAllowed."""
    host = urlsplit(base_url).hostname
    if hosts is not None and host not in hosts:
        raise NotAllowed(f"This caller may not send requests to {host}. Allowed: {', '.join(sorted(hosts))}.")


def _require_path_below_base_url(auth: AuthBase | None, path: str) -> None:
    """Refuse a path with the segment `..`. An integration can allow this segment. Raises: InvalidInput."""
    if auth is not None and not auth.allow_dot_segments and _DOT_SEGMENT.search(path):
        raise InvalidInput.of(
            "path",
            'must not contain the segment "..", because the path could leave the base URL. If the provider needs such '
            "paths, the definition of the integration must contain allow_dot_segments: true",
        )


def _query(injection: Injection, raw: str) -> str:
    """Return the query string to send. A credential in the query replaces the caller's parameter of the same name."""
    if not injection.query:
        return f"?{raw}" if raw else ""
    injected = {name for name, _ in injection.query}
    pairs = [pair for pair in raw.split("&") if pair and unquote_plus(pair.partition("=")[0]) not in injected]
    pairs += [f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in injection.query]
    return "?" + "&".join(pairs)


def _request_headers(auth: AuthBase, injection: Injection, request: ProxyRequest) -> list[tuple[str, str]]:
    """Return the headers to forward: the caller's headers and the integration's headers.

    The header with the credential replaces the caller's header of the same name. The caller's header replaces the
    integration's constant header of the same name.
    """
    injected = _header_keys(name for name, _ in injection.headers)
    defaults = _header_keys(auth.headers) - _header_keys(auth.send.headers)
    dropped = hop_by_hop(request.headers) | _NOT_FORWARDED | (injected - defaults)
    if not request.trace:
        dropped |= _TRACE
    headers: list[tuple[str, str]] = []
    present: set[bytes] = set()
    for raw_name, raw_value in request.headers:
        key = header_key(raw_name)
        if key in dropped or key.startswith(_NOT_FORWARDED_PREFIXES):
            continue
        if key == b"user-agent" and raw_value.startswith(_USER_AGENTS_OF_CLIENTS):
            continue
        if key == b"accept-language" and raw_value == b"*":  # from Node; as no header (RFC 9110 section 12.5.4)
            continue
        name = raw_name.decode("latin-1")
        try:
            headers.append((name, raw_value.decode()))
        except UnicodeDecodeError as error:
            raise RequestRefused(f"The value of the header {name} must be ASCII or UTF-8.") from error
        present.add(key)
    if request.length is not None:
        headers.append(("Content-Length", str(request.length)))
    if b"user-agent" not in injected | present:
        headers.append(("User-Agent", USER_AGENT))
    return [*headers, *(header for header in injection.headers if header_key(header[0].encode()) not in present)]


def _header_keys(names: Iterable[str]) -> set[bytes]:
    return {header_key(name.encode()) for name in names}
