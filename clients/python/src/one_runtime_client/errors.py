"""Define the errors that the client raises. No message contains an API key, a token or a credential."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

__all__ = [
    "ConnectRequired",
    "ConnectionFailed",
    "FieldError",
    "InvalidInput",
    "NotFound",
    "OneRuntimeError",
    "RateLimited",
    "Unauthenticated",
    "Unavailable",
]


@dataclass(frozen=True, slots=True)
class FieldError:
    """A refused field. `field`: the dotted path of the field. `message`: a sentence that says what is wrong."""

    field: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """The content of an error response (RFC 9457). `retry_after`: seconds. `provider_reason`: the provider's text."""

    code: str
    status: int | None
    detail: str
    request_id: str | None = None
    errors: tuple[FieldError, ...] = ()
    retry_after: float | None = None
    provider_reason: str | None = None


class OneRuntimeError(Exception):
    """Base class of the client's errors. `code` is stable: use `code` or the class to handle an error.

    `detail` is a text for people. `status` is None if no server answered. The code `unexpected_answer` means that the
    response does not have the documented form, usually because another server answered.
    """

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
        """Support pickle, because task queues send errors to another process."""
        names = ("code", "status", "detail", "request_id", "errors", "retry_after", "provider_reason")
        return _unpickled, (type(self), {name: getattr(self, name) for name in names})


class ConnectRequired(OneRuntimeError):
    """The end user has to connect the account (again). Create a session for the end user."""


class NotFound(OneRuntimeError):
    """The resource does not exist, or the resource belongs to another organization."""


class InvalidInput(OneRuntimeError):
    """One Runtime refused a value of the request. `errors` names the fields."""


class Unauthenticated(OneRuntimeError):
    """The API key is missing, mistyped, revoked, or belongs to another installation."""


class RateLimited(OneRuntimeError):
    """There were too many requests, and the client's retries failed too. `retry_after`: seconds to wait."""


class Unavailable(OneRuntimeError):
    """One Runtime cannot answer at the moment, and the client's retries failed too."""


class ConnectionFailed(OneRuntimeError):
    """The client did not reach One Runtime (`connection_failed`), or One Runtime did not answer in time (`timeout`).

    In both cases, it is possible that One Runtime carried out the request.
    """


CLASS_OF_CODE: Final[Mapping[str, type[OneRuntimeError]]] = {
    "connect_required": ConnectRequired,
    "needs_reauth": ConnectRequired,
    "not_found": NotFound,
    "credentials_refused": InvalidInput,
    "host_not_registered": InvalidInput,
    "integration_disabled": InvalidInput,
    "invalid_input": InvalidInput,
    "malformed_request": InvalidInput,
    "permission_missing": InvalidInput,
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
"""The class of each code. The JavaScript client has the same table, and a test compares the two tables."""

_CLASS_OF_STATUS: Final[Mapping[int | None, type[OneRuntimeError]]] = {
    401: Unauthenticated,
    404: NotFound,
    422: InvalidInput,
    429: RateLimited,
    503: Unavailable,
}
"""The class of each HTTP status, for codes that are not in `CLASS_OF_CODE`."""


def error_of(problem: Problem) -> OneRuntimeError:
    """Return an error. The code decides the class of the error. For an unknown code, the status decides."""
    kind = CLASS_OF_CODE.get(problem.code) or _CLASS_OF_STATUS.get(problem.status, OneRuntimeError)
    return kind(problem)


def _unpickled(kind: type[OneRuntimeError], values: Mapping[str, Any]) -> OneRuntimeError:
    return kind(Problem(**values))
