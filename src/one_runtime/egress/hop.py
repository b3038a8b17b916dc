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
_VALUE: Final = re.compile(r"[\t\x20-\x7e]*")
_RELAYED_VALUE: Final = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")
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


def first_hop(method: str, url: str, headers: Sequence[tuple[str, str]], body: bytes | None) -> Hop:
    """The caller's request, checked, with our User-Agent and the encodings we read where the caller names none.

    Raises:
        TargetRefused: the address cannot be used.
        RequestRefused: the method or a header cannot be sent.
    """
    target = parse(url)
    method = method.upper()
    if not _TOKEN.fullmatch(method) or method in _REFUSED_METHODS:
        raise RequestRefused("This HTTP method cannot be sent: CONNECT, TRACE and malformed names are refused.")
    for name, value in headers:
        _check_header(name, value)
    given = {name.lower() for name, _ in headers}
    ours = (("User-Agent", USER_AGENT), ("Accept", "*/*"), ("Accept-Encoding", "gzip, deflate"))
    sent = (*headers, *((name, value) for name, value in ours if name.lower() not in given))
    return Hop(method, target, sent, body)


def relayed_hop(method: str, url: str, headers: Sequence[tuple[str, str]], body: Body | None) -> Hop:
    """Return the hop of a relayed request. No header is added.

    Raises:
        TargetRefused: the address cannot be used.
        RequestRefused: the method or a header cannot be sent.
    """
    target = parse(url)
    if not _TOKEN.fullmatch(method) or method.upper() in _REFUSED_METHODS:
        raise RequestRefused("This HTTP method cannot be sent: CONNECT, TRACE and malformed names are refused.")
    for name, value in headers:
        if not _TOKEN.fullmatch(name):
            raise RequestRefused(
                "The name of a header has a character that HTTP does not allow. Use letters, digits and hyphens."
            )
        if name.lower() in _OURS - {"content-length"}:
            raise RequestRefused(f"The header {name} is set by One Runtime itself.")
        if not _RELAYED_VALUE.fullmatch(value):
            raise RequestRefused(f"The value of the header {name} has a line break or a control character.")
    return Hop(method, target, tuple(headers), body)


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
    if _becomes_get(status, hop.method):
        following = _without_body(replace(following, method="GET"))
    if target.origin != hop.target.origin:
        following = _without_secrets(following)
    return following


def _check_header(name: str, value: str) -> None:
    if not _TOKEN.fullmatch(name):
        raise RequestRefused(
            "The name of a header has a character that HTTP does not allow. Use letters, digits and hyphens."
        )
    if name.lower() in _OURS:
        raise RequestRefused(f"The header {name} is set by One Runtime itself.")
    if not _VALUE.fullmatch(value):
        raise RequestRefused(
            f"The value of the header {name} has a line break, a control character or one that is not ASCII."
        )


def _redirected(target: Target, location: str) -> Target:
    """Percent-encode raw bytes and spaces in a Location, as browsers do. `%` in an authority is then refused."""
    reference = quote(location.encode("latin-1"), safe=_REFERENCE_CHARACTERS)
    try:
        return parse(urljoin(str(target.url), reference))
    except ValueError:
        raise TargetRefused.malformed(f"{target.authority} redirects to an invalid address") from None


def _becomes_get(status: int, method: str) -> bool:
    """Return whether browsers turn the method into GET (RFC 9110 section 15.4)."""
    return (status == 303 and method != "HEAD") or (status in (301, 302) and method == "POST")


def _without_body(hop: Hop) -> Hop:
    kept = tuple((name, value) for name, value in hop.headers if not name.lower().startswith("content-"))
    return replace(hop, headers=kept, body=None)


def _without_secrets(hop: Hop) -> Hop:
    kept = tuple((name, value) for name, value in hop.headers if name.lower() in _NO_SECRET_IN)
    return replace(hop, headers=kept, body=None)
