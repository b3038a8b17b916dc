"""Find the names in a template such as `https://{subdomain}.example.com`, and fill in values."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urljoin

_PLACEHOLDER = re.compile(r"\{([a-z][a-z0-9_]*)\}")
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_URL = re.compile(r"(https?)://([^/?#]+)(/[^?#\x00-\x20\x7f-\x9f]*)?")
_ORIGIN = re.compile(r"(https?)://([^/?#\s]+)")
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_AUTHORITY = re.compile(rf"(?=.{{1,253}}(?::|\Z))(?:{_LABEL}\.)*{_LABEL}(?::[0-9]{{1,5}})?|\[::1\](?::[0-9]{{1,5}})?")
_ABSOLUTE = re.compile(r"[A-Za-z{][^/?#]*://")  # a variable can stand for the scheme
_LOOPBACK = re.compile(r"(?:127\.0\.0\.1|localhost|\[::1\])(?::[0-9]{1,5})?")


@lru_cache(maxsize=4096)
def names_in(template: str) -> tuple[str, ...]:
    """Return the names in a template, in order.

    Raises:
        ValueError: a brace does not enclose a name.
    """
    rest = _PLACEHOLDER.sub("", template)
    if "{" in rest or "}" in rest:
        raise ValueError("a brace must enclose a {name} of lower-case letters, digits and _")
    return tuple(_PLACEHOLDER.findall(template))


def fill(template: str, values: Mapping[str, str], encode: Callable[[str], str] = str) -> str | None:
    """Replace each `{name}` in the template by its encoded value. Return None if a value is missing."""
    try:
        return _PLACEHOLDER.sub(lambda match: encode(values[match.group(1)]), template)
    except KeyError:
        return None


@dataclass(frozen=True, slots=True)
class UrlTemplate:
    """The parts of a URL template. Only `authority` decides which server receives a request."""

    scheme: str
    authority: str
    path: str

    @property
    def host_end(self) -> str:
        """Return the text of the host after the last placeholder, or the whole host. Omit the port."""
        return self.authority.partition(":")[0].rpartition("}")[2]

    @property
    def has_fixed_end(self) -> bool:
        """Return True if the host ends in a fixed domain such as `zendesk.com`, after a dot.

        No value can then select another domain. The host `{name}example.com` has no fixed end, because the value `not`
        selects the domain `notexample.com`. The host `{name}.com` has no fixed end either.
        """
        return "{" not in self.authority or "." in self.host_end.partition(".")[2]


def is_authority(text: str) -> bool:
    """Return True for a lower-case host with an optional port. User info and escapes are not allowed."""
    return _AUTHORITY.fullmatch(text) is not None


@lru_cache(maxsize=4096)
def split_url(url: str, *, allow_http: bool = False) -> UrlTemplate:
    """Validate a URL template and return its parts.

    Raises:
        ValueError: the URL is not an absolute https URL, or has a part that is not allowed. User info, a query, a
            fragment, an upper-case host, spaces and control characters are not allowed.
    """
    match = _URL.fullmatch(url)
    if match is None:
        raise ValueError(
            "must be an https URL such as https://acme.example, without query, fragment, spaces and control characters"
        )
    parts = UrlTemplate(match.group(1), match.group(2), match.group(3) or "")
    names_in(url)
    if not is_authority(_PLACEHOLDER.sub("x", parts.authority)):
        raise ValueError("the host must be a lower-case name, with an optional port and nothing else")
    if not is_https(url, allow_http=allow_http):
        raise ValueError("must be https; http is allowed only on loopback, for demos and development")
    return parts


def is_https(url: str, *, allow_http: bool = False) -> bool:
    """Return True for an absolute https URL. With `allow_http`, also return True for an http URL on loopback."""
    match = _ORIGIN.match(url)
    if match is None:
        return False
    return match[1] == "https" or (allow_http and _LOOPBACK.fullmatch(match[2]) is not None)


def resolve_reference(base: str, reference: str) -> str:
    """Resolve a relative URL (RFC 3986, 5.2). `base` and `reference` can be templates.

    Return `reference` unchanged if `reference` is an absolute URL or cannot be parsed.
    """
    if _ABSOLUTE.match(reference) or re.search(r"\s", reference):
        return reference
    try:
        return urljoin(base, reference)
    except ValueError:
        return reference


def check_link(url: str, *, allow_http: bool = False) -> str:
    """Check the address of a web page that a person can open. Return the address unchanged.

    Raises:
        ValueError: the URL is not an absolute https URL, or contains a `{name}` or an invalid character. A browser
            could execute URLs such as `javascript:` and `data:`.
    """
    address = re.split(r"[?#]", url, maxsplit=1)[0]
    if names_in(url):
        raise ValueError("must be a constant address, without a {name}")
    if any(char <= " " or char in "<>\"'`\\" or not char.isprintable() for char in url):
        raise ValueError("contains a character that an address cannot have")
    split_url(address, allow_http=allow_http)
    return url
