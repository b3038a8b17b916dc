"""A request to one target, and the request that follows a redirect. Pure functions."""

import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from typing import Final, TypeAlias
from urllib.parse import quote, urljoin

from one_runtime.egress.errors import RequestRefused, TargetRefused
from one_runtime.egress.target import Target, parse

Headers = tuple[tuple[str, str], ...]
Body: TypeAlias = bytes | AsyncIterator[bytes]
"""Complete, or streamed in pieces."""

USER_AGENT: Final = f"One-Runtime/{version('one-runtime')}"

_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 section 5.6.2
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_DEFAULT_HEADERS: Final = (("User-Agent", USER_AGENT), ("Accept", "*/*"), ("Accept-Encoding", "gzip, deflate"))
HOP_BY_HOP: Final = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Headers that concern one connection (RFC 9110 section 7.6.1)."""

# These headers decide where a message ends, or which host it is for. aiohttp sets those it needs.
_OURS: Final = HOP_BY_HOP | {"content-length", "expect", "host"}
# TRACE echoes credentials, CONNECT opens a tunnel that the guard cannot inspect.
_REFUSED_METHODS: Final = frozenset({"CONNECT", "TRACE"})

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
# Sent to another origin too. Any other header may hold a credential, since providers invent header names.
_NO_SECRET_IN: Final = frozenset({"accept", "accept-encoding", "accept-language", "user-agent"})
_REFERENCE_CHARACTERS: Final = "!#$%&'()*+,-./:;=?@[\\]_~"  # the backslash stays itself, and is refused


@dataclass(frozen=True, slots=True)
class Hop:
    """A request to one target. `repr` leaves out headers and body."""

    method: str
    target: Target
    headers: Headers = field(repr=False)
    body: Body | None = field(repr=False)


def first_hop(
    method: str, url: str, headers: Sequence[tuple[str, str]], body: Body | None, *, relayed: bool = False
) -> Hop:
    """Return the hop of a caller's request, checked.

    A request that is not relayed gets a User-Agent and the encodings that `body` decodes, unless it names its own. A
    relayed request gets no header; its method keeps its case, its values may be UTF-8, and its length is its own.

    Raises:
        TargetRefused: the address cannot be used.
        RequestRefused: the method or a header cannot be sent.
    """
    target = parse(url)
    if not _TOKEN.fullmatch(method) or method.upper() in _REFUSED_METHODS:
        raise RequestRefused("This HTTP method cannot be sent: CONNECT, TRACE and malformed names are refused.")
    present = set()
    for name, value in headers:
        if not _TOKEN.fullmatch(name):
            raise RequestRefused(
                "The name of a header has a character that HTTP does not allow. Use letters, digits and hyphens."
            )
        lower = name.lower()
        if lower in _OURS and not (relayed and lower == "content-length"):
            raise RequestRefused(f"The header {name} is set by One Runtime itself.")
        if _CONTROL.search(value):
            raise RequestRefused(f"The value of the header {name} has a line break or a control character.")
        if not relayed and not value.isascii():
            raise RequestRefused(f"The value of the header {name} must be ASCII.")
        present.add(lower)
    if relayed:
        return Hop(method, target, tuple(headers), body)
    defaults = ((name, value) for name, value in _DEFAULT_HEADERS if name.lower() not in present)
    return Hop(method.upper(), target, (*headers, *defaults), body)


def next_hop(hop: Hop, status: int, location: str | None) -> Hop | None:
    """Return the hop that a redirect leads to, or None for any other response.

    A hop to another origin keeps only harmless headers; later hops do not restore the others.

    Raises:
        TargetRefused: the redirect leads to an address that cannot be used, or from https to http.
    """
    if status not in _REDIRECTS or location is None:
        return None
    target = _redirected(hop.target, location)
    if hop.target.scheme == "https" and target.scheme == "http":
        raise TargetRefused.malformed(f"{hop.target.authority} redirects from https to http, which is not followed")
    following = replace(hop, target=target)
    # Browsers turn these methods into GET (RFC 9110 section 15.4).
    if (status == 303 and hop.method != "HEAD") or (status in (301, 302) and hop.method == "POST"):
        headers = tuple((name, value) for name, value in hop.headers if not name.lower().startswith("content-"))
        following = replace(following, method="GET", headers=headers, body=None)
    if target.origin != hop.target.origin:
        headers = tuple((name, value) for name, value in following.headers if name.lower() in _NO_SECRET_IN)
        following = replace(following, headers=headers, body=None)
    return following


def _redirected(target: Target, location: str) -> Target:
    """Percent-encode raw bytes and spaces in a Location, as browsers do. `%` in an authority is then refused."""
    reference = quote(location.encode("latin-1"), safe=_REFERENCE_CHARACTERS)
    try:
        return parse(urljoin(str(target.url), reference))
    except ValueError:
        raise TargetRefused.malformed(f"{target.authority} redirects to an invalid address") from None
