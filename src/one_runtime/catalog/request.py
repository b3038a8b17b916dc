"""Build requests from an entry and an end user's values, and evaluate the provider's answers. Nothing is sent."""

import base64
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

from one_runtime.catalog import outbound
from one_runtime.catalog.auth import AuthBase, identity_names
from one_runtime.catalog.outbound import (
    MISSING,
    Carrier,
    OutboundRequest,
    RequestDraft,
    fill_templates,
    merge_headers,
    parse_json,
)
from one_runtime.catalog.parts import (
    CredentialField,
    DerivedValue,
    ExpectedResponse,
    JsonCondition,
    Param,
    RefusalResponse,
    RequestTemplate,
    Transform,
)
from one_runtime.catalog.patterns import compiled
from one_runtime.catalog.templates import fill, is_authority, names_in, split_url
from one_runtime.egress.provider_text import contains_secret, printable, redact
from one_runtime.errors import FieldError, InvalidInput

MAX_PARAM = 255
MAX_CREDENTIAL = 8192
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
# Zero-width and direction marks: a copied value may contain them, and they change how a text is displayed.
_INVISIBLE = re.compile(r"[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
_LIKELY_SECRET = 8  # characters; a shorter value may be part of an account's name by chance


@dataclass(frozen=True, slots=True)
class ConnectionValues:
    """Cleaned values of the end user. The repr shows no credential."""

    params: dict[str, str]
    credentials: dict[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Injection:
    """Base URL, headers and query of an authenticated request to the provider."""

    base_url: str
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    query: tuple[tuple[str, str], ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The verdict on a credential: valid, definitely refused, or neither if the provider has an outage."""

    ok: bool
    refused: bool
    account_id: str | None = None
    account_label: str | None = None
    reason: str | None = None


def clean_values(auth: AuthBase, params: Mapping[str, str], credentials: Mapping[str, str]) -> ConnectionValues:
    """Return the values trimmed, transformed, with defaults, and validated against the entry.

    Raises:
        InvalidInput: with one error for each invalid field, named `params.<name>` or `credentials.<name>`.
    """
    errors: list[FieldError] = []
    in_hosts = {name for url in auth.urls() for name in names_in(url.authority)}
    clean_params = {
        part.name: value
        for part in auth.params
        if (value := _clean_param(part, params.get(part.name), errors, in_host=part.name in in_hosts)) is not None
    }
    clean_credentials = {
        part.name: value
        for part in auth.fields
        if (value := _clean_field(auth, part, credentials.get(part.name), errors)) is not None
    }
    errors += _unknown_values("params", params, (part.name for part in auth.params))
    errors += _unknown_values("credentials", credentials, (part.name for part in auth.fields))
    if not errors:
        errors += _path_errors(auth, {**clean_params, **clean_credentials})
    if errors:
        detail = errors[0].message if len(errors) == 1 else f"{len(errors)} of the values are not valid"
        raise InvalidInput(detail, tuple(errors))
    return ConnectionValues(clean_params, clean_credentials)


def inject(auth: AuthBase, values: ConnectionValues) -> Injection:
    """Return the additions that authenticate a request to the provider's API, with its base URL.

    Raises:
        InvalidInput: a value would leave the host that the entry means.
    """
    known = _known_values(auth, values)
    return Injection(
        resolve_url(auth.base_url, known),
        tuple(_sent_headers(auth, known)),
        tuple(fill_templates(auth.send.query, known).items()),
    )


def build_check(auth: AuthBase, values: ConnectionValues) -> OutboundRequest:
    """Return the request that verifies the credential.

    Raises:
        InvalidInput: a value would leave the host that the entry means.
        ValueError: the entry has no check (see `auth.check`).
    """
    if auth.check is None:
        raise ValueError("this auth type has no check")
    return build_request(auth, auth.check, values)


def build_request(auth: AuthBase, request: RequestTemplate, values: ConnectionValues) -> OutboundRequest:
    """Return a request of the entry with the credential.

    Raises:
        InvalidInput: a value would leave the host that the entry means.
    """
    known = _known_values(auth, values)
    if request.url is not None:
        url = resolve_url(request.url, known)
    else:
        url = resolve_url(auth.base_url, known) + _path(request.path or "", known)
    carrier: Carrier = "json" if request.json_body is not None else "form" if request.form is not None else "none"
    return outbound.build_request(
        RequestDraft(
            method=request.method,
            url=url,
            carrier=carrier,
            params=fill_templates(request.form or {}, known),
            json_body=request.json_body,
            query={**fill_templates(request.query, known), **fill_templates(auth.send.query, known)},
            headers=[*_sent_headers(auth, known), *fill_templates(request.headers, known).items()],
        )
    )


def read_check(
    auth: AuthBase,
    status: int,
    headers: Iterable[tuple[str, str]],
    body: bytes,
    values: ConnectionValues | None = None,
) -> CheckResult:
    """Return the verdict of the provider's answer on the credential.

    With `values`, an identity may use a parameter, and the end user's values are redacted from the reason.

    Raises:
        ValueError: the entry has no check.
    """
    check = auth.check
    if check is None:
        raise ValueError("this auth type has no check")
    document = parse_json(body)
    if is_refused(check.refused, status, document) and not _is_firewall_page(status, headers):
        return CheckResult(ok=False, refused=True, reason=_reason(auth, check, document, values))
    if not is_expected(check.expect, status, document):
        return CheckResult(ok=False, refused=False, reason=_reason(auth, check, document, values))
    identity = auth.identity
    return CheckResult(
        ok=True,
        refused=False,
        account_id=_identify(auth, identity.id, document, values) if identity is not None else None,
        account_label=_identify(auth, identity.label, document, values) if identity and identity.label else None,
    )


def _is_firewall_page(status: int, headers: Iterable[tuple[str, str]]) -> bool:
    """Return True for a 403 with an HTML page: it comes from a firewall and is no verdict on the credential."""
    return status == 403 and any(
        name.lower() == "content-type" and value.lower().startswith("text/html") for name, value in headers
    )


def read_identity(auth: AuthBase, values: ConnectionValues) -> tuple[str | None, str | None]:
    """Return the account's id and label as far as the connection's stored values contain them."""
    if auth.identity is None:
        return None, None
    texts = (auth.identity.id, auth.identity.label)
    identities = [_identify(auth, text, MISSING, values) if text is not None else None for text in texts]
    return identities[0], identities[1]


def read_lookup(lookup: RequestTemplate, status: int, body: bytes) -> object | None:
    """Return the JSON document of a look-up's answer, or None if the entry expects another answer."""
    document = parse_json(body)
    return document if document is not MISSING and is_expected(lookup.expect, status, document) else None


def is_expected(expect: ExpectedResponse, status: int, document: object) -> bool:
    """Return True if the entry expects this answer."""
    return status in expect.status and all(_holds(rule, document) for rule in expect.json_body)


def is_refused(refused: RefusalResponse, status: int, document: object) -> bool:
    """Return True if the answer is a definite refusal by the entry's rules."""
    return status in refused.status or any(_holds(rule, document) for rule in refused.json_body)


def _clean_param(part: Param, raw: str | None, errors: list[FieldError], *, in_host: bool) -> str | None:
    name = f"params.{part.name}"
    value = _trim(raw) or (part.default or "")
    if in_host or part.suffix is not None:
        value = _host_part(value, part.suffix or "")
    for transform in part.transform:
        value = _transform(value, transform)
    example = part.placeholder and part.placeholder + (part.suffix or "")
    message = _find_problem(value, part.label, part.pattern, MAX_PARAM, example)
    if message is None and part.options and value not in [option.value for option in part.options]:
        message = f"{part.label} must be one of the options"
    return _value_or_error(value, name, message, errors)


def _clean_field(auth: AuthBase, part: CredentialField, raw: str | None, errors: list[FieldError]) -> str | None:
    name = f"credentials.{part.name}"
    value = _trim(raw)
    if not value and part.optional:
        return None
    message = _find_problem(value, part.label, part.pattern, MAX_CREDENTIAL, part.placeholder)
    message = message or _find_header_problem(auth, part, value)
    if message is None:
        for derived in auth.derived:
            if derived.field == part.name and _derive(derived, value) is None:
                message = f"{part.label} looks incomplete; copy it again"
    return _value_or_error(value, name, message, errors)


def _value_or_error(value: str, name: str, message: str | None, errors: list[FieldError]) -> str | None:
    if message is None:
        return value
    errors.append(FieldError(name, message))
    return None


def _trim(raw: str | None) -> str:
    return _INVISIBLE.sub("", raw or "").strip()


def _host_part(value: str, suffix: str) -> str:
    """Return the host or its first part from a value that may be a whole address pasted by the end user."""
    host = re.split("[/?#]", re.sub(r"\Ahttps?://", "", value, flags=re.IGNORECASE), maxsplit=1)[0]
    return host[: -len(suffix)] if suffix and host.lower().endswith(suffix) else host


def _transform(value: str, transform: Transform) -> str:
    match transform:
        case "lower":
            return value.lower()
        case "upper":
            return value.upper()
        case "underscore_to_hyphen":
            return value.replace("_", "-")


def _find_problem(value: str, label: str, pattern: str | None, longest: int, example: str | None) -> str | None:
    if not value:
        return f"{label} is required"
    if len(value) > longest:
        return f"{label} must be at most {longest} characters"
    if _CONTROL.search(value):
        return f"{label} contains a line break or another character that cannot be sent"
    if pattern is not None and not compiled(pattern).fullmatch(value):
        return f"{label} does not have the expected form" + (f", such as {example}" if example else "")
    return None


def _find_header_problem(auth: AuthBase, part: CredentialField, value: str) -> str | None:
    in_headers = [*auth.send.headers.values(), *(auth.check.headers.values() if auth.check is not None else ())]
    if not value.isascii() and any(part.name in names_in(template) for template in in_headers):
        return f"{part.label} contains a character that cannot be sent; copy it again"
    # RFC 7617, 2: the first colon ends the user name.
    if ":" in value and auth.send.basic is not None and part.name in names_in(auth.send.basic.username):
        return f"{part.label} must not contain a colon"
    return None


def _path_errors(auth: AuthBase, values: Mapping[str, str]) -> list[FieldError]:
    """Return errors for the values `.` and `..`: as a path segment they change the path, even percent-encoded."""
    paths = [url.path for url in auth.urls()] + [auth.check.path or "" if auth.check is not None else ""]
    names = {name for path in paths for name in names_in(path)}
    where = {part.name: f"params.{part.name}" for part in auth.params}
    return [
        FieldError(where.get(name, f"credentials.{name}"), "must not consist of dots only")
        for name in sorted(names)
        if values.get(name) in (".", "..")
    ]


def _unknown_values(group: str, values: Mapping[str, str], known: Iterable[str]) -> list[FieldError]:
    return [
        FieldError(f"{group}.{name[:64]}", "is not a value of this auth type")
        for name in sorted(set(values) - set(known))
    ]


def _derive(derived: DerivedValue, value: str) -> str | None:
    match = compiled(derived.pattern).fullmatch(value)
    return match.group(1) if match is not None else None


def _known_values(auth: AuthBase, values: ConnectionValues) -> dict[str, str]:
    known = {**values.params, **values.credentials}
    for derived in auth.derived:
        value = _derive(derived, known.get(derived.field, ""))
        if value is not None:
            known[derived.name] = value
    return known


def _path(template: str, known: Mapping[str, str]) -> str:
    return _require_complete(fill(template, known, lambda value: quote(value, safe="")))


def resolve_url(template: str, known: Mapping[str, str]) -> str:
    """Return the URL of a template with its values, percent-encoded in the path.

    Raises:
        InvalidInput: a value is missing, or would change the host that the entry intends (P7).
    """
    parts = split_url(template, allow_http=True)
    authority = _require_complete(fill(parts.authority, known)).lower()
    # The patterns ensure this for new values, but not for values that were stored under an older entry.
    if not is_authority(authority):
        raise InvalidInput("A value does not fit into the provider's address. Connect again.")
    return f"{parts.scheme}://{authority}{_path(parts.path, known)}"


def _require_complete(text: str | None) -> str:
    if text is None:
        raise InvalidInput("A value that the provider's address needs is missing. Connect again.")
    return text


def _sent_headers(auth: AuthBase, known: Mapping[str, str]) -> list[tuple[str, str]]:
    headers = [*auth.headers.items(), *fill_templates(auth.send.headers, known).items()]
    if auth.send.basic is not None:
        username, password = fill(auth.send.basic.username, known), fill(auth.send.basic.password, known)
        pair = f"{_require_complete(username)}:{_require_complete(password)}".encode()
        headers.append(("Authorization", "Basic " + base64.b64encode(pair).decode("ascii")))
    merge_headers(headers)  # refuses values that cannot be sent
    return headers


def look_up(document: object, path: str) -> object:
    """Return the value at a JSON path of a document, or MISSING, which `text_of` converts to None."""
    value = document
    for step in path.split("."):
        if isinstance(value, dict) and step in value:
            value = value[step]
        elif isinstance(value, list) and step.isascii() and step.isdigit() and int(step) < len(value):
            value = value[int(step)]
        else:
            return MISSING
    return value


def _holds(rule: JsonCondition, document: object) -> bool:
    if document is MISSING:
        return False
    value = document if rule.path == "$" else look_up(document, rule.path)
    if rule.type is not None:
        return isinstance(value, list if rule.type == "list" else dict)
    if rule.exists is not None:
        return (value is not MISSING and value is not None) == rule.exists
    if rule.one_of is not None:
        return any(_equals(value, expected) for expected in rule.one_of)
    return value is not MISSING and _equals(value, rule.equals)


def _equals(value: object, expected: object) -> bool:
    """Compare as JSON does: `true` is not 1."""
    return type(value) is type(expected) and value == expected


def text_of(value: object) -> str | None:
    """Return a text unchanged, a number as text, and None for everything else."""
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return None


def _identify(auth: AuthBase, text: str, document: object, values: ConnectionValues | None) -> str | None:
    parts: dict[str, str] = {}
    for name in identity_names(text):
        if name.startswith("params."):
            value = values.params.get(name.removeprefix("params.")) if values is not None else None
        else:
            value = text_of(look_up(document, name))
        if not value:
            return None
        parts[name] = value
    whole = re.sub(r"\{([^{}]*)\}", lambda match: parts[match.group(1)], text) if "{" in text else parts[text]
    shown = printable(whole)
    # The identity is stored unencrypted, so it must not contain a credential that the provider returns.
    public_fields = {part.name for part in auth.fields if not part.secret}
    credentials = values.credentials.items() if values is not None else ()
    secrets = [value for name, value in credentials if name not in public_fields and len(value) >= _LIKELY_SECRET]
    if contains_secret(shown, secrets):
        return None
    return shown[:255] or None


def _reason(auth: AuthBase, check: RequestTemplate, document: object, values: ConnectionValues | None) -> str | None:
    for path in check.reason:
        text = text_of(look_up(document, path))
        if text:
            return redact(text, _sent_secrets(auth, values) if values is not None else ()) or None
    return None


def _sent_secrets(auth: AuthBase, values: ConnectionValues) -> Iterator[str]:
    """Yield all values of the end user, and each credential in the form that its header has."""
    yield from (*values.credentials.values(), *values.params.values())
    for _, value in _sent_headers(auth, _known_values(auth, values)):
        _, space, credential = value.rpartition(" ")
        if space:
            yield credential
