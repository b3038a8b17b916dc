"""Write structured logs: one JSON object per line, or readable text.

A log never contains a URL with a query (promise P11 of docs/security.md).

A process imports structlog for its first line, because most commands write no line.

The import of structlog takes a fifth of the time of a short command. Commands write only errors, so no other line
imports structlog in a command.
"""

import logging
import sys
import traceback
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from one_runtime.errors import OneRuntimeError

if TYPE_CHECKING:
    from structlog.typing import ExcInfo, Processor

Level: TypeAlias = Literal["debug", "info", "warning", "error"]
Form: TypeAlias = Literal["auto", "json", "console"]

_LEVELS: Final = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


class Logger:
    """Writes lines to the log. `event`: the name of the event. `fields`: the other fields of the line, no secrets."""

    def debug(self, event: str, **fields: object) -> None:
        """Write a line for the developer of One Runtime."""
        if _is_configured():
            _structlog().debug(event, **fields)

    def info(self, event: str, **fields: object) -> None:
        """Write a line about a normal event."""
        if _is_configured():
            _structlog().info(event, **fields)

    def warning(self, event: str, **fields: object) -> None:
        """Write a line about an event that the operator can need to know."""
        if _is_configured():
            _structlog().warning(event, **fields)

    def error(self, event: str, **fields: object) -> None:
        """Write a line about an event that the operator has to know."""
        _structlog().error(event, **fields)

    def exception(self, event: str, **fields: object) -> None:
        """Write an error with the traceback of the present exception."""
        _structlog().exception(event, **fields)


def configure(level: Level, form: Form, name_request: "Processor | None" = None) -> None:
    """Write One Runtime's log and the logs of libraries to standard error, in one format.

    `auto`: plain text for a terminal, and JSON for a program. `name_request`: adds the ids of the request to a line.
    """
    import structlog  # noqa: PLC0415 - see the docstring of this module

    if form == "auto":
        form = "console" if sys.stderr.isatty() else "json"
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        *([name_request] if name_request else ()),
        structlog.processors.ExceptionRenderer(_redacted_traceback),
    ]
    # structlog's default traceback would contain local variables, which can contain secrets.
    console = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    renderer: Processor = structlog.processors.JSONRenderer() if form == "json" else console
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        cache_logger_on_first_use=True,
    )
    _structlog.cache_clear()  # a logger keeps the configuration of its creation
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


def log_errors_only() -> None:
    """Write only errors, as text, to standard error. Commands other than the server call this function."""
    logging.captureWarnings(capture=True)
    root = logging.getLogger()
    root.setLevel(logging.ERROR)
    root.handlers = [_FirstError()]


class _FirstError(logging.Handler):
    """Configures the log when a library logs its first error."""

    def emit(self, record: logging.LogRecord) -> None:
        configure("error", "console")
        logging.getLogger().handle(record)


def _is_configured() -> bool:
    """Return True after the configuration of the log. Until then, the log contains only errors."""
    structlog = sys.modules.get("structlog")
    return structlog is not None and structlog.is_configured()


@cache
def _structlog() -> Any:
    """Return a logger of structlog. Without a configuration, structlog would write the lines to standard output."""
    import structlog  # noqa: PLC0415 - see the docstring of this module

    if not structlog.is_configured():
        configure("error", "console")
    return structlog.get_logger()


def _redacted_traceback(exc_info: "ExcInfo") -> str:
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
