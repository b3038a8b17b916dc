"""Measurements of the proxy: the time that it adds, the effect of a hanging provider, memory over many calls."""

import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import uvloop

from benchmarks.proxy.ground import Ground, ground
from benchmarks.proxy.load import Load, load, once, repeat, waiting
from benchmarks.rows import NewDatabase

CALLERS: Final = (1, 16, 64)
CROWD: Final = 500
"""Number of callers of the provider that answers after a millisecond, and also of the hanging provider."""
ROUNDS: Final = 3
_BODY: Final = b"x" * 10_000
_WARM: Final = 5_000


@dataclass(frozen=True, slots=True)
class Extent:
    """Size of the measurements. `seconds`: for each case. `calls`: for the measurement of memory."""

    seconds: float
    calls: int


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of call, and the numbers of callers for it."""

    name: str
    line: str
    slug: str = "plain"
    body: bytes = b""
    callers: tuple[int, ...] = CALLERS


KINDS: Final = (
    Kind("GET, 1 kB", "GET /"),
    Kind("GET, 1 kB, over TLS", "GET /", "tls"),
    Kind("POST, 10 kB", "POST /", body=_BODY),
    Kind("GET, 10 MB", "GET /large", callers=(1,)),
)


@dataclass(frozen=True, slots=True)
class Measured:
    """Results of one kind of call, also through a bare relay (`bare_relay.py`). `cpu`: CPU seconds per proxied call."""

    kind: str
    workers: int
    callers: int
    direct: Load
    relayed: Load
    proxied: Load
    cpu: float


@dataclass(frozen=True, slots=True)
class Report:
    """Results of one database.

    - `agent`: proxy calls, and the same calls with the tool `call_read`, by round, with one caller.
    - `tools`: size of the list of tools in bytes.
    - `alone`: p99 of calls to the answering provider, in ms per round. `beside`: during calls to a hanging provider.
    - `megabytes`: memory before and after many calls.
    """

    database: str
    calls: list[Measured]
    agent: list[tuple[Load, Load]]
    tools: int
    alone: list[float]
    beside: list[float]
    extent: Extent
    megabytes: tuple[float, float]


def measure(database: str, new: NewDatabase, extent: Extent) -> Report:
    """Measure on new databases. On SQLite, the server has only one process."""
    name = f"proxy_{database.lower()}"
    with ground(new(name)) as running_ground:
        calls = [result for kind in KINDS for result in _measured(running_ground, kind, 1, extent.seconds)]
        agent = [_agent(running_ground, extent.seconds) for _ in range(ROUNDS)]
        tools = len(uvloop.run(once(running_ground.tools())))
        alone, beside = uvloop.run(_bulkhead(running_ground, extent.seconds))
        megabytes = _memory(running_ground, extent.calls)
    if database != "SQLite":
        with ground(new(f"{name}_workers"), workers=2) as two:
            calls += _measured(two, KINDS[0], 2, extent.seconds)
    return Report(database, calls, agent, tools, alone, beside, extent, megabytes)


def _measured(on: Ground, kind: Kind, workers: int, seconds: float) -> Iterator[Measured]:
    call = kind.line, kind.slug, kind.body
    through, bare, without = on.proxied(*call), on.relayed(*call), on.direct(*call)
    for callers in kind.callers:
        direct = uvloop.run(load(without, callers, seconds))
        relayed = uvloop.run(load(bare, callers, seconds))
        before = on.server.cpu_seconds()
        proxied = uvloop.run(load(through, callers, seconds))
        cpu = (on.server.cpu_seconds() - before) / max(1.0, proxied.rate * seconds)
        yield Measured(kind.name, workers, callers, direct, relayed, proxied, cpu)


def _agent(on: Ground, seconds: float) -> tuple[Load, Load]:
    through, by_agent = on.proxied("GET /", "plain"), on.call_read("plain", "/")
    answer = uvloop.run(once(by_agent))  # the first call imports the SDK
    assert b'"isError":false' in answer, answer
    return uvloop.run(load(through, 1, seconds)), uvloop.run(load(by_agent, 1, seconds))


async def _bulkhead(on: Ground, seconds: float) -> tuple[list[float], list[float]]:
    alone: list[float] = []
    beside: list[float] = []
    soon, hanging = on.proxied("GET /soon", "plain"), on.proxied("GET /", "hanging")
    await load(soon, CROWD, seconds)
    for _ in range(ROUNDS):
        alone.append((await load(soon, CROWD, seconds)).p99)
        async with waiting(hanging, CROWD):
            beside.append((await load(soon, CROWD, seconds)).p99)
    return alone, beside


def _memory(on: Ground, calls: int) -> tuple[float, float]:
    call = on.proxied("GET /", "plain")
    uvloop.run(repeat(call, CALLERS[-1], _WARM))
    before = on.server.resident_megabytes()
    uvloop.run(repeat(call, CALLERS[-1], calls))
    return before, on.server.resident_megabytes()


def tables(reports: list[Report]) -> Iterator[str]:
    """Render the results as Markdown."""
    yield "### The proxy"
    yield ""
    yield (
        "| database, server processes | call | callers | calls/s | of a bare relay | p50 | p99 | p50, direct call "
        "| p99, direct call | p50, added by the proxy | server CPU per call |"
    )
    yield "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|"
    for report in reports:
        for row in report.calls:
            ours, theirs = row.proxied, row.direct
            yield (
                f"| {report.database}, {row.workers} | {row.kind} | {row.callers} | **{ours.rate:,.0f}** "
                f"| **{ours.rate / row.relayed.rate:.2f}** "
                f"| {ours.p50:.2f} ms | {ours.p99:.2f} ms | {theirs.p50:.2f} ms | {theirs.p99:.2f} ms "
                f"| **{ours.p50 - theirs.p50:.2f} ms** | {row.cpu * 1_000_000:,.0f} µs |"
            )
    yield ""
    for report in reports:
        proxied, by_agent = (statistics.median(load.p50 for load in loads) for loads in zip(*report.agent, strict=True))
        yield (
            f"- {report.database}: A proxy call (GET, 1 kB, one caller) takes {proxied:.2f} ms (median of {ROUNDS} "
            f"rounds). The same call with the tool `call_read` takes {by_agent:.2f} ms. So `call_read` adds "
            f"**{by_agent - proxied:.2f} ms**. The list of tools has {report.tools:,} bytes."
        )
    for report in reports:
        alone, beside = statistics.median(report.alone), statistics.median(report.beside)
        yield (
            f"- {report.database}: {CROWD} callers call a provider that answers after 1 ms. The p99 of their calls is "
            f"{alone:.0f} ms. While {CROWD} other callers wait for a provider that never answers, this p99 is "
            f"{beside:.0f} ms. The ratio is **{beside / alone:.2f}** (by round: "
            f"{', '.join(f'{loaded / idle:.2f}' for idle, loaded in zip(report.alone, report.beside, strict=True))})."
        )
        before, after = report.megabytes
        yield (
            f"- {report.database}: The server process uses {before:.0f} MB of memory (RSS). After "
            f"{report.extent.calls:,} more calls, it uses {after:.0f} MB."
        )
