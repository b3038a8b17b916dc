"""The complete catalog: time to load, size of the list, duration of a search."""

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from one_runtime.catalog.loader import Catalog, load_catalog
from one_runtime.catalog.search import search
from one_runtime.integrations.availability import Availability
from one_runtime.integrations.content_coding import SMALL, compress
from one_runtime.integrations.listing import IntegrationList, ListState
from one_runtime.integrations.rendering import Logo, Options

_QUERIES: Final = Path(__file__).parents[1] / "tests" / "catalog" / "search_queries.yaml"
_TIMES: Final = 5


@dataclass(frozen=True, slots=True)
class Measured:
    """Durations are in seconds. Sizes are in bytes."""

    integrations: int
    reading: float
    listing: float
    searches: list[float]
    sizes: dict[str, int]


def measure() -> Measured:
    """Load the catalog, render its list, and run every search of the tests."""
    catalog = load_catalog()
    queries = [str(query) for query in yaml.safe_load(_QUERIES.read_text(encoding="utf-8"))]
    search(catalog.integrations, "warm")
    return Measured(
        integrations=len(catalog.integrations),
        reading=_best(load_catalog),
        listing=_best(lambda: _listed(catalog, "inline")),
        searches=[_best(lambda query=query: search(catalog.integrations, query)) for query in queries],  # type: ignore[misc]
        sizes=_sizes(catalog),
    )


def _best(work: Callable[[], object]) -> float:
    def once() -> float:
        begun = time.perf_counter()
        work()
        return time.perf_counter() - begun

    return min(once() for _ in range(_TIMES))


def _listed(catalog: Catalog, logo: Logo) -> bytes:
    lists = IntegrationList(catalog, "https://connect.example.com")
    offer = Availability(clients=frozenset(integration.slug for integration in catalog.integrations))
    return lists.body(lists.listed(ListState(offer, ""), Options(logo=logo)), "user_123")


def _sizes(catalog: Catalog) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for name, logo in (("logo=url", "url"), ("logos inline", "inline")):
        text = _listed(catalog, logo)  # type: ignore[arg-type] # two of the logo options
        sizes |= {name: len(text)}
        sizes |= {f"{name}, {coding}": len(compress(text, coding, SMALL)) for coding in ("gzip", "zstd")}
    return sizes


def table(measured: Measured) -> Iterator[str]:
    """Render the results as Markdown."""
    yield "### The catalog"
    yield ""
    yield f"- Loading the catalog of {measured.integrations} integrations takes **{measured.reading * 1000:.0f} ms**."
    yield f"- Rendering the list of all integrations for the first time takes {measured.listing * 1000:.0f} ms."
    p50, most = statistics.median(measured.searches), max(measured.searches)
    yield (
        f"- A search takes **{p50 * 1000:.2f} ms** (median of {len(measured.searches)} queries). "
        f"The slowest query takes {most * 1000:.2f} ms."
    )
    yield "- Size of the list with an OAuth client for each integration: " + ", ".join(
        f"{name} {size:,} bytes" for name, size in measured.sizes.items()
    )
    yield ""
