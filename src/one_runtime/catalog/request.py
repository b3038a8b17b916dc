"""Clean the values that an end user enters, and build requests to the provider. This module sends no request."""

import base64
import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias
from urllib.parse import quote, unquote, urlencode

from one_runtime.catalog.auth import AuthBase
from one_runtime.catalog.parts import CredentialField, Param, RequestTemplate, Transform
from one_runtime.catalog.patterns import compiled, extract
from one_runtime.catalog.templates import fill, is_authority, names_in, split_url
from one_runtime.errors import FieldError, InvalidInput

Carrier: TypeAlias = Literal["form", "json", "query", "none"]
Group: TypeAlias = Literal["params", "credentials"]
Wording: TypeAlias = Callable[[Param | CredentialField, str], str]
"""Returns the message for an invalid value. The text in the second argument is a predicate, such as `is required`."""

NO_NAMES: Final[Mapping[Group, Collection[str]]] = {}
REQUIRED: Final = "is required"
NOT_AN_OPTION: Final = "must be one of the options"
MAX_PARAM = 255
MAX_CREDENTIAL = 8192
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
# Zero-width characters and direction marks. A value that the end user copied can contain these invisible characters.
_INVISIBLE = re.compile(r"[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
_DOT_SEGMENT: Final = re.compile(r"(?:^|[/\\])\.{1,2}(?:[/\\;?#]|$)")
_NOT_IN_HEADER: Final = re.compile(r"[^\x20-\x7e]")
_TRANSFORMS: Final[dict[Transform, Callable[[str], str]]] = {
    "lower": str.lower,
    "upper": str.upper,
    "underscore_to_hyphen": lambda value: value.replace("_", "-"),
}


@dataclass(frozen=True, slots=True)
class ConnectionValues:
    """The parameters of a connection, and the values that authenticate a request. The repr shows no credential."""

    params: dict[str, str]
    credentials: dict[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Injection:
    """Base URL, headers and query of an authenticated request to the provider."""

    base_url: str
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    query: tuple[tuple[str, str], ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class OutboundRequest:
    """A complete request. The URL, headers and body can contain secrets, so the repr shows only the method."""

    method: str
    url: str = field(repr=False)
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes | None = field(repr=False)


class InvalidValue(InvalidInput):
    """A value that an end user entered is invalid. `rule` and `values`: see `FieldError`."""

    def __init__(self, predicate: str, rule: str, **values: str) -> None:
        super().__init__(predicate)
        self.rule, self.values = rule, tuple(values.items())

    def at(self, field: str, message: str) -> FieldError:
        """Return the error of a field with this value."""
        return FieldError(field, message, self.rule, self.values)


def with_label(part: Param | CredentialField, problem: str) -> str:
    """Return the message for the end user, who sees the labels of the fields."""
    return f"{part.label} {problem}"


def clean_values(
    auth: AuthBase,
    params: Mapping[str, str],
    credentials: Mapping[str, str],
    *,
    wording: Wording = with_label,
    other_names: Mapping[Group, Collection[str]] = NO_NAMES,
) -> ConnectionValues:
    """Trim and transform the values, add defaults, and validate the result by the rules of the catalog entry.

    `wording`: returns the message for an invalid value. `other_names`: more names that `params` and `credentials` may
    contain. This function ignores their values.

    Raises:
        InvalidInput: a value is not valid. The exception has an error for each invalid field, such as `params.<name>`.
    """
    values = ConnectionValues({}, {})
    errors: list[FieldError] = []
    urls = auth.urls()
    paths = [*(url.path for url in urls), auth.check.path or "" if auth.check is not None else ""]
    in_hosts = {name for url in urls for name in names_in(url.authority)}
    in_paths = {name for path in paths for name in names_in(path)}
    for param in auth.params:
        try:
            value = _clean_param(param, params.get(param.name), in_host=param.name in in_hosts)
            _require_segment(value, in_path=param.name in in_paths)
            values.params[param.name] = value
        except InvalidValue as error:
            errors.append(error.at(f"params.{param.name}", wording(param, error.detail)))
    for part in auth.fields:
        value = _trim(credentials.get(part.name))
        if not value and part.optional:
            continue
        try:
            _check_field(auth, part, value)
            _require_segment(value, in_path=part.name in in_paths)
            values.credentials[part.name] = value
        except InvalidValue as error:
            errors.append(error.at(f"credentials.{part.name}", wording(part, error.detail)))
    sent: Mapping[Group, Mapping[str, str]] = {"params": params, "credentials": credentials}
    for group in sent:
        errors += _unknown_values(group, sent[group], [*names_of(auth, group), *other_names.get(group, ())])
    if errors:
        raise InvalidInput.of_all(errors)
    return values


def _clean_param(param: Param, raw: str | None, *, in_host: bool) -> str:
    """Return the value of a parameter. Raises: InvalidValue with a predicate, such as `is required`."""
    suffix = param.suffix or ""
    value = _trim(raw) or param.default or ""
    if in_host or suffix:  # the end user can paste a whole URL
        value = re.split("[/?#]", re.sub(r"\Ahttps?://", "", value, flags=re.IGNORECASE), maxsplit=1)[0]
        if suffix and value.lower().endswith(suffix):
            value = value[: -len(suffix)]
    for transform in param.transform:
        value = _TRANSFORMS[transform](value)
    _check_text(param, value, MAX_PARAM, suffix)
    if param.options and value not in [option.value for option in param.options]:
        raise InvalidValue(NOT_AN_OPTION, "option")
    return value


def _check_field(auth: AuthBase, part: CredentialField, value: str) -> None:
    """Check a part of the credential. Raises: InvalidValue with a predicate, such as `is required`."""
    _check_text(part, value, MAX_CREDENTIAL)
    in_headers = [*auth.send.headers.values(), *(auth.check.headers.values() if auth.check is not None else ())]
    if not value.isascii() and any(part.name in names_in(template) for template in in_headers):
        raise InvalidValue("contains a character that cannot be sent; copy the value again", "unsendable")
    # RFC 7617, 2: the first colon ends the user name.
    if ":" in value and auth.send.basic is not None and part.name in names_in(auth.send.basic.username):
        raise InvalidValue("must not contain a colon", "colon")
    if any(derived.field == part.name and extract(derived.pattern, value) is None for derived in auth.derived):
        raise InvalidValue("looks incomplete; copy the value again", "pattern")


def _trim(raw: str | None) -> str:
    return _INVISIBLE.sub("", raw or "").strip()


def _check_text(part: Param | CredentialField, value: str, longest: int, suffix: str = "") -> None:
    if not value:
        raise InvalidValue(REQUIRED, "needed")
    if len(value) > longest:
        raise InvalidValue(f"must be at most {longest} characters", "too_long", limit=str(longest))
    if _CONTROL.search(value):
        raise InvalidValue("contains a line break or another character that cannot be sent", "unsendable")
    if part.pattern is not None and not compiled(part.pattern).fullmatch(value):
        whole = f" or {part.placeholder}{suffix}" if suffix else ""
        example = f", such as {part.placeholder}{whole}" if part.placeholder else ""
        rule = "example" if example else "pattern"
        raise InvalidValue(f"does not have the expected form{example}", rule, example=part.placeholder or "")


def _require_segment(value: str, *, in_path: bool) -> None:
    """Refuse the path segments . and .., which lead to another path, even if they are percent-encoded.

    `fill_path` encodes a slash, but some servers decode it, and some of them decode twice.
    """
    if in_path and any(_DOT_SEGMENT.search(text) for text in (value, unquote(value), unquote(unquote(value)))):
        raise InvalidValue("must not contain the path segments . and ..", "invalid")


def names_of(auth: AuthBase, group: Group) -> list[str]:
    """Return the names of the values in `params` or `credentials`."""
    return [part.name for part in (auth.params if group == "params" else auth.fields)]


def fields_sentence(group: Group, names: Iterable[str]) -> str:
    """Return the sentence that lists the fields of `params` or `credentials`, without a full stop."""
    listed = ", ".join(names)
    return f"The fields of {group} are: {listed}" if listed else f"Leave out {group}"


def _unknown_values(group: Group, values: Mapping[str, str], names: Collection[str]) -> list[FieldError]:
    message = f"is not a field of this auth type. {fields_sentence(group, names)}"
    return [FieldError(f"{group}.{name[:64]}", message) for name in sorted(set(values) - set(names))]


def inject(auth: AuthBase, values: ConnectionValues) -> Injection:
    """Return the API's base URL, and the headers and the query that authenticate a request.

    Raises:
        InvalidInput: a value is missing, would change the provider's host, or cannot be sent in a header.
    """
    known = known_values(auth, values)
    return Injection(
        resolve_url(auth.base_url, known),
        merge_headers(sent_headers(auth, known)),
        tuple(fill_templates(auth.send.query, known).items()),
    )


def build_check(auth: AuthBase, values: ConnectionValues) -> OutboundRequest:
    """Return the request that verifies the credential.

    Raises:
        InvalidInput: a value is missing, would change the provider's host, or cannot be sent in a header.
        ValueError: the auth type has no check.
    """
    if auth.check is None:
        raise ValueError("this auth type has no check")
    return build_request(auth, auth.check, values)


def build_request(auth: AuthBase, request: RequestTemplate, values: ConnectionValues) -> OutboundRequest:
    """Return a request that the entry defines, with the values and the credential.

    Raises:
        InvalidInput: a value is missing, would change the provider's host, or cannot be sent in a header.
    """
    known = known_values(auth, values)
    if request.url is not None:
        url = resolve_url(request.url, known)
    else:
        url = resolve_url(auth.base_url, known) + fill_path(request.path or "", known)
    carrier: Carrier = "json" if request.json_body is not None else "form" if request.form is not None else "none"
    return assemble_request(
        request.method,
        with_query(url, {**fill_templates(request.query, known), **fill_templates(auth.send.query, known)}),
        [*sent_headers(auth, known), *fill_templates(request.headers, known).items()],
        carrier,
        fill_templates(request.form or {}, known),
        request.json_body,
    )


def assemble_request(
    method: str,
    url: str,
    headers: Iterable[tuple[str, str]],
    carrier: Carrier,
    params: Mapping[str, str],
    json_body: object = None,
) -> OutboundRequest:
    """Combine the parts into a complete request.

    `carrier`: the part of the request that contains `params`. `json_body`: the body with the carrier `json`. If
    `json_body` is None, the body is `params`.

    Raises:
        InvalidInput: a value contains a character that cannot be sent in a header.
    """
    defaults, body = [("Accept", "application/json")], b"" if method == "POST" else None
    match carrier:
        case "form":
            defaults.append(("Content-Type", "application/x-www-form-urlencoded"))
            body = urlencode(params).encode("ascii")
        case "json":
            defaults.append(("Content-Type", "application/json"))
            body = json.dumps(params if json_body is None else json_body, separators=(",", ":")).encode("ascii")
        case "query":
            url = with_query(url, params)
        case "none":
            pass
    return OutboundRequest(method, url, merge_headers([*defaults, *headers]), body)


def known_values(auth: AuthBase, values: ConnectionValues) -> dict[str, str]:
    """Return the values that templates may use: the connection's values and the derived values."""
    known = {**values.params, **values.credentials}
    for derived in auth.derived:
        value = extract(derived.pattern, known.get(derived.field, ""))
        if value is not None:
            known[derived.name] = value
    return known


def sent_headers(auth: AuthBase, known: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the constant headers of the entry and the headers with the credential.

    Raises:
        InvalidInput: a value of the HTTP Basic user name or password is missing.
    """
    headers = [*auth.headers.items(), *fill_templates(auth.send.headers, known).items()]
    if auth.send.basic is not None:
        pair = f"{_fill_all(auth.send.basic.username, known)}:{_fill_all(auth.send.basic.password, known)}"
        headers.append(("Authorization", f"Basic {base64.b64encode(pair.encode()).decode('ascii')}"))
    return headers


def fill_templates(templates: Mapping[str, str], known: Mapping[str, str]) -> dict[str, str]:
    """Return the templates with values filled in. Omit a template if one of its values is missing."""
    values = ((name, fill(template, known)) for name, template in templates.items())
    return {name: value for name, value in values if value is not None}


def resolve_url(template: str, known: Mapping[str, str]) -> str:
    """Return the URL of a template with values filled in. Values in the path are percent-encoded.

    Raises:
        InvalidInput: a value is missing, or would change the provider's host (promise P7 of docs/security.md).
    """
    parts = split_url(template, allow_http=True)
    authority = _fill_all(parts.authority, known).lower()
    # The entry's pattern does not exclude every invalid host. A pattern can accept `a..b`. A stored value can be older
    # than the pattern.
    if not is_authority(authority):
        raise InvalidInput("A value does not fit into the provider's address. Connect again.")
    return f"{parts.scheme}://{authority}{fill_path(parts.path, known)}"


def fill_path(template: str, known: Mapping[str, str]) -> str:
    """Fill percent-encoded values into a path, and return the path. Raises: InvalidInput if a value is missing."""
    return _fill_all(template, known, lambda value: quote(value, safe=""))


def _fill_all(template: str, known: Mapping[str, str], encode: Callable[[str], str] = str) -> str:
    text = fill(template, known, encode)
    if text is None:
        raise InvalidInput("A value that the provider's address needs is missing. Connect again.")
    return text


def with_query(url: str, query: Mapping[str, str]) -> str:
    """Return the URL with these parameters added. A space becomes `%20`.

    Every decoder understands `%20`. Some decoders do not understand `+`, which encodes a space in forms (RFC 6749,
    appendix B).
    """
    if not query:
        return url
    return f"{url}{'&' if '?' in url else '?'}{urlencode(query, quote_via=quote)}"


def merge_headers(headers: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Merge headers that have the same name. Keep the position of the first header and the value of the last header.

    Raises:
        InvalidInput: a value contains a character that cannot be sent in a header.
    """
    merged = {name.lower(): (name, value) for name, value in headers}
    for name, value in merged.values():
        if _NOT_IN_HEADER.search(value):
            raise InvalidInput(f"A value cannot be sent in the header {name}. Connect again.")
    return tuple(merged.values())
