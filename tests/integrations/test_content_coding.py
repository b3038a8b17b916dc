"""Content codings: which one a caller gets, streams put together of two parts, and the bounded cache."""

import gzip
import sys
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from one_runtime.integrations.content_coding import Coding, CompressedCache, choose, compress

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

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
def test_a_caller_gets_the_coding_it_likes_best(accepted: str) -> None:
    assert choose(accepted) == CHOSEN[accepted]


@given(st.text(alphabet="gzipstd;=q0.15*, \t", max_size=60))
def test_no_header_is_too_strange(accepted: str) -> None:
    assert choose(accepted) in {None, "gzip", "zstd"}


def whole(coding: Coding, stream: bytes) -> bytes:
    """Decoded by a decoder that stops where the first member or frame ends, as browsers and many clients do."""
    if coding == "gzip":
        inflate = zlib.decompressobj(zlib.MAX_WBITS | 16)
        text = inflate.decompress(stream) + inflate.flush()
        assert inflate.eof, "the checksum and the length in the trailer were looked at"
        assert inflate.unused_data == b"", "one member"
        return text
    decoder = zstd.ZstdDecompressor()
    text = decoder.decompress(stream)
    assert decoder.eof
    assert decoder.unused_data == b"", "one frame"
    return text


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
@given(head=st.binary(max_size=3000), text=st.binary(max_size=3000), times=st.integers(1, 90))
def test_a_head_and_a_text_compressed_before_are_one_stream(
    coding: Coding, head: bytes, text: bytes, times: int
) -> None:
    compressed = compress(text * times, coding)
    assert whole(coding, compressed.after(head)) == head + text * times
    assert whole(coding, compressed.after(b"")) == text * times


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_long_texts_are_one_stream_too(coding: Coding) -> None:
    text = b"".join(b"%d, " % (number * number) for number in range(200_000))
    stream = compress(text, coding).after(b"head " * 1000)
    assert whole(coding, stream) == b"head " * 1000 + text
    assert len(stream) < len(text) * 0.6
    if coding == "gzip":
        assert gzip.decompress(stream) == b"head " * 1000 + text


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_what_stands_in_front_is_not_compressed(coding: Coding) -> None:
    """Its length tells nothing of the text, however often the text has the same words (BREACH)."""
    compressed = compress(b'"slug": "hubspot", "status": "connected"' * 30, coding)
    alike, different = b'"slug": "hubspot", "status": "connected"', b"k" * 40
    assert alike in compressed.after(alike)
    assert len(compressed.after(alike)) == len(compressed.after(different))


def test_the_cache_is_bounded_and_the_longest_unused_goes_first() -> None:
    texts = [compress(bytes(range(number, number + 100)) * 2, "zstd") for number in range(10)]
    cache = CompressedCache(sum(text.size for text in texts[:3]) + 10)
    for number, text in enumerate(texts[:3]):
        cache.put(number, text)
    assert cache.get(0) is texts[0]
    cache.put(3, texts[3])
    assert [cache.get(number) is not None for number in range(4)] == [True, False, True, True]
    for number, text in enumerate(texts):
        cache.put(number, text)
        cache.put(number, text)
    assert sum(cache.get(number) is not None for number in range(10)) == 3
    tiny = CompressedCache(1)
    tiny.put("key", texts[0])
    assert tiny.get("key") is None
