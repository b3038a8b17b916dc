"""Fresh credentials: the duration of a read, and the refreshes per second of one worker."""

import asyncio
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from benchmarks.rows import NewDatabase
from one_runtime.clock import system_clock
from one_runtime.connections import credentials
from one_runtime.context import Installation
from one_runtime.db.database_url import create_database
from one_runtime.db.migrations import migrate
from one_runtime.egress.client import Egress
from one_runtime.egress.limits import PoolLimits
from one_runtime.encryption import key_ring
from one_runtime.encryption.vault import Vault, new_key, parse_keys
from one_runtime.jobs.token_hosts import SLOTS
from one_runtime.settings import Settings
from one_runtime.tenancy import organizations
from one_runtime.tokens.refresh import fresh_credentials
from one_runtime.tokens.refresh_due import refresh_due
from tests.tokens.rotating import RotatingProvider, connect, register_client, running_provider

CALLS: Final = 5_000
DUE: Final = 1_000
PROVIDER_SECONDS: Final = 0.1
"""Maximum time of the provider for a token request, in seconds. The average time is half of the maximum."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Results of one database. `calls`: seconds of each call. `drained`: seconds until all tokens were refreshed."""

    database: str
    calls: list[float]
    drained: float
    most_at_once: int


def measure(database: str, new: NewDatabase) -> Measured:
    """Measure on a new database."""
    with (
        tempfile.TemporaryDirectory(prefix="one-runtime-benchmarks-") as folder,
        running_provider(Path(folder)) as provider,
    ):
        return asyncio.run(_measure(database, new(f"credentials_{database.lower()}"), provider))


async def _measure(database: str, url: str, provider: RotatingProvider) -> Measured:
    async with _installation(url, provider) as installation:
        async with installation.database.write() as tx:
            organization = (await organizations.create(tx, "Benchmark", system_clock())).id
        await register_client(installation, organization)
        grants = provider.make(DUE, after=PROVIDER_SECONDS)
        seeded = [await connect(installation, organization, f"user_{n}", grant) for n, grant in enumerate(grants)]
        calls = [await _timed(installation, seeded[number % DUE].key) for number in range(CALLS)]
        async with installation.database.write() as tx:
            for connection in seeded:
                await credentials.refresh_now(tx, connection.key, system_clock())
        begun = time.perf_counter()
        renewed = await refresh_due(installation)
        drained = time.perf_counter() - begun
        assert renewed == len(provider.log()) == DUE
    return Measured(database, calls, drained, min(SLOTS, PoolLimits().per_upstream))


async def _timed(installation: Installation, key: credentials.ConnectionKey) -> float:
    begun = time.perf_counter()
    await fresh_credentials(installation, key)
    return time.perf_counter() - begun


@asynccontextmanager
async def _installation(url: str, provider: RotatingProvider) -> AsyncIterator[Installation]:
    migrate(url)
    key, allow = new_key(), frozenset({("127.0.0.1", provider.port)})
    installation = Installation(
        settings=Settings(database_url=SecretStr(url), encryption_keys=SecretStr(key), egress_allow=allow),
        database=create_database(url, pool_size=10),
        catalog=provider.catalog,
        vault=Vault(parse_keys(key)),
        egress=Egress(allow=allow),
        clock=system_clock,
    )
    await installation.database.open()
    try:
        async with installation.database.write() as tx:
            await key_ring.register(tx, installation.vault, system_clock())
        yield installation
    finally:
        await installation.egress.close()
        await installation.database.close()


def table(measured: list[Measured]) -> Iterator[str]:
    """Render the results as Markdown."""
    yield "### Fresh credentials"
    yield ""
    yield f"| database | p50 of {CALLS:,} calls | p99 | {DUE:,} refreshes by one worker | refreshes/s |"
    yield "|---|---:|---:|---:|---:|"
    for result in measured:
        ordered = sorted(result.calls)
        p50, p99 = statistics.median(ordered), ordered[int(len(ordered) * 0.99)]
        yield (
            f"| {result.database} | **{p50 * 1000:.2f} ms** | {p99 * 1000:.2f} ms | **{result.drained:.1f} s** "
            f"| {DUE / result.drained:,.0f} |"
        )
    yield ""
    thought = PROVIDER_SECONDS / 2
    yield (
        f"- The provider takes {thought * 1000:.0f} ms per token request on average, and One Runtime sends "
        f"{measured[0].most_at_once} requests at a time. So {DUE:,} refreshes take at least "
        f"{DUE * thought / measured[0].most_at_once:.1f} s."
    )
