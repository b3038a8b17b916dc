"""The one tree of errors: each has a stable, documented `code` and the HTTP status that a door answers with.

Details are sentences for a person: they say what is wrong and what to do, and never hold a secret.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from one_runtime.clock import rfc3339


@dataclass(frozen=True, slots=True)
class FieldError:
    """One field that was refused: its dotted path and a sentence."""

    field: str
    message: str


class OneRuntimeError(Exception):
    """Base of every error of ours. Subclasses set `code`, `status` and `title`."""

    code: ClassVar[str] = "internal_error"
    status: ClassVar[int] = 500
    title: ClassVar[str] = "Something went wrong on our side"

    def __init__(self, detail: str, errors: tuple[FieldError, ...] = ()) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = errors


class InvalidInput(OneRuntimeError):
    """A value that the caller sent cannot be used."""

    code, status, title = "invalid_input", 422, "The request cannot be used as it is"

    @classmethod
    def of(cls, field: str, message: str) -> "InvalidInput":
        """The error for one field."""
        return cls(f"{field}: {message}", (FieldError(field, message),))


class MalformedRequest(OneRuntimeError):
    """The request is not what HTTP or JSON says it should be."""

    code, status, title = "malformed_request", 400, "The request cannot be read"


class Unauthenticated(OneRuntimeError):
    """No usable API key or session token."""

    code, status, title = "unauthenticated", 401, "A valid API key is needed"


class InsufficientScope(OneRuntimeError):
    """The API key is valid and may not do this (RFC 6750 section 3.1)."""

    code, status, title = "insufficient_scope", 403, "The API key may not do this"


class NotFound(OneRuntimeError):
    """There is no such thing, or it is another organization's (the two are not told apart)."""

    code, status, title = "not_found", 404, "There is no such thing"


class MethodNotAllowed(OneRuntimeError):
    """The address exists, with other methods: `allowed`."""

    code, status, title = "method_not_allowed", 405, "This method is not allowed"

    def __init__(self, detail: str, allowed: Collection[str]) -> None:
        super().__init__(detail)
        self.allowed = allowed


class Conflict(OneRuntimeError):
    """The state of the thing does not allow it now."""

    code, status, title = "conflict", 409, "This is not possible now"


class TooLarge(OneRuntimeError):
    """The body is larger than we read."""

    code, status, title = "too_large", 413, "The request body is too large"


class RateLimited(OneRuntimeError):
    """More requests than this key may make; `retry_after` in seconds."""

    code, status, title = "rate_limited", 429, "Too many requests"

    def __init__(self, detail: str, retry_after: int) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class Unavailable(OneRuntimeError):
    """We cannot serve at the moment (the database is away, or busy)."""

    code, status, title = "unavailable", 503, "One Runtime cannot serve this at the moment"


class ConfigurationError(OneRuntimeError):
    """The operator has to change something before we can start."""

    code, status, title = "configuration_error", 500, "The configuration has to be changed"


def error_note(code: str, message: str, now: datetime, provider_reason: str | None = None) -> dict[str, str]:
    """An error as sessions and connections keep and answer it: `{code, message, at}`; for our own page also whether the
    message holds the provider's words."""
    said = {} if provider_reason is None else {"provider_reason": provider_reason}
    return {"code": code, "message": message, "at": rfc3339(now), **said}
