"""Open the configured database for a subcommand of `one-runtime`, and print the output."""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from one_runtime.clock import system_clock
from one_runtime.context import Installation
from one_runtime.db.database_url import create_database
from one_runtime.db.engine import Database, Transaction
from one_runtime.db.migrations import require_compatible
from one_runtime.demo.acme_entry import allowed_targets, catalog_of
from one_runtime.egress import AllowList, Egress
from one_runtime.encryption import key_ring
from one_runtime.encryption.vault import Vault, parse_keys
from one_runtime.errors import InvalidInput
from one_runtime.jobs import liveness
from one_runtime.settings import PREFIX, Settings, load_settings

T = TypeVar("T")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def run(work: Callable[[Database], Awaitable[T]], *, pool_size: int = 1, allow_moved: bool = False) -> T:
    """Open the configured database, run the work, and close the database.

    `pool_size`: number of connections to PostgreSQL that the work uses at the same time. `allow_moved`: True to also
    open a SQLite database that `one-runtime copy` has moved to PostgreSQL. No server uses such a database.

    Raises: ConfigurationError.
    """

    async def opened() -> T:
        url = load_settings().database_url.get_secret_value()
        require_compatible(url)
        database = create_database(url, pool_size=pool_size)
        await database.open()
        try:
            if not allow_moved:
                async with database.read() as tx:
                    await liveness.require_not_moved(tx)
            return await work(database)
        finally:
            await database.close()

    return asyncio.run(opened())


def read(work: Callable[[Transaction], Awaitable[T]], *, allow_moved: bool = False) -> T:
    """Run work that only reads the database. `allow_moved`: see `run`."""

    async def in_transaction(database: Database) -> T:
        async with database.read() as tx:
            return await work(tx)

    return run(in_transaction, allow_moved=allow_moved)


def write(work: Callable[[Transaction], Awaitable[T]], *, allow_moved: bool = False) -> T:
    """Run work in one write transaction. `allow_moved`: see `run`."""

    async def in_transaction(database: Database) -> T:
        async with database.write() as tx:
            return await work(tx)

    return run(in_transaction, allow_moved=allow_moved)


def load_vault() -> Vault:
    """Return the vault, which encrypts with the configured keys. Raises: ConfigurationError."""
    return Vault(parse_keys(load_settings().encryption_keys.get_secret_value()))


def run_installed(work: Callable[[Installation], Awaitable[T]], *, pool_size: int = 1) -> T:
    """Run work that needs an `Installation`. First register the key ring (the configured keys) in the database."""
    settings = load_settings()

    async def installed(database: Database) -> T:
        vault = load_vault()
        async with database.write() as tx:
            await key_ring.register(tx, vault, system_clock())
        egress = Egress(allow=allowed_targets(settings))
        try:
            return await work(Installation(settings, database, catalog_of(settings), vault, egress, system_clock))
        finally:
            await egress.close()

    return run(installed, pool_size=pool_size)


def load_egress_allow() -> AllowList:
    """Return the targets that the operator allows. Ignore errors in other settings. Raises: ConfigurationError."""
    return _load_only("EGRESS_ALLOW").egress_allow


def allows_http() -> bool:
    """Return True if the public URL is an http URL. Ignore errors in other settings. Raises: ConfigurationError."""
    return not _load_only("PUBLIC_URL").secure


def _load_only(name: str) -> Settings:
    variable = PREFIX + name
    return load_settings({variable: os.environ[variable]} if variable in os.environ else {})


def named_values(option: str, texts: Iterable[str]) -> dict[str, str]:
    """Parse a name=value option into names and values.

    Raises: InvalidInput. The message omits the option's text, because a user can put a secret there by mistake.
    """
    pairs = [text.partition("=") for text in texts]
    if not all(equals for _, equals, _ in pairs):
        raise InvalidInput(f"A {option} must have the form name=value.")
    return {name: value for name, _, value in pairs}


def read_secret(file: Path) -> str:
    """Read a secret from a file, or from standard input if the path is `-`. Raises: InvalidInput."""
    if str(file) == "-":
        return typer.get_text_stream("stdin").read().strip()
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{file} cannot be read.") from error


def print_json(data: object) -> None:
    """Print data as indented JSON."""
    typer.echo(json.dumps(data, indent=2, ensure_ascii=False))


def print_table(rows: Sequence[Mapping[str, object]]) -> None:
    """Print rows in aligned columns below a line with the names of the columns. Without rows, print nothing.

    A text of a provider or of an end user can contain control characters, which would control the terminal.
    """
    if not rows:
        return
    lines = [list(rows[0]), *([_cell(value) for value in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _cell(value: object) -> str:
    if isinstance(value, Mapping):
        value = " ".join(f"{name}={inner}" for name, inner in value.items() if inner is not None)
    text = "-" if value is None else str(value)
    return "".join(character if character.isprintable() else " " for character in text)


def print_rows(rows: Sequence[Mapping[str, object]], *, as_json: bool) -> None:
    """Print one row per line, or all rows as JSON."""
    if as_json:
        print_json(rows)
        return
    for row in rows:
        typer.echo("  ".join("-" if value is None else str(value) for value in row.values()))
