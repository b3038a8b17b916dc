"""CPU time of one list, plain and compressed: `python -m benchmarks.compression`.

The organizations offer 20, 60 or 600 integrations. End users have 0 to 5 connections, and popular integrations occur
more often. Each round measures all codings, in one process without a server. docs/decisions/0015-compressed-answers.md
contains the results.
"""

import gzip
import random
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Final

from one_runtime.catalog.loader import load_catalog
from one_runtime.integrations.availability import Availability
from one_runtime.integrations.listing import IntegrationList, ListState
from one_runtime.integrations.rendering import Listed, Options

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

ROUNDS: Final = 7
REQUESTS: Final = 200
"""Requests per round. Each request is for a different end user."""


def requests(slugs: list[str], choose: random.Random) -> list[str]:
    """Return connections of end users, in the form that `listing` reads. Half of the end users have no connection."""
    weights = [1 / (rank + 1) for rank in range(len(slugs))]
    chosen = []
    for _ in range(REQUESTS):
        number = choose.choice([0, 0, 0, 0, 0, 1, 2, 3, 4, 5])
        connected = set(choose.choices(slugs, weights, k=number))
        chosen.append(",".join(f"{slug}:active" for slug in sorted(connected)))
    return chosen


def one_shot(compress: Callable[[bytes], bytes], listed: Listed, head: bytes) -> bytes:
    return compress(listed.after(head))


def strategies() -> dict[str, Callable[[Listed, bytes], bytes]]:
    by_name: dict[str, Callable[[Listed, bytes], bytes]] = {"identity": lambda listed, head: listed.after(head)}
    for level in (1, 4, 6):
        by_name[f"gzip {level}"] = partial(one_shot, partial(gzip.compress, compresslevel=level, mtime=0))
    for level in (1, 3):
        by_name[f"zstd {level}"] = partial(one_shot, partial(zstd.compress, level=level))
    return by_name


def measure(size: int) -> None:
    catalog = load_catalog()
    lists = IntegrationList(catalog, "https://connect.example.com")
    slugs = [integration.slug for integration in catalog.integrations]
    random.Random(1).shuffle(slugs)
    enabled = slugs[:size]
    availability = Availability("listed", frozenset(enabled), frozenset(slugs))
    choose, times = random.Random(2), {name: list[float]() for name in strategies()}
    sizes = dict[str, int]()
    for _ in range(ROUNDS):
        listed = [
            lists.listed(ListState(availability, connected), Options(logo="url"))
            for connected in requests(enabled, choose)
        ]
        for name, answer in strategies().items():
            body = b""
            begun = time.process_time()
            for number, integrations in enumerate(listed):
                body = answer(integrations, b'{"end_user_id": "user_%d", "integrations": [' % number)
            times[name].append((time.process_time() - begun) / REQUESTS * 1e6)
            sizes[name] = len(body)
    print(f"\n{size} integrations")
    for name, values in times.items():
        print(f"  {name:10} {statistics.median(values):9.1f} µs {sizes[name]:9,} bytes")


if __name__ == "__main__":
    for number in (20, 60, 600):
        measure(number)
