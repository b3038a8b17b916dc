"""Read and decompress the body of a provider's response.

The size limit `cap`, in bytes, applies before and after decompression (promise P12 of docs/security.md).
"""

import zlib
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from one_runtime.egress.errors import UpstreamProtocolError, UpstreamTooLarge

if TYPE_CHECKING:
    from aiohttp import ClientResponse

_GZIP: Final = 16 + zlib.MAX_WBITS
_ENCODINGS: Final = frozenset({"", "identity", "gzip", "x-gzip", "deflate"})
_ZLIB_METHOD: Final = 8
_NO_BODY: Final = frozenset({204, 304})  # no body, even with a Content-Length header (RFC 9110 section 8.6)


async def read_body(answer: "ClientResponse", authority: str, cap: int) -> bytes:
    """Return the whole body. Decode a body with the encoding gzip or deflate.

    `authority`: host and port of the provider, for error texts.

    Raises:
        UpstreamTooLarge: the body has more than `cap` bytes.
        UpstreamProtocolError: the encoding is not supported, or the data is malformed.
    """
    received = await _received(answer, authority, cap)
    encoding = content_encoding(answer)
    if encoding not in _ENCODINGS:
        raise UpstreamProtocolError(f"{authority} used a content encoding that One Runtime did not request.")
    if not received or encoding in ("", "identity"):
        return received
    try:
        return _decoded(received, encoding, authority, cap)
    except zlib.error:
        raise UpstreamProtocolError(f"{authority} sent a body with malformed {encoding} data.") from None


def decompress(body: bytes, encoding: str, cap: int) -> bytes | None:
    """Return a body without its content encoding.

    Return None for an unsupported encoding, for malformed data, and for a result of more than `cap` bytes.
    """
    if encoding not in _ENCODINGS:
        return None
    if not body or encoding in ("", "identity"):
        return body
    with suppress(zlib.error, UpstreamProtocolError, UpstreamTooLarge):
        return _decoded(body, encoding, "", cap)
    return None


def content_encoding(answer: "ClientResponse") -> str:
    """Return the content encoding in lower case, or an empty text if the response has no content encoding."""
    return ",".join(answer.headers.getall("Content-Encoding", ())).strip().lower()


async def _received(answer: "ClientResponse", authority: str, cap: int) -> bytes:
    declared = 0 if answer.method == "HEAD" or answer.status in _NO_BODY else answer.content_length or 0
    if declared > cap:
        raise _too_large(authority, cap)
    pieces = bytearray()
    async for piece in answer.content.iter_any():
        pieces += piece
        if len(pieces) > cap:
            raise _too_large(authority, cap)
    return bytes(pieces)


def _decoded(received: bytes, encoding: str, authority: str, cap: int) -> bytes:
    """Decode at most `cap + 1` bytes. The additional byte shows that a body is too large.

    RFC 1952 allows a body of several gzip members. One Runtime refuses a second member, because decoding many small
    members would block the event loop.
    """
    decoder = zlib.decompressobj(_window_bits(received, encoding))
    decoded = decoder.decompress(received, cap + 1)
    if len(decoded) > cap:
        raise _too_large(authority, cap)
    if not decoder.eof or decoder.unused_data.strip(b"\0"):  # some servers append zero bytes
        raise UpstreamProtocolError(
            f"{authority} sent an incomplete {encoding} body, or data after the end of the {encoding} stream."
        )
    return decoded


def _window_bits(received: bytes, encoding: str) -> int:
    if encoding != "deflate":
        return _GZIP
    # "deflate" means the zlib format (RFC 9110 section 8.4.1.2), but some servers omit the header of this format.
    return zlib.MAX_WBITS if received[0] & 0x0F == _ZLIB_METHOD else -zlib.MAX_WBITS


def _too_large(authority: str, cap: int) -> UpstreamTooLarge:
    return UpstreamTooLarge(f"{authority} answered with more than {cap} bytes.")
