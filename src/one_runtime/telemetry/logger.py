"""Write log lines. A process imports structlog for its first line, because most commands write no line.

The import of structlog takes a fifth of the time of a short command. Commands write only errors, so no other line
imports structlog in a command.
"""

import logging
import sys
from functools import cache
from typing import Any


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


def use_new_configuration() -> None:
    """Forget the logger of the previous configuration, because it keeps this configuration."""
    _structlog.cache_clear()


def log_errors_only() -> None:
    """Write only errors, as text, to standard error. Commands other than the server call this function."""
    logging.captureWarnings(capture=True)
    root = logging.getLogger()
    root.setLevel(logging.ERROR)
    root.handlers = [_FirstError()]


class _FirstError(logging.Handler):
    """Configures the log when a library logs its first error."""

    def emit(self, record: logging.LogRecord) -> None:
        _configure()
        logging.getLogger().handle(record)


def _is_configured() -> bool:
    """Return True after the configuration of the log. Until then, the log contains only errors."""
    structlog = sys.modules.get("structlog")
    return structlog is not None and structlog.is_configured()


def _configure() -> None:
    from one_runtime.telemetry import logs  # noqa: PLC0415 - imports structlog

    logs.configure("error", "console")


@cache
def _structlog() -> Any:
    """Return a logger of structlog. Without a configuration, structlog would write the lines to standard output."""
    import structlog  # noqa: PLC0415 - see the docstring of this module

    if not structlog.is_configured():
        _configure()
    return structlog.get_logger()
