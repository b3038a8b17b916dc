"""Read an OpenAPI document that the operator brings for an integration of the catalog."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import yaml

from one_runtime.catalog.model import Integration
from one_runtime.catalog.openapi import is_openapi
from one_runtime.catalog.openapi_operations import ApiAddress, CompiledOperations, compile_operations
from one_runtime.catalog.templates import resolve_reference
from one_runtime.catalog.yaml_loader import EntryLoader, InvalidNumber
from one_runtime.errors import InvalidInput

MAX_BYTES: Final = 64 * 1024 * 1024
"""Maximum size of a document, and of its operations as JSON."""

_MAX_OPERATIONS: Final = 30_000
_VARIABLE: Final = re.compile(r"\{[^{}]*\}")


def parse_document(content: bytes) -> Mapping[str, Any]:
    """Parse an OpenAPI document in JSON or YAML. Raises: InvalidInput."""
    try:
        text = content.decode("utf-8-sig")
        data = json.loads(text) if text.lstrip().startswith("{") else yaml.load(text, EntryLoader)  # noqa: S506 - safe
    except (ValueError, RecursionError, yaml.YAMLError, InvalidNumber) as error:
        raise InvalidInput("The document is not valid JSON or YAML.") from error
    if not isinstance(data, Mapping) or not is_openapi(data):
        raise InvalidInput("The document is not an OpenAPI document: it has no key openapi or swagger.")
    return data


def compile_document(
    content: bytes, integration: Integration, document_url: str | None = None, server_url: str | None = None
) -> CompiledOperations:
    """Return the operations of a document, with paths relative to the first base URL of the integration.

    `document_url`: the URL of the document, for relative URLs of servers. `server_url`: the URL to which the paths of
    the document belong, instead of the servers that the document names.

    Raises:
        InvalidInput: the document is not valid, belongs to another API, or has no operation that One Runtime can call.
    """
    document = parse_document(content)
    base_url = integration.auth[0].base_url
    servers = [server_url] if server_url else list(_server_urls(document, document_url))
    server = next((url for url in servers if _is_same_host(url, base_url)), None)
    if server is None:
        raise InvalidInput(
            f"The document is for {', '.join(servers[:5]) or 'no server'}. Requests to {integration.slug} begin with "
            f"{base_url}. If the paths of the document belong to this host, add --server-url with their URL."
        )
    address = ApiAddress(server, base_url)
    compiled = compile_operations(
        document, integration.slug, address, len(content), most=_MAX_OPERATIONS, max_bytes=MAX_BYTES
    )
    if not compiled.operations:
        reasons = "; ".join(compiled.skipped) or "it has no paths"
        raise InvalidInput(f"The document has no operation that One Runtime can call: {reasons}.")
    return compiled


def _server_urls(document: Mapping[str, Any], document_url: str | None) -> Iterator[str]:
    """Yield the URLs of the servers of a document, with the default values of their variables."""
    if "swagger" in document:
        host, path = document.get("host"), document.get("basePath")
        yield f"https://{host}{path if isinstance(path, str) else ''}" if isinstance(host, str) else document_url or ""
        return
    servers = document.get("servers")
    for server in servers if isinstance(servers, list) else []:
        if isinstance(server, Mapping) and isinstance(url := server.get("url"), str):
            variables = server.get("variables")
            for name, variable in variables.items() if isinstance(variables, Mapping) else ():
                if isinstance(variable, Mapping) and isinstance(default := variable.get("default"), str):
                    url = url.replace(f"{{{name}}}", default)
            yield resolve_reference(document_url, url) if document_url else url


def _is_same_host(url: str, base_url: str) -> bool:
    """Return True if the host of a server fits the host of a base URL, in which `{name}` stands for any text."""
    host, expected = urlsplit(url).netloc.lower(), urlsplit(base_url).netloc.lower()
    pattern = "[^/]+".join(map(re.escape, _VARIABLE.split(expected)))
    return re.fullmatch(pattern, _VARIABLE.sub("x", host)) is not None
