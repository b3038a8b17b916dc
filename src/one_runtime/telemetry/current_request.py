"""Hold the HTTP request that the current asyncio task handles, for log lines and events."""

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, Final

current_request: Final[ContextVar[Mapping[str, Any] | None]] = ContextVar("one_runtime_request", default=None)
"""The ASGI scope of the request. None outside of a request, for example in a worker or a command."""


def current_request_id() -> str | None:
    """Return the id of the current HTTP request. Return None outside of a request."""
    request = current_request.get()
    return None if request is None else str(request["request_id"])
