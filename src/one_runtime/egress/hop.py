"""A hop: one request to one target. A redirect leads to the next hop. The functions do no I/O."""

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
"""A complete body, or a body that is streamed in pieces."""

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

# These headers determine the end of the message, or its host. Of these headers, aiohttp adds each header that the
# request needs.
_OURS: Final = HOP_BY_HOP | {"content-length", "expect", "host"}
# TRACE echoes credentials. CONNECT opens a tunnel, whose content the address checks cannot see.
_REFUSED_METHODS: Final = frozenset({"CONNECT", "TRACE"})

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
# A redirect to another origin keeps only these headers. Any other header may carry a credential: many providers expect
# their API key in a header of their own.
_NO_SECRET_IN: Final = frozenset({"accept", "accept-encoding", "accept-language", "user-agent"})
_REFERENCE_CHARACTERS: Final = "!#$%&'()*+,-./:;=?@[\\]_~"  # `parse` refuses the unencoded backslash


@dataclass(frozen=True, slots=True)
class Hop:
    """A request to one target. `repr` omits headers and body."""

    method: str
    target: Target
    headers: Headers = field(repr=False)
    body: Body | None = field(repr=False)


def first_hop(
    method: str, url: str, headers: Sequence[tuple[str, str]], body: Body | None, *, relayed: bool = False
) -> Hop:
    """Check a caller's request and return its hop.

    If the request is not relayed, add the default headers that the caller has not set. The default `Accept-Encoding`
    lists the encodings that the module `body` decodes. If the request is relayed, add no header, and keep the case of
    the method. Only relayed requests may contain a Content-Length, and header values in UTF-8.

    Raises:
        TargetRefused: the URL is invalid or ambiguous.
        RequestRefused: the method or a header cannot be sent.
    """
    target = parse(url)
    if not _TOKEN.fullmatch(method) or method.upper() in _REFUSED_METHODS:
        raise RequestRefused("One Runtime cannot send this HTTP method. It refuses CONNECT, TRACE and malformed names.")
    present = set()
    for name, value in headers:
        if not _TOKEN.fullmatch(name):
            raise RequestRefused(
                "The name of a header has a character that HTTP does not allow. Use letters, digits and hyphens."
            )
        lower = name.lower()
        if lower in _OURS and not (relayed and lower == "content-length"):
            raise RequestRefused(f"One Runtime itself sets the header {name}. Remove it from the request.")
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
    """Return the hop to which a redirect leads, or None if the response is no redirect.

    A hop to another origin keeps only headers that cannot contain a credential. Later hops do not restore
    the removed headers.

    Raises:
        TargetRefused: the redirect leads to an invalid URL, or from https to http.
    """
    if status not in _REDIRECTS or location is None:
        return None
    target = _redirected(hop.target, location)
    if hop.target.scheme == "https" and target.scheme == "http":
        raise TargetRefused.malformed(f"{hop.target.authority} redirects from https to http, which is not safe")
    following = replace(hop, target=target)
    # In these cases, browsers send a GET without a body (RFC 9110 section 15.4).
    if (status == 303 and hop.method != "HEAD") or (status in (301, 302) and hop.method == "POST"):
        headers = tuple((name, value) for name, value in hop.headers if not name.lower().startswith("content-"))
        following = replace(following, method="GET", headers=headers, body=None)
    if target.origin != hop.target.origin:
        headers = tuple((name, value) for name, value in following.headers if name.lower() in _NO_SECRET_IN)
        following = replace(following, headers=headers, body=None)
    return following


def _redirected(target: Target, location: str) -> Target:
    """Percent-encode raw bytes and spaces in a Location, as browsers do. `parse` then refuses `%` in an authority."""
    reference = quote(location.encode("latin-1"), safe=_REFERENCE_CHARACTERS)
    try:
        return parse(urljoin(str(target.url), reference))
    except ValueError:
        raise TargetRefused.malformed(f"{target.authority} redirects to an invalid address") from None
