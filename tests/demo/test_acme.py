"""Acme CRM, the demo's provider: keys, accounts, contacts, refusals with a reason."""

from collections.abc import AsyncIterator

import httpx2
import pytest

from one_runtime.demo.acme import GLOBEX, INITECH, Acme, new_key

KEYS = {GLOBEX: new_key(), INITECH: new_key()}


@pytest.fixture
def acme() -> Acme:
    return Acme(KEYS)


@pytest.fixture
async def client(acme: Acme) -> AsyncIterator[httpx2.AsyncClient]:
    transport = httpx2.ASGITransport(app=acme.app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://acme.test") as client:
        yield client


def bearer(account: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {KEYS[account]}"}


async def test_each_key_names_its_own_account(client: httpx2.AsyncClient) -> None:
    globex = await client.get("/v1/me", headers=bearer(GLOBEX))
    initech = await client.get("/v1/me", headers=bearer(INITECH))
    assert globex.json()["account"] == {"id": "acc_globex", "name": "Globex Corporation"}
    assert initech.json()["account"] == {"id": "acc_initech", "name": "Initech"}


@pytest.mark.parametrize(
    "authorization, code",
    [(None, "missing_key"), ("Bearer ", "missing_key"), ("Basic YTpi", "missing_key"), ("Bearer nope", "invalid_key")],
)
async def test_wrong_key_is_refused_with_a_readable_reason(
    client: httpx2.AsyncClient, authorization: str | None, code: str
) -> None:
    answer = await client.get("/v1/me", headers={"Authorization": authorization} if authorization else {})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["error"]["code"] == code
    assert answer.json()["error"]["message"].endswith(".")


async def test_contact_is_created_read_updated_and_deleted(client: httpx2.AsyncClient) -> None:
    created = await client.post(
        "/v1/contacts", headers=bearer(GLOBEX), json={"name": " Mei Tan ", "email": "mei@x.test"}
    )
    assert created.status_code == 201
    assert created.json()["name"] == "Mei Tan"
    path = f"/v1/contacts/{created.json()['id']}"
    changed = await client.patch(path, headers=bearer(GLOBEX), json={"company": "Tan & Co"})
    assert changed.json() == {**created.json(), "company": "Tan & Co"}
    assert (await client.get(path, headers=bearer(GLOBEX))).json() == changed.json()
    assert changed.json() in (await client.get("/v1/contacts", headers=bearer(GLOBEX))).json()["contacts"]
    assert (await client.delete(path, headers=bearer(GLOBEX))).status_code == 204
    assert (await client.get(path, headers=bearer(GLOBEX))).status_code == 404


async def test_account_cannot_read_another_account(client: httpx2.AsyncClient) -> None:
    contacts = (await client.get("/v1/contacts", headers=bearer(GLOBEX))).json()["contacts"]
    answer = await client.get(f"/v1/contacts/{contacts[0]['id']}", headers=bearer(INITECH))
    assert answer.status_code == 404


@pytest.mark.parametrize(
    "body, status",
    [
        (b"{", 400),
        (b"[]", 422),
        (b'{"name": 1}', 422),
        (b'{"email": "a@b.test"}', 422),
        (b'{"name": "x", "id": "y"}', 422),
        (b'{"name": "' + b"x" * 20_000 + b'"}', 413),
    ],
)
async def test_invalid_contact_is_refused(client: httpx2.AsyncClient, body: bytes, status: int) -> None:
    answer = await client.post("/v1/contacts", headers=bearer(GLOBEX), content=body)
    assert answer.status_code == status
    assert answer.json()["error"]["message"]


async def test_key_revokes_and_restores_itself(client: httpx2.AsyncClient) -> None:
    assert (await client.post("/v1/test/revoke", headers={"Authorization": "Bearer nope"})).status_code == 401
    assert (await client.post("/v1/test/revoke", headers=bearer(GLOBEX))).status_code == 204
    refused = await client.get("/v1/me", headers=bearer(GLOBEX))
    assert refused.status_code == 401
    assert "revoked" in refused.json()["error"]["message"]
    assert (await client.get("/v1/me", headers=bearer(INITECH))).status_code == 200
    assert (await client.post("/v1/test/restore", headers=bearer(GLOBEX))).status_code == 204
    assert (await client.get("/v1/me", headers=bearer(GLOBEX))).status_code == 200


async def test_outage_is_not_a_refusal(acme: Acme, client: httpx2.AsyncClient) -> None:
    acme.fail_with(503)
    assert (await client.get("/v1/me", headers=bearer(GLOBEX))).status_code == 503
    acme.fail_with(None)
    assert (await client.get("/v1/me", headers=bearer(GLOBEX))).status_code == 200


async def test_settings_page_shows_the_keys_and_loads_nothing(client: httpx2.AsyncClient) -> None:
    page = await client.get("/settings/api-keys")
    assert all(key in page.text for key in KEYS.values())
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    assert "unsafe-inline" not in page.headers["content-security-policy"]


def test_repr_of_an_account_hides_its_key(acme: Acme) -> None:
    assert not any(key in repr(acme.accounts) for key in KEYS.values())
