"""`one-runtime events`: read the audit log of all organizations."""

from dataclasses import replace
from functools import partial
from typing import Annotated, Final

import typer

from one_runtime.cli.listing import (
    DEFAULT_LIMIT,
    ConnectionId,
    Cursor,
    EndUserId,
    IntegrationSlug,
    Limit,
    OrganizationId,
    RequestId,
    Since,
    Until,
    check_id,
    find_organization,
    parse_time,
    print_page,
)
from one_runtime.cli.running import read
from one_runtime.cli.terminal import AsJson
from one_runtime.clock import rfc3339
from one_runtime.db.engine import Transaction
from one_runtime.db.scanning import Page, read_pages
from one_runtime.errors import InvalidInput
from one_runtime.tenancy import api_keys, events
from one_runtime.tenancy.events import ActorType, Event, EventFilter, EventType

app = typer.Typer()

COLUMNS: Final = {
    "created_at": "time",
    "organization_id": "organization",
    "type": "type",
    "actor": "actor",
    "address": "address",
    "end_user_id": "end user",
    "connection_id": "connection",
    "data": "data",
}


@app.command("list")
def list_events(  # noqa: PLR0913 - one argument for each option
    *,
    organization: OrganizationId = None,
    end_user: EndUserId = None,
    connection: ConnectionId = None,
    integration: IntegrationSlug = None,
    type_: Annotated[EventType | None, typer.Option("--type", help="Type of the event.", show_choices=False)] = None,
    actor_type: Annotated[ActorType | None, typer.Option(help="Type of the actor that caused the event.")] = None,
    actor: Annotated[
        str | None, typer.Option(help="Id of the actor, such as an end user or the name of an operator.")
    ] = None,
    api_key: Annotated[str | None, typer.Option(help="Id or prefix of the API key that caused the event.")] = None,
    request_id: RequestId = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
    as_json: AsJson = False,
) -> None:
    """List events, newest first. For example, list everything that a leaked API key did."""
    if api_key is not None and (actor is not None or actor_type is not None):
        raise InvalidInput(
            "Use either --api-key, or --actor and --actor-type. --api-key also finds a key by its prefix."
        )
    check_id("--connection", connection)
    check_id("--cursor", cursor)
    check_id("--request-id", request_id)
    matching = EventFilter(
        type=type_,
        end_user_id=end_user,
        connection_id=connection,
        integration_slug=integration,
        actor_type=actor_type,
        actor_id=actor,
        request_id=request_id,
        since=parse_time("--since", since),
        until=parse_time("--until", until),
    )

    async def find(tx: Transaction) -> Page[Event]:
        owner, filters = await find_organization(tx, organization, connection), matching
        if api_key is not None:
            key = await api_keys.find(tx, api_key)
            owner, filters = owner or key.organization_id, replace(matching, actor_type="api_key", actor_id=key.id)
        page = partial(events.list_newest, tx, owner, filters)
        return await read_pages(page, limit=limit, cursor=cursor)

    rows, next_cursor = read(find)
    print_page([describe(row) for row in rows], next_cursor, as_json=as_json, columns=COLUMNS)


def describe(event: Event) -> dict[str, object]:
    """Return an event in the form that commands print."""
    return {
        "id": event.id,
        "created_at": rfc3339(event.occurred_at),
        "organization_id": event.organization_id,
        "type": event.type,
        "actor": {"type": event.actor_type, "id": event.actor_id},
        "address": event.address,
        "end_user_id": event.end_user_id,
        "connection_id": event.connection_id,
        "data": dict(event.data),
        "request_id": event.request_id,
    }
