"""Find the base URL of the API in an OpenAPI document, and resolve relative URLs.

Source: OpenAPI 3.1, 4.6 (Relative References in URLs) and 4.8.5 (Server Object). The URL of a server can be relative to
the URL of the document. Other URLs of the API, such as a token endpoint, can be relative to the URL of the server. One
Runtime downloads no document, so the document names its own URL in the extension `x-document-url`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from one_runtime.catalog.openapi_words import label_of, name_of, sentence_of
from one_runtime.catalog.parts import MAX_LABEL, MAX_URL
from one_runtime.catalog.source import EntrySource
from one_runtime.catalog.templates import is_authority, is_https, resolve_reference
from one_runtime.validation.descriptions import Place

VARIABLE: Final = re.compile(r"\{([^{}]+)\}")
_LABEL: Final = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_WITHOUT_QUERY: Final = re.compile(r"[^?#\s]*")
_DEFAULT: Final = {"url": "/"}  # OpenAPI 3.1, 4.8.1: the default of `servers`


@dataclass(frozen=True, slots=True)
class Server:
    """The server of the API. `url`: a template. `params`: the parameters in the host of the URL."""

    url: str
    params: list[dict[str, Any]]

    @property
    def base_url(self) -> str:
        """Return the URL without the slash at its end."""
        return self.url.rstrip("/")


def server_of(
    source: EntrySource,
    document: Mapping[str, Any],
    document_url: str | None,
    warnings: list[str],
    *,
    allow_http: bool = False,
) -> Server:
    """Return the server that an entry uses. Add a warning if the entry omits other servers.

    `document_url`: the URL of the document, or None if unknown. `allow_http`: allow http URLs on loopback.

    Raises:
        SourceError: no server has an https URL.
        SourceError: a variable in the URL is not defined, or makes the URL too long.
    """
    servers = document.get("servers")
    listed = [server if isinstance(server, Mapping) else {} for server in servers] if isinstance(servers, list) else []
    if not listed and document_url is not None:
        listed = [_DEFAULT]
    urls = [str(server.get("url", "")) for server in listed]
    if document_url is not None:
        urls = [resolve_reference(document_url, url) for url in urls]
    usable = [
        index
        for index, url in enumerate(urls)
        if len(url) <= MAX_URL and _WITHOUT_QUERY.fullmatch(url) and is_https(url, allow_http=allow_http)
    ]
    if not usable:
        place: Place = ("servers", 0, "url") if urls else ("servers",)
        source.refuse(
            place,
            f"at least one server must have an absolute https URL of at most {MAX_URL} characters, such as "
            "https://api.example.com/v1. If the URL is relative to the URL of the document, add x-document-url with "
            "the URL of the document",
        )
    first = usable[0]
    if len(usable) > 1:
        selectable = _selectable_server([(urls[index], listed[index]) for index in usable])
        if selectable is not None:
            return selectable
        warnings.append(f"The document has several servers. One Runtime uses {urls[first].rstrip('/')[:200]}.")
    return _expand_variables(source, urls[first], ("servers", first, "variables"), listed[first].get("variables"))


def _expand_variables(source: EntrySource, url: str, place: Place, variables: object) -> Server:
    """Return the server with parameters in its host. Replace each variable outside the host by its default."""
    definitions = variables if isinstance(variables, Mapping) else {}
    authority = url.partition("://")[2].partition("/")[0]
    params = []
    for name in dict.fromkeys(VARIABLE.findall(url)):
        variable, placeholder = definitions.get(name), f"{{{name}}}"
        if not isinstance(variable, Mapping):
            source.refuse((*place, name), f"is required, because the server's URL contains {placeholder}")
        if placeholder not in authority:
            default = str(variable.get("default", ""))
            url = url.replace(placeholder, default) if len(default) <= MAX_URL else default
            if len(url) > MAX_URL:  # defaults can contain variables, so the URL could grow exponentially
                source.refuse((*place, name), f"makes the server's URL longer than {MAX_URL} characters")
            continue
        url = url.replace(placeholder, f"{{{name_of(name)}}}")
        params.append(_param(name, variable))
    return Server(url, params)


def _param(name: str, variable: Mapping[str, Any]) -> dict[str, Any]:
    options, default = variable.get("enum"), variable.get("default")
    param: dict[str, Any] = {"name": name_of(name), "label": label_of(name)}
    if description := sentence_of(variable.get("description"), 300):
        param["help"] = description
    if not isinstance(options, list) or not options:
        example = str(default).lower() if default else "acme"
        return {**param, "placeholder": example[:100], "pattern": _LABEL, "transform": ["lower"]}
    param["options"] = [{"value": str(option), "label": str(option)[:MAX_LABEL]} for option in options]
    return {**param, "default": str(default)} if default in options else param


def _selectable_server(servers: list[tuple[str, Mapping[str, Any]]]) -> Server | None:
    """Return a server with one parameter that selects the host. Return None if no such parameter is possible.

    Every URL must be https. All paths must be equal. Each host must be a constant, and different from the other hosts.
    """
    if not all(is_https(url) for url, _ in servers):
        return None
    split = [url.rstrip("/").removeprefix("https://").partition("/") for url, _ in servers]
    hosts, paths = [host for host, _, _ in split], {slash + path for _, slash, path in split}
    if len(paths) > 1 or len(set(hosts)) < len(hosts) or not all(map(is_authority, hosts)):
        return None
    options = [
        {"value": host, "label": sentence_of(server.get("description"), MAX_LABEL).rstrip(".") or host[:MAX_LABEL]}
        for host, (_, server) in zip(hosts, servers, strict=True)
    ]
    param = {"name": "server", "label": "Server", "options": options, "default": hosts[0]}
    end = "/" if servers[0][0].endswith("/") else ""
    return Server(f"https://{{server}}{paths.pop()}{end}", [param])
