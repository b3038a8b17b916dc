"""The output of commands that list rows of all organizations, newest row first."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import typer

from one_runtime.cli.terminal import print_json, print_table
from one_runtime.clock import rfc3339
from one_runtime.connections import search
from one_runtime.db.engine import Transaction
from one_runtime.tenancy import organizations


def time_text(moment: datetime | None) -> str | None:
    """Return a time by RFC 3339, or None for None."""
    return None if moment is None else rfc3339(moment)


async def check_organization(tx: Transaction, organization_id: str | None) -> None:
    """Check that an organization with this id exists, so that a mistyped id gets an error. Raises: NotFound."""
    if organization_id is not None:
        await organizations.get(tx, organization_id)


async def find_organization(tx: Transaction, organization_id: str | None, connection_id: str | None) -> str | None:
    """Return the organization whose rows the command lists, or None for all organizations. Raises: NotFound.

    Without `organization_id`, use the organization of the connection, because the indexes begin with the organization.
    """
    await check_organization(tx, organization_id)
    if organization_id is None and connection_id is not None:
        return await search.find_organization(tx, connection_id)
    return organization_id


def print_page(
    rows: Sequence[Mapping[str, object]],
    cursor: str | None,
    *,
    as_json: bool,
    columns: Mapping[str, str],
) -> None:
    """Print rows as JSON, or as a table of `columns`, which maps the names of fields to the titles of columns.

    If there is a next page, print its cursor to standard error, which a program that reads the JSON does not read.
    """
    if as_json:
        print_json(rows)
    else:
        print_table([{title: row[name] for name, title in columns.items()} for row in rows])
    if cursor is not None:
        typer.echo(f"There are more rows. For the next page, add --cursor {cursor}", err=True)
    elif not rows:
        typer.echo("No row matches.", err=True)
