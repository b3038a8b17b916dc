"""Define the operations for your OAuth clients, with arguments and results."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from one_runtime_client.arguments import Arguments, as_dict, as_list, without_none
from one_runtime_client.operations import Operation, Resource, TransportT
from one_runtime_client.parsing import answer, list_of, no_answer

__all__ = ["OAuthClient"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OAuthClient:
    """An OAuth client that you registered with a provider. Register `redirect_url` as the client's redirect URI."""

    integration_slug: str
    client_id: str
    client_secret_last_four: str | None
    scopes: tuple[str, ...] | None
    hosts: tuple[str, ...]
    fields: tuple[str, ...]
    redirect_url: str
    created_at: datetime
    updated_at: datetime


def list_oauth_clients() -> Arguments:
    """List the OAuth clients of your organization."""
    return Arguments()


def get_oauth_client(integration_slug: str) -> Arguments:
    """Return your organization's OAuth client for an integration, without the client's secret."""
    return Arguments(path={"integration_slug": integration_slug})


def replace_oauth_client(
    integration_slug: str,
    *,
    client_id: str,
    client_secret: str | None = None,
    scopes: Iterable[str] | None = None,
    hosts: Iterable[str] = (),
    fields: Mapping[str, str] | None = None,
) -> Arguments:
    """Store or replace your OAuth client for an integration.

    Omit `client_secret` to keep the stored secret of the same `client_id`.
    """
    body = {
        "client_id": client_id,
        "client_secret": client_secret,
        "scopes": as_list(scopes),
        "hosts": as_list(hosts),
        "fields": as_dict(fields),
    }
    return Arguments(path={"integration_slug": integration_slug}, json=without_none(body))


def delete_oauth_client(integration_slug: str) -> Arguments:
    """Delete an OAuth client. Connections that were made with the client can still use the client."""
    return Arguments(path={"integration_slug": integration_slug})


_OAUTH_CLIENT: Final = "/v1/integrations/{integration_slug}/oauth-client"
_oauth_client: Final = answer(OAuthClient)


class OAuthClients(Resource[TransportT]):
    """The OAuth clients that you registered with providers."""

    list = Operation("GET /v1/oauth-clients", list_oauth_clients, list_of(OAuthClient, under="oauth_clients"))
    get = Operation(f"GET {_OAUTH_CLIENT}", get_oauth_client, _oauth_client)
    replace = Operation(f"PUT {_OAUTH_CLIENT}", replace_oauth_client, _oauth_client)
    delete = Operation(f"DELETE {_OAUTH_CLIENT}", delete_oauth_client, no_answer)
