"""One interleaved run: each round measures every case briefly. So a slow minute of the machine affects all cases."""

import json
import random
import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import accumulate
from typing import IO, Final, Literal

from benchmarks.processes import ROOT, Server
from benchmarks.rows import OFFERED, Target
from benchmarks.server import PREFIX

CONNECTIONS: Final = 16
_TARGETS_OF_A_SLICE: Final = 2000
_TAGGED: Final = 300


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of response: the logo option, the content coding, or a 304 for a cached list.

    `few`: True for the end users of organizations that offer only a few integrations.
    """

    logo: Literal["url", "inline"]
    coding: Literal["identity", "gzip", "zstd"] = "identity"
    not_modified: bool = False
    few: bool = False

    @property
    def options(self) -> str:
        """Return the query parameter of the logo option, or an empty string for inline logos, the default."""
        return "" if self.logo == "inline" else "&logo=url"

    def __str__(self) -> str:
        if self.not_modified:
            return "304 by ETag"
        logos = "`logo=url`" if self.logo == "url" else "logos inline"
        name = f"list of {OFFERED}" if self.few else "list"
        return f"{name}, {logos}" + ("" if self.coding == "identity" else f", {self.coding}")


@dataclass(slots=True)
class Case:
    """One measured case: a kind of response, sent by a server's application or by its limit."""

    server: Server
    targets: Sequence[Target]
    kind: Kind
    limit: bool
    tags: list[str] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    latencies: Counter[int] = field(default_factory=Counter)
    cpu: list[float] = field(default_factory=list)
    size: int = 0

    @property
    def rate(self) -> float:
        """Return the requests per second, as the median of the rounds."""
        return statistics.median(self.rates)

    @property
    def cpu_microseconds(self) -> float:
        """Return the server's CPU time per request, as the median of the rounds."""
        return statistics.median(self.cpu) * 1e6

    def percentile(self, percent: int) -> float:
        """Return a percentile of the response times of all rounds, in milliseconds."""
        rank = self.latencies.total() * percent / 100
        ordered = sorted(self.latencies)
        reached = accumulate(self.latencies[microseconds] for microseconds in ordered)
        return next(microseconds for microseconds, count in zip(ordered, reached, strict=True) if count >= rank) / 1000

    def requests(self) -> list[str]:
        """Return the requests of a round. Each round selects end users at random."""
        if self.kind.not_modified and not self.tags:
            self.tags = [self.server.get(target, self.kind.options)[1] for target in self.targets[:_TAGGED]]
        if self.limit:
            return [self._request(0)]
        some = range(len(self.tags or self.targets))
        return [self._request(index) for index in random.sample(some, min(_TARGETS_OF_A_SLICE, len(some)))]

    def _request(self, index: int) -> str:
        target = self.targets[index]
        path = f"{PREFIX if self.limit else ''}/v1/integrations?end_user_id={target.end_user_id}{self.kind.options}"
        lines = [f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{self.server.port}", f"Authorization: Bearer {target.token}"]
        if self.tags:
            lines.append(f"If-None-Match: {self.tags[index]}")
        return "\r\n".join([*lines, f"Accept-Encoding: {self.kind.coding}", "Accept: application/json", "", ""])


class Load:
    """The process that sends the requests."""

    def __init__(self, orders: IO[str], answers: IO[str]) -> None:
        self._orders, self._answers = orders, answers

    def measure(self, case: Case, seconds: float, *, keep: bool = True) -> None:
        """Measure one case. If `keep` is False, discard the result."""
        job = {
            "port": case.server.port,
            "requests": case.requests(),
            "connections": CONNECTIONS,
            "seconds": seconds,
            "status": "304" if case.kind.not_modified else "200",
        }
        before = case.server.cpu_seconds()
        print(json.dumps(job), file=self._orders, flush=True)
        line = self._answers.readline()
        if not line:
            raise RuntimeError("The load generator ended. The output above contains the reason.")
        answer = json.loads(line)
        if keep:
            latencies = Counter({int(microseconds): times for microseconds, times in answer["latencies"].items()})
            count = latencies.total()
            case.rates.append(count / answer["seconds"])
            case.latencies += latencies
            case.size = answer["size"]
            case.cpu.append((case.server.cpu_seconds() - before) / count)


@contextmanager
def load() -> Iterator[Load]:
    """Run the load process until the block ends."""
    command = [sys.executable, "-m", "benchmarks.client"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield Load(process.stdin, process.stdout)
        finally:
            process.kill()


def run(cases: Sequence[Case], rounds: int, seconds: float) -> None:
    """Measure every case in every round. Before the first round, run each case once without a result."""
    with load() as client:
        for case in cases:
            client.measure(case, seconds, keep=False)
        for _ in range(rounds):
            for case in cases:
                client.measure(case, seconds)
