"""Define the errors of One Runtime. Each error class has a stable, documented `code`, an HTTP status and a title.

The `detail` of an error is a message for people. The message says what is wrong and what to do, and contains no secret.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from one_runtime.clock import rfc3339


@dataclass(frozen=True, slots=True)
class FieldError:
    """An invalid field of a request. `field`: the dotted path of the field, such as `params.region`."""

    field: str
    message: str


class OneRuntimeError(Exception):
    """Base class of all errors. The code `internal_error` means an unexpected error. The log contains the reason."""

    code: ClassVar[str] = "internal_error"
    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal error"

    def __init__(self, detail: str, errors: tuple[FieldError, ...] = ()) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = errors


class InvalidInput(OneRuntimeError):
    """A value in the request is invalid. `errors` lists the invalid fields."""

    code, status, title = "invalid_input", 422, "A value in the request is invalid"

    @classmethod
    def of(cls, field: str, message: str) -> "InvalidInput":
        """Return the error for one field."""
        return cls(f"{field}: {message}", (FieldError(field, message),))


class MalformedRequest(OneRuntimeError):
    """The request is not valid HTTP or JSON."""

    code, status, title = "malformed_request", 400, "The request is malformed"


class Unauthenticated(OneRuntimeError):
    """The request has no valid API key or session token."""

    code, status, title = "unauthenticated", 401, "A valid API key is required"


class InsufficientScope(OneRuntimeError):
    """The API key is valid, but does not have the required scope (RFC 6750 section 3.1)."""

    code, status, title = "insufficient_scope", 403, "The API key does not have the required scope"


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


class TooLarge(OneRuntimeError):
    """The request body is larger than the limit."""

    code, status, title = "too_large", 413, "The request body is too large"


class RequestTimeout(OneRuntimeError):
    """The next part of the request body did not arrive in time. The server closes the connection."""

    code, status, title = "request_timeout", 408, "The request body did not arrive in time"


class RateLimited(OneRuntimeError):
    """The API key has sent too many requests. `retry_after`: seconds to wait."""

    code, status, title = "rate_limited", 429, "Too many requests"

    def __init__(self, detail: str, retry_after: int) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class Unavailable(OneRuntimeError):
    """One Runtime cannot answer at the moment, because the database is unreachable or busy."""

    code, status, title = "unavailable", 503, "One Runtime is temporarily unavailable"


class ConfigurationError(OneRuntimeError):
    """One Runtime cannot start with this configuration."""

    code, status, title = "configuration_error", 500, "The configuration is invalid"


def error_note(code: str, message: str, now: datetime, provider_reason: str | None = None) -> dict[str, str]:
    """Return an error in the form that sessions and connections store: `{code, message, at}`.

    `provider_reason`: the provider's own error text, which the popup shows.
    """
    quoted = {} if provider_reason is None else {"provider_reason": provider_reason}
    return {"code": code, "message": message, "at": rfc3339(now), **quoted}
