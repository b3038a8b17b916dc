"""Check an outbound request, and build the next request after each redirect. This module does no I/O.

A hop is the first request, or a request after a redirect.
"""

import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias
from urllib.parse import quote, urljoin

from one_runtime import RELEASE
from one_runtime.egress.errors import RequestRefused, TargetRefused
from one_runtime.egress.header_names import REFUSED_HEADERS, TOKEN
from one_runtime.egress.target import Target, parse

Headers = tuple[tuple[str, str], ...]
Body: TypeAlias = bytes | AsyncIterator[bytes]
"""A complete body, or a body that is streamed in pieces."""

USER_AGENT: Final = f"One-Runtime/{RELEASE}"

_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_DEFAULT_HEADERS: Final = (("User-Agent", USER_AGENT), ("Accept", "*/*"), ("Accept-Encoding", "gzip, deflate"))
# The response to TRACE repeats the request's credentials. CONNECT opens a tunnel, and One Runtime cannot check the
# requests inside a tunnel.
_REFUSED_METHODS: Final = frozenset({"CONNECT", "TRACE"})

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
# After a redirect to another origin, the request keeps only these headers. Any other header can contain a credential,
# because many providers define their own header for the API key.
_NO_SECRET_IN: Final = frozenset({"accept", "accept-encoding", "accept-language", "user-agent"})
_REFERENCE_CHARACTERS: Final = "!#$%&'()*+,-./:;=?@[\\]_~"  # the backslash stays unencoded, so that `parse` refuses it


@dataclass(frozen=True, slots=True)
class Hop:
    """A request to one target. `repr` omits headers and body."""

    method: str
    target: Target
    headers: Headers = field(repr=False)
    body: Body | None = field(repr=False)


def first_hop(
    method: str, url: str, headers: Sequence[tuple[str, str]], body: Body | None, *, unchanged: bool = False
) -> Hop:
    """Check a caller's request and return the first hop.

    With `unchanged`, the request gets no additional header, and keeps the case of its method. It may contain a
    Content-Length header and non-ASCII header values. Any other request gets each default header that the caller has
    not set. The default `Accept-Encoding` lists the encodings that the module `body` decodes.

    Raises:
        TargetRefused: the URL is invalid or ambiguous.
        RequestRefused: One Runtime cannot send the method or a header.
    """
    target = parse(url)
    if not TOKEN.fullmatch(method) or method.upper() in _REFUSED_METHODS:
        raise RequestRefused("One Runtime cannot send this HTTP method. Use a valid method except CONNECT and TRACE.")
    present = set()
    for name, value in headers:
        if not TOKEN.fullmatch(name):
            raise RequestRefused(
                "The name of a header has a character that HTTP does not allow. Use letters, digits and hyphens."
            )
        lower = name.lower()
        if lower in REFUSED_HEADERS and not (unchanged and lower == "content-length"):
            raise RequestRefused(
                f"The header {name} controls the connection, the length or the host of the request. "
                "Remove the header from the request."
            )
        if _CONTROL.search(value):
            raise RequestRefused(f"The value of the header {name} has a line break or a control character.")
        if not unchanged and not value.isascii():
            raise RequestRefused(f"The value of the header {name} must be ASCII.")
        present.add(lower)
    if unchanged:
        return Hop(method, target, tuple(headers), body)
    defaults = ((name, value) for name, value in _DEFAULT_HEADERS if name.lower() not in present)
    return Hop(method.upper(), target, (*headers, *defaults), body)


def next_hop(hop: Hop, status: int, location: str | None) -> Hop | None:
    """Return the hop to which a redirect leads, or None if the response is not a redirect.

    A hop to another origin has no body, and keeps only headers that cannot contain a credential. Later hops do not
    restore the removed body and headers.

    Raises:
        TargetRefused: the redirect leads to an invalid URL, or from https to http.
    """
    if status not in _REDIRECTS or location is None:
        return None
    target = _redirected(hop.target, location)
    if hop.target.scheme == "https" and target.scheme == "http":
        raise TargetRefused.malformed(f"{hop.target.authority} redirects from https to http, which is not safe")
    following = replace(hop, target=target)
    # Browsers follow the redirects of this condition with a GET request without a body (RFC 9110 section 15.4).
    if (status == 303 and hop.method != "HEAD") or (status in (301, 302) and hop.method == "POST"):
        headers = tuple((name, value) for name, value in hop.headers if not name.lower().startswith("content-"))
        following = replace(following, method="GET", headers=headers, body=None)
    if target.origin != hop.target.origin:
        headers = tuple((name, value) for name, value in following.headers if name.lower() in _NO_SECRET_IN)
        following = replace(following, headers=headers, body=None)
    return following


def resolve_location(url: str, location: str) -> str:
    """Return the URL of a Location header. Percent-encode raw bytes and spaces in the header, as browsers do.

    Raises:
        ValueError: the header is no reference to a URL.
    """
    return urljoin(url, quote(location.encode("latin-1"), safe=_REFERENCE_CHARACTERS))


def _redirected(target: Target, location: str) -> Target:
    """Return the target of a Location header.

    If the percent-encoding of the header changes the host, `parse` refuses the URL, because no host may contain `%`.
    """
    try:
        return parse(resolve_location(str(target.url), location))
    except ValueError:
        raise TargetRefused.malformed(f"{target.authority} redirects to an invalid address") from None
