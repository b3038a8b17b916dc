"""An entry out of an OpenAPI document: its title, description, servers and security schemes. No I/O.

What a document cannot say is asked of `x-logo`, `x-category` and `x-check`, below `info`; what is left out or had to be
guessed is told in warnings. Only references within the document are followed. Source: OpenAPI 3.0 to 3.2.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, get_args

from one_runtime.catalog.model import CUSTOM, Category, is_custom
from one_runtime.catalog.openapi_schemes import auths_from, text_keys
from one_runtime.catalog.openapi_words import label_of, name_of, sentence_of
from one_runtime.catalog.parts import MAX_LABEL
from one_runtime.catalog.source import Place, Source
from one_runtime.catalog.templates import is_authority

_LABEL: Final = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HTTPS: Final = re.compile(r"https://[^/?#\s]+(?:/[^?#\s]*)?")
_VARIABLE: Final = re.compile(r"\{([^{}]+)\}")
_NO_CHECK: Final = "The OpenAPI document names no request that shows whether a credential works."
_UNVERIFIED: Final = {"verified": {"how": "unverified"}}
_OPEN: Final = {"check_missing": "No credential is sent that could be checked.", **_UNVERIFIED}
_DEFAULT_CATEGORY: Final = "Developer Tools"


@dataclass(slots=True)
class Imported:
    """An entry as plain data, in the catalog's format; `logo` as the document gives it; `warnings` for a person;
    `places`: where the document says what stands under that key of every way."""

    entry: dict[str, Any]
    logo: str | None
    warnings: list[str]
    places: Mapping[str, Place]


def is_openapi(data: object) -> bool:
    """Whether this is an OpenAPI document (or its predecessor), and no entry."""
    return isinstance(data, Mapping) and ("openapi" in data or "swagger" in data)


def entry_from(source: Source, slug: str | None = None) -> Imported:
    """The entry; its slug comes from the title where none is given.

    Raises:
        SourceError: what the document lacks, or a reference out of it.
    """
    return _Reader(source).read(slug)


def slug_from(title: str) -> str:
    """A slug of an organization's own, from a title: `Billing API` is `x-billing-api`."""
    words = re.findall(r"[a-z0-9]+", title.lower())
    return (CUSTOM + "-".join(words))[:64].rstrip("-")


class _Reader:
    def __init__(self, source: Source) -> None:
        self._source = source
        self._document = text_keys(source.data)
        self._warnings: list[str] = []

    def read(self, slug: str | None) -> Imported:
        self._require_version()
        title = self._text(("info", "title"))
        if title is None:
            self._source.refuse(("info", "title"), "is required: the name of the product")
        base_url, params = self._base_url()
        auths = auths_from(self._source, self._warnings)
        shared = {"base_url": base_url, **self._check(), **_UNVERIFIED}
        names = set(_VARIABLE.findall(base_url))
        asked = [one for one in params if one["name"] in names]
        ways = [
            {**auth, "params": asked, **(_OPEN | {"base_url": base_url} if auth["type"] == "none" else shared)}
            for auth in auths
        ]
        if len(title) > MAX_LABEL:
            self._warnings.append(f"The title is shortened to {MAX_LABEL} characters, the maximum of a name.")
        entry = {
            "slug": slug or self._slug(title),
            "name": title[:MAX_LABEL].strip(),
            "description": self._description(title),
            "category": self._category(),
            **self._links(base_url, asked),
            "auth": ways,
        }
        places = {part: self._extension(f"x-{part}")[0] for part in ("check", "identity")}
        return Imported(entry, self._logo(), self._warnings, places)

    def _slug(self, title: str) -> str:
        slug = slug_from(title)
        if not is_custom(slug):
            self._source.refuse(("info", "title"), "gives no slug. Choose one: PUT /v1/custom-integrations/x-…")
        return slug

    def _require_version(self) -> None:
        version = str(self._document.get("openapi", "2.0"))  # 3.1 without quotes is a number
        if not version.startswith("3."):
            place = ("openapi",) if "openapi" in self._document else ("swagger",)
            self._source.refuse(place, f"must be OpenAPI 3.0, 3.1 or 3.2, not {version}; convert the document")

    def _info(self) -> Mapping[str, Any]:
        info = self._document.get("info")
        return info if isinstance(info, Mapping) else {}

    def _extension(self, name: str) -> tuple[Place, Any]:
        """An extension below `info`, or at the top."""
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
        told = sentence_of(info.get("summary"), 89) or sentence_of(info.get("description"), 89)
        return told or f"The API of {title[:70].rstrip('.')}."

    def _category(self) -> str:
        place, wanted = self._extension("x-category")
        if wanted is None:
            self._warnings.append(f"x-category is missing, so the category is {_DEFAULT_CATEGORY}.")
            return _DEFAULT_CATEGORY
        found = next((one for one in get_args(Category) if one.lower() == str(wanted).strip().lower()), None)
        if found is None:
            self._source.refuse(place, f"must be one of: {', '.join(get_args(Category))}")
        return str(found)

    def _links(self, base_url: str, params: list[dict[str, Any]]) -> dict[str, str]:
        docs, contact = self._text(("externalDocs", "url")), self._text(("info", "contact", "url"))
        told = [url for url in (docs, contact) if url is not None and url.startswith("https://")]
        if not told:
            told = [_home(base_url, params)]
            self._warnings.append(f"externalDocs is missing, so the documentation link is {told[0]}.")
        return {"website": told[-1], "docs": told[0]}

    def _check(self) -> dict[str, Any]:
        _, check = self._extension("x-check")
        _, identity = self._extension("x-identity")
        if check is None:
            if identity is not None:
                self._warnings.append("x-identity is ignored: it needs the answer of an x-check.")
            self._warnings.append(
                "x-check is missing, so credentials are stored without a check. Add a cheap request that needs one, "
                "such as x-check: {path: /me, expect: {json: [{path: id, exists: true}]}}."
            )
            return {"check_missing": _NO_CHECK}
        return {"check": check, **({"identity": identity} if identity is not None else {})}

    def _logo(self) -> str | None:
        _, logo = self._extension("x-logo")
        url = logo.get("url") if isinstance(logo, Mapping) else logo
        return url if isinstance(url, str) else None

    # Servers.

    def _base_url(self) -> tuple[str, list[dict[str, Any]]]:
        """The address of the API, and what has to be asked to know it."""
        servers = self._document.get("servers")
        listed = [one if isinstance(one, Mapping) else {} for one in servers] if isinstance(servers, list) else []
        urls = [str(one.get("url", "")).rstrip("/") for one in listed]
        usable = [index for index, url in enumerate(urls) if _HTTPS.fullmatch(url)]
        if not usable:
            place: Place = ("servers", 0, "url") if urls else ("servers",)
            self._source.refuse(
                place, "at least one server must have an absolute https address, such as https://api.example.com/v1"
            )
        first = usable[0]
        if len(usable) > 1:
            choice = _choice([(urls[index], listed[index]) for index in usable])
            if choice is not None:
                return choice
            self._warnings.append(f"The document has several servers; the first is used: {urls[first][:200]}.")
        return self._templated(urls[first], ("servers", first, "variables"), listed[first].get("variables"))

    def _templated(self, url: str, place: Place, variables: object) -> tuple[str, list[dict[str, Any]]]:
        """The address with what the end user is asked for in it; what has one value only has it."""
        known = variables if isinstance(variables, Mapping) else {}
        authority = url.removeprefix("https://").partition("/")[0]
        params = []
        for name in dict.fromkeys(_VARIABLE.findall(url)):
            variable, written = known.get(name), f"{{{name}}}"
            if not isinstance(variable, Mapping):
                self._source.refuse((*place, name), f"is required: the values of {written} in the server's address")
            if written not in authority:
                url = url.replace(written, str(variable.get("default", "")))
                continue
            url = url.replace(written, f"{{{name_of(name)}}}")
            params.append(_param(name, variable))
        return url, params


def _param(name: str, variable: Mapping[str, Any]) -> dict[str, Any]:
    choices, default = variable.get("enum"), variable.get("default")
    param: dict[str, Any] = {"name": name_of(name), "label": label_of(name)}
    if told := sentence_of(variable.get("description"), 300):
        param["help"] = told
    if not isinstance(choices, list) or not choices:
        example = str(default).lower() if default else "acme"
        return {**param, "placeholder": example[:100], "pattern": _LABEL, "transform": ["lower"]}
    param["options"] = [{"value": str(one), "label": str(one)[:MAX_LABEL]} for one in choices]
    return {**param, "default": str(default)} if default in choices else param


def _home(base_url: str, params: list[dict[str, Any]]) -> str:
    """The address of whoever runs the API, as far as its own tells."""
    host = base_url.removeprefix("https://").partition("/")[0]
    for param in params:
        first = param["options"][0]["value"] if "options" in param else param["placeholder"]
        host = host.replace(f"{{{param['name']}}}", first)
    return f"https://{host}"


def _choice(servers: list[tuple[str, Mapping[str, Any]]]) -> tuple[str, list[dict[str, Any]]] | None:
    """One parameter that chooses among servers that differ in nothing but their host: production, sandbox, regions."""
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
