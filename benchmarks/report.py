"""The results as Markdown, with a description of the machine."""

import os
import platform
import sqlite3
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from benchmarks.rounds import CONNECTIONS, Case
from one_runtime.catalog.loader import load_catalog


@dataclass(frozen=True, slots=True)
class Result:
    """Results of one database."""

    database: str
    rows: int
    few_rows: int
    cases: Sequence[Case]
    few: Sequence[Case]
    starts: Sequence[float]
    megabytes: float


def machine(postgres_version: str | None, busy: float) -> Iterator[str]:
    """Describe the machine and the versions. `busy`: the load average before the run. It should be near 0."""
    model = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")), "?"
    )
    memory = next((int(line.split()[1]) for line in _lines("/proc/meminfo") if line.startswith("MemTotal")), 0)
    parts = [f"Python {platform.python_version()}", f"SQLite {sqlite3.sqlite_version}"]
    parts += [f"PostgreSQL {postgres_version}"] if postgres_version else []
    parts += [f"{name} {version(name)}" for name in ("uvicorn", "uvloop", "httptools", "psycopg")]
    yield f"- {os.cpu_count()} cores, {model}, {memory / 1024**2:.0f} GB, Linux {platform.release()}"
    yield f"- load average before the run: {busy:.1f}"
    yield f"- {', '.join(parts)}"
    yield f"- {len(load_catalog().integrations)} integrations in the catalog"
    yield (
        f"- one server process, and {CONNECTIONS} keep-alive connections from the load generator. The load generator "
        "and PostgreSQL share the cores with the server."
    )


def tables(result: Result) -> Iterator[str]:
    """Render the results of one database, and compare its requests with the limit."""
    yield f"### {result.database}, {result.rows:,} connections"
    yield ""
    yield "| answer | bytes | requests/s | of the limit | p50 | p99 | server CPU per request |"
    yield "|---|---:|---:|---:|---:|---:|---:|"
    for case in result.cases:
        if not case.limit:
            limit = next(other for other in result.cases if other.limit and other.kind == case.kind)
            yield _line(str(case.kind), case, f"**{_ratio(case, limit):.2f}**")
            yield _line("— its limit", limit, "1")
    yield ""
    for case in result.few:
        many = next(other for other in result.cases if not other.limit and other.kind == case.kind)
        yield (
            f"- {case.kind}: With {result.few_rows:,} connections in the database, the server answers {case.rate:,.0f} "
            f"requests per second. With {result.rows:,} connections, the server answers {many.rate:,.0f}. The ratio is "
            f"**{_ratio(case, many):.2f}** (median of the rounds)."
        )
    starts = ", ".join(f"{start:.2f}" for start in sorted(result.starts))
    yield (
        f"- `one-runtime serve` returns the first list after **{statistics.median(result.starts):.2f} s** "
        f"(median of {starts})."
    )
    yield f"- After the measurements, the server process uses **{result.megabytes:.0f} MB** of memory (RSS)."
    yield ""


def _line(name: str, case: Case, ratio: str) -> str:
    return (
        f"| {name} | {case.size:,} | {case.rate:,.0f} | {ratio} | {case.percentile(50):.2f} ms | "
        f"{case.percentile(99):.2f} ms | {case.cpu_microseconds:.0f} µs |"
    )


def _ratio(case: Case, other: Case) -> float:
    """Return the median of the rounds' ratios. A slow minute of the machine hardly changes this median."""
    return statistics.median(rate / other_rate for rate, other_rate in zip(case.rates, other.rates, strict=True))


def _lines(path: str) -> list[str]:
    return Path(path).read_text(encoding="utf-8").splitlines()
