"""Every wrong value in an uploaded integration is refused in One Runtime's own words, with the name of its key."""

import json
from collections.abc import Iterator
from copy import deepcopy
from typing import Any, Final, NamedTuple

from one_runtime.catalog.custom import read_custom
from one_runtime.catalog.source import SourceError
from tests.in_one_test import in_one_test
from tests.validators_words import VALIDATORS_WORDS

ENTRY: Final[dict[str, Any]] = {
    "slug": "x-tide",
    "name": "Tide",
    "description": "Tide tables of a port.",
    "category": "Data",
    "aliases": ["tides"],
    "website": "https://tide.example",
    "docs": "https://docs.tide.example",
    "auth": [
        {
            "type": "api_key",
            "params": [{"name": "port", "label": "Port", "pattern": "[a-z]{3,9}", "placeholder": "dover"}],
            "fields": [{"name": "api_key", "label": "API key", "where": "Open Settings.", "pattern": "[a-z]{16}"}],
            "base_url": "https://api.tide.example/{port}",
            "send": {"headers": {"Authorization": "Bearer {api_key}"}},
            "check": {"path": "/me", "expect": {"status": [200], "json": [{"path": "id", "exists": True}]}},
            "identity": {"id": "id", "label": "name"},
            "verified": {"how": "unverified"},
        },
        {
            "type": "oauth2",
            "authorization": {"url": "https://tide.example/authorize"},
            "token": {"url": "https://tide.example/token", "auth": "post"},
            "scopes": {"default": ["read"]},
            "pkce": "supported",
            "refresh": "rotates",
            "client": {"where": "Open Settings, then Apps."},
            "base_url": "https://api.tide.example",
            "check": {"path": "/me", "expect": {"json": [{"path": "id", "exists": True}]}},
            "verified": {"how": "unverified"},
        },
    ],
}
DOCUMENT: Final[dict[str, Any]] = {
    "openapi": "3.1.0",
    "info": {"title": "Tide", "version": "1", "description": "Tide tables of a port."},
    "servers": [{"url": "https://{place}.tide.example", "variables": {"place": {"default": "api", "enum": ["api"]}}}],
    "security": [{"key": []}],
    "components": {
        "securitySchemes": {
            "key": {"type": "apiKey", "in": "header", "name": "X-Key"},
            "oauth": {
                "type": "oauth2",
                "flows": {
                    "authorizationCode": {
                        "authorizationUrl": "https://tide.example/authorize",
                        "tokenUrl": "https://tide.example/token",
                        "scopes": {"read": "Read"},
                    }
                },
            },
        }
    },
    "externalDocs": {"url": "https://docs.tide.example"},
    "x-slug": "x-tide",
    "x-category": "Data",
    "x-check": {"path": "/me", "expect": {"json": [{"path": "id", "exists": True}]}},
}
SECRET: Final = "secret-0123456789"
WRONG: Final[tuple[object, ...]] = (
    None, True, 7, -1.5, "", " ", SECRET, f"{SECRET}\x00", f"{SECRET}\ud800", SECRET * 400,
    [], [SECRET], {}, {SECRET: 1},
)  # fmt: skip


class Upload(NamedTuple):
    document: dict[str, Any]
    place: tuple[str | int, ...]
    value: object


def places(value: object, place: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield the place of each value inside a document."""
    if place:
        yield place
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in inner:
        yield from places(part, (*place, key))


def uploads() -> Iterator[Upload]:
    for document in (ENTRY, DOCUMENT):
        yield from (Upload(document, place, value) for place in places(document) for value in WRONG)


def changed(upload: Upload) -> dict[str, Any]:
    document = deepcopy(upload.document)
    part: Any = document
    for step in upload.place[:-1]:
        part = part[step]
    part[upload.place[-1]] = upload.value
    return document


def test_the_unchanged_documents_are_valid() -> None:
    for document in (ENTRY, DOCUMENT):
        assert read_custom(json.dumps(document), "json").integration.slug == "x-tide"


@in_one_test(uploads(), lambda upload: f"{upload.place} = {str(upload.value)[:30]!r}")
def test_wrong_value_in_an_upload_is_refused_in_our_words(upload: Upload) -> None:
    try:
        read_custom(json.dumps(changed(upload)), "json")
    except SourceError as error:
        for complaint in error.complaints:
            sentence = complaint.sentence
            assert not VALIDATORS_WORDS.search(sentence), sentence
            assert sentence.endswith((".", "?", "…")), sentence
            assert len(sentence) < 700, sentence
