"""Parse a custom integration, which an organization defines in the catalog's format or as an OpenAPI document."""

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from urllib.parse import unquote_to_bytes

import yaml

from one_runtime.catalog.entry_files import file_error, read_file
from one_runtime.catalog.lint import placed_complaints
from one_runtime.catalog.logos import UnsafeLogo, clean_svg, monogram
from one_runtime.catalog.model import CUSTOM, CustomIntegration, Integration, dump, is_custom
from one_runtime.catalog.openapi import ImportedEntry, entry_from, is_openapi
from one_runtime.catalog.source import MAX_COMPLAINTS, Complaint, EntrySource, SourceError, Syntax
from one_runtime.catalog.yaml_loader import EntryDumper

MAX_BYTES: Final = 64 * 1024
"""Maximum size of an entry (the definition of an integration), in bytes of JSON.

The limit is small, because every process caches the entry.
"""
FORMATS: Final = (
    "Send a definition with the keys slug, name, description, category, website, docs and auth (in YAML, each on its "
    "own line, such as slug: x-acme), or send an OpenAPI document. The page /docs describes both at "
    "POST /v1/custom-integrations, with an example"
)
_SVG_URI: Final = re.compile(r"data:image/svg\+xml(?:;[a-z0-9=-]+)*?(;base64)?,(.*)", re.DOTALL | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class CustomEntry:
    """A valid custom integration.

    `logo`: a sanitized SVG. `warnings`: sentences about parts of an OpenAPI document that One Runtime ignored or
    guessed. `operations`: a JSON list of the operations that an OpenAPI document describes, or an empty text.
    """

    integration: CustomIntegration
    logo: str
    warnings: tuple[str, ...] = ()
    operations: str = ""


def written(integration: CustomIntegration, logo: str) -> dict[str, object]:
    """Return the entry as a request body that registers the same integration again.

    In each auth type, the key `type` comes first. The body omits a logo that One Runtime generated (a monogram).
    """
    entry = dump(integration)
    entry["auth"] = [{"type": auth["type"], **auth} for auth in entry["auth"]]
    return entry if logo == monogram(integration.slug, integration.name) else {**entry, "logo": logo}


def as_yaml(entry: Mapping[str, object]) -> str:
    """Return the result of `written` as YAML."""
    return yaml.dump(entry, Dumper=EntryDumper, sort_keys=False, allow_unicode=True, width=1000)


def syntax_of(text: str) -> Syntax:
    """Return the syntax of a text with an entry or an OpenAPI document: JSON begins with a bracket."""
    return "json" if text.lstrip().startswith(("{", "[")) else "yaml"


def read_custom(text: str, syntax: Syntax, slug: str | None = None, *, allow_http: bool = False) -> CustomEntry:
    """Parse and validate a custom integration.

    `slug`: the slug in the request's path, or None if the path has no slug. `allow_http`: allow http URLs on
    loopback.

    Raises:
        SourceError: the entry is not valid. The exception has a complaint for each error, with the line if known.
            The lint reports at most 20 errors.
    """
    return _custom_entry(EntrySource.read(text, syntax), slug, allow_http=allow_http)


def _custom_entry(source: EntrySource, slug: str | None = None, *, allow_http: bool = False) -> CustomEntry:
    if not isinstance(source.data, Mapping):
        source.refuse((), f"the body must consist of keys and values. {FORMATS}")
    if is_openapi(source.data):
        return _from_openapi(source, slug, allow_http=allow_http)
    data = dict(source.data)
    complaints = list[Complaint]()
    logo = None
    try:
        logo = _own_logo(data.pop("logo", None))
    except UnsafeLogo as error:
        complaints.append(source.complaint(("logo",), f"is not valid: {error}"))
    if slug is not None and not is_custom(slug):
        # With this placeholder, the errors of the entry are reported first. The HTTP API refuses the path's slug later.
        data.setdefault("slug", f"{CUSTOM}none")
    elif slug is not None and data.setdefault("slug", slug) != slug:
        complaints.append(source.complaint(("slug",), f"must be {slug}, as in the URL of the request"))
    try:
        integration = replace(source, data=data).integration(CustomIntegration, allow_http=allow_http)
        _require_valid(source, integration)
    except SourceError as error:
        raise SourceError([*complaints, *error.complaints][:MAX_COMPLAINTS]) from error
    if complaints:
        raise SourceError(complaints)
    return CustomEntry(integration, logo or monogram(integration.slug, integration.name))


def load_custom_file(path: Path, *, allow_http: bool = False) -> CustomEntry:
    """Return the custom integration of a file with an entry or an OpenAPI document. Raises: CatalogError."""
    try:
        return _custom_entry(read_file(path), allow_http=allow_http)
    except SourceError as error:
        raise file_error(path, error) from error


def load_file(path: Path, *, allow_http: bool = False) -> Integration:
    """Return the validated entry of a file.

    The file contains an entry or an OpenAPI document. If the slug of an entry begins with `x-`, the entry is a custom
    integration. `allow_http`: allow http URLs on loopback in a custom integration.

    Raises:
        CatalogError: the entry is not valid. The error names the file and the line.
    """
    try:
        source = read_file(path)
        slug = source.data.get("slug") if isinstance(source.data, Mapping) else None
        if is_openapi(source.data) or str(slug).startswith(CUSTOM):
            return _custom_entry(source, allow_http=allow_http).integration
        return source.integration(Integration)
    except SourceError as error:
        raise file_error(path, error) from error


def _from_openapi(source: EntrySource, slug: str | None, *, allow_http: bool) -> CustomEntry:
    valid_slug = slug if slug is None or is_custom(slug) else f"{CUSTOM}none"
    imported = entry_from(source, valid_slug, allow_http=allow_http)
    generated = EntrySource(imported.entry)
    try:
        integration = generated.integration(CustomIntegration, allow_http=allow_http)
        _require_valid(generated, integration)
    except SourceError as error:
        raise SourceError(_locate_in_document(source, imported, complaint) for complaint in error.complaints) from error
    warnings = imported.warnings
    logo = None
    try:
        logo = _own_logo(imported.logo)
    except UnsafeLogo as error:
        warnings = [*warnings, f"x-logo is ignored: {error}."]
    logo = logo or monogram(integration.slug, integration.name)
    operations = ",".join(operation.model_dump_json(exclude_defaults=True) for operation in imported.operations)
    return CustomEntry(integration, logo, tuple(warnings), f"[{operations}]" if operations else "")


def _locate_in_document(source: EntrySource, imported: ImportedEntry, complaint: Complaint) -> Complaint:
    """Convert a complaint about the generated entry into a complaint about the OpenAPI document."""
    place = complaint.place
    at = imported.places.get(str(place[2])) if len(place) > 2 else None
    if at is None:
        return replace(complaint, line=None)
    place = (*at, *place[3:])
    return Complaint(source.line(place), place, complaint.message)


def _require_valid(source: EntrySource, integration: CustomIntegration) -> None:
    """Check the size, and lint the integration. Raises: SourceError."""
    try:
        size = len(json.dumps(dump(integration), ensure_ascii=False, allow_nan=False).encode())
    except ValueError as error:
        message = "contains a number or a character that JSON cannot represent"
        raise SourceError([Complaint(None, (), message)]) from error
    if size > MAX_BYTES:
        raise SourceError([Complaint(None, (), f"must be at most {MAX_BYTES // 1024} kB as JSON")])
    errors = list(placed_complaints(integration))
    if errors:
        raise SourceError(Complaint(source.line(place), place, message) for place, message in errors)


def _own_logo(logo: object) -> str | None:
    """Return the sanitized logo of a definition, or None if the definition has no logo. Raises: UnsafeLogo."""
    if logo is None:
        return None
    if not isinstance(logo, str):
        raise UnsafeLogo("send a text: an SVG, or a data URI with an SVG")
    if logo.lstrip().startswith("<"):
        return clean_svg(logo.strip())
    match = _SVG_URI.fullmatch(logo.strip())
    if match is None:
        raise UnsafeLogo("send the SVG itself, or data:image/svg+xml;base64,…; One Runtime fetches no URLs")
    try:
        raw = base64.b64decode(match[2], validate=True) if match[1] else unquote_to_bytes(match[2])
        return clean_svg(raw.decode().strip())
    except (binascii.Error, UnicodeDecodeError) as error:
        raise UnsafeLogo("the data URI must contain an SVG") from error
