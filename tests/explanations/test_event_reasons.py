"""The reasons that One Runtime records have explanations, which are complete sentences."""

from collections.abc import Iterator
from typing import get_args

import pytest

from one_runtime.connecting.redirect_mode import EndUserMismatch
from one_runtime.explanations.api_errors import API_ERRORS
from one_runtime.explanations.event_reasons import EVENT_REASONS, explain_event
from one_runtime.explanations.webhook_errors import DELIVERY_ERRORS
from one_runtime.oauth.errors import OAuthError
from one_runtime.tenancy import events
from one_runtime.tenancy.events import Actor, Subject
from one_runtime.webhooks.endpoints import DisabledReason
from one_runtime.webhooks.messages import Message
from tests.application import Application, Client


def oauth_codes(kind: type[OAuthError] = OAuthError) -> Iterator[str]:
    yield kind.code
    for child in kind.__subclasses__():
        yield from oauth_codes(child)


def test_reasons_of_failed_sessions_and_disabled_endpoints_are_explained() -> None:
    assert {*oauth_codes(), EndUserMismatch.code, "provider_unreachable"} <= {
        *EVENT_REASONS["hosted_connection_session.failed"]
    }
    assert {*get_args(DisabledReason)} == {*EVENT_REASONS["webhook_endpoint.disabled"]}
    assert {*EVENT_REASONS} <= {*events.TYPES}
    assert explain_event("connection.needs_reauth", "other") is None
    assert explain_event("connection.created", None) is None


def test_explanations_are_sentences() -> None:
    for explanations in (API_ERRORS, DELIVERY_ERRORS, *EVENT_REASONS.values()):
        for code, texts in explanations.items():
            assert all(text[0] in f"`{text[0].upper()}" and text.endswith(".") for text in texts), code


@pytest.mark.slow
async def test_events_and_webhooks_explain_their_reason(application: Application, client: Client) -> None:
    organization = (await client.get("/v1/organization")).json()["id"]
    async with application.installation.database.write() as tx:
        for data in ({"reason": "invalid_grant"}, {}):
            subject, actor = Subject(data=data), Actor(organization, "system")
            await events.record(tx, actor, "connection.needs_reauth", application.clock(), subject)
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
