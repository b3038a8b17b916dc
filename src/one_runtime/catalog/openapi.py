"""Convert an OpenAPI document (3.0 to 3.2) into the entry of a custom integration, and into operations for agents.

The entry uses the document's title, description, servers and security schemes. OpenAPI lacks some parts of an entry,
such as a logo or the request that verifies a credential (check). So a document can contain the extensions `x-logo`,
`x-category`, `x-check`, `x-identity` and `x-document-url`, below `info` or at the top level. Warnings list the parts
that One Runtime ignored or guessed. One Runtime refuses references to other documents.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from one_runtime.catalog.model import CATEGORIES, CUSTOM, is_custom
from one_runtime.catalog.openapi_operations import ApiAddress, compile_operations
from one_runtime.catalog.openapi_schemes import auths_from
from one_runtime.catalog.openapi_servers import VARIABLE, server_of
from one_runtime.catalog.openapi_words import sentence_of
from one_runtime.catalog.operation import Operation
from one_runtime.catalog.parts import MAX_LABEL
from one_runtime.catalog.source import EntrySource
from one_runtime.catalog.templates import check_link, is_https, resolve_reference
from one_runtime.validation.descriptions import Place

_NO_CHECK: Final = "The OpenAPI document names no request that shows whether a credential works."
_UNVERIFIED: Final = {"verified": {"how": "unverified"}}
_OPEN: Final = {"check_missing": "The API takes no credential, so there is nothing to verify.", **_UNVERIFIED}
_DEFAULT_CATEGORY: Final = "Developer Tools"


@dataclass(slots=True)
class ImportedEntry:
    """An entry as plain data, in the catalog's format.

    `logo`: the unchanged logo of the document. `warnings`: sentences for the developer. `places`: the places of `check`
    and `identity` in the document. Every auth type except `none` uses the same `check` and `identity`. `operations`:
    the operations that agents can call.
    """

    entry: dict[str, Any]
    logo: str | None
    warnings: list[str]
    places: Mapping[str, Place]
    operations: tuple[Operation, ...]


def is_openapi(data: object) -> bool:
    """Return True for an OpenAPI or Swagger document."""
    return isinstance(data, Mapping) and ("openapi" in data or "swagger" in data)


def entry_from(source: EntrySource, slug: str | None = None, *, allow_http: bool = False) -> ImportedEntry:
    """Convert a document into an entry. If `slug` is None, derive the slug from the title.

    `allow_http`: allow http URLs on loopback.

    Raises:
        SourceError: a part is missing or not valid, or a reference points to another document.
    """
    return _Reader(source, allow_http=allow_http).read(slug)


def slug_from(title: str) -> str:
    """Derive the slug of a custom integration from a title: `Billing API` becomes `x-billing-api`."""
    words = re.findall(r"[a-z0-9]+", title.lower())
    return (CUSTOM + "-".join(words))[:64].rstrip("-")


class _Reader:
    def __init__(self, source: EntrySource, *, allow_http: bool) -> None:
        self._source, self._allow_http = source, allow_http
        self._document: Mapping[str, Any] = source.data if isinstance(source.data, Mapping) else {}
        self._warnings: list[str] = []

    def read(self, slug: str | None) -> ImportedEntry:
        self._require_version()
        title = self._text(("info", "title"))
        if title is None:
            self._source.refuse(("info", "title"), "is required: the name of the product")
        document_url = self._document_url()
        server = server_of(self._source, self._document, document_url, self._warnings, allow_http=self._allow_http)
        base_url = server.base_url
        auths = auths_from(self._source, self._document, server.url, self._warnings, allow_http=self._allow_http)
        shared = {"base_url": base_url, **self._check(), **_UNVERIFIED}
        names = set(VARIABLE.findall(base_url))
        host_params = [param for param in server.params if param["name"] in names]
        auths_with_base = [
            {**auth, "params": host_params, **(_OPEN | {"base_url": base_url} if auth["type"] == "none" else shared)}
            for auth in auths
        ]
        if len(title) > MAX_LABEL:
            self._warnings.append(f"The title is shortened to {MAX_LABEL} characters, the maximum length of a name.")
        slug = slug or self._slug(title)
        entry = {
            "slug": slug,
            "name": title[:MAX_LABEL].strip(),
            "description": self._description(title),
            "category": self._category(),
            **self._links(document_url, base_url, host_params),
            "auth": auths_with_base,
        }
        places = {part: self._extension(f"x-{part}")[0] for part in ("check", "identity")}
        operations = self._operations(slug, server.url, base_url)
        return ImportedEntry(entry, self._logo(), self._warnings, places, operations)

    def _operations(self, slug: str, server_url: str, base_url: str) -> tuple[Operation, ...]:
        address = ApiAddress(server_url, base_url)
        compiled = compile_operations(self._document, slug, address, self._source.size)
        self._warnings += [
            f"Agents cannot call {count:,} operation{'s' if count > 1 else ''} of the document: {reason}."
            for reason, count in compiled.skipped.items()
        ]
        return compiled.operations

    def _slug(self, title: str) -> str:
        slug = slug_from(title)
        if not is_custom(slug):
            self._source.refuse(
                ("info", "title"),
                "must have Latin letters or digits, because One Runtime derives the slug from the title. To choose "
                "another slug, send PUT /v1/custom-integrations/x-…",
            )
        return slug

    def _require_version(self) -> None:
        version = str(self._document.get("openapi", "2.0"))  # without quotes, YAML reads 3.1 as a number
        if not version.startswith("3."):
            place = ("openapi",) if "openapi" in self._document else ("swagger",)
            self._source.refuse(
                place, f"OpenAPI {version[:20]} is not supported. Convert the document to OpenAPI 3.0, 3.1 or 3.2"
            )

    def _info(self) -> Mapping[str, Any]:
        info = self._document.get("info")
        return info if isinstance(info, Mapping) else {}

    def _extension(self, name: str) -> tuple[Place, Any]:
        """Return the place and the value of an extension below `info` or at the top level."""
        info = self._info()
        return (("info", name), info[name]) if name in info else ((name,), self._document.get(name))

    def _text(self, place: Place) -> str | None:
        value: Any = self._document
        for step in place:
            value = value.get(step) if isinstance(value, Mapping) else None
        words = " ".join(value.split()) if isinstance(value, str) else ""
        return words or None

    def _description(self, title: str) -> str:
        info = self._info()
        description = sentence_of(info.get("summary"), 89) or sentence_of(info.get("description"), 89)
        return description or f"The API of {title[:70].rstrip('.')}."

    def _category(self) -> str:
        place, value = self._extension("x-category")
        if value is None:
            self._warnings.append(f"x-category is missing, so the category is {_DEFAULT_CATEGORY}.")
            return _DEFAULT_CATEGORY
        category = next((known for known in CATEGORIES if known.lower() == str(value).strip().lower()), None)
        if category is None:
            self._source.refuse(place, f"must be one of: {', '.join(CATEGORIES)}")
        return str(category)

    def _document_url(self) -> str | None:
        """Return the URL from which the developer downloaded the document, or None. Raises: SourceError."""
        place, url = self._extension("x-document-url")
        if url is None:
            return None
        try:
            return check_link(str(url), allow_http=self._allow_http)
        except ValueError as error:
            self._source.refuse(
                place, f"{error}; write the URL of the document, such as https://api.example.com/openapi.json"
            )

    def _links(self, document_url: str | None, base_url: str, params: list[dict[str, Any]]) -> dict[str, str]:
        docs, contact = self._text(("externalDocs", "url")), self._text(("info", "contact", "url"))
        urls = [url for url in (docs, contact) if url is not None]
        if document_url is not None:
            urls = [resolve_reference(document_url, url) for url in urls]
        links = [url for url in urls if is_https(url, allow_http=self._allow_http)]
        if not links:
            links = [_guess_website(base_url, params)]
            self._warnings.append(f"externalDocs is missing, so the documentation link is {links[0]}.")
        return {"website": links[-1], "docs": links[0]}

    def _check(self) -> dict[str, Any]:
        _, check = self._extension("x-check")
        _, identity = self._extension("x-identity")
        if check is None:
            if identity is not None:
                self._warnings.append("x-identity is ignored, because an identity needs an x-check.")
            self._warnings.append(
                "x-check is missing, so One Runtime stores credentials without verifying them. Add a request that "
                "needs a credential. For example: x-check: {path: /me, expect: {json: [{path: id, exists: true}]}}."
            )
            return {"check_missing": _NO_CHECK}
        return {"check": check, **({"identity": identity} if identity is not None else {})}

    def _logo(self) -> str | None:
        _, logo = self._extension("x-logo")
        url = logo.get("url") if isinstance(logo, Mapping) else logo
        return url if isinstance(url, str) else None


def _guess_website(base_url: str, params: list[dict[str, Any]]) -> str:
    """Return a guess of the product's website: the host of the API."""
    scheme, _, rest = base_url.partition("://")
    host = rest.partition("/")[0]
    for param in params:
        example = param["options"][0]["value"] if "options" in param else param["placeholder"]
        host = host.replace(f"{{{param['name']}}}", example)
    return f"{scheme}://{host}"
