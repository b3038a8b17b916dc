"""Call a provider for an end user: add the credential to the caller's request, and stream the response back.

This module sends a request again in two cases:

- The provider answered 401, and One Runtime has refreshed the credential. A provider that answers 401 has not acted on
  the request (RFC 9110 section 15.5.2).
- The caller asked for retries.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from one_runtime.catalog.auth import AuthBase
from one_runtime.catalog.request import inject
from one_runtime.catalog.response import secret_values
from one_runtime.connections.credentials import ProviderUnavailable
from one_runtime.context import Installation
from one_runtime.egress.errors import TargetRefused, UpstreamTimeout, UpstreamUnreachable
from one_runtime.egress.hop import Body
from one_runtime.egress.limits import Limits
from one_runtime.egress.response import StreamedResponse
from one_runtime.egress.retry_after import parse_retry_after
from one_runtime.errors import Conflict
from one_runtime.jobs.recheck_queue import RecheckRequest
from one_runtime.proxy import refusal
from one_runtime.proxy.address import (
    injected_query,
    require_host,
    require_path_below_base_url,
    returned_location,
    selected_base_url,
)
from one_runtime.proxy.concurrency import CallRecord
from one_runtime.proxy.headers import forwarded_headers, returned_headers
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
) -> AsyncIterator[StreamedResponse]:
    """Send the request and yield the provider's response, with the headers that One Runtime adds.

    The caller reads the body inside the `async with` block. `call` updates `record`.

    Raises:
        ConnectRequired, CredentialsRefreshedRetry, InvalidInput: see the classes.
        EgressError: the request failed. `call` can also raise this error while the caller reads the body.
        The exceptions of `ensure_fresh`, except ReauthRequired.
    """
    require_path_below_base_url(state.auth, request.path)
    credential = await _require_fresh(installation, state)
    async with AsyncExitStack() as exchange:
        yield await _Attempts(installation, state, request, record, credential).last_response(exchange)


class _Attempts:
    """The attempts of one call, each with the newest credential."""

    def __init__(
        self,
        installation: Installation,
        state: CredentialState,
        request: ProxyRequest,
        record: CallRecord,
        credential: UsableCredential,
    ) -> None:
        self._installation, self._state, self._request, self._record = installation, state, request, record
        self._credential = credential
        self._has_refreshed = False
        self._upstream_seconds = 0.0

    async def last_response(self, exchange: AsyncExitStack) -> StreamedResponse:
        """Send the request until the caller can have the response. `exchange` keeps this response open."""
        response = await self._receive(exchange)
        while (delay := await self._delay_after(response)) is not None:
            await exchange.aclose()
            await asyncio.sleep(delay)
            response = await self._receive(exchange)
        return self._returned(response)

    async def _receive(self, exchange: AsyncExitStack) -> StreamedResponse:
        """Send the request until the provider responds. Raises: EgressError; the exceptions of `_send`."""
        while True:
            self._record.attempts += 1
            sent_at = time.perf_counter()
            try:
                response = await exchange.enter_async_context(self._send())
            except (UpstreamUnreachable, UpstreamTimeout):
                if not self._may_repeat():
                    raise
            else:
                self._upstream_seconds = time.perf_counter() - sent_at
                return response
            await asyncio.sleep(self._backoff())

    def _send(self) -> AbstractAsyncContextManager[StreamedResponse]:
        """Return a context manager that sends the request once and returns the response.

        Raises: ConnectRequired; InvalidInput; NotAllowed; RequestRefused.
        """
        credential, request = self._credential, self._request
        if credential.integration is None or credential.auth is None:
            raise ConnectRequired("The integration of this connection no longer exists.")
        injection = inject(credential.auth, credential.values)
        base_url = selected_base_url(credential.auth, credential.values, injection, request.base_url)
        require_host(base_url, request.hosts)
        egress = self._installation.proxy_egress.for_tenant(credential.connection.organization_id)
        return egress.stream(
            request.method,
            base_url + request.path + injected_query(injection, request.query),
            headers=forwarded_headers(credential.auth, injection, request.headers, request.length, trace=request.trace),
            body=request.body,
            limits=request.limits,
            integration=credential.integration.slug,
        )

    async def _delay_after(self, response: StreamedResponse) -> float | None:
        """Return the seconds until the next attempt. Return None if the caller receives this response.

        Raises: CredentialsRefreshedRetry; the exceptions of `_require_fresh`.
        """
        if response.status == 401 and await self._renew():
            return 0
        if response.status not in _RETRYABLE or not self._may_repeat():
            return None
        delay = _requested_delay(response.headers, self._installation.clock())
        delay = delay if delay is not None else self._backoff()
        return delay if delay <= MAX_WAIT else None

    async def _renew(self) -> bool:
        """Refresh the credential that the provider refused. Return False if there is no newer credential.

        Raises: CredentialsRefreshedRetry; the exceptions of `_require_fresh`.
        """
        rechecks, refused = self._installation.rechecks, self._credential
        if self._has_refreshed or rechecks.was_refreshed(refused.connection.id, refused.version):
            return False
        self._has_refreshed = True
        try:
            newer = await _require_fresh(self._installation, self._state, refused.version)
        except (ProviderUnavailable, TargetRefused):  # the caller gets the provider's 401
            return False
        if newer.version == refused.version:
            return False
        rechecks.mark_refreshed(newer.connection.id, newer.version)
        if not self._request.replayable:
            raise CredentialsRefreshedRetry("One Runtime has refreshed the credential. Send the request again.")
        self._credential = newer
        return True

    def _may_repeat(self) -> bool:
        request = self._request
        is_repeatable = request.retry and request.replayable and request.method.upper() in _IDEMPOTENT
        return is_repeatable and self._record.attempts < MAX_ATTEMPTS

    def _backoff(self) -> float:
        return _FIRST_WAIT * 2.0 ** (self._record.attempts - 1)

    def _returned(self, response: StreamedResponse) -> StreamedResponse:
        """Return the response for the caller."""
        self._record.status, self._record.upstream_seconds = response.status, self._upstream_seconds
        headers = (
            *returned_headers(response, self._returned_location),
            (b"one-runtime-connection", self._credential.connection.id.encode()),
            (b"one-runtime-attempts", b"%d" % self._record.attempts),
            (b"one-runtime-upstream-time", b"%.1f" % (self._upstream_seconds * 1000)),
        )
        # After a response such as 401, a recheck finds out if the credential still works.
        body = refusal.watch(self._auth, response, self._enqueue_recheck)
        return StreamedResponse(response.status, headers, body, self._secrets)

    def _returned_location(self, location: bytes) -> bytes | None:
        """Return the `Location` of a redirect for the caller, or None if the caller must not receive it."""
        request, values = self._request, self._credential.values
        base_url = selected_base_url(self._auth, values, inject(self._auth, values), request.base_url)
        url = base_url + request.path + (f"?{request.query}" if request.query else "")
        hosts = [value.decode("latin-1") for name, value in request.headers if name.lower() == b"host"]
        own_urls = [self._installation.settings.public_url, *(f"http://{host}/" for host in hosts)]
        returned = returned_location(location.decode("latin-1"), url, own_urls, self._secrets)
        return returned.encode("latin-1") if returned is not None else None

    @property
    def _auth(self) -> AuthBase:
        assert self._credential.auth is not None  # noqa: S101 - `_send` has checked the credential
        return self._credential.auth

    @property
    def _secrets(self) -> tuple[str, ...]:
        return secret_values(self._auth, self._credential.values)

    def _enqueue_recheck(self) -> None:
        connection = self._credential.connection
        recheck = RecheckRequest(connection.organization_id, connection.id, connection.integration_slug)
        self._installation.rechecks.enqueue(recheck)


async def _require_fresh(
    installation: Installation, state: CredentialState, rejected: int | None = None
) -> UsableCredential:
    try:
        return await ensure_fresh(installation, state, rejected=rejected)
    except ReauthRequired as error:
        raise ConnectRequired(error.detail) from error


def _requested_delay(headers: Iterable[tuple[bytes, bytes]], now: datetime) -> float | None:
    """Return the delay from a header such as `Retry-After`. Return None if no header contains a delay."""
    values = {name.lower(): value for name, value in headers}
    for name in (b"retry-after", b"ratelimit-reset", b"x-ratelimit-reset", b"x-rate-limit-reset"):
        delay = parse_retry_after(values.get(name, b"").decode("latin-1"), now)
        if delay is not None:
            return delay
    return None
