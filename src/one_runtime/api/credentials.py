"""`/v1/connections/{connection_id}/refresh` and `/credentials`: refresh tokens, and read credentials."""

from one_runtime.api.connections import ConnectionAnswer
from one_runtime.api.fields import Answer, Time
from one_runtime.api.routing import UNREADABLE_CREDENTIALS, Authenticated, Installed, Routes
from one_runtime.connections import connections
from one_runtime.connections.credentials import ProviderUnavailable
from one_runtime.errors import NotFound
from one_runtime.integrations.oauth_clients import OAuthClientMissing
from one_runtime.tokens.refresh import ReauthRequired, read_credentials, refresh

router = Routes("Connections")


class CredentialsAnswer(Answer, title="Credentials"):
    """Fresh credentials for requests to the provider. `credentials` depends on the auth type: the field names of the
    integration for `api_key`; `username` and `password` for `basic`; `access_token` for `oauth2` and
    `client_credentials`. Refresh tokens and OAuth client secrets are never returned."""

    connection_id: str
    integration_slug: str
    auth_type: str
    params: dict[str, str]
    credentials: dict[str, str]
    token_expires_at: Time | None


@router.route(
    "POST /v1/connections/{connection_id}/refresh",
    scope="connect",
    errors=(NotFound, ReauthRequired, ProviderUnavailable, OAuthClientMissing, *UNREADABLE_CREDENTIALS),
    summary="Refresh the tokens of a connection",
)
async def refresh_connection(connection_id: str, caller: Authenticated, installation: Installed) -> ConnectionAnswer:
    """Refresh the tokens at the provider, even if they are still valid. Other credentials stay as they are."""
    async with installation.database.read() as tx:
        connection = await connections.get(tx, caller.organization_id, connection_id)
    renewed = await refresh(installation, connection.key)
    return ConnectionAnswer.of(renewed.connection)


@router.route(
    "GET /v1/connections/{connection_id}/credentials",
    scope="credentials:read",
    errors=(NotFound, ReauthRequired, ProviderUnavailable, OAuthClientMissing, *UNREADABLE_CREDENTIALS),
    summary="Read the credentials of a connection",
)
async def get_credentials(connection_id: str, caller: Authenticated, installation: Installed) -> CredentialsAnswer:
    """Return the credentials, refreshed if necessary. Each read writes the event `connection.credentials_read`."""
    usable = await read_credentials(installation, caller.actor, connection_id)
    connection = usable.connection
    return CredentialsAnswer(
        connection_id=connection.id,
        integration_slug=connection.integration_slug,
        auth_type=connection.auth_type,
        params=usable.values.params,
        credentials=usable.values.credentials,
        token_expires_at=connection.expires_at,
    )
