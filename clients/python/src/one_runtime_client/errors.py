"""Define the errors that the client raises. No message contains an API key, a token or a credential."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Final

__all__ = [
    "Conflict",
    "ConnectRequired",
    "ConnectionChoice",
    "ConnectionFailed",
    "FieldError",
    "Gone",
    "InvalidInput",
    "NotFound",
    "OneRuntimeError",
    "PermissionDenied",
    "ProviderUnavailable",
    "RateLimited",
    "ServerError",
    "Unauthenticated",
    "Unavailable",
    "WebhookVerificationError",
]


@dataclass(frozen=True, slots=True)
class FieldError:
    """A refused field. `field`: the dotted path of the field. `message`: a sentence that says what is wrong."""

    field: str
    message: str


@dataclass(frozen=True, slots=True)
class ConnectionChoice:
    """One of several connections that a request can mean. `status`: `active` or `needs_reauth`."""

    id: str
    name: str
    status: str
    created_at: datetime


class OneRuntimeError(Exception):
    """Base class of the client's errors. `code` is stable: use `code` or the class to handle an error.

    `detail` is a text for people. `status` is None if no server answered. `retry_after` is in seconds.
    `provider_reason` is the provider's own text, if One Runtime received one. With the code `several_connections`,
    `connections` lists the connections to choose from. The code `unexpected_answer` means that
    the response does not have the documented form, usually because another server answered.

    An error survives pickle, copy, and serializers that store only the class and `args`, such as Celery's JSON.
    """

    default_code: ClassVar[str] = "unexpected_answer"
    default_status: ClassVar[int | None] = None

    def __init__(  # noqa: PLR0913, PLR0917 - by name, but serializers pass `args` by position
        self,
        detail: str = "",
        code: str | None = None,
        status: int | None = None,
        request_id: str | None = None,
        errors: Iterable[FieldError | Iterable[str]] = (),
        retry_after: float | None = None,
        provider_reason: str | None = None,
        connections: Iterable[ConnectionChoice | Iterable[str]] = (),
    ) -> None:
        self.detail = detail
        self.code = self.default_code if code is None else code
        self.status = self.default_status if status is None else status
        self.request_id = request_id
        self.errors = tuple(error if isinstance(error, FieldError) else FieldError(*error) for error in errors)
        self.retry_after = retry_after
        self.provider_reason = provider_reason
        self.connections = tuple(map(_choice, connections))
        fields = [[error.field, error.message] for error in self.errors]
        choices = [
            [choice.id, choice.name, choice.status, choice.created_at.isoformat()] for choice in self.connections
        ]
        super().__init__(detail, self.code, self.status, request_id, fields, retry_after, provider_reason, choices)

    def __str__(self) -> str:
        return f"{self.detail} ({self.code})" if self.detail else self.code

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.detail!r}, code={self.code!r}, status={self.status})"


def _choice(choice: ConnectionChoice | Iterable[str]) -> ConnectionChoice:
    if isinstance(choice, ConnectionChoice):
        return choice
    connection_id, name, status, created_at = choice
    return ConnectionChoice(connection_id, name, status, datetime.fromisoformat(created_at))


class ConnectRequired(OneRuntimeError):
    """The end user has to connect the account (again). Create a session for the end user."""

    default_code = "connect_required"
    default_status = 409


class NotFound(OneRuntimeError):
    """The resource does not exist, or the resource belongs to another organization."""

    default_code = "not_found"
    default_status = 404


class InvalidInput(OneRuntimeError):
    """One Runtime refused a value of the request. `errors` names the fields."""

    default_code = "invalid_input"
    default_status = 422


class Unauthenticated(OneRuntimeError):
    """The API key is missing, mistyped, revoked, or belongs to another installation."""

    default_code = "unauthenticated"
    default_status = 401


class PermissionDenied(OneRuntimeError):
    """The API key does not have the scope that the request needs. `detail` names the scope."""

    default_code = "insufficient_scope"
    default_status = 403


class Conflict(OneRuntimeError):
    """The request does not fit the present state, such as a session that already made its connection."""

    default_code = "conflict"
    default_status = 409


class Gone(OneRuntimeError):
    """The resource has expired, such as a session or the code of a session."""

    default_code = "session_expired"
    default_status = 410


class RateLimited(OneRuntimeError):
    """There were too many requests, and the client's retries failed too. `retry_after`: seconds to wait."""

    default_code = "rate_limited"
    default_status = 429


class ServerError(OneRuntimeError):
    """One Runtime failed. Send the `request_id` to the operator of the installation, who finds the cause in the log."""

    default_code = "internal_error"
    default_status = 500


class ProviderUnavailable(OneRuntimeError):
    """One Runtime received no usable answer from the provider. Try again later."""

    default_code = "provider_unavailable"
    default_status = 502


class Unavailable(OneRuntimeError):
    """One Runtime cannot answer at the moment, and the client's retries failed too."""

    default_code = "unavailable"
    default_status = 503


class ConnectionFailed(OneRuntimeError):
    """The client did not reach One Runtime (`connection_failed`), or One Runtime did not answer in time (`timeout`).

    In both cases, it is possible that One Runtime carried out the request.
    """

    default_code = "connection_failed"


class WebhookVerificationError(OneRuntimeError):
    """`webhooks.verify` refused a message. Answer with the status 400. `detail` names the reason, without secrets."""

    default_code = "webhook_not_verified"


CLASS_OF_CODE: Final[Mapping[str, type[OneRuntimeError]]] = {
    "connect_required": ConnectRequired,
    "needs_reauth": ConnectRequired,
}
"""The codes with a class of their own. The HTTP status decides the class of every other code."""

CLASS_OF_STATUS: Final[Mapping[int | None, type[OneRuntimeError]]] = {
    400: InvalidInput,
    401: Unauthenticated,
    403: PermissionDenied,
    404: NotFound,
    409: Conflict,
    410: Gone,
    412: Conflict,
    422: InvalidInput,
    429: RateLimited,
    500: ServerError,
    502: ProviderUnavailable,
    503: Unavailable,
    504: ProviderUnavailable,
}
"""The class of each HTTP status. The JavaScript client has the same two tables, and a test compares them."""


def class_of(code: str, status: int | None) -> type[OneRuntimeError]:
    """Return the class of an error."""
    return CLASS_OF_CODE.get(code) or CLASS_OF_STATUS.get(status, OneRuntimeError)
