"""`one-runtime keys`: the key ring that seals credentials (P3)."""

import typer

from one_runtime.vault import new_key

app = typer.Typer(no_args_is_help=True, help="Encryption keys of the ring.")


@app.command("new")
def new_encryption_key() -> None:
    """Print a new encryption key for ONE_RUNTIME_ENCRYPTION_KEYS. Keep it as you keep passwords."""
    typer.echo(new_key())
