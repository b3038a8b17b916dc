"""Check the redirect URIs of OAuth clients: the addresses to which a browser brings the authorization code."""

import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import urlencode, urlsplit

from one_runtime.settings import is_loopback

MAX_LENGTH: Final = 2000
_UNUSABLE: Final = re.compile(r"[^\x21-\x7e]|[\"<>\\^`{|}]")
_KNOWN_SCHEMES: Final = frozenset({"cursor", "vscode", "vscode-insiders"})
"""Schemes of native apps that are no domain names in reverse order, which RFC 8252 section 7.1 requires.

A browser executes or opens the URLs of other schemes (`javascript:`, `data:`, `ms-msdt:`).
"""
_REVERSE_DOMAIN: Final = re.compile(
    r"(?:[a-z]{2,63}|xn--[a-z0-9-]{1,59})(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)+", re.ASCII
)
_FOREIGN_FIRST_LABELS: Final = frozenset({
    "about", "blob", "chrome", "content", "data", "file", "filesystem", "ftp", "http", "https", "intent", "jar",
    "javascript", "jscript", "livescript", "mailto", "microsoft", "mocha", "resource", "search", "shell", "tel",
    "vbscript", "view", "windows", "ws", "wss",
})  # fmt: skip
"""First labels of schemes that browsers and operating systems handle, such as `microsoft.windows.camera:`.

A program that reads a scheme only up to the dot would execute `javascript.app:alert(1)`.
"""
_PORT: Final = re.compile(r":\d+\Z")


def is_acceptable(uri: str) -> bool:
    """Return True if a client can have this redirect URI: https, http on loopback, or the scheme of a native app."""
    if len(uri) > MAX_LENGTH or _UNUSABLE.search(uri) or "#" in uri:
        return False
    try:
        url = urlsplit(uri)
        _ = url.port
    except ValueError:
        return False
    if url.username is not None or url.password is not None:
        return False
    if url.scheme in {"http", "https"}:
        return bool(url.hostname) and (url.scheme == "https" or is_loopback(url.hostname or ""))
    return url.scheme in _KNOWN_SCHEMES or _is_reverse_domain(url.scheme)


def _is_reverse_domain(scheme: str) -> bool:
    """Return True for a domain name in reverse order, such as `com.example.app` (RFC 8252 section 7.1)."""
    return _REVERSE_DOMAIN.fullmatch(scheme) is not None and scheme.partition(".")[0] not in _FOREIGN_FIRST_LABELS


def is_registered(uri: str, registered: Iterable[str]) -> bool:
    """Return True if the redirect URI equals a registered one (RFC 9700 section 4.1.3).

    For http on a loopback host, the port can differ, because a native app uses a free port (RFC 8252 section 7.3).
    """
    return is_acceptable(uri) and any(
        uri == known or _differ_in_port(uri, known) for known in registered if is_acceptable(known)
    )


def _differ_in_port(uri: str, other: str) -> bool:
    """Return True if both are http URIs on the same loopback host that differ only in the port."""
    parts = [urlsplit(each) for each in (uri, other)]
    if any(url.scheme != "http" for url in parts):
        return False
    one, two = ((_PORT.sub("", url.netloc), url.path, url.query) for url in parts)
    return one == two


def host_of(uri: str) -> str:
    """Return the host to which a browser goes, or the scheme of a native app with a colon."""
    url = urlsplit(uri)
    return url.hostname or "" if url.scheme in {"http", "https"} else f"{url.scheme}:"


def with_parameters(uri: str, **parameters: str | None) -> str:
    """Return a URI without a fragment, with more query parameters (RFC 6749 section 3.1.2).

    Parameters with None are omitted. The query of `uri` can be empty: `https://agent.example/callback?`.
    """
    query = urlencode({name: value for name, value in parameters.items() if value is not None})
    separator = "" if uri.endswith(("?", "&")) else "&" if "?" in uri else "?"
    return f"{uri}{separator}{query}"
