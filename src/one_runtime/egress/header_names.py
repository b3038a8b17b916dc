"""Names of headers, and those that no request may set. The build of the catalog imports this module."""

import re
from typing import Final

TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 section 5.6.2
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

# A caller must not set these headers, because the headers control the connection, the length of the body, or the host.
# aiohttp adds the headers that a request needs.
REFUSED_HEADERS: Final = HOP_BY_HOP | {"content-length", "expect", "host"}
