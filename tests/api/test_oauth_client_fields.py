"""The fields of an OAuth client go only to the hosts for which the client is registered (P7)."""

from collections.abc import Callable
from typing import Any, Final

import httpx2
import pytest

from one_runtime.connecting import popup
from one_runtime.connecting.authorization import prepare_authorization, start_authorization
from one_runtime.connecting.popup import SubmittedForm
from one_runtime.db.schema import oauth_clients as clients
from tests.api.test_custom_integrations_audience import call_back
from tests.application import Client
from tests.billing import ENTRY, OAUTH, SLUG, Billing, import_tokens, register

pytestmark = [pytest.mark.promise("P7"), pytest.mark.slow]

PATH: Final = f"/v1/integrations/{SLUG}/oauth-client"
TOKEN: Final = "developer-token-0123"
CLIENT: Final = {"client_id": "ours", "client_secret": "s3cret-s3cret", "fields": {"developer_token": TOKEN}}
SEND: Final = "send: {headers: {Authorization: 'Bearer {access_token}', X-Dev-Token: '{developer_token}'}}"


def before(key: str, line: str, text: str) -> str:
    """Insert a line before a key of the auth type `oauth2`."""
    head, kind, oauth = text.partition("  - type: oauth2\n")
    assert oauth.count(f"\n    {key}:") == 1
    return head + kind + oauth.replace(f"\n    {key}:", f"\n    {line}\n    {key}:")


def with_field(flags: str = "") -> str:
    """Return the entry with a client field that no template contains yet."""
    field = f"{{name: developer_token, label: Developer token, where: There.{flags}}}"
    return (ENTRY + OAUTH).replace(
        "      where: Ask the billing team.\n", f"      where: Ask the billing team.\n      fields: [{field}]\n"
    )


IN_API: Final = before("pkce", SEND, with_field())
IN_TOKEN: Final = with_field().replace("/token\n", "/token\n      params: {developer_token: '{developer_token}'}\n")
CHECK: Final = "    check:\n      path: /me\n"
MORE: Final = "more_base_urls: ['https://elsewhere.acme.com']"
RECEIVED: Final = "received: [{name: site, source: lookup, pattern: '[a-z]+', example: north}]"
LOOKUP: Final = "lookup: {url: 'https://elsewhere.acme.com/sites'}"


async def put_client(client: Client, **changes: Any) -> httpx2.Response:
    return await client.send("PUT", PATH, {**CLIENT, **changes})


async def import_with(client: Client, **params: str) -> httpx2.Response:
    body = {"integration_slug": SLUG, "end_user_id": "user_123", "auth_type": "oauth2", "params": params}
    return await client.post("/v1/connections", {**body, "credentials": {"access_token": "at-0"}})


async def call(client: Client) -> httpx2.Response:
    return await client.http.get(f"/v1/proxy/{SLUG}/echo", headers={"One-Runtime-End-User": "user_123"})


def receivers(billing: Billing) -> set[str]:
    """Return the hosts that received the developer token in a header, in the URL or in the body."""
    return {
        str(request.header("host"))
        for request in billing.upstream.requests
        if TOKEN in f"{request.target} {request.headers} {request.body!r}"
    }


async def test_client_is_registered_for_the_hosts_that_receive_its_fields(billing: Billing) -> None:
    client = await billing.organization()
    await register(client, IN_API)
    assert (await put_client(client)).json()["hosts"] == ["id.acme.com", "billing.acme.com"]
    await import_tokens(client)
    assert (await call(client)).status_code == 200
    assert receivers(billing) == {"billing.acme.com"}
    assert (await register(client, IN_API.replace("com/v1", "com/v2")))["warnings"] == []
    assert TOKEN not in (await client.get(PATH)).text


@pytest.mark.parametrize(
    "entry,change",
    [
        (IN_API, lambda text: text.replace("billing.acme.com", "elsewhere.acme.com")),
        (IN_API, lambda text: before("pkce", MORE, text)),
        (IN_API, lambda text: text.replace(CHECK, "    check:\n      url: https://elsewhere.acme.com/me\n")),
        (
            IN_API,
            lambda text: before(
                "pkce", f"{RECEIVED}\n    {LOOKUP}", text.replace("X-Dev-Token:", "X-Site: '{site}', X-Dev-Token:")
            ),
        ),
        (IN_TOKEN, lambda text: before("pkce", SEND, text)),
        (IN_TOKEN, lambda text: f"{CHECK}      query: {{k: '{{developer_token}}'}}\n".join(text.rsplit(CHECK, 1))),
        (IN_TOKEN, lambda text: before("pkce", "more_base_urls: ['https://billing.acme.com/{developer_token}']", text)),
    ],
    ids=["base URL", "further base URL", "check", "look-up", "header of the API", "query of the check", "path"],
)
async def test_client_is_deleted_if_its_fields_would_go_to_another_host(
    billing: Billing, entry: str, change: Callable[[str], str]
) -> None:
    client = await billing.organization()
    await register(client, entry)
    assert (await put_client(client)).status_code == 200
    changed = change(entry)
    assert changed != entry
    assert [warning.partition(".")[0] for warning in (await register(client, changed))["warnings"]] == [
        f"One Runtime deleted the OAuth client of {SLUG}"
    ]
    assert (await client.get(PATH)).status_code == 404
    assert (await import_with(client)).status_code == 422
    assert (await call(client)).status_code == 409
    assert receivers(billing) == set()


async def test_client_without_fields_survives_another_host_of_the_api(billing: Billing) -> None:
    client = await billing.organization()
    await register(client, ENTRY + OAUTH)
    assert (await put_client(client, fields={})).json()["hosts"] == ["id.acme.com"]
    moved = await register(client, (ENTRY + OAUTH).replace("billing.acme.com", "elsewhere.acme.com"))
    assert moved["warnings"] == []
    assert (await client.get(PATH)).status_code == 200


async def test_kept_secret_and_fields_are_not_sent_to_a_host_without_registration(billing: Billing) -> None:
    """A row can list fewer hosts than the entry, if both change at the same time."""
    client = await billing.organization()
    await register(client, IN_API)
    await put_client(client)
    await import_tokens(client)
    async with billing.application.installation.database.write() as tx:
        await tx.execute(clients.update().values(hosts=["id.acme.com"]))
    request_count = len(billing.reached)
    assert ((await call(client)).status_code, (await call(client)).json()["code"]) == (422, "host_not_registered")
    (connection,) = (await client.get("/v1/connections")).json()["connections"]
    checked = await client.post(f"/v1/connections/{connection['id']}/check")
    assert (checked.status_code, checked.json()["code"]) == (422, "host_not_registered")
    assert billing.reached[request_count:] == []
    kept = await client.send("PUT", PATH, {"client_id": "ours"})
    assert [error["field"] for error in kept.json()["errors"]] == ["client_secret"]
    assert (await put_client(client)).status_code == 200
    assert (await call(client)).status_code == 200


SITE: Final = "params: [{name: site, label: Site, placeholder: billing, pattern: '[a-z]{1,20}', transform: [lower]}]"
BY_SITE: Final = before("pkce", SITE, IN_API).replace(
    "https://billing.acme.com/v1\n    check", "https://{site}.acme.com/v1\n    check"
)
BY_RESPONSE: Final = before(
    "pkce", "received: [{name: site, source: token_response, pattern: '[a-z]{1,20}', example: billing}]", IN_API
).replace("https://billing.acme.com/v1\n    check", "https://{site}.acme.com/v1\n    check")


@pytest.mark.parametrize("entry", [BY_SITE, BY_RESPONSE], ids=["of the end user", "of the provider"])
async def test_client_names_the_hosts_if_a_value_selects_the_host(billing: Billing, entry: str) -> None:
    client = await billing.organization()
    await register(client, entry)
    missing = await put_client(client)
    assert [error["field"] for error in missing.json()["errors"]] == ["hosts"]
    assert (await put_client(client, hosts=["id.acme.com", "billing.acme.com"])).status_code == 200
    refused = await import_with(client, site="elsewhere")
    assert (refused.status_code, refused.json()["code"]) == (422, "host_not_registered")
    assert (await import_with(client, site="billing")).status_code == 201
    assert (await call(client)).status_code == 200
    assert receivers(billing) == {"billing.acme.com"}
    fewer = await client.send("PUT", PATH, {"client_id": "ours", "hosts": ["id.acme.com"]})
    assert fewer.status_code == 200, fewer.text
    assert (await call(client)).json()["code"] == "host_not_registered"


PUBLIC_PARAM: Final = "/authorize\n      params: {developer: '{developer_token}'}\n"
PUBLIC: Final = IN_API.replace("where: There.}", "where: There., secret: false}").replace("/authorize\n", PUBLIC_PARAM)


async def test_secret_field_never_becomes_public(billing: Billing) -> None:
    """The end user reads the authorization URL in the browser. So a change of the entry must not expose a secret."""
    client, installation = await billing.organization(), billing.application.installation
    await register(client, IN_API)
    await put_client(client)
    token = (await client.session(integration_slug=SLUG))["session_token"]
    await client.popup("", token)
    view = await popup.load_view(installation, token, opening=False)
    _, ticket = await prepare_authorization(installation, view, SubmittedForm("oauth2"))
    in_scope = PUBLIC.replace("default: [read]", "default: [read, '{developer_token}']")
    assert len((await register(client, in_scope))["warnings"]) == 1
    assert (await client.get(PATH)).status_code == 404
    redirect = await start_authorization(installation, ticket.secret)
    assert TOKEN not in redirect.url
    assert (await call_back(billing, redirect)).problem is None
    (connection,) = (await client.get("/v1/connections")).json()["connections"]
    assert TOKEN not in str(connection)


async def test_public_field_is_part_of_the_authorization_url(billing: Billing) -> None:
    client, installation = await billing.organization(), billing.application.installation
    await register(client, PUBLIC)
    await put_client(client)
    assert (await client.send("PUT", PATH, {"client_id": "ours"})).status_code == 200
    assert (await register(client, PUBLIC.replace("Invoices of", "Bills of")))["warnings"] == []
    token = (await client.session(integration_slug=SLUG))["session_token"]
    await client.popup("", token)
    view = await popup.load_view(installation, token, opening=False)
    _, ticket = await prepare_authorization(installation, view, SubmittedForm("oauth2"))
    assert f"developer={TOKEN}" in (await start_authorization(installation, ticket.secret)).url


@pytest.mark.promise("P1")
async def test_client_of_another_organization_survives_the_change(billing: Billing) -> None:
    client, other = await billing.organization(), await billing.organization("Southwind")
    for organization in (client, other):
        await register(organization, IN_API)
        await put_client(organization)
        await import_tokens(organization)
    await register(client, IN_API.replace("billing.acme.com", "elsewhere.acme.com"))
    assert (await client.get(PATH)).status_code == 404
    assert (await other.get(PATH)).json()["hosts"] == ["id.acme.com", "billing.acme.com"]
    assert (await call(client)).status_code == 409
    assert (await call(other)).status_code == 200
    assert receivers(billing) == {"billing.acme.com"}
