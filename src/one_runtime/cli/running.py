"""What every command does: open the configured database, print rows."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import typer

from one_runtime.db.engine import Database, create_database
from one_runtime.db.migrations import require_current
from one_runtime.settings import load_settings

T = TypeVar("T")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def run(work: Callable[[Database], Awaitable[T]]) -> T:
    """Open the configured database, do the work, close it."""

    async def opened() -> T:
        url = load_settings().database_url.get_secret_value()
        require_current(url)
        database = create_database(url, pool_size=1)
        await database.open()
        try:
            return await work(database)
        finally:
            await database.close()

    return asyncio.run(opened())


def print_rows(rows: list[dict[str, object]], *, as_json: bool) -> None:
    """One row a line, or all of them as JSON."""
    if as_json:
        typer.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    for row in rows:
        typer.echo("  ".join("-" if value is None else str(value) for value in row.values()))
