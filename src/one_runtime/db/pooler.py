"""Detect a connection pooler such as PgBouncer between One Runtime and PostgreSQL.

In PgBouncer's transaction mode, consecutive transactions of a client can use different connections to PostgreSQL. So
the settings and locks of a session are lost, or remain on a connection that another client uses next. One Runtime
needs `statement_timeout` on every connection. Without a pooler, One Runtime sets the timeout itself. With a pooler, the
timeout must be a setting of the database user.
"""

import asyncio
import time
from typing import Any, Final

import psycopg
from psycopg.conninfo import conninfo_to_dict

from one_runtime.db.obstacles import postgres_obstacle
from one_runtime.errors import ConfigurationError

PATIENCE: Final = 10.0
"""Seconds to wait for PostgreSQL at the start of a server."""
_PAUSE: Final = 0.2
_POOLED: Final[dict[str, Any]] = {
    "autocommit": True,
    "prepare_threshold": 1,
    "options": "-c timezone=UTC",
    # TCP keepalives detect a server that has disappeared.
    "tcp_user_timeout": 15_000,
    "keepalives_idle": 30,
}
_STATEMENT_TIMEOUT: Final = {"options": f"{_POOLED['options']} -c statement_timeout=30000"}
_CONNECT_TIMEOUT: Final = 10
_CONNECT_TIMEOUT_OF_SEVERAL: Final = 3
"""Seconds for each host of a URL with several hosts. A machine that has disappeared answers nothing, so the attempt to
reach the next host begins only after this time, and an operation waits at most 10 seconds for a connection."""
_PID: Final = "SELECT pg_backend_pid()"
_TIMEOUT: Final = "SELECT current_user, current_setting('statement_timeout')"


async def connection_options(url: str, *, patience: float = PATIENCE) -> dict[str, Any]:
    """Return the options for connections to PostgreSQL. Wait at most `patience` seconds for PostgreSQL.

    Raises: ConfigurationError if PostgreSQL cannot be reached, or if there is a pooler and no statement timeout.
    """
    deadline = time.monotonic() + patience
    while True:
        try:
            return await _options(url)
        except psycopg.OperationalError as error:
            if time.monotonic() > deadline:
                raise postgres_obstacle(url, error).error() from error
        except psycopg.ProgrammingError as error:  # the URL is invalid
            raise postgres_obstacle(url, error).error() from error
        await asyncio.sleep(_PAUSE)


def _pooled_options(url: str) -> dict[str, Any]:
    """Return the options for connections through a pooler. Raises: psycopg.ProgrammingError if the URL is invalid."""
    parameters = conninfo_to_dict(url)
    several = "," in str(parameters.get("hostaddr") or parameters.get("host") or "")
    default = _CONNECT_TIMEOUT_OF_SEVERAL if several else _CONNECT_TIMEOUT
    return {**_POOLED, "connect_timeout": int(parameters.get("connect_timeout") or default)}


async def _options(url: str) -> dict[str, Any]:
    pooled = _pooled_options(url)
    direct = pooled | _STATEMENT_TIMEOUT
    try:
        async with await psycopg.AsyncConnection.connect(url, **direct) as connection:
            (pid,) = await _row(connection, _PID)
            if pid == connection.info.backend_pid:
                return direct
    except psycopg.OperationalError as error:
        # By default, PgBouncer refuses a connection with parameters that it does not know.
        if "unsupported startup parameter" not in str(error):
            raise
    async with await psycopg.AsyncConnection.connect(url, **pooled) as connection:
        user, timeout = await _row(connection, _TIMEOUT)
    if timeout == "0":
        raise ConfigurationError(
            "A connection pooler is between One Runtime and PostgreSQL, so One Runtime cannot set a timeout for its "
            f"statements. Run in PostgreSQL: ALTER ROLE {user} SET statement_timeout = '30s'. Then restart the pooler."
        )
    if not await asyncio.to_thread(keeps_prepared_statements, url):
        return {**pooled, "prepare_threshold": None}
    return pooled


async def _row(connection: psycopg.AsyncConnection[Any], query: str) -> Any:
    return await (await connection.execute(query, prepare=False)).fetchone()


def is_pooled(url: str) -> bool:
    """Return True if connections to this URL go through a pooler.

    A pooler tells the client a process id of its own. `pg_backend_pid()` returns the id of PostgreSQL's process.
    """
    with psycopg.connect(url, **_pooled_options(url)) as connection:
        row = connection.execute(_PID, prepare=False).fetchone()
        return row is not None and row[0] != connection.info.backend_pid


def keeps_prepared_statements(url: str) -> bool:
    """Return True if the pooler gives each client its own prepared statements.

    Two clients prepare the same statement under the same name. A pooler that only forwards the statements gives both
    clients the same connection to PostgreSQL, and PostgreSQL refuses the second statement. If the pooler changes the
    connection after the preparation, PostgreSQL does not know the statement.
    """
    try:
        for _ in range(2):
            with psycopg.connect(url, **_pooled_options(url)) as connection:
                connection.execute(_PID, prepare=True)
    except (psycopg.errors.DuplicatePreparedStatement, psycopg.errors.InvalidSqlStatementName):
        return False
    return True
