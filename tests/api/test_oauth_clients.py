"""OAuth clients over the API: registration, secrets that are never returned, registered hosts (P7)."""

import asyncio
from typing import Any

import httpx2
import pytest
from sqlalchemy import select, update

from one_runtime.db.schema import oauth_clients as clients
from one_runtime.integrations import oauth_clients
from one_runtime.integrations.oauth_clients import NewOAuthClient
from one_runtime.tenancy.organizations import INSTANCE
from tests.application import PUBLIC_URL, Application, Client

SECRET = "a-secret-of-the-client-9f3c"
BODY = {"client_id": "our-id", "client_secret": SECRET}


def path(slug: str) -> str:
    return f"/v1/integrations/{slug}/oauth-client"


async def put(client: Client, slug: str = "dropbox", **more: Any) -> httpx2.Response:
    return await client.send("PUT", path(slug), {**BODY, **more})


async def instance_client(application: Application, slug: str, client_id: str) -> None:
    """Register an OAuth client of the instance, for all organizations."""
    integration = application.installation.catalog.get(slug)
    assert integration is not None
    vault, now = application.installation.vault, application.clock()
    async with application.installation.database.write() as tx:
        await oauth_clients.put(tx, vault, INSTANCE, integration, NewOAuthClient(client_id, SECRET), now)


async def types_of(client: Client, slug: str) -> list[str] | None:
    """Return the available auth types of an integration, or None if the list omits the integration."""
    integration = (await client.integrations()).get(slug)
    return None if integration is None else list(integration["supported_auth_types"])


async def test_oauth_client_is_returned_with_redirect_url_and_last_four_characters(client: Client) -> None:
    response = await put(client, scopes=["files.metadata.read"])
    assert response.status_code == 200, response.text
    oauth_client = response.json()
    assert (oauth_client["client_id"], oauth_client["client_secret_last_four"]) == ("our-id", "9f3c")
    assert oauth_client["redirect_url"] == f"{PUBLIC_URL}/connect/callback/dropbox"
    assert oauth_client["scopes"] == ["files.metadata.read"]
    assert (await client.get(path("dropbox"))).json() == oauth_client
    assert (await client.get("/v1/oauth-clients")).json() == {"oauth_clients": [oauth_client]}
    for answer in (response, await client.get(path("dropbox")), await client.get("/v1/events")):
        assert SECRET not in answer.text


async def test_registration_that_changes_nothing_writes_no_event(client: Client) -> None:
    first = (await put(client, scopes=["files.metadata.read"])).json()
    again = await put(client, scopes=["files.metadata.read"], client_secret=None)
    assert again.json() == first
    events = (await client.get("/v1/events", type="oauth_client.updated")).json()["events"]
    assert len(events) == 1
    assert (await put(client, client_secret="another secret of the client")).json() != first


async def test_concurrent_registrations_leave_one_client(client: Client) -> None:
    answers = await asyncio.gather(*(put(client, client_id=f"id-{number}") for number in range(4)))
    assert {answer.status_code for answer in answers} == {200}
    (listed,) = (await client.get("/v1/oauth-clients")).json()["oauth_clients"]
    assert listed in [answer.json() for answer in answers]


async def test_no_characters_of_a_short_secret_are_returned(client: Client) -> None:
    assert (await put(client, client_secret="short")).json()["client_secret_last_four"] is None


async def test_oauth2_is_available_after_a_client_is_registered(client: Client) -> None:
    assert await types_of(client, "dropbox") is None
    assert await types_of(client, "hubspot") == ["api_key"]
    before = (await client.get("/v1/integrations", end_user_id="u")).headers["etag"]
    await put(client, "dropbox")
    await put(client, "hubspot")
    assert await types_of(client, "dropbox") == ["oauth2"]
    assert await types_of(client, "hubspot") == ["api_key", "oauth2"]
    assert (await client.get("/v1/integrations", end_user_id="u")).headers["etag"] != before
    view = await client.popup("", (await client.session(integration_slug="hubspot"))["session_token"])
    assert [auth_type["auth_type"] for auth_type in view.json()["auth_types"]] == ["oauth2", "api_key"]
    assert (await client.send("DELETE", path("dropbox"))).status_code == 200
    assert await types_of(client, "dropbox") is None
    assert (await client.get(path("dropbox"))).status_code == 404


async def test_client_whose_secret_cannot_be_decrypted_is_deleted(application: Application, client: Client) -> None:
    await put(client)
    async with application.installation.database.write() as tx:
        await tx.execute(update(clients).values(version=clients.c.version + 1))
    assert (await client.get(path("dropbox"))).json()["code"] == "seal_broken"
    deleted = (await client.send("DELETE", path("dropbox"))).json()
    assert (deleted["client_id"], deleted["client_secret_last_four"], deleted["fields"]) == ("our-id", None, [])
    assert (await client.get(path("dropbox"))).status_code == 404


async def test_oauth_client_is_invisible_to_other_organizations(application: Application, client: Client) -> None:
    other = application.client(await application.key(await application.organization("Southwind")))
    await put(client)
    assert await types_of(other, "dropbox") is None
    assert (await other.get(path("dropbox"))).status_code == 404
    assert (await other.send("DELETE", path("dropbox"))).status_code == 404
    assert (await other.get("/v1/oauth-clients")).json() == {"oauth_clients": []}
    assert await types_of(client, "dropbox") == ["oauth2"]


async def test_client_of_the_instance_serves_organizations_without_their_own(
    application: Application, client: Client
) -> None:
    await instance_client(application, "dropbox", "the-instances")
    assert await types_of(client, "dropbox") == ["oauth2"]
    assert (await client.get(path("dropbox"))).status_code == 404, "the API does not return clients of the operator"
    await put(client)
    token = (await client.session(integration_slug="dropbox"))["session_token"]
    assert "client_id=our-id&" in await address(client, token)
    await client.send("DELETE", path("dropbox"))
    token = (await client.session(integration_slug="dropbox"))["session_token"]
    assert "client_id=the-instances&" in await address(client, token)


async def address(client: Client, token: str, **more: Any) -> str:
    """Return the authorization URL that the popup opens."""
    prepared = await client.popup("/authorization", token, {"auth_type": "oauth2", **more})
    assert prepared.status_code == 200, prepared.text
    same = {"sec-fetch-site": "same-origin"}
    response = await client.post("/connect/authorization/start", {"ticket": prepared.json()["ticket"]}, **same)
    assert response.status_code == 200, response.text
    return str(response.json()["url"])


async def test_scopes_of_the_session_precede_those_of_the_client(client: Client) -> None:
    await put(client, scopes=["account_info.read"])
    by_client = (await client.session(integration_slug="dropbox"))["session_token"]
    assert "scope=account_info.read&" in await address(client, by_client)
    by_session = await client.session(integration_slug="dropbox", scopes=["files.content.read", "files.content.write"])
    assert "scope=files.content.read%20files.content.write&" in await address(client, by_session["session_token"])
    refused = await client.post(
        "/v1/hosted-connection-sessions",
        {"integration_slug": "amplitude", "end_user_id": "u", "scopes": ["read"]},
    )
    assert refused.status_code == 422
    assert [error["field"] for error in refused.json()["errors"]] == ["scopes"]


async def test_new_client_id_requires_its_secret_and_retires_the_old_client(
    application: Application, client: Client
) -> None:
    first = (await put(client)).json()
    updated = (await client.send("PUT", path("dropbox"), {"client_id": "our-id"})).json()
    assert updated["client_secret_last_four"] == first["client_secret_last_four"]
    missing = await client.send("PUT", path("dropbox"), {"client_id": "another-id"})
    assert missing.status_code == 422
    assert [error["field"] for error in missing.json()["errors"]] == ["client_secret"]
    assert (await put(client, client_id="another-id")).status_code == 200
    async with application.installation.database.read() as tx:
        rows = await tx.all(select(clients.c.client_id, clients.c.retired_at).order_by(clients.c.created_at))
    assert [(row.client_id, row.retired_at is None) for row in rows] == [("our-id", False), ("another-id", True)]


@pytest.mark.parametrize(
    "slug,body,field",
    [
        ("dropbox", {"client_secret": None}, "client_secret"),
        ("dropbox", {"hosts": ["dropbox.example.com"]}, "hosts"),
        ("dropbox", {"fields": {"developer_token": "x"}}, "fields.developer_token"),
        ("slack", {"scopes": ["chat:write,users:read"]}, "scopes"),
        ("gitlab", {}, "hosts"),
        ("gitlab", {"hosts": ["not a host"]}, "hosts"),
        ("gitlab", {"hosts": ["user@gitlab.example.com"]}, "hosts"),
    ],
)
async def test_invalid_oauth_client_names_the_field(
    client: Client, slug: str, body: dict[str, Any], field: str
) -> None:
    answer = await put(client, slug, **body)
    assert answer.status_code == 422, answer.text
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert (await client.get(path(slug))).status_code == 404


async def test_client_is_refused_without_oauth2_or_with_clients_of_customers(client: Client) -> None:
    for slug, word in (("amplitude", "does not use oauth2"), ("okta", "their own OAuth client in the popup")):
        answer = await put(client, slug)
        assert answer.status_code == 422
        assert word in answer.json()["detail"]
    assert (await put(client, "nothing")).status_code == 404


@pytest.mark.promise("P7")
async def test_adding_a_host_requires_the_client_secret(client: Client) -> None:
    assert (await put(client, "gitlab", hosts=["gitlab.example.com", "gitlab.example.org"])).status_code == 200
    added = await put(client, "gitlab", hosts=["gitlab.example.com", "gitlab.evil.example"], client_secret=None)
    assert (added.status_code, added.json()["errors"][0]["field"]) == (422, "client_secret")
    fewer = await put(client, "gitlab", hosts=["gitlab.example.com"], client_secret=None)
    assert (fewer.status_code, fewer.json()["hosts"]) == (200, ["gitlab.example.com"])


@pytest.mark.promise("P7")
async def test_client_secret_is_not_sent_to_an_unregistered_host(client: Client) -> None:
    assert (await put(client, "gitlab", hosts=["https://gitlab.example.com/"])).json()["hosts"] == [
        "gitlab.example.com"
    ]
    token = (await client.session(integration_slug="gitlab", auth_type="oauth2"))["session_token"]
    own = {"params": {"host": "gitlab.example.com"}}
    assert (await address(client, token, **own)).startswith("https://gitlab.example.com/oauth/authorize?")
    for host in ("gitlab.evil.example", "gitlab.example.com.evil.example", "gitlab.example.com:8443"):
        refused = await client.popup("/authorization", token, {"auth_type": "oauth2", "params": {"host": host}})
        assert refused.status_code == 422, refused.text
    imported = {"integration_slug": "gitlab", "end_user_id": "u", "auth_type": "oauth2", "check": False}
    tokens = {"credentials": {"access_token": "at", "refresh_token": "rt"}}
    answer = await client.post("/v1/connections", {**imported, **tokens, "params": {"host": "gitlab.evil.example"}})
    assert (answer.status_code, answer.json()["code"]) == (422, "host_not_registered")


async def test_popup_asks_for_the_client_of_a_customer(client: Client) -> None:
    token = (await client.session(integration_slug="okta", auth_type="oauth2"))["session_token"]
    (auth,) = (await client.popup("", token)).json()["auth_types"]
    assert [field["name"] for field in auth["fields"]] == ["client_id", "client_secret"]
    own = {"params": {"domain": "acme.okta"}, "credentials": {"client_id": "theirs", "client_secret": "s3cret"}}
    url = await address(client, token, **own)
    assert url.startswith("https://acme.okta.com/oauth2/v1/authorize?")
    assert "client_id=theirs&" in url
    assert "s3cret" not in url
    missing = await client.popup("/authorization", token, {"auth_type": "oauth2", "params": own["params"]})
    assert [error["field"] for error in missing.json()["errors"]] == [
        "credentials.client_id",
        "credentials.client_secret",
    ]


async def test_tokens_are_imported_with_expiry_and_scopes(client: Client) -> None:
    await put(client)
    body = {"integration_slug": "dropbox", "end_user_id": "u", "auth_type": "oauth2", "check": False}
    tokens = {
        "access_token": "an-access-token",
        "refresh_token": "a-refresh-token",
        "expires_at": "2099-01-01T00:00:00Z",
        "scope": "account_info.read files.metadata.read",
    }
    answer = await client.post("/v1/connections", {**body, "credentials": tokens})
    assert answer.status_code == 201, answer.text
    connection = answer.json()
    assert connection["token_expires_at"] == "2099-01-01T00:00:00.000Z"
    assert connection["scopes"] == ["account_info.read", "files.metadata.read"]
    stored = (await client.get(f"/v1/connections/{connection['id']}/credentials")).json()
    assert stored["credentials"] == {"access_token": "an-access-token"}, "a refresh token is never returned"
    (read,) = (await client.get("/v1/events", type="connection.credentials_read")).json()["events"]
    assert read["connection_id"] == connection["id"]


@pytest.mark.parametrize(
    "credentials,field",
    [
        ({}, "credentials.access_token"),
        ({"access_token": "schlüssel"}, "credentials.access_token"),
        ({"access_token": "at", "refresh_token": "\x7f"}, "credentials.refresh_token"),
        ({"access_token": "at", "expires_at": "tomorrow"}, "credentials.expires_at"),
        ({"access_token": "at", "token_type": "bearer"}, "credentials.token_type"),
    ],
)
async def test_invalid_token_import_names_the_field(client: Client, credentials: dict[str, str], field: str) -> None:
    await put(client)
    body = {"integration_slug": "dropbox", "end_user_id": "u", "auth_type": "oauth2", "check": False}
    answer = await client.post("/v1/connections", {**body, "credentials": credentials})
    assert answer.status_code == 422, answer.text
    assert [error["field"] for error in answer.json()["errors"]] == [field]


async def test_reading_credentials_requires_its_own_scope(application: Application, client: Client) -> None:
    connection = await client.connect()
    assert (await client.get(f"/v1/connections/{connection['id']}/credentials")).json()["credentials"].keys() == {
        "api_key"
    }
    organization = (await client.get("/v1/organization")).json()["id"]
    ordinary = application.client(await application.key(organization, "read", "connect", "use"))
    answer = await ordinary.get(f"/v1/connections/{connection['id']}/credentials")
    assert (answer.status_code, answer.json()["code"]) == (403, "insufficient_scope")
    assert (await ordinary.get(path("dropbox"))).status_code == 403
