"""The errors of the client. No key, token or credential stands in any of their messages."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class FieldError:
    """One field that was refused: its dotted path and a sentence."""

    field: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What an error answer says (RFC 9457). `retry_after` in seconds; `provider_reason`: the provider's own words."""

    code: str
    status: int | None
    detail: str
    request_id: str | None = None
    errors: tuple[FieldError, ...] = ()
    retry_after: float | None = None
    provider_reason: str | None = None


class OneRuntimeError(Exception):
    """Base of every error of the client. Decide by `code`, which is stable; `detail` is for people. `status` is None
    where there was no answer."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(f"{problem.detail} ({problem.code})")
        self.code = problem.code
        self.status = problem.status
        self.detail = problem.detail
        self.request_id = problem.request_id
        self.errors = problem.errors
        self.retry_after = problem.retry_after
        self.provider_reason = problem.provider_reason

    def __reduce__(self) -> tuple[object, ...]:
        """Errors cross processes: a queue's worker pickles what went wrong."""
        names = ("code", "status", "detail", "request_id", "errors", "retry_after", "provider_reason")
        return _again, (type(self), {name: getattr(self, name) for name in names})


class ConnectRequired(OneRuntimeError):
    """The end user has to connect, or to connect again: open a session for them."""


class NotFound(OneRuntimeError):
    """There is no such thing, or it is another organization's."""


class InvalidInput(OneRuntimeError):
    """What was sent cannot be used; `errors` names the fields."""


class Unauthenticated(OneRuntimeError):
    """The API key is missing, mistyped, revoked, or of another installation."""


class RateLimited(OneRuntimeError):
    """More requests than the key may make; the client has waited and tried again already."""


class Unavailable(OneRuntimeError):
    """One Runtime cannot serve at the moment; the client has waited and tried again already."""


class ConnectionFailed(OneRuntimeError):
    """One Runtime was not reached (`connection_failed`) or did not answer in time (`timeout`). The request may have
    been carried out."""


CLASS_OF_CODE: Final[Mapping[str, type[OneRuntimeError]]] = {
    "connect_required": ConnectRequired,
    "needs_reauth": ConnectRequired,
    "not_found": NotFound,
    "credentials_refused": InvalidInput,
    "host_not_registered": InvalidInput,
    "invalid_input": InvalidInput,
    "malformed_request": InvalidInput,
    "request_refused": InvalidInput,
    "target_refused": InvalidInput,
    "unauthenticated": Unauthenticated,
    "rate_limited": RateLimited,
    "too_many_attempts": RateLimited,
    "too_many_calls": RateLimited,
    "database_busy": Unavailable,
    "key_not_in_ring": Unavailable,
    "unavailable": Unavailable,
}
"""The class of each code. The JavaScript client has the same table, and a test compares them."""

_CLASS_OF_STATUS: Final[Mapping[int, type[OneRuntimeError]]] = {
    401: Unauthenticated,
    404: NotFound,
    422: InvalidInput,
    429: RateLimited,
    503: Unavailable,
}
"""For codes that a later version of One Runtime adds."""


def error_of(problem: Problem) -> OneRuntimeError:
    """The error that callers can catch by its class."""
    fallback = _CLASS_OF_STATUS.get(problem.status or 0, OneRuntimeError)
    return CLASS_OF_CODE.get(problem.code, fallback)(problem)


def _again(kind: type[OneRuntimeError], values: Mapping[str, Any]) -> OneRuntimeError:
    return kind(Problem(**values))
