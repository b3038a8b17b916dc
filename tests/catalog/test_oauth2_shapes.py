"""The format can express quirks of important providers, even those without an entry yet."""

import re
from typing import Any

import pytest

from one_runtime.catalog.auth_types.oauth2 import OAuth2Auth
from one_runtime.catalog.received_values import ValueSource
from one_runtime.catalog.request import ConnectionValues, clean_values, inject, resolve_url
from one_runtime.catalog.response import UnexpectedValue, look_up
from one_runtime.catalog.templates import fill
from tests.catalog.example import OAUTH2, entry_of, oauth2

LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"


def at(host: str, **changes: Any) -> dict[str, Any]:
    """Return a token endpoint at a host."""
    return {"url": f"https://{host}/token", **changes}


def values_after(auth: OAuth2Auth, source: ValueSource, answer: object) -> ConnectionValues:
    """Return the values of a connection after the provider's answer."""
    return ConnectionValues(auth.read_received(source, answer), {"access_token": "t"})


def test_the_callback_of_zoho_has_the_data_centre_and_the_token_response_has_the_api_host() -> None:
    centres = ["zoho.com", "zoho.eu", "zoho.com.au"]
    auth = oauth2(
        token=at("accounts.{centre}", auth="post"),
        received=[
            {"name": "centre", "source": "callback", "path": "accounts-server",
             "extract": r"https://accounts\.([a-z.]+)", "options": centres},
            {"name": "api", "source": "token_response", "path": "api_domain",
             "extract": rf"https://({LABEL}(?:\.{LABEL}){{1,2}})",
             "options": ["www.zohoapis.com", "www.zohoapis.eu"]},
        ],
        base_url="https://{api}/crm/v8",
        send={"headers": {"Authorization": "Zoho-oauthtoken {access_token}"}},
        scopes={"separator": ",", "default": ["ZohoCRM.users.READ"]},
    )  # fmt: skip
    params = auth.read_received(
        "callback", {"code": "c", "location": "eu", "accounts-server": "https://accounts.zoho.eu"}
    )
    assert resolve_url(auth.token.url, params) == "https://accounts.zoho.eu/token"
    assert not auth.names_hosts, "the client secret goes to one of a few hosts"
    values = values_after(auth, "token_response", {"api_domain": "https://www.zohoapis.eu"})
    injection = inject(auth, values)
    assert (injection.base_url, injection.headers[0][1]) == ("https://www.zohoapis.eu/crm/v8", "Zoho-oauthtoken t")
    for stranger in ("https://accounts.evil.com", "https://accounts.zoho.eu.evil.com", "https://accounts.zoho.eu/x"):
        with pytest.raises(UnexpectedValue):
            auth.read_received("callback", {"accounts-server": stranger})


def test_the_callback_of_quickbooks_has_the_company() -> None:
    realm = {"name": "realm_id", "source": "callback", "path": "realmId", "pattern": "[0-9]{1,32}"}
    auth = oauth2(received=[realm], base_url="https://quickbooks.api.example.com/v3/company/{realm_id}")
    injection = inject(auth, values_after(auth, "callback", {"realmId": "4620816365"}))
    assert injection.base_url.endswith("/company/4620816365")


def test_the_lookup_of_xero_is_a_bare_list_and_the_selected_item_goes_into_a_header() -> None:
    auth = oauth2(
        received=[{"name": "tenant", "source": "lookup", "path": "tenantId", "pattern": "[0-9a-f-]{36}"}],
        lookup={"url": "https://api.example.com/connections", "choices": {"label": "tenantName"}},
        send={"headers": {"Authorization": "Bearer {access_token}", "Xero-tenant-id": "{tenant}"}},
    )
    assert auth.lookup is not None
    assert auth.lookup.choices is not None
    assert auth.lookup.choices.at is None
    item = {"tenantId": "70784a63-d24b-46a9-a4db-0e70a274b056", "tenantName": "Maple Florist"}
    assert look_up(item, auth.lookup.choices.label) == "Maple Florist"
    assert ("Xero-tenant-id", item["tenantId"]) in inject(auth, values_after(auth, "lookup", item)).headers


def test_the_lookup_of_docusign_has_the_host_and_the_account() -> None:
    auth = oauth2(
        received=[
            {"name": "site", "source": "lookup", "path": "base_uri", "extract": rf"https://({LABEL})\.docusign\.net"},
            {"name": "account", "source": "lookup", "path": "account_id", "pattern": "[0-9a-f-]{36}"},
        ],
        lookup={
            "url": "https://account.docusign.com/oauth/userinfo",
            "choices": {"at": "accounts", "label": "account_name"},
        },
        base_url="https://{site}.docusign.net/restapi/v2.1/accounts/{account}",
    )
    item = {"base_uri": "https://na3.docusign.net", "account_id": "fe0b61a3-3b9b-4caf-be00-b7cd71d9d9e9"}
    url = inject(auth, values_after(auth, "lookup", item)).base_url
    assert url == f"https://na3.docusign.net/restapi/v2.1/accounts/{item['account_id']}"


def test_dynamics_has_the_customers_host_in_a_scope_and_the_tenant_in_the_path() -> None:
    org = {"name": "org", "label": "Environment", "suffix": ".dynamics.com", "pattern": rf"{LABEL}\.crm[0-9]{{0,2}}"}
    tenant = {"name": "tenant", "label": "Tenant", "default": "organizations", "pattern": "[A-Za-z0-9.-]{1,64}"}
    auth = oauth2(
        params=[tenant, org],
        authorization={"url": "https://login.microsoftonline.com/{tenant}/oauth2/v2.0/authorize"},
        token=at("login.microsoftonline.com/{tenant}/oauth2/v2.0", auth="post"),
        scopes={"always": ["offline_access"], "default": ["https://{org}.dynamics.com/user_impersonation"]},
        base_url="https://{org}.dynamics.com/api/data/v9.2",
    )
    known = clean_values(auth, {"org": "https://acme.crm4.dynamics.com/main.aspx"}, {}).params
    assert resolve_url(auth.token.url, known) == "https://login.microsoftonline.com/organizations/oauth2/v2.0/token"
    assert fill(auth.scopes.default[0], known) == "https://acme.crm4.dynamics.com/user_impersonation"


def test_bigcommerce_requires_the_context_of_the_callback_at_the_token_endpoint() -> None:
    auth = oauth2(
        received=[{"name": "store", "source": "callback", "path": "context", "extract": "stores/([a-z0-9]{6,20})"}],
        token=at("login.example.com", auth="post", params={"context": "stores/{store}"}),
        base_url="https://api.example.com/stores/{store}",
        send={"headers": {"X-Auth-Token": "{access_token}"}},
        refresh="none",
    )
    known = auth.read_received("callback", {"context": "stores/ab12cd", "scope": "store_v2"})
    assert fill(auth.token.params["context"], known) == "stores/ab12cd"


def test_the_host_of_netsuite_is_the_account_in_another_spelling() -> None:
    account = {
        "name": "account",
        "label": "Account",
        "pattern": "[0-9a-z]{3,20}(?:-(?:sb|rp)[0-9]{1,2})?",
        "transform": ["lower", "underscore_to_hyphen"],
    }
    auth = oauth2(params=[account], token=at("{account}.suitetalk.api.netsuite.com"))
    known = clean_values(auth, {"account": "TSTDRV123_SB2"}, {}).params
    assert resolve_url(auth.token.url, known) == "https://tstdrv123-sb2.suitetalk.api.netsuite.com/token"


def test_square_has_json_token_requests_and_an_expiry_date() -> None:
    response = {"expires_at": "expires_at", "error": "type", "error_description": "message"}
    auth = oauth2(token=at("connect.example.com", auth="post", body="json", response=response), refresh="static")
    assert (auth.token.body, auth.token.response.expires_at) == ("json", "expires_at")


DEVELOPER_TOKEN = {"name": "developer_token", "label": "Developer token", "where": "In the API Center."}


def test_the_developer_token_of_google_ads_is_a_field_of_the_client() -> None:
    send = {"headers": {"Authorization": "Bearer {access_token}", "developer-token": "{developer_token}"}}
    auth = oauth2(client={**OAUTH2["client"], "fields": [DEVELOPER_TOKEN]}, send=send)
    values = ConnectionValues({}, {"access_token": "t", "developer_token": "d"})
    assert inject(auth, values).headers == (("Authorization", "Bearer t"), ("developer-token", "d"))


def test_a_secret_of_the_client_never_passes_through_the_browser() -> None:
    client = {**OAUTH2["client"], "fields": [DEVELOPER_TOKEN]}
    authorization = {**OAUTH2["authorization"], "params": {"config_id": "{developer_token}"}}
    with pytest.raises(ValueError, match=re.escape("authorization: {developer_token} is not known at this step")):
        oauth2(client=client, authorization=authorization)
    client["fields"] = [{**DEVELOPER_TOKEN, "secret": False}]
    oauth2(client=client, authorization=authorization)
    with pytest.raises(ValueError, match="must not be part of a host"):
        entry_of({**OAUTH2, "client": client, "base_url": "https://{developer_token}.example.com"})
