"""Every resource of the Python client, synchronous and asynchronous, against a real installation."""

import pickle
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import pytest_asyncio

from one_runtime.demo.acme import GLOBEX, INITECH
from one_runtime.settings import Settings
from one_runtime_client import (
    Availability,
    Conflict,
    Connection,
    ConnectRequired,
    Integration,
    InvalidInput,
    NotFound,
    OneRuntimeError,
    Page,
    RateLimited,
    Unauthenticated,
)
from tests.application import ACME_KEYS, RunningAcme
from tests.clients.python_callers import KINDS, Kind, Served, calling, served
from tests.redirects import RETURN_URL, type_key

# Nothing here depends on the database: the client speaks HTTP.
pytestmark = [pytest.mark.slow, pytest.mark.only_database("sqlite")]

ENTRY: dict[str, Any] = {
    "slug": "x-billing",
    "name": "Billing",
    "description": "Invoices of a service of our own.",
    "category": "Accounting",
    "website": "https://billing.example",
    "docs": "https://billing.example/docs",
    "auth": [
        {
            "type": "api_key",
            "fields": [{"name": "api_key", "label": "API key", "where": "In the settings.", "pattern": "bk_[a-z]{16}"}],
            "base_url": "https://billing.example/v1",
            "send": {"headers": {"Authorization": "Bearer {api_key}"}},
            "check": {"path": "/me", "expect": {"json": [{"path": "id", "exists": True}]}},
            "verified": {"how": "unverified"},
        }
    ],
}
CLIENT = {"client_id": "client-1", "client_secret": "secret-0123456789"}


@pytest_asyncio.fixture(params=KINDS)
async def one_runtime(request: pytest.FixtureRequest, settings: Settings, acme: RunningAcme) -> AsyncIterator[Served]:
    async with served(settings, acme, request.param) as installation:
        yield installation


async def test_list_shows_the_status_and_the_connections(one_runtime: Served) -> None:
    before: tuple[Integration, ...] = await one_runtime.do("integrations.list", end_user_id="user_123", slug=["acme"])
    assert [(item.slug, item.status, item.connections) for item in before] == [("acme", "not_connected", None)]
    assert before[0].logo_url is not None
    assert before[0].logo_url.startswith("http")
    created = await one_runtime.connect()
    (now,) = await one_runtime.do(
        "integrations.list", end_user_id="user_123", status="connected", logo="none", expand="connections"
    )
    assert (now.slug, now.logo_url, [item.id for item in now.connections]) == ("acme", None, [created.id])
    everything = await one_runtime.do("integrations.list", end_user_id="user_123", search="acme", category="CRM")
    assert [item.slug for item in everything] == ["acme"]


async def test_list_without_an_end_user_is_refused_with_the_field(one_runtime: Served) -> None:
    with pytest.raises(InvalidInput) as refused:
        await one_runtime.do("integrations.list", end_user_id=" ")
    error = refused.value
    assert (error.code, error.status) == ("invalid_input", 422)
    assert [invalid.field for invalid in error.errors] == ["end_user_id"]
    assert error.request_id
    assert error.errors[0].message in error.detail


async def test_the_catalog_is_read(one_runtime: Served) -> None:
    (listed,) = await one_runtime.do("catalog.list", slug="salesforce")
    detail = await one_runtime.do("catalog.get", "salesforce", logo="none")
    assert (detail.id, detail.logo_url) == (listed.id, None)
    assert {auth.auth_type for auth in detail.auth} == set(listed.supported_auth_types)
    assert any(auth.oauth2 is not None and auth.oauth2.scopes for auth in detail.auth)
    acme = await one_runtime.do("catalog.get", "acme")
    assert (acme.auth[0].fields[0].name, acme.auth[0].fields[0].secret) == ("api_key", True)
    assert acme.auth[0].verified.date is not None
    assert {"CRM"} <= {category.name for category in await one_runtime.do("catalog.categories") if category.count}


async def test_unknown_integration_of_the_catalog_is_not_found(one_runtime: Served) -> None:
    with pytest.raises(NotFound):
        await one_runtime.do("catalog.get", "no-such/thing?at=all")


async def test_session_is_created_read_and_cancelled(one_runtime: Served) -> None:
    created = await one_runtime.do(
        "sessions.create", integration_slug="acme", end_user_id="user_123", metadata={"team": "growth"}, expires_in=60
    )
    assert created.session_token in created.connect_url
    assert created.session_token not in repr(created)
    read = await one_runtime.do("sessions.get", created.id)
    assert (read.status, read.mode, read.metadata, read.connection) == ("pending", "embed", {"team": "growth"}, None)
    assert read.expires_at == created.expires_at
    assert created.expires_at > datetime.now(UTC)
    assert (await one_runtime.do("sessions.cancel", created.id)).status == "cancelled"


async def test_unknown_integration_or_session_is_not_found(one_runtime: Served) -> None:
    with pytest.raises(NotFound):
        await one_runtime.do("sessions.create", integration_slug="nothing", end_user_id="user_123")
    for name in ("sessions.get", "sessions.cancel"):
        with pytest.raises(NotFound):
            await one_runtime.do(name, "..")


async def test_code_of_a_redirect_is_redeemed_for_its_end_user(one_runtime: Served) -> None:
    await one_runtime.do("organization.replace", display_name="Northwind", return_urls=[RETURN_URL])
    created = await one_runtime.do(
        "sessions.create", integration_slug="acme", end_user_id="user_123", return_url=RETURN_URL
    )
    return_to = (await type_key(one_runtime.application, created.session_token)).return_to
    assert return_to is not None
    (code,) = parse_qs(urlsplit(return_to).query)["code"]
    with pytest.raises(InvalidInput):
        await one_runtime.do("sessions.redeem", created.id, code="orcc_wrong", end_user_id="user_123")
    redeemed = await one_runtime.do("sessions.redeem", created.id, code=code, end_user_id="user_123")
    assert (redeemed.status, redeemed.connection.account.id) == ("connected", GLOBEX)


async def test_connection_is_imported_read_updated_checked_and_deleted(one_runtime: Served) -> None:
    created: Connection = await one_runtime.connect(name="First", metadata={"a": [1, None]})
    assert (created.status, created.error, created.account.id, created.metadata) == (
        "active",
        None,
        GLOBEX,
        {"a": [1, None]},
    )
    assert await one_runtime.do("connections.get", created.id) == created
    changed = await one_runtime.do("connections.update", created.id, name="Second")
    assert (changed.name, changed.metadata) == ("Second", {"a": [1, None]})
    assert (await one_runtime.do("connections.check", created.id)).working is True
    assert (await one_runtime.do("connections.refresh", created.id)).id == created.id
    credentials = await one_runtime.do("connections.credentials", created.id)
    assert credentials.credentials == {"api_key": ACME_KEYS[GLOBEX]}
    assert ACME_KEYS[GLOBEX] not in repr(credentials)
    deleted = await one_runtime.do("connections.delete", created.id)
    assert (deleted.id, [revocation.outcome for revocation in deleted.revocations]) == (created.id, ["not_supported"])
    with pytest.raises(NotFound) as missing:
        await one_runtime.do("connections.get", created.id)
    assert missing.value.status == 404


async def test_error_of_a_refused_credential_quotes_the_provider_and_not_the_key(
    one_runtime: Served,
) -> None:
    with pytest.raises(InvalidInput) as refused:
        await one_runtime.connect(credentials={"api_key": "acme_wrong0123456789"})
    assert refused.value.code == "credentials_refused"
    assert refused.value.provider_reason
    assert "acme_wrong" not in f"{refused.value!r} {refused.value}"


@pytest.mark.promise("P15")
async def test_error_lists_the_connections_that_an_import_can_mean(one_runtime: Served) -> None:
    for number in range(2):
        key = {"api_key": f"acme_{number}_0123456789"}
        await one_runtime.connect(credentials=key, name=f"Account {number}", check=False, multiple=True)
    with pytest.raises(Conflict) as refused:
        await one_runtime.connect(credentials={"api_key": "acme_new_0123456789"}, check=False)
    assert refused.value.code == "several_connections"
    choices = refused.value.connections
    assert [(choice.name, choice.status) for choice in choices] == [("Account 1", "active"), ("Account 0", "active")]
    named: dict[str, Any] = {
        "credentials": {"api_key": "acme_new_0123456789"},
        "check": False,
        "connection_id": choices[0].id,
    }
    assert (await one_runtime.connect(**named)).name == "Account 1"
    copy = pickle.loads(pickle.dumps(refused.value))
    assert copy.connections == choices


async def test_key_that_the_provider_revoked_requires_the_end_user(one_runtime: Served) -> None:
    created = await one_runtime.connect()
    whose = {"end_user_id": "user_123"}
    assert (await one_runtime.do("proxy.post", "acme", "/v1/test/revoke", **whose)).is_success
    checked = await one_runtime.do("connections.check", created.id)
    assert (checked.working, checked.connection.status) == (False, "needs_reauth")
    assert checked.connection.error.created_at <= datetime.now(UTC)
    (listed,) = await one_runtime.do("integrations.list", slug=["acme"], expand="connections", **whose)
    assert listed.status == "not_connected"
    assert [connection.error for connection in listed.connections] == [checked.connection.error]
    with pytest.raises(ConnectRequired):
        await one_runtime.do("proxy.get", "acme", "/v1/me", **whose)


async def test_session_shows_its_last_error(one_runtime: Served) -> None:
    created = await one_runtime.do("sessions.create", integration_slug="acme", end_user_id="user_123")
    popup = one_runtime.application.client()
    assert (await popup.type_key(created.session_token, "acme_wrong0123456789")).status_code == 422
    failed = await one_runtime.do("sessions.get", created.id)
    assert (failed.status, failed.last_error.code) == ("pending", "credentials_refused")
    assert (await popup.type_key(created.session_token, ACME_KEYS[GLOBEX])).status_code == 200
    connected = await one_runtime.do("sessions.get", created.id)
    assert (connected.status, connected.connection.account.id) == ("connected", GLOBEX)


async def test_empty_identifier_is_refused_before_it_addresses_another_route(one_runtime: Served) -> None:
    before = len(one_runtime.faults.seen)
    with pytest.raises(ValueError, match="empty"):
        await one_runtime.do("connections.delete", "")
    assert len(one_runtime.faults.seen) == before


async def test_loop_over_a_list_reads_all_pages(one_runtime: Served) -> None:
    created = [await one_runtime.connect(f"user/{number}") for number in range(5)]
    before = len(one_runtime.faults.seen)
    listed = await one_runtime.do("connections.list", limit=2, integration_slug="acme")
    assert [item.id for item in listed] == [item.id for item in reversed(created)]
    pages = [target for _, target, _ in one_runtime.faults.seen[before:]]
    assert len(pages) == 3
    assert all("integration_slug=acme" in item and "limit=2" in item for item in pages)
    users = await one_runtime.do("end_users.list", limit=2)
    assert [item.end_user_id for item in users] == [f"user/{number}" for number in range(5)]
    events = await one_runtime.do("events.list", limit=3, type="connection.created")
    assert [item.connection_id for item in events] == [item.id for item in reversed(created)]
    assert {(item.actor.type, item.type) for item in events} == {("api_key", "connection.created")}


async def test_page_is_requested_by_its_cursor(one_runtime: Served) -> None:
    created = [(await one_runtime.connect(f"user/{number}")).id for number in range(3)]
    first: Page[Connection] = await one_runtime.caller.page("connections.list", limit=2, integration_slug="acme")
    assert ([item.id for item in first.items], first.next_cursor is None) == (created[:0:-1], False)
    last = await one_runtime.caller.page("connections.list", first.next_cursor, limit=2, integration_slug="acme")
    assert ([item.id for item in last.items], last.next_cursor) == (created[:1], None)
    rest = await one_runtime.do("connections.list", cursor=first.next_cursor)
    assert [item.id for item in rest] == created[:1]
    users = await one_runtime.caller.page("end_users.list")
    assert [item.end_user_id for item in users.items] == ["user/0", "user/1", "user/2"]
    for name in ("events.list", "proxy_requests.list"):
        with pytest.raises(InvalidInput):
            await one_runtime.caller.page(name, "no-cursor")


async def test_list_with_an_invalid_filter_is_refused(one_runtime: Served) -> None:
    for name in ("connections.list", "end_users.list", "events.list"):
        with pytest.raises(InvalidInput):
            await one_runtime.do(name, limit=0)
    with pytest.raises(InvalidInput):
        await one_runtime.do("events.list", type="nothing.happened")


async def test_disconnect_deletes_and_a_second_call_is_harmless(one_runtime: Served) -> None:
    await one_runtime.connect()
    whose = {"integration_slug": "acme", "end_user_id": "user_123"}
    first, second = await one_runtime.do("disconnect", **whose), await one_runtime.do("disconnect", **whose)
    assert (first.status, first.deleted_count, len(first.revocations)) == ("disconnected", 1, 1)
    assert (second.status, second.deleted_count, second.revocations) == ("not_found", 0, ())
    with pytest.raises(InvalidInput):
        await one_runtime.do("disconnect", integration_slug="acme", end_user_id="")


async def test_end_user_with_any_identifier_is_deleted(one_runtime: Served) -> None:
    for end_user_id in ("user/1?x=y#z", "ada@example.com", "Zoë 1%"):
        await one_runtime.connect(end_user_id)
        forgotten = await one_runtime.do("end_users.delete", end_user_id)
        assert (forgotten.end_user_id, forgotten.deleted_connections) == (end_user_id, 1)
    with pytest.raises(NotFound):
        await one_runtime.do("end_users.delete", "nobody")


async def test_organization_is_replaced_as_a_whole(one_runtime: Served) -> None:
    changed = await one_runtime.do(
        "organization.replace", display_name="Southwind", integrations=Availability(mode="listed", slugs=("acme",))
    )
    assert (changed.display_name, changed.allowed_origins) == ("Southwind", ())
    assert changed.integrations == Availability(mode="listed", slugs=("acme",))
    assert await one_runtime.do("organization.get") == changed
    with pytest.raises(InvalidInput):
        await one_runtime.do(
            "organization.replace", display_name="X", integrations=Availability(mode="listed", slugs=("no",))
        )
    with pytest.raises(TypeError):
        await one_runtime.do("organization.replace", display_name="X", return_urls="https://app.example.com")


async def test_raw_response_of_an_import_tells_a_new_connection_from_a_present_one(one_runtime: Served) -> None:
    credentials = {"api_key": ACME_KEYS[INITECH]}
    body = {"integration_slug": "acme", "end_user_id": "u", "auth_type": "api_key", "credentials": credentials}
    raw = [await one_runtime.do("connections.with_raw_response.create", **body) for _ in range(2)]
    assert [response.status for response in raw] == [201, 200]
    assert raw[0].parse().id == raw[1].parse().id
    assert raw[0].request_id


async def test_creation_with_the_key_of_an_earlier_one_creates_nothing(one_runtime: Served) -> None:
    create = "sessions.with_raw_response.create"
    raw = [await one_runtime.do(create, end_user_id="u", idempotency_key="key-1") for _ in range(2)]
    assert raw[0].parse() == raw[1].parse()
    assert [response.headers.get("idempotent-replayed") for response in raw] == [None, "true"]
    assert (await one_runtime.do("sessions.create", end_user_id="u")).id != raw[0].parse().id


async def test_change_of_an_outdated_connection_is_a_conflict(one_runtime: Served) -> None:
    created = await one_runtime.connect()
    raw = await one_runtime.do("connections.with_raw_response.get", created.id)
    headers = {"If-Match": raw.etag}
    await one_runtime.do("connections.update", created.id, name="First", headers=headers)
    with pytest.raises(Conflict) as refused:
        await one_runtime.do("connections.update", created.id, name="Second", headers=headers)
    assert refused.value.status == 412
    unchanged = await one_runtime.do(
        "connections.with_raw_response.get", created.id, headers={"If-None-Match": raw.etag}
    )
    assert (unchanged.status, unchanged.parse().name) == (200, "First")


async def test_organization_is_changed_in_parts(one_runtime: Served) -> None:
    before = await one_runtime.do("organization.get")
    changed = await one_runtime.do("organization.update", privacy_url="https://example.com/privacy")
    assert replace(changed, privacy_url=None, updated_at=before.updated_at) == before
    offered = Availability(mode="listed", slugs=("acme",))
    changed = await one_runtime.do("organization.update", privacy_url="", allowed_origins=[], integrations=offered)
    assert (changed.privacy_url, changed.allowed_origins, changed.integrations) == (None, (), offered)


async def test_oauth_client_is_replaced_read_listed_and_deleted(one_runtime: Served) -> None:
    created = await one_runtime.do("oauth_clients.replace", "acme", **CLIENT, scopes=["account:read"])
    assert (created.client_id, created.client_secret_last_four, created.scopes) == (
        "client-1",
        "6789",
        ("account:read",),
    )
    assert created.redirect_url.endswith("/connect/callback/acme")
    assert await one_runtime.do("oauth_clients.get", "acme") == created
    assert await one_runtime.do("oauth_clients.list") == (created,)
    assert (await one_runtime.do("oauth_clients.delete", "acme")).client_id == "client-1"
    with pytest.raises(NotFound):
        await one_runtime.do("oauth_clients.get", "acme")
    with pytest.raises(InvalidInput):
        await one_runtime.do("oauth_clients.replace", "acme", client_id="")


async def test_custom_integration_is_created_from_a_mapping_or_from_text(one_runtime: Served) -> None:
    created = await one_runtime.do("custom_integrations.create", ENTRY)
    assert (created.slug, created.enabled, created.invalidated_connections) == ("x-billing", True, 0)
    assert created.definition["auth"][0]["base_url"] == "https://billing.example/v1"
    text = "\n".join(f"{name}: {value}" for name, value in ENTRY.items() if name != "auth")
    as_yaml = f"{text}\nauth: {ENTRY['auth']}".replace("True", "true")
    put = await one_runtime.do("custom_integrations.replace", "x-billing", as_yaml.replace("Billing", "Bills"))
    assert (put.id, put.name) == (created.id, "Bills")
    assert await one_runtime.do("custom_integrations.get", "x-billing") == put
    assert [integration.slug for integration in await one_runtime.do("custom_integrations.list")] == ["x-billing"]
    with pytest.raises(OneRuntimeError) as conflict:
        await one_runtime.do("custom_integrations.create", ENTRY)
    assert (conflict.value.code, conflict.value.status) == ("integration_exists", 409)
    deleted = await one_runtime.do("custom_integrations.delete", "x-billing", delete_connections=True)
    assert (deleted.slug, deleted.revocation_counts.failed) == ("x-billing", 0)
    with pytest.raises(InvalidInput):
        await one_runtime.do("custom_integrations.create", "slug: x-billing")


async def test_error_of_an_unknown_key_does_not_quote_it(one_runtime: Served) -> None:
    wrong = "oru_00000000_notakeyatall"
    async with calling(one_runtime.kind, one_runtime.url, wrong) as caller:
        with pytest.raises(Unauthenticated) as refused:
            await caller.do("organization.get")
        assert wrong not in f"{refused.value!r} {refused.value} {caller.client!r}"


async def test_key_without_the_scope_is_refused_with_the_scope_it_needs(one_runtime: Served) -> None:
    key = await one_runtime.application.key(one_runtime.organization, "read")
    async with calling(one_runtime.kind, one_runtime.url, key) as caller:
        with pytest.raises(OneRuntimeError, match="connect") as refused:
            await caller.do("sessions.create", end_user_id="user_123")
    assert (refused.value.code, refused.value.status) == ("insufficient_scope", 403)


@pytest.mark.parametrize("kind", KINDS)
async def test_rate_limited_key_is_retried_after_the_wait(settings: Settings, acme: RunningAcme, kind: Kind) -> None:
    async def ask_often(one_runtime: Served) -> None:
        for _ in range(20):
            await one_runtime.do("organization.get")

    async with served(settings.model_copy(update={"rate_limit": 6}), acme, kind) as one_runtime:
        with pytest.raises(RateLimited) as limited:
            await ask_often(one_runtime)
        waited = one_runtime.caller.slept
    assert limited.value.retry_after is not None
    assert min(*waited, limited.value.retry_after) >= 1


async def test_missing_connection_raises_connect_required(one_runtime: Served) -> None:
    await one_runtime.connect(credentials={"api_key": ACME_KEYS[INITECH]})
    with pytest.raises(ConnectRequired) as required:
        await one_runtime.do("proxy.get", "acme", "/v1/me", end_user_id="somebody_else")
    assert (required.value.code, required.value.status) == ("connect_required", 409)
