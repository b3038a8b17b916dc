"""Decide which IP addresses One Runtime refuses to contact (promise P7 of docs/security.md).

One Runtime refuses every address that is not global unicast. One Runtime also refuses every IPv6 range that embeds
IPv4 addresses, because an embedded address can be private. Python's `is_global` is not enough, because its result
changes between Python versions.

Sources: the IANA special-purpose address registries for IPv4 and IPv6, RFC 6890 with its updates, and the
documentation of cloud providers.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final

Address = IPv4Address | IPv6Address

_IPV4: Final = tuple(
    (IPv4Network(network), why)
    for network, why in (
        ("0.0.0.0/8", "this network"),
        ("10.0.0.0/8", "private use"),
        ("100.64.0.0/10", "carrier-grade NAT"),  # contains Alibaba's metadata service (100.100.100.200)
        ("127.0.0.0/8", "loopback"),
        ("169.254.0.0/16", "link-local and cloud metadata"),
        ("172.16.0.0/12", "private use"),
        ("192.0.0.0/24", "protocol assignments"),  # contains Oracle's metadata service (192.0.0.192)
        ("192.0.2.0/24", "documentation"),
        ("192.88.99.0/24", "6to4 relay"),
        ("192.168.0.0/16", "private use"),
        ("198.18.0.0/15", "benchmarking"),
        ("198.51.100.0/24", "documentation"),
        ("203.0.113.0/24", "documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved and broadcast"),
        # Azure's "wire server" has a public address and returns the settings of the virtual machine.
        ("168.63.129.16/32", "cloud metadata"),
    )
)

_GLOBAL_UNICAST: Final = IPv6Network("2000::/3")

_IPV6: Final = tuple(
    (IPv6Network(network), why)
    for network, why in (
        ("::/128", "unspecified"),
        ("::1/128", "loopback"),
        ("::ffff:0:0/96", "an IPv4 address in IPv6 form"),
        ("::ffff:0:0:0/96", "an IPv4 address in IPv6 form"),
        ("::/96", "an IPv4 address in IPv6 form"),
        ("64:ff9b::/96", "NAT64"),
        ("64:ff9b:1::/48", "NAT64"),
        ("fc00::/7", "private use"),  # contains the metadata services of AWS (fd00:ec2::254) and Google (fd20:ce::254)
        ("fe80::/10", "link-local"),
        ("fec0::/10", "site-local"),
        ("ff00::/8", "multicast"),
        ("2001::/32", "Teredo"),
        ("2001:2::/48", "benchmarking"),
        ("2001::/23", "protocol assignments"),
        ("2001:db8::/32", "documentation"),
        ("2002::/16", "6to4"),
        ("3fff::/20", "documentation"),
    )
)

# An ISATAP address embeds an IPv4 address after the prefix 0000:5efe or 0200:5efe of its interface identifier (RFC 5214
# section 6.1). The mask ignores the two low bits of the first byte (the flags "universal" and "group").
_ISATAP: Final = 0x0000_5EFE
_ISATAP_MASK: Final = 0xFCFF_FFFF


def why_refused(address: Address) -> str | None:
    """Return a short reason why requests must not go to the address. Return None for an allowed address."""
    if isinstance(address, IPv4Address):
        known = next((why for network, why in _IPV4 if address in network), None)
    else:
        known = _why_ipv6_refused(address)
    if known is None and not address.is_global:
        return "not globally reachable"
    return known


def _why_ipv6_refused(address: IPv6Address) -> str | None:
    if address.scope_id is not None:
        return "an IPv6 address with a zone"
    known = next((why for network, why in _IPV6 if address in network), None)
    if known is not None:
        return known
    if address not in _GLOBAL_UNICAST:
        return "not global unicast"
    if (int(address) >> 32) & _ISATAP_MASK == _ISATAP:
        return "ISATAP"
    return None
