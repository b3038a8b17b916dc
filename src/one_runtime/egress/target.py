"""Target of a request: the strict parse of an address, and the checks that need no name resolution (P7).

The parsed address is the one that is sent. An ambiguous address is refused, not repaired.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Final

import idna
from yarl import URL

from one_runtime.egress.addresses import Address, why_refused
from one_runtime.egress.errors import ALLOW_SETTING, TargetRefused
from one_runtime.errors import ConfigurationError

AllowList = frozenset[tuple[str, int]]

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_LONGEST_URL: Final = 16 * 1024
_LONGEST_NAME: Final = 253

_UNUSABLE: Final = re.compile(r"[\x00-\x20\x7f\\]")
_URL: Final = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?#]*)(?P<rest>[^#]*)(?:#.*)?")
_AUTHORITY: Final = re.compile(r"(?:\[(?P<ipv6>[0-9A-Fa-f:.]+)\]|(?P<name>[^:\[\]]+))(?::(?P<port>[1-9][0-9]{0,4}))?")
_LABEL: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
# A number for browsers (WHATWG URL, "ends in a number") and inet_aton: 127.1, 0x7f000001, 0x.
_NUMERIC_LABEL: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")

# Names of cloud metadata services and of this machine, refused whatever they resolve to.
_REFUSED_NAMES: Final = frozenset(
    {
        "localhost",
        "instance-data",
        "instance-data.ec2.internal",
        "metadata",
        "metadata.aws.internal",
        "metadata.azure.com",
        "metadata.azure.internal",
        "metadata.cloud.ibm.com",
        "api.metadata.cloud.ibm.com",
        "metadata.goog",
        "metadata.google.internal",
        "metadata.packet.net",
        "metadata.platformequinix.com",
        "metadata.tencentyun.com",
    }
)

# Ports of protocols that an HTTP request can be smuggled into: https://fetch.spec.whatwg.org/#port-blocking
_OTHER_PROTOCOLS: Final = (
    "1 7 9 11 13 15 17 19 20 21 22 23 25 37 42 43 53 69 77 79 87 95 101 102 103 104 109 110 111 113 115 117 119 "
    "123 135 137 139 143 161 179 389 427 465 512 513 514 515 526 530 531 532 540 548 554 556 563 587 601 636 989 "
    "990 993 995 1719 1720 1723 2049 3659 4045 4190 5060 5061 6000 6566 6665 6666 6667 6668 6669 6679 6697 "
    "10080"
)
_REFUSED_PORTS: Final = frozenset(int(port) for port in _OTHER_PROTOCOLS.split())


@dataclass(frozen=True, slots=True)
class Target:
    """A parsed address. `host` is canonical: lower case, IDNA, no trailing dot, IPv6 compressed and unbracketed."""

    scheme: str
    host: str
    port: int
    rest: str = field(repr=False)
    """Path and query, byte for byte as given."""
    address: Address | None
    """Set if the host is a literal address, which needs no resolver."""

    @property
    def authority(self) -> str:
        """Host and port in the form of an allow-list entry. Safe in messages."""
        return f"{_bracketed(self.host)}:{self.port}"

    @property
    def origin(self) -> tuple[str, str, int]:
        """The origin (RFC 6454). Credentials are only sent to the same origin."""
        return (self.scheme, self.host, self.port)

    @property
    def url(self) -> URL:
        """The address for the client, without any quoting, unquoting or normalization."""
        port = "" if self.port == _DEFAULT_PORTS[self.scheme] else f":{self.port}"
        return URL(f"{self.scheme}://{_bracketed(self.host)}{port}{self.rest}", encoded=True)


def parse(url: str) -> Target:
    """Parse an absolute http or https address.

    Raises:
        TargetRefused: the address is invalid or ambiguous.
    """
    if len(url) > _LONGEST_URL:
        raise TargetRefused.malformed(f"it is longer than {_LONGEST_URL} characters")
    if _UNUSABLE.search(url):
        raise TargetRefused.malformed("it contains a space, a control character or a backslash")
    parts = _URL.fullmatch(url)
    if parts is None:
        raise TargetRefused.malformed("it must have the form https://host/path")
    scheme = parts["scheme"].lower()
    if scheme not in _DEFAULT_PORTS:
        raise TargetRefused.malformed("its scheme must be http or https")
    if not parts["rest"].isascii():
        raise TargetRefused.malformed("its path and query must be ASCII; percent-encode other characters")
    host, address, port = _parse_authority(parts["authority"])
    path, _, query = parts["rest"].partition("?")
    rest = (path or "/") + (f"?{query}" if query else "")
    return _as_the_client_reads_it(Target(scheme, host, port or _DEFAULT_PORTS[scheme], rest, address))


def check(target: Target, allow: AllowList) -> None:
    """Refuse a target without name resolution. Runs for every request, also if a pooled connection exists.

    Raises:
        TargetRefused: the port, the name or the literal address is refused, and the operator has not allowed it.
    """
    if (target.host, target.port) in allow:
        return
    if target.port in _REFUSED_PORTS:
        raise TargetRefused.not_allowed(f"Port {target.port} belongs to another protocol than HTTP", target.authority)
    if target.host in _REFUSED_NAMES or target.host.endswith(".localhost"):
        raise TargetRefused.not_allowed(
            f"{target.host} is a name for this machine or its cloud's metadata", target.authority
        )
    why = None if target.address is None else why_refused(target.address)
    if why is not None:
        raise TargetRefused.not_allowed(f"{target.host} is not a public address ({why})", target.authority)


def canonical_allow_list(entries: Iterable[tuple[str, int]]) -> AllowList:
    """Return the operator's entries with canonical hosts, as in `Target.host`.

    Raises:
        ConfigurationError: an entry is not a host and a port.
    """
    try:
        targets = [parse(f"http://{_bracketed(host.strip('[]'))}:{port}/") for host, port in entries]
    except TargetRefused as refusal:
        raise ConfigurationError(f"{ALLOW_SETTING} has an entry that is not host:port. {refusal.detail}") from refusal
    return frozenset((target.host, target.port) for target in targets)


def _parse_authority(authority: str) -> tuple[str, Address | None, int | None]:
    if "@" in authority:
        raise TargetRefused.malformed("it contains a user name or password")
    if "%" in authority:
        raise TargetRefused.malformed("its host is percent-encoded or scoped to an interface")
    parts = _AUTHORITY.fullmatch(authority)
    if parts is None:
        raise TargetRefused.malformed("its host or port cannot be read")
    port = None if parts["port"] is None else int(parts["port"])
    if port is not None and port > 0xFFFF:
        raise TargetRefused.malformed("its port is not between 1 and 65535")
    if parts["ipv6"] is None:
        host, address = _parse_name(parts["name"])
        return host, address, port
    try:
        literal = IPv6Address(parts["ipv6"])
    except AddressValueError:
        raise TargetRefused.malformed("the address in brackets is not an IPv6 address") from None
    return str(literal), literal, port


def _parse_name(name: str) -> tuple[str, Address | None]:
    host = _ascii_name(name).removesuffix(".")
    labels = host.split(".")
    if len(host) > _LONGEST_NAME or not all(_LABEL.fullmatch(label) for label in labels):
        raise TargetRefused.malformed("its host is not a valid name")
    if not _NUMERIC_LABEL.fullmatch(labels[-1]):
        return host, None
    try:
        return host, IPv4Address(host)
    except AddressValueError:
        raise TargetRefused.malformed(
            "its host is numeric but not a canonical IPv4 address such as 192.0.2.1"
        ) from None


def _ascii_name(name: str) -> str:
    if name.isascii():
        return name.lower()
    try:
        return idna.encode(name, uts46=True, std3_rules=True).decode("ascii").lower()
    except idna.IDNAError:
        raise TargetRefused.malformed("its host is not a valid internationalized name") from None


def _as_the_client_reads_it(target: Target) -> Target:
    """Refuse an address that the client parses differently: the guard must check what is dialled and sent."""
    try:
        url = target.url
        read = (url.scheme, url.raw_host, url.port, url.raw_path_qs)
    except ValueError:
        raise TargetRefused.malformed("its host or port cannot be read") from None
    if read != (target.scheme, target.host, target.port, target.rest):
        raise TargetRefused.malformed("it is ambiguous")
    return target


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
