"""The options that `events list` and `proxy-requests list` have in common, and the reading of a page with them."""

import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial, wraps
from typing import Annotated, Any, Final, Protocol, TypedDict, TypeVar

import typer

from one_runtime.cli.listing import find_organization, print_page
from one_runtime.cli.options import (
    DEFAULT_LIMIT,
    AsJson,
    Cursor,
    EndUserId,
    IntegrationSlug,
    Limit,
    OfConnection,
    OrganizationId,
    RequestId,
    Since,
    Until,
)
from one_runtime.cli.running import read
from one_runtime.db.engine import Transaction
from one_runtime.db.scanning import Page, read_pages
from one_runtime.tenancy import api_keys


class _LogRow(Protocol):
    @property
    def id(self) -> str: ...


R = TypeVar("R", bound=_LogRow)
F = TypeVar("F")


class CommonFilters(TypedDict):
    """The filters that events and proxy calls have in common."""

    end_user_id: str | None
    connection_id: str | None
    integration_slug: str | None
    request_id: str | None
    since: datetime | None
    until: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LogOptions:
    """The values of the common options."""

    organization: OrganizationId = None
    end_user: EndUserId = None
    connection: OfConnection = None
    integration: IntegrationSlug = None
    api_key: Annotated[str | None, typer.Option(help="Id or prefix of the API key of the caller.")] = None
    request_id: RequestId = None
    since: Since = None
    until: Until = None
    limit: Limit = DEFAULT_LIMIT
    cursor: Cursor = None
    as_json: AsJson = False

    def filters(self) -> CommonFilters:
        """Return the filters."""
        return {
            "end_user_id": self.end_user,
            "connection_id": self.connection,
            "integration_slug": self.integration,
            "request_id": self.request_id,
            "since": self.since,
            "until": self.until,
        }


_COMMON: Final = inspect.signature(LogOptions).parameters


def with_log_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the common options. The command receives the values as its first argument, a `LogOptions`."""
    _, *own = inspect.signature(command).parameters.values()

    @wraps(command)
    def run(**values: Any) -> None:
        common = {name: values.pop(name) for name in _COMMON}
        command(LogOptions(**common), **values)

    parameters = [*_COMMON.values(), *own]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined] # Typer reads the signature
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


def print_log(
    options: LogOptions,
    list_newest: Callable[..., Awaitable[Page[R]]],
    matching: F,
    of_api_key: Callable[[F, str], F],
    describe: Callable[[R], Mapping[str, object]],
    columns: Mapping[str, str],
) -> None:
    """Read one page of rows, and print the page. Raises: NotFound.

    `list_newest`: reads rows that match `matching`. `of_api_key`: adds the id of an API key to `matching`.
    """

    async def find(tx: Transaction) -> Page[R]:
        owner, filters = await find_organization(tx, options.organization, options.connection), matching
        if options.api_key is not None:
            key = await api_keys.find(tx, options.api_key)
            owner, filters = owner or key.organization_id, of_api_key(matching, key.id)
        return await read_pages(partial(list_newest, tx, owner, filters), limit=options.limit, cursor=options.cursor)

    rows, next_cursor = read(find)
    print_page([describe(row) for row in rows], next_cursor, as_json=options.as_json, columns=columns)
