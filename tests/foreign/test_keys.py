"""The proxy in front of programs of third parties that check a key: right, wrong, and revoked at the provider."""

import json
import os
from base64 import b64encode
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from tests.application import RunningAcme
from tests.database import ANY_DATABASE
from tests.foreign.keyed import Calling, Program, calling
from tests.waiting import async_attempts

pytestmark = pytest.mark.foreign

WRONG = f"tk_{'w' * 29}"


@pytest_asyncio.fixture
async def runtime(database_url: str, acme: RunningAcme, ntfy: Program) -> AsyncIterator[Calling]:
    async with calling(database_url, acme, ntfy) as runtime:
        yield runtime


@pytest_asyncio.fixture
async def shop(database_url: str, acme: RunningAcme, localstripe: Program) -> AsyncIterator[Calling]:
    async with calling(database_url, acme, localstripe) as runtime:
        yield runtime


async def request_as_user(program: Program, method: str, path: str, **more: Any) -> httpx2.Response:
    """Send a request of the signed-in ntfy user."""
    announcement = program.process.announcement
    async with program.plain(auth=(announcement["username"], announcement["password"])) as plain:
        answer = await plain.request(method, path, **more)
        assert answer.status_code == 200, answer.text
        return answer


async def new_token(program: Program) -> str:
    token: str = (await request_as_user(program, "POST", "/v1/account/token", json={"label": "One Runtime"})).json()[
        "token"
    ]
    return token


async def revoke(program: Program, token: str) -> None:
    await request_as_user(program, "DELETE", "/v1/account/token", headers={"X-Token": token})


async def directly(program: Program, method: str, path: str, token: str) -> httpx2.Response:
    async with program.plain(headers={"Authorization": f"Bearer {token}"}) as plain:
        return await plain.request(method, path)


async def test_key_calls_the_api_as_its_user(runtime: Calling) -> None:
    connected = await runtime.connect(token=await new_token(runtime.program))
    assert connected.status_code == 201, connected.text
    assert connected.json()["account"] == {"id": "ada", "label": "ada"}
    published = await runtime.call("POST", "/orders", content="Grüße".encode(), headers={"Title": "One order"})
    assert (published.status_code, published.json()["title"], published.json()["message"]) == (
        200,
        "One order",
        "Grüße",
    )
    read = await runtime.call("GET", "/orders/json?poll=1&title=One%20order")
    assert "Grüße" in [json.loads(line)["message"] for line in read.text.splitlines()]
    assert (await runtime.call("POST", "/secret", content=b"x")).json()["code"] == 40301, "what it may not is its own"


@ANY_DATABASE
async def test_user_name_and_password_work_too(runtime: Calling) -> None:
    announcement = runtime.program.process.announcement
    connected = await runtime.connect("basic", username=announcement["username"], password=announcement["password"])
    assert connected.status_code == 201, connected.text
    assert (await runtime.call("GET", "/v1/account")).json()["username"] == "ada"
    wrong = await runtime.connect("basic", username=announcement["username"], password="wrong-horse")
    assert (wrong.status_code, wrong.json()["provider_reason"]) == (422, "unauthorized")


@ANY_DATABASE
async def test_file_is_uploaded_and_downloaded(runtime: Calling) -> None:
    await runtime.connect(token=await new_token(runtime.program))
    file = os.urandom(1_000_000)
    put = await runtime.call("PUT", "/orders", content=file, headers={"Filename": "order.bin"})
    path = put.json()["attachment"]["url"].removeprefix(runtime.program.url)
    assert (await runtime.call("GET", path)).content == file
    head = await runtime.call("HEAD", path)
    assert (head.status_code, head.headers["content-length"], head.content) == (200, "1000000", b"")


@ANY_DATABASE
async def test_wrong_key_is_refused_when_connecting_and_when_calling(runtime: Calling) -> None:
    refused = await runtime.connect(token=WRONG)
    assert (refused.status_code, refused.json()["code"]) == (422, "credentials_refused")
    assert refused.json()["provider_reason"] == "unauthorized"
    assert (await runtime.connect(check=False, token=WRONG)).status_code == 201
    answer, without_us = (
        await runtime.call("GET", "/v1/account"),
        await directly(runtime.program, "GET", "/v1/account", WRONG),
    )
    assert (answer.status_code, answer.content) == (401, without_us.content)
    assert "one-runtime-error" not in answer.headers


async def test_key_revoked_at_the_provider_has_to_be_replaced(runtime: Calling) -> None:
    first = await new_token(runtime.program)
    created = (await runtime.connect(token=first)).json()
    assert (await runtime.call("GET", "/v1/account")).status_code == 200
    await revoke(runtime.program, first)
    assert (await runtime.call("GET", "/v1/account")).status_code == 401
    connection: dict[str, Any] = {}
    async for _ in async_attempts():  # a 401 response of the API makes us recheck the connection
        connection = (await runtime.client.get(f"/v1/connections/{created['id']}")).json()
        if connection["status"] == "needs_reauth":
            break
    assert (connection["error"]["code"], connection["error"]["message"]) == ("credentials_refused", "unauthorized")
    assert (await runtime.call("GET", "/v1/account")).json()["code"] == "connect_required"
    assert (await runtime.client.integrations())["ntfy"]["status"] == "not_connected"
    again = await runtime.connect(token=await new_token(runtime.program))
    assert (again.status_code, again.json()["id"]) == (200, created["id"])
    assert (await runtime.call("GET", "/v1/account")).status_code == 200


@ANY_DATABASE
async def test_forms_and_queries_reach_a_stateful_api(shop: Calling) -> None:
    assert (await shop.connect(api_key="sk_test_0123456789")).status_code == 201
    form = {"email": "ada@example.com", "metadata[plan]": "pro & more"}
    created = await shop.call("POST", "/customers", data=form)
    assert created.status_code == 200, created.text
    customer = created.json()
    assert (customer["email"], customer["metadata"]) == ("ada@example.com", {"plan": "pro & more"})
    listed = await shop.call("GET", "/customers?email=ada%40example.com&limit=1")
    assert customer["id"] in {listed_customer["id"] for listed_customer in listed.json()["data"]}
    changed = await shop.call("POST", f"/customers/{customer['id']}", data={"name": "Ada"})
    assert changed.json()["name"] == "Ada"
    assert (await shop.call("DELETE", f"/customers/{customer['id']}")).json()["deleted"] is True
    assert (await shop.call("GET", f"/customers/{customer['id']}x")).status_code == 404


@ANY_DATABASE
async def test_publishable_key_is_refused(shop: Calling) -> None:
    refused = await shop.connect(api_key="pk_test_0123456789")
    assert (refused.status_code, refused.json()["code"]) == (422, "credentials_refused")
    assert (await shop.connect(check=False, api_key="pk_test_0123456789")).status_code == 201
    assert (await shop.call("GET", "/customers")).status_code == 401


@ANY_DATABASE
async def test_callers_own_credential_is_not_forwarded(runtime: Calling) -> None:
    """The proxy drops the caller's `Proxy-Authorization` and sends the end user's credential."""
    await runtime.connect(token=await new_token(runtime.program))
    announcement = runtime.program.process.announcement
    other = b64encode(f"{announcement['username']}:wrong".encode()).decode()
    answer = await runtime.call("GET", "/v1/account", headers={"Proxy-Authorization": f"Basic {other}"})
    assert answer.json()["username"] == "ada"
