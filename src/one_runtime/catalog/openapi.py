"""Convert an OpenAPI document (3.0 to 3.2) into the entry of a custom integration.

The entry uses the document's title, description, servers and security schemes. OpenAPI has no logo, no category, no
request that verifies a credential (check), and no id of an account (identity). So a document can contain the extensions
`x-logo`, `x-category`, `x-check` and `x-identity`, below `info` or at the top level. Warnings list the parts that One
Runtime ignored or guessed. One Runtime refuses references to other documents.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from one_runtime.catalog.model import CATEGORIES, CUSTOM, is_custom
from one_runtime.catalog.openapi_schemes import auths_from
from one_runtime.catalog.openapi_words import label_of, name_of, sentence_of
from one_runtime.catalog.parts import MAX_LABEL, MAX_URL
from one_runtime.catalog.source import EntrySource, Place
from one_runtime.catalog.templates import is_authority

_LABEL: Final = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HTTPS: Final = re.compile(r"https://[^/?#\s]+(?:/[^?#\s]*)?")
_VARIABLE: Final = re.compile(r"\{([^{}]+)\}")
_NO_CHECK: Final = "The OpenAPI document names no request that shows whether a credential works."
_UNVERIFIED: Final = {"verified": {"how": "unverified"}}
_OPEN: Final = {"check_missing": "The API takes no credential, so there is nothing to verify.", **_UNVERIFIED}
_DEFAULT_CATEGORY: Final = "Developer Tools"


@dataclass(slots=True)
class ImportedEntry:
    """An entry as plain data, in the catalog's format.

    `logo`: the logo, unchanged from the document. `warnings`: sentences for the developer. `places`: the places of
    `check` and `identity` in the document. All auth types except `none` share `check` and `identity`.
    """

    entry: dict[str, Any]
    logo: str | None
    warnings: list[str]
    places: Mapping[str, Place]


def is_openapi(data: object) -> bool:
    """Return True for an OpenAPI or Swagger document."""
    return isinstance(data, Mapping) and ("openapi" in data or "swagger" in data)


def entry_from(source: EntrySource, slug: str | None = None) -> ImportedEntry:
    """Convert a document into an entry. If `slug` is None, derive the slug from the title.

    Raises:
        SourceError: a part is missing or not valid, or a reference points to another document.
    """
    return _Reader(source).read(slug)


def slug_from(title: str) -> str:
    """Derive the slug of a custom integration from a title: `Billing API` becomes `x-billing-api`."""
    words = re.findall(r"[a-z0-9]+", title.lower())
    return (CUSTOM + "-".join(words))[:64].rstrip("-")


class _Reader:
    def __init__(self, source: EntrySource) -> None:
        self._source = source
        self._document: Mapping[str, Any] = source.data if isinstance(source.data, Mapping) else {}
        self._warnings: list[str] = []

    def read(self, slug: str | None) -> ImportedEntry:
        self._require_version()
        title = self._text(("info", "title"))
        if title is None:
            self._source.refuse(("info", "title"), "is required: the name of the product")
        base_url, params = self._base_url()
        auths = auths_from(self._source, self._document, self._warnings)
        shared = {"base_url": base_url, **self._check(), **_UNVERIFIED}
        names = set(_VARIABLE.findall(base_url))
        host_params = [param for param in params if param["name"] in names]
        auths_with_base = [
            {**auth, "params": host_params, **(_OPEN | {"base_url": base_url} if auth["type"] == "none" else shared)}
            for auth in auths
        ]
        if len(title) > MAX_LABEL:
            self._warnings.append(f"The title is shortened to {MAX_LABEL} characters, the maximum length of a name.")
        entry = {
            "slug": slug or self._slug(title),
            "name": title[:MAX_LABEL].strip(),
            "description": self._description(title),
            "category": self._category(),
            **self._links(base_url, host_params),
            "auth": auths_with_base,
        }
        places = {part: self._extension(f"x-{part}")[0] for part in ("check", "identity")}
        return ImportedEntry(entry, self._logo(), self._warnings, places)

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
            self._source.refuse(place, f"must be OpenAPI 3.0, 3.1 or 3.2, not {version}; convert the document")

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

    def _links(self, base_url: str, params: list[dict[str, Any]]) -> dict[str, str]:
        docs, contact = self._text(("externalDocs", "url")), self._text(("info", "contact", "url"))
        links = [url for url in (docs, contact) if url is not None and url.startswith("https://")]
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
                "x-check is missing, so One Runtime stores credentials without verifying them. Add a cheap request "
                "that needs a credential, such as x-check: {path: /me, expect: {json: [{path: id, exists: true}]}}."
            )
            return {"check_missing": _NO_CHECK}
        return {"check": check, **({"identity": identity} if identity is not None else {})}

    def _logo(self) -> str | None:
        _, logo = self._extension("x-logo")
        url = logo.get("url") if isinstance(logo, Mapping) else logo
        return url if isinstance(url, str) else None

    def _base_url(self) -> tuple[str, list[dict[str, Any]]]:
        """Return the base URL of the API, and the parameters in the URL."""
        servers = self._document.get("servers")
        listed = (
            [server if isinstance(server, Mapping) else {} for server in servers] if isinstance(servers, list) else []
        )
        urls = [str(server.get("url", "")).rstrip("/") for server in listed]
        usable = [index for index, url in enumerate(urls) if len(url) <= MAX_URL and _HTTPS.fullmatch(url)]
        if not usable:
            place: Place = ("servers", 0, "url") if urls else ("servers",)
            self._source.refuse(
                place,
                f"at least one server must have an absolute https URL of at most {MAX_URL} characters, such as "
                "https://api.example.com/v1",
            )
        first = usable[0]
        if len(usable) > 1:
            selectable = _server_parameter([(urls[index], listed[index]) for index in usable])
            if selectable is not None:
                return selectable
            self._warnings.append(f"The document has several servers. One Runtime uses {urls[first][:200]}.")
        return self._expand_variables(urls[first], ("servers", first, "variables"), listed[first].get("variables"))

    def _expand_variables(self, url: str, place: Place, variables: object) -> tuple[str, list[dict[str, Any]]]:
        """Return the URL, and the parameters in its host. Replace each variable outside the host by its default."""
        definitions = variables if isinstance(variables, Mapping) else {}
        authority = url.removeprefix("https://").partition("/")[0]
        params = []
        for name in dict.fromkeys(_VARIABLE.findall(url)):
            variable, placeholder = definitions.get(name), f"{{{name}}}"
            if not isinstance(variable, Mapping):
                self._source.refuse((*place, name), f"is required, because the server's URL contains {placeholder}")
            if placeholder not in authority:
                default = str(variable.get("default", ""))
                url = url.replace(placeholder, default) if len(default) <= MAX_URL else default
                if len(url) > MAX_URL:  # defaults can contain variables, so the URL could grow exponentially
                    self._source.refuse((*place, name), f"makes the server's URL longer than {MAX_URL} characters")
                continue
            url = url.replace(placeholder, f"{{{name_of(name)}}}")
            params.append(_param(name, variable))
        return url, params


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


def _guess_website(base_url: str, params: list[dict[str, Any]]) -> str:
    """Return a guess of the product's website: the host of the API."""
    host = base_url.removeprefix("https://").partition("/")[0]
    for param in params:
        example = param["options"][0]["value"] if "options" in param else param["placeholder"]
        host = host.replace(f"{{{param['name']}}}", example)
    return f"https://{host}"


def _server_parameter(servers: list[tuple[str, Mapping[str, Any]]]) -> tuple[str, list[dict[str, Any]]] | None:
    """Return a base URL, and one parameter that selects the host of the server.

    Return None if the paths of the servers differ, if two hosts are equal, or if a host is not a constant name.
    """
    split = [url.removeprefix("https://").partition("/") for url, _ in servers]
    hosts, paths = [host for host, _, _ in split], {slash + path for _, slash, path in split}
    if len(paths) > 1 or len(set(hosts)) < len(hosts) or not all(map(is_authority, hosts)):
        return None
    options = [
        {"value": host, "label": sentence_of(server.get("description"), MAX_LABEL).rstrip(".") or host[:MAX_LABEL]}
        for host, (_, server) in zip(hosts, servers, strict=True)
    ]
    param = {"name": "server", "label": "Server", "options": options, "default": hosts[0]}
    return f"https://{{server}}{paths.pop()}", [param]
