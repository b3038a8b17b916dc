"""`one-runtime events`: read the audit log of all organizations."""

from dataclasses import replace
from typing import Annotated, Final

import typer

from one_runtime.cli.log_options import LogOptions, print_log, with_log_options
from one_runtime.clock import rfc3339
from one_runtime.errors import InvalidInput
from one_runtime.tenancy import events
from one_runtime.tenancy.event_types import EventType
from one_runtime.tenancy.events import ActorType, Event, EventFilter

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
@with_log_options
def list_events(
    options: LogOptions,
    *,
    type_: Annotated[EventType | None, typer.Option("--type", help="Type of the event.", show_choices=False)] = None,
    actor_type: Annotated[ActorType | None, typer.Option(help="Type of the actor that caused the event.")] = None,
    actor: Annotated[
        str | None, typer.Option(help="Id of the actor, such as an end user or the name of an operator.")
    ] = None,
) -> None:
    """List events, newest first. For example, list everything that a leaked API key did."""
    if options.api_key is not None and (actor is not None or actor_type is not None):
        raise InvalidInput(
            "Use either --api-key, or --actor and --actor-type. --api-key also finds a key by its prefix."
        )
    matching = EventFilter(**options.filters(), type=type_, actor_type=actor_type, actor_id=actor)
    print_log(options, events.list_newest, matching, _of_api_key, describe, COLUMNS)


def _of_api_key(matching: EventFilter, key_id: str) -> EventFilter:
    return replace(matching, actor_type="api_key", actor_id=key_id)


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
