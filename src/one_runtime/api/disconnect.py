"""`POST /v1/disconnect`: let go of everything that an end user has connected at one integration."""

from typing import Literal

from fastapi import APIRouter

from one_runtime.api.auth import Authenticated, Installed
from one_runtime.api.fields import Answer, Body, Slug, Text, example
from one_runtime.disconnect import disconnect

router = APIRouter(tags=["Disconnect"])


class Disconnect(Body):
    """Whose connections, at which integration."""

    model_config = example(integration_slug="hubspot", end_user_id="user_123")

    integration_slug: Slug
    end_user_id: Text


class RevocationAnswer(Answer):
    """What became of one credential at the provider. A key that the end user made can only be revoked by them, in the
    provider's settings: `not_supported`."""

    connection_id: str
    outcome: Literal["revoked", "refused", "unreachable", "not_supported"]


class Disconnected(Answer):
    """What was deleted. `not_found` also for an unknown slug or end user."""

    status: Literal["disconnected", "not_found"]
    integration_slug: str
    end_user_id: str
    deleted_count: int
    revocations: list[RevocationAnswer]


@router.post("/v1/disconnect", summary="Disconnect an integration")
async def disconnect_integration(body: Disconnect, caller: Authenticated, installation: Installed) -> Disconnected:
    """Delete every connection of the end user at the integration, with its credentials, at once."""
    removed = await disconnect(installation, caller.actor, body.integration_slug, body.end_user_id)
    return Disconnected(
        status="disconnected" if removed else "not_found",
        integration_slug=body.integration_slug,
        end_user_id=body.end_user_id,
        deleted_count=len(removed),
        revocations=[RevocationAnswer(connection_id=one.connection_id, outcome=one.outcome) for one in removed],
    )
