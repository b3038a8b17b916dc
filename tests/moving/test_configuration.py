"""Compare an organization with a configuration file, and make the two equal, through the API of a real server."""

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio
import yaml
from starlette.types import Receive, Scope, Send

from one_runtime.cli.remote_api import RemoteApi, RequestFailed
from one_runtime.egress.client import Egress
from one_runtime.errors import InvalidInput
from one_runtime.moving import configuration_file
from one_runtime.moving.configuration import NULLABLE, apply, export, plan
from one_runtime.moving.configuration_file import Configuration
from tests.application import Application, running
from tests.billing import ENTRY
from tests.webhooks.receiver import accept_lifespan

SECRETS: Final = {"HUBSPOT_CLIENT_SECRET": "hubspot-secret-1234", "GITLAB_CLIENT_SECRET": "gitlab-secret-5678"}
FILE: Final = """
version: 1
organization:
  display_name: Northwind
  privacy_url: https://northwind.example/privacy
  allowed_origins: [https://app.northwind.example]
  integrations: {mode: listed, slugs: [hubspot, gitlab, x-billing]}
  agents: {access: read}
  branding: {accent_color: "#2450c4", radius: large}
oauth_clients:
  hubspot:
    client_id: hubspot-client
    client_secret: {env: HUBSPOT_CLIENT_SECRET}
    scopes: [oauth, crm.objects.contacts.read]
  gitlab:
    client_id: gitlab-client
    client_secret: {env: GITLAB_CLIENT_SECRET}
    hosts: [gitlab.northwind.example]
webhook_endpoints:
  - {url: "https://app.northwind.example/hooks?source=one-runtime", event_types: [connection.*], include: [connection]}
  - {kind: pull, description: warehouse, event_types: ["*"], status: paused}
"""


class CountingApi(RemoteApi):
    """Stops before a change, as if the process were killed there."""

    changes_left = 1_000

    async def call(
        self, method: str, path: str, body: Mapping[str, object] | None = None, *, if_match: str | None = None
    ) -> dict[str, Any]:
        if not self.changes_left:
            raise KeyboardInterrupt
        self.changes_left -= 1
        return await super().call(method, path, body, if_match=if_match)


@pytest.fixture
def wanted() -> Configuration:
    document = yaml.safe_load(FILE)
    document["custom_integrations"] = {"x-billing": yaml.safe_load(ENTRY)}
    return configuration_file.parse(yaml.safe_dump(document, sort_keys=False), SECRETS, Path())


@pytest_asyncio.fixture
async def url(application: Application) -> AsyncIterator[str]:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await (accept_lifespan if scope["type"] == "lifespan" else application.app)(scope, receive, send)

    async with running(app) as port:
        yield f"http://127.0.0.1:{port}"


@pytest_asyncio.fixture
async def egress(url: str) -> AsyncIterator[Egress]:
    port = int(url.rpartition(":")[2])
    async with Egress(allow=frozenset({("127.0.0.1", port)})) as egress:
        yield egress


async def api_of(application: Application, egress: Egress, url: str) -> CountingApi:
    """Return the API of a new organization."""
    return CountingApi(egress, url, await application.key(await application.organization("Empty", ())))


@pytest_asyncio.fixture
async def api(application: Application, egress: Egress, url: str) -> CountingApi:
    return await api_of(application, egress, url)


async def test_an_applied_file_leaves_nothing_to_change(api: CountingApi, wanted: Configuration) -> None:
    first = await plan(api, wanted)
    assert [(change.action, change.place) for change in first.changes] == [
        ("create", "custom_integrations.x-billing"),
        ("update", "organization"),
        ("create", "oauth_clients.hubspot"),
        ("create", "oauth_clients.gitlab"),
        ("create", "webhook_endpoints[0]"),
        ("create", "webhook_endpoints[1]"),
    ]
    applied = await apply(api, wanted, first)
    assert set(applied.secrets) == {"webhook_endpoints[0]", "webhook_endpoints[1]"}
    assert "whsec_" not in repr(applied)
    again = await plan(api, wanted)
    assert (again.changes, again.unmanaged) == ((), ())
    endpoints, _ = await api.fetch("/v1/webhook-endpoints")
    assert [(each["kind"], each["status"]) for each in endpoints["webhook_endpoints"]] == [
        ("push", "active"),
        ("pull", "paused"),
    ]


async def test_an_export_makes_another_organization_equal(
    application: Application, egress: Egress, url: str, wanted: Configuration
) -> None:
    staging, production = [await api_of(application, egress, url) for _ in range(2)]
    await apply(staging, wanted, await plan(staging, wanted))
    text = configuration_file.to_yaml(await export(staging))
    assert not any(secret in text for secret in SECRETS.values())
    moved = configuration_file.parse(text, SECRETS, Path())
    assert not (await plan(staging, moved)).changes
    await apply(production, moved, await plan(production, moved))
    assert configuration_file.to_yaml(await export(production)) == text


async def test_an_apply_that_is_killed_at_any_change_and_repeated_ends_in_the_same_state(
    application: Application, egress: Egress, url: str, wanted: Configuration
) -> None:
    whole = await api_of(application, egress, url)
    applied = await apply(whole, wanted, await plan(whole, wanted))
    expected = configuration_file.to_yaml(await export(whole))
    for count in range(len(applied.changes)):
        api = await api_of(application, egress, url)
        api.changes_left = count
        with pytest.raises(KeyboardInterrupt):
            await apply(api, wanted, await plan(api, wanted))
        api.changes_left = 1_000
        await apply(api, wanted, await plan(api, wanted))
        assert configuration_file.to_yaml(await export(api)) == expected, count
        assert not (await plan(api, wanted)).changes


async def test_a_plan_names_each_difference_without_a_secret(api: CountingApi, wanted: Configuration) -> None:
    await apply(api, wanted, await plan(api, wanted))
    document = yaml.safe_load(configuration_file.to_yaml(await export(api)))
    document["organization"]["allowed_origins"] = ["https://northwind.example"]
    document["organization"]["branding"]["accent_color"] = "#a01020"
    document["webhook_endpoints"][0]["event_types"].remove("connection.created")
    rotated = SECRETS | {"HUBSPOT_CLIENT_SECRET": "hubspot-secret-9999"}
    changed = configuration_file.parse(yaml.safe_dump(document), rotated, Path())
    details = {change.place: change.details for change in (await plan(api, changed)).changes}
    assert details["organization"] == (
        "allowed_origins: + https://northwind.example, - https://app.northwind.example",
        "branding.accent_color: #2450c4 → #a01020",
    )
    assert details["oauth_clients.hubspot"] == ("client_secret: …1234 → another secret",)
    assert details["webhook_endpoints[0]"] == ("event_types: - connection.created",)
    assert "hubspot-secret" not in str(details)
    await apply(api, changed, await plan(api, changed))
    assert not (await plan(api, changed)).changes


async def test_what_the_file_lacks_stays_unless_it_is_pruned(api: CountingApi, wanted: Configuration) -> None:
    await apply(api, wanted, await plan(api, wanted))
    empty = Configuration(
        organization={"integrations": {"mode": "all"}},
        custom_integrations={},
        oauth_clients={},
        webhook_endpoints=[],
    )
    kept = await plan(api, empty)
    assert [change.place for change in kept.changes] == ["organization"]
    assert set(kept.unmanaged) == {
        "custom_integrations.x-billing",
        "oauth_clients.hubspot",
        "oauth_clients.gitlab",
        "webhook_endpoints: https://app.northwind.example/hooks",
        "webhook_endpoints: warehouse",
    }
    await apply(api, empty, await plan(api, empty, prune=True), prune=True)
    assert not (await plan(api, empty, prune=True)).changes
    assert not (await export(api)).oauth_clients
    assert not (await plan(api, Configuration(), prune=True)).changes


async def test_apply_does_not_undo_a_change_after_the_plan(api: CountingApi, wanted: Configuration) -> None:
    stale = await plan(api, Configuration(organization={"display_name": "Northwind"}))
    await api.call("PATCH", "/v1/organization", {"display_name": "Changed"})
    with pytest.raises(RequestFailed, match="changed"):
        await apply(api, Configuration(organization={"display_name": "Northwind"}), stale)


async def test_a_client_that_a_new_definition_retires_is_registered_again(
    api: CountingApi, wanted: Configuration
) -> None:
    definition = yaml.safe_load(ENTRY)
    definition["auth"] = [OAUTH2]
    before = Configuration(
        custom_integrations={"x-billing": definition},
        oauth_clients={"x-billing": {"client_id": "a", "client_secret": "a-secret-of-billing"}},
    )
    await apply(api, before, await plan(api, before))
    moved = yaml.safe_load(yaml.safe_dump(definition).replace("id.acme.com", "id2.acme.com"))
    after = Configuration(custom_integrations={"x-billing": moved}, oauth_clients=before.oauth_clients)
    applied = await apply(api, after, await plan(api, after))
    assert [change.place for change in applied.changes] == ["custom_integrations.x-billing", "oauth_clients.x-billing"]
    assert not (await plan(api, after)).changes


OAUTH2: Final = {
    "type": "oauth2",
    "authorization": {"url": "https://id.acme.com/authorize"},
    "pkce": "required",
    "token": {"url": "https://id.acme.com/token"},
    "client": {"where": "In Billing, open Settings, then OAuth clients."},
    "base_url": "https://billing.acme.com/v1",
    "verified": {"how": "unverified"},
}


@pytest.mark.parametrize(
    "configuration, field",
    [
        (Configuration(organization={"name": "a"}), "organization.name"),
        (Configuration(organization={"branding": {"radius": None}}), "organization.branding.radius"),
        (Configuration(oauth_clients={"hubspot": {"secret": "a"}}), "oauth_clients.hubspot.secret"),
        (Configuration(webhook_endpoints=[{"url": "https://a.example"}]), "webhook_endpoints[0].event_types"),
        (Configuration(webhook_endpoints=[{"event_types": ["a.b"]}]), "webhook_endpoints[0].event_types[0]"),
    ],
)
async def test_an_unknown_value_is_refused_before_any_change(
    api: CountingApi, configuration: Configuration, field: str
) -> None:
    with pytest.raises(InvalidInput) as error:
        await plan(api, configuration)
    assert [each.field for each in error.value.errors] == [field]


async def test_an_invalid_definition_is_refused_before_any_change(api: CountingApi) -> None:
    with pytest.raises(InvalidInput, match=r"custom_integrations.x-a: name"):
        await plan(api, Configuration(custom_integrations={"x-a": {"slug": "x-a"}}))


async def test_the_settings_that_can_be_null_are_those_of_the_api(api: CountingApi) -> None:
    document, _ = await api.fetch("/openapi.json")
    schemas = document["components"]["schemas"]

    def nullable(name: str, prefix: str = "") -> set[str]:
        names = set[str]()
        for key, schema in schemas[name]["properties"].items():
            options = schema.get("anyOf", [schema])
            if {"type": "null"} in options:
                names.add(f"{prefix}{key}")
            for option in (*options, *schema.get("allOf", ())):
                if "$ref" in option:
                    names |= nullable(option["$ref"].rpartition("/")[2], f"{prefix}{key}.")
        return names

    assert nullable("Organization") == NULLABLE
