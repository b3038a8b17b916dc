"""What must hold of an entry beyond its shape: it resolves, it tells a refusal from an outage, it says where to look.

Nothing is sent. `one-runtime catalog check` says it, one line each.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final

from one_runtime.catalog import examples
from one_runtime.catalog.auth import AuthBase
from one_runtime.catalog.model import Integration
from one_runtime.catalog.oauth2 import ClientCredentialsAuth, OAuth2Auth, Source
from one_runtime.catalog.parts import Field, Param, Request
from one_runtime.catalog.received import UnexpectedValue, receive
from one_runtime.catalog.request import (
    Values,
    build_check,
    clean_values,
    inject,
    is_expected,
    read_check,
    resolve_url,
)
from one_runtime.catalog.source import Place
from one_runtime.catalog.templates import fill, names_in
from one_runtime.errors import InvalidInput

_REST: Final = r"(?::[0-9]{1,5})?(?:/[^{}?#]*)?"
# http on loopback too, which the model takes from demos alone.
_URL: Final = re.compile(
    rf"https://[a-z0-9-]+(?:\.[a-z0-9-]+)*\.[a-z]{{2,63}}{_REST}|http://(?:127\.0\.0\.1|localhost){_REST}"
)
_SAID_BY_HTTP: Final = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer"}
)
_OUTAGES: Final = (429, 500, 502, 503)
_NO_SENSE: Final = (b"", b"<html>Welcome</html>", b"null", b'"ok"', b"\xff\xfe", b"[" * 100_000)
_TOKEN: Final = "example-access-token"
_STRANGERS: Final = (
    "https://evil.com", "https://evil.com/{}", "https://evil.com#{}", "https://evil.com?{}", "https://evil.com\\{}",
    "https://x@evil.com/{}", "{}@evil.com", "{}.evil.com", "{}:80@evil.com", "http://evil.com/{}", "evil.com/{}",
    "//evil.com/{}", "https://127.0.0.1/{}", "{}\n.evil.com", "..", "",
)  # fmt: skip


def complaints(entry: Integration) -> Iterator[str]:
    """What is wrong with an entry that has the right shape, one sentence each."""
    for place, complaint in placed_complaints(entry):
        step = place[-1]
        yield f"{entry.auth[step].type if isinstance(step, int) else step}: {complaint}"


def placed_complaints(entry: Integration) -> Iterator[tuple[Place, str]]:
    """The same, each with the part of the entry that is at fault."""
    words = [entry.name.casefold(), entry.slug, *entry.aliases]
    if len(set(words)) != len(words) - (entry.name.casefold() == entry.slug):
        yield ("aliases",), "each must be listed once, and must differ from the name and the slug"
    for index, auth in enumerate(entry.auth):
        yield from ((("auth", index), complaint) for complaint in _told(auth))


def _told(auth: AuthBase) -> Iterator[str]:
    try:
        yield from _of_auth(auth)
    except (InvalidInput, ValueError) as error:
        yield f"the examples of the entry must match its patterns: {error}"


def example_values(auth: AuthBase) -> Values:
    """What a connection of this auth type would hold, made from the entry's own patterns and examples.

    Raises:
        InvalidInput: a pattern, its default and its placeholder do not go together.
    """
    params = {part.name: examples.of_param(part) for part in auth.params}
    typed = {part.name: examples.of_field(part, place) for place, part in enumerate(auth.fields, 1)}
    values = clean_values(auth, params, typed)
    if not isinstance(auth, OAuth2Auth):
        token = {"access_token": _TOKEN} if isinstance(auth, ClientCredentialsAuth) else {}
        return Values(values.params, {**values.credentials, **token})
    told = {part.name: _kept(auth, part.source, part.name) for part in auth.received}
    return Values({**values.params, **told}, {**values.credentials, "access_token": _TOKEN})


def answer_of(auth: OAuth2Auth, source: Source) -> object:
    """What the provider would say at that step, with the examples of the entry's received values."""
    answer: object = {}
    for part in auth.received:
        if part.source == source:
            answer = examples.put(answer, part.where, part.example)
    return answer


def _kept(auth: OAuth2Auth, source: Source, name: str) -> str:
    return receive(auth, source, answer_of(auth, source))[name]


def _of_auth(auth: AuthBase) -> Iterator[str]:
    for field in auth.fields:
        yield from _of_field(field)
    if isinstance(auth, OAuth2Auth) and not all(part.example for part in auth.received):
        yield "received: each value requires an example of what the provider sends"
        return
    try:
        values = example_values(auth)
    except (InvalidInput, UnexpectedValue, ValueError) as error:
        yield f"the examples of the entry must match its patterns: {getattr(error, 'errors', None) or error}"
        return
    yield from _of_hosts(auth, values)
    yield from _of_injection(auth, values)
    if auth.check is not None:
        yield from _of_check(auth, auth.check, values)
    if isinstance(auth, OAuth2Auth):
        yield from _of_oauth2(auth, values)
    if isinstance(auth, ClientCredentialsAuth):
        known = {**values.params, **values.credentials}
        yield from _unresolved("token", auth.token.urls(), known)


def _of_field(field: Field) -> Iterator[str]:
    if not field.where.endswith("."):
        yield f"{field.name}: where must be a sentence with a full stop"
    if field.help is not None and not field.help.endswith("."):
        yield f"{field.name}: help must be a sentence with a full stop"
    if field.pattern is None:
        yield f"{field.name}: a pattern is required, so that the popup detects a wrong value at once"


def _of_hosts(auth: AuthBase, values: Values) -> Iterator[str]:
    for part in auth.params:
        if part.help is not None and not part.help.endswith("."):
            yield f"{part.name}: help must be a sentence with a full stop"
        if not part.options and any(part.name in names_in(url.authority) for url in auth.urls()):
            yield from _of_host(auth, part, values)


def _of_host(auth: AuthBase, part: Param, values: Values) -> Iterator[str]:
    if not part.placeholder:
        yield f"{part.name}: a placeholder is required for a part of a host: error messages show it"
        return
    if "lower" not in part.transform:
        yield f"{part.name}: transform must contain lower for a part of a host"
        return
    example = part.placeholder + (part.suffix or "")
    params = {one.name: values.params[one.name] for one in auth.params if one.name in values.params}
    credentials = {field.name: values.credentials[field.name] for field in auth.fields}
    for pasted in (f"https://{example}/home/a?b=c#d", f"HTTP://{example.upper()}", f" {example}/ ", part.placeholder):
        try:
            typed = clean_values(auth, {**params, part.name: pasted}, credentials)
        except InvalidInput:
            yield f"{part.name}: {pasted!r}, pasted from an address bar, must be accepted"
            continue
        if typed.params[part.name] != part.placeholder:
            yield f"{part.name}: {pasted!r} must become the placeholder, and becomes {typed.params[part.name]!r}"


def _of_injection(auth: AuthBase, values: Values) -> Iterator[str]:
    injection = inject(auth, values)
    if not _URL.fullmatch(injection.base_url):
        yield f"base_url must be https at a name such as api.example.com, and resolves to {injection.base_url}"
    if auth.base_url.endswith("/"):
        yield "base_url must not end in a slash, because every path begins with one"
    for name in sorted(_SAID_BY_HTTP & {name.lower() for name in (*auth.send.headers, *auth.headers)}):
        yield f"the header {name} is reserved for the HTTP client"
    if any("{" in value or "\n" in value for _, value in injection.headers):
        yield "a header contains a {{name}} without a value"


def _of_check(auth: AuthBase, check: Request, values: Values) -> Iterator[str]:
    request = build_check(auth, values)
    if not _URL.fullmatch(request.url.partition("?")[0]) or "{" in request.url:
        yield f"check: resolves to {request.url}"
    if not auth.has_own_proof and not check.expect.json_body and 204 not in check.expect.status:
        yield "check: expect.json requires a condition, because a login page also answers 200"
    if [(rule.path, rule.type) for rule in check.expect.json_body] == [("$", "object")]:
        yield "check: expect.json accepts any object; require a key of a successful answer, or the absence of an error"
    for status in _OUTAGES:
        for body in (*_NO_SENSE, b"{}", b"[]"):
            if (verdict := read_check(auth, status, (), body)).refused or verdict.ok:
                yield f"check: an outage (HTTP {status}) must be neither success nor refusal"
    for body in _NO_SENSE if check.expect.json_body else ():
        if (verdict := read_check(auth, 200, (), body)).refused or verdict.ok:
            yield f"check: the body {body[:20]!r} must be neither success nor refusal"


def _of_oauth2(auth: OAuth2Auth, values: Values) -> Iterator[str]:
    known = {**values.params, **values.credentials, "client_id": "client"}
    known |= {part.name: examples.of_field(part) for part in auth.client.fields}
    urls = [auth.authorization.url, *auth.token.urls()]
    urls += [auth.revocation.url] if auth.revocation is not None else []
    urls += [auth.lookup.url] if auth.lookup is not None and auth.lookup.url is not None else []
    yield from _unresolved("oauth2", urls, known)
    for scopes in (auth.scopes, *((auth.more_scopes,) if auth.more_scopes is not None else ())):
        wanted = [fill(scope, known) or "" for scope in scopes.templates()]
        if len(set(wanted)) != len(wanted) or any(scopes.separator in scope for scope in wanted):
            yield "scopes: each must be listed once, without the separator"
    if auth.pkce == "unknown":
        yield "pkce: must not be unknown; see the provider's documentation"
    if not auth.client.where or not auth.client.where.endswith("."):
        yield "client.where: a sentence with a full stop is required: where to register an OAuth client"
    if auth.token.auth == "none":
        yield "token.auth: must not be none, because an OAuth client here always has a secret"
    yield from _of_revocation(auth)
    for source in sorted({part.source for part in auth.received}):
        yield from _of_strangers(auth, source)


def _of_revocation(auth: OAuth2Auth) -> Iterator[str]:
    if auth.revocation is None:
        return
    if auth.refresh == "none" and "refresh_token" in auth.revocation.tokens:
        yield "revocation.tokens: must not contain refresh_token, because refresh is none"
    if auth.revocation.auth == "bearer" and not (auth.revocation.gone.status or auth.revocation.gone.json_body):
        yield "revocation.gone: required with the auth bearer: the answer for a token that is already invalid"
    if is_expected(auth.revocation.expect, 500, {}):
        yield "revocation.expect: must not accept an outage (HTTP 500)"


def _of_strangers(auth: OAuth2Auth, source: Source) -> Iterator[str]:
    """No value that a response brings may lead a token to a stranger's host (P7)."""
    in_hosts = {name for url in auth.urls() for name in names_in(url.authority)}
    for part in auth.received:
        if part.source != source or part.name not in in_hosts:
            continue
        for stranger in _STRANGERS:
            answer = examples.put(answer_of(auth, source), part.where, stranger.format(part.example or ""))
            try:
                told = receive(auth, source, answer)
            except UnexpectedValue:
                continue
            if told[part.name] != part.default:
                yield f"received.{part.name}: the pattern must refuse {stranger.format(part.example)!r}"


def _unresolved(where: str, urls: Iterable[str], known: dict[str, str]) -> Iterator[str]:
    for url in urls:
        resolved = resolve_url(url, known)
        if not _URL.fullmatch(resolved) or _TOKEN in resolved:
            yield f"{where}: resolves to {resolved}"
