"""The options and the output of commands that list rows of all organizations, newest row first."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

import typer

from one_runtime.cli.terminal import print_json, print_table
from one_runtime.clock import parse_rfc3339, rfc3339, system_clock
from one_runtime.db.engine import Transaction
from one_runtime.db.ids import is_id
from one_runtime.tenancy import organizations

OrganizationId = Annotated[str | None, typer.Option("--organization", help="Id of the organization. Default: all.")]
EndUserId = Annotated[str | None, typer.Option("--end-user", help="Identifier of the end user in your product.")]
IntegrationSlug = Annotated[str | None, typer.Option("--integration", help="Slug of the integration.")]
Since = Annotated[
    str | None, typer.Option(help="Only rows since this time, such as 2h, 7d, 2026-11-25 or 2026-11-25T01:02:03Z.")
]
Until = Annotated[str | None, typer.Option(help="Only rows before this time, in the same form.")]
Limit = Annotated[int, typer.Option(min=1, max=10_000, help="Maximum number of rows.")]
Cursor = Annotated[str | None, typer.Option(help="Cursor that the previous page printed.")]

DEFAULT_LIMIT: Final = 50

_AGE: Final = re.compile(r"(\d{1,6})([mhd])", re.ASCII)
_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days"}


def parse_time(option: str, text: str | None) -> datetime | None:
    """Parse the value of `--since` or `--until`: a time by RFC 3339, a date, or an age such as `24h`.

    Raises: typer.BadParameter.
    """
    if text is None:
        return None
    age = _AGE.fullmatch(text)
    try:
        if age is not None:
            return system_clock() - timedelta(**{_UNITS[age[2]]: int(age[1])})
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC) if len(text) == 10 else parse_rfc3339(text)
    except (ValueError, OverflowError) as error:
        raise typer.BadParameter(
            f"{option} must be an age such as 90m, 24h or 7d, a date such as 2026-11-25 (UTC), or a time such as "
            "2026-11-25T01:02:03Z."
        ) from error


def time_text(moment: datetime | None) -> str | None:
    """Return a time by RFC 3339, or None for None."""
    return None if moment is None else rfc3339(moment)


def check_id(option: str, value: str | None) -> str | None:
    """Return the id unchanged. Raises: typer.BadParameter if the value is not an id."""
    if value is not None and not is_id(value):
        raise typer.BadParameter(f"{option} must be an id that One Runtime printed, such as {_EXAMPLE}.")
    return value


_EXAMPLE: Final = "01a21077-a507-76f0-a326-42b1c2b20688"


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
        from one_runtime.connections import search

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
