"""Reading an answer's body: decoded, never beyond the cap, neither on the wire nor after decompression (P12)."""

import zlib
from typing import Final

import aiohttp

from one_runtime.egress.errors import UpstreamProtocolError, UpstreamTooLarge

_GZIP: Final = 16 + zlib.MAX_WBITS
_ENCODINGS: Final = frozenset({"", "identity", "gzip", "x-gzip", "deflate"})
_ZLIB_METHOD: Final = 8
_NO_BODY: Final = frozenset({204, 304})  # they may tell the length that another answer would have


async def read_body(answer: aiohttp.ClientResponse, authority: str, cap: int) -> bytes:
    """The whole body, decoded from gzip or deflate.

    Raises:
        UpstreamTooLarge: it has more than `cap` bytes.
        UpstreamProtocolError: its encoding is another one, or broken.
    """
    received = await _received(answer, authority, cap)
    encoding = content_encoding(answer)
    if encoding not in _ENCODINGS:
        raise UpstreamProtocolError(f"{authority} answered in an encoding that was not asked for.")
    if not received or encoding in ("", "identity"):
        return received
    try:
        return _decoded(received, encoding, authority, cap)
    except zlib.error:
        raise UpstreamProtocolError(f"{authority} sent a body whose {encoding} encoding is broken.") from None


def content_encoding(answer: aiohttp.ClientResponse) -> str:
    """The answer's content encoding, in lower case; empty where it has none."""
    return ",".join(answer.headers.getall("Content-Encoding", ())).strip().lower()


async def _received(answer: aiohttp.ClientResponse, authority: str, cap: int) -> bytes:
    told = 0 if answer.method == "HEAD" or answer.status in _NO_BODY else answer.content_length or 0
    if told > cap:
        raise _too_large(authority, cap)
    pieces = bytearray()
    async for piece in answer.content.iter_any():
        pieces += piece
        if len(pieces) > cap:
            raise _too_large(authority, cap)
    return bytes(pieces)


def _decoded(received: bytes, encoding: str, authority: str, cap: int) -> bytes:
    """Decode, asking for at most one byte more than the cap allows.

    RFC 1952 allows several gzip members in a row; nobody sends them, and many small ones would keep the loop busy.
    """
    decoder = zlib.decompressobj(_window_bits(received, encoding))
    decoded = decoder.decompress(received, cap + 1)
    if len(decoded) > cap:
        raise _too_large(authority, cap)
    if not decoder.eof or decoder.unused_data.strip(b"\0"):  # some servers pad with zeros
        raise UpstreamProtocolError(f"{authority} sent a body that does not end where its encoding says.")
    return decoded


def _window_bits(received: bytes, encoding: str) -> int:
    if encoding != "deflate":
        return _GZIP
    # "deflate" is zlib (RFC 9110 section 8.4.1.2), yet some servers send it without zlib's two bytes.
    return zlib.MAX_WBITS if received[0] & 0x0F == _ZLIB_METHOD else -zlib.MAX_WBITS


def _too_large(authority: str, cap: int) -> UpstreamTooLarge:
    return UpstreamTooLarge(f"{authority} answered with more than {cap} bytes.")
