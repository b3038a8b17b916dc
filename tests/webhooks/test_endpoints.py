"""The routes of webhook endpoints: create, change, pause, rotate the secret, test, delete."""

import pytest
from standardwebhooks import WebhookVerificationError

from one_runtime.webhooks import upkeep
from tests.application import Application, Client
from tests.webhooks.conftest import subscribe, wait_for_deliveries
from tests.webhooks.receiver import Message, Receiver, with_status


async def test_a_secret_is_shown_only_once(client: Client, receiver: Receiver) -> None:
    endpoint = await subscribe(client, receiver.url())
    assert endpoint["secret"].startswith("whsec_")
    shown = [
        (await client.get(f"/v1/webhook-endpoints/{endpoint['id']}")).text,
        (await client.get("/v1/webhook-endpoints")).text,
        (await client.get("/v1/events")).text,
    ]
    assert not [text for text in shown if endpoint["secret"] in text]


async def test_groups_are_stored_as_their_types_and_a_list_hides_the_query(client: Client, receiver: Receiver) -> None:
    endpoint = await subscribe(client, receiver.url("/hook?token=secret"), "end_user.*", "connection.created")
    assert endpoint["event_types"] == ["connection.created", "end_user.updated", "end_user.deleted"]
    listed = (await client.get("/v1/webhook-endpoints")).json()["webhook_endpoints"]
    assert [each["url"] for each in listed] == [receiver.url("/hook")]
    assert "token=secret" not in (await client.get("/v1/events")).text


async def test_only_chosen_types_arrive(client: Client, receiver: Receiver) -> None:
    await subscribe(client, receiver.url("/chosen"), "connection.deleted")
    await subscribe(client, receiver.url("/all"))
    connection = await client.connect()
    await client.send("DELETE", f"/v1/connections/{connection['id']}")
    await receiver.wait_for("connection.deleted", "/chosen")
    await receiver.wait_for("connection.deleted", "/all")
    assert [message.type for message in receiver.at("/chosen")] == ["connection.deleted"]
    assert {message.type for message in receiver.at("/all")} == {"connection.created", "connection.deleted"}


async def test_a_paused_endpoint_collects_events(client: Client, receiver: Receiver) -> None:
    endpoint = await subscribe(client, receiver.url())
    path = f"/v1/webhook-endpoints/{endpoint['id']}"
    assert (await client.send("PATCH", path, {"status": "paused"})).json()["status"] == "paused"
    await client.connect()
    assert (await client.get(path)).json()["pending_deliveries"] == 1
    assert receiver.messages == []
    await client.send("PATCH", path, {"status": "active"})
    await receiver.wait_for("connection.created")


async def test_messages_carry_both_signatures_during_the_overlap(
    application: Application, client: Client, receiver: Receiver
) -> None:
    """The receiver verifies with the system's clock, so the clock moves by less than five minutes."""
    await subscribe(client, receiver.url("/watcher"), "webhook_endpoint.updated")
    endpoint = await subscribe(client, receiver.url())
    path = f"/v1/webhook-endpoints/{endpoint['id']}"
    before = (await client.get(path)).json()

    async def rotate(seconds: int) -> str:
        rotated: str = (await client.post(f"{path}/rotate-secret", {"overlap_seconds": seconds})).json()["secret"]
        return rotated

    async def signed_with(user: str, count: int) -> Message:
        await client.connect(user)
        message = await receiver.wait_for("connection.created", count=count)
        await wait_for_deliveries(client, endpoint, status="delivered")  # before the moved clock ends the lease
        return message

    first, second = endpoint["secret"], await rotate(60)
    message = await signed_with("user_1", 1)
    assert message.verify(first) == message.verify(second)
    application.clock.advance(seconds=61)
    message = await signed_with("user_2", 2)
    message.verify(second)
    assert len(message.headers["webhook-signature"].split()) == 1
    third, fourth = await rotate(60), await rotate(60)
    message = await signed_with("user_3", 3)
    message.verify(third)
    message.verify(fourth)
    for ended in (first, second):  # a rotation during an overlap ends the oldest secret
        with pytest.raises(WebhookVerificationError):
            message.verify(ended)
    fifth = await rotate(0)
    message = await signed_with("user_4", 4)
    message.verify(fifth)
    assert len(message.headers["webhook-signature"].split()) == 1
    updated = await receiver.wait_for("webhook_endpoint.updated", "/watcher", count=4)
    assert updated.body["data"]["changed"] == ["secret"]
    assert (await client.get(path)).json()["updated_at"] > before["updated_at"]


async def test_a_test_message_reports_the_answer(client: Client, receiver: Receiver) -> None:
    receiver.answers["/hook"] = with_status(401)
    endpoint = await subscribe(client, receiver.url())
    tested = (await client.post(f"/v1/webhook-endpoints/{endpoint['id']}/test")).json()
    assert (tested["is_success"], tested["http_status"], tested["response_excerpt"]) == (False, 401, "answer 401")
    message = await receiver.wait_for("webhook.test")
    message.verify(endpoint["secret"])
    assert (await client.get(f"/v1/events/{message.id}")).status_code == 404


async def test_a_deleted_endpoint_receives_nothing_and_another_learns_of_it(client: Client, receiver: Receiver) -> None:
    watcher = await subscribe(client, receiver.url("/watcher"), "webhook_endpoint.*")
    endpoint = await subscribe(client, receiver.url())
    assert (await client.send("DELETE", f"/v1/webhook-endpoints/{endpoint['id']}")).status_code == 200
    await client.connect()
    message = await receiver.wait_for("webhook_endpoint.deleted", "/watcher")
    assert message.body["data"]["webhook_endpoint_id"] == endpoint["id"] != watcher["id"]
    assert receiver.at() == []
    assert (await client.get(f"/v1/webhook-endpoints/{endpoint['id']}")).status_code == 404


@pytest.mark.parametrize(
    "url, words",
    [
        ("http://example.com/hook", "https"),
        ("https://169.254.169.254/latest", "public internet"),
        ("https://localhost/hook", "public internet"),
        ("https://10.0.0.1/hook", "public internet"),
        ("https://[::1]/hook", "public internet"),
        ("ftp://example.com/hook", "http"),
        ("https://user:secret@example.com/", "user name"),
        ("https://example.com/#part", "fragment"),
    ],
)
async def test_a_url_that_one_runtime_cannot_use_is_refused(client: Client, url: str, words: str) -> None:
    answer = await client.post("/v1/webhook-endpoints", {"url": url, "event_types": ["*"]})
    assert answer.status_code == 422
    assert words in answer.json()["detail"]


async def test_an_endpoint_that_is_gone_is_disabled_and_can_be_activated(client: Client, receiver: Receiver) -> None:
    await subscribe(client, receiver.url("/watcher"), "webhook_endpoint.disabled")
    receiver.answers["/hook"] = with_status(410)
    endpoint = await subscribe(client, receiver.url(), "connection.*")
    await client.connect()
    message = await receiver.wait_for("webhook_endpoint.disabled", "/watcher")
    assert message.body["data"]["reason"] == "gone"
    path = f"/v1/webhook-endpoints/{endpoint['id']}"
    assert (await client.get(path)).json()["disabled_reason"] == "gone"
    await client.connect("user_456")
    del receiver.answers["/hook"]
    assert (await client.post(f"{path}/replay", {"since": "2020-01-01T00:00:00Z"})).status_code == 409
    assert (await client.send("PATCH", path, {"status": "active"})).json()["disabled_reason"] is None
    replayed = await client.post(f"{path}/replay", {"since": "2020-01-01T00:00:00Z", "status": "missing"})
    assert replayed.json() == {"queued_deliveries": 2}
    await receiver.wait_for("connection.created", count=3)  # the first attempt, and both events again


async def test_a_temporary_endpoint_is_deleted_after_its_time(
    application: Application, client: Client, receiver: Receiver
) -> None:
    renewed, expired = [await subscribe(client, None, "connection.*", expires_in=60) for _ in range(2)]
    kept = await subscribe(client, receiver.url(), expires_in=60)
    path = f"/v1/webhook-endpoints/{renewed['id']}"
    application.clock.advance(seconds=50)
    answer = (await client.send("PATCH", path, {"expires_in": 120})).json()
    assert answer["expires_at"] > expired["expires_at"]
    assert (await client.send("PATCH", f"/v1/webhook-endpoints/{kept['id']}", {"expires_in": None})).json()[
        "expires_at"
    ] is None
    application.clock.advance(seconds=20)
    await upkeep.run(application.installation)
    listed = (await client.get("/v1/webhook-endpoints")).json()["webhook_endpoints"]
    assert [each["id"] for each in listed] == [renewed["id"], kept["id"]]
    too_long = await client.post(
        "/v1/webhook-endpoints", {"kind": "pull", "event_types": ["*"], "expires_in": 2_592_001}
    )
    assert "expires_in must be a whole number of seconds from 60 to 2592000" in too_long.json()["detail"]


async def test_a_test_message_can_be_a_made_up_event(client: Client, receiver: Receiver) -> None:
    endpoint = await subscribe(client, receiver.url(), "organization.updated")
    path = f"/v1/webhook-endpoints/{endpoint['id']}/test"
    assert (await client.post(f"{path}?type=connection.needs_reauth")).json()["is_success"] is True
    message = await receiver.wait_for("connection.needs_reauth")
    message.verify(endpoint["secret"])
    data = message.body["data"]
    assert data["reconnect"] == {
        "integration_slug": "hubspot",
        "end_user_id": "user_123",
        "connection_id": data["connection_id"],
    }
    assert (await client.get(f"/v1/events/{message.id}")).status_code == 404
    assert (await client.http.post(path)).json()["is_success"] is True  # without a body
    await receiver.wait_for("webhook.test")
    unknown = await client.post(f"{path}?type=connection.*")
    assert unknown.status_code == 422
    assert "connection.created" in unknown.json()["detail"]
