"""The next page of a look-up."""

import pytest

from one_runtime.catalog.lookup import LookupRequest
from one_runtime.catalog.lookup_pages import NextPage, next_page
from one_runtime.catalog.request import OutboundRequest

FIRST = OutboundRequest("GET", "https://api.example.com/v1/sites?limit=9", (("Authorization", "Bearer t"),), None)


def page(pages: dict[str, str], document: object = None, *headers: tuple[str, str]) -> NextPage:
    lookup = LookupRequest.model_validate({"path": "/sites", "choices": {"label": "name"}, "pages": pages})
    return next_page(lookup, FIRST, FIRST, headers, document)


def url_of(found: NextPage) -> str | None:
    assert found.exists
    if found.request is None:
        return None
    assert found.request.headers == FIRST.headers
    return found.request.url


@pytest.mark.parametrize(
    "link, url",
    [
        ("https://api.example.com/v1/sites?page=2", "https://api.example.com/v1/sites?page=2"),
        ("/v1/sites?page=2#x", "https://api.example.com/v1/sites?page=2"),
        ("?page=2", "https://api.example.com/v1/sites?page=2"),
        ("https://evil.com/v1/sites", None),
        ("http://api.example.com/v1/sites", None),
        ("https://api.example.com:8443/v1/sites", None),
        ("https://a@api.example.com/v1/sites", None),
        ("https://[x/v1", None),
        ("/v1/a b", None),
        ("/" + "a" * 2000, None),
    ],
)
@pytest.mark.promise("P7")
def test_a_link_leads_to_the_same_origin_only(link: str, url: str | None) -> None:
    assert url_of(page({"next": "paging.next"}, {"paging": {"next": link}})) == url


def test_a_cursor_is_added_to_the_first_request() -> None:
    found = page({"next": "cursor", "param": "after"}, {"cursor": "a&b="})
    assert url_of(found) == "https://api.example.com/v1/sites?limit=9&after=a%26b%3D"
    assert url_of(page({"next": "cursor", "param": "after"}, {"cursor": 7})) == FIRST.url + "&after=7"


@pytest.mark.parametrize(
    "header, url",
    [
        ('</a>; rel="prev", </b?x=1,2>; rel="next"', "https://api.example.com/b?x=1,2"),
        ("</b>; title=x; REL=next", "https://api.example.com/b"),
        ('</b>; rel="last next"', "https://api.example.com/b"),
    ],
)
def test_a_link_header_is_read(header: str, url: str) -> None:
    assert url_of(page({}, None, ("link", header))) == url


def test_the_last_page_names_no_next_page() -> None:
    last = NextPage(exists=False)
    document: object
    for document in ({}, {"next": None}, {"next": ""}, {"next": False}, {"next": {"url": "/x"}}, []):
        assert page({"next": "next"}, document) == last
        assert page({"next": "next", "param": "after"}, document) == last
    assert page({}, None, ("link", '</b>; rel="nextish"'), ("x-link", '</b>; rel="next"')) == last
    assert page({}, None) == last
