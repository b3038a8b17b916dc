"""Make up an event of each type, and send one to test a receiver. One Runtime does not store these events."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from one_runtime.clock import rfc3339
from one_runtime.context import Installation
from one_runtime.db.ids import new_id
from one_runtime.errors import Conflict, InvalidInput
from one_runtime.tenancy.events import TYPES, Actor, Event
from one_runtime.webhooks import endpoints, secrets
from one_runtime.webhooks.attempts import AttemptResult, attempt
from one_runtime.webhooks.messages import Message

TEST: Final = "webhook.test"
"""The type of a test message that looks like no event."""

END_USER: Final = "user_123"
"""The end user of all made-up events."""

_INTEGRATION: Final = {"integration_slug": "hubspot"}
_CONNECTION: Final = {**_INTEGRATION, "auth_type": "oauth2"}
_SESSION: Final = {"session_id": "01a21077-a4f0-7d11-8c52-6a9b1e0f3d24", **_INTEGRATION}
_API_KEY: Final = {"api_key_id": "01a21077-a4c3-7e5f-9b0a-2d4c6e8f1a35", "name": "production"}
_CONNECT_REQUEST: Final = {"connect_request_id": "01a21077-a4b1-7c93-8d27-5e6f9a1b3c48", **_INTEGRATION}
_AUTHORIZATION: Final = {
    "agent_authorization_id": "01a21077-a4b6-7f3d-9a15-7c8e0b2d4f69",
    "client_id": "https://claude.ai/oauth/mcp-oauth-client-metadata",
    "name": "Claude",
    "access": "write",
}
_APPROVAL_REQUEST: Final = {
    "approval_request_id": "01a21077-a4b9-7d15-9e27-7c8f0a2b4d59",
    **_INTEGRATION,
    "method": "POST",
    "host": "api.hubapi.com",
    "path": "/crm/v3/objects/contacts",
}
_TOKEN: Final = {
    "end_user_token_id": "01a21077-a4e2-7a54-9c68-1b3d5f7a9c57",
    "name": "assistant",
    "audience": "agent",
    "access": "read",
    "client_id": "https://claude.ai/oauth/mcp-oauth-client-metadata",
}
_INVITATION: Final = {
    "invitation_id": "01a21077-a4c8-7b17-8c3d-9e1f2a4b6c58",
    "email": "ada@example.com",
    "role": "developer",
    "expires_at": "2026-12-02T13:52:10.215Z",
}
_MEMBER: Final = {
    "member_id": "01a21077-a4cd-7d42-9f6a-1b2c3d4e5f69",
    "email": "ada@example.com",
    "role": "developer",
}
_CUSTOM: Final = {"integration_slug": "x-billing"}
_ENDPOINT: Final = {
    "webhook_endpoint_id": "01a21077-a4d8-7b26-8e4f-3c5d7f9a2b46",
    "kind": "push",
    "url": "https://app.example.com/hooks/one-runtime",
}
_DATA: Final[Mapping[str, Mapping[str, object]]] = {
    "connection.created": _CONNECTION,
    "connection.updated": {**_CONNECTION, "reason": "permission_missing"},
    "connection.reconnected": _CONNECTION,
    "connection.needs_reauth": {**_CONNECTION, "reason": "invalid_grant"},
    "connection.recovered": _CONNECTION,
    "connection.refresh_failed": {**_CONNECTION, "reason": "provider_trouble"},
    "connection.deleted": _CONNECTION,
    "connection.credentials_read": _CONNECTION,
    "hosted_connection_session.created": _SESSION,
    "hosted_connection_session.failed": {**_SESSION, "reason": "consent_denied"},
    "agent.connect_requested": _CONNECT_REQUEST,
    "agent.connect_declined": _CONNECT_REQUEST,
    "agent.authorization_approved": _AUTHORIZATION,
    "agent.authorization_declined": _AUTHORIZATION,
    "agent.write_requested": _APPROVAL_REQUEST,
    "agent.write_approved": {**_APPROVAL_REQUEST, "approved_until": None},
    "agent.write_refused": _APPROVAL_REQUEST,
    "end_user_token.created": {**_TOKEN, "expires_at": "2026-12-01T13:52:10.215Z"},
    "end_user_token.revoked": _TOKEN,
    "end_user.updated": {"changed": ["name", "email"]},
    "end_user.deleted": {"deleted_connections": 2},
    "api_key.created": {**_API_KEY, "scopes": ["read", "connect", "use"]},
    "api_key.revoked": _API_KEY,
    "member.invited": _INVITATION,
    "member.invitation_revoked": _INVITATION,
    "member.joined": _MEMBER,
    "member.updated": {**_MEMBER, "changed": ["role"]},
    "member.removed": _MEMBER,
    "custom_integration.created": _CUSTOM,
    "custom_integration.updated": _CUSTOM,
    "custom_integration.deleted": _CUSTOM,
    "oauth_client.updated": _INTEGRATION,
    "oauth_client.deleted": _INTEGRATION,
    "organization.updated": {"changed": ["display_name"]},
    "webhook_endpoint.created": _ENDPOINT,
    "webhook_endpoint.updated": {**_ENDPOINT, "changed": ["event_types"]},
    "webhook_endpoint.deleted": _ENDPOINT,
    "webhook_endpoint.disabled": {**_ENDPOINT, "reason": "failing"},
}
"""The data of an event of each type, as docs/events.md describes the data."""


_ABOUT_END_USERS: Final = ("connection.", "hosted_connection_session.", "end_user.", "end_user_token.", "agent.")


def check_type(kind: str) -> str:
    """Return the type unchanged. Raises: InvalidInput if no event has this type."""
    if kind != TEST and kind not in TYPES:
        raise InvalidInput.of("type", f"must be one of: {TEST}, {', '.join(TYPES)}")
    return kind


def make_up(kind: str, actor: Actor, now: datetime) -> Event:
    """Return a new event of the type `kind`, with a new id. `actor`: who sends the test. Raises: InvalidInput."""
    is_about_end_user = check_type(kind).startswith(_ABOUT_END_USERS)
    return Event(
        id=new_id(),
        organization_id=actor.organization_id,
        type=kind,
        occurred_at=now,
        actor_type=actor.type,
        actor_id=actor.id,
        address=actor.address,
        end_user_id=END_USER if is_about_end_user else None,
        connection_id=new_id() if kind.startswith("connection.") else None,
        data=_DATA.get(kind, {"sent_at": rfc3339(now)}),
        request_id=None,
    )


async def send_test(installation: Installation, actor: Actor, endpoint_id: str, event_type: str) -> AttemptResult:
    """Send a made-up event to an endpoint of the actor's organization now, and return the result.

    Store nothing, and change nothing. `event_type`: a type of events, or `TEST`.

    Raises: NotFound; InvalidInput for an unknown type; Conflict for a pull endpoint and for a lost secret; Unavailable.
    """
    now = installation.clock()
    message = Message(make_up(event_type, actor, now))
    async with installation.database.read() as tx:
        endpoint = await endpoints.get(tx, actor.organization_id, endpoint_id)
        if endpoint.kind == "pull":
            raise Conflict(
                "This endpoint has no URL, so One Runtime cannot send a test message. Your program fetches the events "
                f"with GET /v1/webhook-endpoints/{endpoint.id}/pending."
            )
        keys = await secrets.require(tx, installation.vault, endpoint, now)
    return await attempt(installation.webhook_egress, endpoint, keys, message, installation.clock)
