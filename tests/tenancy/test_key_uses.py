"""`last_used_at` of API keys: the requests that count, and the number of writes."""

from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from typing import Any

import pytest

from one_runtime.db.engine import Database, Transaction
from one_runtime.errors import Unavailable
from one_runtime.tenancy import api_keys
from one_runtime.tenancy.key_uses import PRECISION, KeyUses
from tests.application import Application, Client

LIST = "/v1/integrations?end_user_id=user_123"


async def flush(application: Application) -> None:
    await application.app.services.request_log.flush()


async def last_uses(application: Application) -> dict[str, datetime | None]:
    """Return the time of the last use of each key, by the beginning of the key."""
    async with application.installation.database.read() as tx:
        return {key.prefix: key.last_used_at for key in await api_keys.list_all(tx)}


async def last_use(application: Application, secret: str) -> datetime | None:
    return (await last_uses(application))["_".join(secret.split("_")[:2])]


async def test_every_kind_of_authenticated_request_is_a_use(application: Application, client: Client) -> None:
    organization = (await client.get("/v1/me")).json()["organization"]["id"]
    await client.connect()
    headers = {"one-runtime-end-user": "user_123"}
    for path, scope, status in (
        (LIST, "read", 200),
        ("/v1/proxy/acme/v1/me", "use", 200),
        ("/v1/connections", "read", 200),
        ("/v1/me", "use", 200),
        ("/v1/connections", "use", 403),
    ):
        secret = await application.key(organization, scope)
        before = application.clock()
        assert await last_use(application, secret) is None
        answer = await application.client(secret).http.get(path, headers=headers)
        assert answer.status_code == status, path
        await flush(application)
        used = await last_use(application, secret)
        assert used is not None, path
        assert before <= used <= application.clock(), path


async def test_refused_key_is_not_used(application: Application) -> None:
    organization = await application.organization()
    secret = await application.key(organization)
    async with application.installation.database.write() as tx:
        await api_keys.revoke(tx, "_".join(secret.split("_")[:2]), application.clock())
    for path in (LIST, "/v1/connections", "/v1/proxy/acme/v1/me"):
        assert (await application.client(secret).http.get(path)).status_code == 401
    await flush(application)
    assert await last_use(application, secret) is None


async def test_use_is_written_once_in_ten_minutes_also_by_several_processes(application: Application) -> None:
    secret = await application.key(await application.organization())
    client, clock = application.client(secret), application.clock
    await client.get("/v1/me")
    await flush(application)
    first = await last_use(application, secret)
    assert first is not None
    key_id = (await client.get("/v1/me")).json()["id"]
    other_process = KeyUses(application.installation.database, clock)
    clock.advance(seconds=PRECISION.total_seconds() - 30)
    other_process.note(key_id)
    await other_process.flush()
    await client.get("/v1/me")
    await flush(application)
    assert await last_use(application, secret) == first
    clock.advance(seconds=60)
    assert await last_use(application, secret) == first, "only a request is a use"
    await client.get("/v1/me")
    await flush(application)
    second = await last_use(application, secret)
    assert second is not None
    assert second - first > timedelta(minutes=10)


async def test_requests_write_nothing_and_uses_wait_for_an_unavailable_database(
    application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = await application.key(await application.organization())
    client, database = application.client(secret), application.installation.database
    writes: list[Database] = []

    def refuse(self: Database, **_: Any) -> AbstractAsyncContextManager[Transaction]:
        writes.append(self)
        raise Unavailable("The database does not answer.")

    with monkeypatch.context() as patch:
        patch.setattr(type(database), "write", refuse)
        for _ in range(3):
            assert (await client.get("/v1/me")).status_code == 200
            assert (await client.http.get(LIST)).status_code == 200
        await flush(application)
        assert len(writes) >= 1
        assert await last_use(application, secret) is None
    await flush(application)
    assert await last_use(application, secret) is not None
    quiet = len(writes)
    with monkeypatch.context() as patch:
        patch.setattr(type(database), "write", refuse)
        await client.get("/v1/me")
        await flush(application)
    assert len(writes) == quiet, "within ten minutes, a further use is no write"
