"""`python -m benchmarks`: measure list, credentials, calls, webhooks, catalog, functions, programs and commands."""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psycopg

from benchmarks import catalog, commands, credentials, operations, programs, report, webhooks
from benchmarks.processes import Server, measured_server, served
from benchmarks.proxy.measure import Extent, measure, tables
from benchmarks.report import Result
from benchmarks.rounds import Case, Kind, run
from benchmarks.rows import NewDatabase, Rows, Target
from benchmarks.seed import seed
from one_runtime.encryption.vault import Vault, new_key, parse_keys
from tests.postgres import Databases, start_server

_KINDS: Final = (
    Kind("url"),
    Kind("url", "gzip"),
    Kind("url", "zstd"),
    Kind("inline"),
    Kind("inline", "gzip"),
    Kind("inline", "zstd"),
    Kind("url", not_modified=True),
    Kind("url", few=True),
)
_TARGETS: Final = 20_000
_POSTGRES_SETTINGS: Final = {"shared_buffers": "1GB", "effective_cache_size": "3GB", "max_wal_size": "4GB"}


@dataclass(frozen=True, slots=True)
class Plan:
    """Size of the measurements."""

    databases: Sequence[str]
    rows: int
    few_rows: int
    rounds: int
    seconds: float
    starts: int
    calls: int
    deliveries: int
    runs: int
    measurement: str


@dataclass(frozen=True, slots=True)
class Subject:
    """A database with rows, the end users of its requests, and its server."""

    url: str
    key: str
    targets: Sequence[Target]
    targets_of_few: Sequence[Target]
    server: Server

    def cases(self, kinds: Sequence[Kind], limits: Sequence[bool]) -> list[Case]:
        """Return the cases of this server. For each kind, the limit (`server.py`) follows the application."""
        return [
            Case(self.server, self.targets_of_few if kind.few else self.targets, kind, limit)
            for kind in kinds
            for limit in limits
        ]


def main() -> None:
    """Fill databases, measure, and print the report."""
    plan = _plan(sys.argv[1:])
    begun, busy = time.monotonic(), os.getloadavg()[0]
    with ExitStack() as stack:
        version, makers = _databases(stack, plan)
        reports = [report_of for name, report_of in _REPORTS.items() if plan.measurement in {"all", name}]
        lines = [line for report_of in reports for line in (*report_of(plan, makers), "")]
    print("`" + " ".join(["python -m benchmarks", *sys.argv[1:]]) + f"`, {time.monotonic() - begun:.0f} s in total\n")
    print("\n".join([*report.machine(version, busy), "", *lines]))


def _report_requests(plan: Plan, makers: Mapping[str, NewDatabase]) -> list[str]:
    """Measure the list, credentials and proxy calls. Return the report as Markdown."""
    with ExitStack() as stack:
        subjects = {name: _subjects(stack, plan, name, new) for name, new in makers.items()}
        cases = {
            name: (many.cases(_KINDS, (False, True)), few.cases(_KINDS[:1], (False,)))
            for name, (many, few) in subjects.items()
        }
        _say(f"measuring: {plan.rounds} rounds of {plan.seconds:g} s for each case")
        # The case with few rows runs next to the same case with many rows.
        run([case for many, few in cases.values() for case in (*few, *many)], plan.rounds, plan.seconds)
        results = [
            Result(name, plan.rows, plan.few_rows, *cases[name], _starts(many, plan), many.server.resident_megabytes())
            for name, (many, _) in subjects.items()
        ]
        fresh = [credentials.measure(name, new) for name, new in makers.items()]
        calls = [measure(name, new, Extent(plan.seconds * 4, plan.calls)) for name, new in makers.items()]
    lines = [line for result in results for line in report.tables(result)]
    return [*lines, *credentials.table(fresh), "", *tables(calls)]


def _report_webhooks(plan: Plan, makers: Mapping[str, NewDatabase]) -> Iterator[str]:
    _say("measuring webhooks")
    return webhooks.table([webhooks.measure(name, new, _webhooks(plan)) for name, new in makers.items()])


def _report_commands(plan: Plan, makers: Mapping[str, NewDatabase]) -> Iterator[str]:
    _say(f"measuring: {plan.runs} runs of each command")
    return commands.table({name: commands.measure(new, plan.runs) for name, new in makers.items()})


_REPORTS: Final[Mapping[str, Callable[[Plan, Mapping[str, NewDatabase]], Iterable[str]]]] = {
    "requests": _report_requests,
    "webhooks": _report_webhooks,
    "catalog": lambda _, __: catalog.table(catalog.measure()),
    "functions": lambda _, __: operations.table(operations.measure()),
    "programs": lambda _, __: programs.table(programs.measure()),
    "commands": _report_commands,
}
"""The measurements: functions that return the report as Markdown, by name."""


def _plan(arguments: Sequence[str]) -> Plan:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("measurement", nargs="?", choices=("all", *_REPORTS), default="all")
    parser.add_argument("--quick", action="store_true", help="about two minutes: fewer rows and rounds")
    parser.add_argument("--database", choices=("sqlite", "postgresql", "both"), default="both")
    parser.add_argument("--rows", type=int, help="connections (1000000; quick: 20000)")
    parser.add_argument("--rounds", type=int, help="rounds of the interleaved run (8; quick: 2)")
    options = parser.parse_args(arguments)
    names = {"sqlite": ["SQLite"], "postgresql": ["PostgreSQL"], "both": ["SQLite", "PostgreSQL"]}
    rows = options.rows or (20_000 if options.quick else 1_000_000)
    rounds = options.rounds or (2 if options.quick else 8)
    return Plan(
        databases=names[options.database],
        rows=rows,
        few_rows=min(rows, 1000),
        rounds=rounds,
        seconds=0.25 if options.quick else 0.75,
        starts=3 if options.quick else 5,
        calls=2_000 if options.quick else 100_000,
        deliveries=2_000 if options.quick else 100_000,
        runs=1 if options.quick else 6,
        measurement=options.measurement,
    )


def _webhooks(plan: Plan) -> webhooks.Extent:
    return webhooks.Extent(plan.deliveries, events=plan.deliveries // 100, seconds=plan.seconds * 20)


def _databases(stack: ExitStack, plan: Plan) -> tuple[str | None, dict[str, NewDatabase]]:
    """Return the version of PostgreSQL, and a function for each kind of database. The function creates a database."""
    makers: dict[str, NewDatabase] = {}
    version = None
    if "SQLite" in plan.databases:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="one-runtime-benchmarks-")))
        makers["SQLite"] = lambda name: f"sqlite:///{folder / name}.db"
    if "PostgreSQL" in plan.databases:
        databases = stack.enter_context(_postgres())
        makers["PostgreSQL"] = databases.create
        with psycopg.connect(databases.url("postgres")) as connection:
            version = connection.execute("SHOW server_version").fetchone()
    return str(version[0]) if version else None, makers


@contextmanager
def _postgres() -> Iterator[Databases]:
    server = start_server(_POSTGRES_SETTINGS)
    try:
        with closing(Databases(server.port, server.copy_method)) as databases:
            yield databases
    finally:
        server.stop()


def _subjects(stack: ExitStack, plan: Plan, name: str, new: NewDatabase) -> tuple[Subject, Subject]:
    """Start servers on a database with many rows and on a database with few rows."""
    many, few = (_subject(rows, new(f"rows_{rows}_{label}"), name) for label, rows in _sizes(plan))
    for subject in (many, few):
        subject.server.start()
        stack.callback(subject.server.stop)
        subject.server.wait_for(subject.targets[0])
    return many, few


def _sizes(plan: Plan) -> Sequence[tuple[str, int]]:
    return (("many", plan.rows), ("few", plan.few_rows))


def _subject(connections: int, url: str, name: str) -> Subject:
    begun = time.monotonic()
    key = new_key()
    rows = Rows(connections, Vault(parse_keys(key)).key_ids[0])
    seed(url, rows)
    _say(f"{name}: {connections:,} connections in {time.monotonic() - begun:.0f} s")
    return Subject(url, key, rows.targets(_TARGETS), rows.targets(_TARGETS, few=True), measured_server(url, key))


def _starts(subject: Subject, plan: Plan) -> list[float]:
    """Return the seconds from each start of `one-runtime serve` to its first list."""
    durations = []
    for _ in range(plan.starts):
        server = served(subject.url, subject.key)
        begun = time.monotonic()
        server.start()
        server.wait_for(subject.targets[0])
        durations.append(time.monotonic() - begun)
        server.stop()
    return durations


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
