"""Define the errors of One Runtime. Each error class has a stable `code`, an HTTP status, a title and a documentation.

The tables and pages of error codes follow from the classes: run `python -m scripts.docs_tables` after a change.

The `detail` of an error is a message for people. The message says what is wrong and what to do, and contains no secret.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, Final, NamedTuple, Self, TypeAlias

_MAX_EXPLAINED: Final = 5
"""Maximum number of invalid fields that the detail of an error explains."""

_PREDICATE: Final = re.compile(r"(?:cannot|contains|does|has|is|looks|must|needs|requires)\b")


@dataclass(frozen=True, slots=True)
class FieldError:
    """An invalid field of a request. `field`: the path to the field, such as `params.region` or `scopes[0]`.

    `message`: the rest of a sentence that begins with the field, such as `must not be blank`, or a whole sentence.
    `rule`: the broken rule of a form, such as `needed`, for which the popup has a text of its own. `values`: the values
    of this text.
    """

    field: str
    message: str
    rule: str = ""
    values: tuple[tuple[str, str], ...] = ()

    @staticmethod
    def is_predicate(message: str) -> bool:
        """Return True if the message is the rest of a sentence that begins with the field."""
        return _PREDICATE.match(message) is not None

    @property
    def sentence(self) -> str:
        """Return one sentence with the field and the message."""
        colon = "" if self.is_predicate(self.message) else ":"
        end = "" if self.message.endswith((".", "?", "…")) else "."
        return f"{self.field}{colon} {self.message}{end}"


_LINK: Final = re.compile(r"\[([^\]]+)\]\([^)]*\)")


def without_links(markdown: str) -> str:
    """Return a text of the documentation for a place where its links lead nowhere. Code keeps its backquotes."""
    return _LINK.sub(r"\1", markdown)


class Explanation(NamedTuple):
    """The texts `message` (the cause) and `action` (the next step, and the person who does it). Code has backquotes."""

    message: str
    action: str


Explanations: TypeAlias = Mapping[str, Explanation]
"""Explanations by code."""

_KINDS: Final[dict[str, type["OneRuntimeError"]]] = {}
"""The class of each code, for the modules that are imported."""


class OneRuntimeError(Exception):
    """Base class of all errors. The code `internal_error` means an unexpected error. The log contains the reason.

    `documentation`: the cause, and what to do, in Markdown with the links of docs/api.md. Each class with a code of its
    own has a documentation of its own. `explanation`: the same texts without links.
    """

    code: ClassVar[str] = "internal_error"
    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal error"
    documentation: ClassVar[tuple[str, str]] = ("A fault of One Runtime.", "Give the operator the `request_id`.")
    explanation: ClassVar[Explanation]
    retry_after: int | None = None
    """Seconds to wait before the next attempt, for the header `Retry-After`, or None."""
    members: Mapping[str, object] = MappingProxyType({})
    """Further members of the error's JSON, for one of our own pages."""

    def __init__(self, detail: str, errors: tuple[FieldError, ...] = ()) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = errors

    def __init_subclass__(cls) -> None:
        """Derive the explanation, and remember the class under its code."""
        super().__init_subclass__()
        _register(cls)


def _register(kind: type[OneRuntimeError]) -> None:
    kind.explanation = Explanation(*map(without_links, kind.documentation))
    if "documentation" in vars(kind):
        _KINDS[kind.code] = kind


_register(OneRuntimeError)


def error_kinds() -> list[type[OneRuntimeError]]:
    """Return the class of each code, ordered by code."""
    return [_KINDS[code] for code in sorted(_KINDS)]


def explain_error(code: str) -> Explanation | None:
    """Return the explanation of an error of the API, or None if no error has this code."""
    kind = _KINDS.get(code)
    return None if kind is None else kind.explanation


class InvalidInput(OneRuntimeError):
    """A value in the request is invalid. `errors` lists the invalid fields."""

    code, status, title = "invalid_input", 422, "A value in the request is invalid"
    documentation = (
        "A value in the request is invalid. `errors` names the field.",
        "Correct the value and send the request again.",
    )

    @classmethod
    def of(cls, field: str, message: str) -> Self:
        """Return the error for one field."""
        return cls.of_all([FieldError(field, message)])

    @classmethod
    def of_all(cls, errors: Iterable[FieldError]) -> Self:
        """Return the error for several fields. The detail names all fields, and explains the first of them."""
        invalid = tuple(errors)
        sentences = " ".join(error.sentence for error in invalid[:_MAX_EXPLAINED])
        if len(invalid) == 1:
            return cls(sentences, invalid)
        if len(invalid) <= _MAX_EXPLAINED:
            return cls(f"The request has {len(invalid)} errors. {sentences}", invalid)
        names = ", ".join(dict.fromkeys(error.field for error in invalid))
        return cls(
            f"The request has {len(invalid)} errors, in the fields: {names}. {sentences} `errors` lists the others.",
            invalid,
        )


class MalformedRequest(OneRuntimeError):
    """The request is not valid HTTP or JSON."""

    code, status, title = "malformed_request", 400, "The request is malformed"
    documentation = (
        "The body is not valid JSON, YAML or UTF-8, or `Content-Length` is not a number.",
        "Correct the format of the request.",
    )


class Unauthenticated(OneRuntimeError):
    """The request has no valid API key, session token or end-user token.

    `parameters`: more parameters of the header `WWW-Authenticate`, or an empty text.
    """

    code, status, title = "unauthenticated", 401, "A valid API key is required"
    documentation = (
        "The API key is missing, mistyped or revoked, or belongs to another installation.",
        "Send a valid key as `Authorization: Bearer oru_…`.",
    )
    parameters: str = ""


class InsufficientScope(OneRuntimeError):
    """The API key is valid, but does not have the required scope (RFC 6750 section 3.1)."""

    code, status, title = "insufficient_scope", 403, "The API key does not have the required scope"
    documentation = (
        "The API key lacks a scope.",
        "Use a key with the scope that `detail` and the header `WWW-Authenticate` name.",
    )

    def __init__(self, detail: str, scope: str) -> None:
        super().__init__(detail)
        self.scope = scope


class NotAllowed(OneRuntimeError):
    """The policy of an agent does not allow the call."""

    code, status, title = "not_allowed", 403, "The policy of the agent does not allow this"
    documentation = (
        "The policy of the end-user token, or of the organization, does not allow this call of [an agent](agents.md).",
        "Create a token with a wider policy, if the agent needs this call.",
    )


class InsufficientRole(OneRuntimeError):
    """The role of the member in the organization does not allow this."""

    code, status, title = "insufficient_role", 403, "Your role does not allow this"
    documentation = (
        "In the dashboard: the role of the member does not allow this.",
        "Ask an owner of your organization. The API never returns this error.",
    )


class NotFound(OneRuntimeError):
    """The resource does not exist, or belongs to another organization. The response is the same in both cases."""

    code, status, title = "not_found", 404, "Not found"
    documentation = (
        "The requested resource does not exist, or belongs to another organization.",
        "Check the path and the id.",
    )


class MethodNotAllowed(OneRuntimeError):
    """The path does not accept this method. The header `Allow` lists the methods of the path."""

    code, status, title = "method_not_allowed", 405, "This method is not allowed"
    documentation = (
        "The path does not support this method.",
        "The response header `Allow` lists the supported methods.",
    )

    def __init__(self, detail: str, allowed: Collection[str]) -> None:
        super().__init__(detail)
        self.allowed = allowed


class Conflict(OneRuntimeError):
    """The current state of the resource does not allow the request."""

    code, status, title = "conflict", 409, "The current state does not allow this"
    documentation = (
        "The present state of the resource does not allow this request. `detail` says why.",
        "Read the resource again, and decide if the request is still necessary.",
    )


class PreconditionFailed(OneRuntimeError):
    """The resource does not fulfill the request's header `If-Match` or `If-None-Match` (RFC 9110 section 13)."""

    code, status, title = "precondition_failed", 412, "The resource has changed"
    documentation = (
        "The resource does not fulfill the [condition](#conditional-requests) in `If-Match` or `If-None-Match`.",
        "Read the resource again, and repeat your change with the new `ETag`.",
    )


class TooLarge(OneRuntimeError):
    """The request body is larger than the limit."""

    code, status, title = "too_large", 413, "The request body is too large"
    documentation = (
        "The request body is too large.",
        "Send a smaller body.",
    )


class RequestTimeout(OneRuntimeError):
    """The next part of the request body did not arrive in time. The server closes the connection."""

    code, status, title = "request_timeout", 408, "The request body did not arrive in time"
    documentation = (
        "The next part of your request body did not arrive in time.",
        "Send the request again. The operator sets the limit with `ONE_RUNTIME_BODY_TIMEOUT`.",
    )


class RateLimited(OneRuntimeError):
    """The API key has sent too many requests. `retry_after`: seconds to wait."""

    code, status, title = "rate_limited", 429, "Too many requests"
    documentation = (
        (
            "There are too many requests with this API key, too many custom integrations at the same time, or too many "
            "unopened sessions."
        ),
        "Wait for the number of seconds in `Retry-After`.",
    )
    retry_after: int

    def __init__(self, detail: str, retry_after: int) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class Unavailable(OneRuntimeError):
    """One Runtime cannot answer at the moment, because the database is unreachable or busy."""

    code, status, title = "unavailable", 503, "One Runtime is temporarily unavailable"
    documentation = (
        "One Runtime cannot answer at the moment, usually because of the database. `detail` says why.",
        "Try again.",
    )
    retry_after: int | None = 5


class ConfigurationError(OneRuntimeError):
    """One Runtime cannot start with this configuration."""

    code, status, title = "configuration_error", 500, "The configuration is invalid"
    documentation = (
        "A setting is wrong.",
        "The operator has to change the setting. The server reports most wrong settings at its start.",
    )
