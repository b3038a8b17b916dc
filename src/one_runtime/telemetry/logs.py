"""Configure the log of a server: each line of a request has the ids of the request and the trace."""

import structlog

from one_runtime.telemetry import logger, tracing
from one_runtime.telemetry.current_request import current_request
from one_runtime.telemetry.logger import Form, Level


def configure(level: Level, form: Form) -> None:
    """Write the logs of One Runtime and of its libraries to standard error. See `logger.configure`."""
    logger.configure(level, form, _name_request)


def _name_request(_: object, __: str, line: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Add the ids of the request and the trace to a log line."""
    scope = current_request.get()
    if scope is not None:
        line.setdefault("request_id", scope["request_id"])
        trace_id = tracing.trace_id(scope["headers"])
        if trace_id:
            line["trace_id"] = trace_id
    return line
