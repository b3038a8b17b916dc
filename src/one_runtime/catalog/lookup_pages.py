"""Find the next page of a look-up that lists accounts."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import urldefrag, urljoin, urlsplit

from one_runtime.catalog.lookup import LookupRequest
from one_runtime.catalog.request import OutboundRequest, with_query
from one_runtime.catalog.response import look_up, text_of

_MAX_VALUE: Final = 2000  # characters of a cursor or a URL
_LINK: Final = re.compile(r"<([^<>]*)>([^<>]*)")
_REL: Final = re.compile(r";\s*rel\s*=\s*\"?([^\";]*)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class NextPage:
    """The next page. `exists`: True if the response names a page. `request`: None if the named page is not usable."""

    exists: bool
    request: OutboundRequest | None = None


def next_page(
    lookup: LookupRequest,
    first: OutboundRequest,
    current: OutboundRequest,
    headers: Iterable[tuple[str, str]],
    document: object,
) -> NextPage:
    """Return the next page. `first` and `current`: the requests for the first page and for the present page.

    The request contains the credential. So for a URL on another host, `request` is None (promise P7 of
    docs/security.md).
    """
    pages = lookup.pages
    if pages is None:
        return NextPage(exists=False)
    value = _link_header(headers) if pages.next is None else text_of(look_up(document, pages.next))
    if not value:
        return NextPage(exists=False)
    if len(value) > _MAX_VALUE:
        return NextPage(exists=True)
    if pages.param is not None:
        return NextPage(exists=True, request=replace(first, url=with_query(first.url, {pages.param: value})))
    url = _resolve(current.url, value)
    same_origin = url is not None and urlsplit(url)[:2] == urlsplit(first.url)[:2]
    return NextPage(exists=True, request=replace(first, url=url) if url is not None and same_origin else None)


def _resolve(base: str, link: str) -> str | None:
    """Return the absolute URL of a link, or None if the link is not a valid URL."""
    if re.search(r"[^\x21-\x7e]", link):
        return None
    try:
        return urldefrag(urljoin(base, link)).url
    except ValueError:
        return None


def _link_header(headers: Iterable[tuple[str, str]]) -> str | None:
    """Return the URL of the link with the relation type `next` (RFC 8288, 3)."""
    for name, value in headers:
        if name.lower() == "link":
            for url, params in _LINK.findall(value):
                if any("next" in rel.lower().split() for rel in _REL.findall(params)):
                    return str(url)
    return None
