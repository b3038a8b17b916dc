"""A provider that an entry describes, made from the entry's own YAML and not through our model: it lets one credential
in, refuses every other in the provider's form, and knows no other address."""

import base64
import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias, cast
from urllib.parse import parse_qsl, unquote, urlsplit

from one_runtime.catalog.examples import put
from tests.egress.upstream import Seen, answer

Data: TypeAlias = Mapping[str, Any]

REASON: Final = "This is not known here."
ACCOUNT: Final = "acct-1"


def names_of(template: object) -> set[str]:
    """The names in a template."""
    return set(re.findall(r"\{([a-z0-9_]+)\}", str(template)))


def fill(template: str, values: Mapping[str, str]) -> str:
    """The template with every value in it."""
    return re.sub(r"\{([a-z0-9_]+)\}", lambda match: values[match.group(1)], template)


@dataclass(frozen=True)
class StandIn:
    """The provider of one auth type. `values`: the one customer that it knows; `client`: the one OAuth client."""

    auth: Data
    values: Mapping[str, str]
    client: tuple[str, str] = ("client-1", "s3cret+/=:%&~")
    grant: Mapping[str, str] = field(default_factory=dict)

    def answer(self, seen: Seen) -> bytes:
        """What it says to a request."""
        for known, reply in self._doors():
            if known(seen):
                return reply(seen)
        return answer(404, body=b"There is no such address here.")

    def _doors(self) -> Iterator[tuple[Callable[[Seen], bool], Callable[[Seen], bytes]]]:
        token = self.auth.get("token", {})
        for url in (token.get("url"), token.get("refresh_url")):
            if url is not None:
                yield self._at(url, "POST"), self._token
        if token.get("exchange"):
            yield self._at(token["exchange"]["url"], token["exchange"].get("method", "POST")), self._token
        if self.auth.get("check"):
            yield self._called(self.auth["check"]), self._check
        if self.auth.get("lookup"):
            yield self._called(self.auth["lookup"]), self._look_up

    def _called(self, call: Data) -> Callable[[Seen], bool]:
        return self._at(call.get("url") or f"{self.auth['base_url']}{call['path']}", call.get("method", "GET"))

    def _at(self, template: str, method: str) -> Callable[[Seen], bool]:
        secret = {one["name"] for one in self.auth.get("fields", [])}
        host, slash, path = template.removeprefix("https://").partition("/")
        wanted = re.sub(
            r"\\\{([a-z0-9_]+)\\\}", lambda name: self._part(name[1], secret), re.escape(slash + path or "/")
        )

        def known(seen: Seen) -> bool:
            there = re.fullmatch(wanted, unquote(seen.target.partition("?")[0])) is not None
            return (seen.method, seen.header("host")) == (method, fill(host, self.values)) and there

        return known

    def _part(self, name: str, secret: Collection[str]) -> str:
        """Of a path: what is no secret stands there; a key may be any, so that a wrong one is refused and not lost."""
        return "[^/]+" if name in secret else re.escape(self.values[name])

    # What an authenticated call answers.

    def _check(self, seen: Seen) -> bytes:
        check = self.auth["check"]
        if not self._is_let_in(seen, check):
            if self._is_also_looked_up(check) and self._is_let_in(seen, self.auth["lookup"]):
                return self._look_up(seen)
            return self._refusal(check)
        expect = check.get("expect", {})
        return _json(expect.get("status", [200])[0], self.document(check))

    def document(self, check: Data) -> object:
        """What the account is, as the check's conditions and the identity want it."""
        document = self._looked_up() if self._is_also_looked_up(check) else None
        for name in self._identity_paths():
            document = document if _at_path(document, name) is not None else put(document, name, ACCOUNT)
        for rule in check.get("expect", {}).get("json", []):
            document = _satisfied(document, rule)
        return document if document is not None else {}

    def _is_also_looked_up(self, check: Data) -> bool:
        lookup = self.auth.get("lookup")
        return lookup is not None and self._address(lookup) == self._address(check)

    def _address(self, call: Data) -> str:
        return fill(call.get("url") or f"{self.auth['base_url']}{call['path']}", self.values)

    def account(self) -> str | None:
        """The account's id, as the entry says that it is made."""
        text = self.auth.get("identity", {}).get("id")
        if text is None:
            return None
        document = self.document(self.auth.get("check", {}))
        if "{" not in text and not text.startswith("params."):
            return str(_at_path(document, text))
        names = re.findall(r"\{([^{}]+)\}", text) or [text]
        told = {name: self._told(document, name) for name in names}
        return re.sub(r"\{([^{}]+)\}", lambda match: told[match.group(1)], text) if "{" in text else told[text]

    def _told(self, document: object, name: str) -> str:
        if name.startswith("params."):
            return self.values[name.removeprefix("params.")]
        return str(_at_path(document, name))

    def _identity_paths(self) -> list[str]:
        identity = self.auth.get("identity", {})
        texts = [identity[part] for part in ("id", "label") if part in identity]
        named = [name for text in texts for name in (re.findall(r"\{([^{}]+)\}", text) if "{" in text else [text])]
        return [name for name in named if not name.startswith("params.")]

    def _is_let_in(self, seen: Seen, call: Data) -> bool:
        send = self.auth.get("send") or (
            {"headers": {"Authorization": "Bearer {access_token}"}}
            if self.auth["type"] in ("oauth2", "client_credentials")
            else {"basic": {"username": "{username}", "password": "{password}"}}
            if self.auth["type"] == "basic"
            else {}
        )
        looked_up = {one["name"] for one in self.auth.get("received", []) if one["source"] == "lookup"}
        path = unquote(seen.target.partition("?")[0])
        meant = urlsplit(self._address(call)).path
        headers = {**self.auth.get("headers", {}), **send.get("headers", {}), **call.get("headers", {})}
        # A look-up is made before its values are known.
        headers = {
            name: value
            for name, value in headers.items()
            if not names_of(value) & looked_up or seen.header(name) is not None
        }
        wanted = {name.lower(): fill(str(value), self.values) for name, value in headers.items()}
        if "basic" in send:
            pair = ":".join(fill(send["basic"][part], self.values) for part in ("username", "password"))
            wanted["authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        told_query = dict(parse_qsl(urlsplit(seen.target).query, keep_blank_values=True))
        query = {**send.get("query", {}), **call.get("query", {})}
        query = {name: value for name, value in query.items() if not names_of(value) & looked_up or name in told_query}
        asked = {name: fill(str(value), self.values) for name, value in query.items()}
        body = json.loads(seen.body) if call.get("json") is not None else None
        form = dict(parse_qsl(seen.body.decode(), keep_blank_values=True)) if call.get("form") else None
        told = {name: fill(str(value), self.values) for name, value in (call.get("form") or {}).items()}
        return (
            all(seen.header(name) == value for name, value in wanted.items())
            and told_query == asked
            and path == (meant or "/")
            and body == call.get("json")
            and (form or {}) == told
        )

    def _refusal(self, check: Data) -> bytes:
        refused = {"status": [401, 403], "json": [], **check.get("refused", {})}
        document: object = None
        for path in _listed(check.get("reason", []))[:1]:
            document = put(document, path, REASON)
        if refused["status"]:
            return _json(refused["status"][0], document)
        return _json(200, _satisfied(document, refused["json"][0]))

    def _look_up(self, seen: Seen) -> bytes:
        lookup = self.auth["lookup"]
        if not self._is_let_in(seen, lookup):
            return answer(401, body=b"{}")
        return _json(lookup.get("expect", {}).get("status", [200])[0], self._looked_up())

    def _looked_up(self) -> object:
        lookup, document = self.auth["lookup"], cast("object", None)
        for part in self.auth["received"]:
            if part["source"] == "lookup":
                document = put(document, part.get("path", part["name"]), part["example"])
        choices = lookup.get("choices")
        if choices is not None:
            document = put(document, choices["label"], "The one account")
            document = put(None, f"{choices['at']}.0" if "at" in choices else "0", document)
        for rule in lookup.get("expect", {}).get("json", []):
            document = _satisfied(document, rule)
        return document

    # The token endpoint (RFC 6749, 3.2).

    def _token(self, seen: Seen) -> bytes:
        token, response = self.auth["token"], self.auth["token"].get("response", {})
        sent = dict(parse_qsl(urlsplit(seen.target).query, keep_blank_values=True))
        is_json = (seen.header("content-type") or "").startswith("application/json")
        sent |= json.loads(seen.body) if is_json else dict(parse_qsl(seen.body.decode(), keep_blank_values=True))
        if seen.body and is_json != (token.get("body", "form") == "json"):
            return _json(400, {"error": "invalid_request"})
        if not self._is_client(seen, sent):
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

    def _is_client(self, seen: Seen, sent: Mapping[str, str]) -> bool:
        token = self.auth["token"]
        named, secret = token.get("client_id_param", "client_id"), token.get("client_secret_param", "client_secret")
        if token.get("auth", "basic") in ("basic", "either"):
            raw = base64.b64decode((seen.header("authorization") or "").removeprefix("Basic ")).decode()
            name, _, password = raw.partition(":")
            return (_decoded(name), _decoded(password)) == self.client
        return (sent.get(named), sent.get(secret)) == self.client


def _decoded(text: str) -> str:
    """RFC 6749, 2.3.1: both parts are form-encoded before they are put together."""
    return parse_qsl(f"x={text}", keep_blank_values=True)[0][1]


def _json(status: int, document: object) -> bytes:
    body = b"" if document is None or status == 204 else json.dumps(document).encode()
    return answer(status, [("Content-Type", "application/json")], body)


def _satisfied(document: object, rule: Data) -> object:
    """The document, so that a condition holds of it."""
    path = "" if rule["path"] == "$" else rule["path"]
    now = _at_path(document, path)
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


def _at_path(document: object, path: str) -> Any:
    for step in path.split(".") if path else []:
        if isinstance(document, list) and step.isdigit():
            document = document[int(step)] if int(step) < len(document) else None
        else:
            document = document.get(step) if isinstance(document, dict) else None
    return document


def _listed(paths: str | list[str]) -> list[str]:
    return [paths] if isinstance(paths, str) else paths
