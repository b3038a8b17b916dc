"""An organization's own entry as it is sent: in the catalog's format, or as an OpenAPI document. No I/O."""

import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import unquote_to_bytes

from one_runtime.catalog.lint import placed_complaints
from one_runtime.catalog.logos import UnsafeLogo, clean_svg, monogram
from one_runtime.catalog.model import CUSTOM, CustomIntegration, dump, is_custom
from one_runtime.catalog.openapi import entry_from, is_openapi
from one_runtime.catalog.source import Complaint, Source, SourceError, Syntax

_SVG_URI: Final = re.compile(r"data:image/svg\+xml(?:;[a-z0-9=-]+)*?(;base64)?,(.*)", re.DOTALL | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class CustomEntry:
    """What was sent, checked in full. `logo`: an SVG, cleaned; `warnings`: what was left out or guessed."""

    integration: CustomIntegration
    logo: str
    warnings: tuple[str, ...] = ()


def read_custom(text: str, syntax: Syntax, slug: str | None = None) -> CustomEntry:
    """Read and check one. `slug`: the one that it is sent to.

    Raises:
        SourceError: every complaint, with its line where it has one.
    """
    source = Source.read(text, syntax)
    if not isinstance(source.data, Mapping):
        source.refuse((), "has to be an entry of the catalog or an OpenAPI document: keys with values")
    if is_openapi(source.data):
        return _from_openapi(source, slug)
    data = dict(source.data)
    if "logo" in data and not isinstance(data["logo"], str):
        source.refuse(("logo",), "has to be a text: an SVG, or a data URI of one")
    logo = data.pop("logo", None)
    if slug is not None and not is_custom(slug):
        data["slug"] = f"{CUSTOM}none"  # there can be no such integration; what else is wrong is told all the same
    elif slug is not None and data.setdefault("slug", slug) != slug:
        source.refuse(("slug",), f"is not {slug}, which it is sent to")
    integration = replace(source, data=data).integration(CustomIntegration)
    _require_sound(source, integration)
    try:
        return CustomEntry(integration, _logo(integration, logo))
    except UnsafeLogo as error:
        source.refuse(("logo",), f"cannot be used: {error}")


def _from_openapi(source: Source, slug: str | None) -> CustomEntry:
    imported = entry_from(source, slug if slug is None or is_custom(slug) else f"{CUSTOM}none")
    made = Source(imported.entry)  # which was never written, so its complaints have no line
    integration = made.integration(CustomIntegration)
    _require_sound(made, integration)
    warnings = imported.warnings
    try:
        logo = _logo(integration, imported.logo)
    except UnsafeLogo as error:
        logo = _logo(integration, None)
        warnings = [*warnings, f"x-logo is left out: {error}."]
    return CustomEntry(integration, logo, tuple(warnings))


def _require_sound(source: Source, integration: CustomIntegration) -> None:
    """Raises: SourceError."""
    found = tuple(_complaints(source, integration))
    if found:
        raise SourceError(found)


def _complaints(source: Source, integration: CustomIntegration) -> Iterator[Complaint]:
    try:
        json.dumps(dump(integration), ensure_ascii=False, allow_nan=False).encode()
    except ValueError:
        yield Complaint(None, (), "holds a number or a character that JSON has no form for")
        return
    for place, message in placed_complaints(integration):
        yield Complaint(source.line(place), place, message)


def _logo(integration: CustomIntegration, logo: str | None) -> str:
    """The logo as it was given, or letters where none was. Raises: UnsafeLogo."""
    if logo is None:
        return monogram(integration.slug, integration.name)
    if logo.lstrip().startswith("<"):
        return clean_svg(logo.strip())
    found = _SVG_URI.fullmatch(logo.strip())
    if found is None:
        raise UnsafeLogo("write the SVG itself, or as data:image/svg+xml;base64,…; an address is not fetched")
    try:
        raw = base64.b64decode(found[2], validate=True) if found[1] else unquote_to_bytes(found[2])
        return clean_svg(raw.decode().strip())
    except (binascii.Error, UnicodeDecodeError) as error:
        raise UnsafeLogo("the data URI does not hold an SVG") from error
