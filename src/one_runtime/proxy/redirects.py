"""Decide which redirects of a provider the caller receives.

Most HTTP clients follow redirects by themselves. They resolve a relative `Location` with the URL of the call, which is
a URL of One Runtime, and send the API key again because the host is the same, with method and body. A provider could
so send requests of its choice to the API.
"""

from collections.abc import Iterable

from one_runtime.egress.errors import TargetRefused
from one_runtime.egress.hop import resolve_location
from one_runtime.egress.provider_text import contains_secret
from one_runtime.egress.target import Target, parse


def returned_location(location: str, url: str, own_urls: Iterable[str], secrets: Iterable[str]) -> str | None:
    """Return the absolute URL to which a provider redirects.

    Return None if the URL is invalid, leads to One Runtime itself, or would show the caller a part of the credential.

    Args:
        location: the provider's `Location`.
        url: the URL of the request to the provider, without a credential in the query.
        own_urls: the URLs under which a caller can reach One Runtime.
        secrets: the secrets of the connection. Some providers expect the credential in the path.
    """
    try:
        absolute = resolve_location(url, location)
        server = _server(parse(absolute))
    except (TargetRefused, ValueError):
        return None
    if server in {_server(own) for own in map(_parsed, own_urls) if own is not None}:
        return None
    if contains_secret(absolute, secrets) and not contains_secret(location, secrets):
        return None
    return absolute


def _parsed(url: str) -> Target | None:
    try:
        return parse(url)
    except TargetRefused:
        return None


def _server(target: Target) -> tuple[str, int]:
    """Return host and port. The two default ports count as one, because the header `Host` does not name the scheme."""
    return target.host, 80 if target.port == 443 else target.port
