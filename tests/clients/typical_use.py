"""Typical programs of callers. The type checkers read this file, but no test runs it.

A type checker must find each mistake here, because an unnecessary `ignore` comment is an error too.
"""

import io
from datetime import UTC, datetime
from typing import assert_type

import httpx2

from one_runtime_client import (
    AsyncOneRuntime,
    AsyncPages,
    Availability,
    Connection,
    ConnectRequired,
    CreatedSession,
    Event,
    Integration,
    OAuthClient,
    OneRuntime,
    OneRuntimeError,
    Organization,
    Page,
    Pages,
    RawResponse,
    WebhookVerificationError,
    webhooks,
)


def synchronous(client: OneRuntime) -> None:
    assert_type(client.sessions.create(end_user_id="u", scopes=["a"], idempotency_key="k"), CreatedSession)
    assert_type(client.integrations.list(end_user_id="u", slug="acme", timeout=5), tuple[Integration, ...])
    assert_type(client.connections.list(), Pages[Connection])
    assert_type(client.connections.list(limit=2).page(), Page[Connection])
    for event in client.events.list(type="connection.created", since=datetime.now(UTC)):
        assert_type(event, Event)
    client.connections.update("id", name=None, metadata={"team": None}, headers={"If-Match": '"1"'})
    client.connections.create(
        integration_slug="acme",
        end_user_id="u",
        auth_type="oauth2",
        credentials={"access_token": "a", "expires_at": datetime.now(UTC)},
    )
    client.organization.replace(display_name="Northwind", integrations=Availability(mode="listed", slugs=("acme",)))
    response = client.proxy.get("hubspot", "/x", end_user_id="u", query={"tag": ["a", "b"]})
    assert_type(response, httpx2.Response)
    client.proxy.post("hubspot", "/files", end_user_id="u", data={"title": "T"}, files={"a": b"text"})
    client.proxy.post("hubspot", "/files", end_user_id="u", files=[("b", ("b.png", io.BytesIO(), "image/png"))])
    with client.proxy.stream("GET", "hubspot", "/x", end_user_id="u") as streamed:
        assert_type(streamed, httpx2.Response)


def raw(client: OneRuntime) -> None:
    created = client.connections.with_raw_response.create(integration_slug="a", end_user_id="u", auth_type="none")
    assert_type(created, RawResponse[Connection])
    assert_type(created.parse(), Connection)
    assert_type(created.status, int)
    assert_type(client.connections.with_raw_response.list(), RawResponse[Page[Connection]])
    assert_type(client.oauth_clients.with_raw_response.delete("acme"), RawResponse[OAuthClient])


def errors(client: OneRuntime) -> str | None:
    try:
        client.organization.get()
    except ConnectRequired as error:
        assert_type(error.status, int | None)
        return error.detail
    except OneRuntimeError as error:
        return error.request_id
    return None


async def asynchronous(client: AsyncOneRuntime) -> None:
    assert_type(await client.sessions.create(end_user_id="u"), CreatedSession)
    assert_type(client.events.list(type="connection.created"), AsyncPages[Event])
    assert_type(await client.events.list().page("cursor"), Page[Event])
    async for connection in client.connections.list(status="active"):
        assert_type(connection, Connection)
    assert_type(await client.proxy.request("GET", "hubspot", "/x", connection_id="c"), httpx2.Response)
    assert_type(await client.organization.with_raw_response.get(), RawResponse[Organization])
    async with client.proxy.stream("GET", "hubspot", "/x", end_user_id="u") as streamed:
        assert_type(streamed, httpx2.Response)


def webhook(headers: dict[str, str], body: bytes) -> str | None:
    try:
        event = webhooks.verify(["whsec_new", "whsec_old"], headers, body)
    except WebhookVerificationError as error:
        return error.detail
    assert_type(event, webhooks.WebhookEvent)
    assert_type(event.timestamp, datetime)
    assert_type(event.connection, Connection | None)
    return event.end_user_id if event.type == "connection.needs_reauth" else event.type


def options() -> None:
    OneRuntime(http_client=httpx2.Client(), max_retries=0).close()
    OneRuntime("https://connect.example.com", "oru_key", http_client=lambda: httpx2.Client(verify=False)).close()
    AsyncOneRuntime(http_client=httpx2.AsyncClient())
    OneRuntime(http_client=httpx2.AsyncClient())  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]


def mistakes(client: OneRuntime) -> None:
    client.sessions.create(end_user="u")  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    client.sessions.create()  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    client.disconnect("acme", "u")  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    client.connections.list(status="nope")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    webhooks.verify("whsec_1", {}, {"id": "1"})  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    client.sessions.create(end_user_id=1)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    print(client.events.get("id").nothing)  # type: ignore[attr-defined] # pyright: ignore[reportUnknownMemberType, reportAttributeAccessIssue, reportUnknownArgumentType] # noqa: T201
