"""`one-runtime organizations export`: write the data of one organization as JSON lines.

Each line is an object with a `kind`. The other fields of a line are the fields of the same object in the API.
"""

import json
import sys
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Final, TextIO, TypeVar

import typer

from one_runtime import __version__
from one_runtime.catalog import organization_catalogs
from one_runtime.catalog.custom import written
from one_runtime.catalog.model import Integration
from one_runtime.catalog.public_values import public_values
from one_runtime.cli import events as events_command
from one_runtime.cli import proxy_requests as requests_command
from one_runtime.cli import webhooks as webhooks_command
from one_runtime.cli.installed import run_installed
from one_runtime.cli.listing import time_text
from one_runtime.cli.operators import operator_actor
from one_runtime.cli.terminal import print_json, print_table
from one_runtime.connections import connections
from one_runtime.connections.connections import Connection, ConnectionFilter
from one_runtime.context import Installation
from one_runtime.db.engine import Transaction
from one_runtime.db.private_file import new_private_file
from one_runtime.errors import InvalidInput
from one_runtime.integrations import client_registration
from one_runtime.integrations.client_registration import RegisteredClient
from one_runtime.proxy import request_log, usage
from one_runtime.proxy.request_log import RequestFilter
from one_runtime.proxy.usage import UsageHour
from one_runtime.tenancy import api_keys, end_user_tokens, end_users, events, organizations
from one_runtime.tenancy.api_keys import ApiKey
from one_runtime.tenancy.end_user_tokens import EndUserToken
from one_runtime.tenancy.end_users import EndUser, EndUserFilter
from one_runtime.tenancy.events import Actor, EventFilter
from one_runtime.tenancy.organizations import Organization
from one_runtime.tokens.credential_export import read_stored_credentials
from one_runtime.webhooks import deliveries
from one_runtime.webhooks import endpoints as webhook_endpoints
from one_runtime.webhooks.deliveries import DeliveryFilter
from one_runtime.webhooks.endpoints import WebhookEndpoint

app = typer.Typer()

R = TypeVar("R")

FORMAT: Final = 1
"""Version of the format. A new version of One Runtime can add kinds and fields without a new version of the format."""

PAGE: Final = 500
"""Number of rows that one statement reads."""

Line = dict[str, object]


@app.command("export")
def export_organization(
    organization_id: str,
    *,
    output: Annotated[Path | None, typer.Option(help="Path of the new file. Default: standard output.")] = None,
    with_credentials: Annotated[
        bool, typer.Option("--with-credentials", help="Also write the credentials of active connections.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="With --output, print the number of lines as JSON.")] = False,
) -> None:
    """Write the data of an organization as JSON lines, without secrets. Servers can run."""
    if with_credentials and output is None and sys.stdout.isatty():
        raise InvalidInput(
            "A terminal must not show credentials. Add --output FILE, or redirect the output to a program."
        )
    reader = operator_actor(organization_id) if with_credentials else None

    def export(file: TextIO) -> dict[str, int]:
        work = partial(write_lines, organization_id=organization_id, file=file, reader=reader)
        return run_installed(work, pool_size=2)  # one connection reads the snapshot, and one writes the events

    if output is None:
        export(sys.stdout)
        return
    with new_private_file(output), output.open("w", encoding="utf-8") as file:
        counts = export(file)
    if as_json:
        print_json({"output": str(output), "lines": counts})
    else:
        print_table([{"kind": kind, "lines": count} for kind, count in counts.items()])


async def export(
    installation: Installation, organization_id: str, *, reader: Actor | None = None, page: int = PAGE
) -> AsyncGenerator[Line, None]:
    """Yield the lines of an export. All lines show the data of the same moment.

    `reader`: the actor of the events `connection.credentials_read`, or None for an export without credentials.

    Raises: NotFound.
    """
    counts = Counter[str]()
    async with installation.database.snapshot() as tx:
        organization = await organizations.get(tx, organization_id)
        yield {
            "kind": "export",
            "format": FORMAT,
            "version": __version__,
            "exported_at": time_text(installation.clock()),
            "organization_id": organization_id,
            "with_credentials": reader is not None,
        }
        async for kind, data in _rows(tx, installation, organization, reader, page):
            counts[kind] += 1
            yield {"kind": kind, **data}
    yield {"kind": "end", "counts": dict(counts)}


async def write_lines(
    installation: Installation, organization_id: str, file: TextIO, reader: Actor | None
) -> dict[str, int]:
    """Write the lines of an export to a file. Return the number of lines by kind. Raises: NotFound."""
    counts = Counter[str]()
    async with aclosing(export(installation, organization_id, reader=reader)) as lines:
        async for line in lines:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
            counts[str(line["kind"])] += 1
    return {kind: count for kind, count in counts.items() if kind not in {"export", "end"}}


async def _rows(
    tx: Transaction, installation: Installation, organization: Organization, reader: Actor | None, page: int
) -> AsyncIterator[tuple[str, Line]]:
    identifier = organization.id
    yield "organization", _organization(organization)
    for key in await api_keys.list_all(tx, identifier):
        yield "api_key", _api_key(key)
    for custom in await organization_catalogs.list_own(tx, identifier):
        enabled = organization.offers(custom.integration.slug)
        times = {"created_at": time_text(custom.created_at), "updated_at": time_text(custom.updated_at)}
        definition = written(custom.integration, custom.integration.logo)
        yield "custom_integration", {"id": custom.integration.id, "enabled": enabled, "definition": definition} | times
    vault, public_url = installation.vault, installation.settings.public_url
    for client in await client_registration.list_registered(tx, vault, public_url, identifier):
        yield "oauth_client", _oauth_client(client)
    async for end_user in _end_users(tx, identifier, page):
        yield "end_user", _end_user(end_user)
    async for token in _end_user_tokens(tx, identifier, page):
        yield "end_user_token", _end_user_token(token)
    async for line in _connections(tx, installation, identifier, reader, page):
        yield "connection", line
    async for event in _pages(
        lambda before: events.list_newest(tx, identifier, EventFilter(), limit=page, before=before)
    ):
        yield "event", events_command.describe(event)
    async for kind, line in _webhooks(tx, identifier, page):
        yield kind, line
    async for kind, line in _calls(tx, identifier, page):
        yield kind, line


async def _calls(tx: Transaction, organization_id: str, page: int) -> AsyncIterator[tuple[str, Line]]:
    """Yield the request log, and the usage by hour."""
    async for call in _pages(
        lambda before: request_log.list_newest(tx, organization_id, RequestFilter(), limit=page, before=before)
    ):
        yield "proxy_request", requests_command.describe(call)
    async for counts in _usage_hours(tx, organization_id, page):
        yield "usage_hour", {**asdict(counts), "hour": time_text(counts.hour)}


async def _webhooks(tx: Transaction, organization_id: str, page: int) -> AsyncIterator[tuple[str, Line]]:
    """Yield the endpoints without their secrets, and the deliveries of each endpoint with their attempts."""
    listed = await webhook_endpoints.list_all(tx, organization_id)
    for details in await webhook_endpoints.details(tx, organization_id, listed):
        described = webhooks_command.describe_endpoint(details)
        yield "webhook_endpoint", {"endpoint_kind": described.pop("kind"), **described}  # a line has a `kind` too
        async for line in _deliveries(tx, details.endpoint, page):
            yield "webhook_delivery", line


async def _deliveries(tx: Transaction, endpoint: WebhookEndpoint, page: int) -> AsyncIterator[Line]:
    before = None
    while True:
        rows, before = await deliveries.list_page(tx, endpoint, DeliveryFilter(), limit=page, before=before)
        attempts = await deliveries.attempts_of_page(tx, endpoint, rows)
        for row in rows:
            described = webhooks_command.describe_delivery(row)
            made = [webhooks_command.describe_attempt(each) for each in attempts[row.id]]
            yield {"webhook_endpoint_id": endpoint.id, **described, "attempts": made}
        if before is None:
            return


async def _pages(read: Callable[[str | None], Awaitable[tuple[list[R], str | None]]]) -> AsyncIterator[R]:
    """Yield the rows of all pages. `read`: returns the page before a cursor, and the cursor of the next page."""
    rows, cursor = await read(None)
    while True:
        for row in rows:
            yield row
        if cursor is None:
            return
        rows, cursor = await read(cursor)


async def _end_users(tx: Transaction, organization_id: str, page: int) -> AsyncIterator[EndUser]:
    after = None
    while rows := await end_users.list_page(tx, organization_id, EndUserFilter(), limit=page, after=after):
        for row in rows:
            yield row
        after = rows[-1].end_user_id


async def _usage_hours(tx: Transaction, organization_id: str, page: int) -> AsyncIterator[UsageHour]:
    after = None
    while rows := await usage.list_page(tx, organization_id, limit=page, after=after):
        for row in rows:
            yield row
        after = rows[-1]


async def _end_user_tokens(tx: Transaction, organization_id: str, page: int) -> AsyncIterator[EndUserToken]:
    before = None
    while rows := await end_user_tokens.list_page(tx, organization_id, None, limit=page, before=before):
        for row in rows:
            yield row
        before = rows[-1].id


async def _connections(
    tx: Transaction, installation: Installation, organization_id: str, reader: Actor | None, page: int
) -> AsyncIterator[Line]:
    catalog, everything, before = await installation.catalogs.of(tx, organization_id), ConnectionFilter(), None
    while rows := await connections.list_page(tx, organization_id, everything, limit=page, before=before):
        stored = await read_stored_credentials(tx, installation, reader, rows) if reader is not None else None
        for row in rows:
            line = _connection(row, catalog.get(row.integration_slug))
            yield line if stored is None else {**line, "credentials": stored.get(row.id)}
        before = rows[-1].id


def _organization(organization: Organization) -> Line:
    return {
        "id": organization.id,
        "display_name": organization.display_name,
        "logo_url": organization.logo_url,
        "privacy_url": organization.privacy_url,
        "allowed_origins": organization.allowed_origins,
        "return_urls": organization.return_urls,
        "integrations": {"mode": organization.integrations_mode, "slugs": organization.integrations_slugs},
        "agents": organization.agents.fields,
        "branding": organization.branding.fields,
        "several_connections": organization.several_connections,
        "created_at": time_text(organization.created_at),
        "updated_at": time_text(organization.updated_at),
    }


def _end_user_token(token: EndUserToken) -> Line:
    times = ("created_at", "expires_at", "last_used_at", "revoked_at", "refresh_expires_at")
    return {
        "id": token.id,
        "client_id": token.client_id,
        "audience": token.audience,
        "end_user_id": token.end_user_id,
        "name": token.name,
        "prefix": token.prefix,
        **token.policy.document,
        **{name: time_text(getattr(token, name)) for name in times},
    }


def _api_key(key: ApiKey) -> Line:
    return {
        "id": key.id,
        "prefix": key.prefix,
        "name": key.name,
        "scopes": key.scopes,
        "created_at": time_text(key.created_at),
        "last_used_at": time_text(key.last_used_at),
        "revoked_at": time_text(key.revoked_at),
    }


def _oauth_client(registered: RegisteredClient) -> Line:
    client = registered.client
    return {
        "integration_slug": client.integration_slug,
        "client_id": client.client.client_id,
        "client_secret_last_four": client.secret_last_four,
        "scopes": client.scopes,
        "hosts": client.hosts,
        "fields": sorted(client.fields),
        "redirect_url": registered.redirect_url,
        "created_at": time_text(client.created_at),
        "updated_at": time_text(client.updated_at),
    }


def _end_user(end_user: EndUser) -> Line:
    times = {"created_at": time_text(end_user.created_at), "updated_at": time_text(end_user.updated_at)}
    return {**asdict(end_user), **times}


def _connection(connection: Connection, integration: Integration | None) -> Line:
    shown = public_values(integration, connection.auth_type, connection.params)
    return {
        "id": connection.id,
        "integration_slug": connection.integration_slug,
        "end_user_id": connection.end_user_id,
        "name": connection.name,
        "is_default": connection.is_default,
        "auth_type": connection.auth_type,
        "status": connection.status,
        "error": _note(connection.error),
        "account": {"id": connection.account_id, "label": connection.account_label},
        "params": dict(shown.params),
        "base_url": shown.base_url,
        "scopes": connection.scopes,
        "missing_scopes": connection.missing_scopes,
        "metadata": dict(connection.metadata),
        "created_at": time_text(connection.created_at),
        "updated_at": time_text(connection.updated_at),
        "last_used_at": time_text(connection.last_used_at),
        "token_expires_at": time_text(connection.expires_at),
    }


def _note(error: Mapping[str, str] | None) -> Line | None:
    return {"code": error["code"], "message": error["message"], "created_at": error["at"]} if error else None
