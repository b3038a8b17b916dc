"""`one-runtime connections`: find connections of all organizations, see why they broke, and force a new consent."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Final, Literal

import typer

from one_runtime.catalog.loader import load_catalog
from one_runtime.catalog.model import Integration
from one_runtime.catalog.organization_catalogs import OrganizationCatalogs
from one_runtime.catalog.public_values import public_values
from one_runtime.cli import events as events_command
from one_runtime.cli import proxy_requests as requests_command
from one_runtime.cli.listing import check_organization, print_page, time_text
from one_runtime.cli.options import (
    DEFAULT_LIMIT,
    AsJson,
    ConnectionId,
    Cursor,
    EndUserId,
    IntegrationSlug,
    Limit,
    OrganizationId,
)
from one_runtime.cli.running import read
from one_runtime.cli.terminal import print_json, print_table
from one_runtime.clock import system_clock
from one_runtime.connections import search
from one_runtime.connections.search import ConnectionSearch, FoundConnection
from one_runtime.db.engine import Transaction
from one_runtime.db.scanning import read_pages
from one_runtime.proxy import request_log
from one_runtime.proxy.request_log import LoggedRequest, RequestFilter
from one_runtime.tenancy import events
from one_runtime.tenancy.events import Event, EventFilter

app = typer.Typer()

_COLUMNS: Final = {
    "id": "id",
    "organization_id": "organization",
    "end_user_id": "end user",
    "email": "e-mail",
    "integration_slug": "integration",
    "account_label": "account",
    "status": "status",
    "since": "since",
    "next_retry_at": "next retry",
    "code": "code",
    "reason": "reason",
}
_SHOWN_ROWS: Final = 10
"""Number of events, and number of proxy calls, that `connections show` prints."""


@app.command("list")
def list_connections(  # noqa: PLR0913 - one argument for each option
    *,
    organization: OrganizationId = None,
    end_user: EndUserId = None,
    email: Annotated[str | None, typer.Option(help="E-mail address of the end user or of the account.")] = None,
    account: Annotated[str | None, typer.Option(help="Id of the account, or a part of its label.")] = None,
    integration: IntegrationSlug = None,
    status: Annotated[Literal["active", "needs_reauth"] | None, typer.Option(help="Status of the connection.")] = None,
    failing: Annotated[
        bool, typer.Option("--failing", help="Only active connections whose refresh fails at the moment.")
    ] = False,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
    as_json: AsJson = False,
) -> None:
    """List connections, newest first, with the reason why a connection does not work."""
    wanted = ConnectionSearch(organization, end_user, email, account, integration, status, failing)

    async def find(tx: Transaction) -> tuple[list[FoundConnection], str | None]:
        await check_organization(tx, organization)
        return await search.find_newest(tx, wanted, limit=limit, before=cursor)

    rows, next_cursor = read(find)
    print_page([_describe(row) for row in rows], next_cursor, as_json=as_json, columns=_COLUMNS)


def _describe(row: FoundConnection) -> dict[str, object]:
    connection, diagnosis = row.connection, row.diagnose(system_clock())
    return {
        "id": connection.id,
        "organization_id": connection.organization_id,
        "organization_name": row.organization_name,
        "end_user_id": connection.end_user_id,
        "email": row.email,
        "integration_slug": connection.integration_slug,
        "account_id": connection.account_id,
        "account_label": connection.account_label,
        "auth_type": connection.auth_type,
        "status": connection.status,
        "failing": row.is_failing,
        "code": diagnosis.code,
        "reason": diagnosis.reason,
        "advice": diagnosis.advice,
        "since": time_text(diagnosis.since),
        "next_retry_at": time_text(diagnosis.next_retry_at),
        "created_at": time_text(connection.created_at),
        "last_used_at": time_text(connection.last_used_at),
    }


@dataclass(frozen=True, slots=True)
class _History:
    row: FoundConnection
    integration: Integration | None
    events: list[Event]
    calls: list[LoggedRequest]


@app.command("show")
def show_connection(connection: ConnectionId, *, as_json: AsJson = False) -> None:
    """Show a connection: why it does not work, what to do, its last events and its last calls. Show no secrets."""
    shown = read(lambda tx: _load(tx, connection))
    described = _describe(shown.row) | _details(shown)
    of_events = [events_command.describe(event) for event in shown.events]
    of_calls = [requests_command.describe(call) for call in shown.calls]
    if as_json:
        print_json(described | {"events": of_events, "proxy_requests": of_calls})
        return
    print_table([{"field": name, "value": value} for name, value in described.items()])
    _print_section("Last events", of_events, events_command.COLUMNS)
    _print_section("Last calls through the proxy", of_calls, requests_command.COLUMNS)


async def _load(tx: Transaction, connection_id: str) -> _History:
    row = await search.find(tx, connection_id)
    owner, slug = row.connection.organization_id, row.connection.integration_slug
    recorded = partial(events.list_newest, tx, owner, EventFilter(connection_id=row.id))
    calls = partial(request_log.list_newest, tx, owner, RequestFilter(connection_id=row.id))
    return _History(
        row,
        await OrganizationCatalogs(load_catalog()).get(tx, owner, slug),
        (await read_pages(recorded, limit=_SHOWN_ROWS, cursor=None))[0],
        (await read_pages(calls, limit=_SHOWN_ROWS, cursor=None))[0],
    )


def _details(shown: _History) -> dict[str, object]:
    connection, refresh = shown.row.connection, shown.row.refresh
    values = public_values(shown.integration, connection.auth_type, connection.params)
    return {
        "integration_name": None if shown.integration is None else shown.integration.name,
        "name": connection.name,
        "error": connection.error,
        "params": values.params,
        "base_url": values.base_url,
        "scopes": list(connection.scopes),
        "missing_scopes": list(connection.missing_scopes),
        "metadata": connection.metadata,
        "updated_at": time_text(connection.updated_at),
        "token_expires_at": time_text(connection.expires_at),
        "oauth_client_id": refresh.oauth_client_id,
        "refresh_due_at": time_text(refresh.refresh_due_at),
        "refresh_failures": refresh.failures,
    }


def _print_section(title: str, rows: Sequence[Mapping[str, object]], columns: Mapping[str, str]) -> None:
    typer.echo(f"\n{title}:" if rows else f"\n{title}: none")
    omitted = {"organization_id", "end_user_id", "connection_id", "integration_slug"}
    print_table([{columns[name]: row[name] for name in columns if name not in omitted} for row in rows])
