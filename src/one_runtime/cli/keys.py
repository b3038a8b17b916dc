"""`one-runtime keys`: list, activate, disable and reseal encryption keys while servers run (P3)."""

import asyncio
import json
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, aclosing, contextmanager
from dataclasses import asdict
from typing import Annotated, Final

import typer

from one_runtime.cli.running import AsJson, print_rows, run
from one_runtime.clock import rfc3339, system_clock
from one_runtime.db.engine import Database
from one_runtime.encryption import key_ring
from one_runtime.encryption.key_ring import Key, Ring
from one_runtime.encryption.rotation import Progress, reseal
from one_runtime.encryption.vault import Vault, new_key, parse_keys
from one_runtime.settings import load_settings
from one_runtime.telemetry import tracing

app = typer.Typer(no_args_is_help=True, help="Encryption keys.")

KeyName = Annotated[str, typer.Argument(metavar="KEY", help="Id of the key, or its first characters (at least 6).")]

_STOPPING: Final = (signal.SIGINT, signal.SIGTERM)

_LINE_EVERY: Final = 2.0
"""Seconds between two lines of progress without a terminal."""


@app.command("new")
def new_encryption_key() -> None:
    """Print a new encryption key for ONE_RUNTIME_ENCRYPTION_KEYS. Store it like a password."""
    typer.echo(new_key())


@app.command("list")
def list_encryption_keys(*, as_json: AsJson = False) -> None:
    """List keys by id: state, number of sealed rows, and number of servers that have the key. Never prints a key."""
    vault = _ring()

    async def work(database: Database) -> Ring:
        async with database.read() as tx:
            return await key_ring.find_all(tx, vault, system_clock())

    ring = run(work)
    if as_json:
        print_rows([asdict(key) | _times(key) | {"servers": ring.servers} for key in ring.keys], as_json=True)
    else:
        print_rows([_shown(key, ring.servers) for key in ring.keys], as_json=False)


def _ring() -> Vault:
    return Vault(parse_keys(load_settings().encryption_keys.get_secret_value()))


def _times(key: Key) -> dict[str, object]:
    moments = {"added_at": key.added_at, "activated_at": key.activated_at, "disabled_at": key.disabled_at}
    return {name: rfc3339(moment) if moment else None for name, moment in moments.items()}


def _shown(key: Key, servers: int) -> dict[str, object]:
    return {
        "id": key.id,
        "state": f"{key.state:<8}",
        "in_ring": "in this ring    " if key.in_ring else "not in this ring",
        "rows": f"{key.rows:,} rows",
        "servers": f"on {key.held_by} of {servers} servers",
        "times": ", ".join(f"{name.removesuffix('_at')} {moment}" for name, moment in _times(key).items() if moment),
    }


@app.command("activate")
def activate_encryption_key(
    key: KeyName,
    *,
    force: Annotated[
        bool, typer.Option("--force", help="Even if a running server lacks the key, or this ring lacks another key.")
    ] = False,
) -> None:
    """Make a key the active key, which seals new values on every server. Every server must have the key."""
    vault = _ring()

    async def work(database: Database) -> str:
        async with database.write() as tx:
            return await key_ring.activate(tx, vault, key, system_clock(), force=force)

    typer.echo(f"{run(work)} is the active key. Run `one-runtime keys reseal` for values that other keys sealed.")


@app.command("disable")
def disable_encryption_key(key: KeyName) -> None:
    """Disable a key that no row needs. Servers may then start without it."""

    async def work(database: Database) -> str:
        async with database.write() as tx:
            return await key_ring.disable(tx, key, system_clock())

    typer.echo(
        f"{run(work)} is disabled. Remove it from ONE_RUNTIME_ENCRYPTION_KEYS on every server. Keep it as long as you "
        "keep backups from before now."
    )


@app.command("reseal")
def reseal_encryption_keys(
    *,
    batch: Annotated[int, typer.Option(min=1, max=5000, help="Rows per transaction.")] = 100,
    as_json: AsJson = False,
) -> None:
    """Seal values of older keys again under the active key, while servers run. Can be stopped and run again."""
    vault = _ring()

    async def work(database: Database) -> tuple[Progress, int]:
        progress, stopped = Progress(), _stopped_by_signal()
        async with aclosing(reseal(database, vault, batch)) as steps:
            with _shown_progress() as show:
                async for progress in steps:
                    show(progress)
                    if stopped():
                        break
        return progress, stopped()

    with tracing.command("reseal"):
        progress, by_signal = run(work)
    _report(progress, interrupted=by_signal > 0, as_json=as_json)
    if by_signal:
        raise typer.Exit(128 + by_signal)
    if progress.left:
        raise typer.Exit(1)


def _stopped_by_signal() -> Callable[[], int]:
    """Make the first SIGINT or SIGTERM wait for the end of a step; the second one ends the process at once.

    Return a function for the signal received, or 0.
    """
    received: list[int] = []
    loop = asyncio.get_running_loop()

    def receive(number: int) -> None:
        received.append(number)
        for each in _STOPPING:
            loop.remove_signal_handler(each)
            signal.signal(each, signal.SIG_DFL)  # Python's own handler prints a traceback during the exit

    for number in _STOPPING:
        loop.add_signal_handler(number, receive, number)
    return lambda: received[0] if received else 0


def _shown_progress() -> AbstractContextManager[Callable[[Progress], None]]:
    """Show progress on standard error, as a bar on a terminal and as lines elsewhere."""
    return _bar() if typer.get_text_stream("stderr").isatty() else _lines()


@contextmanager
def _bar() -> Iterator[Callable[[Progress], None]]:
    with typer.progressbar(length=1, label="Resealing", file=typer.get_text_stream("stderr")) as bar:

        def show(progress: Progress) -> None:
            bar.length = max(progress.total, 1)
            bar.update((progress.resealed if progress.total else 1) - bar.pos)  # no rows at all are complete

        yield show


@contextmanager
def _lines() -> Iterator[Callable[[Progress], None]]:
    last = time.monotonic()

    def show(progress: Progress) -> None:
        nonlocal last
        if time.monotonic() - last >= _LINE_EVERY:
            last = time.monotonic()
            typer.echo(f"{progress.resealed:,} of {progress.total:,} rows resealed", err=True)

    yield show


def _report(progress: Progress, *, interrupted: bool, as_json: bool) -> None:
    broken = list(progress.broken.values())
    for row in broken if not as_json else ():
        typer.echo(f"{row.table} {row.id} cannot be opened: {row.reason}", err=True)
    if as_json:
        counts = {"resealed": progress.resealed, "left": progress.left, "interrupted": interrupted}
        typer.echo(json.dumps(counts | {"broken": [asdict(row) for row in broken]}))
        return
    typer.echo(f"{progress.resealed:,} rows resealed, {progress.left:,} left.")
    if interrupted:
        typer.echo("Stopped. Run the command again to continue.", err=True)
    elif progress.left > len(broken):
        typer.echo("Some rows were locked. Run the command again.", err=True)
