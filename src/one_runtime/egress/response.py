"""Define the responses to outbound requests: a complete response, and a response with a streamed body."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from one_runtime.egress.hop import Headers


@dataclass(frozen=True, slots=True)
class Response:
    """A complete response with a decoded body. `repr` omits headers and body, because both can contain a token."""

    status: int
    headers: Headers = field(repr=False)
    """The headers in the received order, with duplicates. The decoding as latin-1 loses no byte.

    If the response had a content encoding, `Content-Encoding` and `Content-Length` are omitted.
    """
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class StreamedResponse:
    """A response with a streamed body. `body` yields each piece as soon as the piece arrives."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...] = field(repr=False)
    """The headers in the received order, with duplicates."""
    body: AsyncIterator[bytes] = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False, default=())
    """The secrets with which the request was authenticated. A provider can repeat them."""
