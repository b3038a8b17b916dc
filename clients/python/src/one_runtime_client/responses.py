"""Decide whether a response is an error, and turn failures into the errors of the client."""

from typing import Any, Final

import httpx2

from one_runtime_client.calls import Call
from one_runtime_client.errors import ConnectionFailed, FieldError, OneRuntimeError, class_of

_ERROR_HEADER: Final = "one-runtime-error"
_ATTEMPTS_HEADER: Final = "one-runtime-attempts"
"""One Runtime sets this header on every response of a provider, and removes the provider's own header of this name."""


def is_refusal(call: Call, response: httpx2.Response) -> bool:
    """Return True for an error of One Runtime, or of a server in front of One Runtime (such as a load balancer)."""
    if call.relayed:
        return _ERROR_HEADER in response.headers or _ATTEMPTS_HEADER not in response.headers
    return not (response.is_success or response.status_code == httpx2.codes.NOT_MODIFIED)


def refusal(response: httpx2.Response) -> OneRuntimeError:
    """Return the error for a response. The caller must read the body of the response first."""
    code = error_code(response)
    if code is None:
        return unexpected_answer(response, f"status {response.status_code} without an error of One Runtime")
    problem = _problem(response)
    errors, choices = problem.get("errors"), problem.get("connections")
    return class_of(code, response.status_code)(
        str(problem.get("detail") or f"One Runtime answered {response.status_code}."),
        code=code,
        status=response.status_code,
        request_id=problem.get("request_id") or response.headers.get("request-id"),
        errors=map(_field_error, errors) if isinstance(errors, list) else (),
        retry_after=retry_after(response),
        provider_reason=problem.get("provider_reason"),
        connections=map(_choice, choices) if isinstance(choices, list) else (),
    )


def unexpected_answer(response: httpx2.Response, reason: str) -> OneRuntimeError:
    """Return the error for a response that does not have the documented form."""
    return OneRuntimeError(
        f"The answer cannot be read: {reason}. Check that base_url is the address of One Runtime.",
        code="unexpected_answer",
        status=response.status_code,
        request_id=response.headers.get("request-id"),
        retry_after=retry_after(response),
    )


def no_answer(error: httpx2.RequestError) -> ConnectionFailed:
    """Return the error for a request without an answer."""
    kind = type(error).__name__
    # The text of a LocalProtocolError quotes the invalid header, which can contain a credential.
    text = "" if isinstance(error, httpx2.LocalProtocolError) else str(error)
    reason = f"{kind}: {text}" if text else kind
    code = "timeout" if isinstance(error, httpx2.TimeoutException) else "connection_failed"
    return ConnectionFailed(f"One Runtime did not answer: {reason}.", code=code)


def cause(error: httpx2.RequestError) -> httpx2.RequestError | None:
    """Return the exception to chain, or None for an exception whose text can contain a credential."""
    return None if isinstance(error, httpx2.LocalProtocolError) else error


def ended_early(response: httpx2.Response, error: httpx2.RequestError) -> bool:
    """Return True if the error belongs to this response.

    The caller's `with` block can raise an error that belongs to another request.
    """
    try:
        return error.request is response.request
    except RuntimeError:  # the error has no request
        return False


def error_code(response: httpx2.Response) -> str | None:
    """Return One Runtime's error code, or None if the response is not an error of One Runtime."""
    code = _problem(response).get("code") or response.headers.get(_ERROR_HEADER)
    return code if isinstance(code, str) else None


def retry_after(response: httpx2.Response) -> float | None:
    """Return the seconds of the header `Retry-After`, or None."""
    value: str = response.headers.get("retry-after", "")
    return float(value) if value.isascii() and value.isdigit() else None


def _problem(response: httpx2.Response) -> dict[str, Any]:
    if not response.headers.get("content-type", "").startswith("application/problem+json"):
        return {}
    try:
        problem = response.json()
    except ValueError:
        return {}
    return problem if isinstance(problem, dict) else {}


def _choice(value: dict[str, str]) -> list[str]:
    return [value[name] for name in ("id", "name", "status", "created_at")]


def _field_error(value: Any) -> FieldError:
    error = value if isinstance(value, dict) else {}
    return FieldError(str(error.get("field", "")), str(error.get("message", "")))
