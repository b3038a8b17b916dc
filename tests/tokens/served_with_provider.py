"""`one-runtime …` with the rotating provider in its catalog: `python -m tests.tokens.served_with_provider <Drill> …`.

`Drill` is JSON. In this process, a refresh can wait at a gate, which the test opens, at four places: before the
application gets the request, before the outbound network opens a connection, after the outbound network has read the
response, and before the caller gets the answer. The gates are in the application's callers and in the outbound network,
so One Runtime's own code is the same as in production.
"""

import asyncio
import json
import os
import sys
from contextvars import ContextVar
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta, tzinfo
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from one_runtime import cli, clock
from one_runtime.context import Installation, Timing
from one_runtime.egress.client import Egress
from one_runtime.egress.limits import PoolLimits
from one_runtime.egress.network import Network
from one_runtime.egress.response import Response
from one_runtime.serving import application, server
from one_runtime.serving.draining import DrainingConfig
from one_runtime.settings import Settings
from tests.catalogs import replace_catalog
from tests.tokens.rotating import catalog_at

Gate: TypeAlias = Literal["called", "connecting", "answered", "answering"]

_REFRESH: Final = "/refresh"
_CONNECTION: Final = ContextVar("connection", default="")
"""The connection whose tokens the running request refreshes."""


@dataclass(frozen=True, slots=True)
class Drill:
    """Options of the process. `gates`: port of the test's gates, or 0.

    `clock`: file with the seconds by which the clock is ahead. `held`: JSON file with the gate of each connection whose
    refresh waits at one.
    """

    provider_url: str
    clock: str
    held: str = ""
    gates: int = 0
    lease: float = 60.0
    answer: float = 20.0
    request: float = 55.0
    patience: float = 30.0
    loop: str = "auto"

    def words(self) -> tuple[str, str]:
        """Return the module and its first argument."""
        return "tests.tokens.served_with_provider", json.dumps(asdict(self))

    def shift_clock(self) -> None:
        """Let `system_clock` of this process go wrong, as on a machine with a wrong clock."""
        file = Path(self.clock)

        class WrongClock(datetime):
            @classmethod
            def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override] # a plain datetime
                return datetime.now(tz) + timedelta(seconds=float(file.read_text()))

        vars(clock)["datetime"] = WrongClock

    def hurry(self, installation: Installation) -> Installation:
        """Shorten the times of a refresh."""
        lease = timedelta(seconds=self.lease)
        timing = Timing(lease=lease, answer=self.answer, request=self.request, patience=self.patience, poll=0.2)
        return replace(installation, timing=timing)


class Gates:
    """The places at which a refresh waits until the test opens its gate."""

    def __init__(self, drill: Drill) -> None:
        self._port, self._held = drill.gates, Path(drill.held)
        self._gates: dict[str, Gate] | None = None

    async def wait(self, gate: Gate) -> None:
        """Wait if the gate holds the connection of this request."""
        connection = _CONNECTION.get()
        if not (self._port and connection):
            return
        if self._gates is None:
            self._gates = json.loads(self._held.read_text())
        if self._gates.get(connection) != gate:
            return
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        writer.write(f"{connection}\n".encode())
        await reader.read()
        writer.close()


class GatedNetwork(Network):
    """Name resolution that can take long. Every name has the address of loopback."""

    def __init__(self, gates: Gates) -> None:
        super().__init__()
        self._gates = gates

    async def resolve(self, host: str, port: int) -> list[str]:
        await self._gates.wait("connecting")
        return ["127.0.0.1"]


class GatedEgress(Egress):
    """Returns a response that it has read when the gate opens."""

    gates: Gates

    async def request(self, *args: Any, **more: Any) -> Response:
        response = await super().request(*args, **more)
        await self.gates.wait("answered")
        return response


@dataclass(frozen=True, slots=True)
class GatedApplication:
    """Holds requests before the application, and its answers before the caller."""

    app: ASGIApp
    gates: Gates

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].endswith(_REFRESH):
            await self.app(scope, receive, send)
            return
        _CONNECTION.set(scope["path"].split("/")[-2])
        await self.gates.wait("called")

        async def send_later(message: Message) -> None:
            if message["type"] == "http.response.start":
                await self.gates.wait("answering")
            await send(message)

        await self.app(scope, receive, send_later)


def main() -> None:
    """Run a command. The first argument is the drill. The others are the command."""
    drill = Drill(**json.loads(sys.argv.pop(1)))
    drill.shift_clock()
    gates, catalog, port = Gates(drill), catalog_at(drill.provider_url), urlsplit(drill.provider_url).port or 0
    # All refreshes are at the provider at once, and each one opens a connection.
    limits = PoolLimits(connections=4096, per_upstream=4096, per_tenant=4096, idle_connections=0, dns_cache=0)
    egress = GatedEgress(allow=frozenset({("localhost", port)}), network=GatedNetwork(gates), pool_limits=limits)
    egress.gates = gates
    build, installation_of = application.create_app, application._installation

    def create_app(settings: Settings) -> GatedApplication:
        return GatedApplication(build(settings, catalog, egress=egress), gates)

    vars(application)["_installation"] = lambda *args: drill.hurry(installation_of(*args))
    replace_catalog(catalog)
    vars(server)["create_app"] = create_app
    vars(server)["DrainingConfig"] = partial(DrainingConfig, loop=drill.loop)
    os.environ["ONE_RUNTIME_EGRESS_ALLOW"] = f"localhost:{port}"
    cli.main()


if __name__ == "__main__":
    main()
