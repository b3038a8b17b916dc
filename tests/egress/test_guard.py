"""P7: outbound requests reach only public addresses, in every spelling and after every change of DNS."""

import asyncio
import socket

import pytest
import uvloop
from structlog.testing import CapturingLogger

from one_runtime.egress import connector, observation, pool
from one_runtime.egress.client import Egress
from one_runtime.egress.errors import EgressError, TargetRefused
from one_runtime.egress.limits import PoolLimits
from one_runtime.errors import ConfigurationError
from tests.egress.network import PUBLIC, PUBLIC_IPV6, LoopbackNetwork
from tests.egress.upstream import Upstream, answer, running_upstream

pytestmark = pytest.mark.promise("P7")

PRIVATE_ADDRESSES = {
    "0.0.0.0": "this network",
    "10.0.0.1": "private use",
    "10.255.255.255": "private use",
    "100.64.0.1": "carrier-grade NAT",
    "100.100.100.200": "carrier-grade NAT",
    "100.127.255.255": "carrier-grade NAT",
    "127.0.0.1": "loopback",
    "127.255.255.254": "loopback",
    "168.63.129.16": "cloud metadata",
    "169.254.169.254": "link-local and cloud metadata",
    "169.254.170.2": "link-local and cloud metadata",
    "172.16.0.1": "private use",
    "172.31.255.255": "private use",
    "192.0.0.192": "protocol assignments",
    "192.0.2.1": "documentation",
    "192.88.99.1": "6to4 relay",
    "192.168.0.1": "private use",
    "198.18.0.1": "benchmarking",
    "198.19.255.255": "benchmarking",
    "198.51.100.7": "documentation",
    "203.0.113.9": "documentation",
    "224.0.0.1": "multicast",
    "239.255.255.250": "multicast",
    "240.0.0.1": "reserved and broadcast",
    "255.255.255.255": "reserved and broadcast",
    "::": "unspecified",
    "::1": "loopback",
    "::127.0.0.1": "an IPv4 address in IPv6 form",
    "::8.8.8.8": "an IPv4 address in IPv6 form",
    "::ffff:127.0.0.1": "an IPv4 address in IPv6 form",
    "::ffff:8.8.8.8": "an IPv4 address in IPv6 form",
    "::ffff:7f00:1": "an IPv4 address in IPv6 form",
    "0:0:0:0:0:ffff:a9fe:a9fe": "an IPv4 address in IPv6 form",
    "::ffff:0:127.0.0.1": "an IPv4 address in IPv6 form",
    "64:ff9b::7f00:1": "NAT64",
    "64:ff9b::8.8.8.8": "NAT64",
    "64:ff9b:1::a00:1": "NAT64",
    "100::1": "not global unicast",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2": "Teredo",
    "2001:2::1": "benchmarking",
    "2001:10::1": "protocol assignments",
    "2001:20::1": "protocol assignments",
    "2001:db8::1": "documentation",
    "2002:7f00:1::": "6to4",
    "2002:808:808::1": "6to4",
    "2606:4700::5efe:7f00:1": "ISATAP",
    "2606:4700::200:5efe:a00:1": "ISATAP",
    "2606:4700::5efe:808:808": "ISATAP",
    "3fff::1": "documentation",
    "4000::1": "not global unicast",
    "5f00::1": "not global unicast",
    "fc00::1": "private use",
    "fd00:ec2::254": "private use",
    "fd20:ce::254": "private use",
    "fe80::1": "link-local",
    "fec0::1": "site-local",
    "ff02::1": "multicast",
    "ff0e::1": "multicast",
}

OTHER_SPELLINGS = [
    # numbers that inet_aton and browsers read as IPv4
    "http://127.1/",
    "http://127.0.1/",
    "http://2130706433/",
    "http://017700000001/",
    "http://0177.0.0.1/",
    "http://0x7f000001/",
    "http://0X7F000001/",
    "http://0x7f.0.0.1/",
    "http://0x7f.1/",
    "http://127.0.0.0x1/",
    "http://127.0.0.01/",
    "http://00000127.0.0.1/",
    "http://2852039166/",
    "http://0xa9fea9fe/",
    "http://169.254.43518/",
    "http://0/",
    "http://0x/",
    "http://1/",
    "http://127.0.0.1./",
    "http://127.0.0.1../",
    "http://127.0.0.1:0/",
    "http://example.127/",
    "http://8.8.8.8.8/",
    "http://8.8.8.256/",
    # characters that become ASCII on the way
    "http://①②⑦.⓪.⓪.①/",
    "http://１２７.0.0.1/",
    "http://127。0。0。1/",
    "http://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ/",
    "http://local\u00adhost/",
    "http://metadata。google。internal/",
    "http://٠/",
    # names of this machine and of the cloud
    "http://localhost/",
    "http://LocalHost/",
    "http://localhost./",
    "http://anything.localhost/",
    "http://metadata/",
    "http://metadata.google.internal/computeMetadata/v1/",
    "http://METADATA.google.internal./",
    "http://metadata.goog/",
    "http://instance-data/latest/",
    "http://instance-data.ec2.internal/",
    "http://metadata.azure.internal/",
    "http://metadata.tencentyun.com/",
    "http://metadata.packet.net/",
    # two readings of one address
    "http://user@127.0.0.1/",
    "http://user:password@public.example/",
    "http://public.example@127.0.0.1/",
    "http://public.example:80@127.0.0.1/",
    "http://127.0.0.1#@public.example/",
    "http://127.0.0.1\\@public.example/",
    "http://public.example\\.127.0.0.1/",
    "http:\\\\127.0.0.1/",
    "http://%31%32%37.0.0.1/",
    "http://127.0.0.1%00.public.example/",
    "http://127.0.0.1%2f.public.example/",
    "http://public.example%2f@127.0.0.1/",
    "http://127.0.0.1\x00.public.example/",
    "http://127.0.0.1 /",
    " http://127.0.0.1/",
    "http://\t127.0.0.1/",
    "http://127.0.\n0.1/",
    "http://public.example\r\nHost: 127.0.0.1/",
    "http:///127.0.0.1/",
    "http:127.0.0.1/",
    "//127.0.0.1/",
    "http://:80/",
    "http://127.0.0.1:/",
    "http://127.0.0.1:080/",
    "http://127.0.0.1:80:80/",
    "http://public.example:99999/",
    "http://public.example:8٠/",
    "http://public..example/",
    "http://.public.example/",
    "http://-public.example/",
    "http://public,example/",
    # brackets
    "http://[::1%25lo]/",
    "http://[fe80::1%25eth0]/",
    "http://[fe80::1%eth0]/",
    "http://[2606:4700:4700::1111%251]/",
    "http://[::1]]/",
    "http://[[::1]/",
    "http://[::1]public.example/",
    "http://[127.0.0.1]/",
    "http://[v1.fe80]/",
    "http://[]/",
    "http://::1/",
    # other schemes
    "file:///etc/passwd",
    "ftp://public.example/",
    "gopher://public.example:6379/_",
    "unix:///var/run/docker.sock",
    "tcp://127.0.0.1:2375/",
    "ws://127.0.0.1/",
    "javascript:alert(1)",
    "",
    # protocols beside HTTP
    "http://public.example:22/",
    "http://public.example:25/",
    "https://public.example:993/",
]


def literal(address: str) -> str:
    return f"http://[{address}]/" if ":" in address else f"http://{address}/"


@pytest.mark.parametrize("url", [*map(literal, PRIVATE_ADDRESSES), *OTHER_SPELLINGS])
async def test_p7_private_target_is_refused_in_every_spelling(upstream: Upstream, url: str) -> None:
    network = LoopbackNetwork(upstream.port)
    async with Egress(network=network) as egress:
        with pytest.raises(TargetRefused):
            await egress.request("GET", url)
    assert network.dialled == []
    assert network.lookups == []
    assert upstream.requests == []


@pytest.mark.parametrize("address", [*PRIVATE_ADDRESSES, "fe80::1%eth0", "2606:4700:4700::1111%2", "private", ""])
async def test_p7_name_of_a_private_address_is_refused(upstream: Upstream, address: str) -> None:
    network = LoopbackNetwork(upstream.port, {"public.example": [[address]]})
    async with Egress(network=network) as egress:
        with pytest.raises(TargetRefused) as refused:
            await egress.request("GET", "http://public.example/")
    assert network.lookups == ["public.example"]
    assert network.dialled == []
    if address:
        assert address not in refused.value.detail + refused.value.cause


@pytest.mark.parametrize("address, why", PRIVATE_ADDRESSES.items())
async def test_p7_refusal_names_the_address_range(upstream: Upstream, address: str, why: str) -> None:
    async with Egress(network=LoopbackNetwork(upstream.port)) as egress:
        with pytest.raises(TargetRefused) as refused:
            await egress.request("GET", literal(address))
    assert f"is not a public address ({why})" in refused.value.cause
    assert address not in refused.value.detail


@pytest.mark.parametrize("answers", [[PUBLIC, "10.0.0.1"], ["10.0.0.1", PUBLIC], [PUBLIC, PUBLIC_IPV6, "::1"]])
async def test_p7_name_with_one_private_address_is_refused(upstream: Upstream, answers: list[str]) -> None:
    network = LoopbackNetwork(upstream.port, {"public.example": [answers]})
    async with Egress(network=network) as egress:
        with pytest.raises(TargetRefused):
            await egress.request("GET", "http://public.example/")
    assert network.dialled == []


@pytest.mark.parametrize(
    "url",
    [
        "http://public.example/",
        "http://PUBLIC.example./",
        "http://public.example:8080/",
        f"http://{PUBLIC}/",
        f"http://[{PUBLIC_IPV6}]/",
        "http://xn--mnchen-3ya.example/",
        "http://with_underscore.example/",
        "http://0x7f.example/",
        "http://127.0.0.1.example/",
    ],
)
async def test_p7_public_target_is_reached(upstream: Upstream, url: str) -> None:
    network = LoopbackNetwork(upstream.port)
    async with Egress(network=network) as egress:
        assert (await egress.request("GET", url)).body == b"reached"
    assert len(network.dialled) == 1


async def test_p7_rebound_name_is_refused_at_the_next_connection(upstream: Upstream) -> None:
    upstream.anything = answer(200, [("Connection", "close")])
    network = LoopbackNetwork(upstream.port, {"rebound.example": [[PUBLIC], ["127.0.0.1"]]})
    async with Egress(network=network, pool_limits=PoolLimits(dns_cache=0)) as egress:
        assert (await egress.request("GET", "http://rebound.example/")).status == 200
        with pytest.raises(TargetRefused):
            await egress.request("GET", "http://rebound.example/")
    assert network.dialled == [(PUBLIC, 80)]


async def test_p7_name_rebound_after_its_look_up_is_dialled_at_the_checked_address(upstream: Upstream) -> None:
    upstream.anything = answer(200, [("Connection", "close")])
    network = LoopbackNetwork(upstream.port, {"rebound.example": [[PUBLIC], ["127.0.0.1"]]})
    async with Egress(network=network) as egress:
        for _ in range(2):
            await egress.for_tenant("northwind").request("GET", "http://rebound.example/")
    assert network.dialled == [(PUBLIC, 80), (PUBLIC, 80)]


async def test_p7_literal_address_is_refused_at_dialling_too(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A literal address needs no resolver, so only the check of the dialled address remains here."""
    monkeypatch.setattr(pool, "check", lambda *_: None)
    network = LoopbackNetwork(upstream.port)
    async with Egress(network=network) as egress:
        for url in map(literal, ["127.0.0.1", "169.254.169.254", "::1", "::ffff:127.0.0.1"]):
            with pytest.raises(TargetRefused):
                await egress.request("GET", url)
    assert network.lookups == []
    assert network.dialled == []


@pytest.mark.parametrize("answers", [["127.0.0.1"], ["127.0.0.1", "10.0.0.1"], ["::1", "127.0.0.1"]])
async def test_p7_unchecked_address_is_refused_at_dialling(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch, answers: list[str]
) -> None:
    async def unchecked(self: object, host: str, port: int = 0, family: int = 0) -> list[dict[str, object]]:
        return [{"hostname": host, "host": address, "port": port, "family": 0, "proto": 0} for address in answers]

    monkeypatch.setattr(connector.CheckedResolver, "resolve", unchecked)
    network = LoopbackNetwork(upstream.port)
    async with Egress(network=network) as egress:
        with pytest.raises(TargetRefused):
            await egress.request("GET", "http://public.example/")
    assert network.dialled == []


def test_p7_guard_holds_on_uvloop() -> None:
    async def scenario() -> None:
        async with running_upstream() as upstream:
            names = {"private.example": [["127.0.0.1"]], "two.example": [[PUBLIC, PUBLIC_IPV6]]}
            network = LoopbackNetwork(upstream.port, names)
            async with Egress(network=network) as egress:
                assert (await egress.request("GET", "http://two.example/")).body == b"reached"
                for url in ("http://private.example/", "http://127.0.0.1/"):
                    with pytest.raises(TargetRefused):
                        await egress.request("GET", url)
            assert {address for address, _ in network.dialled} <= {PUBLIC, PUBLIC_IPV6}
            async with Egress(allow=frozenset({("127.0.0.1", upstream.port)})) as egress:
                assert (await egress.request("GET", upstream.url)).body == b"reached"

    uvloop.run(scenario())


async def test_p7_allowed_target_is_reached_over_the_system_network(upstream: Upstream) -> None:
    async with Egress(allow=frozenset({("127.0.0.1", upstream.port)})) as egress:
        assert (await egress.request("GET", upstream.url + "/")).body == b"reached"


async def test_p7_allow_list_entry_covers_exactly_one_host_and_port(upstream: Upstream) -> None:
    names = {name: [["127.0.0.1"]] for name in ("crm.internal", "other.internal", "a.crm.internal")}
    network = LoopbackNetwork(upstream.port, names)
    async with Egress(
        allow=frozenset({("CRM.internal.", 8080), ("10.0.0.1", 80), ("[::1]", 81)}), network=network
    ) as out:
        for url in ("http://crm.internal:8080/", "http://CRM.internal:8080/", "http://10.0.0.1/", "http://[::1]:81/"):
            assert (await out.for_tenant("northwind").request("GET", url)).status == 200
        for url in (
            "http://crm.internal/",
            "https://crm.internal/",
            "http://crm.internal:8081/",
            "http://other.internal:8080/",
            "http://a.crm.internal:8080/",
            "http://127.0.0.1:8080/",
            "http://10.0.0.1:81/",
            "http://10.0.0.2/",
            "http://[::1]/",
        ):
            with pytest.raises(TargetRefused):
                await out.request("GET", url)
    assert network.dialled == [("127.0.0.1", 8080), ("10.0.0.1", 80), ("::1", 81)]


async def test_p7_allowed_port_of_another_protocol_covers_exactly_one_host(upstream: Upstream) -> None:
    async with Egress(allow=frozenset({("mail.example", 25)}), network=LoopbackNetwork(upstream.port)) as egress:
        assert (await egress.request("GET", "http://mail.example:25/")).status == 200
        for url in ("http://mail.example:22/", "http://other.example:25/"):
            with pytest.raises(TargetRefused) as refused:
                await egress.request("GET", url)
            assert "belongs to a protocol other than HTTP" in refused.value.cause


async def test_p7_pooled_connection_does_not_serve_another_allow_list(upstream: Upstream) -> None:
    network = LoopbackNetwork(upstream.port, {"crm.internal": [["127.0.0.1"]]})
    async with Egress(allow=frozenset({("crm.internal", 80)}), network=network) as egress:
        for _ in range(2):
            await egress.for_tenant("northwind").request("GET", "http://crm.internal/")
        assert upstream.connections == 1
        async with Egress(network=network) as without_allowance:
            with pytest.raises(TargetRefused):
                await without_allowance.request("GET", "http://crm.internal/")
    assert len(upstream.requests) == 2


async def test_p7_target_is_checked_on_a_pooled_connection_too(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The guard checks a literal address before it uses a pooled connection."""
    network = LoopbackNetwork(upstream.port)
    async with Egress(allow=frozenset({("127.0.0.1", 80)}), network=network) as egress:
        northwind = egress.for_tenant("northwind")
        await northwind.request("GET", "http://127.0.0.1/")
        monkeypatch.setattr(egress._pool, "_allow", frozenset())
        with pytest.raises(TargetRefused):
            await northwind.request("GET", "http://127.0.0.1/")
    assert len(upstream.requests) == 1


async def test_refusal_names_the_allow_list_entry_to_add(upstream: Upstream) -> None:
    network = LoopbackNetwork(upstream.port, {"crm.internal": [["10.1.2.3"]]})
    async with Egress(network=network) as egress:
        for url, entry in (
            ("http://127.0.0.1:9/?key=s3cret", '"127.0.0.1:9"'),
            ("http://crm.internal:8080/s3cret", '"crm.internal:8080"'),
            ("https://[::1]/", '"[::1]:443"'),
        ):
            with pytest.raises(TargetRefused) as refused:
                await egress.request("GET", url)
            assert entry in refused.value.cause
            assert "ONE_RUNTIME_EGRESS_ALLOW" in refused.value.cause
            assert "s3cret" not in refused.value.cause
            assert refused.value.code == "target_refused"


async def test_every_refused_target_has_one_message_for_callers_and_its_cause_in_the_log(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Callers cannot explore the operator's network: for callers, a name looks the same in every refused network."""
    names = {"a.example": [["10.1.2.3"]], "b.example": [["169.254.169.254"]], "c.example": [["::1"]]}
    details = set()
    async with Egress(network=LoopbackNetwork(upstream.port, names)) as egress:
        for host in (*names, "127.0.0.1", "192.168.0.1", "metadata.google.internal", "d.example:22"):
            monkeypatch.setattr(observation, "log", log := CapturingLogger())
            with pytest.raises(TargetRefused) as refused:
                await egress.request(
                    "GET", f"http://{host}/s3cret?key=s3cret", headers=[("X-Key", "s3cret")], integration="x-crm"
                )
            (line,) = log.calls
            assert (line.method_name, line.args, line.kwargs["integration"]) == (
                "warning",
                ("target_refused",),
                "x-crm",
            )
            assert host in line.kwargs["cause"]
            assert "ONE_RUNTIME_EGRESS_ALLOW" in line.kwargs["cause"]
            assert "s3cret" not in str(log.calls)
            details.add(refused.value.detail)
    assert len(details) == 1


@pytest.mark.parametrize("entry", [("", 80), ("a b", 80), ("127.1", 80), ("host", 0), ("host", 70000), ("u@host", 80)])
def test_malformed_allow_list_entry_stops_the_start(entry: tuple[str, int]) -> None:
    with pytest.raises(ConfigurationError):
        Egress(allow=frozenset({entry}))


async def test_p7_names_of_this_machine_are_refused(upstream: Upstream) -> None:
    """The real resolver returns this machine for a name of the hosts file, which the guard refuses."""
    own_name = socket.gethostname()
    async with Egress() as egress:
        for host in ("ip6-localhost", own_name):
            with pytest.raises(EgressError):
                await asyncio.wait_for(egress.request("GET", f"http://{host}:{upstream.port}/"), 20)
    assert upstream.requests == []
