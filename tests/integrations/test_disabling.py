"""The operator disables an integration: every use stops, the connections stay, and all uses resume later."""

import asyncio
from datetime import timedelta
from typing import Any, Final

import httpx2
import pytest

from one_runtime.catalog.disabled_integrations import INTERVAL, list_all
from one_runtime.db.engine import Transaction
from one_runtime.errors import InvalidInput, NotFound
from one_runtime.integrations.disabling import disable as disable_integration
from one_runtime.serving.periodic_tasks import PERIODIC_TASKS
from one_runtime.settings import Settings
from one_runtime.tenancy import events
from one_runtime.tenancy.installation_events import list_newest_of_installation
from tests import disabling
from tests.application import ACME_KEYS, Application, Client, RunningAcme, started
from tests.database import ANY_DATABASE
from tests.disabling import OPERATOR

pytestmark = pytest.mark.worker

REASON: Final = "breach at the provider"


async def disable(application: Application, slug: str = "acme", reason: str | None = REASON) -> None:
    await disabling.disable(application.installation, slug, reason)


async def enable(application: Application, slug: str = "acme") -> None:
    await disabling.enable(application.installation, slug)


async def uses(client: Client, connection_id: str) -> dict[str, httpx2.Response]:
    """Use a connection, and try to make another one, in every way that the API has."""
    import_ = {"integration_slug": "acme", "end_user_id": "user_456", "auth_type": "api_key"}
    credentials = {"api_key": next(iter(ACME_KEYS.values()))}
    headers = {"One-Runtime-Connection": connection_id}
    session = {"integration_slug": "acme", "end_user_id": "user_123"}
    return {
        "proxy": await client.http.get("/v1/proxy/acme/v1/me", headers=headers),
        "credentials": await client.get(f"/v1/connections/{connection_id}/credentials"),
        "check": await client.post(f"/v1/connections/{connection_id}/check"),
        "refresh": await client.post(f"/v1/connections/{connection_id}/refresh"),
        "import": await client.post("/v1/connections", {**import_, "credentials": credentials}),
        "session": await client.post("/v1/hosted-connection-sessions", session),
    }


async def test_every_use_stops_and_resumes_with_the_same_connection(application: Application, client: Client) -> None:
    connection = await client.connect()
    await disable(application)
    for use, answer in (await uses(client, connection["id"])).items():
        assert (answer.status_code, answer.json()["code"]) == (422, "integration_disabled"), use
        assert REASON in answer.json()["detail"], use
        assert answer.headers.get("one-runtime-error") == ("integration_disabled" if use == "proxy" else None)
    assert (await client.get(f"/v1/connections/{connection['id']}")).json() == connection
    await enable(application)
    for use, answer in (await uses(client, connection["id"])).items():
        assert answer.status_code in {200, 201}, (use, answer.text)


async def test_proxy_call_without_a_connection_or_a_key_gets_the_error_that_fits(
    application: Application, client: Client
) -> None:
    await disable(application)
    headers = {"One-Runtime-End-User": "user_123"}
    answer = await client.http.get("/v1/proxy/acme/v1/me", headers=headers)
    assert answer.json()["code"] == "integration_disabled", "a new connection would not help"
    stranger = await application.client().http.get("/v1/proxy/acme/v1/me", headers=headers)
    assert stranger.json()["code"] == "unauthenticated"


async def test_list_shows_a_disabled_integration_only_to_end_users_with_a_connection(
    application: Application, client: Client
) -> None:
    await client.connect("user_123")
    before = await client.get("/v1/integrations", end_user_id="user_456")
    offered = await client.integrations("user_456")
    await disable(application)
    listed = (await client.integrations("user_123"))["acme"]
    assert (listed["status"], listed["supported_auth_types"]) == ("connected", [])
    assert offered.keys() - (await client.integrations("user_456")).keys() == {"acme"}
    after = await client.get("/v1/integrations", end_user_id="user_456")
    assert after.headers["etag"] != before.headers["etag"]
    await enable(application)
    assert (await client.get("/v1/integrations", end_user_id="user_456")).headers["etag"] == before.headers["etag"]


@pytest.mark.parametrize("mode", ["listed", "all_but"])
async def test_organization_with_a_choice_of_integrations_loses_only_the_disabled_one(
    application: Application, client: Client, mode: str
) -> None:
    body = {"display_name": "Northwind", "integrations": {"mode": mode, "slugs": ["acme", "notion"]}}
    assert (await client.send("PUT", "/v1/organization", body)).status_code == 200
    before = (await client.integrations()).keys()
    await disable(application, "hubspot" if mode == "all_but" else "notion")
    assert before - (await client.integrations()).keys() == {"hubspot" if mode == "all_but" else "notion"}


async def test_public_catalog_still_lists_a_disabled_integration(application: Application, client: Client) -> None:
    await disable(application)
    listed = (await client.get("/v1/catalog/integrations", logo="none")).json()["integrations"]
    assert "acme" in {integration["slug"] for integration in listed}


async def test_popup_does_not_offer_a_disabled_integration_and_omits_the_reason(
    application: Application, client: Client
) -> None:
    opened = (await client.session())["session_token"]
    token = (await client.session(integration_slug=None))["session_token"]
    await disable(application)
    for answer in (await client.popup("", opened), await client.type_key(opened, "acme_globex0123456789")):
        assert answer.json()["code"] == "integration_disabled"
        assert answer.json()["detail"] == "Acme CRM is not available at the moment. Try again later."
    offered = (await client.popup("", token)).json()["integrations"]
    assert "acme" not in {integration["slug"] for integration in offered}
    picked = await client.popup("", token, {"integration_slug": "acme"})
    assert picked.json()["code"] == "integration_disabled"
    await enable(application)
    assert (await client.type_key(opened, "acme_globex0123456789")).status_code == 200


async def test_server_knows_the_disabled_integrations_from_its_start(settings: Settings, acme: RunningAcme) -> None:
    async with started(settings, acme) as application:
        await disable(application)
    async with started(settings, acme) as application:
        assert application.installation.disabled.slugs == {"acme"}


async def test_worker_reads_the_list_within_seconds(application: Application) -> None:
    (task,) = (task for task in PERIODIC_TASKS if task.name == "load_disabled_integrations")
    assert task.interval == INTERVAL <= 3
    installation = application.installation
    async with installation.database.write() as tx:
        await disable_integration(tx, installation.catalog, OPERATOR, "hubspot", None, application.clock())
    await task.work(installation)
    assert installation.disabled.slugs == {"hubspot"}
    assert await task.work(installation) == 0


@ANY_DATABASE
async def test_older_read_of_the_list_does_not_replace_a_newer_one(
    settings: Settings, acme: RunningAcme, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer of the first read arrives last. On SQLite, the second read needs only one step of the event loop."""
    all_rows, is_read, may_end = Transaction.all, asyncio.Event(), asyncio.Event()

    async def slow_at_first(tx: Transaction, *args: Any, **values: Any) -> list[Any]:
        rows: list[Any] = await all_rows(tx, *args, **values)
        if not is_read.is_set():
            is_read.set()
            await may_end.wait()
        return rows

    async def end() -> None:
        may_end.set()

    async with started(settings, acme, worker=False) as application:
        installation = application.installation
        monkeypatch.setattr(Transaction, "all", slow_at_first)
        older = asyncio.create_task(installation.disabled.load(installation.database))
        await is_read.wait()
        async with installation.database.write() as tx:
            await disable_integration(tx, installation.catalog, OPERATOR, "acme", None, application.clock())
        await asyncio.gather(installation.disabled.load(installation.database), end(), older)
    assert installation.disabled.slugs == {"acme"}


async def test_repeated_disabling_replaces_the_reason_and_keeps_the_time(application: Application) -> None:
    await disable(application, reason=None)
    application.clock.advance(hours=1)
    await disable(application, reason=f"  {REASON} ")
    async with application.installation.database.read() as tx:
        (row,) = await list_all(tx)
    assert (row.reason, row.disabled_by) == (REASON, OPERATOR)
    assert application.clock() - row.disabled_at > timedelta(minutes=59)


async def test_operator_has_an_audit_log_with_the_retention_of_events(application: Application) -> None:
    await disable(application)
    await enable(application)
    async with application.installation.database.read() as tx:
        enabled, disabled = await list_newest_of_installation(tx, 9)
    assert (enabled.type, enabled.operator, enabled.data) == (
        "integration.enabled",
        OPERATOR,
        {"integration_slug": "acme"},
    )
    assert (disabled.type, disabled.data) == (
        "integration.disabled",
        {"integration_slug": "acme", "reason": REASON},
    )
    application.clock.advance(days=application.installation.settings.event_retention_days + 1)
    assert await events.purge(application.installation) == 2


async def test_unknown_and_custom_integrations_and_long_reasons_are_refused(application: Application) -> None:
    with pytest.raises(NotFound, match="catalog list"):
        await disable(application, "nothing")
    with pytest.raises(InvalidInput, match="custom integration"):
        await disable(application, "x-own")
    for reason in ("x" * 501, "two\nlines"):
        with pytest.raises(InvalidInput, match="--reason"):
            await disable(application, reason=reason)
    with pytest.raises(NotFound, match="list-disabled"):
        await enable(application)
