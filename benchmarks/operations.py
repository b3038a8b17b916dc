"""The search for functions of agents: 50,000 generated functions, and One Runtime's own."""

import random
import statistics
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from one_runtime.agents.operations.data import read_folder
from one_runtime.agents.operations.file import open_index, store_all
from one_runtime.agents.operations.index import IndexedIntegration, OperationIndex
from one_runtime.agents.operations.search import search
from one_runtime.catalog.loader import load_catalog
from tests.agents.operations.synthetic import NOUNS, VERBS, many_operations

_INTEGRATIONS: Final = 600
_EACH: Final = 84
_CONNECTED: Final = 8
_QUERIES: Final = 300
_LIMIT: Final = 8
_TIMES: Final = 3


@dataclass(frozen=True, slots=True)
class Searches:
    """Seconds of CPU time of each query: over all functions, with connected integrations, over these alone."""

    every: list[float]
    with_connected: list[float]
    connected: list[float]


@dataclass(frozen=True, slots=True)
class Measured:
    """`count`: the number of functions in the file. `size`: bytes of the file. `reading`: seconds for the own data."""

    count: int
    size: int
    searches: Searches
    own_count: int
    reading: float


def measure() -> Measured:
    """Write a file of functions, and search with generated queries."""
    chosen = random.Random(1)
    integrations = load_catalog().integrations[:_INTEGRATIONS]
    connected = {integration.slug for integration in chosen.sample(integrations, _CONNECTED)}
    queries = [_query(chosen, [integration.name for integration in integrations]) for _ in range(_QUERIES)]
    started = time.process_time()
    own = read_folder()
    index = OperationIndex.in_memory(IndexedIntegration(slug, slug, operations) for slug, operations in own.items())
    reading = time.process_time() - started
    with TemporaryDirectory() as folder:
        path = Path(folder) / "tools.db"
        store_all(
            path,
            (
                IndexedIntegration.of(integration, many_operations(integration.slug, _EACH, seed))
                for seed, integration in enumerate(integrations)
            ),
        )
        indexes = [index, open_index(path)]
        searches = Searches(
            _times(indexes, queries, None, ()),
            _times(indexes, queries, None, connected),
            _times(indexes, queries, connected, connected),
        )
        size = path.stat().st_size
    count = _EACH * len(integrations)
    return Measured(count, size, searches, sum(map(len, own.values())), reading)


def table(measured: Measured) -> Iterator[str]:
    """Render the results as Markdown."""
    yield "### Functions of agents"
    yield ""
    yield f"- The file with {measured.count:,} functions has {measured.size / 1e6:.0f} MB."
    for name, times in (
        ("A search over all functions", measured.searches.every),
        (f"A search over all functions, with {_CONNECTED} connected integrations,", measured.searches.with_connected),
        ("A search over the connected integrations alone", measured.searches.connected),
    ):
        yield (
            f"- {name} takes **{statistics.median(times) * 1000:.1f} ms** of CPU time (median). "
            f"The p99 is {sorted(times)[int(len(times) * 0.99)] * 1000:.1f} ms."
        )
    yield (
        f"- The first search of a process reads {measured.own_count} functions of One Runtime's own data, in "
        f"{measured.reading * 1000:.0f} ms of CPU time."
    )
    yield ""


def _query(chosen: random.Random, names: Sequence[str]) -> str:
    words = [*chosen.sample(VERBS, 1), *chosen.sample(NOUNS, chosen.choice([1, 1, 2]))]
    return " ".join(words + ([chosen.choice(names)] if chosen.random() < 0.3 else []))


def _times(
    indexes: Sequence[OperationIndex],
    queries: Sequence[str],
    slugs: Collection[str] | None,
    connected: Collection[str],
) -> list[float]:
    def once(query: str) -> float:
        started = time.thread_time()
        search(indexes, query, slugs, connected, _LIMIT)
        return time.thread_time() - started

    return [min(once(query) for _ in range(_TIMES)) for query in queries]
