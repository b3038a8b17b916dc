"""Values of fields, in paths, queries, headers and bodies."""

from tests.application import Client


async def test_ids_are_accepted_in_upper_case(client: Client) -> None:
    """RFC 9562, 4: programs read a UUID without regard to case."""
    connection = await client.connect()
    session = await client.session(connection_id=connection["id"].upper())
    (event, *_) = (await client.get("/v1/events")).json()["events"]
    (key,) = (await client.get("/v1/api-keys")).json()["api_keys"]
    for path in (
        f"/v1/connections/{connection['id'].upper()}",
        f"/v1/hosted-connection-sessions/{session['id'].upper()}",
        f"/v1/events/{event['id'].upper()}",
        f"/v1/api-keys/{key['id'].upper()}",
    ):
        answer = await client.get(path)
        assert (answer.status_code, answer.json()["id"]) == (200, path.rpartition("/")[2].lower()), path
    listed = await client.get("/v1/events", connection_id=connection["id"].upper())
    assert {listed_event["connection_id"] for listed_event in listed.json()["events"]} == {connection["id"]}
    headers = {"one-runtime-connection": connection["id"].upper()}
    assert (await client.http.get("/v1/proxy/acme/v1/me", headers=headers)).status_code == 200
    again = await client.connect(connection_id=connection["id"].upper())
    assert again["id"] == connection["id"]
