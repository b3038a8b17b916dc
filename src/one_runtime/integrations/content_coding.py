"""Compress responses with gzip or zstd, if the caller accepts the coding (RFC 9110 section 8.4.1).

docs/decisions/0015-compressed-answers.md contains the measurements for the levels and sizes below.
"""

import asyncio
import gzip
import sys
from collections.abc import Hashable, Mapping
from functools import lru_cache, partial
from typing import Final, Literal, TypeAlias

from one_runtime.integrations.byte_cache import ByteCache
from one_runtime.jobs.single_flight import SingleFlight

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

Coding: TypeAlias = Literal["gzip", "zstd"]
Levels: TypeAlias = Mapping[Coding, int]

FAST: Final[Levels] = {"gzip": 1, "zstd": 1}
"""Compression levels for responses that are compressed for one caller."""
SMALL: Final[Levels] = {"gzip": 6, "zstd": 9}
"""Compression levels for public responses, which are compressed once for all callers."""

MIN_SIZE: Final = 1000
"""Minimum size in bytes of a text to compress. A smaller text fits into one network packet without compression."""

MAX_HEADER: Final = 200
"""Maximum number of characters of a header `Accept-Encoding`. Browsers send about 25 characters."""

BLOCKING_SIZE: Final = 64 * 1024
"""Maximum size in bytes of a text that One Runtime compresses on the event loop.

The compression of a longer text takes about a millisecond or more, and would block the event loop.
"""

_NAMES: Final[Mapping[str, Coding]] = {"zstd": "zstd", "gzip": "gzip", "x-gzip": "gzip"}
"""Supported codings in order of preference. zstd needs a third of the time of gzip."""


def compress(text: bytes, coding: Coding, levels: Levels) -> bytes:
    """Return a text as one gzip member or one zstd frame."""
    if coding == "zstd":
        return bytes(zstd.compress(text, level=levels["zstd"]))
    return gzip.compress(text, compresslevel=levels["gzip"], mtime=0)


class Compressor:
    """Compresses long texts on another thread, and caches up to `capacity` bytes of results."""

    def __init__(self, levels: Levels, capacity: int) -> None:
        self._levels = levels
        self._cache: ByteCache[Hashable, bytes] = ByteCache(capacity)
        self._running = SingleFlight()

    async def compress(self, key: Hashable, text: bytes, coding: Coding, key_size: int = 0) -> bytes:
        """Return the compressed text. Calls with equal keys must pass equal texts.

        Concurrent calls with equal keys share one compression of a long text. `key_size`: the memory in bytes of a key
        that can be long.
        """
        compressed = self._cache.get((key, coding))
        if compressed is None:
            if len(text) > BLOCKING_SIZE:
                work = partial(asyncio.to_thread, compress, text, coding, self._levels)
                compressed = await self._running.join((key, coding), work)
            else:
                compressed = compress(text, coding, self._levels)
            self._cache.put((key, coding), compressed, len(compressed) + key_size)
        return compressed


def choose(accept_encoding: str) -> Coding | None:
    """Return the coding that a caller prefers (RFC 9110, 12.5.3). Return None for an uncompressed response.

    Return None for a header longer than `MAX_HEADER`. A caller can refuse an uncompressed response with
    `identity;q=0`. This function ignores such a refusal, as RFC 9110, 12.4.1 allows.
    """
    return _choose(accept_encoding) if len(accept_encoding) <= MAX_HEADER else None


@lru_cache(maxsize=512)  # callers send few different headers
def _choose(accept_encoding: str) -> Coding | None:
    weights: dict[str, float] = {}
    for part in accept_encoding.lower().split(","):
        name, *parameters = (piece.strip() for piece in part.split(";"))
        weights[name] = _weight(parameters)
    default = weights.get("*", 0.0)
    accepted: dict[Coding, float] = {}
    for name, coding in _NAMES.items():
        accepted[coding] = max(accepted.get(coding, 0.0), weights.get(name, default if name == coding else 0.0))
    best = max(accepted, key=lambda coding: accepted[coding])
    return best if accepted[best] > 0 and accepted[best] >= weights.get("identity", 0.0) else None


def _weight(parameters: list[str]) -> float:
    """Return the weight `q` of a coding (RFC 9110, 12.4.2). Return 1 if `q` is absent, and 0 if `q` is invalid."""
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                weight = float(value)
            except ValueError:
                return 0.0
            return weight if 0 <= weight <= 1 else 0.0
    return 1.0
