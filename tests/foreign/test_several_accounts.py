"""A token that opens several accounts: the end user selects an account in the browser of the callback."""

import json
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest
import pytest_asyncio
from sqlalchemy import select
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from one_runtime.catalog.entry_files import load_yaml
from one_runtime.catalog.loader import load_catalog
from one_runtime.connecting import account_selection
from one_runtime.db.schema import consents
from one_runtime.encryption.vault import SealContext, Sealed
from one_runtime.tokens.revocation import revoke_due
from tests.application import PUBLIC_URL, RunningAcme, running, settings_for, started
from tests.authorizations import OUR_PAGE, StartedAuthorization
from tests.foreign.connecting import Connecting, register
from tests.foreign.person import ALICE
from tests.foreign.plain_client import PlainClient
from tests.foreign.providers import LOGO, OAuthClient, Provider
from tests.foreign.visitor import Visitor

pytestmark = pytest.mark.foreign

ENTRY = Path(__file__).parent / "several" / "entry.yaml"


class Accounts:
    """An API with accounts behind every token."""

    def __init__(self) -> None:
        self.names = {"north": "Northwind", "south": "Southwind <b>"}
        routes = [Route("/accounts", self._list), Route("/accounts/{id}", self._one)]
        self.app = Starlette(routes=routes)

    async def _list(self, _: Request) -> Response:
        return JSONResponse({"accounts": [{"id": account_id, "name": name} for account_id, name in self.names.items()]})

    async def _one(self, request: Request) -> Response:
        account_id = request.path_params["id"]
        return JSONResponse({"id": account_id, "name": self.names[account_id]})


@pytest.fixture
def accounts() -> Accounts:
    return Accounts()


@pytest_asyncio.fixture
async def runtime(
    database_url: str, acme: RunningAcme, oidc_provider: Provider, accounts: Accounts
) -> AsyncIterator[Connecting]:
    async with running(accounts.app) as port:
        places = {"url": oidc_provider.url, "api": f"http://127.0.0.1:{port}"}
        provider = replace(oidc_provider, entry=load_yaml(ENTRY, allow_http=True, replace=places))
        allowed = frozenset({("127.0.0.1", allowed_port) for allowed_port in (acme.port, oidc_provider.port, port)})
        settings = settings_for(database_url, acme, egress_allow=allowed)
        catalog = load_catalog().with_extra(provider.entry, LOGO)
        async with started(settings, acme, catalog, worker=False) as application:
            client = application.client(await application.key(await application.organization()))
            await register(client, provider)
            yield Connecting(application, client, provider.entry.slug, provider)


async def reach_selection(runtime: Connecting) -> tuple[str, StartedAuthorization, httpx2.Response]:
    """Return a session's token, the attempt, and the page with the accounts."""
    token = (await runtime.session())["session_token"]
    assert (await runtime.client.popup("", token)).status_code == 200
    attempt = await runtime.authorize(token)
    async with Visitor() as visitor:
        callback = await visitor.consent(attempt.url, ALICE)
    return token, attempt, await runtime.call_back(callback, attempt.cookie)


async def stored_token(runtime: Connecting, authorization_id: str) -> str:
    """Return the access token that is stored until an account is selected."""
    vault = runtime.application.installation.vault
    async with runtime.application.installation.database.read() as tx:
        (row,) = await tx.all(select(consents).where(consents.c.id == authorization_id))
    place = SealContext("consents", row.id, row.version)
    tokens = json.loads(vault.open(row.organization_id, Sealed(row.key_id, row.sealed), place))
    return str(tokens["tokens"]["access_token"])


async def is_accepted(runtime: Connecting, token: str) -> bool:
    """Return True if the provider accepts an access token."""
    async with PlainClient(runtime.provider, OAuthClient("nobody", "", "")) as plain:
        answer = await plain.http.get(f"{runtime.provider.url}/me", headers={"authorization": f"Bearer {token}"})
        return answer.status_code == 200


async def select_account(
    runtime: Connecting, page: httpx2.Response, cookie: str | None, choice: str, **headers: str
) -> httpx2.Response:
    """Press the button of an account."""
    form = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page.text))
    transport = httpx2.ASGITransport(runtime.application.app)
    request_headers = {**(headers or OUR_PAGE), **({"cookie": cookie} if cookie else {})}
    async with httpx2.AsyncClient(transport=transport, base_url=PUBLIC_URL) as browser:
        return await browser.post(
            "/connect/authorization/account", data={**form, "account": choice}, headers=request_headers
        )


async def test_selected_account_is_connected(runtime: Connecting) -> None:
    token, attempt, page = await reach_selection(runtime)
    assert page.status_code == 200
    assert "Which Several account?" in page.text
    assert "Southwind &lt;b&gt;" in page.text
    assert (await runtime.outcome(token, attempt.authorization_id))["state"] == "waiting"
    assert (await runtime.client.get("/v1/connections")).json()["connections"] == []
    result_page = await select_account(runtime, page, attempt.cookie, "1")
    assert result_page.status_code == 200
    assert "Max-Age=0" in result_page.headers["set-cookie"]
    assert (await runtime.outcome(token, attempt.authorization_id))["state"] == "connected"
    (connection,) = (await runtime.client.get("/v1/connections")).json()["connections"]
    assert connection["account"] == {"id": "south", "label": "Southwind <b>"}


async def test_single_account_is_connected_without_a_selection(runtime: Connecting, accounts: Accounts) -> None:
    del accounts.names["south"]
    assert (await runtime.connect())["account"]["id"] == "north"


async def test_no_account_is_a_failure_that_can_be_retried(runtime: Connecting, accounts: Accounts) -> None:
    accounts.names.clear()
    token, attempt, _ = await reach_selection(runtime)
    outcome = await runtime.outcome(token, attempt.authorization_id)
    assert (outcome["state"], outcome["code"]) == ("failed", "unexpected_value")


@pytest.mark.promise("P5")
async def test_only_the_browser_of_the_callback_selects_an_account_and_only_once(runtime: Connecting) -> None:
    token, attempt, page = await reach_selection(runtime)
    other = (await reach_selection(runtime))[1]
    stolen_cookie = f"{attempt.cookie.partition('=')[0]}={other.cookie.partition('=')[2]}"
    refused = [
        await select_account(runtime, page, None, "0"),
        await select_account(runtime, page, stolen_cookie, "0"),
        await select_account(runtime, page, attempt.cookie, "0", **{"sec-fetch-site": "cross-site"}),
        await select_account(runtime, page, attempt.cookie, "-1"),
        await select_account(runtime, page, attempt.cookie, "0", **{**OUR_PAGE, "sec-fetch-dest": "iframe"}),
    ]
    assert {answer.status_code for answer in refused} <= {400, 403, 409}
    assert (await runtime.client.get("/v1/connections")).json()["connections"] == []
    assert (await select_account(runtime, page, attempt.cookie, "0")).status_code == 200
    assert (await select_account(runtime, page, attempt.cookie, "1")).status_code == 409
    (connection,) = (await runtime.client.get("/v1/connections")).json()["connections"]
    assert connection["account"]["id"] == "north"
    assert (await runtime.outcome(token, attempt.authorization_id))["state"] == "connected"


async def test_account_selection_expires(runtime: Connecting) -> None:
    token, attempt, page = await reach_selection(runtime)
    tokens = await stored_token(runtime, attempt.authorization_id)
    runtime.application.clock.advance(minutes=11)
    assert (await select_account(runtime, page, attempt.cookie, "0")).status_code == 409
    assert (await runtime.outcome(token, attempt.authorization_id))["state"] == "failed"
    assert await account_selection.purge_due(runtime.application.installation) == 1
    assert await revoke_due(runtime.application.installation) == 1
    assert not await is_accepted(runtime, tokens), "the granted tokens are revoked"


@pytest.mark.promise("P9")
async def test_deleting_an_end_user_before_the_selection_revokes_the_grant(runtime: Connecting) -> None:
    _, attempt, page = await reach_selection(runtime)
    token = await stored_token(runtime, attempt.authorization_id)
    assert await is_accepted(runtime, token)
    assert (await runtime.client.send("DELETE", "/v1/end-users/user_123")).status_code == 200
    assert (await select_account(runtime, page, attempt.cookie, "0")).status_code == 409
    assert not await is_accepted(runtime, token)
