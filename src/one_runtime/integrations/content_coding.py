"""Content codings (RFC 9110 section 8.4.1): which one a caller takes, and texts compressed once for many callers.

What differs from caller to caller is put in front of what was compressed for all, as a block that is stored and not
compressed: one stream, which every decoder reads (docs/decisions/0015-compressed-answers.md). It shares no context with
the rest, so the length of an answer tells nothing of one part by way of the other (BREACH).
"""

import struct
import sys
import zlib
from collections import OrderedDict
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal, Protocol, TypeAlias

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

Coding: TypeAlias = Literal["gzip", "zstd"]

WORTH_IT: Final = 1000
"""Bytes below which a text goes out as it is: it fits a packet either way."""

BLOCKING: Final = 64 * 1024
"""Bytes above which compressing takes more than about a millisecond: that is for another thread than the loop's."""

# The best compression that costs no more than its bytes are worth: docs/decisions/0015-compressed-answers.md.
_GZIP_LEVEL: Final = 4
_ZSTD_LEVEL: Final = 3
_ZSTD_WINDOW: Final = 17  # 128 kB, the logarithm; browsers take up to 23 (RFC 9659)
_ZSTD_OPTIONS: Final[Mapping[int, int]] = {
    zstd.CompressionParameter.compression_level: _ZSTD_LEVEL,
    zstd.CompressionParameter.window_log: _ZSTD_WINDOW,
    zstd.CompressionParameter.content_size_flag: 0,
    zstd.CompressionParameter.checksum_flag: 0,
}

_GZIP_START: Final = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"  # RFC 1952 section 2.3: deflate, no name, no time
# RFC 8878 section 3.1.1: magic number; no content size, checksum or dictionary; the window.
_ZSTD_START: Final = struct.pack("<IBB", 0xFD2FB528, 0, (_ZSTD_WINDOW - 10) << 3)

_NAMES: Final[Mapping[str, Coding]] = {"zstd": "zstd", "gzip": "gzip", "x-gzip": "gzip"}
"""In our order of preference, where a caller has none."""


class Compressed(Protocol):
    """A text that was compressed once."""

    @property
    def size(self) -> int:
        """Bytes that keeping it takes."""

    def after(self, head: bytes) -> bytes:
        """`head` (at most 65,535 bytes) and the text, as one stream."""


@dataclass(frozen=True, slots=True)
class _Gzip:
    """Deflate blocks, and what the trailer says of the text."""

    blocks: bytes
    checksum: int
    length: int
    shift: tuple[int, ...]

    @property
    def size(self) -> int:
        return len(self.blocks)

    def after(self, head: bytes) -> bytes:
        length = len(head)
        stored = struct.pack("<BHH", 0, length, length ^ 0xFFFF)  # RFC 1951 section 3.2.4
        trailer = struct.pack("<II", self._checksum_after(head), (length + self.length) & 0xFFFFFFFF)
        return b"".join((_GZIP_START, stored, head, self.blocks, trailer))

    def _checksum_after(self, head: bytes) -> int:
        rest, checksum = zlib.crc32(head), self.checksum
        for shifted in self.shift:
            if rest & 1:
                checksum ^= shifted
            rest >>= 1
        return checksum


@dataclass(frozen=True, slots=True)
class _Zstd:
    """The blocks of a frame."""

    blocks: bytes

    @property
    def size(self) -> int:
        return len(self.blocks)

    def after(self, head: bytes) -> bytes:
        stored = (len(head) << 3).to_bytes(3, "little")  # RFC 8878 section 3.1.1.2: not the last, raw
        return b"".join((_ZSTD_START, stored, head, self.blocks))


def compress(text: bytes, coding: Coding) -> Compressed:
    """Compress a text. It takes milliseconds where the text is long."""
    if coding == "zstd":
        return _Zstd(zstd.compress(text, options=_ZSTD_OPTIONS)[len(_ZSTD_START) :])
    deflate = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    blocks = deflate.compress(text) + deflate.flush()
    return _Gzip(blocks, zlib.crc32(text), len(text), _shift(len(text)))


@lru_cache(maxsize=4096)
def _shift(length: int) -> tuple[int, ...]:
    """What each bit of a CRC-32 has become `length` bytes later. CRC-32 is linear: a checksum that is not zero at the
    start of a text changes the one at its end by these, whatever the text."""
    zeros = bytes(length)
    plain = zlib.crc32(zeros)
    return tuple(zlib.crc32(zeros, 1 << bit) ^ plain for bit in range(32))


@lru_cache(maxsize=512)
def choose(accept_encoding: str) -> Coding | None:
    """The coding of ours that a caller likes best; None for none (RFC 9110 section 12.5.3).

    A caller that refuses even `identity` and takes none of ours is answered without a coding all the same, as section
    12.4.1 leaves open: nobody is helped by an error.
    """
    weights: dict[str, float] = {}
    for part in accept_encoding.lower().split(","):
        name, *parameters = (piece.strip() for piece in part.split(";"))
        weights[name] = _weight(parameters)
    default = weights.get("*", 0.0)
    found: dict[Coding, float] = {}
    for name, coding in _NAMES.items():
        found[coding] = max(found.get(coding, 0.0), weights.get(name, default if name == coding else 0.0))
    best = max(found, key=lambda coding: found[coding])
    return best if found[best] > 0 and found[best] >= weights.get("identity", 0.0) else None


def _weight(parameters: list[str]) -> float:
    """The `q` of one coding: 1 where there is none, 0 where it is no weight (RFC 9110 section 12.4.2)."""
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                weight = float(value)
            except ValueError:
                return 0.0
            return weight if 0 <= weight <= 1 else 0.0
    return 1.0


class CompressedCache:
    """Compressed texts, at most so many bytes of them together; what was not used for the longest time goes."""

    def __init__(self, capacity: int) -> None:
        self._capacity, self._size = capacity, 0
        self._kept: OrderedDict[Hashable, Compressed] = OrderedDict()

    def get(self, key: Hashable) -> Compressed | None:
        """What is kept under a key."""
        found = self._kept.get(key)
        if found is not None:
            self._kept.move_to_end(key)
        return found

    def put(self, key: Hashable, compressed: Compressed) -> None:
        """Keep one; one that is larger than all may be together is not kept."""
        replaced = self._kept.pop(key, None)
        self._size += compressed.size - (replaced.size if replaced is not None else 0)
        self._kept[key] = compressed
        while self._size > self._capacity:
            _, dropped = self._kept.popitem(last=False)
            self._size -= dropped.size
