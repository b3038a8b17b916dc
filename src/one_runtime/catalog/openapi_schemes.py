"""Auth types out of an OpenAPI document's security schemes. No I/O.

Source: OpenAPI 3.1, 4.8.27 (Security Scheme Object) and 4.8.30 (Security Requirement Object).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from one_runtime.catalog.openapi_words import label_of, name_of, sentence_of
from one_runtime.catalog.source import Place, Source

_KEY_PATTERN: Final = "[!-~]{1,4096}"
_TYPED_PATTERN: Final = "[ -~]{1,1024}"


def auths_from(source: Source, warnings: list[str]) -> list[dict[str, Any]]:
    """What the entry says of each auth type but its addresses and its check; what is left out goes into `warnings`.

    Raises:
        SourceError: none can be used, or the document contradicts itself.
    """
    return _Schemes(source, warnings).auths()


@dataclass(frozen=True, slots=True)
class _Scheme:
    """A security scheme, and where it stands."""

    name: str
    place: Place
    values: Mapping[str, Any]
    scopes: tuple[str, ...] = ()


def text_keys(data: object) -> dict[str, Any]:
    """A document whose keys are texts, as YAML's need not be: a response is `200` there."""
    return {str(key): _with_text_keys(value) for key, value in data.items()} if isinstance(data, Mapping) else {}


def _with_text_keys(value: Any) -> Any:
    if isinstance(value, Mapping):
        return text_keys(value)
    return [_with_text_keys(one) for one in value] if isinstance(value, list) else value


class _Schemes:
    def __init__(self, source: Source, warnings: list[str]) -> None:
        self._source, self._warnings = source, warnings
        self._document = text_keys(source.data)

    def auths(self) -> list[dict[str, Any]]:
        """One for each auth type, as the requirements of the document name them, or else its schemes."""
        ways: dict[str, dict[str, Any]] = {}
        for requirement in self._requirements():
            for way in self._ways(requirement):
                if way["type"] in ways:
                    names = " and ".join(one.name for one in requirement)
                    self._warnings.append(f"{names} is ignored: the auth type {way['type']} may occur once.")
                else:
                    ways[way["type"]] = way
        if not ways:
            place = ("components", "securitySchemes")
            self._source.refuse(
                place,
                "needs a supported scheme: apiKey in a header or the query, http basic or bearer, oauth2 "
                "with authorizationCode or clientCredentials; or {} under security, where no credential is needed",
            )
        return list(ways.values())

    def _requirements(self) -> list[list[_Scheme]]:
        components = self._document.get("components")
        found = components.get("securitySchemes") if isinstance(components, Mapping) else None
        schemes: Mapping[str, Any] = found if isinstance(found, Mapping) else {}
        wanted = self._document.get("security")
        if isinstance(wanted, list):
            return [
                [self._scheme(schemes, name, scopes, ("security", index, name)) for name, scopes in one.items()]
                for index, one in enumerate(wanted)
                if isinstance(one, Mapping)
            ]
        return [[self._scheme(schemes, name, (), ("components", "securitySchemes", name))] for name in schemes]

    def _scheme(self, schemes: Mapping[str, Any], name: str, scopes: object, named_at: Place) -> _Scheme:
        if name not in schemes:
            self._source.refuse(named_at, f"components.securitySchemes must define {name}")
        value = self._followed(schemes[name], ("components", "securitySchemes", name))
        asked = tuple(str(one) for one in scopes) if isinstance(scopes, list) else ()
        return _Scheme(str(name), ("components", "securitySchemes", name), value, asked)

    def _followed(self, value: Any, place: Place) -> Mapping[str, Any]:
        seen: set[str] = set()
        while isinstance(value, Mapping) and isinstance(to := value.get("$ref"), str):
            if not to.startswith("#/"):
                self._source.refuse((*place, "$ref"), "must point into this document; nothing is fetched")
            if to in seen:
                self._source.refuse((*place, "$ref"), "must not point to itself")
            seen.add(to)
            value = self._document
            for step in to.removeprefix("#/").split("/"):
                name = step.replace("~1", "/").replace("~0", "~")
                value = value.get(name) if isinstance(value, Mapping) else None
            if value is None:
                self._source.refuse((*place, "$ref"), f"must point to a part of the document, and {to} does not exist")
        if not isinstance(value, Mapping):
            self._source.refuse(place, "must be a mapping of keys to values")
        return value

    def _ways(self, requirement: list[_Scheme]) -> list[dict[str, Any]]:
        if not requirement:
            return [{"type": "none"}]
        if all(_is_key(one) for one in requirement):
            return [self._key(requirement)]
        if len(requirement) > 1:
            names = " and ".join(one.name for one in requirement)
            self._warnings.append(f"The requirement {names} is ignored: only API keys can be combined.")
            return []
        scheme = requirement[0]
        kind = str(scheme.values.get("type"))
        if kind == "http" and str(scheme.values.get("scheme", "")).lower() == "basic":
            return [_basic(scheme)]
        if kind == "oauth2":
            return self._oauth2(scheme)
        way = " ".join(str(scheme.values[name]) for name in ("type", "scheme", "in") if name in scheme.values)
        self._warnings.append(f"{scheme.name} is ignored: {way} is not supported.")
        return []

    def _key(self, schemes: list[_Scheme]) -> dict[str, Any]:
        """One key, or several that go together."""
        fields, headers, query = [], {}, {}
        for scheme in schemes:
            ours, label = ("api_key", "API key") if len(schemes) == 1 else (name_of(scheme.name), label_of(scheme.name))
            fields.append(_field(ours, label, scheme, _KEY_PATTERN))
            sent = f"{{{ours}}}"
            if scheme.values.get("type") == "http":
                headers["Authorization"] = f"Bearer {sent}"
            elif scheme.values.get("in") == "header":
                headers[str(scheme.values.get("name"))] = sent
            else:
                query[str(scheme.values.get("name"))] = sent
        send = {name: values for name, values in (("headers", headers), ("query", query)) if values}
        return {"type": "api_key", "fields": fields, "send": send}

    def _oauth2(self, scheme: _Scheme) -> list[dict[str, Any]]:
        flows = scheme.values.get("flows")
        known: Mapping[str, Any] = flows if isinstance(flows, Mapping) else {}
        ways = []
        for name, read in (("authorizationCode", self._code), ("clientCredentials", self._client)):
            if isinstance(known.get(name), Mapping):
                ways.append(read(scheme, known[name], (*scheme.place, "flows", name)))
        left_out = sorted(set(known) - {"authorizationCode", "clientCredentials"})
        if left_out:
            self._warnings.append(f"{scheme.name}: {', '.join(left_out)} is ignored (RFC 9700 advises against it).")
        return ways

    def _code(self, scheme: _Scheme, flow: Mapping[str, Any], place: Place) -> dict[str, Any]:
        refresh = flow.get("refreshUrl")
        token = {"url": self._address(flow, "tokenUrl", place)}
        return {
            "type": "oauth2",
            "client": {"where": "Register an OAuth client with whoever runs this API."},
            "authorization": {"url": self._address(flow, "authorizationUrl", place)},
            "scopes": {"default": list(self._scopes(scheme, flow))},
            "pkce": "tolerated",
            "token": token | ({"refresh_url": refresh} if isinstance(refresh, str) and refresh != token["url"] else {}),
        }

    def _client(self, scheme: _Scheme, flow: Mapping[str, Any], place: Place) -> dict[str, Any]:
        return {
            "type": "client_credentials",
            "fields": [
                {**_field("client_id", "Client id", scheme, _TYPED_PATTERN), "secret": False},
                _field("client_secret", "Client secret", scheme, _TYPED_PATTERN),
            ],
            "scopes": {"default": list(self._scopes(scheme, flow))},
            "token": {"url": self._address(flow, "tokenUrl", place)},
        }

    def _address(self, flow: Mapping[str, Any], name: str, place: Place) -> str:
        url = flow.get(name)
        if not isinstance(url, str) or not url.startswith("https://"):
            self._source.refuse((*place, name), "must be an absolute https address")
        return url

    def _scopes(self, scheme: _Scheme, flow: Mapping[str, Any]) -> Iterable[str]:
        """What the requirement asks for; a document that asks for nothing gets nothing, and is told so."""
        offered = flow.get("scopes")
        if scheme.scopes or not offered:
            return scheme.scopes
        self._warnings.append(
            f"{scheme.name}: no scope is requested by default. List scopes under security: "
            f"[{{{scheme.name}: [{', '.join(map(str, list(offered)[:2]))}]}}]."
        )
        return ()


def _is_key(scheme: _Scheme) -> bool:
    kind, values = scheme.values.get("type"), scheme.values
    return (kind == "apiKey" and str(values.get("in")) in {"header", "query"}) or (
        kind == "http" and str(values.get("scheme", "")).lower() == "bearer"
    )


def _basic(scheme: _Scheme) -> dict[str, Any]:
    return {
        "type": "basic",
        "fields": [
            {**_field("username", "Username", scheme, _TYPED_PATTERN), "secret": False},
            _field("password", "Password", scheme, _TYPED_PATTERN),
        ],
    }


def _field(name: str, label: str, scheme: _Scheme, pattern: str) -> dict[str, Any]:
    asked = label if label.startswith("API") else label.lower()
    where = sentence_of(scheme.values.get("description"), 300) or f"Ask whoever runs this API for the {asked}."
    return {"name": name, "label": label, "where": where, "pattern": pattern}
