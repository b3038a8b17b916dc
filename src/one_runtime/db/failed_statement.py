"""Explain a failed statement to an operator."""

import sqlite3
import sys
from typing import Final

from one_runtime.errors import OneRuntimeError, Unavailable

STATEMENT_TIMEOUT: Final = "57014"
"""SQLSTATE of a statement that PostgreSQL has stopped (query_canceled)."""


def message_for_operator(error: OneRuntimeError) -> str:
    """Return the message of an error for the output of a command, which has no log with the driver's reason."""
    cause = error.__cause__
    if type(error) is not Unavailable or not (isinstance(cause, sqlite3.Error) or _is_of_psycopg(cause)):
        return error.detail
    if getattr(cause, "sqlstate", None) == STATEMENT_TIMEOUT:
        return (
            "The database stopped a statement, because it took longer than PostgreSQL's statement_timeout (30 seconds "
            "without a connection pooler). Narrow the command, for example with --organization or a lower --limit, or "
            "try again when the database has less work."
        )
    reason = getattr(cause, "sqlite_errorname", type(cause).__name__)
    return f"The database does not answer ({reason}). Run `one-runtime doctor`."


def _is_of_psycopg(cause: BaseException | None) -> bool:
    """Return True for an error of PostgreSQL's driver. A command that uses SQLite does not import the driver."""
    psycopg = sys.modules.get("psycopg")
    return psycopg is not None and isinstance(cause, psycopg.Error)
