"""Define the errors of One Runtime. Each error class has a stable, documented `code`, an HTTP status and a title.

The `detail` of an error is a message for people. The message says what is wrong and what to do, and contains no secret.
"""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import ClassVar, Final, Self

_MAX_EXPLAINED: Final = 5
"""Maximum number of invalid fields that the detail of an error explains."""

_PREDICATE: Final = re.compile(r"(?:cannot|contains|does|has|is|looks|must|needs|requires)\b")


@dataclass(frozen=True, slots=True)
class FieldError:
    """An invalid field of a request. `field`: the path to the field, such as `params.region` or `scopes[0]`.

    `message`: the rest of a sentence that begins with the field, such as `must not be blank`, or a whole sentence.
    """

    field: str
    message: str

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


class OneRuntimeError(Exception):
    """Base class of all errors. The code `internal_error` means an unexpected error. The log contains the reason."""

    code: ClassVar[str] = "internal_error"
    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal error"
    retry_after: int | None = None
    """Seconds to wait before the next attempt, for the header `Retry-After`, or None."""

    def __init__(self, detail: str, errors: tuple[FieldError, ...] = ()) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = errors


class InvalidInput(OneRuntimeError):
    """A value in the request is invalid. `errors` lists the invalid fields."""

    code, status, title = "invalid_input", 422, "A value in the request is invalid"

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


class Unauthenticated(OneRuntimeError):
    """The request has no valid API key, session token or end-user token.

    `parameters`: more parameters of the header `WWW-Authenticate`, or an empty text.
    """

    code, status, title = "unauthenticated", 401, "A valid API key is required"
    parameters: str = ""


class InsufficientScope(OneRuntimeError):
    """The API key is valid, but does not have the required scope (RFC 6750 section 3.1)."""

    code, status, title = "insufficient_scope", 403, "The API key does not have the required scope"

    def __init__(self, detail: str, scope: str) -> None:
        super().__init__(detail)
        self.scope = scope


class NotAllowed(OneRuntimeError):
    """The policy of an agent does not allow the call."""

    code, status, title = "not_allowed", 403, "The policy of the agent does not allow this"


class InsufficientRole(OneRuntimeError):
    """The role of the member in the organization does not allow this."""

    code, status, title = "insufficient_role", 403, "Your role does not allow this"


class NotFound(OneRuntimeError):
    """The resource does not exist, or belongs to another organization. The response is the same in both cases."""

    code, status, title = "not_found", 404, "Not found"


class MethodNotAllowed(OneRuntimeError):
    """The path does not accept this method. The header `Allow` lists the methods of the path."""

    code, status, title = "method_not_allowed", 405, "This method is not allowed"

    def __init__(self, detail: str, allowed: Collection[str]) -> None:
        super().__init__(detail)
        self.allowed = allowed


class Conflict(OneRuntimeError):
    """The current state of the resource does not allow the request."""

    code, status, title = "conflict", 409, "The current state does not allow this"


class PreconditionFailed(OneRuntimeError):
    """The resource does not fulfill the request's header `If-Match` or `If-None-Match` (RFC 9110 section 13)."""

    code, status, title = "precondition_failed", 412, "The resource has changed"


class TooLarge(OneRuntimeError):
    """The request body is larger than the limit."""

    code, status, title = "too_large", 413, "The request body is too large"


class RequestTimeout(OneRuntimeError):
    """The next part of the request body did not arrive in time. The server closes the connection."""

    code, status, title = "request_timeout", 408, "The request body did not arrive in time"


class RateLimited(OneRuntimeError):
    """The API key has sent too many requests. `retry_after`: seconds to wait."""

    code, status, title = "rate_limited", 429, "Too many requests"
    retry_after: int

    def __init__(self, detail: str, retry_after: int) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class Unavailable(OneRuntimeError):
    """One Runtime cannot answer at the moment, because the database is unreachable or busy."""

    code, status, title = "unavailable", 503, "One Runtime is temporarily unavailable"
    retry_after: int | None = 5


class ConfigurationError(OneRuntimeError):
    """One Runtime cannot start with this configuration."""

    code, status, title = "configuration_error", 500, "The configuration is invalid"
