"""Parse the URL of an outbound request strictly, and check its host and port without name resolution.

The check is one step of the promise P7 of docs/security.md: One Runtime sends no requests to private addresses. One
Runtime requests exactly the URL that this module has parsed and checked. The module refuses an ambiguous URL.
"""

import re
from dataclasses import dataclass, field
from functools import lru_cache
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
_LONGEST_CACHED: Final = 300
"""Maximum length of a URL whose check is cached. Organizations write the URLs, so long URLs would fill the memory."""

_UNUSABLE: Final = re.compile(r"[\x00-\x20\x7f\\]")
_URL: Final = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?#]*)(?P<rest>[^#]*)(?:#.*)?")
_AUTHORITY: Final = re.compile(r"(?:\[(?P<ipv6>[0-9A-Fa-f:.]+)\]|(?P<name>[^:\[\]]+))(?::(?P<port>[1-9][0-9]{0,4}))?")
_LABEL: Final = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME: Final = re.compile(rf"(?:{_LABEL}\.)*(?P<last>{_LABEL})")
# Browsers and inet_aton treat the hosts `127.1`, `0x7f000001` and even `0x` as IPv4 addresses, because the last label
# is a number (WHATWG URL, "ends in a number").
_NUMERIC_LABEL: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")

# Names of this machine and of cloud metadata services. `check` refuses each name, even if the name resolves to a public
# address.
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

# Ports of protocols other than HTTP. A server of another protocol could execute parts of an HTTP request as commands:
# https://fetch.spec.whatwg.org/#port-blocking
_OTHER_PROTOCOLS: Final = (
    "1 7 9 11 13 15 17 19 20 21 22 23 25 37 42 43 53 69 77 79 87 95 101 102 103 104 109 110 111 113 115 117 119 "
    "123 135 137 139 143 161 179 389 427 465 512 513 514 515 526 530 531 532 540 548 554 556 563 587 601 636 989 "
    "990 993 995 1719 1720 1723 2049 3659 4045 4190 5060 5061 6000 6566 6665 6666 6667 6668 6669 6679 6697 "
    "10080"
)
_REFUSED_PORTS: Final = frozenset(int(port) for port in _OTHER_PROTOCOLS.split())


@dataclass(frozen=True, slots=True)
class Target:
    """A parsed URL.

    `host` is in canonical form: lower case, IDNA, without a trailing dot. An IPv6 address is compressed and has no
    brackets.
    """

    scheme: str
    host: str
    port: int
    address: Address | None
    """The IP address, if the host is an IP address. None if the host is a name."""
    authority: str
    """Host and port in the format of an allow-list entry. The value contains no secret."""
    url: URL = field(repr=False)
    """The URL for aiohttp, with path and query byte for byte as the caller wrote them."""

    @property
    def origin(self) -> tuple[str, str, int]:
        """Return the origin (RFC 6454). After a redirect to another origin, One Runtime sends no credentials."""
        return (self.scheme, self.host, self.port)


def parse(url: str) -> Target:
    """Parse an absolute http or https URL.

    Raises:
        TargetRefused: the URL is invalid or ambiguous.
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
    host, address, port = _parse_authority(parts["authority"], _DEFAULT_PORTS[scheme])
    path, _, query = parts["rest"].partition("?")
    rest = (path or "/") + (f"?{query}" if query else "")
    authority = bracketed(host)
    suffix = "" if port == _DEFAULT_PORTS[scheme] else f":{port}"
    try:
        sent = URL(f"{scheme}://{authority}{suffix}{rest}", encoded=True)
        # aiohttp must request exactly the URL that this function has parsed.
        if (sent.scheme, sent.raw_host, sent.port, sent.raw_path_qs) != (scheme, host, port, rest):
            raise TargetRefused.malformed("it is ambiguous")
    except ValueError:
        raise TargetRefused.malformed("its host or port cannot be read") from None
    return Target(scheme, host, port, address, f"{authority}:{port}", sent)


def check(target: Target, allow: AllowList) -> None:
    """Check a target without name resolution. The pool calls `check` before every request, even on an open connection.

    Raises:
        TargetRefused: the port, name or IP address is refused, and the operator has not allowed the host and port.
    """
    if (target.host, target.port) in allow:
        return
    if target.port in _REFUSED_PORTS:
        raise TargetRefused.not_allowed(f"Port {target.port} belongs to a protocol other than HTTP", target.authority)
    if target.host in _REFUSED_NAMES or target.host.endswith(".localhost"):
        raise TargetRefused.not_allowed(
            f"{target.host} is a name of the server itself or of its cloud's metadata service", target.authority
        )
    why = None if target.address is None else why_refused(target.address)
    if why is not None:
        raise TargetRefused.not_allowed(f"{target.host} is not a public address ({why})", target.authority)


def find_refusal(url: str, allow: AllowList) -> str | None:
    """Return the operator's message if One Runtime refuses a URL. Otherwise, return None.

    The function resolves no name, and sends no request. Do not pass a URL with a secret, because the result is cached.

    Raises:
        ConfigurationError: an entry of `allow` is not a valid pair of host and port.
    """
    find = _find_refusal if len(url) <= _LONGEST_CACHED else _find_refusal.__wrapped__
    return find(url, allow)


@lru_cache(maxsize=4096)
def _find_refusal(url: str, allow: AllowList) -> str | None:
    try:
        check(parse(url), canonical_allow_list(allow))
    except TargetRefused as refusal:
        return refusal.cause
    return None


@lru_cache(maxsize=16)
def canonical_allow_list(entries: AllowList) -> AllowList:
    """Return the operator's entries, with each host in the canonical form of `Target.host`.

    Raises:
        ConfigurationError: an entry is not a valid pair of host and port.
    """
    try:
        targets = [parse(f"http://{bracketed(host.strip('[]'))}:{port}/") for host, port in entries]
    except TargetRefused as refusal:
        raise ConfigurationError(f"{ALLOW_SETTING} has an entry that is not host:port. {refusal.detail}") from refusal
    return frozenset((target.host, target.port) for target in targets)


@lru_cache(maxsize=1024)
def _parse_authority(authority: str, default_port: int) -> tuple[str, Address | None, int]:
    if "@" in authority:
        raise TargetRefused.malformed("it contains a user name or password")
    if "%" in authority:
        raise TargetRefused.malformed(
            "its host contains %. Percent-encoding and IPv6 zones (such as fe80::1%eth0) are not allowed"
        )
    parts = _AUTHORITY.fullmatch(authority)
    if parts is None:
        raise TargetRefused.malformed("its host or port cannot be read")
    port = int(parts["port"] or default_port)
    if port > 0xFFFF:
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
    try:
        host = (
            name.lower() if name.isascii() else idna.encode(name, uts46=True, std3_rules=True).decode("ascii").lower()
        )
    except idna.IDNAError:
        raise TargetRefused.malformed("its host is not a valid internationalized name") from None
    host = host.removesuffix(".")
    labels = _NAME.fullmatch(host) if len(host) <= _LONGEST_NAME else None
    if labels is None:
        raise TargetRefused.malformed("its host is not a valid name")
    if not _NUMERIC_LABEL.fullmatch(labels["last"]):
        return host, None
    try:
        return host, IPv4Address(host)
    except AddressValueError:
        raise TargetRefused.malformed(
            "its host is numeric but not a canonical IPv4 address such as 192.0.2.1"
        ) from None


def bracketed(host: str) -> str:
    """Return the host for use in a URL. An IPv6 address gets brackets."""
    return f"[{host}]" if ":" in host else host
