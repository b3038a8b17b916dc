"""An entry out of an OpenAPI document: its title, description, servers and security schemes. No I/O.

What a document cannot say is asked of `x-logo`, `x-category` and `x-check`, below `info`; what is left out or had to be
guessed is told in warnings. Only references within the document are followed. Source: OpenAPI 3.0 to 3.2.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, get_args
from urllib.parse import urlsplit

from one_runtime.catalog.model import CUSTOM, Category
from one_runtime.catalog.openapi_schemes import auths_from
from one_runtime.catalog.source import Place, Source
from one_runtime.catalog.templates import is_authority

_LABEL: Final = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_VARIABLE: Final = re.compile(r"\{([^{}]+)\}")
_NO_CHECK: Final = "The OpenAPI document names no request that shows whether a credential works."
_UNVERIFIED: Final = {"verified": {"how": "unverified"}}
_OPEN: Final = {"check_missing": "No credential is sent that could be checked.", **_UNVERIFIED}
_DEFAULT_CATEGORY: Final = "Developer Tools"


@dataclass(slots=True)
class Imported:
    """An entry as plain data, in the catalog's format; `logo` as the document gives it; `warnings` for a person."""

    entry: dict[str, Any]
    logo: str | None = None
    warnings: list[str] = field(default_factory=list)


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
        self._document: Mapping[str, Any] = source.data if isinstance(source.data, Mapping) else {}
        self._warnings: list[str] = []

    def read(self, slug: str | None) -> Imported:
        self._require_version()
        self._require_own_references()
        title = self._text(("info", "title"))
        if title is None:
            self._source.refuse(("info", "title"), "is missing: the name of the product")
        base_url, params = self._base_url()
        auths = auths_from(self._source, self._warnings)
        shared = {"base_url": base_url, **self._check(), **_UNVERIFIED}
        names = set(_VARIABLE.findall(base_url))
        asked = [one for one in params if one["name"] in names]
        ways = [
            {**auth, "params": asked, **(_OPEN | {"base_url": base_url} if auth["type"] == "none" else shared)}
            for auth in auths
        ]
        entry = {
            "slug": slug or slug_from(title),
            "name": title[:60].strip(),
            "description": self._description(title),
            "category": self._category(),
            **self._links(base_url),
            "auth": ways,
        }
        return Imported(entry, self._logo(), self._warnings)

    def _require_version(self) -> None:
        version = self._document.get("openapi")
        if not isinstance(version, str) or not version.startswith("3."):
            place = ("openapi",) if "openapi" in self._document else ("swagger",)
            self._source.refuse(place, "this is read: OpenAPI 3.0, 3.1 and 3.2. Convert an older document first")

    def _require_own_references(self) -> None:
        """A reference to elsewhere would have us fetch what somebody else may change. Raises: SourceError."""
        left: list[tuple[Place, object]] = [((), self._document)]
        while left:
            place, value = left.pop()
            if isinstance(value, Mapping):
                to = value.get("$ref")
                if isinstance(to, str) and not to.startswith("#"):
                    self._source.refuse((*place, "$ref"), "leads out of the document; put in its place what it means")
                left += [((*place, str(key)), inner) for key, inner in value.items()]
            elif isinstance(value, list):
                left += [((*place, index), inner) for index, inner in enumerate(value)]

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
        told = self._text(("info", "summary")) or self._text(("info", "description")) or f"The API of {title}."
        plain = re.sub(r"[*_`#]|\[([^\]]*)\]\([^)]*\)", r"\1", told).strip()
        sentence = re.split(r"(?<=[.!?])\s", plain)[0].rstrip(".!? ")
        while len(sentence) > 88 and " " in sentence:
            sentence = sentence.rpartition(" ")[0].rstrip(",;:")
        sentence = sentence[:88]
        return (
            f"{sentence[:1].upper()}{sentence[1:]}."
            if re.match("[A-Za-z0-9]", sentence)
            else f"The API of {title[:70]}."
        )

    def _category(self) -> str:
        place, wanted = self._extension("x-category")
        if wanted is None:
            self._warnings.append(f"There is no x-category, so it is listed under {_DEFAULT_CATEGORY}.")
            return _DEFAULT_CATEGORY
        found = next((one for one in get_args(Category) if one.lower() == str(wanted).strip().lower()), None)
        if found is None:
            self._source.refuse(place, f"is one of: {', '.join(get_args(Category))}")
        return str(found)

    def _links(self, base_url: str) -> dict[str, str]:
        places = (("externalDocs", "url"), ("info", "contact", "url"), ("info", "termsOfService"))
        told = [url for url in map(self._text, places) if url is not None and url.startswith("https://")]
        host = urlsplit(base_url).netloc
        home = told[0] if told else f"https://{host}" if is_authority(host) else "https://example.com"
        if not told:
            self._warnings.append(f"The document names no page about itself (externalDocs), so {home} is linked.")
        website = next((url for url in told[1:]), home)
        return {"website": website, "docs": home}

    def _check(self) -> dict[str, Any]:
        _, check = self._extension("x-check")
        if check is None:
            self._warnings.append(
                "There is no x-check, so a credential is stored as it is typed. Name a cheap request that needs one, "
                "such as x-check: {path: /me, expect: {json: [{path: id, exists: true}]}}."
            )
            return {"check_missing": _NO_CHECK}
        _, identity = self._extension("x-identity")
        return {"check": check, **({"identity": identity} if identity is not None else {})}

    def _logo(self) -> str | None:
        _, logo = self._extension("x-logo")
        url = logo.get("url") if isinstance(logo, Mapping) else logo
        return url if isinstance(url, str) else None

    # Servers.

    def _base_url(self) -> tuple[str, list[dict[str, Any]]]:
        """The address of the API, and what has to be asked to know it."""
        servers = self._document.get("servers")
        listed = servers if isinstance(servers, list) else []
        urls = [str(one.get("url", "")) for one in listed if isinstance(one, Mapping)]
        usable = [index for index, url in enumerate(urls) if url.startswith("https://")]
        if not usable:
            place: Place = ("servers", 0, "url") if urls else ("servers",)
            self._source.refuse(place, "one server needs an absolute https address, such as https://api.example.com/v1")
        first = usable[0]
        if len(usable) > 1:
            choice = _choice([(urls[index], listed[index]) for index in usable])
            if choice is not None:
                return choice
            self._warnings.append(f"Of several servers the first is used: {urls[first]}.")
        variables = listed[first].get("variables")
        return self._templated(urls[first].rstrip("/"), ("servers", first, "variables"), variables)

    def _templated(self, url: str, place: Place, variables: object) -> tuple[str, list[dict[str, Any]]]:
        """The address with what the end user is asked for in it; what has one value only has it."""
        known = variables if isinstance(variables, Mapping) else {}
        authority = url.removeprefix("https://").partition("/")[0]
        params = []
        for name in dict.fromkeys(_VARIABLE.findall(url)):
            variable, written = known.get(name), f"{{{name}}}"
            if not isinstance(variable, Mapping):
                self._source.refuse((*place, name), f"is missing: what {written} in the server's address may be")
            if not variable.get("enum") and written not in authority:
                url = url.replace(written, str(variable.get("default", "")))
                continue
            ours = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
            url = url.replace(written, f"{{{ours}}}")
            params.append(_param(ours, variable))
        return url, params


def _param(name: str, variable: Mapping[str, Any]) -> dict[str, Any]:
    told, default = " ".join(str(variable.get("description") or "").split()), variable.get("default")
    choices = variable.get("enum")
    param: dict[str, Any] = {"name": name, "label": name.replace("_", " ").capitalize()[:60]}
    if told:
        param["help"] = told[:298].rstrip(".") + "."
    if not isinstance(choices, list):
        example = str(default).lower() if default else "acme"
        return {**param, "placeholder": example[:100], "pattern": _LABEL, "transform": ["lower"]}
    param["options"] = [{"value": str(one), "label": str(one)[:60]} for one in choices]
    return {**param, "default": str(default)} if default in choices else param


def _choice(servers: list[tuple[str, Mapping[str, Any]]]) -> tuple[str, list[dict[str, Any]]] | None:
    """One parameter that chooses among servers that differ in nothing but their host: production, sandbox, regions."""
    split = [urlsplit(url.rstrip("/")) for url, _ in servers]
    hosts = [one.netloc for one in split]
    if len({one.path for one in split}) > 1 or len(set(hosts)) < len(hosts) or not all(map(is_authority, hosts)):
        return None
    options = [
        {"value": host, "label": (" ".join(str(server.get("description") or host).split()))[:60]}
        for host, (_, server) in zip(hosts, servers, strict=True)
    ]
    param = {"name": "server", "label": "Server", "options": options, "default": hosts[0]}
    return f"https://{{server}}{split[0].path}", [param]
