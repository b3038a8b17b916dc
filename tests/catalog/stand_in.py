"""A fake provider, built from the YAML of an entry without our model.

It accepts one credential, refuses every other in the provider's form, and answers 404 at every other address.
"""

import base64
import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias, cast
from urllib.parse import parse_qsl, unquote, urlsplit

from one_runtime.catalog.examples import put
from tests.egress.upstream import ReceivedRequest, answer

Data: TypeAlias = Mapping[str, Any]

REASON: Final = "This is not known here."
ACCOUNT: Final = "acct-1"


def names_of(template: object) -> set[str]:
    """Return the names in a template."""
    return set(re.findall(r"\{([a-z0-9_]+)\}", str(template)))


def fill(template: str, values: Mapping[str, str]) -> str:
    """Return the template with its values."""
    return re.sub(r"\{([a-z0-9_]+)\}", lambda match: values[match.group(1)], template)


@dataclass(frozen=True)
class StandIn:
    """The provider of one auth type. `values`: of its only customer; `client`: its only OAuth client."""

    auth: Data
    values: Mapping[str, str]
    client: tuple[str, str] = ("client-1", "s3cret+/=:%&~")
    grant: Mapping[str, str] = field(default_factory=dict)

    def answer(self, request: ReceivedRequest) -> bytes:
        """Return the answer to a request."""
        for matches, reply in self._routes():
            if matches(request):
                return reply(request)
        return answer(404, body=b"There is no such address here.")

    def _routes(self) -> Iterator[tuple[Callable[[ReceivedRequest], bool], Callable[[ReceivedRequest], bytes]]]:
        token = self.auth.get("token", {})
        for url in (token.get("url"), token.get("refresh_url")):
            if url is not None:
                yield self._matches_url(url, "POST"), self._token
        if token.get("exchange"):
            yield self._matches_url(token["exchange"]["url"], token["exchange"].get("method", "POST")), self._token
        if self.auth.get("check"):
            yield self._matches_request(self.auth["check"]), self._check
        if self.auth.get("lookup"):
            yield self._matches_request(self.auth["lookup"]), self._look_up

    def _matches_request(self, call: Data) -> Callable[[ReceivedRequest], bool]:
        return self._matches_url(call.get("url") or f"{self.auth['base_url']}{call['path']}", call.get("method", "GET"))

    def _matches_url(self, template: str, method: str) -> Callable[[ReceivedRequest], bool]:
        secret = {declared["name"] for declared in self.auth.get("fields", [])}
        host, slash, path = template.removeprefix("https://").partition("/")
        pattern = re.sub(
            r"\\\{([a-z0-9_]+)\\\}", lambda name: self._path_pattern(name[1], secret), re.escape(slash + path or "/")
        )

        def matches(request: ReceivedRequest) -> bool:
            there = re.fullmatch(pattern, unquote(request.target.partition("?")[0])) is not None
            return (request.method, request.header("host")) == (method, fill(host, self.values)) and there

        return matches

    def _path_pattern(self, name: str, secret: Collection[str]) -> str:
        """Return a pattern for a part of the path: any text for a secret, so that a wrong key is refused, not a 404."""
        return "[^/]+" if name in secret else re.escape(self.values[name])

    # Authenticated requests.

    def _check(self, request: ReceivedRequest) -> bytes:
        check = self.auth["check"]
        if not self._is_authenticated(request, check):
            if self._is_also_looked_up(check) and self._is_authenticated(request, self.auth["lookup"]):
                return self._look_up(request)
            return self._refuse(check)
        expect = check.get("expect", {})
        return _json(expect.get("status", [200])[0], self.document(check))

    def document(self, check: Data) -> object:
        """Return an account that satisfies the conditions of the check and contains the identity."""
        document = self._lookup_document() if self._is_also_looked_up(check) else None
        for name in self._identity_paths():
            document = document if _look_at_path(document, name) is not None else put(document, name, ACCOUNT)
        for rule in check.get("expect", {}).get("json", []):
            document = _satisfy(document, rule)
        return document if document is not None else {}

    def _is_also_looked_up(self, check: Data) -> bool:
        lookup = self.auth.get("lookup")
        return lookup is not None and self._address(lookup) == self._address(check)

    def _address(self, call: Data) -> str:
        return fill(call.get("url") or f"{self.auth['base_url']}{call['path']}", self.values)

    def account(self) -> str | None:
        """Return the account's id by the identity of the entry."""
        text = self.auth.get("identity", {}).get("id")
        if text is None:
            return None
        document = self.document(self.auth.get("check", {}))
        if "{" not in text and not text.startswith("params."):
            return str(_look_at_path(document, text))
        names = re.findall(r"\{([^{}]+)\}", text) or [text]
        identity = {name: self._identity_value(document, name) for name in names}
        return re.sub(r"\{([^{}]+)\}", lambda match: identity[match.group(1)], text) if "{" in text else identity[text]

    def _identity_value(self, document: object, name: str) -> str:
        if name.startswith("params."):
            return self.values[name.removeprefix("params.")]
        return str(_look_at_path(document, name))

    def _identity_paths(self) -> list[str]:
        identity = self.auth.get("identity", {})
        texts = [identity[part] for part in ("id", "label") if part in identity]
        names = [name for text in texts for name in (re.findall(r"\{([^{}]+)\}", text) if "{" in text else [text])]
        return [name for name in names if not name.startswith("params.")]

    def _is_authenticated(self, request: ReceivedRequest, call: Data) -> bool:
        send = self.auth.get("send") or (
            {"headers": {"Authorization": "Bearer {access_token}"}}
            if self.auth["type"] in ("oauth2", "client_credentials")
            else {"basic": {"username": "{username}", "password": "{password}"}}
            if self.auth["type"] == "basic"
            else {}
        )
        looked_up = {part["name"] for part in self.auth.get("received", []) if part["source"] == "lookup"}
        path = unquote(request.target.partition("?")[0])
        expected_path = urlsplit(self._address(call)).path
        headers = {**self.auth.get("headers", {}), **send.get("headers", {}), **call.get("headers", {})}
        # The values of a look-up are not known before it.
        headers = {
            name: value
            for name, value in headers.items()
            if not names_of(value) & looked_up or request.header(name) is not None
        }
        expected_headers = {name.lower(): fill(str(value), self.values) for name, value in headers.items()}
        if "basic" in send:
            pair = ":".join(fill(send["basic"][part], self.values) for part in ("username", "password"))
            expected_headers["authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        sent_query = dict(parse_qsl(urlsplit(request.target).query, keep_blank_values=True))
        query = {**send.get("query", {}), **call.get("query", {})}
        query = {name: value for name, value in query.items() if not names_of(value) & looked_up or name in sent_query}
        expected_query = {name: fill(str(value), self.values) for name, value in query.items()}
        body = json.loads(request.body) if call.get("json") is not None else None
        form = dict(parse_qsl(request.body.decode(), keep_blank_values=True)) if call.get("form") else None
        expected_form = {name: fill(str(value), self.values) for name, value in (call.get("form") or {}).items()}
        return (
            all(request.header(name) == value for name, value in expected_headers.items())
            and sent_query == expected_query
            and path == (expected_path or "/")
            and body == call.get("json")
            and (form or {}) == expected_form
        )

    def _refuse(self, check: Data) -> bytes:
        refused = {"status": [401], "json": [], **check.get("refused", {})}
        document: object = None
        for path in _as_list(check.get("reason", []))[:1]:
            document = put(document, path, REASON)
        if refused["status"]:
            return _json(refused["status"][0], document)
        return _json(200, _satisfy(document, refused["json"][0]))

    def _look_up(self, request: ReceivedRequest) -> bytes:
        lookup = self.auth["lookup"]
        if not self._is_authenticated(request, lookup):
            return answer(401, body=b"{}")
        return _json(lookup.get("expect", {}).get("status", [200])[0], self._lookup_document())

    def _lookup_document(self) -> object:
        lookup, document = self.auth["lookup"], cast("object", None)
        for part in self.auth["received"]:
            if part["source"] == "lookup":
                document = put(document, part.get("path", part["name"]), part["example"])
        choices = lookup.get("choices")
        if choices is not None:
            document = put(document, choices["label"], "The one account")
            document = put(None, f"{choices['at']}.0" if "at" in choices else "0", document)
        for rule in lookup.get("expect", {}).get("json", []):
            document = _satisfy(document, rule)
        return document

    # The token endpoint (RFC 6749, 3.2).

    def _token(self, request: ReceivedRequest) -> bytes:
        token, response = self.auth["token"], self.auth["token"].get("response", {})
        sent = dict(parse_qsl(urlsplit(request.target).query, keep_blank_values=True))
        is_json = (request.header("content-type") or "").startswith("application/json")
        sent |= json.loads(request.body) if is_json else dict(parse_qsl(request.body.decode(), keep_blank_values=True))
        if request.body and is_json != (token.get("body", "form") == "json"):
            return _json(400, {"error": "invalid_request"})
        if not self._is_client(request, sent):
            return _json(401, put(None, response.get("error", "error"), "invalid_client"))
        if any(sent.get(name) != value for name, value in self.grant.items()):
            return _json(400, put(None, response.get("error", "error"), "invalid_grant"))
        inside = f"{response['within'][0]}." if response.get("within") else ""
        document: object = {"token_type": "Bearer"}
        document = put(document, inside + response.get("access_token", "access_token"), self.values["access_token"])
        for part in self.auth.get("received", []):
            if part["source"] == "token_response":
                document = put(document, part.get("path", part["name"]), part["example"])
        return _json(200, document)

    def _is_client(self, request: ReceivedRequest, sent: Mapping[str, str]) -> bool:
        token = self.auth["token"]
        id_param, secret_param = (
            token.get("client_id_param", "client_id"),
            token.get("client_secret_param", "client_secret"),
        )
        method = token.get("auth", "basic")
        if method in ("basic", "basic_raw", "either"):
            raw = base64.b64decode((request.header("authorization") or "").removeprefix("Basic ")).decode()
            name, _, password = raw.partition(":")
            return ((name, password) if method == "basic_raw" else (_decode(name), _decode(password))) == self.client
        return (sent.get(id_param), sent.get(secret_param)) == self.client


def _decode(text: str) -> str:
    """Decode a client id or secret: both are form-encoded in HTTP Basic (RFC 6749, 2.3.1)."""
    return parse_qsl(f"x={text}", keep_blank_values=True)[0][1]


def _json(status: int, document: object) -> bytes:
    body = b"" if document is None or status == 204 else json.dumps(document).encode()
    return answer(status, [("Content-Type", "application/json")], body)


def _satisfy(document: object, rule: Data) -> object:
    """Return the document, changed so that it satisfies a condition."""
    path = "" if rule["path"] == "$" else rule["path"]
    now = _look_at_path(document, path)
    if "equals" in rule:
        return put(document, path, rule["equals"])
    if "one_of" in rule:
        return put(document, path, rule["one_of"][0])
    if "type" in rule:
        kind: type = list if rule["type"] == "list" else dict
        return document if isinstance(now, kind) else put(document, path, kind())
    if rule["exists"]:
        return document if now is not None else put(document, path, ACCOUNT)
    return document


def _look_at_path(document: object, path: str) -> Any:
    for step in path.split(".") if path else []:
        if isinstance(document, list) and step.isdigit():
            document = document[int(step)] if int(step) < len(document) else None
        else:
            document = document.get(step) if isinstance(document, dict) else None
    return document


def _as_list(paths: str | list[str]) -> list[str]:
    return [paths] if isinstance(paths, str) else paths
