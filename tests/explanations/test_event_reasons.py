"""The reasons that One Runtime records have explanations, which are complete sentences."""

from collections.abc import Iterator
from typing import get_args

import pytest

from one_runtime.connecting import sessions
from one_runtime.connecting.redirect_mode import EndUserMismatch
from one_runtime.connections import connections
from one_runtime.egress.errors import EgressError, RequestRefused, UpstreamTooLarge
from one_runtime.explanations.stored_errors import SESSION_ERRORS, error_note, explain_connection_error
from one_runtime.explanations.webhook_errors import DELIVERY_ERRORS
from one_runtime.oauth.errors import OAuthError
from one_runtime.oauth.id_token import IdTokenRefused
from one_runtime.tenancy import events
from one_runtime.tenancy.event_types import EventType, explain_event
from one_runtime.tenancy.events import Actor, Subject
from one_runtime.webhooks.endpoints import DisabledReason
from one_runtime.webhooks.messages import Message
from tests.application import Application, Client


def oauth_codes(kind: type[OAuthError] = OAuthError) -> Iterator[str]:
    if not issubclass(kind, IdTokenRefused):  # of the sign-in of members, which makes no such event
        yield kind.code
    for child in kind.__subclasses__():
        yield from oauth_codes(child)


def egress_codes() -> set[str]:
    """Return the codes of failed attempts. One Runtime sends only headers that it allows, and reads no whole body."""
    return {kind.code for kind in EgressError.__subclasses__() if kind not in {RequestRefused, UpstreamTooLarge}}


def test_reasons_of_failed_sessions_and_disabled_endpoints_are_explained() -> None:
    reasons = {*oauth_codes(), EndUserMismatch.code, "provider_unreachable"}
    assert reasons <= {*EventType.HOSTED_CONNECTION_SESSION_FAILED.reasons}
    assert {*get_args(DisabledReason)} == {*EventType.WEBHOOK_ENDPOINT_DISABLED.reasons}
    assert {*egress_codes()} <= {*DELIVERY_ERRORS}
    assert explain_event("connection.needs_reauth", "other") is None
    assert explain_event("connection.created", None) is None
    assert explain_event("hosted_connection_session.failed", "session_expired") == sessions.SessionExpired.explanation


def test_explanations_are_sentences() -> None:
    for explanations in (DELIVERY_ERRORS, SESSION_ERRORS, *(kind.reasons for kind in EventType)):
        for code, texts in explanations.items():
            assert all(text[0] in f"`{text[0].upper()}" and text.endswith(".") for text in texts), code


async def test_errors_of_connections_and_sessions_are_explained(application: Application, client: Client) -> None:
    """`tests/application.py` requires an explanation of each error that a test makes One Runtime store."""
    connection, session = await client.connect(), await client.session("user_456")
    now = application.clock()
    async with application.installation.database.write() as tx:
        actor = Actor((await client.get("/v1/organization")).json()["id"], "system")
        present = await connections.get(tx, actor.organization_id, connection["id"])
        await connections.mark_needs_reauth(tx, actor, present, "client_refused", "Acme refused the client.", now)
        await sessions.note_error(tx, session["id"], error_note("browser_mismatch", "No cookie.", now), now)
    error = (await client.get(f"/v1/connections/{connection['id']}")).json()["error"]
    assert (error["code"], error["message"]) == ("client_refused", "Acme refused the client.")
    assert error["explanation"]["action"] == "Ask the end user to connect again."
    error = (await client.get(f"/v1/hosted-connection-sessions/{session['id']}")).json()["last_error"]
    assert "in the browser in which the end user started" in error["explanation"]["action"]
    assert explain_connection_error("active", "client_refused") != explain_connection_error(
        "needs_reauth", "client_refused"
    )


@pytest.mark.slow
async def test_events_and_webhooks_explain_their_reason(application: Application, client: Client) -> None:
    organization = (await client.get("/v1/organization")).json()["id"]
    async with application.installation.database.write() as tx:
        for data in ({"reason": "invalid_grant"}, {}):
            subject, actor = Subject(data=data), Actor(organization, "system")
            await events.record(tx, actor, EventType.CONNECTION_NEEDS_REAUTH, application.clock(), subject)
    without, explained = (await client.get("/v1/events", limit=2)).json()["events"]
    assert without["data"] == {}
    assert explained["data"] == {
        "reason": "invalid_grant",
        "explanation": {
            "message": "The provider refused the refresh token.",
            "action": "Ask the end user to connect again.",
        },
    }
    async with application.installation.database.read() as tx:
        event = await events.get(tx, organization, explained["id"])
    sent = Message(event).document()["data"]
    assert isinstance(sent, dict)
    assert sent.items() >= explained["data"].items()
