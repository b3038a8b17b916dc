"""Outbound requests: templates filled, query, headers and body put together, and JSON answers parsed. No I/O."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias
from urllib.parse import quote, urlencode

from one_runtime.catalog.templates import fill
from one_runtime.errors import InvalidInput

Carrier: TypeAlias = Literal["form", "json", "query", "none"]

MISSING: Final = object()
"""Result of `parse_json` for a body that is not JSON; a JSON null is None."""
_NOT_IN_HEADER: Final = re.compile(r"[^\x20-\x7e]")


@dataclass(frozen=True, slots=True)
class OutboundRequest:
    """A request ready to be sent. URL, headers and body may hold secrets, so the repr shows the method only."""

    method: str
    url: str = field(repr=False)
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class RequestDraft:
    """The parts of a request. `carrier` says where the parameters go; `json_body` is sent in their place."""

    method: str
    url: str = field(repr=False)
    carrier: Carrier
    params: Mapping[str, str] = field(repr=False)
    query: Mapping[str, str] = field(default_factory=dict, repr=False)
    headers: Iterable[tuple[str, str]] = field(default=(), repr=False)
    json_body: object = None


def fill_templates(templates: Mapping[str, str], known: Mapping[str, str]) -> dict[str, str]:
    """Return the templates with their values, without those that need an optional value which is not known."""
    values = ((name, fill(template, known)) for name, template in templates.items())
    return {name: value for name, value in values if value is not None}


def with_query(url: str, query: Mapping[str, str]) -> str:
    """Return the URL with this query, in which a space is `%20`.

    Form decoders (RFC 6749, appendix B) read `%20`, and so do decoders that know percent signs only.
    """
    return f"{url}?{urlencode(query, quote_via=quote)}" if query else url


def build_request(draft: RequestDraft) -> OutboundRequest:
    """Return the request, ready to be sent. Of two headers with one name the later one counts.

    Raises:
        InvalidInput: a value does not fit into a header.
    """
    query = dict(draft.query)
    headers, body = [("Accept", "application/json")], None
    match draft.carrier:
        case "form":
            headers.append(("Content-Type", "application/x-www-form-urlencoded"))
            body = urlencode(draft.params).encode("ascii")
        case "json":
            headers.append(("Content-Type", "application/json"))
            body = json.dumps(
                draft.params if draft.json_body is None else draft.json_body, separators=(",", ":")
            ).encode("ascii")
        case "query":
            query |= draft.params
        case "none":
            pass
    if body is None and draft.method == "POST":
        body = b""
    return OutboundRequest(draft.method, with_query(draft.url, query), merge_headers([*headers, *draft.headers]), body)


def merge_headers(headers: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Return one header of each name: the later one, in the place of the first.

    Raises:
        InvalidInput: a value does not fit into a header.
    """
    merged = {name.lower(): (name, value) for name, value in headers}
    for name, value in merged.values():
        if _NOT_IN_HEADER.search(value):
            raise InvalidInput(f"A value cannot be sent in the header {name}. Connect again.")
    return tuple(merged.values())


def parse_json(body: bytes) -> object:
    """Return the JSON document, or MISSING if the body is not JSON."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return MISSING
