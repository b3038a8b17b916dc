"""P12: name servers that do not answer delay neither other domains nor other organizations."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from socket import socket

import pytest

from one_runtime.egress import bulkhead
from one_runtime.egress.client import Egress
from one_runtime.egress.errors import UpstreamUnreachable
from one_runtime.egress.limits import Limits
from one_runtime.egress.network import Network
from tests.egress.network import PUBLIC, RoutedSocket
from tests.egress.upstream import Upstream
from tests.waiting import eventually

pytestmark = pytest.mark.promise("P12")


class SlowNames(Network):
    """A network in which the name servers of the domains `slow…` do not answer before `answer` is set."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self.port, self.answer, self.waiting = port, threading.Event(), 0

    def look_up(self, host: str, port: int) -> list[str]:
        if ".slow" in host:
            self.waiting += 1
            self.answer.wait(30)
        return [PUBLIC]

    def open_socket(self, family: int, address: str, port: int) -> socket:
        return RoutedSocket(self.port, family)


@asynccontextmanager
async def slow_look_ups(network: SlowNames, hosts: list[str]) -> AsyncIterator[Egress]:
    """Yield an egress while an organization requests the hosts."""
    async with Egress(network=network, limits=Limits(connect=5)) as egress:
        requests = [
            asyncio.create_task(egress.for_tenant("northwind").request("GET", f"http://{host}/")) for host in hosts
        ]
        try:
            yield egress
        finally:
            network.answer.set()
            await asyncio.gather(*requests, return_exceptions=True)
            network.close()


async def test_domain_without_an_answer_delays_no_other_domain(upstream: Upstream) -> None:
    network = SlowNames(upstream.port)
    async with slow_look_ups(network, [f"{number}.slow.example" for number in range(100)]) as egress:
        await eventually(lambda: network.waiting == bulkhead.LOOK_UPS_PER_DOMAIN)
        for tenant in ("northwind", "southwind", ""):
            answer = await egress.for_tenant(tenant).request("GET", f"http://quick.example{tenant}.com/")
            assert answer.body == b"reached"
        assert network.waiting == bulkhead.LOOK_UPS_PER_DOMAIN


async def test_many_domains_without_an_answer_delay_no_other_organization(upstream: Upstream) -> None:
    network = SlowNames(upstream.port)
    hosts = [f"{number}.slow{domain}.example" for domain in range(40) for number in range(4)]
    async with slow_look_ups(network, hosts) as egress:
        await eventually(lambda: network.waiting == bulkhead.LOOK_UPS_PER_TENANT)
        assert (await egress.for_tenant("southwind").request("GET", "http://quick.example/")).body == b"reached"
        assert network.waiting == bulkhead.LOOK_UPS_PER_TENANT


async def test_look_up_waits_for_a_limited_time(upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    """aiohttp does not end a look-up when its request ends. So waiting look-ups could fill the memory."""
    monkeypatch.setattr(bulkhead, "PATIENCE", 0.1)
    network = SlowNames(upstream.port)
    async with slow_look_ups(
        network, [f"{number}.slow.example" for number in range(bulkhead.LOOK_UPS_PER_DOMAIN)]
    ) as egress:
        await eventually(lambda: network.waiting == bulkhead.LOOK_UPS_PER_DOMAIN)
        with pytest.raises(UpstreamUnreachable, match="cannot be resolved at the moment"):
            await egress.for_tenant("northwind").request("GET", "http://other.slow.example/")
