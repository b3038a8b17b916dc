"""The options and arguments that several subcommands of `one-runtime` have.

Every subcommand imports this module, so this module imports no module that is slow to import.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

import typer

from one_runtime.clock import parse_rfc3339, system_clock
from one_runtime.db.ids import is_id

DEFAULT_LIMIT: Final = 50

_EXAMPLE: Final = "01a21077-a507-76f0-a326-42b1c2b20688"
_AGE: Final = re.compile(r"(\d{1,6})([mhd])", re.ASCII)
_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days"}


def parse_time(text: str) -> datetime:
    """Parse a time by RFC 3339, a date, or an age such as `24h`. Raises: typer.BadParameter."""
    age = _AGE.fullmatch(text)
    try:
        if age is not None:
            return system_clock() - timedelta(**{_UNITS[age[2]]: int(age[1])})
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC) if len(text) == 10 else parse_rfc3339(text)
    except (ValueError, OverflowError) as error:
        raise typer.BadParameter(
            "must be an age such as 90m, 24h or 7d, a date such as 2026-11-25 (UTC), or a time such as "
            "2026-11-25T01:02:03Z."
        ) from error


def _check_id(value: str | None) -> str | None:
    """Return the id unchanged. Raises: typer.BadParameter if the value is not an id."""
    if value is not None and not is_id(value):
        raise typer.BadParameter(f"must be an id that One Runtime printed, such as {_EXAMPLE}.")
    return value


AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")]
Batch = Annotated[int, typer.Option(min=1, max=5000, help="Rows per transaction.")]

ServerUrl = Annotated[
    str | None, typer.Option("--url", help="URL of One Runtime. Default: the environment variable ONE_RUNTIME_URL.")
]

OwnerId = Annotated[str, typer.Option("--organization", help="Id of the organization.")]
OrganizationId = Annotated[str | None, typer.Option("--organization", help="Id of the organization. Default: all.")]
EndUserId = Annotated[str | None, typer.Option("--end-user", help="Identifier of the end user in your product.")]
IntegrationSlug = Annotated[str | None, typer.Option("--integration", help="Slug of the integration.")]
OfConnection = Annotated[str | None, typer.Option("--connection", callback=_check_id, help="Id of the connection.")]
RequestId = Annotated[
    str | None, typer.Option(callback=_check_id, help="Header Request-Id of the response to the HTTP request.")
]
Since = Annotated[
    datetime | None,
    typer.Option(
        parser=parse_time,
        metavar="TIME",
        help="Only rows since this time, such as 2h, 7d, 2026-11-25 or 2026-11-25T01:02:03Z.",
    ),
]
Until = Annotated[
    datetime | None,
    typer.Option(parser=parse_time, metavar="TIME", help="Only rows before this time, in the same form."),
]
Limit = Annotated[int, typer.Option(min=1, max=10_000, help="Maximum number of rows.")]
Cursor = Annotated[str | None, typer.Option(callback=_check_id, help="Cursor that the previous page printed.")]

Slug = Annotated[str, typer.Argument(help="Slug of the integration.")]
Slugs = Annotated[list[str] | None, typer.Argument(help="Slugs or YAML files; default: the whole catalog.")]
SlugOrFile = Annotated[str, typer.Argument(help="Slug or YAML file.")]
ConnectionId = Annotated[str, typer.Argument(metavar="ID", help="Id of the connection.")]
