"""Show the progress of a long command on standard error."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import typer

_LINE_EVERY: Final = 2.0  # seconds between two progress lines


@contextmanager
def show_progress(label: str, done: str) -> Iterator[Callable[[int, int], None]]:
    """Show progress as a bar on a terminal, and as lines elsewhere. `done`: the participle in a line.

    Yield a function whose arguments are the number of finished rows and the number of all rows.
    """
    stderr, last = typer.get_text_stream("stderr"), time.monotonic()
    with typer.progressbar(length=1, label=label, file=stderr, hidden=not stderr.isatty()) as bar:

        def show(finished: int, total: int) -> None:
            nonlocal last
            bar.length = max(total, 1)
            bar.update((finished if total else 1) - bar.pos)  # without rows, show a full bar
            if not stderr.isatty() and time.monotonic() - last >= _LINE_EVERY:
                last = time.monotonic()
                typer.echo(f"{finished:,} of {total:,} rows {done}", err=True)

        yield show
