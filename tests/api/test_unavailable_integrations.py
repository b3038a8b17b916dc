"""`include=unavailable`, and one integration of one end user: what end users cannot connect, and why."""

from typing import Any, Final

import pytest

from tests import disabling
from tests.application import Application, Client

pytestmark = pytest.mark.slow

PATH: Final = "/v1/integrations"
KEYS: Final = ["id", "slug", "name", "description", "logo_url", "category", "status", "supported_auth_types"]
CLIENT: Final = {"client_id": "ours", "client_secret": "s3cret-s3cret"}


async def reasons(client: Client, **options: Any) -> dict[str, str | None]:
    """Return the code of each listed integration's reason. None: the integration is available."""
    listed = await client.integrations(include="unavailable", **options)
    return {slug: integration.get("unavailable", {}).get("code") for slug, integration in listed.items()}


async def offer(client: Client, mode: str, *slugs: str) -> None:
    body = {"display_name": "Northwind", "integrations": {"mode": mode, "slugs": list(slugs)}}
    assert (await client.send("PUT", "/v1/organization", body)).status_code == 200


async def oauth_only(client: Client) -> str:
    """Return the slug of an integration that needs an OAuth client."""
    return next(slug for slug, code in (await reasons(client)).items() if code == "oauth_client_missing")


async def test_integration_without_oauth_client_is_found_with_the_remedy(client: Client) -> None:
    offered, everything = await client.integrations(), await client.integrations(include="unavailable")
    missing = {slug: everything[slug] for slug in everything.keys() - offered.keys()}
    assert missing
    assert {slug: everything[slug] for slug in offered} == offered, "available integrations stay as they are"
    for slug, integration in missing.items():
        assert list(integration) == [*KEYS, "unavailable"]
        assert (integration["status"], integration["supported_auth_types"]) == ("not_connected", [])
        action = f"Register a client with PUT /v1/integrations/{slug}/oauth-client."
        assert integration["unavailable"] == {"code": "oauth_client_missing", "action": action}
    slug = await oauth_only(client)
    name = everything[slug]["name"]
    assert slug not in await client.integrations(search=name)
    assert (await reasons(client, search=name))[slug] == "oauth_client_missing"
    assert list(await reasons(client, slug=slug)) == [slug]
    registered = await client.send("PUT", f"/v1/integrations/{slug}/oauth-client", CLIENT)
    if registered.status_code == 200:
        assert (await reasons(client))[slug] is None


async def test_every_reason_is_reported_and_follows_the_change(application: Application, client: Client) -> None:
    await offer(client, "listed", "acme")
    codes = await reasons(client)
    assert (codes["acme"], codes["notion"]) == (None, "not_offered")
    (notion,) = (await client.integrations(include="unavailable", slug="notion")).values()
    expected = "Add notion to `integrations.slugs` of your organization (/v1/organization)."
    assert notion["unavailable"]["action"] == expected
    await offer(client, "all_but", "notion")
    (notion,) = (await client.integrations(include="unavailable", slug="notion")).values()
    expected = "Remove notion from `integrations.slugs` of your organization (/v1/organization)."
    assert notion["unavailable"]["action"] == expected
    tags = [await client.get(PATH, end_user_id="user_123", include="unavailable")]
    await disabling.disable(application.installation, "notion")
    tags.append(await client.get(PATH, end_user_id="user_123", include="unavailable"))
    assert len({answer.headers["etag"] for answer in tags}) == 2, "the reason of a hidden integration has changed"
    (notion,) = (await client.integrations(include="unavailable", slug="notion")).values()
    assert notion["unavailable"]["code"] == "disabled_by_operator"
    assert "one-runtime integrations enable notion" in notion["unavailable"]["action"]


async def test_connected_integration_shows_status_and_reason(application: Application, client: Client) -> None:
    await client.connect("user_123")
    await disabling.disable(application.installation, "acme")
    for user, status in (("user_123", "connected"), ("user_456", "not_connected")):
        listed = (await client.integrations(user, include="unavailable"))["acme"]
        assert (listed["status"], listed["supported_auth_types"]) == (status, [])
        assert listed["unavailable"]["code"] == "disabled_by_operator"
    assert "unavailable" not in (await client.integrations("user_123"))["acme"]
    connected = await client.integrations("user_123", include="unavailable", status="connected")
    assert list(connected) == ["acme"]


async def test_one_integration_is_the_object_of_the_list(application: Application, client: Client) -> None:
    connection = await client.connect("user_123")
    slug = await oauth_only(client)
    listed = await client.integrations("user_123", include="unavailable", expand="connections")
    for name in ("acme", "ACME", slug):
        one = await client.get(f"{PATH}/{name}", end_user_id="user_123", logo="none", expand="connections")
        assert one.json() == listed[name.lower()], name
        plain = (await client.get(f"{PATH}/{name}", end_user_id="user_123")).json()
        assert "connections" not in plain
        assert plain["logo_url"].startswith("data:image/svg+xml")
    assert [one["id"] for one in listed["acme"]["connections"]] == [connection["id"]]
    assert "unavailable" not in listed["acme"]
    other = application.client(await application.key(await application.organization("Southwind")))
    foreign = await other.get(f"{PATH}/acme", end_user_id="user_123", expand="connections")
    assert (foreign.json()["status"], foreign.json()["connections"]) == ("not_connected", [])
    for path, query, status in (
        ("unknown", {"end_user_id": "user_123"}, 404),
        ("acme", {}, 422),
        ("acme", {"end_user_id": " "}, 422),
        ("acme", {"end_user_id": "user_123", "logo": "png"}, 422),
        ("acme", {"end_user_id": "user_123", "include": "unavailable"}, 422),
    ):
        assert (await client.get(f"{PATH}/{path}", **query)).status_code == status, (path, query)
    assert (await client.get(PATH, end_user_id="user_123", include="everything")).status_code == 422
