"""`one-runtime webhooks`: manage the webhook endpoints of all organizations, and develop receivers of webhooks.

`listen` and `trigger` are for developers. They call the API with an API key, and need no database.
"""

from datetime import datetime, timedelta
from typing import Annotated, Final, Literal

import typer

from one_runtime.cli.installed import load_vault, run_installed
from one_runtime.cli.listing import check_organization, print_page, time_text
from one_runtime.cli.operators import operator_actor
from one_runtime.cli.options import DEFAULT_LIMIT, AsJson, Cursor, Limit, OrganizationId, Since, Until, parse_time
from one_runtime.cli.running import read, write
from one_runtime.cli.terminal import print_json, print_table
from one_runtime.clock import system_clock
from one_runtime.context import Installation
from one_runtime.db.engine import Transaction
from one_runtime.db.scanning import Page, read_pages
from one_runtime.errors import InvalidInput, NotFound
from one_runtime.webhooks import deliveries, endpoints, replay, samples, secrets
from one_runtime.webhooks.attempts import AttemptResult, attempt
from one_runtime.webhooks.deliveries import Attempt, Delivery, DeliveryFilter
from one_runtime.webhooks.deliveries import Status as DeliveryStatus
from one_runtime.webhooks.endpoints import EndpointDetails, WebhookEndpoint, clean_url
from one_runtime.webhooks.messages import Message
from one_runtime.webhooks.replay import Range, ReplayStatus

app = typer.Typer()

EndpointId = Annotated[str, typer.Argument(metavar="ID", help="Id of the webhook endpoint.")]
Types = Annotated[list[str] | None, typer.Option("--type", help="Repeatable. Type of events, such as connection.*.")]

_COLUMNS: Final = {
    "id": "id",
    "organization_id": "organization",
    "kind": "kind",
    "url": "URL",
    "status": "status",
    "disabled_reason": "reason",
    "failing_since": "failing since",
    "last_success_at": "last success",
    "pending_deliveries": "pending",
}
_DELIVERY_COLUMNS: Final = {
    "event_id": "event",
    "event_type": "type",
    "event_created_at": "time",
    "status": "status",
    "failed_attempts": "failed attempts",
    "next_attempt_at": "next attempt",
    "http_status": "HTTP status",
    "error_code": "error",
}


@app.command("list")
def list_endpoints(*, organization: OrganizationId = None, as_json: AsJson = False) -> None:
    """List webhook endpoints, oldest first. The command shows no secret, and no query of a URL."""

    async def find(tx: Transaction) -> list[EndpointDetails]:
        await check_organization(tx, organization)
        return await _details(tx, await endpoints.list_all(tx, organization))

    rows = [describe_endpoint(row) for row in read(find)]
    print_page(rows, None, as_json=as_json, columns=_COLUMNS)


@app.command("show")
def show_endpoint(endpoint_id: EndpointId, *, as_json: AsJson = False) -> None:
    """Show a webhook endpoint, without its secret and without the query of its URL."""
    _print(describe_endpoint(read(lambda tx: _find_details(tx, endpoint_id))), as_json=as_json)


@app.command("create")
def create_endpoint(
    organization_id: str,
    url: Annotated[str | None, typer.Option(help="URL that receives the events. Without it, the kind is pull.")] = None,
    type_: Types = None,
    description: Annotated[str, typer.Option(help="Note about the endpoint.")] = "",
    *,
    as_json: AsJson = False,
) -> None:
    """Create a webhook endpoint and print its secret. One Runtime shows the secret only once."""
    kinds = endpoints.expand(type_ or ["*"], "--type")

    async def create(installation: Installation) -> tuple[EndpointDetails, str]:
        cleaned = None if url is None else await clean_url(installation.webhook_egress, url)
        now, actor = system_clock(), operator_actor(organization_id)
        created = endpoints.new(organization_id, url=cleaned, description=description, include=(), now=now)
        async with installation.database.write() as tx:
            await endpoints.create(tx, actor, created, kinds)
            secret = await secrets.create(tx, installation.vault, created, now)
        return EndpointDetails(created, tuple(kinds), 0), secret

    details, secret = run_installed(create)
    _print(describe_endpoint(details) | {"secret": secret}, as_json=as_json)


@app.command("update")
def update_endpoint(
    endpoint_id: EndpointId,
    *,
    url: Annotated[str | None, typer.Option(help="New URL.")] = None,
    type_: Types = None,
    status: Annotated[Literal["active", "paused"] | None, typer.Option(help="New status.")] = None,
    description: Annotated[str | None, typer.Option(help="Note about the endpoint.")] = None,
    as_json: AsJson = False,
) -> None:
    """Change, pause or activate a webhook endpoint. Waiting events go to the new URL."""
    given = {"url": url, "status": status, "description": description}
    changes = {name: value for name, value in given.items() if value is not None}
    kinds = None if type_ is None else endpoints.expand(type_, "--type")

    async def update(installation: Installation) -> EndpointDetails:
        if url is not None:
            changes["url"] = await clean_url(installation.webhook_egress, url)
        async with installation.database.write() as tx:
            present = await _find_details(tx, endpoint_id, lock=True)
            if url is not None and present.endpoint.kind == "pull":
                raise InvalidInput("An endpoint of the kind pull has no URL.")
            changed = endpoints.change(present.endpoint, changes)
            actor = operator_actor(present.endpoint.organization_id)
            await endpoints.save(tx, actor, present, changed, kinds or list(present.event_types), system_clock())
            return await _find_details(tx, endpoint_id)

    _print(describe_endpoint(run_installed(update)), as_json=as_json)


@app.command("delete")
def delete_endpoint(endpoint_id: EndpointId, *, as_json: AsJson = False) -> None:
    """Delete a webhook endpoint with its deliveries. One Runtime does not send its waiting events."""

    async def remove(tx: Transaction) -> WebhookEndpoint:
        endpoint = await _find(tx, endpoint_id, lock=True)
        await endpoints.remove(tx, operator_actor(endpoint.organization_id), endpoint, system_clock())
        return endpoint

    removed = write(remove)
    if as_json:
        print_json({"id": removed.id, "organization_id": removed.organization_id})
    else:
        typer.echo(f"Deleted {removed.id}.")


@app.command("rotate-secret")
def rotate_secret(
    endpoint_id: EndpointId,
    *,
    overlap: Annotated[
        int, typer.Option(min=0, max=7 * 24, help="Hours for which One Runtime also signs with the old secret.")
    ] = 24,
    as_json: AsJson = False,
) -> None:
    """Replace the secret of a webhook endpoint and print the new secret. One Runtime shows the secret only once."""
    vault, now = load_vault(), system_clock()

    async def rotate(tx: Transaction) -> str:
        endpoint = await _find(tx, endpoint_id, lock=True)
        actor = operator_actor(endpoint.organization_id)
        return await secrets.rotate(tx, vault, actor, endpoint, overlap=timedelta(hours=overlap), now=now)

    secret = write(rotate)
    if as_json:
        print_json({"secret": secret, "old_secret_expires_at": time_text(now + timedelta(hours=overlap))})
    else:
        typer.echo(secret)


@app.command("test")
def send_test(
    endpoint_id: EndpointId,
    *,
    type_: Annotated[str, typer.Option("--type", help="Type of a made-up event.")] = "webhook.test",
    as_json: AsJson = False,
) -> None:
    """Send a made-up event to the URL of an endpoint. Exit code 1: the receiver did not accept the event."""

    async def send(installation: Installation) -> AttemptResult:
        async with installation.database.read() as tx:
            endpoint = await _find(tx, endpoint_id)
            if endpoint.kind == "pull":
                raise InvalidInput("An endpoint of the kind pull has no URL. The organization fetches its events.")
            keys = await secrets.require(tx, installation.vault, endpoint, system_clock())
        event = samples.make_up(type_, operator_actor(endpoint.organization_id), system_clock())
        return await attempt(installation.webhook_egress, endpoint, keys, Message(event), system_clock)

    result = run_installed(send)
    _print(describe_attempt(result.attempt), as_json=as_json)
    raise typer.Exit(int(not result.is_success))


@app.command("deliveries")
def list_deliveries(  # noqa: PLR0913 - one argument for each option
    endpoint_id: EndpointId,
    *,
    event: Annotated[str | None, typer.Option(help="Id of an event. Show each attempt to deliver it.")] = None,
    status: Annotated[DeliveryStatus | None, typer.Option(help="Status of the delivery.")] = None,
    type_: Annotated[str | None, typer.Option("--type", help="Type of the event.")] = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
    as_json: AsJson = False,
) -> None:
    """List the deliveries of a webhook endpoint, by the newest event first, or the attempts of one delivery."""
    matching = DeliveryFilter(status, type_, since, until)
    if event is not None:
        _print_attempts(endpoint_id, event, as_json=as_json)
        return

    async def find(tx: Transaction) -> Page[Delivery]:
        endpoint = await _find(tx, endpoint_id)

        async def page(*, limit: int, before: str | None, scanned: int) -> Page[Delivery]:
            return await deliveries.list_page(tx, endpoint, matching, limit=limit, before=before, scanned=scanned)

        return await read_pages(page, limit=limit, cursor=cursor)

    rows, next_cursor = read(find)
    print_page([describe_delivery(row) for row in rows], next_cursor, as_json=as_json, columns=_DELIVERY_COLUMNS)


def _print_attempts(endpoint_id: str, event_id: str, *, as_json: bool) -> None:
    async def find(tx: Transaction) -> tuple[Delivery, list[Attempt]]:
        endpoint = await _find(tx, endpoint_id)
        return await deliveries.get(tx, endpoint, event_id), await deliveries.attempts_of(tx, endpoint, event_id)

    delivery, made = read(find)
    attempts = [describe_attempt(each) for each in made]
    if as_json:
        print_json(describe_delivery(delivery) | {"attempts": attempts})
    else:
        print_table([{"field": name, "value": value} for name, value in describe_delivery(delivery).items()])
        print_table([{name.replace("_", " "): value for name, value in each.items()} for each in attempts])


@app.command("retry")
def retry_delivery(
    endpoint_id: EndpointId,
    event_id: Annotated[str, typer.Argument(metavar="EVENT", help="Id of the event.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Deliver one event again. The server sends the event within a second."""

    async def retry(tx: Transaction) -> Delivery:
        endpoint = await _find(tx, endpoint_id)
        await replay.retry(tx, system_clock, endpoint, event_id)
        return await deliveries.get(tx, endpoint, event_id)

    _print(describe_delivery(write(retry)), as_json=as_json)


@app.command("replay")
def replay_deliveries(
    endpoint_id: EndpointId,
    *,
    since: Annotated[
        datetime,
        typer.Option(
            parser=parse_time, metavar="TIME", help="Events since this time, such as 2h, 7d, or 2026-11-25T01:02:03Z."
        ),
    ],
    until: Until = None,
    status: Annotated[ReplayStatus, typer.Option(help="Deliveries to repeat.")] = "failed",
    type_: Types = None,
    as_json: AsJson = False,
) -> None:
    """Deliver the events of a time again: the failed ones, the missing ones too, or all."""
    end = until or system_clock()
    kinds = None if type_ is None else endpoints.expand(type_, "--type")

    async def queue(installation: Installation) -> int:
        async with installation.database.read() as tx:
            present = await _find_details(tx, endpoint_id)
        chosen = Range(since, end, kinds or present.event_types)
        return await replay.replay(installation, present.endpoint, chosen, status)

    queued = run_installed(queue)
    if as_json:
        print_json({"queued_deliveries": queued})
    else:
        typer.echo(f"Queued {queued} deliveries.")


async def _find(tx: Transaction, endpoint_id: str, *, lock: bool = False) -> WebhookEndpoint:
    """Return an endpoint of any organization. Raises: NotFound."""
    found = await endpoints.find(tx, endpoint_id)
    if found is None:
        raise NotFound(f"There is no webhook endpoint {endpoint_id[:64]!r}. `one-runtime webhooks list` shows all.")
    return await endpoints.get(tx, found.organization_id, found.id, lock=lock)


async def _find_details(tx: Transaction, endpoint_id: str, *, lock: bool = False) -> EndpointDetails:
    return (await _details(tx, [await _find(tx, endpoint_id, lock=lock)]))[0]


async def _details(tx: Transaction, rows: list[WebhookEndpoint]) -> list[EndpointDetails]:
    detailed = dict[str, EndpointDetails]()
    for organization_id in {row.organization_id for row in rows}:
        mine = [row for row in rows if row.organization_id == organization_id]
        detailed |= {each.endpoint.id: each for each in await endpoints.details(tx, organization_id, mine)}
    return [detailed[row.id] for row in rows]


def _print(described: dict[str, object], *, as_json: bool) -> None:
    if as_json:
        print_json(described)
    else:
        print_table([{"field": name, "value": value} for name, value in described.items()])


def describe_endpoint(details: EndpointDetails) -> dict[str, object]:
    """Return an endpoint in the form that commands print, without the query of the URL, which can contain a secret."""
    endpoint = details.endpoint
    return {
        "id": endpoint.id,
        "organization_id": endpoint.organization_id,
        "kind": endpoint.kind,
        "url": endpoint.shown_url,
        "event_types": list(details.event_types),
        "include": list(endpoint.include),
        "description": endpoint.description,
        "status": endpoint.status,
        "disabled_reason": endpoint.disabled_reason,
        "failing_since": time_text(endpoint.failing_since),
        "last_success_at": time_text(endpoint.succeeded_at),
        "pending_deliveries": details.pending,
        "expires_at": time_text(endpoint.expires_at),
        "created_at": time_text(endpoint.created_at),
        "updated_at": time_text(endpoint.updated_at),
    }


def describe_delivery(delivery: Delivery) -> dict[str, object]:
    """Return a delivery in the form that commands print."""
    return {
        "event_id": delivery.id,
        "event_type": delivery.type,
        "event_created_at": time_text(delivery.occurred_at),
        "status": delivery.status,
        "failed_attempts": delivery.failures,
        "next_attempt_at": time_text(delivery.due_at),
        "http_status": delivery.response_status,
        "error_code": delivery.error,
        "settled_at": time_text(delivery.settled_at),
    }


def describe_attempt(attempt: Attempt) -> dict[str, object]:
    """Return an attempt in the form that commands print."""
    return {
        "created_at": time_text(attempt.attempted_at),
        "duration_ms": attempt.duration_ms,
        "http_status": attempt.response_status,
        "error_code": attempt.error,
        "response_excerpt": attempt.excerpt,
    }
