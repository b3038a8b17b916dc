"""Call a provider on an end user's behalf: the caller's request with the credential in it, the answer as it comes.

Nothing is collected on the way but small bodies, which a second try would need. A request is sent twice only after the
provider has refused its credential, which then has not been acted upon (RFC 9110 section 15.5.2), or where the caller
asks for it.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import quote, unquote_plus

from one_runtime.catalog.auth import AuthBase
from one_runtime.catalog.request import Injection, Values, inject, resolve_url
from one_runtime.connections.credentials import ProviderUnavailable
from one_runtime.context import Installation
from one_runtime.egress import (
    USER_AGENT,
    Body,
    Limits,
    Relayed,
    RequestRefused,
    UpstreamTimeout,
    UpstreamUnreachable,
    on_behalf_of,
)
from one_runtime.errors import Conflict, InvalidInput
from one_runtime.jobs.recheck_queue import RecheckRequest
from one_runtime.proxy.lookup import ConnectRequired
from one_runtime.tokens.refresh import ReauthRequired, ensure_fresh
from one_runtime.tokens.state import CredentialState, UsableCredential

MOST_ATTEMPTS: Final = 3
LONGEST_WAIT: Final = 30.0
"""Seconds that a provider may ask for before another try; where it asks for more, the caller gets its answer."""

_PASSING: Final = frozenset({429, 502, 503, 504})
_IDEMPOTENT: Final = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS"})
_FIRST_WAIT: Final = 0.5
_EPOCH: Final = 1_000_000_000  # above it, a reset is a moment and not a number of seconds
# RFC 9110 section 7.6.1: what two neighbours on the way say to each other.
_HOP_BY_HOP: Final = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
# What is for us, or was added on the way to us: our key, who stands before us, our own headers.
_OURS: Final = frozenset({"authorization", "content-length", "expect", "forwarded", "host", "via", "x-real-ip"})
_OUR_PREFIXES: Final = ("one-runtime-", "x-forwarded-")
_TRACE: Final = frozenset({"traceparent", "tracestate", "baggage"})
_OF_A_HOST: Final = frozenset({"date", "alt-svc", "strict-transport-security", "x-sendfile", "x-lighttpd-send-file"})
_NOT_TOLD: Final = (b"one-runtime-", b"x-accel-")
_WITHOUT_BODY: Final = frozenset({204, 304})
_UPSTREAM_REQUEST_ID: Final = b"one-runtime-upstream-request-id"


class CredentialsRefreshedRetry(Conflict):
    """The provider refused the credential, it was renewed, and the body has gone by: it has to be sent again."""

    code = "credentials_refreshed_retry"


@dataclass(frozen=True, slots=True)
class ProxyRequest:
    """A request as the caller made it. `path` and `query` are raw, the headers as they came; `length`: of a body that
    comes in pieces, where it is known; `replayable`: it can be sent once more."""

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


@dataclass(frozen=True, slots=True)
class ProxyResponse:
    """The provider's answer. `seconds`: from the last attempt's sending to its status line."""

    relayed: Relayed
    headers: tuple[tuple[bytes, bytes], ...]
    connection_id: str
    attempts: int
    seconds: float


@dataclass(slots=True)
class AttemptCounter:
    """How often a request was sent, also where there was no answer."""

    count: int = 0


@asynccontextmanager
async def call(
    installation: Installation, state: CredentialState, asked: ProxyRequest, attempts: AttemptCounter
) -> AsyncIterator[ProxyResponse]:
    """Send it, and count how often; the answer's body comes inside of the block.

    Raises: ConnectRequired; CredentialsRefreshedRetry; ProviderUnavailable; InvalidInput; EgressError, also inside.
    """
    try:
        usable = await ensure_fresh(installation, state)
    except ReauthRequired as error:
        raise ConnectRequired(error.detail) from error
    refreshed = False
    while True:
        attempts.count += 1
        async with AsyncExitStack() as stack:
            begun = time.perf_counter()
            relayed = await _attempt(installation, usable, asked, stack, attempts.count)
            if relayed is None:
                continue
            seconds = time.perf_counter() - begun
            if relayed.status == 401 and not refreshed and not _is_renewed(installation, usable):
                refreshed = True
                renewed = await _renewed(installation, state, usable)
                if renewed is not None:
                    if not asked.replayable:
                        raise CredentialsRefreshedRetry("The credential was renewed meanwhile. Send the request again.")
                    usable = renewed
                    continue
            wait = _pause(relayed, asked, attempts.count)
            if wait is None:
                if relayed.status == 401:  # whether it is the credential's fault, the entry's check tells
                    installation.doubts.ask(_doubt(usable))
                headers = tuple(_told(relayed.status, relayed.headers))
                yield ProxyResponse(relayed, headers, usable.connection.id, attempts.count, seconds)
                return
        await asyncio.sleep(wait)


async def _attempt(
    installation: Installation, usable: UsableCredential, asked: ProxyRequest, stack: AsyncExitStack, attempts: int
) -> Relayed | None:
    """One try; None where there was no connection and another try is asked for."""
    if usable.integration is None or usable.auth is None:
        raise ConnectRequired("The integration of this connection has gone.")
    injection = inject(usable.auth, usable.values)
    url = _base_url(usable.auth, usable.values, injection, asked) + asked.path + _query(injection, asked.query)
    headers = _headers(usable.auth, injection, asked)
    stack.enter_context(on_behalf_of(usable.integration.slug))
    whose = usable.connection.organization_id
    relayed = installation.relay.relay(
        asked.method, url, headers=headers, body=asked.body, limits=asked.limits, tenant=whose
    )
    try:
        return await stack.enter_async_context(relayed)
    except (UpstreamUnreachable, UpstreamTimeout):
        if not _may_repeat(asked, attempts):
            raise
        await asyncio.sleep(_FIRST_WAIT * 2 ** (attempts - 1))
        return None


async def _renewed(
    installation: Installation, state: CredentialState, usable: UsableCredential
) -> UsableCredential | None:
    """Newer credentials than the provider has just refused; None where there are none."""
    try:
        renewed = await ensure_fresh(installation, state, rejected=usable.version)
    except ReauthRequired as error:
        raise ConnectRequired(error.detail) from error
    except ProviderUnavailable:  # the caller gets what the provider said
        return None
    if renewed.version == usable.version:
        return None
    installation.doubts.note_renewed(renewed.connection.id, renewed.version)
    return renewed


def _doubt(usable: UsableCredential) -> RecheckRequest:
    connection = usable.connection
    return RecheckRequest(connection.organization_id, connection.id, connection.integration_slug)


def _is_renewed(installation: Installation, usable: UsableCredential) -> bool:
    return installation.doubts.is_renewed(usable.connection.id, usable.version)


def _may_repeat(asked: ProxyRequest, attempts: int) -> bool:
    return asked.retry and asked.replayable and asked.method.upper() in _IDEMPOTENT and attempts < MOST_ATTEMPTS


def _pause(relayed: Relayed, asked: ProxyRequest, attempts: int) -> float | None:
    """Seconds until the next try; None where this answer is the caller's."""
    if relayed.status not in _PASSING or not _may_repeat(asked, attempts):
        return None
    told = _asked_to_wait(relayed.headers)
    wait = told if told is not None else _FIRST_WAIT * 2 ** (attempts - 1)
    return wait if wait <= LONGEST_WAIT else None


def _asked_to_wait(headers: Iterable[tuple[bytes, bytes]]) -> float | None:
    """What the provider says of it: `Retry-After` in seconds, or when its limit begins anew."""
    said = {name.lower(): value.strip() for name, value in headers}
    for name in (b"retry-after", b"ratelimit-reset", b"x-ratelimit-reset", b"x-rate-limit-reset"):
        value = said.get(name, b"")
        if value.replace(b".", b"", 1).isdigit():
            number = float(value)
            return max(0.0, number - time.time()) if number > _EPOCH else number
        if name == b"retry-after" and value:
            with suppress(ValueError, OverflowError):  # no date either
                return max(0.0, parsedate_to_datetime(value.decode("latin-1")).timestamp() - time.time())
    return None


def _base_url(auth: AuthBase, values: Values, injection: Injection, asked: ProxyRequest) -> str:
    """Where the entry says that the API is, or another address of it that the caller names (P7)."""
    if asked.base_url is None:
        return injection.base_url
    known, templates = {**values.params, **values.credentials}, (auth.base_url, *auth.more_base_urls)
    wanted = asked.base_url.rstrip("/")
    if wanted not in {resolve_url(url, known) for url in templates}:
        named = ", ".join(templates)  # not filled in: some addresses hold the key
        raise InvalidInput.of("One-Runtime-Base-Url", f"is none of this integration's: {named}")
    return wanted


def _query(injection: Injection, raw: str) -> str:
    """The caller's query as it is, but for parameters that carry the credential."""
    if not injection.query:
        return f"?{raw}" if raw else ""
    ours = {name for name, _ in injection.query}
    kept = [pair for pair in raw.split("&") if pair and unquote_plus(pair.partition("=")[0]) not in ours]
    sent = [f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in injection.query]
    return "?" + "&".join([*kept, *sent])


def _headers(auth: AuthBase, injection: Injection, asked: ProxyRequest) -> list[tuple[str, str]]:
    """The caller's headers, but for those that are ours, and the entry's: its credential always, its other headers
    where the caller does not say them."""
    dropped = _dropped(asked.headers) | _OURS
    kept: list[tuple[str, str]] = []
    for raw_name, raw_value in asked.headers:
        name = raw_name.decode("latin-1")
        lower = name.lower()
        if lower in dropped or lower.startswith(_OUR_PREFIXES) or (lower in _TRACE and not asked.trace):
            continue
        kept.append((name, _text(name, raw_value)))
    given = {name.lower() for name, _ in kept}
    constant = {name.lower() for name in auth.headers} - {name.lower() for name in auth.send.headers}
    entrys = [(name, value) for name, value in injection.headers if name.lower() not in constant & given]
    replaced = {name.lower() for name, _ in entrys}
    sent = [(name, value) for name, value in kept if name.lower() not in replaced]
    if "user-agent" not in given | replaced:
        sent.append(("User-Agent", USER_AGENT))
    if asked.length is not None:
        sent.append(("Content-Length", str(asked.length)))
    return [*sent, *entrys]


def _text(name: str, value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise RequestRefused(f"The value of the header {name} is neither ASCII nor UTF-8.") from error


def _dropped(headers: Iterable[tuple[bytes, bytes]]) -> frozenset[str]:
    """What concerns one connection, also what `Connection` names beside that."""
    named = (value.decode("latin-1") for name, value in headers if name.lower() == b"connection")
    return _HOP_BY_HOP.union(one.strip().lower() for value in named for one in value.split(","))


def _told(status: int, headers: tuple[tuple[bytes, bytes], ...]) -> Iterable[tuple[bytes, bytes]]:
    """The provider's headers for the caller. `Request-Id` is ours, and `Date` our server's; so is what only the proxy
    before us would act on, and what is said of a host, which is not the provider's here."""
    dropped = _dropped(headers) | _OF_A_HOST
    if status in _WITHOUT_BODY:  # whose length it says, the caller would wait for
        dropped |= {"content-length"}
    for name, value in headers:
        lower = name.lower()
        if lower == b"request-id":
            yield _UPSTREAM_REQUEST_ID, value
        elif lower.decode("latin-1") not in dropped and not lower.startswith(_NOT_TOLD):
            yield name, value
