"""Read and decode a response body. The size limit (`cap`) applies before and after decompression (P12)."""

import zlib
from typing import Final

import aiohttp

from one_runtime.egress.errors import UpstreamProtocolError, UpstreamTooLarge

_GZIP: Final = 16 + zlib.MAX_WBITS
_ENCODINGS: Final = frozenset({"", "identity", "gzip", "x-gzip", "deflate"})
_ZLIB_METHOD: Final = 8
_NO_BODY: Final = frozenset({204, 304})  # never have a body, whatever Content-Length says (RFC 9110 section 8.6)


async def read_body(answer: aiohttp.ClientResponse, authority: str, cap: int) -> bytes:
    """Return the whole body, decoded from gzip or deflate.

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


def content_encoding(answer: aiohttp.ClientResponse) -> str:
    """Return the content encoding in lower case, or an empty text."""
    return ",".join(answer.headers.getall("Content-Encoding", ())).strip().lower()


async def _received(answer: aiohttp.ClientResponse, authority: str, cap: int) -> bytes:
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
    """Decode at most one byte more than the cap.

    Refuse a body of several gzip members, which RFC 1952 allows. Many small members would block the event loop.
    """
    decoder = zlib.decompressobj(_window_bits(received, encoding))
    decoded = decoder.decompress(received, cap + 1)
    if len(decoded) > cap:
        raise _too_large(authority, cap)
    if not decoder.eof or decoder.unused_data.strip(b"\0"):  # some servers pad with zeros
        raise UpstreamProtocolError(
            f"{authority} sent an incomplete {encoding} body, or data after the end of the {encoding} stream."
        )
    return decoded


def _window_bits(received: bytes, encoding: str) -> int:
    if encoding != "deflate":
        return _GZIP
    # "deflate" is zlib (RFC 9110 section 8.4.1.2), yet some servers send raw deflate data.
    return zlib.MAX_WBITS if received[0] & 0x0F == _ZLIB_METHOD else -zlib.MAX_WBITS


def _too_large(authority: str, cap: int) -> UpstreamTooLarge:
    return UpstreamTooLarge(f"{authority} answered with more than {cap} bytes.")
