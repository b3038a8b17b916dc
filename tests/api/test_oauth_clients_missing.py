"""OAuth 2.0 without an OAuth client: listed in the public catalog, never available."""

from dataclasses import replace

import pytest

from one_runtime.catalog.model import Integration
from one_runtime.integrations.listing import IntegrationList
from tests.application import PUBLIC_URL, Application, Client
from tests.catalog.example import ENTRY, OAUTH2

pytestmark = pytest.mark.only_database("sqlite")  # nothing here depends on the database

SESSIONS = "/v1/hosted-connection-sessions"
CONNECTIONS = "/v1/connections"
SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8"><path d="M0 0h8v8z"/></svg>'


async def test_oauth2_session_without_a_client_names_the_working_auth_types(client: Client) -> None:
    answer = await client.post(
        SESSIONS, {"integration_slug": "hubspot", "end_user_id": "user_123", "auth_type": "oauth2"}
    )
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == ["auth_type"]
    assert "needs an OAuth client" in answer.json()["detail"]
    assert "Available without an OAuth client: api_key." in answer.json()["detail"]


async def test_popup_offers_only_the_key_without_a_client(client: Client) -> None:
    session = await client.session(integration_slug="hubspot")
    view = (await client.popup("", session["session_token"])).json()
    assert [auth_type["auth_type"] for auth_type in view["auth_types"]] == ["api_key"]


@pytest.mark.parametrize("credentials", [{"access_token": "at", "refresh_token": "rt"}, {}])
async def test_token_import_needs_the_oauth_client(client: Client, credentials: dict[str, str]) -> None:
    body = {"integration_slug": "hubspot", "end_user_id": "user_123", "auth_type": "oauth2", "check": False}
    answer = await client.post(CONNECTIONS, {**body, "credentials": credentials})
    assert answer.status_code == 422
    assert "needs an OAuth client" in answer.json()["detail"]


async def test_missing_auth_type_is_named(client: Client) -> None:
    for auth_type in ("basic", "client_credentials"):
        body = {"integration_slug": "hubspot", "end_user_id": "user_123", "auth_type": auth_type}
        for path in (SESSIONS, CONNECTIONS):
            answer = await client.post(path, body)
            assert answer.status_code == 422
            assert f"HubSpot has no auth type {auth_type!r}. Available auth types: api_key." in answer.json()["detail"]


async def test_oauth2_only_integration_is_in_the_catalog_but_not_available(
    application: Application, client: Client
) -> None:
    only = Integration.model_validate({**ENTRY, "slug": "only-oauth", "name": "Only OAuth", "auth": [OAUTH2]})
    catalog = application.installation.catalog.with_extra(only, SVG)
    installation = replace(application.installation, catalog=catalog)
    application.replace_services(installation=installation, integration_list=IntegrationList(catalog, PUBLIC_URL))
    shown = (await client.get("/v1/catalog/integrations", slug="only-oauth")).json()["integrations"]
    assert [integration["supported_auth_types"] for integration in shown] == [["oauth2"]]
    offered = (await client.get("/v1/integrations", end_user_id="user_123")).json()["integrations"]
    assert "only-oauth" not in {integration["slug"] for integration in offered}
    unknown = {"integration_slug": "only-oauth", "end_user_id": "user_123", "auth_type": "password"}
    for path in (SESSIONS, CONNECTIONS):
        detail = (await client.post(path, unknown)).json()["detail"]
        assert detail == "auth_type: Only OAuth has no auth type 'password'. Its auth types are: oauth2."
    answer = await client.post(SESSIONS, {"integration_slug": "only-oauth", "end_user_id": "user_123"})
    assert answer.status_code == 422
    assert "needs an OAuth client" in answer.json()["detail"]
