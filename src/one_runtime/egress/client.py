"""`Egress`: make one outbound request, with redirects, limits and the guard on every hop."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Self

import aiohttp

from one_runtime.egress.body import content_encoding, read_body
from one_runtime.egress.errors import UpstreamProtocolError, UpstreamTimeout
from one_runtime.egress.hop import Body, Headers, Hop, first_hop, next_hop, relayed_hop
from one_runtime.egress.limits import DEFAULT_LIMITS, DEFAULT_POOL_LIMITS, Limits, PoolLimits
from one_runtime.egress.network import Network
from one_runtime.egress.observation import observed
from one_runtime.egress.pool import Certificate, Pool
from one_runtime.egress.target import canonical_allow_list, parse

_CONTROL: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Response:
    """A whole answer, its body decoded. Headers and body are not shown: they may hold a token."""

    status: int
    headers: Headers = field(repr=False)
    """As received, in order, with duplicates; as latin-1, which loses nothing."""
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Relayed:
    """An answer whose body is still to come, in the pieces in which it comes."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...] = field(repr=False)
    """As received, in order, with duplicates."""
    body: AsyncIterator[bytes] = field(repr=False)


class Egress:
    """A way out for one purpose, with connections and limits of its own."""

    def __init__(
        self,
        *,
        allow: frozenset[tuple[str, int]] = frozenset(),
        way_out: Network | None = None,
        limits: Limits = DEFAULT_LIMITS,
        pool_limits: PoolLimits = DEFAULT_POOL_LIMITS,
        before_request: Callable[[], None] | None = None,
    ) -> None:
        """A way out.

        Args:
            allow: hosts and ports, exactly, that are reached although they are not on the public internet.
            way_out: the network; a caller that passes one closes it.
            limits: for requests that bring none of their own.
            pool_limits: for all requests together.
            before_request: called before each hop. Tests raise here while a transaction is open (house rule 7).

        Raises:
            ConfigurationError: an entry of `allow` is not a host and a port.
        """
        self._way_out = way_out or Network(threads=pool_limits.resolver_threads)
        self._owns_way_out = way_out is None
        self._limits = limits
        self._pool_limits = pool_limits
        self._before_request = before_request
        self._pool = Pool(canonical_allow_list(allow), self._way_out, pool_limits)

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Sequence[tuple[str, str]] = (),
        body: bytes | None = None,
        follow_redirects: bool = False,
        limits: Limits | None = None,
    ) -> Response:
        """Send a request and read the whole answer. Path and query are sent byte for byte as given.

        Raises:
            TargetRefused: the address, or one it redirects to, may not be reached.
            RequestRefused: the method or a header cannot be sent.
            UpstreamUnreachable: there was no connection, or it broke.
            UpstreamTimeout: it took too long.
            UpstreamTooLarge: the body is larger than the limit.
            UpstreamProtocolError: the answer cannot be understood, or redirects too often.
        """
        with observed(method) as seen:
            hop = first_hop(method, url, headers, body)
            answer = await self._in_time(hop, limits or self._limits, follow_redirects=follow_redirects)
            seen.status = answer.status
        return answer

    async def _in_time(self, hop: Hop, limits: Limits, *, follow_redirects: bool) -> Response:
        try:
            async with asyncio.timeout(limits.total):
                return await self._follow(hop, limits, follow_redirects=follow_redirects)
        except TimeoutError:
            raise UpstreamTimeout(
                f"{hop.target.authority} had not answered completely after {limits.total:g} seconds."
            ) from None

    @asynccontextmanager
    async def relay(
        self,
        method: str,
        url: str,
        *,
        headers: Sequence[tuple[str, str]],
        body: Body | None,
        limits: Limits,
        whose: str = "",
    ) -> AsyncIterator[Relayed]:
        """Send a request as it is, and give the answer as it comes: nothing is decoded, followed or collected. The
        connection is given back when the block ends, and closed where the answer was not read to its end. `whose`: who
        shares the limit of exchanges with one upstream.

        Raises:
            EgressError: as `request`; also while the block reads the body.
        """
        with observed(method) as seen:
            hop = relayed_hop(method, url, headers, body)
            if self._before_request is not None:
                self._before_request()
            async with self._pool.exchange(hop, limits, whose) as answer:
                seen.status = answer.status
                _require_repeatable(answer, hop.target.authority)
                yield Relayed(answer.status, answer.raw_headers, answer.content.iter_any())

    async def certificate(self, url: str, *, limits: Limits | None = None) -> Certificate:
        """The TLS certificate of the server at an https address, which is checked as any other's.

        Raises:
            TargetRefused: the address may not be reached.
            UpstreamUnreachable: there was no connection, or the certificate is not valid; says why.
            UpstreamTimeout: it took too long.
        """
        target, limits = parse(url), limits or self._limits
        try:
            async with asyncio.timeout(limits.total):
                return await self._pool.certificate(target)
        except TimeoutError:
            raise UpstreamTimeout(f"{target.authority} had not answered after {limits.total:g} seconds.") from None

    async def replace_allow_list(self, allow: frozenset[tuple[str, int]]) -> None:
        """Use another allow-list from now on. Connections made under the old one are closed, also those in use.

        Raises:
            ConfigurationError: an entry is not a host and a port.
        """
        old, self._pool = self._pool, Pool(canonical_allow_list(allow), self._way_out, self._pool_limits)
        await old.close()

    async def close(self) -> None:
        """Close every connection. Nothing can be sent afterwards."""
        await self._pool.close()
        if self._owns_way_out:
            self._way_out.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def _follow(self, hop: Hop, limits: Limits, *, follow_redirects: bool) -> Response:
        redirects = 0
        while True:
            if self._before_request is not None:
                self._before_request()
            async with self._pool.exchange(hop, limits) as answer:
                following = next_hop(hop, answer.status, _location(answer)) if follow_redirects else None
                if following is None:
                    return await _whole(answer, hop, limits)
            redirects += 1
            if redirects > limits.redirects:
                raise UpstreamProtocolError(f"{hop.target.authority} redirects more than {limits.redirects} times.")
            hop = following


def _require_repeatable(answer: aiohttp.ClientResponse, authority: str) -> None:
    """Raises: UpstreamProtocolError, where it cannot be passed on in HTTP."""
    if answer.status < 200:
        raise UpstreamProtocolError(f"{authority} wants to switch to another protocol than HTTP.")
    if answer.status > 599:
        raise UpstreamProtocolError(f"{authority} answered {answer.status}, which is no status of HTTP.")
    if any(_CONTROL.search(value) for _, value in answer.raw_headers):
        raise UpstreamProtocolError(f"{authority} sent a header with a control character.")


async def _whole(answer: aiohttp.ClientResponse, hop: Hop, limits: Limits) -> Response:
    if answer.status < 200:
        raise UpstreamProtocolError(f"{hop.target.authority} wants to switch to another protocol than HTTP.")
    body = await read_body(answer, hop.target.authority, limits.body)
    # The body is decoded, so the headers that describe it as it was sent are no longer true.
    untrue = {b"content-encoding", b"content-length"} if content_encoding(answer) else set()
    headers = tuple(
        (name.decode("latin-1"), value.decode("latin-1"))
        for name, value in answer.raw_headers
        if name.lower() not in untrue
    )
    return Response(answer.status, headers, body)


def _location(answer: aiohttp.ClientResponse) -> str | None:
    found = [value.decode("latin-1") for name, value in answer.raw_headers if name.lower() == b"location"]
    return found[0] if found else None
