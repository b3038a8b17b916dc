"""A request put together: its query, its headers, and its parameters in a form, in JSON or in the query."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias
from urllib.parse import quote, urlencode

from one_runtime.catalog.request import OutboundRequest
from one_runtime.catalog.templates import fill
from one_runtime.errors import InvalidInput

Carrier: TypeAlias = Literal["form", "json", "query", "none"]

_UNFIT: Final = re.compile(r"[^\x20-\x7e]")


@dataclass(frozen=True, slots=True)
class RequestDraft:
    """A request to be. `carrier` says where the parameters travel; `none`: there are none. Of two headers of one name
    the later one counts."""

    method: str
    url: str = field(repr=False)
    carrier: Carrier
    params: Mapping[str, str] = field(repr=False)
    query: Mapping[str, str] = field(default_factory=dict, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


def fill_templates(templates: Mapping[str, str], known: Mapping[str, str]) -> dict[str, str]:
    """Each template with its values; one whose value is not known (a blank optional one) is left out."""
    values = ((name, fill(template, known)) for name, template in templates.items())
    return {name: value for name, value in values if value is not None}


def with_query(url: str, query: Mapping[str, str]) -> str:
    """The URL with this query, in which a space is `%20`: form decoders (RFC 6749, appendix B) read it, and
    so do those that know percent signs only."""
    return f"{url}?{urlencode(query, quote_via=quote)}" if query else url


def build_request(draft: RequestDraft) -> OutboundRequest:
    """The request, ready to be sent.

    Raises:
        InvalidInput: a value does not fit into a header.
    """
    query, body, content_type = dict(draft.query), None, {}
    match draft.carrier:
        case "form":
            body = urlencode(draft.params).encode("ascii")
            content_type = {"Content-Type": "application/x-www-form-urlencoded"}
        case "json":
            body = json.dumps(draft.params, separators=(",", ":")).encode("ascii")
            content_type = {"Content-Type": "application/json"}
        case "query":
            query |= draft.params
        case "none":
            pass
    if body is None and draft.method == "POST":
        body = b""
    headers = _merged({"Accept": "application/json", **content_type}, draft.headers)
    return OutboundRequest(draft.method, with_query(draft.url, query), headers, body)


def _merged(*groups: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    merged = {name.lower(): (name, value) for group in groups for name, value in group.items()}
    for name, value in merged.values():
        if _UNFIT.search(value):
            raise InvalidInput(f"A value cannot be sent in the header {name}. Connect again.")
    return tuple(merged.values())
