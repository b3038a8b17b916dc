"""`POST /v1/disconnect`: let go of everything that an end user has connected at one integration."""

from collections.abc import Iterable
from typing import Literal

from one_runtime.api.fields import Answer, Body, Slug, Text, example
from one_runtime.api.routing import UNREADABLE_CREDENTIALS, Authenticated, Installed, Routes
from one_runtime.connecting.disconnect import DisconnectedConnection, disconnect

router = Routes("Disconnect")


class Disconnect(Body, title="NewDisconnection"):
    """Whose connections, at which integration."""

    model_config = example(integration_slug="hubspot", end_user_id="user_123")

    integration_slug: Slug
    end_user_id: Text


class RevocationAnswer(Answer, title="Revocation"):
    """What became of one token at the provider: `revoked` (it is good for nothing any more), `not_supported` (the
    provider offers no way, or it is no token: keys that an end user made can be revoked by them alone, in the
    provider's settings), or `failed`, with the reason. Failures that may pass are tried again for a day."""

    connection_id: str
    token: Literal["access_token", "refresh_token"] | None
    outcome: Literal["revoked", "failed", "not_supported"]
    reason: str | None

    @classmethod
    def of_all(cls, let_go: Iterable[DisconnectedConnection]) -> "list[RevocationAnswer]":
        """One for each token."""
        return [
            cls(connection_id=one.connection_id, token=told.token, outcome=told.outcome, reason=told.reason)
            for one in let_go
            for told in one.revocations
        ]


class Disconnected(Answer, title="Disconnection"):
    """What was deleted. `not_found` also for an unknown slug or end user."""

    status: Literal["disconnected", "not_found"]
    integration_slug: str
    end_user_id: str
    deleted_count: int
    revocations: list[RevocationAnswer]


@router.post(
    "/v1/disconnect",
    scope="connect",
    errors=(*UNREADABLE_CREDENTIALS,),
    name="disconnect",
    summary="Disconnect an integration",
)
async def disconnect_integration(body: Disconnect, caller: Authenticated, installation: Installed) -> Disconnected:
    """Delete every connection of the end user at the integration, with its credentials, at once; and revoke its tokens
    at the provider."""
    removed = await disconnect(installation, caller.actor, body.integration_slug, body.end_user_id)
    return Disconnected(
        status="disconnected" if removed else "not_found",
        integration_slug=body.integration_slug,
        end_user_id=body.end_user_id,
        deleted_count=len(removed),
        revocations=RevocationAnswer.of_all(removed),
    )
