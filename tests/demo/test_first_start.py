"""The demo's data folder: made at the first start, kept at the next, its secrets for its owner only."""

import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from one_runtime.clock import system_clock
from one_runtime.db.database_url import create_database
from one_runtime.db.engine import Database
from one_runtime.demo.first_start import DemoData, exclusive, prepare
from one_runtime.encryption.vault import Vault, parse_keys
from one_runtime.errors import ConfigurationError
from one_runtime.integrations import oauth_clients
from one_runtime.tenancy import api_keys, events, organizations
from one_runtime.tenancy.events import Actor
from one_runtime.webhooks import endpoints
from one_runtime.webhooks.endpoints import WebhookEndpoint
from tests.application import catalog_with_acme

pytestmark = pytest.mark.slow

ORIGIN = "http://127.0.0.1:8001"
CLIENT_EVENTS = events.EventFilter(type="oauth_client.updated")
ENTRY = catalog_with_acme("http://127.0.0.1:8002").get("acme")


async def started(folder: Path, origin: str = ORIGIN) -> DemoData:
    assert ENTRY is not None
    with exclusive(folder):
        return await prepare(folder, origin, ENTRY)


@asynccontextmanager
async def opened(data: DemoData) -> AsyncIterator[Database]:
    database = create_database(data.database_url)
    await database.open()
    yield database
    await database.close()


async def test_first_start_creates_everything(tmp_path: Path) -> None:
    data = await started(tmp_path / "demo")
    assert data.api_key_is_new
    async with opened(data) as database, database.read() as tx:
        (key,) = [key for key in await api_keys.list_all(tx) if data.api_key.startswith(key.prefix)]
        (organization,) = await organizations.list_all(tx)
    assert key.scopes == api_keys.DEFAULT_SCOPES
    assert organization.id == key.organization_id
    assert organization.allowed_origins == (ORIGIN,)
    assert organization.return_urls == (f"{ORIGIN}/connected", f"{ORIGIN}/agents")
    assert organization.agents.connect_url == f"{ORIGIN}/agents"
    assert organization.logo_url is not None


async def test_next_start_keeps_everything(tmp_path: Path) -> None:
    first, second = await started(tmp_path), await started(tmp_path)
    assert second == replace(first, api_key_is_new=False, invitation=second.invitation)
    assert second.invitation != first.invitation, "each start makes a new link"


async def test_folder_of_an_older_version_receives_the_new_types_of_events(tmp_path: Path) -> None:
    first = await started(tmp_path)
    actor = Actor(first.organization_id, "system")
    async with opened(first) as database, database.write() as tx:
        listed = await endpoints.list_all(tx, first.organization_id)
        (present,) = await endpoints.details(tx, first.organization_id, listed)
        await endpoints.save(tx, actor, present, present.endpoint, ["connection.created"], system_clock())
    await started(tmp_path)
    async with opened(first) as database, database.read() as tx:
        (renewed,) = await endpoints.details(tx, first.organization_id, listed)
    assert set(renewed.event_types) == set(present.event_types) >= {"connection.created", "agent.connect_requested"}


async def test_webhooks_go_to_the_sample_product_of_the_newest_start(tmp_path: Path) -> None:
    async def listed(data: DemoData) -> list[WebhookEndpoint]:
        async with opened(data) as database, database.read() as tx:
            return await endpoints.list_all(tx, data.organization_id)

    first = await started(tmp_path)
    (endpoint,) = await listed(first)
    assert endpoint.url == f"{ORIGIN}/webhooks"
    moved = await started(tmp_path, "http://127.0.0.1:9001")
    (kept,) = await listed(moved)
    assert (kept.id, kept.url) == (endpoint.id, "http://127.0.0.1:9001/webhooks")
    assert moved.webhook_secret == first.webhook_secret
    (tmp_path / "webhook-secret").unlink()
    renewed = await started(tmp_path)
    (replaced,) = await listed(renewed)
    assert replaced.id != endpoint.id
    assert renewed.webhook_secret != first.webhook_secret


async def test_only_the_owner_can_read_the_secrets(tmp_path: Path) -> None:
    data = await started(tmp_path / "demo")
    assert stat.S_IMODE(data.folder.stat().st_mode) == 0o700
    for name in ("api-key", "encryption-keys", "acme-keys.json", "acme-oauth-client.json", "one-runtime.db"):
        assert stat.S_IMODE((data.folder / name).stat().st_mode) == 0o600
    assert (data.folder / ".gitignore").read_text() == "*\n"


async def test_start_on_another_port_allows_its_origin_and_return_url_too(tmp_path: Path) -> None:
    await started(tmp_path)
    data = await started(tmp_path, "http://127.0.0.1:9001")
    async with opened(data) as database, database.read() as tx:
        (organization,) = await organizations.list_all(tx)
    assert organization.allowed_origins == (ORIGIN, "http://127.0.0.1:9001")
    newest = "http://127.0.0.1:9001/connected", "http://127.0.0.1:9001/agents"
    assert organization.return_urls == (f"{ORIGIN}/connected", f"{ORIGIN}/agents", *newest)
    assert organization.agents.connect_url == "http://127.0.0.1:9001/agents"


async def test_folder_without_a_return_url_gets_one_at_the_next_start(tmp_path: Path) -> None:
    first = await started(tmp_path)
    database = create_database(first.database_url)
    await database.open()
    async with database.write() as tx:
        (organization,) = await organizations.list_all(tx)
        before = replace(organization, return_urls=(), display_name="Renamed")
        await organizations.save(tx, Actor(organization.id, "system"), before, system_clock())
    await started(tmp_path)
    async with database.read() as tx:
        (organization,) = await organizations.list_all(tx)
    await database.close()
    assert organization.return_urls == (f"{ORIGIN}/connected", f"{ORIGIN}/agents")
    assert organization.agents.connect_url == f"{ORIGIN}/agents"
    assert (organization.display_name, organization.logo_url) == ("Renamed", before.logo_url)


async def test_revoked_key_is_replaced_at_the_next_start(tmp_path: Path) -> None:
    first = await started(tmp_path)
    async with opened(first) as database, database.write() as tx:
        await api_keys.revoke(tx, first.api_key[:12], system_clock())
    second = await started(tmp_path)
    assert second.api_key_is_new
    assert second.api_key != first.api_key


async def test_second_demo_cannot_use_the_folder(tmp_path: Path) -> None:
    with exclusive(tmp_path), pytest.raises(ConfigurationError, match="Another demo"), exclusive(tmp_path):
        pass


async def test_path_that_is_not_a_folder_is_refused_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="--data"), exclusive(tmp_path / "file"):
        pass


async def test_repr_of_the_data_hides_its_secrets(tmp_path: Path) -> None:
    data = await started(tmp_path)
    secrets = (data.api_key, data.encryption_keys, data.acme_client.client_secret, *data.acme_keys.values())
    assert not any(secret is None or secret in repr(data) for secret in secrets)


async def test_organization_has_acmes_oauth_client_registered_once(tmp_path: Path) -> None:
    await started(tmp_path)
    data = await started(tmp_path, "http://127.0.0.1:9001")
    vault = Vault(parse_keys(data.encryption_keys))
    async with opened(data) as database, database.read() as tx:
        (registered,) = await oauth_clients.list_own(tx, vault, data.organization_id)
        recorded, _ = await events.list_newest(tx, data.organization_id, CLIENT_EVENTS, limit=10, before=None)
    assert (registered.integration_slug, registered.client) == ("acme", data.acme_client)
    assert len(recorded) == 1


async def test_new_oauth_client_replaces_the_registered_one(tmp_path: Path) -> None:
    first = await started(tmp_path)
    (tmp_path / "acme-oauth-client.json").unlink()
    second = await started(tmp_path)
    assert first.acme_client != second.acme_client
    async with opened(second) as database, database.read() as tx:
        vault = Vault(parse_keys(second.encryption_keys))
        (registered,) = await oauth_clients.list_own(tx, vault, second.organization_id)
    assert registered.client == second.acme_client


async def test_error_names_a_broken_file(tmp_path: Path) -> None:
    await started(tmp_path)
    (tmp_path / "acme-oauth-client.json").write_text("{")
    with pytest.raises(ConfigurationError, match=r"acme-oauth-client\.json"):
        await started(tmp_path)
