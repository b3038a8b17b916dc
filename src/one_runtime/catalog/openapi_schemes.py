"""Convert the security schemes of an OpenAPI document into auth types.

Source: OpenAPI 3.1, 4.8.27 (Security Scheme Object) and 4.8.30 (Security Requirement Object).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, get_args

from one_runtime.catalog.oauth2 import ClientAuth
from one_runtime.catalog.openapi_words import label_of, name_of, sentence_of
from one_runtime.catalog.source import EntrySource
from one_runtime.catalog.templates import is_https, resolve_reference
from one_runtime.validation.descriptions import Place

_MAX_SCHEMES: Final = 100
_MAX_REFERENCES: Final = 10
_TOKEN_AUTH: Final = "x-token-auth"
_METHODS: Final = tuple(method for method in get_args(ClientAuth) if method != "none")
_REGISTERED_METHODS: Final = {"client_secret_basic": "basic", "client_secret_post": "post"}  # RFC 7591, 2
_KEY_PATTERN: Final = "[!-~]{1,4096}"
_TYPED_PATTERN: Final = "[ -~]{1,1024}"


def auths_from(
    source: EntrySource,
    document: Mapping[str, Any],
    server_url: str,
    warnings: list[str],
    *,
    allow_http: bool = False,
) -> list[dict[str, Any]]:
    """Return the auth types of an entry, without base URL and check. Add a warning for each ignored scheme.

    `document`: the data of `source`, with every key converted to text. `server_url`: the base of relative URLs.
    `allow_http`: allow http URLs on loopback.

    Raises:
        SourceError: a scheme is not valid, or the document has no supported scheme.
    """
    return _Schemes(source, document, server_url, warnings, allow_http=allow_http).auths()


@dataclass(frozen=True, slots=True)
class _Scheme:
    name: str
    place: Place
    values: Mapping[str, Any]
    scopes: tuple[str, ...] = ()


class _Schemes:
    def __init__(
        self,
        source: EntrySource,
        document: Mapping[str, Any],
        server_url: str,
        warnings: list[str],
        *,
        allow_http: bool,
    ) -> None:
        self._allow_http = allow_http
        self._source, self._document, self._server_url, self._warnings = source, document, server_url, warnings

    def auths(self) -> list[dict[str, Any]]:
        """Return one definition for each auth type in the document's requirements (`security`).

        If the document has no `security`, use all schemes.
        """
        auths_by_type: dict[str, dict[str, Any]] = {}
        for requirement in self._requirements():
            for auth in self._auths_of_requirement(requirement):
                if auth["type"] in auths_by_type:
                    names = " and ".join(scheme.name for scheme in requirement)
                    self._warnings.append(f"{names} is ignored: the auth type {auth['type']} may occur only once.")
                else:
                    auths_by_type[auth["type"]] = auth
        if not auths_by_type:
            place = ("components", "securitySchemes")
            self._source.refuse(
                place,
                "needs a supported scheme: apiKey in a header or the query, http basic or bearer, oauth2 "
                "with authorizationCode or clientCredentials. If the API needs no credential, list {} under security",
            )
        return list(auths_by_type.values())

    def _requirements(self) -> list[list[_Scheme]]:
        """Return the schemes of each requirement. Raises: SourceError.

        Even in a small document, many requirements can use the same long chain of references. To bound the time, the
        number of schemes and the length of a chain are limited.
        """
        components = self._document.get("components")
        defined = components.get("securitySchemes") if isinstance(components, Mapping) else None
        schemes: Mapping[str, Any] = defined if isinstance(defined, Mapping) else {}
        security = self._document.get("security")
        if isinstance(security, list):
            if sum(len(requirement) for requirement in security if isinstance(requirement, Mapping)) > _MAX_SCHEMES:
                self._source.refuse(("security",), f"must contain at most {_MAX_SCHEMES} schemes")
            return [
                [self._scheme(schemes, name, scopes, ("security", index, name)) for name, scopes in requirement.items()]
                for index, requirement in enumerate(security)
                if isinstance(requirement, Mapping)
            ]
        if len(schemes) > _MAX_SCHEMES:
            self._source.refuse(("components", "securitySchemes"), f"must contain at most {_MAX_SCHEMES} schemes")
        return [[self._scheme(schemes, name, (), ("components", "securitySchemes", name))] for name in schemes]

    def _scheme(self, schemes: Mapping[str, Any], name: str, scopes: object, named_at: Place) -> _Scheme:
        if name not in schemes:
            self._source.refuse(named_at, f"components.securitySchemes must define {name}")
        value = self._resolve_reference(schemes[name], ("components", "securitySchemes", name))
        required_scopes = tuple(str(scope) for scope in scopes) if isinstance(scopes, list) else ()
        return _Scheme(str(name), ("components", "securitySchemes", name), value, required_scopes)

    def _resolve_reference(self, value: Any, place: Place) -> Mapping[str, Any]:
        seen: set[str] = set()
        while isinstance(value, Mapping) and isinstance(reference := value.get("$ref"), str):
            if not reference.startswith("#/"):
                self._source.refuse(
                    (*place, "$ref"), "must point into this document; One Runtime fetches no other document"
                )
            if reference in seen:
                self._source.refuse((*place, "$ref"), "must not point to itself")
            if len(seen) >= _MAX_REFERENCES:
                self._source.refuse((*place, "$ref"), f"must lead to a scheme in at most {_MAX_REFERENCES} references")
            seen.add(reference)
            value = self._document
            for step in reference.removeprefix("#/").split("/"):
                name = step.replace("~1", "/").replace("~0", "~")
                value = value.get(name) if isinstance(value, Mapping) else None
            if value is None:
                self._source.refuse(
                    (*place, "$ref"), f"must point to a part of the document, but {reference} does not exist"
                )
        if not isinstance(value, Mapping):
            self._source.refuse(place, "must be a mapping of keys to values")
        return value

    def _auths_of_requirement(self, requirement: list[_Scheme]) -> list[dict[str, Any]]:
        if not requirement:
            return [{"type": "none"}]
        if all(_is_key(member) for member in requirement):
            return [self._key(requirement)]
        if len(requirement) > 1:
            names = " and ".join(member.name for member in requirement)
            self._warnings.append(
                f"The requirement {names} is ignored: only API keys and bearer tokens can be combined."
            )
            return []
        scheme = requirement[0]
        kind = str(scheme.values.get("type"))
        if kind == "http" and str(scheme.values.get("scheme", "")).lower() == "basic":
            return [_basic(scheme)]
        if kind == "oauth2":
            return self._oauth2(scheme)
        description = " ".join(str(scheme.values[name]) for name in ("type", "scheme", "in") if name in scheme.values)
        self._warnings.append(f"{scheme.name} is ignored: {description} is not supported.")
        return []

    def _key(self, schemes: list[_Scheme]) -> dict[str, Any]:
        """Return the auth type `api_key` with a field for each scheme. Each request contains all keys."""
        fields, headers, query = [], {}, {}
        for scheme in schemes:
            field_name, label = (
                ("api_key", "API key") if len(schemes) == 1 else (name_of(scheme.name), label_of(scheme.name))
            )
            fields.append(_field(field_name, label, scheme, _KEY_PATTERN))
            placeholder = f"{{{field_name}}}"
            if scheme.values.get("type") == "http":
                headers["Authorization"] = f"Bearer {placeholder}"
            elif scheme.values.get("in") == "header":
                headers[str(scheme.values.get("name"))] = placeholder
            else:
                query[str(scheme.values.get("name"))] = placeholder
        send = {name: values for name, values in (("headers", headers), ("query", query)) if values}
        return {"type": "api_key", "fields": fields, "send": send}

    def _oauth2(self, scheme: _Scheme) -> list[dict[str, Any]]:
        flows = scheme.values.get("flows")
        supported_flows: Mapping[str, Any] = flows if isinstance(flows, Mapping) else {}
        auths = []
        for name, read in (("authorizationCode", self._code), ("clientCredentials", self._client)):
            if isinstance(supported_flows.get(name), Mapping):
                auths.append(read(scheme, supported_flows[name], (*scheme.place, "flows", name)))
        ignored = sorted(set(supported_flows) - {"authorizationCode", "clientCredentials"})
        if ignored:
            self._warnings.append(
                f"{scheme.name}: {', '.join(ignored)} is ignored. Use authorizationCode or clientCredentials."
            )
        return auths

    def _code(self, scheme: _Scheme, flow: Mapping[str, Any], place: Place) -> dict[str, Any]:
        token = self._token(flow, place)
        refresh = self._address(flow, "refreshUrl", place) if flow.get("refreshUrl") else token["url"]
        return {
            "type": "oauth2",
            "client": {"where": "Register an OAuth client with the operator of this API."},
            "authorization": {"url": self._address(flow, "authorizationUrl", place)},
            "scopes": {"default": list(self._scopes(scheme, flow))},
            "pkce": "tolerated",
            "token": token | ({"refresh_url": refresh} if refresh != token["url"] else {}),
        }

    def _client(self, scheme: _Scheme, flow: Mapping[str, Any], place: Place) -> dict[str, Any]:
        return {
            "type": "client_credentials",
            "fields": [
                {**_field("client_id", "Client id", scheme, _TYPED_PATTERN), "secret": False},
                _field("client_secret", "Client secret", scheme, _TYPED_PATTERN),
            ],
            "scopes": {"default": list(self._scopes(scheme, flow))},
            "token": self._token(flow, place),
        }

    def _token(self, flow: Mapping[str, Any], place: Place) -> dict[str, str]:
        """Return the token endpoint. The extension `x-token-auth` of a flow names the client authentication."""
        token, method = {"url": self._address(flow, "tokenUrl", place)}, flow.get(_TOKEN_AUTH)
        if method is None:
            return token
        auth = _REGISTERED_METHODS.get(str(method), str(method))
        if auth not in _METHODS:
            self._source.refuse(
                (*place, _TOKEN_AUTH), f"must be one of: {', '.join((*_METHODS, *_REGISTERED_METHODS))}"
            )
        return {**token, "auth": auth}

    def _address(self, flow: Mapping[str, Any], name: str, place: Place) -> str:
        url = flow.get(name)
        absolute = resolve_reference(self._server_url, url) if isinstance(url, str) and url else ""
        if not is_https(absolute, allow_http=self._allow_http):
            self._source.refuse(
                (*place, name),
                "must be an absolute https address, or relative to the server's URL, such as /oauth/token",
            )
        return absolute

    def _scopes(self, scheme: _Scheme, flow: Mapping[str, Any]) -> Iterable[str]:
        """Return the scopes of the requirement. Add a warning if the flow has scopes, but the requirement has none."""
        defined = flow.get("scopes")
        if scheme.scopes or not defined:
            return scheme.scopes
        self._warnings.append(
            f"{scheme.name}: no scope is requested by default. List scopes under security: "
            f"[{{{scheme.name}: [{', '.join(map(str, list(defined)[:2]))}]}}]."
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
    secret_name = label if label.startswith("API") else label.lower()
    where = sentence_of(scheme.values.get("description"), 300) or f"Ask the operator of this API for the {secret_name}."
    return {"name": name, "label": label, "where": where, "pattern": pattern}
