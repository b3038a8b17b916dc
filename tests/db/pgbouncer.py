"""Run a real PgBouncer in front of the tests' PostgreSQL server."""

import os
import pwd
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from tests.programs import environment, program
from tests.waiting import attempts


@contextmanager
def pgbouncer(folder: Path, url: str, **settings: str) -> Iterator[str]:
    """Run PgBouncer in transaction mode, and return the URL of the database behind PgBouncer."""
    parts = urlsplit(url)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    chosen = {"pool_mode": "transaction", "default_pool_size": "2", **settings}
    lines = [
        "[databases]",
        f"* = host=127.0.0.1 port={parts.port} user={parts.username}",
        "[pgbouncer]",
        f"listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any",
        *(f"{name} = {value}" for name, value in chosen.items()),
    ]
    configuration = folder / "pgbouncer.ini"
    configuration.write_text("\n".join(lines) + "\n")
    user = ["-u", pwd.getpwnam("nobody").pw_name] if os.geteuid() == 0 else []
    log_file = folder / "pgbouncer.log"
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            [program("pgbouncer"), *user, str(configuration)], stdout=log, stderr=log, env=environment("pgbouncer")
        )
    pooled = parts._replace(netloc=f"{parts.username}@127.0.0.1:{port}").geturl()
    try:
        for _ in attempts(10):
            assert process.poll() is None, log_file.read_text()
            try:
                psycopg.connect(pooled).close()
                break
            except psycopg.OperationalError:
                continue
        yield pooled
    finally:
        process.terminate()
        process.wait(10)


def set_timeout(url: str, value: str) -> None:
    """Set the statement timeout for all later connections to this database. `0` means no timeout."""
    name = sql.Identifier(urlsplit(url).path.lstrip("/"))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL("ALTER DATABASE {} SET statement_timeout = {}").format(name, sql.Literal(value)))
