"""From an entry and an end user's values to requests, and from an answer to a verdict. Pure: nothing is sent."""

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
from one_runtime.catalog.parts import Condition, Derived, Expect, Field, Param, Refused, Request, Transform
from one_runtime.catalog.patterns import compiled
from one_runtime.catalog.templates import fill, is_authority, names_in, split_url
from one_runtime.egress.provider_text import contains_secret, printable, redact
from one_runtime.errors import FieldError, InvalidInput

MAX_PARAM = 255
MAX_CREDENTIAL = 8192
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
# Zero-width and direction marks: they come along with a copied value, and would turn a shown text around.
_INVISIBLE = re.compile(r"[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
_LIKELY_SECRET = 8  # characters; fewer may stand in an account's name by chance


@dataclass(frozen=True, slots=True)
class Values:
    """What the end user gave, cleaned. The repr shows no credential."""

    params: dict[str, str]
    credentials: dict[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Injection:
    """What makes a request to the provider an authenticated one."""

    base_url: str
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    query: tuple[tuple[str, str], ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The verdict on a credential: works, definitely refused, or (neither) the provider is in trouble."""

    ok: bool
    refused: bool
    account_id: str | None = None
    account_label: str | None = None
    reason: str | None = None


def clean_values(auth: AuthBase, params: Mapping[str, str], credentials: Mapping[str, str]) -> Values:
    """The values trimmed, transformed, with defaults, and checked against the entry.

    Raises:
        InvalidInput: with one error for each field at fault, named `params.<name>` or `credentials.<name>`.
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
    errors += _unknown("params", params, (part.name for part in auth.params))
    errors += _unknown("credentials", credentials, (part.name for part in auth.fields))
    if not errors:
        errors += _unfit_for_path(auth, {**clean_params, **clean_credentials})
    if errors:
        detail = errors[0].message if len(errors) == 1 else f"{len(errors)} of the values are not valid"
        raise InvalidInput(detail, tuple(errors))
    return Values(clean_params, clean_credentials)


def inject(auth: AuthBase, values: Values) -> Injection:
    """What to add to a request to the provider's API, and where that API is.

    Raises:
        InvalidInput: a value would leave the host that the entry means.
    """
    known = _known(auth, values)
    return Injection(
        resolve_url(auth.base_url, known),
        tuple(_sent_headers(auth, known)),
        tuple(fill_templates(auth.send.query, known).items()),
    )


def build_check(auth: AuthBase, values: Values) -> OutboundRequest:
    """The request that tells whether the credential works.

    Raises:
        InvalidInput: a value would leave the host that the entry means.
        ValueError: the entry has no check (see `auth.check`).
    """
    if auth.check is None:
        raise ValueError("this auth type has no check")
    return build_request(auth, auth.check, values)


def build_request(auth: AuthBase, request: Request, values: Values) -> OutboundRequest:
    """A request of the entry's, with the credential.

    Raises:
        InvalidInput: a value would leave the host that the entry means.
    """
    known = _known(auth, values)
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
    values: Values | None = None,
) -> CheckResult:
    """What the provider's answer says of the credential.

    With `values`, an identity may name a parameter, and what the end user typed is taken out of the reason.

    Raises:
        ValueError: the entry has no check.
    """
    check = auth.check
    if check is None:
        raise ValueError("this auth type has no check")
    document = parse_json(body)
    if is_refused(check.refused, status, document) and not _is_walled(status, headers):
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


def _is_walled(status: int, headers: Iterable[tuple[str, str]]) -> bool:
    """A 403 with a page for people is the firewall before an API, and says nothing of a credential."""
    return status == 403 and any(
        name.lower() == "content-type" and value.lower().startswith("text/html") for name, value in headers
    )


def read_identity(auth: AuthBase, values: Values) -> tuple[str | None, str | None]:
    """The account's id and label, as far as they stand in what is kept with the connection already."""
    if auth.identity is None:
        return None, None
    texts = (auth.identity.id, auth.identity.label)
    found = [_identify(auth, text, MISSING, values) if text is not None else None for text in texts]
    return found[0], found[1]


def read_lookup(lookup: Request, status: int, body: bytes) -> object | None:
    """The JSON document of a look-up's answer; None where it is not what the entry expects."""
    document = parse_json(body)
    return document if document is not MISSING and is_expected(lookup.expect, status, document) else None


def is_expected(expect: Expect, status: int, document: object) -> bool:
    """Whether an answer is what an entry expects."""
    return status in expect.status and all(_holds(rule, document) for rule in expect.json_body)


def is_refused(refused: Refused, status: int, document: object) -> bool:
    """Whether an answer is what an entry takes for a definite no."""
    return status in refused.status or any(_holds(rule, document) for rule in refused.json_body)


def _clean_param(part: Param, raw: str | None, errors: list[FieldError], *, in_host: bool) -> str | None:
    name = f"params.{part.name}"
    value = _trimmed(raw) or (part.default or "")
    if in_host or part.suffix is not None:
        value = _host_part(value, part.suffix or "")
    for transform in part.transform:
        value = _transformed(value, transform)
    example = part.placeholder and part.placeholder + (part.suffix or "")
    message = _problem(value, part.label, part.pattern, MAX_PARAM, example)
    if message is None and part.options and value not in [option.value for option in part.options]:
        message = f"{part.label} must be one of the options"
    return _kept(value, name, message, errors)


def _clean_field(auth: AuthBase, part: Field, raw: str | None, errors: list[FieldError]) -> str | None:
    name = f"credentials.{part.name}"
    value = _trimmed(raw)
    if not value and part.optional:
        return None
    message = _problem(value, part.label, part.pattern, MAX_CREDENTIAL, part.placeholder)
    message = message or _unfit_for_header(auth, part, value)
    if message is None:
        for derived in auth.derived:
            if derived.field == part.name and _derived(derived, value) is None:
                message = f"{part.label} looks incomplete; copy it again"
    return _kept(value, name, message, errors)


def _kept(value: str, name: str, message: str | None, errors: list[FieldError]) -> str | None:
    if message is None:
        return value
    errors.append(FieldError(name, message))
    return None


def _trimmed(raw: str | None) -> str:
    return _INVISIBLE.sub("", raw or "").strip()


def _host_part(value: str, suffix: str) -> str:
    """People paste the whole address where its host, or only the first part of that, is asked for."""
    host = re.split("[/?#]", re.sub(r"\Ahttps?://", "", value, flags=re.IGNORECASE), maxsplit=1)[0]
    return host[: -len(suffix)] if suffix and host.lower().endswith(suffix) else host


def _transformed(value: str, transform: Transform) -> str:
    match transform:
        case "lower":
            return value.lower()
        case "upper":
            return value.upper()
        case "underscore_to_hyphen":
            return value.replace("_", "-")


def _problem(value: str, label: str, pattern: str | None, longest: int, example: str | None) -> str | None:
    if not value:
        return f"{label} is required"
    if len(value) > longest:
        return f"{label} must be at most {longest} characters"
    if _CONTROL.search(value):
        return f"{label} contains a line break or another character that cannot be sent"
    if pattern is not None and not compiled(pattern).fullmatch(value):
        return f"{label} does not have the expected form" + (f", such as {example}" if example else "")
    return None


def _unfit_for_header(auth: AuthBase, part: Field, value: str) -> str | None:
    in_headers = [*auth.send.headers.values(), *(auth.check.headers.values() if auth.check is not None else ())]
    if not value.isascii() and any(part.name in names_in(template) for template in in_headers):
        return f"{part.label} contains a character that cannot be sent; copy it again"
    # RFC 7617, 2: the first colon ends the user name.
    if ":" in value and auth.send.basic is not None and part.name in names_in(auth.send.basic.username):
        return f"{part.label} must not contain a colon"
    return None


def _unfit_for_path(auth: AuthBase, values: Mapping[str, str]) -> list[FieldError]:
    """A `.` or `..` as a path segment would be another path, however it is encoded."""
    paths = [url.path for url in auth.urls()] + [auth.check.path or "" if auth.check is not None else ""]
    names = {name for path in paths for name in names_in(path)}
    where = {part.name: f"params.{part.name}" for part in auth.params}
    return [
        FieldError(where.get(name, f"credentials.{name}"), "must not consist of dots only")
        for name in sorted(names)
        if values.get(name) in (".", "..")
    ]


def _unknown(group: str, given: Mapping[str, str], known: Iterable[str]) -> list[FieldError]:
    return [
        FieldError(f"{group}.{name[:64]}", "is not a value of this auth type")
        for name in sorted(set(given) - set(known))
    ]


def _derived(derived: Derived, value: str) -> str | None:
    match = compiled(derived.pattern).fullmatch(value)
    return match.group(1) if match is not None else None


def _known(auth: AuthBase, values: Values) -> dict[str, str]:
    known = {**values.params, **values.credentials}
    for derived in auth.derived:
        value = _derived(derived, known.get(derived.field, ""))
        if value is not None:
            known[derived.name] = value
    return known


def _path(template: str, known: Mapping[str, str]) -> str:
    return _complete(fill(template, known, lambda value: quote(value, safe="")))


def resolve_url(template: str, known: Mapping[str, str]) -> str:
    """A URL template with its values put in, percent-encoded in the path.

    Raises:
        InvalidInput: a value is missing, or would leave the host that the entry means (P7).
    """
    parts = split_url(template, allow_http=True)
    authority = _complete(fill(parts.authority, known)).lower()
    # The patterns have seen to this already; values that were stored under an older entry have not met them.
    if not is_authority(authority):
        raise InvalidInput("A value does not fit into the provider's address. Connect again.")
    return f"{parts.scheme}://{authority}{_path(parts.path, known)}"


def _complete(text: str | None) -> str:
    if text is None:
        raise InvalidInput("A value that the provider's address needs is missing. Connect again.")
    return text


def _sent_headers(auth: AuthBase, known: Mapping[str, str]) -> list[tuple[str, str]]:
    headers = [*auth.headers.items(), *fill_templates(auth.send.headers, known).items()]
    if auth.send.basic is not None:
        username, password = fill(auth.send.basic.username, known), fill(auth.send.basic.password, known)
        pair = f"{_complete(username)}:{_complete(password)}".encode()
        headers.append(("Authorization", "Basic " + base64.b64encode(pair).decode("ascii")))
    merge_headers(headers)  # refuses values that cannot be sent
    return headers


def look_up(document: object, path: str) -> object:
    """What stands at a JSON path of a document; a value that `text_of` reads as None where nothing does."""
    found = document
    for step in path.split("."):
        if isinstance(found, dict) and step in found:
            found = found[step]
        elif isinstance(found, list) and step.isascii() and step.isdigit() and int(step) < len(found):
            found = found[int(step)]
        else:
            return MISSING
    return found


def _holds(rule: Condition, document: object) -> bool:
    if document is MISSING:
        return False
    found = document if rule.path == "$" else look_up(document, rule.path)
    if rule.type is not None:
        return isinstance(found, list if rule.type == "list" else dict)
    if rule.exists is not None:
        return (found is not MISSING and found is not None) == rule.exists
    if rule.one_of is not None:
        return any(_same(found, wanted) for wanted in rule.one_of)
    return found is not MISSING and _same(found, rule.equals)


def _same(found: object, wanted: object) -> bool:
    """Equality as JSON has it: `true` is not 1."""
    return type(found) is type(wanted) and found == wanted


def text_of(value: object) -> str | None:
    """Text, or a number as text; None for everything else."""
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return None


def _identify(auth: AuthBase, text: str, document: object, values: Values | None) -> str | None:
    found: dict[str, str] = {}
    for name in identity_names(text):
        if name.startswith("params."):
            value = values.params.get(name.removeprefix("params.")) if values is not None else None
        else:
            value = text_of(look_up(document, name))
        if not value:
            return None
        found[name] = value
    whole = re.sub(r"\{([^{}]*)\}", lambda match: found[match.group(1)], text) if "{" in text else found[text]
    shown = printable(whole)
    # The identity is stored unencrypted, so it must not be a credential that the provider repeats.
    public_fields = {part.name for part in auth.fields if not part.secret}
    credentials = values.credentials.items() if values is not None else ()
    secrets = [value for name, value in credentials if name not in public_fields and len(value) >= _LIKELY_SECRET]
    if contains_secret(shown, secrets):
        return None
    return shown[:255] or None


def _reason(auth: AuthBase, check: Request, document: object, values: Values | None) -> str | None:
    for path in check.reason:
        text = text_of(look_up(document, path))
        if text:
            return redact(text, _sent_secrets(auth, values) if values is not None else ()) or None
    return None


def _sent_secrets(auth: AuthBase, values: Values) -> Iterator[str]:
    """Everything that the end user typed, and each credential as its header carries it."""
    yield from (*values.credentials.values(), *values.params.values())
    for _, value in _sent_headers(auth, _known(auth, values)):
        _, space, credential = value.rpartition(" ")
        if space:
            yield credential
