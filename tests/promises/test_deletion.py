"""P9, for providers without revocation: One Runtime removes deleted credentials from the live database at once."""

import sqlite3
from contextlib import closing
from typing import Any

import pytest

from one_runtime.db.database_url import sqlite_path
from one_runtime.demo.acme import GLOBEX, INITECH
from tests.application import ACME_KEYS, Application, Client
from tests.promises.stores import everything_stored, query, url_of

pytestmark = [pytest.mark.promise("P9"), pytest.mark.worker]

WAYS = ("disconnect", "delete", "forget", "replace")


def not_supported(connection_id: str) -> dict[str, str | None]:
    """Return the revocation that the API reports for an API key. Only the end user can revoke an API key."""
    return {"connection_id": connection_id, "token": None, "outcome": "not_supported", "reason": None}


def sealed_in(application: Application) -> list[bytes]:
    return [bytes(row[0]) for row in query(application.installation, "SELECT sealed FROM credentials ORDER BY 1")]


def checkpoint(application: Application) -> None:
    """Checkpoint SQLite's write-ahead log into the database file. SQLite does this later without this call."""
    path = sqlite_path(url_of(application.installation))
    assert path is not None
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


async def disconnect_all(client: Client, connection: dict[str, Any], way: str) -> None:
    if way == "disconnect":
        body = {"integration_slug": "acme", "end_user_id": "user_123"}
        answer = (await client.post("/v1/disconnect", body)).json()
        assert answer["revocations"] == [not_supported(connection["id"])]
        assert (answer["status"], answer["deleted_count"]) == ("disconnected", 1)
    elif way == "delete":
        answer = (await client.send("DELETE", f"/v1/connections/{connection['id']}")).json()
        assert (answer["id"], answer["revocations"]) == (connection["id"], [not_supported(connection["id"])])
    elif way == "forget":
        assert (await client.send("DELETE", "/v1/end-users/user_123")).status_code == 200
    else:
        await client.connect(key=ACME_KEYS[INITECH], connection_id=connection["id"])


@pytest.mark.parametrize("way", WAYS)
async def test_deleted_credentials_leave_the_database_at_once(
    application: Application, client: Client, way: str
) -> None:
    connection = await client.connect(key=ACME_KEYS[GLOBEX])
    (sealed,) = sealed_in(application)
    await disconnect_all(client, connection, way)
    assert sealed not in sealed_in(application)
    assert len(sealed_in(application)) == (1 if way == "replace" else 0)
    known = await client.get(f"/v1/connections/{connection['id']}")
    assert known.status_code == (200 if way == "replace" else 404)


@pytest.mark.only_database("sqlite")
@pytest.mark.parametrize("way", WAYS)
async def test_sealed_bytes_leave_the_database_file(application: Application, client: Client, way: str) -> None:
    connection = await client.connect(key=ACME_KEYS[GLOBEX])
    (sealed,) = sealed_in(application)
    checkpoint(application)
    before = everything_stored(application.installation)
    assert any(sealed in content for name, content in before.items() if name.endswith(".db"))
    await disconnect_all(client, connection, way)
    checkpoint(application)
    after = everything_stored(application.installation)
    assert [name for name, content in after.items() if sealed in content or sealed[-32:] in content] == []


async def test_disconnecting_deletes_a_connection_that_needs_reauth(application: Application, client: Client) -> None:
    connection = await client.connect(key=ACME_KEYS[GLOBEX])
    application.acme.acme.revoke(ACME_KEYS[GLOBEX])
    checked = (await client.post(f"/v1/connections/{connection['id']}/check")).json()
    assert checked["connection"]["status"] == "needs_reauth"
    await disconnect_all(client, connection, "disconnect")
    assert sealed_in(application) == []


async def test_disconnecting_one_end_user_keeps_the_other_end_users(application: Application, client: Client) -> None:
    await client.connect("user_456", ACME_KEYS[INITECH])
    connection = await client.connect("user_123", ACME_KEYS[GLOBEX])
    await disconnect_all(client, connection, "disconnect")
    assert len(sealed_in(application)) == 1
    assert (await client.integrations("user_456"))["acme"]["status"] == "connected"
    assert (await client.integrations("user_123"))["acme"]["status"] == "not_connected"
