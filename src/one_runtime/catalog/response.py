"""Read a provider's responses by the rules of a catalog entry.

A response can show whether a credential is valid. A response can also contain the account's id and label, or values for
later requests (received values). A received value can become part of a host that receives tokens. So a received value
must match the entry's pattern or options (promise P7 of docs/security.md).
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from one_runtime.catalog.auth import AuthBase, identity_names
from one_runtime.catalog.parts import (
    ExpectedResponse,
    JsonCondition,
    PermissionResponse,
    RefusalResponse,
    RequestTemplate,
)
from one_runtime.catalog.request import ConnectionValues, known_values, sent_headers
from one_runtime.egress.provider_text import contains_secret, printable, redact

MISSING: Final = object()
"""Placeholder for a missing value, and for a body that is not JSON. None stands for a JSON null."""
_LIKELY_SECRET: Final = 8  # characters; a shorter credential can occur in an account's name by chance

CheckOutcome: TypeAlias = Literal["accepted", "refused", "permission_missing", "unclear"]


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of the check, the request that verifies a credential.

    `refused`: the provider definitely refused the credential. `permission_missing`: the credential is valid, but the
    provider does not permit the check. `unclear`: the response shows nothing, for example during an outage.
    """

    outcome: CheckOutcome
    account_id: str | None = None
    account_label: str | None = None
    reason: str | None = None

    @property
    def ok(self) -> bool:
        """Return True if the provider accepted the credential."""
        return self.outcome == "accepted"

    @property
    def refused(self) -> bool:
        """Return True if the provider definitely refused the credential."""
        return self.outcome == "refused"


class UnexpectedValue(ValueError):
    """The provider's response lacks a required value, or contains a value that the entry does not allow.

    The message contains the name of the value, never the value itself.
    """


def read_check(
    auth: AuthBase, status: int, headers: Iterable[tuple[str, str]], body: bytes, values: ConnectionValues
) -> CheckResult:
    """Return the result of the check. The provider's reason is redacted: it contains no value of the connection.

    Raises:
        ValueError: the entry has no check.
    """
    check = auth.check
    if check is None:
        raise ValueError("this auth type has no check")
    document = parse_json(body)
    outcome: CheckOutcome = "unclear" if is_firewall_page(status, headers) else _outcome(check, status, document)
    if outcome != "accepted":
        return CheckResult(outcome, reason=_reason(auth, check, document, values))
    account_id, account_label = read_identity(auth, values, document)
    return CheckResult(outcome, account_id=account_id, account_label=account_label)


def _outcome(check: RequestTemplate, status: int, document: object) -> CheckOutcome:
    """Apply the entry's rules: first the conditions on the body, then the statuses. Each time, test `refused` first."""
    refused, missing = check.refused, check.permission_missing
    if _any_holds(refused, document):
        return "refused"
    if _any_holds(missing, document):
        return "permission_missing"
    if status in refused.status:
        return "refused"
    if status in missing.status:
        return "permission_missing"
    return "accepted" if is_expected(check.expect, status, document) else "unclear"


def may_refuse_credential(check: RequestTemplate | None, status: int) -> bool:
    """Return True if the status of any response can mean that the provider refused the credential.

    401 and 403 can mean a refusal at every provider (RFC 9110 section 15.5). An entry's check can list more statuses.
    """
    return status in {401, 403} or (
        check is not None and (status in check.refused.status or status in check.permission_missing.status)
    )


def is_firewall_page(status: int, headers: Iterable[tuple[str, str]]) -> bool:
    """Return True for an HTML page with the status 403.

    A firewall can send such a page for a valid credential. So the page does not prove that the credential is invalid.
    """
    return status == 403 and any(
        name.lower() == "content-type" and value.lower().startswith("text/html") for name, value in headers
    )


def read_identity(
    auth: AuthBase, values: ConnectionValues, document: object = MISSING
) -> tuple[str | None, str | None]:
    """Return the account's id and label, from the values and the check's response. Return None for a missing text."""
    identity = auth.identity
    if identity is None:
        return None, None
    label = _fill_identity(auth, identity.label, document, values) if identity.label is not None else None
    return _fill_identity(auth, identity.id, document, values), label


def read_lookup(lookup: RequestTemplate, status: int, body: bytes) -> object | None:
    """Return the JSON document of the look-up's response, or None if the response does not match `expect`."""
    document = parse_json(body)
    return document if document is not MISSING and is_expected(lookup.expect, status, document) else None


def is_expected(expect: ExpectedResponse, status: int, document: object) -> bool:
    """Return True if the response has an expected status and meets every condition."""
    return status in expect.status and all(_holds(rule, document) for rule in expect.json_body)


def is_refused(refused: RefusalResponse, status: int, document: object) -> bool:
    """Return True if the response is a definite refusal by the entry's rules."""
    return status in refused.status or _any_holds(refused, document)


def has_refusal_code(refused: RefusalResponse, body: bytes) -> bool:
    """Return True if the body meets one of the conditions of a refusal."""
    return _any_holds(refused, parse_json(body))


def _any_holds(response: RefusalResponse | PermissionResponse, document: object) -> bool:
    return any(_holds(rule, document) for rule in response.json_body)


def _holds(rule: JsonCondition, document: object) -> bool:
    if document is MISSING:
        return False
    value = document if rule.path == "$" else look_up(document, rule.path)
    if rule.type is not None:
        return isinstance(value, list if rule.type == "list" else dict)
    if rule.exists is not None:
        return (value is not MISSING and value is not None) == rule.exists
    if rule.contains is not None:
        return isinstance(value, str) and rule.contains in value
    if rule.one_of is not None:
        return any(_equals(value, expected) for expected in rule.one_of)
    return value is not MISSING and _equals(value, rule.equals)


def _equals(value: object, expected: object) -> bool:
    """Compare two JSON values. Compare the types too, because `True == 1` in Python."""
    return type(value) is type(expected) and value == expected


def parse_json(body: bytes) -> object:
    """Return the JSON document, or MISSING if the body is not JSON."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return MISSING


def look_up(document: object, path: str) -> object:
    """Return the value at a JSON path of a document, or MISSING. `text_of` converts MISSING to None."""
    value = document
    for step in path.split("."):
        if isinstance(value, dict) and step in value:
            value = value[step]
        elif isinstance(value, list) and step.isascii() and step.isdigit() and int(step) < len(value):
            value = value[int(step)]
        else:
            return MISSING
    return value


def text_of(value: object) -> str | None:
    """Return a text unchanged, a number as text, and None for everything else."""
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return None


def _fill_identity(auth: AuthBase, text: str, document: object, values: ConnectionValues) -> str | None:
    parts: dict[str, str] = {}
    for name in identity_names(text):
        if name.startswith("params."):
            value = values.params.get(name.removeprefix("params."))
        else:
            value = text_of(look_up(document, name))
        if not value:
            return None
        parts[name] = value
    whole = re.sub(r"\{([^{}]*)\}", lambda match: parts[match.group(1)], text) if "{" in text else parts[text]
    shown = printable(whole)
    # One Runtime stores the identity unencrypted. So omit an identity that contains a credential.
    if contains_secret(shown, secret_values(auth, values)):
        return None
    return shown[:255] or None


def secret_values(auth: AuthBase, values: ConnectionValues) -> tuple[str, ...]:
    """Return the secrets of a connection. Fields that are not secret, and short values, are no secrets."""
    public_fields = {part.name for part in auth.fields if not part.secret}
    return tuple(
        value
        for name, value in values.credentials.items()
        if name not in public_fields and len(value) >= _LIKELY_SECRET
    )


def _reason(auth: AuthBase, check: RequestTemplate, document: object, values: ConnectionValues) -> str | None:
    """Return the provider's reason for the refusal, or None if the response has no reason.

    In the reason, redact the end user's values, and the values of headers with a credential.
    """
    text = next((text for path in check.reason if (text := text_of(look_up(document, path)))), None)
    if text is None:
        return None
    headers = sent_headers(auth, known_values(auth, values))
    credentials = [value.rpartition(" ")[2] for _, value in headers if " " in value]
    return redact(text, [*values.credentials.values(), *values.params.values(), *credentials]) or None
