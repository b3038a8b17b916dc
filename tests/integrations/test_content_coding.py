"""Content codings: the choice for a caller, valid streams, and the bounded cache."""

import sys
import zlib
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from one_runtime.integrations.byte_cache import ENTRY
from one_runtime.integrations.content_coding import (
    FAST,
    MAX_HEADER,
    SMALL,
    Coding,
    Compressor,
    Levels,
    _choose,
    choose,
    compress,
)

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

CODINGS: Final[tuple[Coding, ...]] = ("gzip", "zstd")
CHOSEN = {
    "gzip": "gzip",
    "x-gzip": "gzip",
    "zstd": "zstd",
    "GZip": "gzip",
    "gzip, deflate": "gzip",
    "gzip, deflate, br, zstd": "zstd",  # what browsers send
    "zstd;q=0.5, gzip;q=0.8": "gzip",
    "gzip;q=0.5, zstd;q=0.5": "zstd",
    "gzip ; q=1.000": "gzip",
    "*": "zstd",
    "*;q=0.1": "zstd",
    "zstd;q=0, *": "gzip",
    "identity;q=0.5, gzip;q=1.0": "gzip",
    "identity;q=0, gzip;q=0.001": "gzip",
    "identity, gzip": "gzip",
    "br, gzip;q=0.2": "gzip",
    "": None,
    "identity": None,
    "br": None,
    "deflate": None,
    "gzip;q=0": None,
    "gzip;q=0, zstd;q=0.0": None,
    "*;q=0": None,
    "gzip;q=0, zstd;q=0, *;q=1": None,
    "gzip;q=0.5, identity": None,  # the caller would rather have none
    "identity;q=0": None,  # it takes none of ours: RFC 9110 section 12.4.1 lets us disregard it
    "gzip;q=high": None,
    "gzip;q=2": None,
    "gzip;q=nan": None,
    ";q=1,,": None,
}


@pytest.mark.parametrize("accepted", CHOSEN)
def test_a_caller_gets_its_preferred_coding(accepted: str) -> None:
    assert choose(accepted) == CHOSEN[accepted]


def test_long_header_is_neither_parsed_nor_cached() -> None:
    header = "gzip".ljust(MAX_HEADER)
    assert choose(header) == "gzip"
    cached = _choose.cache_info()
    assert choose(f"{header} ") is None
    assert _choose.cache_info() == cached


@given(st.text(alphabet="gzipstd;=q0.15*, \t", max_size=60))
def test_any_header_is_parsed_without_an_error(accepted: str) -> None:
    assert choose(accepted) in {None, "gzip", "zstd"}


def decode(coding: Coding, stream: bytes) -> bytes:
    """Decode like browsers and many clients: the decoder stops at the end of the first member or frame."""
    if coding == "gzip":
        inflate = zlib.decompressobj(zlib.MAX_WBITS | 16)
        text = inflate.decompress(stream) + inflate.flush()
        assert inflate.eof, "the checksum and the length in the trailer were checked"
        assert inflate.unused_data == b"", "one member"
        return text
    decoder = zstd.ZstdDecompressor()
    text = decoder.decompress(stream)
    assert decoder.eof
    assert decoder.unused_data == b"", "one frame"
    return text


@pytest.mark.parametrize("levels", [FAST, SMALL])
@pytest.mark.parametrize("coding", ["gzip", "zstd"])
@given(text=st.binary(max_size=3000), times=st.integers(0, 90))
def test_compressed_text_is_one_stream(coding: Coding, levels: Levels, text: bytes, times: int) -> None:
    assert decode(coding, compress(text * times, coding, levels)) == text * times


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
async def test_long_text_is_compressed_on_another_thread_and_cached(coding: Coding) -> None:
    text = b"".join(b"%d, " % (number * number) for number in range(200_000))
    compressor = Compressor(FAST, capacity=10_000_000)
    stream = await compressor.compress("key", text, coding)
    assert decode(coding, stream) == text
    assert len(stream) < len(text) * 0.6
    assert await compressor.compress("key", text, coding) is stream


async def test_texts_and_codings_do_not_share_a_cache_entry() -> None:
    compressor = Compressor(FAST, capacity=10_000)
    for text in (b"a" * 2000, b"b" * 2000):
        for coding in CODINGS:
            for _ in range(2):
                assert decode(coding, await compressor.compress(text[:1], text, coding)) == text


async def test_cache_is_bounded_and_drops_the_least_recently_used_first() -> None:
    texts = [bytes(range(number, number + 100)) * 2 for number in range(10)]
    sizes = [len(compress(text, "zstd", FAST)) for text in texts]
    compressor = Compressor(FAST, capacity=sum(sizes[:3]) + 3 * ENTRY + 10)

    async def cached(number: int) -> bytes:
        return await compressor.compress(number, texts[number], "zstd")

    first, second = await cached(0), await cached(1)
    await cached(2)
    assert await cached(0) is first
    await cached(3)
    assert await cached(0) is first
    assert await cached(1) is not second
    for number in range(10):
        assert decode("zstd", await cached(number)) == texts[number]
    tiny = Compressor(FAST, capacity=1)
    assert decode("zstd", await tiny.compress("key", texts[0], "zstd")) == texts[0]
