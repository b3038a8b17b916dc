"""Choose the URL of a proxy call, and the URL that the caller receives in the `Location` of a redirect.

Most HTTP clients follow redirects by themselves. They resolve a relative `Location` with the URL of the call, which is
a URL of One Runtime, and send the API key again because the host is the same, with method and body. A provider could
so send requests of its choice to the API. So the caller receives only the `Location` that `returned_location` allows.
"""

import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import quote, unquote_plus, urlsplit

from one_runtime.catalog.auth import AuthBase
from one_runtime.catalog.request import ConnectionValues, Injection, resolve_url
from one_runtime.egress.errors import TargetRefused
from one_runtime.egress.hop import resolve_location
from one_runtime.egress.provider_text import contains_secret
from one_runtime.egress.target import Target, parse
from one_runtime.errors import InvalidInput, NotAllowed

# The segment `..`, in each form that a server could decode:
# - Some servers decode twice, so that `%252e` becomes a dot.
# - Some servers treat a backslash as a slash.
# - Some servers remove the text after `;` in a segment.
# - For some servers, a path ends at an encoded `?`, `#` or NUL.
_DOT: Final = r"(?:\.|%(?:25)*2e)"
_SLASH: Final = r"(?:[/\\]|%(?:25)*(?:2f|5c))"
_DOT_SEGMENT: Final = re.compile(rf"{_SLASH}{_DOT}{{2}}(?:{_SLASH}|[;?#]|%(?:25)*(?:3b|3f|23|00)|\Z)", re.IGNORECASE)


def require_path_below_base_url(auth: AuthBase | None, path: str) -> None:
    """Refuse a path with the segment `..`. An integration can allow this segment. Raises: InvalidInput."""
    if auth is not None and not auth.allow_dot_segments and _DOT_SEGMENT.search(path):
        raise InvalidInput.of(
            "path",
            'must not contain the segment "..", because the path could leave the base URL. If the provider needs such '
            "paths, the definition of the integration must contain allow_dot_segments: true",
        )


def selected_base_url(auth: AuthBase, values: ConnectionValues, injection: Injection, requested: str | None) -> str:
    """Return the base URL that the caller requests. By default, return the integration's first base URL.

    Raises: InvalidInput if the integration does not list the requested URL (promise P7 of docs/security.md).
    """
    if requested is None:
        return injection.base_url
    known, templates = {**values.params, **values.credentials}, (auth.base_url, *auth.more_base_urls)
    base_url = requested.rstrip("/")
    if base_url not in {resolve_url(url, known) for url in templates}:
        allowed = ", ".join(templates)  # the templates without values, because a value can be the API key
        raise InvalidInput.of("One-Runtime-Base-Url", f"must be a base URL of this integration: {allowed}")
    return base_url


def require_host(base_url: str, hosts: frozenset[str] | None) -> None:
    """Raises: NotAllowed."""
    host = urlsplit(base_url).hostname
    if hosts is not None and host not in hosts:
        raise NotAllowed(f"This caller may not send requests to {host}. Allowed: {', '.join(sorted(hosts))}.")


def injected_query(injection: Injection, raw: str) -> str:
    """Return the query string to send. A credential in the query replaces the caller's parameter of the same name."""
    if not injection.query:
        return f"?{raw}" if raw else ""
    injected = {name for name, _ in injection.query}
    pairs = [pair for pair in raw.split("&") if pair and unquote_plus(pair.partition("=")[0]) not in injected]
    pairs += [f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in injection.query]
    return "?" + "&".join(pairs)


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
