"""Serve `POST /v1/disconnect`: delete all connections of an end user to one integration."""

from collections.abc import Iterable
from typing import Annotated, Literal

from one_runtime.api.described import Described
from one_runtime.api.fields import Answer, Body, Slug, Text, example
from one_runtime.api.routing import UNREADABLE_CREDENTIALS, Authenticated, Installed, Routes
from one_runtime.lifecycle.disconnect import DisconnectedConnection, disconnect

router = Routes("Disconnect")


class Disconnect(Body, title="NewDisconnection"):
    """The end user, and the integration to disconnect."""

    model_config = example(integration_slug="hubspot", end_user_id="user_123")

    integration_slug: Slug
    end_user_id: Text


class RevocationAnswer(Answer, title="Revocation"):
    """The result of revoking one token at the provider.

    - `revoked`: the provider revoked the token.
    - `not_supported`: One Runtime cannot revoke the credential. For example, the provider has no revocation endpoint,
      or the credential is an API key.
    - `failed`: the revocation failed, and `reason` says why. One Runtime retries a temporary failure for 24 hours.
    """

    connection_id: str
    token: Annotated[
        Literal["access_token", "refresh_token"] | None,
        Described("The revoked token. Null for a credential that is not a token.", "refresh_token"),
    ]
    outcome: Annotated[
        Literal["revoked", "failed", "not_supported"],
        Described("The result of the revocation at the provider.", "revoked"),
    ]
    reason: str | None

    @classmethod
    def of_all(cls, connections: Iterable[DisconnectedConnection]) -> "list[RevocationAnswer]":
        """Return the revocation results of deleted connections."""
        return [
            cls(
                connection_id=connection.connection.id, token=result.token, outcome=result.outcome, reason=result.reason
            )
            for connection in connections
            for result in connection.revocations
        ]


class Disconnected(Answer, title="Disconnection"):
    """The result of a disconnection.

    `status` is `not_found` if the end user has no connection to the integration. An unknown end user or an unknown
    integration also gives `not_found`.
    """

    status: Annotated[
        Literal["disconnected", "not_found"],
        Described(
            "`disconnected`, or `not_found` if the end user had no connection to the integration.", "disconnected"
        ),
    ]
    integration_slug: str
    end_user_id: str
    deleted_count: Annotated[int, Described("The number of deleted connections.", 1)]
    revocations: list[RevocationAnswer]


@router.route(
    "POST /v1/disconnect",
    scope="connect",
    errors=UNREADABLE_CREDENTIALS,
    name="disconnect",
    summary="Disconnect an integration",
)
async def disconnect_integration(body: Disconnect, caller: Authenticated, installation: Installed) -> Disconnected:
    """Delete all connections of an end user to an integration, with their credentials.

    One Runtime revokes the tokens at the provider.
    """
    deleted = await disconnect(installation, caller.actor, body.integration_slug, body.end_user_id)
    return Disconnected(
        status="disconnected" if deleted else "not_found",
        integration_slug=body.integration_slug,
        end_user_id=body.end_user_id,
        deleted_count=len(deleted),
        revocations=RevocationAnswer.of_all(deleted),
    )
