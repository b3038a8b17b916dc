"""Find errors in a catalog entry that the validation in `catalog/model.py` does not find.

The linter tests whether the URLs and texts of the entry are complete. The check of an entry is the request that
verifies a credential. The linter also tests whether the check distinguishes a refused credential from an outage of the
provider. The linter sends no request. `one-runtime catalog check` prints one line for each error.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from one_runtime.catalog import examples
from one_runtime.catalog.auth import AuthBase
from one_runtime.catalog.model import Integration
from one_runtime.catalog.oauth2 import RevocationEndpointSpec, TokenEndpointSpec
from one_runtime.catalog.parts import CredentialField, CredentialPlacement, Param, RequestTemplate
from one_runtime.catalog.request import ConnectionValues, build_check, clean_values, inject, resolve_url
from one_runtime.catalog.response import read_check
from one_runtime.catalog.templates import names_in
from one_runtime.egress.header_names import REFUSED_HEADERS
from one_runtime.errors import InvalidInput
from one_runtime.validation.descriptions import Place

_REST: Final = r"(?::[0-9]{1,5})?(?:/[^{}?#]*)?"
# This pattern also allows http on loopback, for the demo. The validation refuses http in all other entries.
_URL: Final = re.compile(
    rf"https://[a-z0-9-]+(?:\.[a-z0-9-]+)*\.[a-z]{{2,63}}{_REST}|http://(?:127\.0\.0\.1|localhost|\[::1\]){_REST}"
)
_OUTAGES: Final = (429, 500, 502, 503)
_MEANINGLESS_BODIES: Final = (b"", b"<html>Welcome</html>", b"null", b'"ok"', b"\xff\xfe", b"[" * 100_000)


def complaints(entry: Integration) -> Iterator[str]:
    """Yield one line of text for each error of an entry."""
    for place, complaint in placed_complaints(entry):
        step = place[-1]
        yield f"{entry.auth[step].type if isinstance(step, int) else step}: {complaint}"


def placed_complaints(entry: Integration) -> Iterator[tuple[Place, str]]:
    """Yield the place and the message of each error of an entry."""
    yield from check_aliases(entry.name, entry.slug, entry.aliases)
    for index, auth in enumerate(entry.auth):
        yield from ((("auth", index), complaint) for complaint in check_auth(auth))


def warnings(entry: Integration) -> Iterator[str]:
    """Yield a message for each part of an entry that is valid, but that could be better or safer."""
    for auth in entry.auth:
        yield from (f"{auth.type}: {message}" for message in auth.lint_warnings())


def check_aliases(name: str, slug: str, aliases: Sequence[str]) -> Iterator[tuple[Place, str]]:
    """Yield the place and the message of an error in the search words of an entry."""
    words = [name.casefold(), slug, *aliases]
    if len(set(words)) != len(words) - (name.casefold() == slug):
        yield ("aliases",), "list each alias once, and omit each alias that equals the name or the slug"


def check_auth(auth: AuthBase) -> Iterator[str]:
    """Yield the message of each error of an auth type that breaks no rule of its parts."""
    yield from check_wording(auth)
    try:
        yield from _check_with_examples(auth)
    except (InvalidInput, ValueError) as error:
        reason = getattr(error, "errors", None) or error
        yield f"each example, default and placeholder must match its pattern: {reason}"


def example_values(auth: AuthBase) -> ConnectionValues:
    """Return the values of an example connection, generated from the entry's patterns and examples.

    Raises:
        InvalidInput: a default or a placeholder does not match its pattern.
        UnexpectedValue: an example of a received value (a value that the provider sends) is not valid.
        ValueError: the search found no text that matches a pattern.
    """
    params = {part.name: examples.generate_param(part) for part in auth.params}
    fields = {part.name: examples.generate_field(part, place) for place, part in enumerate(auth.fields, 1)}
    values = clean_values(auth, params, fields)
    return ConnectionValues(
        {**values.params, **auth.example_received()}, {**values.credentials, **auth.example_tokens()}
    )


def _header_names(auth: AuthBase) -> Iterator[str]:
    """Yield the name of each header that a request of this auth type sets."""
    for _, part in auth.parts():
        if isinstance(
            part, AuthBase | CredentialPlacement | RequestTemplate | TokenEndpointSpec | RevocationEndpointSpec
        ):
            yield from part.headers


def check_wording(auth: AuthBase) -> Iterator[str]:
    """Yield the message of each error that needs no example values. The auth type may break rules of its parts."""
    for field in auth.fields:
        yield from _check_field(field)
    for part in auth.params:
        if part.help is not None and not part.help.endswith("."):
            yield f"{part.name}.help: must be a sentence that ends in a full stop"
    if auth.base_url.endswith("/"):
        yield "base_url must not end in a slash, because every path begins with a slash"
    for name in sorted(REFUSED_HEADERS & {name.lower() for name in _header_names(auth)}):
        yield f"the header {name} must be omitted, because the HTTP client sets the header"
    if auth.check is not None:
        yield from _check_conditions(auth, auth.check)
    yield from auth.lint_wording()


def _check_with_examples(auth: AuthBase) -> Iterator[str]:
    if not auth.has_examples:
        return
    values = example_values(auth)
    yield from _check_hosts(auth, values)
    yield from _check_injection(auth, values)
    if auth.check is not None:
        yield from _check_check(auth, auth.check, values)
    known = {"client_id": "client", **values.params, **values.credentials, **auth.example_client_fields()}
    yield from _check_urls(auth, known)
    yield from auth.lint_with_examples(known)


def _check_field(field: CredentialField) -> Iterator[str]:
    if not field.where.endswith("."):
        yield f"{field.name}.where: must be a sentence that ends in a full stop"
    if field.help is not None and not field.help.endswith("."):
        yield f"{field.name}.help: must be a sentence that ends in a full stop"
    if field.pattern is None:
        yield f"{field.name}: a pattern is required, so that the popup detects a wrong value before it sends the value"


def _check_hosts(auth: AuthBase, values: ConnectionValues) -> Iterator[str]:
    for part in auth.params:
        if not part.options and any(part.name in names_in(url.authority) for url in auth.urls()):
            yield from _check_host(auth, part, values)


def _check_host(auth: AuthBase, part: Param, values: ConnectionValues) -> Iterator[str]:
    if not part.placeholder:
        yield f"{part.name}: a value in a host requires a placeholder, because error messages show the placeholder"
        return
    if "lower" not in part.transform:
        yield f"{part.name}.transform: must contain lower, because the value is part of a host"
        return
    example = part.placeholder + (part.suffix or "")
    params = {other.name: values.params[other.name] for other in auth.params if other.name in values.params}
    credentials = {field.name: values.credentials[field.name] for field in auth.fields}
    for pasted in (f"https://{example}/home/a?b=c#d", f"HTTP://{example.upper()}", f" {example}/ ", part.placeholder):
        try:
            cleaned = clean_values(auth, {**params, part.name: pasted}, credentials)
        except InvalidInput:
            yield f"{part.name}: the value {pasted!r} must be accepted, because end users copy it from the address bar"
            continue
        if cleaned.params[part.name] != part.placeholder:
            yield f"{part.name}: {pasted!r} must become the placeholder, but becomes {cleaned.params[part.name]!r}"


def _check_injection(auth: AuthBase, values: ConnectionValues) -> Iterator[str]:
    injection = inject(auth, values)
    if not _URL.fullmatch(injection.base_url):
        yield f"base_url must be an https URL with a host such as api.example.com, but resolves to {injection.base_url}"
    if any("{" in value or "\n" in value for _, value in injection.headers):
        yield "a header contains a line break, or a {name} without a value"


def _check_check(auth: AuthBase, check: RequestTemplate, values: ConnectionValues) -> Iterator[str]:
    request = build_check(auth, values)
    if not _URL.fullmatch(request.url.partition("?")[0]) or "{" in request.url:
        yield f"check: the URL must be https, without an unfilled {{name}}, but resolves to {request.url}"
    yield from _check_outages(auth, check, values)


def _check_conditions(auth: AuthBase, check: RequestTemplate) -> Iterator[str]:
    if not auth.verifies_by_connecting and not check.expect.json_body and 204 not in check.expect.status:
        yield "check: expect.json requires a condition, because a login page also has the status 200"
    if [(rule.path, rule.type) for rule in check.expect.json_body] == [("$", "object")]:
        yield (
            "check: expect.json accepts any object; require a key that only a successful response has, or the absence "
            "of an error"
        )


def _check_outages(auth: AuthBase, check: RequestTemplate, values: ConnectionValues) -> Iterator[str]:
    for status in _OUTAGES:
        for body in (*_MEANINGLESS_BODIES, b"{}", b"[]"):
            if read_check(auth, status, (), body, values).outcome != "unclear":
                yield (
                    f"check: an outage (HTTP {status}) must be neither success nor refusal; change expect, refused or "
                    "permission_missing"
                )
    for body in _MEANINGLESS_BODIES if check.expect.json_body else ():
        if read_check(auth, 200, (), body, values).outcome != "unclear":
            yield (
                f"check: the body {body[:20]!r} must be neither success nor refusal; change expect, refused or "
                "permission_missing"
            )


def _check_urls(auth: AuthBase, known: dict[str, str]) -> Iterator[str]:
    for url in auth.oauth_urls():
        resolved = resolve_url(url, known)
        if not _URL.fullmatch(resolved) or examples.ACCESS_TOKEN in resolved:
            yield f"an OAuth URL must be https, without an access token or an unfilled {{name}}, but is {resolved}"
