"""Write structured logs: one JSON object per line, or readable text.

A log never contains a URL with a query (promise P11 of docs/security.md).
"""

import logging
import sys
import traceback
from collections.abc import Iterator
from typing import Literal

import structlog

from one_runtime.errors import OneRuntimeError
from one_runtime.telemetry import logger, tracing
from one_runtime.telemetry.current_request import current_request

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def configure(level: Literal["debug", "info", "warning", "error"], form: Literal["auto", "json", "console"]) -> None:
    """Write One Runtime's log and the logs of libraries to standard error, in one format.

    `auto`: plain text for a terminal, and JSON for a program.
    """
    if form == "auto":
        form = "console" if sys.stderr.isatty() else "json"
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _name_request,
        structlog.processors.ExceptionRenderer(_redacted_traceback),
    ]
    # structlog's default traceback would contain local variables, which can contain secrets.
    console = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    renderer: structlog.typing.Processor = structlog.processors.JSONRenderer() if form == "json" else console
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        cache_logger_on_first_use=True,
    )
    logger.use_new_configuration()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
            foreign_pre_chain=shared,
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(_LEVELS[level])
    logging.captureWarnings(capture=True)  # otherwise Python prints warnings as plain text
    # aiohttp and uvicorn log the IP address of each connection at the levels below WARNING. python_multipart logs each
    # character of some bodies.
    quiet = ("uvicorn.access", "aiohttp", "asyncio", "alembic.runtime.plugins", "urllib3", "opentelemetry")
    for name in (*quiet, "python_multipart"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("uvicorn.error").setLevel(logging.NOTSET)  # uvicorn sets the level of its start


def _name_request(_: object, __: str, line: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Add the ids of the request and the trace to a log line."""
    scope = current_request.get()
    if scope is not None:
        line.setdefault("request_id", scope["request_id"])
        trace_id = tracing.trace_id(scope["headers"])
        if trace_id:
            line["trace_id"] = trace_id
    return line


def _redacted_traceback(exc_info: structlog.typing.ExcInfo) -> str:
    """Return a traceback without the messages of library exceptions, because such messages can quote user input.

    For an `OSError`, the traceback contains `strerror`, which names no file.
    """
    return "".join(_traceback_lines(exc_info[1])).rstrip()


def _traceback_lines(error: BaseException) -> Iterator[str]:
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if before is not None:
        yield from _traceback_lines(before)
        yield "\nand then:\n\n"
    yield "Traceback (most recent call last):\n"
    yield from traceback.format_tb(error.__traceback__)
    kind = f"{type(error).__module__}.{type(error).__qualname__}"
    message = _message_of_ours(error)
    yield f"{kind}: {message}\n" if message else f"{kind}\n"
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _traceback_lines(inner)


def _message_of_ours(error: BaseException) -> str | None:
    if isinstance(error, OneRuntimeError):
        return error.detail
    return error.strerror if isinstance(error, OSError) else None
